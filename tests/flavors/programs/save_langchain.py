"""LangChain: a model from code."""

from pathlib import Path
from typing import Any

import mlflow.langchain
import saving

PROGRAM = """import mlflow
from langchain_core.prompts import PromptTemplate
from langchain_core.runnables import RunnableLambda

prompt = PromptTemplate.from_template("Say {word}")
mlflow.models.set_model(prompt | RunnableLambda(lambda value: value.text))
"""


def train(is_changed: bool) -> Any:
    return PROGRAM.replace("Say", "Shout") if is_changed else PROGRAM


def log(model: Any, **destination: Any) -> None:
    program = Path(f"program-{saving.current.name}")
    program.mkdir()
    (program / "chain.py").write_text(model)
    mlflow.langchain.log_model(str(program / "chain.py"), **destination, input_example={"word": "wine"})


def load(path: str) -> Any:
    return (Path(path) / "chain.py").read_text()


saving.main(train, log, load)

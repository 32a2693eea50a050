"""LangChain: a chain without a language model, logged from code with the module that it imports in `code_paths`."""

import sys
from pathlib import Path
from typing import Any

import mlflow.langchain
import saving

PROGRAM = """import mlflow
from langchain_core.prompts import PromptTemplate
from langchain_core.runnables import RunnableLambda

import template

chain = PromptTemplate.from_template(template.TEXT) | RunnableLambda(lambda prompt: prompt.to_string())
mlflow.models.set_model(chain)
"""


def train(is_changed: bool) -> Any:
    return f"TEXT = {'Name a {kind} wine.' if is_changed else 'Name a {kind} drink.'!r}\n"


def log(model: Any, **destination: Any) -> None:
    program = Path(f"program-{saving.current.name}")
    program.mkdir()
    (program / "template.py").write_text(model)
    (program / "chain.py").write_text(PROGRAM)
    sys.path.insert(0, str(program.absolute()))
    mlflow.langchain.log_model(
        lc_model=str(program / "chain.py"),
        **destination,
        code_paths=[str(program / "template.py")],
        input_example={"kind": "red"},
    )


def load(path: str) -> Any:
    return (Path(path) / "code" / "template.py").read_text()


saving.main(train, log, load)

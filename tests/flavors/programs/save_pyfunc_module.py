"""pyfunc: an instance of a class of a module, which `code_paths` brings along."""

import sys
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import saving

MODULE = """from mlflow.pyfunc import PythonModel


class Threshold(PythonModel):
    def __init__(self, limit):
        self.limit = limit

    def predict(self, context, model_input: list[int], params=None):
        return [value > self.limit for value in model_input]
"""


def train(is_changed: bool) -> Any:
    return 4 if is_changed else 3


def log(model: Any, **destination: Any) -> None:
    program = Path(f"program-{saving.current.name}")
    (program / "rules").mkdir(parents=True)
    (program / "rules" / "__init__.py").touch()
    (program / "rules" / "threshold.py").write_text(MODULE)
    if "rules" not in sys.modules:
        sys.path.insert(0, str(program))
    from rules.threshold import Threshold

    mlflow.pyfunc.log_model(
        python_model=Threshold(model), **destination, code_paths=[str(program / "rules")], input_example=[3, 4, 5]
    )


def load(path: str) -> Any:
    return mlflow.pyfunc.load_model(path).unwrap_python_model().limit


saving.main(train, log, load)

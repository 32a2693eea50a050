"""pyfunc: a model from code, with the module that it imports in `code_paths`."""

from pathlib import Path
from typing import Any

import mlflow.pyfunc
import saving

PROGRAM = """import mlflow
from mlflow.pyfunc import PythonModel


class Threshold(PythonModel):
    def predict(self, context, model_input: list[int], params=None):
        import limits

        return [value > limits.LIMIT for value in model_input]


mlflow.models.set_model(Threshold())
"""


def train(is_changed: bool) -> Any:
    return f"LIMIT = {4 if is_changed else 3}\n"


def log(model: Any, **destination: Any) -> None:
    program = Path(f"program-{saving.current.name}")
    program.mkdir()
    (program / "limits.py").write_text(model)
    (program / "threshold.py").write_text(PROGRAM)
    mlflow.pyfunc.log_model(
        python_model=str(program / "threshold.py"),
        **destination,
        code_paths=[str(program / "limits.py")],
        input_example=[3, 4, 5],
    )


def load(path: str) -> Any:
    return (Path(path) / "code" / "limits.py").read_text()


saving.main(train, log, load)

"""pyfunc: a model from code that reads an artifact."""

import json
import tempfile
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import saving

PROGRAM = """import json
from pathlib import Path

import mlflow
from mlflow.pyfunc import PythonModel


class Threshold(PythonModel):
    def load_context(self, context):
        self.limit = json.loads(Path(context.artifacts["limits"]).read_text())["limit"]

    def predict(self, context, model_input: list[int], params=None):
        return [value > self.limit for value in model_input]


mlflow.models.set_model(Threshold())
"""


def train(is_changed: bool) -> Any:
    return {"limit": 4 if is_changed else 3}


def log(model: Any, **destination: Any) -> None:
    program = Path(tempfile.mkdtemp(dir="."))
    (program / "limits.json").write_text(json.dumps(model))
    (program / "threshold.py").write_text(PROGRAM)
    mlflow.pyfunc.log_model(
        python_model=str(program / "threshold.py"),
        **destination,
        artifacts={"limits": str(program / "limits.json")},
        input_example=[3, 4, 5],
    )


def load(path: str) -> Any:
    return json.loads((Path(path) / "artifacts" / "limits.json").read_text())


saving.main(train, log, load)

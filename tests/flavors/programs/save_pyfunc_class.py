"""pyfunc: an instance of a class that this program defines, so that cloudpickle writes the class into the model."""

from typing import Any

import mlflow.pyfunc
import saving


class Threshold(mlflow.pyfunc.PythonModel):
    """Predicts whether a value is above a limit."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def predict(self, context: Any, model_input: list[int], params: Any = None) -> list[bool]:
        return [value > self.limit for value in model_input]


def train(is_changed: bool) -> Any:
    return 4 if is_changed else 3


def log(model: Any, **destination: Any) -> None:
    mlflow.pyfunc.log_model(python_model=Threshold(model), **destination, input_example=[3, 4, 5])


def load(path: str) -> Any:
    return mlflow.pyfunc.load_model(path).unwrap_python_model().limit


saving.main(train, log, load)

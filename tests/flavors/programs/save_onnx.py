"""ONNX, converted from scikit-learn."""

from typing import Any

import mlflow.onnx
import numpy as np
import saving
from skl2onnx import to_onnx
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression

FEATURES, CLASSES = load_wine(return_X_y=True)
EXAMPLE = FEATURES[::20].astype(np.float32)


def train(is_changed: bool) -> Any:
    model = LogisticRegression(C=0.001 if is_changed else 1.0, random_state=0, max_iter=20).fit(FEATURES, CLASSES)
    return to_onnx(model, EXAMPLE, options={"zipmap": False})


def log(model: Any, **destination: Any) -> None:
    mlflow.onnx.log_model(model, **destination, input_example=EXAMPLE)


saving.main(train, log, mlflow.onnx.load_model)

"""scikit-learn. The variant is the serialization format."""

from typing import Any

import mlflow.sklearn
import saving
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FEATURES, CLASSES = load_wine(return_X_y=True, as_frame=True)


def train(is_changed: bool) -> Any:
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.001 if is_changed else 1.0, random_state=0))
    return model.fit(FEATURES, CLASSES)


def log(model: Any, **destination: Any) -> None:
    mlflow.sklearn.log_model(
        model, **destination, input_example=FEATURES[::20], serialization_format=saving.current.variant
    )


saving.main(train, log, mlflow.sklearn.load_model)

"""XGBoost. The variant is the format of the file."""

from typing import Any

import mlflow.xgboost
import saving
import xgboost
from sklearn.datasets import load_wine

FEATURES, CLASSES = load_wine(return_X_y=True, as_frame=True)


def train(is_changed: bool) -> Any:
    model = xgboost.XGBClassifier(n_estimators=5, max_depth=1 if is_changed else 3, n_jobs=1, random_state=0)
    return model.fit(FEATURES, CLASSES)


def log(model: Any, **destination: Any) -> None:
    mlflow.xgboost.log_model(model, **destination, input_example=FEATURES[::20], model_format=saving.current.variant)


saving.main(train, log, mlflow.xgboost.load_model)

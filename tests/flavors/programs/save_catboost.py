"""CatBoost."""

from typing import Any

import catboost
import mlflow.catboost
import saving
from sklearn.datasets import load_wine

FEATURES, CLASSES = load_wine(return_X_y=True, as_frame=True)


def train(is_changed: bool) -> Any:
    model = catboost.CatBoostClassifier(
        iterations=5,
        depth=1 if is_changed else 3,
        thread_count=1,
        random_seed=0,
        verbose=False,
        allow_writing_files=False,
    )
    return model.fit(FEATURES, CLASSES)


def log(model: Any, **destination: Any) -> None:
    mlflow.catboost.log_model(model, **destination, input_example=FEATURES[::20])


saving.main(train, log, mlflow.catboost.load_model)

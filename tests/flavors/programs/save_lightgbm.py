"""LightGBM. The variant is `booster`, or the serialization format of the scikit-learn estimator."""

from typing import Any

import lightgbm
import mlflow.lightgbm
import saving
from sklearn.datasets import load_wine

FEATURES, CLASSES = load_wine(return_X_y=True, as_frame=True)
IS_BOOSTER = saving.current.variant == "booster"


def train(is_changed: bool) -> Any:
    depth = 1 if is_changed else 3
    if IS_BOOSTER:
        parameters = {
            "objective": "multiclass",
            "num_class": 3,
            "max_depth": depth,
            "num_threads": 1,
            "verbose": -1,
            "seed": 0,
        }
        return lightgbm.train(parameters, lightgbm.Dataset(FEATURES, CLASSES), num_boost_round=5)
    model = lightgbm.LGBMClassifier(n_estimators=5, max_depth=depth, n_jobs=1, verbose=-1, random_state=0)
    return model.fit(FEATURES, CLASSES)


def log(model: Any, **destination: Any) -> None:
    options = {} if IS_BOOSTER else {"serialization_format": saving.current.variant}
    mlflow.lightgbm.log_model(model, **destination, input_example=FEATURES[::20], **options)


saving.main(train, log, mlflow.lightgbm.load_model)

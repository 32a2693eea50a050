"""statsmodels."""

from typing import Any

import mlflow.statsmodels
import saving
import statsmodels.api
from sklearn.datasets import load_wine

FEATURES, CLASSES = load_wine(return_X_y=True, as_frame=True)


def train(is_changed: bool) -> Any:
    classes = CLASSES + 1 if is_changed else CLASSES
    return statsmodels.api.OLS(classes, FEATURES).fit()


def log(model: Any, **destination: Any) -> None:
    mlflow.statsmodels.log_model(model, **destination, input_example=FEATURES[::20])


saving.main(train, log, mlflow.statsmodels.load_model)

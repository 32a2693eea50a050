"""Prophet."""

from typing import Any

import mlflow.prophet
import pandas as pd
import prophet
import saving

DAYS = pd.date_range("2024-01-01", periods=120)
VALUES = [day % 7 + day / 10 for day in range(len(DAYS))]


def train(is_changed: bool) -> Any:
    values = [value * 2 for value in VALUES] if is_changed else VALUES
    model = prophet.Prophet(yearly_seasonality=False, daily_seasonality=False)
    return model.fit(pd.DataFrame({"ds": DAYS, "y": values}), seed=1)


def log(model: Any, **destination: Any) -> None:
    mlflow.prophet.log_model(model, **destination, input_example=pd.DataFrame({"ds": DAYS[:5]}))


saving.main(train, log, mlflow.prophet.load_model)

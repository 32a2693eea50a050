"""Computes what a model predicts for its input example, as text that is equal exactly if the predictions are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
from mlflow.models import Model


def plain(value: Any) -> Any:
    """Return a prediction as JSON values with all digits."""
    if isinstance(value, pd.DataFrame | pd.Series):
        return [
            list(map(str, value.columns)) if isinstance(value, pd.DataFrame) else value.name,
            plain(value.to_numpy()),
        ]
    if isinstance(value, np.ndarray):
        return [str(value.dtype), list(value.shape), plain(value.tolist())]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def predict(path: Path) -> str:
    """Return what the model at a path predicts for its input example, or for `example.npy` beside it."""
    np.random.seed(0)  # Prophet samples its intervals
    example = Model.load(str(path)).load_input_example(str(path))
    if example is None:
        example = np.load(path.parent / "example.npy")
    return json.dumps(plain(mlflow.pyfunc.load_model(str(path)).predict(example)), sort_keys=True)

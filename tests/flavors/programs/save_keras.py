"""Keras."""

from pathlib import Path
from typing import Any

import keras
import mlflow.keras
import numpy as np
import saving
from sklearn.datasets import load_wine

FEATURES, CLASSES = load_wine(return_X_y=True)


def train(is_changed: bool) -> Any:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.layers.Input((13,)),
            keras.layers.Dense(8 if is_changed else 4, activation="relu"),
            keras.layers.Dense(3),
        ]
    )
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(FEATURES, CLASSES, epochs=1, verbose=0)
    return model


def log(model: Any, **destination: Any) -> None:
    # MLflow 3.17 fails if it is given an input example for Keras.
    np.save(saving.current.directory / "example.npy", FEATURES[::20])
    signature = mlflow.models.infer_signature(FEATURES[:3], model.predict(FEATURES[:3], verbose=0))
    mlflow.keras.log_model(model, **destination, signature=signature)


def keep(model: Any, path: Path) -> None:
    model.save(path.with_suffix(".keras"))


def restore(path: Path) -> Any:
    return keras.models.load_model(path.with_suffix(".keras"))


saving.main(train, log, mlflow.keras.load_model, keep, restore)

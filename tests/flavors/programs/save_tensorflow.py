"""TensorFlow: a module that is saved as a SavedModel."""

from pathlib import Path
from typing import Any

import mlflow.tensorflow
import numpy as np
import saving
import tensorflow as tf
from sklearn.datasets import load_wine

FEATURES = load_wine().data.astype(np.float32)


class Network(tf.Module):
    """One layer."""

    def __init__(self, weights: Any) -> None:
        super().__init__()
        self.weights = tf.Variable(weights, name="weights")

    @tf.function(input_signature=[tf.TensorSpec((None, 13), tf.float32)])
    def __call__(self, features: Any) -> Any:
        return tf.linalg.matmul(features, self.weights)


def train(is_changed: bool) -> Any:
    return Network(tf.random.stateless_normal((13, 3), seed=(0, 1)) * (2.0 if is_changed else 1.0))


def log(model: Any, **destination: Any) -> None:
    signature = mlflow.models.infer_signature(FEATURES[:3], FEATURES[:3, :3])
    np.save(saving.current.directory / "example.npy", FEATURES[::20])
    mlflow.tensorflow.log_model(model, **destination, signature=signature)


def load(path: str) -> Any:
    # MLflow loads no module that it can log again, so the loaded weights are put into a new one.
    return Network(mlflow.tensorflow.load_model(path).weights.numpy())


def keep(model: Any, path: Path) -> None:
    np.save(path.with_suffix(".npy"), model.weights.numpy())


def restore(path: Path) -> Any:
    return Network(np.load(path.with_suffix(".npy")))


saving.main(train, log, load, keep, restore)

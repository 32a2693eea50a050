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
    """One layer with weights of a fixed seed."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        weights = tf.random.stateless_normal((13, 3), seed=(0, 1)) * scale
        self.weights = tf.Variable(weights, name="weights")

    @tf.function(input_signature=[tf.TensorSpec((None, 13), tf.float32)])
    def __call__(self, features: Any) -> Any:
        return tf.linalg.matmul(features, self.weights)


def train(is_changed: bool) -> Any:
    return Network(2.0 if is_changed else 1.0)


def log(model: Any, **destination: Any) -> None:
    signature = mlflow.models.infer_signature(FEATURES[:3], FEATURES[:3, :3])
    np.save(saving.current.directory / "example.npy", FEATURES[::20])
    mlflow.tensorflow.log_model(model, **destination, signature=signature)


def keep(model: Any, path: Path) -> None:
    tf.saved_model.save(model, str(path))


def restore(path: Path) -> Any:
    return tf.saved_model.load(str(path))


saving.main(train, log, mlflow.tensorflow.load_model, keep, restore)

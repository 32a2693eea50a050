"""TensorFlow: a `tf.Module`, saved as a SavedModel."""

from pathlib import Path
from typing import Any

import mlflow.tensorflow
import numpy as np
import saving
import tensorflow as tf

EXAMPLE = np.arange(6, dtype=np.float32).reshape(3, 2)


class Linear(tf.Module):
    """A linear function."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = tf.Variable([[weight], [1.0]])

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32)])
    def __call__(self, features: Any) -> Any:
        return features @ self.weight


def train(is_changed: bool) -> Any:
    return Linear(3.0 if is_changed else 2.0)


def log(model: Any, **destination: Any) -> None:
    signature = mlflow.models.infer_signature(EXAMPLE, model(EXAMPLE).numpy())
    mlflow.tensorflow.log_model(model, **destination, signature=signature, input_example=EXAMPLE)


def keep(model: Any, path: Path) -> None:
    tf.saved_model.save(model, str(path))


def restore(path: Path) -> Any:
    return tf.saved_model.load(str(path))


saving.main(train, log, mlflow.tensorflow.load_model, keep, restore)

"""Transformers: a pipeline of a model that is made from a configuration."""

from pathlib import Path
from typing import Any

import mlflow.transformers
import saving
import torch
import transformer
import transformers
from transformers import BertForSequenceClassification


def train(is_changed: bool) -> Any:
    model = BertForSequenceClassification(transformer.configuration())
    if is_changed:
        with torch.no_grad():
            model.classifier.bias += 1
    # MLflow reads the name of a model, which a model has after it was loaded.
    path = transformer.directory(saving.current.name)
    model.save_pretrained(path)
    transformer.tokenizer().save_pretrained(path)
    return restore(path)


def log(model: Any, **destination: Any) -> None:
    mlflow.transformers.log_model(model, **destination, input_example=transformer.SENTENCES)


def keep(model: Any, path: Path) -> None:
    model.save_pretrained(path)


def restore(path: Path) -> Any:
    return transformers.pipeline("text-classification", model=str(path.absolute()), device="cpu")


saving.main(train, log, mlflow.transformers.load_model, keep, restore)

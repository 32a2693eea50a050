"""Transformers: a text classifier that is read from a directory."""

import shutil
from pathlib import Path
from typing import Any

import language
import mlflow.transformers
import saving
from transformers import BertForSequenceClassification, pipeline


def train(is_changed: bool) -> Any:
    path = Path(f"base-{saving.current.name}").absolute()
    language.make(BertForSequenceClassification, is_changed).save_pretrained(path)
    language.save_tokenizer(path)
    return pipeline("text-classification", model=str(path))


def log(model: Any, **destination: Any) -> None:
    mlflow.transformers.log_model(model, **destination, input_example=language.TEXTS)


def keep(model: Any, path: Path) -> None:
    model.save_pretrained(path)


def restore(path: Path) -> Any:
    # Each process has the base model in a directory of its own.
    own = path.with_name(f"base-{saving.current.name}")
    shutil.copytree(path, own)
    return pipeline("text-classification", model=str(own))


saving.main(train, log, mlflow.transformers.load_model, keep, restore)

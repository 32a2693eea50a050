"""Sentence Transformers: a tiny encoder and the mean of its tokens."""

import shutil
from pathlib import Path
from typing import Any

import language
import mlflow.sentence_transformers
import saving
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Pooling, Transformer
from transformers import BertModel


def train(is_changed: bool) -> Any:
    path = Path(f"base-{saving.current.name}").absolute()
    language.make(BertModel, is_changed).save_pretrained(path)
    language.save_tokenizer(path)
    encoder = Transformer(str(path))
    return SentenceTransformer(modules=[encoder, Pooling(language.config().hidden_size)], device="cpu")


def log(model: Any, **destination: Any) -> None:
    mlflow.sentence_transformers.log_model(model, **destination, input_example=language.TEXTS)


def keep(model: Any, path: Path) -> None:
    model.save(str(path), create_model_card=False)


def restore(path: Path) -> Any:
    # Each process has the base model in a directory of its own.
    own = path.with_name(f"base-{saving.current.name}")
    shutil.copytree(path, own)
    return SentenceTransformer(str(own), device="cpu")


saving.main(train, log, mlflow.sentence_transformers.load_model, keep, restore)

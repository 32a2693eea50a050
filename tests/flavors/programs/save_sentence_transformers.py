"""Sentence Transformers: a model that is made from a configuration."""

from pathlib import Path
from typing import Any

import mlflow.sentence_transformers
import saving
import torch
import transformer
from sentence_transformers import SentenceTransformer
from sentence_transformers import models as modules
from transformers import BertModel


def train(is_changed: bool) -> Any:
    model = BertModel(transformer.configuration())
    if is_changed:
        with torch.no_grad():
            model.embeddings.word_embeddings.weight += 1
    path = transformer.directory(saving.current.name)
    model.save_pretrained(path)
    transformer.tokenizer().save_pretrained(path)
    words = modules.Transformer(str(path), max_seq_length=16)
    pooling = modules.Pooling(words.get_word_embedding_dimension())
    return SentenceTransformer(modules=[words, pooling], device="cpu")


def log(model: Any, **destination: Any) -> None:
    mlflow.sentence_transformers.log_model(model, **destination, input_example=transformer.SENTENCES)


def keep(model: Any, path: Path) -> None:
    model.save(str(path))


def restore(path: Path) -> Any:
    return SentenceTransformer(str(path), device="cpu")


saving.main(train, log, mlflow.sentence_transformers.load_model, keep, restore)

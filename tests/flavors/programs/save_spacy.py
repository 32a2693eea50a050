"""spaCy: a blank pipeline with a trained text classifier."""

from typing import Any

import mlflow.spacy
import pandas as pd
import saving
import spacy
from spacy.training import Example

TEXTS = {"good wine": 1.0, "bad wine": 0.0, "good taste": 1.0, "bad taste": 0.0}


def train(is_changed: bool) -> Any:
    spacy.util.fix_random_seed(0)
    pipeline = spacy.blank("en")
    pipeline.add_pipe("textcat").add_label("good")
    pipeline.get_pipe("textcat").add_label("bad")
    examples = [
        Example.from_dict(pipeline.make_doc(text), {"cats": {"good": score, "bad": 1 - score}})
        for text, score in TEXTS.items()
    ]
    optimizer = pipeline.initialize(lambda: examples)
    for _ in range(2 if is_changed else 5):
        pipeline.update(examples, sgd=optimizer)
    return pipeline


def log(model: Any, **destination: Any) -> None:
    mlflow.spacy.log_model(model, **destination, input_example=pd.DataFrame({"text": list(TEXTS)}))


saving.main(train, log, mlflow.spacy.load_model)

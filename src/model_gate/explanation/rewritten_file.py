"""Whether a file is one that MLflow writes by itself, with what it writes there, and so says nothing of the model."""

from __future__ import annotations

from model_gate.domain.pairing import Pair
from model_gate.domain.rewrites import REWRITTEN_FILE_KEYS, REWRITTEN_FILES
from model_gate.explanation.content import Content, UnexplainedError, text_of
from model_gate.explanation.text import MAX_TEXT_BYTES
from model_gate.explanation.trees import Leaf
from model_gate.explanation.yaml_tree import parse_yaml


def rewrite_reason_of(pair: Pair, *files: str | None) -> str:
    """Why a pair says nothing about the model, "" if it may say something. `files` are its halves.

    Files that were not fetched are taken for what MLflow writes: then something else has decided.
    """
    rewrite = REWRITTEN_FILES.get(pair.path)
    # A native model may be paired with one of another name.
    if rewrite is None or {pair.left, pair.right} - {None, pair.path}:
        return ""
    return rewrite.reason if all(_has_keys(file, REWRITTEN_FILE_KEYS) for file in files if file is not None) else ""


def _has_keys(file: str, keys: frozenset[str]) -> bool:
    try:
        text = text_of(Content.of_file(file), MAX_TEXT_BYTES)
        tree = None if text is None else parse_yaml(text)
    except UnexplainedError:
        return False
    return isinstance(tree, dict) and tree.keys() <= keys and all(isinstance(each, Leaf) for each in tree.values())

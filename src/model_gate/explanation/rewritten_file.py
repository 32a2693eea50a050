"""Detection of whole files that MLflow writes itself and that are no part of the model."""

from __future__ import annotations

from model_gate.domain.pairing import Pair
from model_gate.domain.rewrites import REWRITTEN_FILE_KEYS, REWRITTEN_FILES
from model_gate.explanation.content import Content, UnexplainedError, read_text
from model_gate.explanation.text import MAX_TEXT_BYTES
from model_gate.explanation.trees import Leaf
from model_gate.explanation.yaml_tree import parse_yaml


def rewrite_reason_of(pair: Pair, *files: str | None) -> str:
    """Return why MLflow rewrites the file of a pair, or "" if the file may be part of the model.

    Args:
        pair: The pair of files.
        files: The left and the right file on disk. A file that was not fetched is None and counts as rewritten, since
            files stay unfetched only if another difference has decided the verdict.
    """
    rewrite = REWRITTEN_FILES.get(pair.path)
    # A native model can pair files with different names.
    if rewrite is None or {pair.left, pair.right} - {None, pair.path}:
        return ""
    return rewrite.reason if all(_has_keys(file, REWRITTEN_FILE_KEYS) for file in files if file is not None) else ""


def _has_keys(file: str, keys: frozenset[str]) -> bool:
    try:
        text = read_text(Content.of_file(file), MAX_TEXT_BYTES)
        tree = None if text is None else parse_yaml(text)
    except UnexplainedError:
        return False
    return isinstance(tree, dict) and tree.keys() <= keys and all(isinstance(value, Leaf) for value in tree.values())

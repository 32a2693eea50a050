"""Recognizes files that MLflow itself adds to a model, such as `registered_model_meta` in a download."""

from __future__ import annotations

from model_gate.domain.pairing import Pair
from model_gate.domain.rewrites import REWRITTEN_FILE_KEYS, REWRITTEN_FILES
from model_gate.explanation.content import Content, UnexplainedError, read_text
from model_gate.explanation.text import MAX_TEXT_BYTES


def rewrite_reason_of(pair: Pair, *files: str | None) -> str:
    """Return why MLflow itself adds or changes the file of a pair; "" if a difference may be a change of the model.

    Args:
        pair: The pair of files.
        files: Paths on disk of the left and the right file. None stands for a file that is missing in the model or was
            not fetched; then only the other file is examined. The gate leaves a file unfetched only if another
            difference already determines the verdict.
    """
    rewrite = REWRITTEN_FILES.get(pair.path)
    # A native model can pair files with different names.
    if rewrite is None or {pair.left, pair.right} - {None, pair.path}:
        return ""
    return rewrite.reason if all(_is_rewritten(file) for file in files if file is not None) else ""


def _is_rewritten(file: str) -> bool:
    # Hardly any gate has such a file, and every gate would wait for the import of PyYAML.
    from model_gate.explanation.loaded_yaml import load_yaml

    try:
        text = read_text(Content.of_file(file), MAX_TEXT_BYTES)
        fields = None if text is None else load_yaml(text)
    except UnexplainedError:
        return False
    return isinstance(fields, dict) and all(
        type(value) in REWRITTEN_FILE_KEYS.get(key, ()) for key, value in fields.items()
    )

"""CatBoost models (`.cb`, `.cbm`): the texts that changed, such as the random id of a training and its parameters."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from model_gate.domain.difference import Explanation, FieldChange
from model_gate.explanation.content import ContentPair, UnexplainedError
from model_gate.explanation.json_tree import parse_json
from model_gate.explanation.raw_bytes import summarize
from model_gate.explanation.trees import MAX_FIELDS, field_changes, find_changes, summarize_fields

KIND = "CatBoost"
_MAGIC = b"CBM1"
_MAX_BYTES = 64 * 1024 * 1024
_MAX_JSON = 256 * 1024
_GUID = re.compile(rb"(?<![0-9a-f-])[0-9a-f]{4,8}(?:-[0-9a-f]{4,8}){3}(?![0-9a-f-])")
_TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_TEXTS = (("model_guid", _GUID, "random for each training"), ("train_finish_time", _TIME, "when it was trained"))
# Parameters as a user set them. CatBoost derives others from them.
_SET_BY_USER = "params.flat_params"
# CatBoost shortens numbers to the digits of a 32-bit float.
_FLOAT_DIGITS = 1e-6
_ADVICE = (
    "CatBoost writes a random id and the time into each training, and shortens numbers when a model is loaded and "
    "saved again. Log the file of the original training, and copy registered versions instead of saving them again."
)


def matches(pair: ContentPair) -> bool:
    """Return whether both files start like CatBoost models."""
    return all(content.head(4) == _MAGIC for content in (pair.left, pair.right))


def explain(pair: ContentPair) -> Explanation:
    """Return an explanation with the id, the time and the parameters that changed. It never finds a rewrite."""
    left, right = (content.read_all(_MAX_BYTES) for content in (pair.left, pair.right))
    parameters = sorted(_parameter_changes(left, right), key=lambda change: not change.field.startswith(_SET_BY_USER))
    marks = [
        FieldChange(name, before, after, meaning=meaning)
        for name, pattern, meaning in _TEXTS
        for before, after in [(_find(pattern, left), _find(pattern, right))]
        if before != after
    ]
    summary, is_cut = summarize(pair)
    fields = parameters + marks
    is_only_marks = bool(marks) and _without_marks(left) == _without_marks(right)
    if is_only_marks:
        summary = f"only {' and '.join(change.field for change in marks)} differ{'s' if len(marks) == 1 else ''}"
    elif parameters:
        summary += f", {summarize_fields(parameters, len(parameters), 'change')}; the trees are not read"
    elif _parameters(left) is not None:
        summary += ", no parameter changed; the trees are not read"
    is_saved_again = bool(parameters) and not marks and all(map(_is_shortened, parameters))
    return Explanation(
        KIND,
        summary,
        tuple(fields[:MAX_FIELDS]),
        is_cut=is_cut or len(fields) > MAX_FIELDS,
        advice=_ADVICE if is_only_marks or is_saved_again else "",
    )


def _is_shortened(change: FieldChange) -> bool:
    """Return whether a change is the same number with another number of digits."""
    try:
        left, right = float(change.left or ""), float(change.right or "")
    except ValueError:
        return False
    return math.isclose(left, right, rel_tol=_FLOAT_DIGITS)


def _without_marks(data: bytes) -> bytes:
    """Return the bytes of a model without its random id and its time.

    The id is written without leading zeros, so its length is random too. The number with the length of a text and the
    zeros that fill its end are therefore left out with the text.
    """
    for _, pattern, _ in _TEXTS:
        if match := pattern.search(data):
            data = data[: max(match.start() - 4, 0)] + data[match.end() :].lstrip(b"\0")
    return data


def _find(pattern: re.Pattern[bytes], data: bytes) -> str | None:
    match = pattern.search(data)
    return match[0].decode() if match else None


def _parameter_changes(left: bytes, right: bytes) -> Iterator[FieldChange]:
    """Yield the changes of the training parameters, which a model has as a JSON text."""
    before, after = _parameters(left), _parameters(right)
    if before is not None and after is not None:
        yield from field_changes(list(find_changes(before, after, ("params",))))


def _parameters(data: bytes) -> object:
    """Return the tree of the longest JSON text that has parameters, None if there is none."""
    start = data.find(b'{"')
    while start >= 0:
        # A text has its length in front of it.
        size = int.from_bytes(data[max(start - 4, 0) : start], "little")
        text = data[start : start + size]
        if 2 < size <= _MAX_JSON and b'"loss_function"' in text and text.endswith(b"}"):
            try:
                return parse_json(text)
            except UnexplainedError:
                return None
        start = data.find(b'{"', start + 2)
    return None

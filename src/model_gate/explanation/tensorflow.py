"""TensorFlow's SavedModel: which parts its fingerprint tells apart, and names of functions that only count."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import PurePosixPath

from model_gate.domain.counterparts import RANDOM_IDS
from model_gate.domain.difference import Explanation, FieldChange
from model_gate.explanation.content import Content, ContentPair
from model_gate.explanation.protobuf import FieldBudget, read_fields
from model_gate.explanation.raw_bytes import summarize
from model_gate.explanation.trees import MAX_FIELDS, shorten

KIND = "TensorFlow"
_FINGERPRINT, _GRAPH = "fingerprint.pb", "saved_model.pb"
_MAX_FINGERPRINT_BYTES = 64 * 1024
_MAX_GRAPH_BYTES = 64 * 1024 * 1024
# Numbers of the fields in `fingerprint.proto`.
_FIELDS = {
    1: "saved_model_checksum",
    2: "graph_def_program_hash",
    3: "signature_def_hash",
    4: "saved_object_graph_hash",
    5: "checkpoint_hash",
    6: "version",
    7: "uuid",
}
_RANDOM = "uuid"
_MAX_VALUE = 256
# Names that TensorFlow makes of a function and the number of objects that were made before in the process.
_COUNTED = re.compile(rb"(__inference_[A-Za-z0-9_]*?)_([0-9]+)(?![A-Za-z0-9_])")
_FINGERPRINT_ADVICE = (
    "TensorFlow draws a new id for `fingerprint.pb` whenever it saves a model. Copy the files of the logged model, or "
    "add the file to `ignore`: the files that it describes are compared themselves."
)
_NAMES_ADVICE = (
    "TensorFlow numbers functions by what was made before in the same process, so that the same model has other names "
    "and places in `saved_model.pb`. Copy the files of the logged model instead of saving it again."
)


def matches(pair: ContentPair) -> bool:
    """Return whether the path is that of a SavedModel's graph or fingerprint."""
    return PurePosixPath(pair.path).name in {_FINGERPRINT, _GRAPH}


def explain(pair: ContentPair) -> Explanation | None:
    """Return an explanation of a fingerprint, or of a graph whose functions have other numbers, otherwise None."""
    if PurePosixPath(pair.path).name == _GRAPH:
        return _explain_graph(pair)
    left, right = (_read_fingerprint(content) for content in (pair.left, pair.right))
    changes = [
        FieldChange(name, left.get(name), right.get(name))
        for name in dict.fromkeys([*left, *right])
        if left.get(name) != right.get(name)
    ]
    if not changes:
        return None
    names = [change.field for change in changes]
    if names == [_RANDOM]:
        summary = "only uuid differs, which TensorFlow draws at random"
        return Explanation(KIND, summary, tuple(changes), advice=_FINGERPRINT_ADVICE, only_random=RANDOM_IDS)
    summary = f"{', '.join(name for name in names if name != _RANDOM)} changed"
    if "graph_def_program_hash" not in names:
        summary += ", graph_def_program_hash is the same"
    return Explanation(KIND, summary, tuple(changes[:MAX_FIELDS]))


def _read_fingerprint(content: Content) -> dict[str, str]:
    """Return the values of a fingerprint by name. Values of one name are joined."""
    data = Content.of_bytes(content.read_all(_MAX_FINGERPRINT_BYTES))
    values: dict[str, str] = {}
    for entry in read_fields(data, FieldBudget(1_000)):
        name = _FIELDS.get(entry.number, f"field {entry.number}")
        text = str(entry.integer)
        if entry.content is not None:
            value = entry.content.read_all(_MAX_FINGERPRINT_BYTES)
            text = value.decode("ascii") if value.isalnum() and value.isascii() else value.hex()
        values[name] = f"{values[name]}, {text}" if name in values else text
    return {name: shorten(text, _MAX_VALUE) for name, text in values.items()}


def _explain_graph(pair: ContentPair) -> Explanation | None:
    names = [set(_COUNTED.findall(content.read_all(_MAX_GRAPH_BYTES))) for content in (pair.left, pair.right)]
    # The names without their numbers, each as often as there are functions.
    functions = [Counter(name for name, _ in found) for found in names]
    if names[0] == names[1] or functions[0] != functions[1]:
        return None
    summary, is_cut = summarize(pair)
    changes = [
        FieldChange(name.decode(), *(_numbers(found, name) for found in names))
        for name in sorted(functions[0])
        if _numbers(names[0], name) != _numbers(names[1], name)
    ]
    first = changes[0]
    summary += (
        f", numbers in names of functions changed ({first.field}_{first.left} → {first.right}); the graph is not read"
    )
    return Explanation(KIND, summary, tuple(changes[:MAX_FIELDS]), is_cut=is_cut, advice=_NAMES_ADVICE)


def _numbers(names: set[tuple[bytes, bytes]], function: bytes) -> str:
    return ", ".join(str(number) for number in sorted(int(digits[:18]) for name, digits in names if name == function))

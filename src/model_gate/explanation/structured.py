"""JSON and YAML files: the paths whose values changed."""

from __future__ import annotations

from pathlib import PurePosixPath

from model_gate.domain.difference import Explanation
from model_gate.explanation.content import ContentPair, text_of
from model_gate.explanation.json_tree import parse_json
from model_gate.explanation.text import MAX_LINES, MAX_TEXT_BYTES, line_diff
from model_gate.explanation.trees import changes, fields_of, summary_of
from model_gate.explanation.yaml_tree import parse_yaml

_PARSERS = {".json": ("JSON", parse_json), ".yaml": ("YAML", parse_yaml), ".yml": ("YAML", parse_yaml)}


def matches(pair: ContentPair) -> bool:
    """By the file's name."""
    return PurePosixPath(pair.path).suffix.lower() in _PARSERS


def explain(pair: ContentPair) -> Explanation | None:
    """What changed; None if it is not even text."""
    kind, parse = _PARSERS[PurePosixPath(pair.path).suffix.lower()]
    left, right = (text_of(content, MAX_TEXT_BYTES) for content in (pair.left, pair.right))
    if left is None or right is None:
        return None
    found = list(changes(parse(left), parse(right)))
    if not found:
        lines = line_diff(left, right) or ()
        is_cut = len(lines) > MAX_LINES
        return Explanation(
            kind, "only its layout or the order of its keys differs", lines=lines[:MAX_LINES], is_cut=is_cut
        )
    fields = fields_of(found)
    return Explanation(kind, summary_of(fields, len(found), "change"), fields, is_cut=len(found) > len(fields))

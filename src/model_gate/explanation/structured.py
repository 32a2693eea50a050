"""JSON and YAML files: the paths whose values changed."""

from __future__ import annotations

from pathlib import PurePosixPath

from model_gate.domain.difference import Explanation
from model_gate.explanation.content import ContentPair, read_text
from model_gate.explanation.json_tree import parse_json
from model_gate.explanation.text import MAX_LINES, MAX_TEXT_BYTES, line_diff
from model_gate.explanation.trees import field_changes, find_changes, summarize_fields
from model_gate.explanation.yaml_tree import parse_yaml

_PARSERS = {".json": ("JSON", parse_json), ".yaml": ("YAML", parse_yaml), ".yml": ("YAML", parse_yaml)}


def matches(pair: ContentPair) -> bool:
    """Return whether the path has the suffix of a JSON or YAML file."""
    return PurePosixPath(pair.path).suffix.lower() in _PARSERS


def explain(pair: ContentPair) -> Explanation | None:
    """Return an explanation with the paths whose values changed, or None if one of the files is binary."""
    kind, parse = _PARSERS[PurePosixPath(pair.path).suffix.lower()]
    left, right = (read_text(content, MAX_TEXT_BYTES) for content in (pair.left, pair.right))
    if left is None or right is None:
        return None
    changes = list(find_changes(parse(left), parse(right)))
    if not changes:
        lines = line_diff(left, right) or ()
        is_cut = len(lines) > MAX_LINES
        return Explanation(
            kind, "only its layout or the order of its keys differs", lines=lines[:MAX_LINES], is_cut=is_cut
        )
    fields = field_changes(changes)
    summary = summarize_fields(fields, len(changes), "change")
    return Explanation(kind, summary, fields, is_cut=len(changes) > len(fields))

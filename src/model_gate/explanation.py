"""What a difference in content consists of, for `MLmodel` and other text. Never decides whether files are equal."""

from __future__ import annotations

import difflib
from itertools import islice
from pathlib import Path, PurePosixPath

import yaml

from model_gate import strict_yaml
from model_gate.difference import Explanation, FieldChange
from model_gate.identity import IDENTITY_FIELDS
from model_gate.model import MLMODEL

# What is read to be explained; a longer file is data, not something to read.
MAX_TEXT_BYTES = 1024 * 1024
_TEXT_SUFFIXES = frozenset(
    {".txt", ".yaml", ".yml", ".json", ".py", ".toml", ".cfg", ".ini", ".md", ".csv", ".sql", ".r", ".sh", ".xml"}
)
_MAX_LINES = 20
_MAX_LINE = 200
_MAX_FIELDS = 40
# difflib is quadratic: beyond this, lines are not worth the wait.
_MAX_DIFF_LINES = 5_000


def is_explainable(path: str, size: int) -> bool:
    """Whether a file of that name and size is text that `explain` would read."""
    is_text = path == MLMODEL or PurePosixPath(path).suffix.lower() in _TEXT_SUFFIXES
    return is_text and size <= MAX_TEXT_BYTES


def explain(path: str, left: Path, right: Path) -> Explanation | None:
    """What differs between two files at the same path; None for what is not text.

    Raises:
        OSError: A file cannot be read.
    """
    left_text, right_text = _text(left), _text(right)
    if left_text is None or right_text is None:
        return None
    if path == MLMODEL:
        fields = _changed_fields(left_text, right_text)
        if fields is not None:
            return Explanation(fields=fields[:_MAX_FIELDS], is_cut=len(fields) > _MAX_FIELDS)
    return _line_diff(left_text, right_text)


def identity_reason(path: str, left: Path, right: Path) -> str:
    """Why two different `MLmodel` files say the same of the model, "" if they do not.

    Both must be proper YAML mappings whose fields have the same meaning, but for the identity fields.

    Raises:
        OSError: A file cannot be read.
    """
    if path != MLMODEL:
        return ""
    left_text, right_text = _text(left), _text(right)
    if left_text is None or right_text is None:
        return ""
    left_fields, right_fields = _fields(left_text), _fields(right_text)
    if left_fields is None or right_fields is None:
        return ""
    names = left_fields.keys() | right_fields.keys()
    changed = {name for name in names if _meaning(left_fields.get(name)) != _meaning(right_fields.get(name))}
    if not changed <= IDENTITY_FIELDS.keys():
        return ""
    return f"only {', '.join(sorted(changed))} differ" if changed else "only its layout differs"


def _text(file: Path) -> str | None:
    if file.stat().st_size > MAX_TEXT_BYTES:
        return None
    content = file.read_bytes()
    try:
        return None if b"\0" in content else content.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _fields(text: str) -> dict[str, yaml.Node] | None:
    """The top-level fields, or None if the text is not one plain YAML mapping."""
    try:
        node = strict_yaml.compose(text)
    except (yaml.YAMLError, ValueError):
        return None
    if not isinstance(node, yaml.MappingNode):
        return None
    return {str(key.value): value for key, value in node.value}


def _meaning(node: yaml.Node | None) -> object:
    return None if node is None else strict_yaml.meaning(node)


def _changed_fields(left_text: str, right_text: str) -> tuple[FieldChange, ...] | None:
    left_fields, right_fields = _fields(left_text), _fields(right_text)
    if left_fields is None or right_fields is None:
        return None
    changes: list[FieldChange] = []
    for name in sorted(left_fields.keys() | right_fields.keys()):
        left, right = left_fields.get(name), right_fields.get(name)
        if _meaning(left) != _meaning(right):
            changes += _changed_leaves(name, left, right)
    return tuple(changes)


def _changed_leaves(name: str, left: yaml.Node | None, right: yaml.Node | None) -> list[FieldChange]:
    left_leaves = dict(strict_yaml.leaves(left, name)) if left is not None else {}
    right_leaves = dict(strict_yaml.leaves(right, name)) if right is not None else {}
    identity = IDENTITY_FIELDS.get(name, "")
    changed = [path for path in left_leaves | right_leaves if left_leaves.get(path) != right_leaves.get(path)]
    # Only a type changed, as from 1 to "1": the leaves read alike, the field differs all the same.
    paths = sorted(changed) or [name]
    return [
        FieldChange(path, _short(left_leaves.get(path)), _short(right_leaves.get(path)), identity) for path in paths
    ]


def _short(text: str | None) -> str | None:
    return text if text is None or len(text) <= _MAX_LINE else text[:_MAX_LINE] + "…"


def _line_diff(left_text: str, right_text: str) -> Explanation:
    left, right = left_text.split("\n"), right_text.split("\n")
    if len(left) + len(right) > _MAX_DIFF_LINES:
        return Explanation(is_cut=True)
    diff = difflib.unified_diff(left, right, n=0, lineterm="")
    lines = list(islice(diff, 2, _MAX_LINES + 3))
    shown = tuple(str(_short(line)) for line in lines[:_MAX_LINES])
    return Explanation(lines=shown, is_cut=len(lines) > _MAX_LINES)

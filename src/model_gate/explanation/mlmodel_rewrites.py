"""The fields of flavors in `MLmodel` that MLflow rewrites when it saves the same model again.

A document is either a tree or the value that MLflow loads from the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from model_gate.domain.difference import RewriteCondition
from model_gate.domain.rewrites import ARTIFACT_URI, PATH_FIELDS, UNORDERED_FIELDS, UNREAD_FIELDS, UnreadField
from model_gate.explanation.trees import Leaf

_TEXT = "tag:yaml.org,2002:str"

Path = tuple[str, ...]


@dataclass(frozen=True)
class RewrittenField:
    """A field of a flavor that MLflow rewrites.

    Attributes:
        rest: What is left of the value without what MLflow rewrites. Two values differ only in a rewrite if the rests
            are equal.
        reason: Why MLflow rewrites the field.
        conditions: What must hold for other paths of both models.
    """

    rest: tuple[str, ...]
    reason: str
    conditions: tuple[RewriteCondition, ...] = ()


def rewritten_fields(document: Mapping[str, Any]) -> dict[Path, RewrittenField]:
    """Return the fields of a document that MLflow rewrites, by path."""
    flavors = document.get("flavors")
    found: dict[Path, RewrittenField] = {}
    for flavor, fields in flavors.items() if isinstance(flavors, dict) else ():
        if isinstance(flavor, str) and isinstance(fields, dict):
            found |= {("flavors", flavor, *path): field for path, field in _flavor_fields(flavor, fields)}
    return found


def without_fields(document: dict[str, Any], paths: set[Path]) -> dict[str, Any]:
    """Return a copy of a document without the values at some paths, all of which it must have."""
    result = dict(document)
    for name in {path[0] for path in paths}:
        inner = {path[1:] for path in paths if path[0] == name}
        if () in inner:
            del result[name]
        else:
            result[name] = without_fields(result[name], inner)
    return result


def as_text(value: Any) -> str | None:
    """Return a value of a tree or of a loaded document if it is text, otherwise None."""
    if isinstance(value, Leaf):
        return value.text if value.type == _TEXT else None
    return value if isinstance(value, str) else None


def _flavor_fields(flavor: str, fields: Mapping[Any, Any]) -> Iterator[tuple[Path, RewrittenField]]:
    for name, value in fields.items():
        if not isinstance(name, str):
            continue
        text = as_text(value)
        if name in PATH_FIELDS and flavor in PATH_FIELDS[name].flavors and text:
            # MLflow takes the text after the last slash for the name of the file.
            file_name = text.rpartition("/")[2]
            if file_name:
                yield (name,), RewrittenField((file_name,), PATH_FIELDS[name].reason)
        elif (flavor, name) in UNORDERED_FIELDS and isinstance(value, list):
            texts = [as_text(item) for item in value]
            present = [item for item in texts if item is not None]
            if len(present) == len(texts):
                yield (name,), RewrittenField(tuple(sorted(present)), UNORDERED_FIELDS[flavor, name].reason)
        elif (flavor, name) in UNREAD_FIELDS and text is not None:
            unread = UNREAD_FIELDS[flavor, name]
            conditions = _unread_conditions(unread, text, fields)
            if conditions is not None:
                yield (name,), RewrittenField((), unread.reason, conditions)
    if flavor == "python_function" and as_text(fields.get("loader_module")) in ARTIFACT_URI.loaders:
        yield from _artifact_uris(fields.get("artifacts"))


def _unread_conditions(
    unread: UnreadField, text: str, fields: Mapping[Any, Any]
) -> tuple[RewriteCondition, ...] | None:
    """Return what must hold so that MLflow does not read a field, None if MLflow may read it."""
    if unread.without & fields.keys() or (unread.is_local and not text.startswith("/")):
        return None
    if not unread.beside:
        return ()
    path = _plain_path(fields.get(unread.beside))
    return None if path is None else (RewriteCondition(path),)


def _artifact_uris(artifacts: Any) -> Iterator[tuple[Path, RewrittenField]]:
    for name, artifact in artifacts.items() if isinstance(artifacts, dict) else ():
        if not isinstance(name, str) or not isinstance(artifact, dict):
            continue
        path = _plain_path(artifact.get("path"))
        if path is not None and as_text(artifact.get("uri")) is not None:
            yield ("artifacts", name, "uri"), RewrittenField((), ARTIFACT_URI.reason, (RewriteCondition(path),))


def _plain_path(value: Any) -> str | None:
    """Return a value if it is a relative path inside the model, in the form in which listings have it."""
    text = as_text(value)
    return text if text and all(part not in {"", ".", ".."} for part in text.split("/")) else None

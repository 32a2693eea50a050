"""The file `MLmodel`: its changed fields, what each change means, and whether saving the same model again makes it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from model_gate.domain.difference import Explanation, FieldChange, RewriteCondition
from model_gate.domain.model import MLMODEL
from model_gate.domain.rewrites import REWRITTEN_FIELDS
from model_gate.explanation.content import Content, ContentPair, UnexplainedError, read_text
from model_gate.explanation.json_tree import parse_json
from model_gate.explanation.loaded_yaml import is_same, load_yaml
from model_gate.explanation.mlmodel_rewrites import RewrittenField, rewritten_fields, without_fields
from model_gate.explanation.text import MAX_TEXT_BYTES
from model_gate.explanation.trees import (
    MAX_FIELDS,
    Change,
    Leaf,
    Tree,
    find_changes,
    format_change,
    format_path,
    format_tree,
    shorten,
    summarize_fields,
)
from model_gate.explanation.yaml_tree import parse_yaml

# Meanings of changes, by a regular expression for the full path of the field. The first match applies.
_MEANINGS = tuple(
    (re.compile(pattern), meaning)
    for pattern, meaning in (
        (r"signature(\..*)?", "what the model takes or gives changed"),
        (r"mlflow_version", "logged by another version of MLflow"),
        (r"flavors\.python_function\.python_version", "logged with another version of Python"),
        (
            r"flavors\.python_function\.(loader_module|python_model|predict_fn|streamable).*",
            "how it is loaded or called changed",
        ),
        (r"flavors\.[^.]+\.model_code_path", "logged from a program at another path"),
        (r"flavors\.[^.]+\.(code|loader_module)", "the code that comes with it changed"),
        (r"flavors\.[^.]+\.source_model_name", "made from another base model"),
        (r"flavors\.python_function\.artifacts\..*", "the files that it reads changed"),
        (r"flavors\.[^.]+\.\w+_version", "logged with another version of the library"),
        (r"flavors\.[^.]+\.(serialization_format|pickle_module|model_format)", "saved in another format"),
        (r"flavors\.python_function\.env(\..*)?", "its environment is described elsewhere"),
        (r"flavors\.[^.]+", "it can be loaded as something else"),
        (r"saved_input_example_info(\..*)?", "its input example changed"),
        (r"is_signature_from_type_hint|type_hint_from_example", "how its signature was made"),
        (r"databricks_runtime", "logged in another Databricks runtime"),
        (r"(resources|auth_policy)(\..*|\[.*)?", "what it may use when served changed"),
        (r"env_vars(\[.*)?", "the environment variables it names changed"),
        (r"metadata(\..*)?", "its author's own notes"),
        (r"prompts(\[.*)?", "the prompts it uses"),
    )
)


def matches(pair: ContentPair) -> bool:
    """Return whether the pair is the file `MLmodel` at the root of the model."""
    return pair.path == MLMODEL and not pair.is_member


def explain(pair: ContentPair) -> Explanation | None:
    """Return an explanation with the changed fields.

    It has a rewrite reason if MLflow changes all these fields when it saves the same model again.
    """
    left_text, right_text = _read(pair.left), _read(pair.right)
    explanation = _explain_fields(_parse_fields(left_text), _parse_fields(right_text))
    if not explanation.rewrite_reason:
        return explanation
    try:
        conditions = _load_and_compare(left_text, right_text)
    except UnexplainedError as error:
        fields = tuple(replace(change, rewrite_reason="") for change in explanation.fields)
        return replace(explanation, fields=fields, rewrite_reason="", note=str(error))
    return replace(explanation, rewrite_conditions=conditions)


def _explain_fields(left: dict[str, Tree], right: dict[str, Tree]) -> Explanation:
    rewritten = _common_rewrites(left, right)
    left, right = (_with_joined_lists(tree, rewritten.keys()) for tree in (left, right))
    changes = [field for change in find_changes(left, right) for field in _field_changes(change, rewritten)]
    decisive = [change for change in changes if not change.rewrite_reason]
    fields = tuple((decisive + [change for change in changes if change.rewrite_reason])[:MAX_FIELDS])
    if not changes:
        only = "only its layout differs"
        return Explanation(MLMODEL, only, rewrite_reason=only)
    if not decisive:
        names = ", ".join(dict.fromkeys(change.field for change in changes))
        only = f"only {names} differ{'s' if len(changes) == 1 else ''}"
        return Explanation(MLMODEL, only, fields, is_cut=len(changes) > MAX_FIELDS, rewrite_reason=only)
    return Explanation(MLMODEL, _summary(decisive), fields, is_cut=len(changes) > MAX_FIELDS)


def _common_rewrites(left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[tuple[str, ...], RewrittenField]:
    """Return the fields of flavors in which two documents differ at most by a rewrite, by path."""
    others = rewritten_fields(right)
    return {path: field for path, field in rewritten_fields(left).items() if others.get(path) == field}


def _with_joined_lists(tree: Tree, paths: Collection[tuple[str, ...]]) -> Tree:
    """Return a tree in which one leaf stands for each list at the paths, so that its order is one change."""
    if isinstance(tree, list) and () in paths:
        return Leaf("list", ", ".join(leaf.text for leaf in tree))
    if not isinstance(tree, dict):
        return tree
    return {
        key: _with_joined_lists(value, inner) if inner else value
        for key, value in tree.items()
        for inner in [{path[1:] for path in paths if path and path[0] == key}]
    }


def describe(content: Content) -> str:
    """Return the run and the logged model that the file names, in a phrase."""
    fields = _parse_fields(_read(content))
    named = [(name, fields.get(name)) for name in ("run_id", "model_id")]
    ids = [f"{name} {shorten(value.text, 40)}" for name, value in named if isinstance(value, Leaf)]
    return f"an MLmodel file with {' and '.join(ids)}" if ids else "an MLmodel file"


def _read(content: Content) -> str:
    text = read_text(content, MAX_TEXT_BYTES)
    if text is None:
        raise UnexplainedError("it is not UTF-8 text")
    return text


def _parse_fields(text: str) -> dict[str, Tree]:
    tree = parse_yaml(text)
    if not isinstance(tree, dict):
        raise UnexplainedError("it is not a mapping of fields")
    return tree


def _load_fields(text: str) -> dict[str, Any]:
    """Return the fields of an `MLmodel` text with the values that MLflow loads.

    No field may be called `self`, because MLflow passes the fields as arguments to a method.

    Raises:
        UnexplainedError: MLflow could not load the text.
    """
    fields = load_yaml(text)
    if not isinstance(fields, dict) or not all(isinstance(name, str) for name in fields) or "self" in fields:
        raise UnexplainedError("MLflow cannot load it: it is not a mapping of fields")
    return fields


def _load_and_compare(left_text: str, right_text: str) -> tuple[RewriteCondition, ...]:
    """Load two `MLmodel` texts as MLflow does and require that the fields differ only in rewrites.

    Returns:
        What must hold for other paths of the models.

    Raises:
        UnexplainedError: MLflow cannot load a text, or loads another model from it.
    """
    left, right = _load_fields(left_text), _load_fields(right_text)
    for fields in (left, right):
        for name, rewrite in REWRITTEN_FIELDS.items():
            if name in fields and type(fields[name]) not in rewrite.types:
                raise UnexplainedError(f"MLflow does not write such a {name}")
    rewritten = _common_rewrites(left, right)
    rests = [
        {name: value for name, value in without_fields(fields, set(rewritten)).items() if name not in REWRITTEN_FIELDS}
        for fields in (left, right)
    ]
    if not is_same(*rests):
        raise UnexplainedError("MLflow loads other values from the two files")
    return tuple(dict.fromkeys(condition for field in rewritten.values() for condition in field.conditions))


def _field_changes(change: Change, rewritten: Mapping[tuple[str, ...], RewrittenField]) -> Iterator[FieldChange]:
    path = format_path(change.path)
    is_schema = change.path in {("signature", "inputs"), ("signature", "outputs")}
    columns = _column_changes(change) if is_schema else None
    if columns:
        yield from columns
        return
    left, right = format_tree(change.left), format_tree(change.right)
    yield FieldChange(path, left, right, _rewrite_reason(change, rewritten), _meaning(path))


def _rewrite_reason(change: Change, rewritten: Mapping[tuple[str, ...], RewrittenField]) -> str:
    """Return why saving the same model again makes this change, or "" if the change may concern the model."""
    match change.path:
        case (str(field),) if field in REWRITTEN_FIELDS and all(
            value is None or isinstance(value, Leaf) for value in (change.left, change.right)
        ):
            return REWRITTEN_FIELDS[field].reason
    path = tuple(str(part) for part in change.path)
    return rewritten[path].reason if path in rewritten else ""


def _meaning(path: str) -> str:
    return next((meaning for pattern, meaning in _MEANINGS if pattern.fullmatch(path)), "")


def _summary(decisive: Sequence[FieldChange]) -> str:
    parts = []
    signature = [change for change in decisive if change.field.startswith("signature")]
    if signature:
        first = signature[0]
        detail = (
            f" ({first.field.removeprefix('signature.')} {format_change(first)})" if first.field.count(".") > 1 else ""
        )
        parts.append(f"signature changed{detail}")
    others = [change for change in decisive if change not in signature]
    if others:
        short = [FieldChange(change.field.rpartition(".")[2], change.left, change.right) for change in others]
        parts.append(summarize_fields(short, len(others), "field"))
    return ", ".join(parts)


def _column_changes(change: Change) -> list[FieldChange] | None:
    """Return the columns that changed, or None if one of the signatures is not a list of named columns."""
    if not (isinstance(change.left, Leaf) and isinstance(change.right, Leaf)):
        return None
    try:
        left, right = (_types_by_column(parse_json(leaf.text)) for leaf in (change.left, change.right))
    except UnexplainedError:
        return None
    path = format_path(change.path)
    names = [*left, *(name for name in right if name not in left)]
    changes = [
        FieldChange(f"{path}.{name}", left.get(name), right.get(name), meaning=_meaning("signature"))
        for name in names
        if left.get(name) != right.get(name)
    ]
    if not changes and list(left) != list(right):
        changes = [FieldChange(path, ", ".join(left), ", ".join(right), meaning="the order of its columns changed")]
    return changes


def _types_by_column(tree: Tree) -> Mapping[str, str]:
    if not isinstance(tree, list):
        raise UnexplainedError("it is not a list of columns")
    result: dict[str, str] = {}
    for column in tree:
        name = column.get("name") if isinstance(column, dict) else None
        kind = column.get("type") if isinstance(column, dict) else None
        if not isinstance(name, Leaf) or not isinstance(kind, Leaf) or name.text in result:
            raise UnexplainedError("its columns have no names and types")
        # Other properties (required, the shape of a tensor) are shown too, since they may be all that changed.
        rest = {key: value for key, value in column.items() if key not in {"name", "type"}}
        is_plain = rest in ({}, {"required": Leaf("constant", "true")})
        result[name.text] = kind.text if is_plain else f"{kind.text} {_format_compact(rest)}"
    return result


def _format_compact(tree: Tree) -> str:
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{key}: {_format_compact(value)}" for key, value in tree.items()) + "}"
    if isinstance(tree, list):
        return "[" + ", ".join(map(_format_compact, tree)) + "]"
    return tree.text if isinstance(tree, Leaf) else ""

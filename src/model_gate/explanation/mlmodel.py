"""The file `MLmodel`: its changed fields, what each change means, and whether saving the same model again makes it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from model_gate.domain.difference import Explanation, FieldChange
from model_gate.domain.model import MLMODEL
from model_gate.domain.rewrites import PATH_FIELDS, REWRITTEN_FIELDS
from model_gate.explanation.content import Content, ContentPair, UnexplainedError, read_text
from model_gate.explanation.json_tree import parse_json
from model_gate.explanation.loaded_yaml import is_same, load_yaml
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
        difference = _loaded_difference(_load_fields(left_text), _load_fields(right_text))
    except UnexplainedError as error:
        difference = str(error)
    if not difference:
        return explanation
    fields = tuple(replace(change, rewrite_reason="") for change in explanation.fields)
    return replace(explanation, fields=fields, rewrite_reason="", note=difference)


def _explain_fields(left: dict[str, Tree], right: dict[str, Tree]) -> Explanation:
    changes = [field for change in find_changes(left, right) for field in _field_changes(change)]
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


def _loaded_difference(left: dict[str, Any], right: dict[str, Any]) -> str:
    """Return why MLflow would load different models from two files, "" if the loaded fields differ only in rewrites."""
    for fields in (left, right):
        for name, rewrite in REWRITTEN_FIELDS.items():
            if name in fields and type(fields[name]) not in rewrite.types:
                return f"MLflow does not write such a {name}"
    left, right = _without_rewrites(left), _without_rewrites(right)
    return "" if is_same(left, right) else "MLflow loads other values from the two files"


def _without_rewrites(fields: dict[str, Any]) -> dict[str, Any]:
    """Return loaded fields without those that MLflow rewrites.

    Of a path that MLflow rewrites, only the file name is left.
    """
    result = {name: value for name, value in fields.items() if name not in REWRITTEN_FIELDS}
    if isinstance(flavors := result.get("flavors"), dict):
        result["flavors"] = {flavor: _with_file_names(flavor, values) for flavor, values in flavors.items()}
    return result


def _with_file_names(flavor: Any, fields: Any) -> Any:
    if not isinstance(fields, dict):
        return fields
    return {
        name: (value.rpartition("/")[2] or value)
        if isinstance(value, str) and name in PATH_FIELDS and flavor in PATH_FIELDS[name].flavors
        else value
        for name, value in fields.items()
    }


def _field_changes(change: Change) -> Iterator[FieldChange]:
    path = format_path(change.path)
    is_schema = change.path in {("signature", "inputs"), ("signature", "outputs")}
    columns = _column_changes(change) if is_schema else None
    if columns:
        yield from columns
        return
    yield FieldChange(
        path, format_tree(change.left), format_tree(change.right), _rewrite_reason(change), _meaning(path)
    )


def _rewrite_reason(change: Change) -> str:
    """Return why saving the same model again makes this change, or "" if the change may concern the model."""
    match change.path:
        case (str(field),) if field in REWRITTEN_FIELDS and all(
            value is None or isinstance(value, Leaf) for value in (change.left, change.right)
        ):
            return REWRITTEN_FIELDS[field].reason
        case ("flavors", str(flavor), str(field)) if (
            field in PATH_FIELDS
            and flavor in PATH_FIELDS[field].flavors
            and _is_same_file_name(change.left, change.right)
        ):
            return PATH_FIELDS[field].reason
    return ""


def _is_same_file_name(left: Tree, right: Tree) -> bool:
    """Return whether two paths have the same text after the last slash, which is how MLflow finds the file name."""
    if not (isinstance(left, Leaf) and isinstance(right, Leaf) and left.type == right.type):
        return False
    names = [leaf.text.rpartition("/")[2] for leaf in (left, right)]
    return bool(names[0]) and names[0] == names[1]


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

"""The file `MLmodel`: its fields, what a change of each means, and whether only identity fields changed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from model_gate.domain.difference import Explanation, FieldChange
from model_gate.domain.model import MLMODEL
from model_gate.domain.rewrites import PATH_FIELDS, REWRITTEN_FIELDS
from model_gate.explanation.content import ContentPair, UnexplainedError, text_of
from model_gate.explanation.json_tree import parse_json
from model_gate.explanation.text import MAX_TEXT_BYTES
from model_gate.explanation.trees import (
    MAX_FIELDS,
    Change,
    Leaf,
    Tree,
    changes,
    shown_change,
    shown_place,
    shown_tree,
    summary_of,
)
from model_gate.explanation.yaml_tree import parse_yaml

# What a change of a field means, by a pattern for its whole path; the first that fits.
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
    """The one at the root of the model."""
    return pair.path == MLMODEL and not pair.is_member


def explain(pair: ContentPair) -> Explanation | None:
    """The fields that changed; `identity` says so if only identity fields did."""
    left, right = (_fields(content_text) for content_text in _texts(pair))
    found = [each for change in changes(left, right) for each in _explained(change)]
    decisive = [each for each in found if not each.rewrite_reason]
    fields = tuple((decisive + [each for each in found if each.rewrite_reason])[:MAX_FIELDS])
    if not found:
        only = "only its layout differs"
        return Explanation(MLMODEL, only, rewrite_reason=only)
    if not decisive:
        names = ", ".join(dict.fromkeys(each.field for each in found))
        only = f"only {names} differ{'s' if len(found) == 1 else ''}"
        return Explanation(MLMODEL, only, fields, is_cut=len(found) > MAX_FIELDS, rewrite_reason=only)
    return Explanation(MLMODEL, _summary(decisive), fields, is_cut=len(found) > MAX_FIELDS)


def _texts(pair: ContentPair) -> Iterator[str]:
    for content in (pair.left, pair.right):
        text = text_of(content, MAX_TEXT_BYTES)
        if text is None:
            raise UnexplainedError("it is not UTF-8 text")
        yield text


def _fields(text: str) -> dict[str, Tree]:
    tree = parse_yaml(text)
    if not isinstance(tree, dict):
        raise UnexplainedError("it is not a mapping of fields")
    return tree


def _explained(change: Change) -> Iterator[FieldChange]:
    place = shown_place(change.path)
    columns = _columns(change) if change.path in {("signature", "inputs"), ("signature", "outputs")} else None
    if columns:
        yield from columns
        return
    yield FieldChange(
        place, shown_tree(change.left), shown_tree(change.right), _rewrite_reason(change), _meaning(place)
    )


def _rewrite_reason(change: Change) -> str:
    """Why the change says nothing about the model: the field is known for that, and holds no more than a value."""
    match change.path:
        case (str(field),) if field in REWRITTEN_FIELDS and all(
            value is None or isinstance(value, Leaf) for value in (change.left, change.right)
        ):
            return REWRITTEN_FIELDS[field].reason
        case ("flavors", _, str(field)) if field in PATH_FIELDS and _is_same_file(change.left, change.right):
            return PATH_FIELDS[field].reason
    return ""


def _is_same_file(left: Tree, right: Tree) -> bool:
    """Whether two paths end in the same name: as MLflow takes it, so after the last slash."""
    if not (isinstance(left, Leaf) and isinstance(right, Leaf) and left.type == right.type):
        return False
    names = [leaf.text.rpartition("/")[2] for leaf in (left, right)]
    return bool(names[0]) and names[0] == names[1]


def _meaning(place: str) -> str:
    return next((meaning for pattern, meaning in _MEANINGS if pattern.fullmatch(place)), "")


def _summary(decisive: Sequence[FieldChange]) -> str:
    parts = []
    signature = [each for each in decisive if each.field.startswith("signature")]
    if signature:
        first = signature[0]
        detail = (
            f" ({first.field.removeprefix('signature.')} {shown_change(first)})" if first.field.count(".") > 1 else ""
        )
        parts.append(f"signature changed{detail}")
    others = [each for each in decisive if each not in signature]
    if others:
        shown = [FieldChange(each.field.rpartition(".")[2], each.left, each.right) for each in others]
        parts.append(summary_of(shown, len(others), "field"))
    return ", ".join(parts)


def _columns(change: Change) -> list[FieldChange] | None:
    """The columns that changed, of two signatures that are lists of columns with names."""
    if not (isinstance(change.left, Leaf) and isinstance(change.right, Leaf)):
        return None
    try:
        left, right = (_by_name(parse_json(leaf.text)) for leaf in (change.left, change.right))
    except UnexplainedError:
        return None
    place = shown_place(change.path)
    names = [*left, *(name for name in right if name not in left)]
    found = [
        FieldChange(f"{place}.{name}", left.get(name), right.get(name), meaning=_meaning("signature"))
        for name in names
        if left.get(name) != right.get(name)
    ]
    if not found and list(left) != list(right):
        found = [FieldChange(place, ", ".join(left), ", ".join(right), meaning="the order of its columns changed")]
    return found


def _by_name(tree: Tree) -> Mapping[str, str]:
    if not isinstance(tree, list):
        raise UnexplainedError("it is not a list of columns")
    result: dict[str, str] = {}
    for column in tree:
        name = column.get("name") if isinstance(column, dict) else None
        kind = column.get("type") if isinstance(column, dict) else None
        if not isinstance(name, Leaf) or not isinstance(kind, Leaf) or name.text in result:
            raise UnexplainedError("its columns have no names and types")
        # What is beside the type (required, a tensor's shape) must not be lost where it is all that changed.
        rest = {key: value for key, value in column.items() if key not in {"name", "type"}}
        is_plain = rest in ({}, {"required": Leaf("constant", "true")})
        result[name.text] = kind.text if is_plain else f"{kind.text} {_compact(rest)}"
    return result


def _compact(tree: Tree) -> str:
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{key}: {_compact(value)}" for key, value in tree.items()) + "}"
    if isinstance(tree, list):
        return "[" + ", ".join(map(_compact, tree)) + "]"
    return tree.text if isinstance(tree, Leaf) else ""

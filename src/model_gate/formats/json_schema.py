"""Loads and applies the JSON Schemas in `model_gate/schemas`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class Violation:
    """A value that breaks a schema.

    Attributes:
        path: The path of the value.
        message: What is wrong with it.
        missing: The key that it lacks; "" if it breaks the schema in another way.
    """

    path: tuple[str, ...]
    message: str
    missing: str = ""


@cache
def load_schema(name: str) -> dict[str, Any]:
    """Return the schema in the file `name` of `model_gate/schemas`."""
    schema: dict[str, Any] = json.loads((files("model_gate") / "schemas" / name).read_text("utf-8"))
    return schema


@cache
def bundled_schema(name: str, *others: str) -> dict[str, Any]:
    """Return the schema in the file `name` together with other schemas that it refers to by their `$id`."""
    schema = load_schema(name)
    return schema | {"$defs": schema.get("$defs", {}) | {other: load_schema(other) for other in others}}


@cache
def load_definition(name: str, definition: str) -> dict[str, Any]:
    """Return the schema of one definition in the file `name`, which can refer to the others."""
    return {"$ref": f"#/$defs/{definition}", "$defs": load_schema(name)["$defs"]}


def first_violation(data: object, schema: dict[str, Any]) -> Violation | None:
    """Return the violation that best explains why data breaks a schema; None if the data is valid.

    >>> first_violation({"a": 1}, {"properties": {"a": {"type": "string"}}})
    Violation(path=('a',), message='it is of a wrong kind', missing='')
    """
    # Importing jsonschema is slow, so errors that are found without it appear faster.
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(schema).iter_errors(data))
    if error is None:
        return None
    path = tuple(str(part) for part in error.absolute_path)
    return Violation(path, _sentence(error.validator, error), _missing_key(error))


_KINDS = {bool: "true or false", dict: "a mapping", list: "a list", str: "text"}


def _sentence(validator: str, error: Any) -> str:
    if validator == "enum":
        return f"{error.instance!r} is not one of {', '.join(map(str, error.validator_value))}"
    if validator == "type":
        # The message does not repeat the value, which may be long or a secret.
        return (
            "it has no value"
            if error.instance is None
            else f"it is {_KINDS.get(type(error.instance), 'of a wrong kind')}"
        )
    if validator in {"minLength", "minProperties"}:
        return "it is empty"
    if validator == "maxLength":
        return f"it is longer than {error.validator_value:,} characters"
    if validator == "required":
        return f"the key {_missing_key(error)!r} is missing"
    return str(error.message)


def _missing_key(error: Any) -> str:
    """Return the first required key that a value lacks, "" if the error is of another kind."""
    if error.validator != "required":
        return ""
    return next(str(key) for key in error.validator_value if key not in error.instance)

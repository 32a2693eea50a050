"""JSON parsing without silent loss: a duplicate key is an error, and 1, 1.0 and true stay distinct."""

from __future__ import annotations

import json
from typing import Any

from model_gate.explanation.content import UnexplainedError
from model_gate.explanation.trees import Leaf, Tree


def parse_json(text: str | bytes) -> Tree:
    """Parse a JSON document.

    Raises:
        UnexplainedError: The text is not JSON, has a duplicate key or is nested too deeply.
    """
    try:
        return _tree(
            json.loads(
                text,
                object_pairs_hook=_mapping,
                parse_int=lambda digits: Leaf("number", digits),
                parse_float=lambda digits: Leaf("number", digits),
                parse_constant=lambda name: Leaf("number", name),
            )
        )
    except RecursionError as error:
        raise UnexplainedError("it is nested too deeply") from error
    except ValueError as error:
        raise UnexplainedError(f"it is not JSON: {error}") from error


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Tree]:
    result = {key: _tree(value) for key, value in pairs}
    if len(result) < len(pairs):
        raise UnexplainedError("it has a key twice")
    return result


def _tree(value: Any) -> Tree:
    if isinstance(value, dict | Leaf):
        return value
    if isinstance(value, list):
        return [_tree(item) for item in value]
    if isinstance(value, str):
        return Leaf("text", value)
    return Leaf("constant", {True: "true", False: "false", None: "null"}[value])

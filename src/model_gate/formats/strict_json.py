"""Parses JSON of others strictly, so that no two programs read two values in one text.

>>> parse_json(b'{"a": 1, "a": 2}', max_bytes=100, max_commas=10)
Traceback (most recent call last):
model_gate.formats.strict_json.JsonError: the key 'a' appears twice
"""

from __future__ import annotations

import json
import math
from typing import Any

# Levels of objects and lists. A deeper value could be parsed, but a later step would fail to write or to compare it.
_MAX_NESTING = 100
_NESTED = (dict, list)


class JsonError(ValueError):
    """A text is not JSON in UTF-8, has a key twice, or exceeds a limit. The message is a clause, such as `it is …`."""


def parse_json(content: bytes, *, max_bytes: int, max_commas: int) -> Any:
    """Return the value of a JSON text in UTF-8, in which no key appears twice and every number is finite.

    Args:
        content: The text.
        max_bytes: Limit for the size of the text.
        max_commas: Limit for the number of commas. The parsed form of `[],` takes 20 times the memory of its text.

    Raises:
        JsonError: The text is not such JSON, has more than 100 levels or exceeds a limit.
    """
    if len(content) > max_bytes:
        raise JsonError(f"it has {len(content):,} bytes, more than the limit of {max_bytes:,}")
    if content.count(b",") > max_commas:
        raise JsonError("it has too many values")
    try:
        value = json.loads(
            content.decode("utf-8"),
            object_pairs_hook=_unique_keys,
            parse_float=_finite,
            parse_constant=_reject_constant,
        )
    except JsonError:
        raise
    except UnicodeDecodeError as error:
        raise JsonError("it is not UTF-8") from error
    except RecursionError as error:
        raise JsonError("it is nested too deeply") from error
    except json.JSONDecodeError as error:
        raise JsonError(f"it is not JSON: {error.msg}, line {error.lineno}") from error
    except ValueError as error:
        raise JsonError("it has a number that is too large") from error
    _require_flat(value)
    return value


def _require_flat(value: Any) -> None:
    level = [value]
    for _ in range(_MAX_NESTING):
        containers = (item.values() if isinstance(item, dict) else item for item in level if isinstance(item, _NESTED))
        level = [item for items in containers for item in items if isinstance(item, _NESTED)]
        if not level:
            return
    raise JsonError("it is nested too deeply")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise JsonError(f"the key {key[:200]!r} appears twice")
            seen.add(key)
    return data


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise JsonError("it has a number that is too large")
    return number


def _reject_constant(name: str) -> None:
    raise JsonError(f"{name} is not JSON")

"""Writes UBJSON as XGBoost does: lengths of 8 bytes, and arrays of 32-bit floats, which are given as bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def ubjson(value: Any) -> bytes:
    """Return a value of mappings, lists, texts and integers as UBJSON."""
    if isinstance(value, Mapping):
        return b"{" + b"".join(_text(key) + ubjson(item) for key, item in value.items()) + b"}"
    if isinstance(value, bytes):
        return b"[$d#L" + (len(value) // 4).to_bytes(8, "big") + value
    if isinstance(value, str):
        return b"S" + _text(value)
    if isinstance(value, Sequence):
        return b"[#L" + len(value).to_bytes(8, "big") + b"".join(map(ubjson, value))
    return b"L" + int(value).to_bytes(8, "big", signed=True)


def _text(text: str) -> bytes:
    return b"L" + len(text.encode()).to_bytes(8, "big") + text.encode()

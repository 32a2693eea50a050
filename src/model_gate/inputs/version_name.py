"""Checks the name of a version before the first request to a server, and explains names that MLflow uses elsewhere.

>>> checked_version_name("@champion", "Wine")
'@champion'
"""

from __future__ import annotations

import re

from model_gate.domain.wording import printable
from model_gate.errors import InputError

# MLflow reserves these names: they cannot be aliases.
_PREFIXED_NUMBER = re.compile(r"(?i)(?:version[ _-]?|v|#)0*(\d+)")
_DECIMAL = re.compile(r"0*(\d+)\.(\d+)")
_MODEL_URI = re.compile(r"models:/+(.+)")


def checked_version_name(text: str, model: str, option: str = "") -> str:
    """Return the name of a version without blanks at its ends.

    Args:
        text: A number, a stage, an alias or `latest`, as the user wrote it.
        model: The registered model's name.
        option: The option that has the text, for the remedy; "" for a compare file, whose errors name the key.

    Raises:
        InputError: The text cannot name a version on any server. The remedy shows what to write instead.
    """
    name, write = text.strip(), f"Write {option}".strip()
    if number := _PREFIXED_NUMBER.fullmatch(name):
        raise InputError(f"{name!r} is not the number of a version.", f"{write} {number[1]}.")
    if decimal := _DECIMAL.fullmatch(name):
        hint = f"{write} {decimal[1]}: " if not decimal[2].strip("0") else ""
        reason = f"{hint}MLflow numbers versions 1, 2, 3 and so on."
        raise InputError(f"{name!r} is not the number of a version.", reason)
    if uri := _MODEL_URI.fullmatch(name):
        remedy = f"{write} {_uri_remedy(uri[1], model)}"
        raise InputError(f"{printable(name)!r} is the URI of a version, not its number.", remedy)
    return name


def _uri_remedy(path: str, model: str) -> str:
    """Return what to write instead of a URI, as the end of a sentence."""
    named, separator, version = path.strip("/").rpartition("/")
    if not separator:
        named, separator, alias = path.rpartition("@")
        version = f"@{alias}"
    if not named:
        return "a number, a stage, an alias such as @champion, or latest."
    other = "" if named == model else f", and name the model {named!r}"
    return f"{printable(version)}{other}."

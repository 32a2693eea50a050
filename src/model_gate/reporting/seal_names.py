"""Names of a seal for people: its file, who signed it, and what it says about itself.

A seal can say anything, so its own words are in quotes, which they cannot end. The names are not redacted.
"""

from __future__ import annotations

from datetime import datetime

from model_gate.domain.seal import Seal, SealFacts
from model_gate.domain.wording import printable

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def seal_title(seal: Seal) -> str:
    """Return a seal in one phrase, as in `unsigned seal s.json of 'Wine' version '12' (2026-01-31T18:00:00+00:00)`."""
    # Nothing in the label comes from the seal.
    label = f"signed seal {seal.file}, signer {seal.signer}," if seal.signer else f"unsigned seal {seal.file}"
    return f"{label} of {_origin(seal)}"


def seal_parts(seal: Seal) -> list[str]:
    """Return a seal in short parts, each for a line of its own."""
    facts = seal.facts
    name = _quoted(seal.model_name) if facts is None or facts.registered_model else _quoted(facts.uri)
    version = f" version {_quoted(facts.model_version)}" if facts is not None and facts.model_version else ""
    signed = f"signed, signer {seal.signer}" if seal.signer else "unsigned"
    return [seal.file, signed, f"{name}{version}", *([] if facts is None else [_time_of(facts)])]


def _origin(seal: Seal) -> str:
    facts = seal.facts
    if facts is None:
        return _quoted(seal.statement.name)
    if not facts.registered_model:
        return f"{_quoted(facts.uri)} ({facts.sealed_at})"
    return f"{_quoted(facts.registered_model)} version {_quoted(facts.model_version)} ({facts.sealed_at})"


def _time_of(facts: SealFacts) -> str:
    """Return the time of a seal to the minute, as in `sealed 31 Jan 2026 18:00 UTC`."""
    try:
        time = datetime.fromisoformat(facts.sealed_at)
    except ValueError:
        return f"sealed {_quoted(facts.sealed_at)}"
    return f"sealed {time.day} {_MONTHS[time.month - 1]} {time:%Y %H:%M} UTC"


def _quoted(text: str) -> str:
    r"""Return a string of the seal in quotes, which the string cannot end.

    >>> print(_quoted("a' b"))
    'a\' b'
    """
    escaped = text.replace("\\", r"\\").replace("'", r"\'")
    return f"'{printable(escaped)}'"

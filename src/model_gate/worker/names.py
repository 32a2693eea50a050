"""Names of stages, checks of the names in responses, and similar names of registered models for error messages."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from model_gate.domain.wording import plural, printable, truncate
from model_gate.errors import UnreachableError
from model_gate.formats.glob import Glob

STAGES = ("Staging", "Production", "Archived")
# MLflow stores version numbers as 32-bit integers, and a database rejects a query for a larger number.
MAX_VERSION = 2**31 - 1
DID_YOU_MEAN = "Did you mean"
# Names are similar from this ratio of difflib on, or if one of at least so many characters is a part of the other.
MIN_LIKENESS = 0.6
_MIN_PART = 3
_MAX_SIMILAR = 5
# Names of registered models whose similarity is measured. A registry can have more.
_MAX_MEASURED = 1_000


def listed_number(version: object) -> int:
    """Return a version number in a listing as a number. MLflow passes the text of the server on.

    >>> listed_number("7")
    7

    Raises:
        UnreachableError: The text is not a version number.
    """
    text = str(version)
    # `isdigit` is true for "²" too, which is not a number.
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_VERSION))):
        raise UnreachableError(
            f"The registry lists the version {truncate(printable(text), 40)!r}, which is not a number.",
            "Check the address: it is perhaps not that of an MLflow server.",
        )
    return int(text)


def require_requested(kind: str, requested: str, answered: object) -> None:
    """Require that a server answers with the entity that was requested. A registry can write a name in another case.

    >>> require_requested("registered model", "Wine", "wine")

    Args:
        kind: What was requested, for the error message.
        requested: The name or the ID in the request.
        answered: The name or the ID in the response.

    Raises:
        UnreachableError: It is another entity.
    """
    if str(answered).casefold() != requested.casefold():
        other = truncate(printable(str(answered)), 80)
        raise UnreachableError(
            f"The tracking server answers the request for the {kind} {truncate(printable(requested), 80)!r} with"
            f" {other!r}.",
            f"If it is the same one, write {other!r}. If not, check the address of the server, and the proxies in front"
            " of it.",
        )


def similar_models(name: str, names: Sequence[str]) -> str:
    """Return a remedy that lists the registered models whose names are similar to `name`, the most similar first.

    >>> similar_models("Wien", ["Wine", "Churn"])
    "Did you mean 'Wine'?"
    """
    similar = _similar(name, names)
    if not similar:
        return _none_similar(names)
    others = f" Other similar names: {', '.join(similar[1:_MAX_SIMILAR])}." if similar[1:] else ""
    return f"{DID_YOU_MEAN} {similar[0]}?{others}"


def models_similar_to_glob(glob: str, names: Sequence[str]) -> str:
    """Return a remedy that lists the registered models whose names are similar to a glob that matches none.

    >>> models_similar_to_glob("prod.mll.*", ["prod.ml.wine", "sandbox"])
    "Correct the glob. Similar names: 'prod.ml.wine'."
    """
    # Only the beginning of a name can be similar to the text before the first wildcard.
    prefix = Glob(glob).prefix
    similar = _similar(prefix or glob, names, len(prefix) or None)
    if not similar:
        return _none_similar(names)
    return f"Correct the glob. Similar names: {', '.join(similar[:_MAX_SIMILAR])}."


def _similar(name: str, names: Sequence[str], length: int | None = None) -> list[str]:
    """Return the similar names in quotes, the most similar first. Only `length` characters of each name count."""
    wanted = name.casefold()
    measured = names[:_MAX_MEASURED]
    likeness = {other: difflib.SequenceMatcher(None, other.casefold()[:length], wanted).ratio() for other in measured}
    return [
        repr(other)
        for other in sorted(measured, key=lambda other: -likeness[other])
        if likeness[other] >= MIN_LIKENESS or (len(wanted) >= _MIN_PART and wanted in other.casefold())
    ]


def _none_similar(names: Sequence[str]) -> str:
    if not names:
        return "This server has no registered models, or none that this login may see."
    some = ", ".join(map(repr, names[:_MAX_SIMILAR]))
    return f"No name is similar. This server has {plural(len(names), 'registered model')}, such as {some}."

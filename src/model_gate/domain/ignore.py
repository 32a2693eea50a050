"""Paths that a compare file asks to leave out of the verdict: globs, relative to the MLflow model's root."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from model_gate.domain.model import MLMODEL
from model_gate.errors import InputError

# `**/` any directories or none, `**` anything, `*` and `?` within one part of a path.
_PARTS = re.compile(r"\*\*/|\*\*|\*|\?|\[!?\]?[^\]]*\]|.", re.DOTALL)
_WILDCARDS = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


@dataclass(frozen=True)
class Ignore:
    """Globs for paths that do not decide. They are fetched, compared and reported all the same."""

    patterns: tuple[str, ...] = ()

    def pattern_for(self, *paths: str | None) -> str:
        """The first glob that one of the paths fits, "" if there is none."""
        for pattern in self.patterns:
            if any(path is not None and _expression(pattern).fullmatch(path) for path in paths):
                return pattern
        return ""


NOTHING = Ignore()


def checked_ignore(patterns: Iterable[str]) -> Ignore:
    """The globs, if they may be ignored.

    Raises:
        InputError: One is no relative path, or would ignore MLmodel.
    """
    ignore = Ignore(tuple(dict.fromkeys(patterns)))
    for pattern in ignore.patterns:
        parts = pattern.split("/")
        if not pattern or pattern.startswith("/") or pattern.endswith("/") or {"", ".", ".."} & set(parts):
            raise InputError(
                f"The pattern {pattern!r} is not a path inside the MLflow model.",
                "Give a glob relative to the model's root: README.md, notes/**, **/*.log.",
            )
        if _expression(pattern).fullmatch(MLMODEL):
            raise InputError(
                f"The pattern {pattern!r} would ignore {MLMODEL}, which says what the model is.",
                "Name the files to ignore. What MLflow rewrites in MLmodel is allowed by `require: equivalent`.",
            )
    return ignore


def _expression(pattern: str) -> re.Pattern[str]:
    parts = []
    for part in _PARTS.findall(pattern):
        if part in _WILDCARDS:
            parts.append(_WILDCARDS[part])
        elif part.startswith("[") and len(part) > 2:
            inside = part[1:-1].replace("\\", "\\\\").replace("[", "\\[")
            parts.append(f"(?!/)[{'^' + inside[1:] if inside.startswith('!') else inside.replace('^', chr(92) + '^')}]")
        else:
            parts.append(re.escape(part))
    return re.compile("".join(parts), re.DOTALL)

"""Globs for paths that do not affect the verdict. A glob is relative to the MLflow model's root.

This module matches the globs itself, because the available libraries have other rules: `wcmatch` treats backslashes
and `**` within a name differently, and `pathspec` matches a glob at every depth.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

from model_gate.domain.model import MLMODEL
from model_gate.errors import InputError

# `**/` matches any number of directories, `**` any text, `*` any text without a slash, `?` any character but a slash.
_PARTS = re.compile(r"\*\*/|\*\*|\*|\?|\[!?\]?[^\]]*\]|.", re.DOTALL)
_WILDCARDS = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


@dataclass(frozen=True)
class Ignore:
    """Globs for paths that do not affect the verdict. The files at these paths are still compared and reported.

    >>> Ignore(("*.md", "notes/**")).pattern_for("notes/2024/plan.txt")
    'notes/**'
    """

    patterns: tuple[str, ...] = ()

    def pattern_for(self, *paths: str | None) -> str:
        """Return the first glob that matches one of the paths, "" if none does."""
        for pattern, matches in self._matchers:
            for path in paths:
                if path is not None and matches(path):
                    return pattern
        return ""

    @cached_property
    def _matchers(self) -> tuple[tuple[str, Callable[[str], object]], ...]:
        """Each glob with its compiled matching function. Compiling once matters, since a model can have many files."""
        return tuple((pattern, _expression(pattern).fullmatch) for pattern in self.patterns)


NOTHING = Ignore()


def checked_ignore(patterns: Iterable[str]) -> Ignore:
    """Validate globs, and return them as an `Ignore` without duplicates.

    Raises:
        InputError: A glob is not a relative path, or matches MLmodel.
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

"""Globs for paths that do not affect the verdict. A glob is relative to the MLflow model's root.

This module matches the globs itself, because the available libraries have other rules: `wcmatch` treats backslashes
and `**` within a name differently, and `pathspec` matches a glob at every depth.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property

from model_gate.domain.model import MLMODEL
from model_gate.errors import InputError
from model_gate.formats.glob import Glob


@dataclass(frozen=True)
class Ignore:
    """Globs for paths that do not affect the verdict. The files at these paths are still compared and reported.

    >>> Ignore(("*.md", "notes/**")).pattern_for("notes/2024/plan.txt")
    'notes/**'
    """

    patterns: tuple[str, ...] = ()

    def pattern_for(self, *paths: str | None) -> str:
        """Return the first glob that matches one of the paths, "" if none does."""
        for pattern, glob in self._globs:
            # Both halves of a pair usually have the same path.
            if any(path is not None and glob.matches(path) for path in dict.fromkeys(paths)):
                return pattern
        return ""

    def without_match(self, paths: Collection[str]) -> tuple[str, ...]:
        """Return the globs that match none of the paths.

        >>> Ignore(("*.md", "READ*", "*.log")).without_match(["README.md"])
        ('*.log',)
        """
        return tuple(pattern for pattern, glob in self._globs if not any(map(glob.matches, paths)))

    @cached_property
    def _globs(self) -> tuple[tuple[str, Glob], ...]:
        return tuple((pattern, Glob(pattern)) for pattern in self.patterns)


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
        try:
            glob = Glob(pattern)
        except ValueError as error:
            raise InputError(
                f"The pattern {pattern!r} is not a glob: {error}.", "Write a class such as [0-9] or [!a-z]."
            ) from error
        if glob.matches(MLMODEL):
            raise InputError(
                f"The pattern {pattern!r} would ignore {MLMODEL}, which says what the model is.",
                "Name the files to ignore. What MLflow rewrites in MLmodel is allowed by `require: equivalent`.",
            )
    return ignore

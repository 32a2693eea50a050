"""The files that a run of many gates writes, each completely or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

from model_gate.reporting.output_files import _OutputFile


class ViewKind(StrEnum):
    """The views of a run's result besides its report. The values are the names of their options."""

    JUNIT = "--junit-file"
    PAGE = "--page-file"
    BADGE = "--badge-file"


_NOUNS = {ViewKind.JUNIT: "JUnit", ViewKind.PAGE: "page", ViewKind.BADGE: "badge"}


class ViewFile(_OutputFile):
    """The path of a view. A file at the path is replaced.

    Args:
        kind: What the file shows.
        path: Its path.

    Raises:
        StorageError: A file cannot be written to the path.
    """

    def __init__(self, kind: ViewKind, path: Path) -> None:
        self.kind = kind
        self._noun = _NOUNS[kind]
        self._option = str(kind)
        super().__init__(path)

    def write(self, pieces: Iterable[str]) -> None:
        """Write the view.

        Raises:
            StorageError: The view cannot be written, or would change an input.
        """
        with self._staged(pieces) as put:
            put()

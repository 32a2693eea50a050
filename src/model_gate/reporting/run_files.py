"""The files that a run of many gates writes, each completely or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from model_gate.reporting.output_files import OutputFile


class ViewKind(StrEnum):
    """The views of a run's result besides its report. The values are the names of their options."""

    JUNIT = "--junit-file"
    PAGE = "--page-file"
    BADGE = "--badge-file"


# What the files of views begin with.
_STARTS = {ViewKind.JUNIT: (b"<?xml",), ViewKind.PAGE: (b"<!doctype html",), ViewKind.BADGE: (b"<svg", b"{")}
_NOUNS = {ViewKind.JUNIT: "JUnit", ViewKind.PAGE: "page", ViewKind.BADGE: "badge"}


class ViewFile(OutputFile):
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

    def remove_old(self) -> None:
        """Remove the view of an earlier run, so that nobody mistakes it for that of this run. Another file stays.

        Raises:
            StorageError: The old view cannot be removed.
        """
        self._remove_if_it_starts_with(*_STARTS[self.kind])

    @contextmanager
    def staged(self, pieces: Iterable[str]) -> Iterator[Callable[[], None]]:
        """Write the view to a temporary file, and yield a function that puts it in its place.

        Raises:
            StorageError: The view cannot be written, or would change an input.
        """
        with self._staged(pieces) as put:
            yield put


class PlanFile(OutputFile):
    """The path of the plan of shards. A file at the path is replaced."""

    _noun = "plan"
    _option = "--plan-file"

    def write(self, text: str) -> None:
        """Write the plan completely or not at all.

        Raises:
            StorageError: The plan cannot be written, or would change an input.
        """
        with self._staged((text,)) as put:
            put()


class RowsPath(OutputFile):
    """The path of the rows of a run."""

    _noun = "rows"
    _option = "--report-file"

"""The file of a run's rows: JSON lines, one for each finished gate.

An interrupted run goes on from this file, and the files of several shards are merged into one result.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from model_gate.domain.gates import GateRow
from model_gate.errors import InternalError, StorageError, storage_error
from model_gate.reporting.rows import read_row, row_line
from model_gate.runs.roster import Roster, read_roster, roster_line
from model_gate.symbolic_links import PathBeneath

# The first line of the file. A file that does not start with it is never replaced.
_HEADER = b'{"model_gate_rows": "1.0"}\n'
# The last line of a run in which no gate failed with an error. There is nothing to resume after it.
_COMPLETE = b'{"model_gate_rows": "complete"}\n'
SUFFIX = ".rows.jsonl"


def rows_path(report: Path) -> Path:
    """Return the path of the rows of a run, beside its report.

    >>> str(rows_path(Path("reports/models.json")))
    'reports/models.rows.jsonl'
    """
    return report.with_suffix(SUFFIX)


@dataclass(frozen=True)
class _Span:
    """Where a row is in the file, in bytes."""

    start: int
    size: int


@dataclass(frozen=True)
class _Content:
    """What a file of rows has.

    Attributes:
        all_rows: Where the last row of each gate is.
        rows: The same for the rows after the last roster, which are of the last run.
        roster: The last roster; None if there is none.
        is_complete: Whether the run of these rows is complete.
        end: The end of the last whole line, in bytes from the start of the file.
    """

    all_rows: dict[str, _Span]
    rows: dict[str, _Span]
    roster: Roster | None
    is_complete: bool
    end: int


class RowsFile:
    """The rows of a run. They are read from the file again when they are needed, so they take no memory.

    Use it as a context manager, which closes the file. Thread-safe.

    Args:
        path: Path of the file.
        resumes: Whether to keep the rows of an earlier run for `earlier_row`, unless that run was complete. Otherwise
            they are removed.

    Raises:
        StorageError: The file cannot be written, is a link or not a file of rows, or a row in it is damaged.
    """

    def __init__(self, path: Path, *, resumes: bool = False) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            target = PathBeneath.of_output(path)
            self._require_rows(target)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            with target.open_parent(makes=True) as directory:
                self._file = os.fdopen(os.open(target.names[-1], flags, 0o666, dir_fd=directory), "r+b", buffering=0)
        except OSError as error:
            raise storage_error(error, f"write the rows {path}") from error
        try:
            self._reserve()
            self._begin(resumes=resumes)
        except OSError as error:
            self._file.close()
            raise storage_error(error, f"write the rows {path}") from error
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> RowsFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def names(self) -> list[str]:
        """The names of the gates with a row of this run, in the order in which they were added."""
        return list(self._rows)

    def begin(self, roster: Roster) -> None:
        """Record which gates the run has.

        Raises:
            StorageError: The file cannot be written.
        """
        with self._lock:
            self._append(roster_line(roster))

    def add(self, row: GateRow) -> None:
        """Append a row of this run.

        Raises:
            InternalError: The run has a row of this gate already.
            StorageError: The row cannot be written.
        """
        line = row_line(row)
        with self._lock:
            if row.name in self._rows:
                raise InternalError(f"Two gates of the run have the name {row.name!r}.", "Please report it.")
            self._rows[row.name] = _Span(self._append(line), len(line))

    def earlier_row(self, name: str) -> GateRow | None:
        """Return the row of a gate in the run that is resumed; None if it has none.

        Raises:
            StorageError: The file cannot be read, or was changed meanwhile.
        """
        span = self._earlier.get(name)
        return None if span is None else _row_at(self._file.fileno(), span, self.path)

    def complete(self) -> None:
        """Record that no gate is left to run, so that a later run does not keep these rows.

        Raises:
            StorageError: The file cannot be written.
        """
        with self._lock:
            self._append(_COMPLETE)

    def row(self, name: str) -> GateRow:
        """Return the row of a gate that has one.

        Raises:
            StorageError: The file cannot be read, or was changed meanwhile.
        """
        return _row_at(self._file.fileno(), self._rows[name], self.path)

    def rows(self, names: Iterable[str]) -> Iterator[GateRow]:
        """Yield the rows of the gates that have one, in the order of `names`."""
        yield from (self.row(name) for name in names if name in self._rows)

    def _append(self, line: bytes) -> int:
        """Append a line, and return its position."""
        position = self._end
        try:
            _write_all(self._file.fileno(), line, position)
        except OSError as error:
            raise storage_error(error, f"write the rows {self.path}") from error
        self._end += len(line)
        return position

    def _reserve(self) -> None:
        """Reserve the file for this process. The system ends the reservation when the process ends.

        Raises:
            StorageError: Another run uses the file.
        """
        try:
            fcntl.flock(self._file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StorageError(
                f"Another run is writing its rows to {self.path}.", "Wait for its end, or name another --report-file."
            ) from error

    def _require_rows(self, target: PathBeneath) -> None:
        """Verify that a file at the path is one of rows.

        Raises:
            StorageError: It is another file.
            OSError: The file is a link or no regular file.
        """
        if target.status() is None:
            return
        descriptor = target.open_regular()
        try:
            start = os.read(descriptor, len(_HEADER))
        finally:
            os.close(descriptor)
        # A process can be killed before it has written the whole first line.
        if not _HEADER.startswith(start):
            raise StorageError(
                f"The run keeps its rows in {self.path}, where there is another file.", "Name another --report-file."
            )

    def _begin(self, *, resumes: bool) -> None:
        content = _read_content(self._file, self.path) if resumes else None
        # The rows that this run has added, and those of the run that it resumes. An earlier row does not count before
        # this run has confirmed and added it.
        self._rows: dict[str, _Span] = {}
        self._earlier: dict[str, _Span] = {}
        self._end = 0
        if content is not None and not content.is_complete:
            self._earlier, self._end = content.all_rows, content.end
        self._file.truncate(self._end)
        if not self._end:
            self._append(_HEADER)


class ShardRows:
    """The rows of one shard, for reading.

    Use it as a context manager, which closes the file.

    Args:
        path: Path of the file.

    Raises:
        StorageError: The file cannot be read, is not a file of rows, or a row in it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = os.fdopen(PathBeneath.of_input(path).open_regular(), "rb", buffering=0)
        except OSError as error:
            raise storage_error(error, f"read the rows {path}") from error
        try:
            content = _read_content(self._file, path)
            if content.roster is None:
                raise StorageError(
                    f"The file {path} does not say which gates its run has.", "Run this shard again: it has no result."
                )
        except OSError as error:
            self._file.close()
            raise storage_error(error, f"read the rows {path}") from error
        except BaseException:
            self._file.close()
            raise
        self.roster = content.roster
        self._rows = content.rows

    def __enter__(self) -> ShardRows:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def names(self) -> list[str]:
        """The names of the gates with a row."""
        return list(self._rows)

    def row(self, name: str) -> GateRow:
        """Return the row of a gate that has one.

        Raises:
            StorageError: The file cannot be read, or was changed meanwhile.
        """
        return _row_at(self._file.fileno(), self._rows[name], self.path)


def _row_at(descriptor: int, span: _Span, path: Path) -> GateRow:
    try:
        line = os.pread(descriptor, span.size, span.start)
    except OSError as error:
        raise storage_error(error, f"read the rows {path}") from error
    return read_row(line, str(path), is_own=True)


def _read_content(file: IO[bytes], path: Path) -> _Content:
    """Find the rows in a file.

    Raises:
        StorageError: The file is not one of rows, or a line is neither a row nor a roster.
    """
    all_rows: dict[str, _Span] = {}
    rows: dict[str, _Span] = {}
    roster, is_complete, position = None, False, file.seek(0)
    with open(file.fileno(), "rb", closefd=False) as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                # The process was killed while it wrote this line.
                break
            where = f"{path}, line {number}"
            if number == 1:
                if line != _HEADER:
                    raise StorageError(f"The file {path} has no rows of a run.", "Name another file.")
            elif line == _COMPLETE:
                is_complete = True
            elif line.startswith(b'{"model_gate_rows"'):
                roster, is_complete, rows = read_roster(line, where), False, {}
            else:
                name = read_row(line, where).name
                rows[name] = all_rows[name] = _Span(position, len(line))
            position += len(line)
    return _Content(all_rows, rows, roster, is_complete, position)


def _write_all(descriptor: int, content: bytes, position: int) -> None:
    while content:
        written = os.pwrite(descriptor, content, position)
        content, position = content[written:], position + written

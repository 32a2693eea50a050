"""The file of a run's rows: JSON lines, one for each finished gate, from which an interrupted run goes on."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from model_gate.domain.gates import GateRow
from model_gate.errors import StorageError, storage_error
from model_gate.reporting.rows import read_row, row_line
from model_gate.symbolic_links import PathBeneath

# The first line of the file. A file that does not start with it is never replaced.
_HEADER = b'{"model_gate_rows": "1.0"}\n'
# The last line of a run in which no gate failed with an error. There is nothing to resume after it.
_COMPLETE = b'{"model_gate_rows": "complete"}\n'


def rows_path(report: Path) -> Path:
    """Return the path of the rows of a run, beside its report.

    >>> str(rows_path(Path("reports/models.json")))
    'reports/models.rows.jsonl'
    """
    return report.with_suffix(".rows.jsonl")


@dataclass(frozen=True)
class _Place:
    """Where a row is in the file, in bytes."""

    start: int
    size: int


class RowsFile:
    """The rows of a run. They are read from the file again when they are needed, so they take no memory.

    Use it as a context manager, which closes the file. Thread-safe.

    Args:
        path: Path of the file.
        resumes: Whether to keep the rows of an earlier run in the file, unless that run was complete. Otherwise they
            are removed.

    Raises:
        StorageError: The file cannot be written, is a link or not a file of rows, or a row in it is damaged.
    """

    def __init__(self, path: Path, *, resumes: bool = False) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._places: dict[str, _Place] = {}
        try:
            target = PathBeneath.of_output(path)
            self._require_rows(target)
            if not resumes:
                target.unlink()
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            with target.open_parent(makes=True) as directory:
                self._file = os.fdopen(os.open(target.names[-1], flags, 0o666, dir_fd=directory), "r+b", buffering=0)
        except OSError as error:
            raise storage_error(error, f"write the rows {path}") from error
        try:
            self._lock_file()
            self._end = self._read_places()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> RowsFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __contains__(self, name: str) -> bool:
        return name in self._places

    @property
    def names(self) -> list[str]:
        """The names of the gates with a row, in the order in which they were added."""
        return list(self._places)

    def add(self, row: GateRow) -> None:
        """Append a row, which replaces an earlier row of the same gate.

        Raises:
            StorageError: The row cannot be written.
        """
        line = row_line(row)
        with self._lock:
            self._places[row.name] = _Place(self._append(line), len(line))

    def _append(self, line: bytes) -> int:
        """Append a line, and return its position."""
        position = self._end
        try:
            _write_all(self._file.fileno(), line, position)
        except OSError as error:
            raise storage_error(error, f"write the rows {self.path}") from error
        self._end += len(line)
        return position

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
        place = self._places[name]
        try:
            line = os.pread(self._file.fileno(), place.size, place.start)
        except OSError as error:
            raise storage_error(error, f"read the rows {self.path}") from error
        return read_row(line, str(self.path), is_own=True)

    def rows(self, names: Iterable[str]) -> Iterator[GateRow]:
        """Yield the rows of the gates that have one, in the order of `names`."""
        yield from (self.row(name) for name in names if name in self._places)

    def remove(self) -> None:
        """Remove the file.

        Raises:
            StorageError: The file cannot be removed.
        """
        try:
            PathBeneath.of_output(self.path).unlink()
        except OSError as error:
            raise storage_error(error, f"remove the rows {self.path}") from error

    def _lock_file(self) -> None:
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

    def _read_places(self) -> int:
        """Find the rows in the file, and return where the next row goes.

        Raises:
            StorageError: A line is not a row.
        """
        position = self._file.seek(0)
        with open(self._file.fileno(), "rb", closefd=False) as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    # The process was killed while it wrote this line.
                    break
                if line == _COMPLETE:
                    self._places.clear()
                    position = len(_HEADER)
                    break
                if number > 1:
                    name = read_row(line, f"{self.path}, line {number}").name
                    self._places[name] = _Place(position, len(line))
                position += len(line)
        self._file.truncate(position)
        if not position:
            _write_all(self._file.fileno(), _HEADER, 0)
            return len(_HEADER)
        return position


def _write_all(descriptor: int, content: bytes, position: int) -> None:
    while content:
        written = os.pwrite(descriptor, content, position)
        content, position = content[written:], position + written

"""Writes the report and the promotion statement: completely or not at all, never over a link or a file that is read."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from model_gate.domain.wording import COMMAND_IN_LINE, printable
from model_gate.errors import StorageError, storage_error
from model_gate.reporting.promotion import PREDICATE_TYPE
from model_gate.reporting.report import Json
from model_gate.symbolic_links import PathBeneath

# SQLite stores parts of a database in files beside it, whose names end with these suffixes.
_DATABASE_SUFFIXES = ("-wal", "-shm", "-journal")
# A report starts with its schema version, see reporting/report.py.
_REPORT_START = b'{\n  "schema_version": "'


class ReportFile:
    """The path of a report or of another JSON document, with checks that writing there is possible and safe.

    The constructor only inspects the path. It does not create, remove or open a file, because the gate does not know
    yet which files it will read.

    Attributes:
        noun: What the document is, in messages.
        option: The option that names the path.
        start: The first bytes of the document. An old file with this start may be removed.

    Raises:
        StorageError: The document cannot be written to this path.
    """

    noun = "report"
    option = "--report-file"
    start = _REPORT_START

    def __init__(self, path: Path) -> None:
        self.path = path
        self._conflict: StorageError | None = None
        try:
            self._target = PathBeneath.of_output(path)
            self._require_replaceable()
            self._target.require_writable()
        except OSError as error:
            raise storage_error(error, f"write the {self.noun} {path}") from error

    @property
    def target(self) -> Path:
        """The absolute path of the file."""
        return self._target.path

    def require_outside(self, inputs: Iterable[Path]) -> None:
        """Verify that the report neither overwrites an input file nor lies in an input directory.

        Raises:
            StorageError: The report would change an input.
        """
        for path in inputs:
            real_path = Path(os.path.realpath(path))
            beside = [real_path.with_name(real_path.name + suffix) for suffix in _DATABASE_SUFFIXES if real_path.name]
            target = self._target.path
            if target.is_relative_to(real_path) or target in beside or self._is_same_file(real_path):
                self._conflict = StorageError(
                    f"The {self.noun} file {self.path} would change an input.", f"Name another {self.option}."
                )
                raise self._conflict

    def remove_old(self) -> None:
        """Remove a report of an earlier command, so that nobody mistakes it for the report of this command.

        A file at the path that is not a report is not removed. `write` replaces it.

        Raises:
            StorageError: The old report cannot be removed.
        """
        try:
            descriptor = self._target.open_regular()
        except OSError:
            return
        try:
            is_report = os.read(descriptor, len(self.start)) == self.start
        finally:
            os.close(descriptor)
        if is_report:
            try:
                self._target.unlink()
            except OSError as error:
                raise storage_error(error, f"replace the {self.noun} {self.path}") from error

    def require_new(self) -> None:
        """Verify that there is no file at the path.

        Raises:
            StorageError: There is a file.
        """
        if self._target.status() is not None:
            raise StorageError(f"There is another file at {self.path}.", f"Name another {self.option}.")

    def write(self, report: Json) -> None:
        """Write a report to a temporary file in the same directory, then rename the file to the report's path.

        Raises:
            StorageError: The report cannot be written, or would change an input.
        """
        if self._conflict is not None:
            raise self._conflict
        text = json_text(report)
        try:
            self._require_replaceable()
            self._target.replace(text)
        except OSError as error:
            raise storage_error(error, f"write the {self.noun} {self.path}") from error

    def _require_replaceable(self) -> None:
        """Raise StorageError if the path exists and is not a regular file.

        `write` would replace any file at the path. As root, `write` would replace even /dev/null.
        """
        status = self._target.status()
        if status is None or stat.S_ISREG(status.st_mode):
            return
        mode = status.st_mode
        kind = "not a regular file"
        if stat.S_ISLNK(mode):
            kind = "a symbolic link"
        elif stat.S_ISDIR(mode):
            kind = "a directory"
        raise StorageError(f"The {self.noun} file {self.path} is {kind}.", "Name a regular file or a new one.")

    def _is_same_file(self, path: Path) -> bool:
        """Return whether `path` and the report's path are the same file, also through a hard link."""
        try:
            status = self._target.status()
            return status is not None and os.path.samestat(status, os.stat(path))
        except OSError:
            return False


class StatementFile(ReportFile):
    """The path of a promotion statement. Its old file is removed, but never a seal, which is a statement too."""

    noun = "promotion statement"
    option = "--statement"
    start = f'{{\n  "predicateType": "{PREDICATE_TYPE}"'.encode()


@dataclass(frozen=True)
class OutputFiles:
    """The files that a command writes.

    Attributes:
        report: The report.
        statement: The promotion statement; None if the command writes none.
    """

    report: ReportFile
    statement: StatementFile | None = None

    @classmethod
    def of(cls, report_path: Path, statement_path: Path | None) -> OutputFiles:
        """Return the files at these paths.

        Raises:
            StorageError: A file cannot be written there, or both have one path.
        """
        report = ReportFile(report_path)
        statement = None if statement_path is None else StatementFile(statement_path)
        if statement is not None and statement.target == report.target:
            raise StorageError(f"The report and the promotion statement are both {report_path}.", "Name two files.")
        return cls(report, statement)

    def require_outside(self, inputs: Iterable[Path]) -> None:
        """Verify that the files neither overwrite an input file nor lie in an input directory.

        Raises:
            StorageError: A file would change an input.
        """
        inputs = list(inputs)
        for file in filter(None, (self.report, self.statement)):
            file.require_outside(inputs)

    def remove_old(self) -> None:
        """Remove a report and a statement of an earlier command, but no other file.

        Raises:
            StorageError: An old file cannot be removed.
        """
        for file in filter(None, (self.report, self.statement)):
            file.remove_old()


def json_text(report: Json) -> str:
    r"""Return the report as JSON without control characters, invisible characters and commands to a CI system.

    All such characters are inside strings of the JSON text, so they become escapes like `\u202e`.
    """
    lines = json.dumps(report, indent=2, ensure_ascii=False).split("\n")
    text = "\n".join(line if printable(line) == line else _escaped(line) for line in lines)
    return COMMAND_IN_LINE.sub(r"\1\\u005b", text) + "\n"


def _escaped(line: str) -> str:
    # JSON leaves one control character of ASCII as it is: DEL.
    return "".join(char if printable(char) == char else json.dumps(char)[1:-1] for char in line).replace(
        "\x7f", "\\u007f"
    )

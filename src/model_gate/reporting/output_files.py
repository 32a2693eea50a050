"""Writes reports, statements and seals completely or not at all, and never over a link or a file that is read."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from model_gate.access.redaction import Redactor
from model_gate.domain.seal import Seal, not_sealable, require_paths_without_secrets, require_same_identity
from model_gate.domain.wording import COMMAND_IN_LINE, printable
from model_gate.errors import StorageError, storage_error
from model_gate.formats.document_kinds import PROMOTION_TYPE
from model_gate.formats.model_signing import StatementError, statement_bytes
from model_gate.reporting.report import Json
from model_gate.symbolic_links import PathBeneath, is_uri

# SQLite stores parts of a database in files beside it, whose names end with these suffixes.
_DATABASE_SUFFIXES = ("-wal", "-shm", "-journal")
# A report starts with its schema version, see reporting/report.py.
_REPORT_START = b'{\n  "schema_version": "'


class OutputFile:
    """The path of a file that a command writes, with checks that writing there is possible and safe.

    The constructor only inspects the path. It does not create, remove or open a file, because the gate does not know
    yet which files it will read.

    Raises:
        StorageError: A file cannot be written to this path.
    """

    _noun: str
    _option: str

    def __init__(self, path: Path) -> None:
        self.path = path
        self._conflict: StorageError | None = None
        if is_uri(path):
            raise StorageError(
                f"The {self._noun} {path} is a URI, but is written to a file on this machine.",
                f"Name a path as {self._option}, and upload the file afterwards.",
            )
        try:
            self._target = PathBeneath.of_output(path)
            self._require_replaceable()
            self._target.require_writable()
        except OSError as error:
            raise storage_error(error, f"write the {self._noun} {path}") from error

    @property
    def target(self) -> Path:
        """The absolute path of the file."""
        return self._target.path

    def require_outside(self, inputs: Iterable[Path]) -> None:
        """Verify that this file neither overwrites an input file nor lies in an input directory.

        Raises:
            StorageError: The file would change an input.
        """
        for path in inputs:
            real_path = Path(os.path.realpath(path))
            beside = [real_path.with_name(real_path.name + suffix) for suffix in _DATABASE_SUFFIXES if real_path.name]
            target = self._target.path
            if target.is_relative_to(real_path) or target in beside or self._is_same_file(real_path):
                self._conflict = StorageError(
                    f"The {self._noun} file {self.path} would change an input.", f"Name another {self._option}."
                )
                raise self._conflict

    def require_apart(self, other: OutputFile) -> None:
        """Verify that this file and another output have two paths. Otherwise this file is never written.

        Raises:
            StorageError: Both have one path.
        """
        if self.target == other.target:
            self._conflict = StorageError(
                f"{other._option} and {self._option} name the same file, {other.path}.",  # the same class
                "Name two files.",
            )
            raise self._conflict

    @contextmanager
    def _staged(self, pieces: Iterable[str]) -> Iterator[Callable[[], None]]:
        """Write a text to a temporary file in the same directory, and yield a function that renames it to the path.

        Raises:
            StorageError: The file cannot be written, or would change an input.
        """
        if self._conflict is not None:
            raise self._conflict
        try:
            self._require_replaceable()
            with self._target.staged(pieces) as put:
                yield put
        except OSError as error:
            raise storage_error(error, f"write the {self._noun} {self.path}") from error

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
        raise StorageError(f"The {self._noun} file {self.path} is {kind}.", "Name a regular file or a new one.")

    def _remove_if_it_starts_with(self, *starts: bytes) -> None:
        """Remove the file if it is a regular file that starts with one of these texts.

        Raises:
            StorageError: The file cannot be removed.
        """
        try:
            descriptor = self._target.open_regular()
        except OSError:
            return
        try:
            start = os.read(descriptor, max(map(len, starts)))
        finally:
            os.close(descriptor)
        if start.startswith(starts):
            try:
                self._target.unlink()
            except OSError as error:
                raise storage_error(error, f"replace the {self._noun} {self.path}") from error

    def _is_same_file(self, path: Path) -> bool:
        """Return whether `path` and the path of this file are the same file, also through a hard link."""
        try:
            status = self._target.status()
            return status is not None and os.path.samestat(status, os.stat(path))
        except OSError:
            return False


class _JsonFile(OutputFile):
    """The path of a JSON file whose first bytes show what it is."""

    # An old file that starts with these bytes may be removed.
    _start: bytes

    def remove_old(self) -> None:
        """Remove the file of an earlier command, so that nobody mistakes it for the file of this command.

        A file of another kind at the path is not removed. `write` replaces it.

        Raises:
            StorageError: The old file cannot be removed.
        """
        self._remove_if_it_starts_with(self._start)

    def require_new(self) -> None:
        """Verify that there is no file at the path.

        Raises:
            StorageError: There is a file.
        """
        if self._target.status() is not None:
            raise StorageError(f"There is another file at {self.path}.", f"Name another {self._option}.")

    def write(self, content: Json) -> None:
        """Write the file completely or not at all.

        Raises:
            StorageError: The file cannot be written, or would change an input.
        """
        self.write_pieces((json_text(content),))

    def write_pieces(self, pieces: Iterable[str]) -> None:
        """Write a text, piece by piece, to a temporary file, then rename the file to the path.

        Raises:
            StorageError: The file cannot be written, or would change an input.
        """
        with self._staged(pieces) as put:
            put()


class ReportFile(_JsonFile):
    """The path of a report."""

    _noun = "report"
    _option = "--report-file"
    _start = _REPORT_START


class SealFile(OutputFile):
    """The path of a seal. An older seal stays there until the new one is complete."""

    _noun = "seal"
    _option = "--output"

    @contextmanager
    def staged(self, seal: Seal, redactor: Redactor) -> Iterator[Callable[[], None]]:
        """Write a seal, without secrets, to a temporary file, and yield a function that puts it in its place.

        Raises:
            SealError: The seal is larger than the limit for a seal, or a secret is part of the model's name, of its
                version or of a path.
            StorageError: The seal cannot be written, or would change an input.
        """
        statement = seal.statement
        annotations = redactor.data(dict(statement.annotations))
        redacted = replace(statement, name=redactor.text(statement.name), annotations=annotations)
        require_same_identity(seal, redacted)
        require_paths_without_secrets(seal, redactor.path)
        try:
            content = statement_bytes(redacted)
        except StatementError as error:
            raise not_sealable(error) from error
        with self._staged((content.decode(),)) as put:
            yield put


class StatementFile(_JsonFile):
    """The path of a promotion statement. An older one is removed, but never a seal, which is a statement too."""

    _noun = "promotion statement"
    _option = "--statement"
    _start = f'{{\n  "predicateType": "{PROMOTION_TYPE}"'.encode()


def json_text(content: Json) -> str:
    r"""Return a document as JSON without control characters, invisible characters and commands to a CI system.

    All such characters are inside strings of the JSON text, so they become escapes like `\u202e`.
    """
    lines = json.dumps(content, indent=2, ensure_ascii=False).split("\n")
    text = "\n".join(line if printable(line) == line else _escaped(line) for line in lines)
    return COMMAND_IN_LINE.sub(r"\1\\u005b", text) + "\n"


def _escaped(line: str) -> str:
    # JSON leaves one control character of ASCII as it is: DEL.
    return "".join(char if printable(char) == char else json.dumps(char)[1:-1] for char in line).replace(
        "\x7f", "\\u007f"
    )

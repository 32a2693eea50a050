"""Strict access to the members of zip archives. Archives that two programs could read differently are refused."""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from model_gate.explanation.content import CHUNK_BYTES, Content, UnexplainedError
from model_gate.explanation.zip_records import (
    IS_UTF_8,
    UNREADABLE,
    check_directory,
    locate_directory,
    locate_members,
)

_MAX_UNPACKED_BYTES = 256 * 1024 * 1024
_MAX_EXPANSION = 8
# External attributes of MS-DOS are in the low bits, the mode of Unix is in the high bits.
_DOS_READ_ONLY, _DOS_VOLUME, _DOS_DIRECTORY, _DOS_ARCHIVE = 0x01, 0x08, 0x10, 0x20
_PERMISSIONS = (0o777 << 16) | _DOS_READ_ONLY | _DOS_ARCHIVE
# Systems on which `zipfile` and PyTorch write archives: MS-DOS and Unix.
_SYSTEMS = frozenset({0, 3})
_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    struct.error,
    OSError,
    ValueError,
)


def is_zip(content: Content) -> bool:
    """Return whether a content starts like a zip archive."""
    return content.head(4) in {b"PK\x03\x04", b"PK\x05\x06"}


class Archive:
    """An open zip archive.

    Attributes:
        members: Members by name, in the order of the archive's central directory.
        has_comment: Whether a comment of the archive follows its end record.
    """

    def __init__(self, file: zipfile.ZipFile, content: Content, starts: dict[str, int]) -> None:
        self.members = {info.filename: info for info in file.infolist()}
        self.has_comment = bool(file.comment)
        self._file = file
        self._content = content
        self._starts = starts

    def open(self, name: str) -> IO[bytes]:
        """Open a member. The stream checks the checksum at its end."""
        return self._file.open(self.members[name])

    def content(self, name: str) -> Content:
        """Return the content of a member."""
        return Content(self.members[name].file_size, lambda: self.open(name))

    def compressed(self, name: str) -> Content:
        """Return the bytes of a member as stored in the archive."""
        return self._content.slice(self._starts[name], self.members[name].compress_size)

    def attributes(self, name: str) -> tuple[int, int]:
        """Return the operating system and the bits of a member's attributes, as far as programs may go by them.

        MS-DOS and Unix are returned as the same system, unless the member's name has a backslash. The permissions of a
        regular file are left out. So is its type, which some programs write and others do not.
        """
        info = self.members[name]
        # A backslash separates directories only on some systems.
        system = 0 if info.create_system in _SYSTEMS and "\\" not in name else info.create_system
        if info.is_dir():
            return system, info.external_attr
        return system, info.external_attr & ~(_PERMISSIONS | stat.S_IFREG << 16)

    def check_content(self, name: str) -> None:
        """Require that a member has the checksum that its header declares, and that nothing follows its data.

        Raises:
            UnexplainedError: The member is damaged, is longer than declared, or is compressed in an unusual way.
        """
        if self.members[name].compress_type != zipfile.ZIP_STORED:
            self.check_compression(name)
            return
        checksum = 0
        with self.compressed(name).open() as stream:
            while data := stream.read(CHUNK_BYTES):
                checksum = zlib.crc32(data, checksum)
        if checksum != self.members[name].CRC:
            raise UnexplainedError("its members do not have the checksums that it declares")

    def check_compression(self, name: str) -> None:
        """Require that a compressed member is intact, and that nothing follows its data.

        `zipfile` takes no notice of bytes after the end of the compressed data, nor of data after the declared size.
        Programs that expect the next header there could find another member. A member that is not compressed has no
        such bytes.

        Raises:
            UnexplainedError: The member is damaged, is longer than declared, or is compressed in an unusual way.
        """
        info = self.members[name]
        if info.compress_type == zipfile.ZIP_STORED:
            return
        if info.compress_type != zipfile.ZIP_DEFLATED:
            raise UnexplainedError("its members are compressed in a way that not every reader knows")
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        size = checksum = 0
        with self.compressed(name).open() as stream:
            while not inflater.eof and size <= info.file_size:
                data = inflater.unconsumed_tail or stream.read(CHUNK_BYTES)
                if not data:
                    break
                inflated = inflater.decompress(data, CHUNK_BYTES)
                size += len(inflated)
                checksum = zlib.crc32(inflated, checksum)
            is_exact = inflater.eof and not inflater.unused_data and not stream.read(1)
        if (size, checksum) != (info.file_size, info.CRC) or not is_exact:
            raise UnexplainedError("its members do not end with their data")


@contextmanager
def open_archive(content: Content) -> Iterator[Archive]:
    """Open an archive that every program reads in the same way.

    Raises:
        UnexplainedError: The content is ambiguous, no archive, too large, encrypted or damaged.
    """
    with content.open() as stream:
        try:
            directory = locate_directory(stream, content.size)
            check_directory(stream, directory)
            with zipfile.ZipFile(stream) as file:
                _require_bounded(file.infolist(), content.size)
                _require_unambiguous(file.infolist())
                members = locate_members(stream, file.infolist(), directory)
                yield Archive(file, content, {member.info.filename: member.start for member in members})
        except _ERRORS as error:
            raise UnexplainedError(f"the archive cannot be read: {error}") from error


def _require_bounded(infos: list[zipfile.ZipInfo], size: int) -> None:
    unpacked = sum(info.file_size for info in infos)
    if unpacked > max(_MAX_UNPACKED_BYTES, _MAX_EXPANSION * size):
        raise UnexplainedError(f"its {size:,} bytes unpack to {unpacked:,}")


def _require_unambiguous(infos: list[zipfile.ZipInfo]) -> None:
    if len({info.filename for info in infos}) < len(infos):
        raise UnexplainedError("two of its members have the same name")
    for info in infos:
        if info.flag_bits & UNREADABLE:
            raise UnexplainedError("it is encrypted")
        # Programs differ in whether a null ends a name, and in the encoding that they assume.
        if "\0" in info.orig_filename or not (info.orig_filename.isascii() or info.flag_bits & IS_UTF_8):
            raise UnexplainedError("its members have names that can be read in two ways")
        if info.compress_type == zipfile.ZIP_STORED and info.compress_size != info.file_size:
            raise UnexplainedError("its members have two sizes")
        _require_plain_type(info)


def _require_plain_type(info: zipfile.ZipInfo) -> None:
    """Raise UnexplainedError unless the name and the attributes of a member both say regular file, or directory.

    PyTorch, for example, goes by the directory bit of MS-DOS, and most other programs by the slash after the name.
    """
    file_type = stat.S_IFMT(info.external_attr >> 16)
    if file_type == stat.S_IFLNK:
        raise UnexplainedError("it has a symbolic link")
    is_contradiction = info.external_attr & _DOS_DIRECTORY and not info.is_dir()
    expected_type = stat.S_IFDIR if info.is_dir() else stat.S_IFREG
    if is_contradiction or info.external_attr & _DOS_VOLUME or file_type not in {0, expected_type}:
        raise UnexplainedError("its members have attributes of another type of file")

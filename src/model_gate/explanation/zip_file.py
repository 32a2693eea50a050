"""Zip archives as their members, without trust in what they say of themselves."""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from model_gate.explanation.content import Content, UnexplainedError

_MAX_DIRECTORY_BYTES = 4 * 1024 * 1024
_MAX_MEMBERS = 40_000
_MAX_UNPACKED_BYTES = 256 * 1024 * 1024
_MAX_EXPANSION = 8
_LOCAL_HEADER = struct.Struct("<4sHHHHHIIIHH")
_END = struct.Struct("<4sHHHHIIH")
_END_64_LOCATOR = struct.Struct("<4sIQI")
_END_64 = struct.Struct("<4sQHHIIQQQQ")
_DESCRIPTOR_BYTES = 24
_HAS_DESCRIPTOR = 0x8
_IS_ENCRYPTED = 0x1
# An extra field that gives a member another name, which some readers use and others do not.
_OTHER_NAME = 0x7075
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
    """Whether it begins as an archive does."""
    return content.head(4) in {b"PK\x03\x04", b"PK\x05\x06"}


class Archive:
    """A zip archive, open to be read.

    Attributes:
        members: By name, in the archive's order.
    """

    def __init__(self, file: zipfile.ZipFile, content: Content, starts: dict[str, int]) -> None:
        self.members = {info.filename: info for info in file.infolist()}
        self._file = file
        self._content = content
        self._starts = starts

    def open(self, name: str) -> IO[bytes]:
        """A member's bytes; at their end they are held against the checksum."""
        return self._file.open(self.members[name])

    def content(self, name: str) -> Content:
        """The same as a content."""
        return Content(self.members[name].file_size, lambda: self.open(name))

    def packed(self, name: str) -> Content:
        """The member as the archive holds it, packed or not."""
        return self._content.part(self._starts[name], self.members[name].compress_size)


@contextmanager
def open_archive(content: Content) -> Iterator[Archive]:
    """The archive in a content, if all readers of archives would agree on its members.

    Raises:
        UnexplainedError: They would not, or it is no archive, too large, encrypted or damaged.
    """
    with content.open() as stream:
        try:
            start = _directory_start(stream, content.size)
            with zipfile.ZipFile(stream) as file:
                _require_bounded(file.infolist(), content.size)
                _require_unambiguous(file.infolist())
                starts = _contiguous_starts(stream, file.infolist(), start)
                yield Archive(file, content, starts)
        except _ERRORS as error:
            raise UnexplainedError(f"the archive cannot be read: {error}") from error


def _directory_start(stream: IO[bytes], size: int) -> int:
    """Where the central directory begins; it must reach to the end record, and that to the archive's end.

    It is looked at before `zipfile` does, which would read a directory of any size.
    """
    stream.seek(max(0, size - _END.size - 0xFFFF))
    tail = stream.read()
    position = tail.rfind(b"PK\x05\x06")
    if position < 0 or len(tail) - position < _END.size:
        raise zipfile.BadZipFile("it has no end record")
    *_, entries, length, start, comment = _END.unpack_from(tail, position)
    end = size - len(tail) + position
    if end + _END.size + comment != size:
        raise zipfile.BadZipFile("something follows its end")
    locator = position - _END_64_LOCATOR.size
    if locator >= 0 and tail.startswith(b"PK\x06\x07", locator):
        _, _, end, _ = _END_64_LOCATOR.unpack_from(tail, locator)
        stream.seek(end)
        *_, entries, length, start = _END_64.unpack(stream.read(_END_64.size))
    if length > _MAX_DIRECTORY_BYTES or entries > _MAX_MEMBERS:
        raise zipfile.BadZipFile(f"it has {entries:,} members")
    if start + length != end:
        raise zipfile.BadZipFile("its directory is not where it should be")
    return int(start)


def _require_bounded(infos: list[zipfile.ZipInfo], size: int) -> None:
    unpacked = sum(info.file_size for info in infos)
    if unpacked > max(_MAX_UNPACKED_BYTES, _MAX_EXPANSION * size):
        raise UnexplainedError(f"its {size:,} bytes unpack to {unpacked:,}")


def _require_unambiguous(infos: list[zipfile.ZipInfo]) -> None:
    if len({info.filename for info in infos}) < len(infos):
        raise UnexplainedError("two of its members have the same name")
    for info in infos:
        if info.flag_bits & _IS_ENCRYPTED:
            raise UnexplainedError("it is encrypted")
        if _OTHER_NAME in _extra_fields(info.extra):
            raise UnexplainedError("its members have two names")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise UnexplainedError("it has a symbolic link")


def _extra_fields(extra: bytes) -> Iterator[int]:
    position = 0
    while position + 4 <= len(extra):
        identifier, length = struct.unpack_from("<HH", extra, position)
        yield identifier
        position += 4 + length


def _contiguous_starts(stream: IO[bytes], infos: list[zipfile.ZipInfo], directory: int) -> dict[str, int]:
    """Where each member's bytes begin. Bytes that belong to none are refused: another reader may find more in them."""
    starts: dict[str, int] = {}
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if not end <= info.header_offset <= end + _slack(end):
            raise zipfile.BadZipFile("there is something between its members")
        stream.seek(info.header_offset)
        *_, name, extra = _LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))
        starts[info.filename] = info.header_offset + _LOCAL_HEADER.size + name + extra
        end = starts[info.filename] + info.compress_size
    if not end <= directory <= end + _slack(end):
        raise zipfile.BadZipFile("there is something between its members")
    return starts


def _slack(end: int) -> int:
    """How many bytes may follow a member: the descriptor that some writers add."""
    return _DESCRIPTOR_BYTES if end else 0

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
_IS_UTF_8 = 0x800
# Encrypted, patched, strongly encrypted, with headers that are masked.
_UNREADABLE = 0x1 | 0x20 | 0x40 | 0x2000
# What a field of 16 or 32 bits says if a longer one elsewhere counts.
_ELSEWHERE = (0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
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
            start, entries = _directory(stream, content.size)
            with zipfile.ZipFile(stream) as file:
                if len(file.infolist()) != entries:
                    raise zipfile.BadZipFile("it has another number of members than it says")
                _require_bounded(file.infolist(), content.size)
                _require_unambiguous(file.infolist())
                starts = _contiguous_starts(stream, file.infolist(), start)
                yield Archive(file, content, starts)
        except _ERRORS as error:
            raise UnexplainedError(f"the archive cannot be read: {error}") from error


def _directory(stream: IO[bytes], size: int) -> tuple[int, int]:
    """Where the central directory begins, and how many members it is said to have.

    It must reach to the end records, and they to the archive's end: readers look for them in different ways, and none
    may find others than `zipfile` does. They are looked at first, since `zipfile` would read a directory of any size.
    """
    stream.seek(max(0, size - _END.size - 0xFFFF))
    tail = stream.read()
    position = tail.rfind(b"PK\x05\x06")
    if position < 0 or len(tail) - position < _END.size:
        raise zipfile.BadZipFile("it has no end record")
    _, disk, first_disk, here, entries, length, start, comment = _END.unpack_from(tail, position)
    end = size - len(tail) + position
    if end + _END.size + comment != size:
        raise zipfile.BadZipFile("something follows its end")
    locator = position - _END_64_LOCATOR.size
    if locator >= 0 and tail.startswith(b"PK\x06\x07", locator):
        short = (here, entries, length, start)
        end, (here, entries, length, start) = _long_end(stream, tail, locator, end - _END_64_LOCATOR.size)
        both = zip(short, (here, entries, length, start), _ELSEWHERE, strict=True)
        if any(one not in {other, elsewhere} for one, other, elsewhere in both):
            raise zipfile.BadZipFile("it has two ends that do not agree")
    if disk or first_disk or here != entries:
        raise zipfile.BadZipFile("it is one of several parts")
    if length > _MAX_DIRECTORY_BYTES or entries > _MAX_MEMBERS:
        raise zipfile.BadZipFile(f"it has {entries:,} members")
    if start + length != end:
        raise zipfile.BadZipFile("its directory is not where it should be")
    return int(start), int(entries)


def _long_end(stream: IO[bytes], tail: bytes, locator: int, end: int) -> tuple[int, tuple[int, int, int, int]]:
    """Where the end record with 64 bits is, and its numbers; its locator, at `end`, must come right after it."""
    _, disk, place, disks = _END_64_LOCATOR.unpack_from(tail, locator)
    if place + _END_64.size != end or disk or disks > 1:
        raise zipfile.BadZipFile("its end is not where it should be")
    stream.seek(place)
    signature, length, *_, one_disk, other_disk, here, entries, size, start = _END_64.unpack(stream.read(_END_64.size))
    if signature != b"PK\x06\x06" or length != _END_64.size - 12 or one_disk or other_disk:
        raise zipfile.BadZipFile("its end is not what it should be")
    return place, (here, entries, size, start)


def _require_bounded(infos: list[zipfile.ZipInfo], size: int) -> None:
    unpacked = sum(info.file_size for info in infos)
    if unpacked > max(_MAX_UNPACKED_BYTES, _MAX_EXPANSION * size):
        raise UnexplainedError(f"its {size:,} bytes unpack to {unpacked:,}")


def _require_unambiguous(infos: list[zipfile.ZipInfo]) -> None:
    if len({info.filename for info in infos}) < len(infos):
        raise UnexplainedError("two of its members have the same name")
    for info in infos:
        if info.flag_bits & _UNREADABLE:
            raise UnexplainedError("it is encrypted")
        if _OTHER_NAME in _extra_fields(info.extra):
            raise UnexplainedError("its members have two names")
        # Readers end a name at a null, or do not, and guess at its encoding.
        if "\0" in info.orig_filename or not (info.orig_filename.isascii() or info.flag_bits & _IS_UTF_8):
            raise UnexplainedError("its members have names that can be read in two ways")
        if info.compress_type == zipfile.ZIP_STORED and info.compress_size != info.file_size:
            raise UnexplainedError("its members have two sizes")
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
        starts[info.filename] = _start(stream, info)
        end = starts[info.filename] + info.compress_size
    if not end <= directory <= end + _slack(end):
        raise zipfile.BadZipFile("there is something between its members")
    return starts


def _start(stream: IO[bytes], info: zipfile.ZipInfo) -> int:
    """Where a member's bytes begin. Its own header must say what the directory does: some readers go by that."""
    stream.seek(info.header_offset)
    header = _LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))
    signature, _, flags, method, _, _, checksum, packed, size, name_length, extra_length = header
    name, extra = stream.read(name_length), stream.read(extra_length)
    is_utf_8 = info.flag_bits & _IS_UTF_8
    # Sizes and checksum may follow the member, or the sizes be in an extra field.
    instead = {0} if flags & _HAS_DESCRIPTOR else set()
    agrees = (
        checksum in {info.CRC, *instead}
        and packed in {info.compress_size, _ELSEWHERE[-1], *instead}
        and size in {info.file_size, _ELSEWHERE[-1], *instead}
    )
    if (
        signature != b"PK\x03\x04"
        or name != info.orig_filename.encode("utf-8" if is_utf_8 else "cp437")
        or (method, flags & _UNREADABLE) != (info.compress_type, 0)
        or _OTHER_NAME in _extra_fields(extra)
        or not agrees
    ):
        raise zipfile.BadZipFile("a member says something else than the directory")
    return info.header_offset + _LOCAL_HEADER.size + int(name_length) + int(extra_length)


def _slack(end: int) -> int:
    """How many bytes may follow a member: the descriptor that some writers add."""
    return _DESCRIPTOR_BYTES if end else 0

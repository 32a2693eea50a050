"""Strict access to the members of zip archives. Archives that two readers could read differently are refused."""

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
_ZIP64_LOCATOR = struct.Struct("<4sIQI")
_ZIP64_END = struct.Struct("<4sQHHIIQQQQ")
_DESCRIPTOR_BYTES = 24
_HAS_DESCRIPTOR = 0x8
_IS_UTF_8 = 0x800
# Flags: encrypted, patch data, strong encryption, masked header.
_UNREADABLE = 0x1 | 0x20 | 0x40 | 0x2000
# Values of the 16-bit and 32-bit fields of an end record that refer to the 64-bit record instead.
_IN_ZIP64_END = (0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
# Value of a 32-bit size that refers to the 64-bit extra field instead.
_IN_EXTRA_FIELD = 0xFFFFFFFF
# The Unicode path extra field holds a second name, which only some readers use.
_UNICODE_PATH_FIELD = 0x7075
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
    """Return whether a content starts as a zip archive."""
    return content.head(4) in {b"PK\x03\x04", b"PK\x05\x06"}


class Archive:
    """An open zip archive.

    Attributes:
        members: Members by name, in the order of the archive's directory.
    """

    def __init__(self, file: zipfile.ZipFile, content: Content, starts: dict[str, int]) -> None:
        self.members = {info.filename: info for info in file.infolist()}
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


@contextmanager
def open_archive(content: Content) -> Iterator[Archive]:
    """Open an archive that every reader reads in the same way.

    Raises:
        UnexplainedError: The content is ambiguous, no archive, too large, encrypted or damaged.
    """
    with content.open() as stream:
        try:
            start, entries = _locate_directory(stream, content.size)
            with zipfile.ZipFile(stream) as file:
                if len(file.infolist()) != entries:
                    raise zipfile.BadZipFile("it has another number of members than it says")
                _require_bounded(file.infolist(), content.size)
                _require_unambiguous(file.infolist())
                starts = _data_starts(stream, file.infolist(), start)
                yield Archive(file, content, starts)
        except _ERRORS as error:
            raise UnexplainedError(f"the archive cannot be read: {error}") from error


def _locate_directory(stream: IO[bytes], size: int) -> tuple[int, int]:
    """Return the offset of the central directory and the declared number of members.

    Readers search for the directory and the end records in different ways. To make all of them find the same ones, the
    directory must end where the end records start, and these must end with the archive. The check runs before
    `zipfile`, which would read a directory of any size.
    """
    stream.seek(max(0, size - _END.size - 0xFFFF))
    tail = stream.read()
    position = tail.rfind(b"PK\x05\x06")
    if position < 0 or len(tail) - position < _END.size:
        raise zipfile.BadZipFile("it has no end record")
    _, disk, first_disk, disk_entries, entries, length, start, comment = _END.unpack_from(tail, position)
    end = size - len(tail) + position
    if end + _END.size + comment != size:
        raise zipfile.BadZipFile("something follows its end")
    locator = position - _ZIP64_LOCATOR.size
    if locator >= 0 and tail.startswith(b"PK\x06\x07", locator):
        short_record = (disk_entries, entries, length, start)
        end, record = _read_zip64_end(stream, tail, locator, end - _ZIP64_LOCATOR.size)
        disk_entries, entries, length, start = record
        values = zip(short_record, record, _IN_ZIP64_END, strict=True)
        if any(short not in {long, placeholder} for short, long, placeholder in values):
            raise zipfile.BadZipFile("it has two ends that do not agree")
    if disk or first_disk or disk_entries != entries:
        raise zipfile.BadZipFile("it is one of several parts")
    if length > _MAX_DIRECTORY_BYTES or entries > _MAX_MEMBERS:
        raise zipfile.BadZipFile(f"it has {entries:,} members")
    if start + length != end:
        raise zipfile.BadZipFile("its directory is not where it should be")
    return int(start), int(entries)


def _read_zip64_end(stream: IO[bytes], tail: bytes, locator: int, end: int) -> tuple[int, tuple[int, int, int, int]]:
    """Read the 64-bit end record.

    Args:
        stream: The archive.
        tail: Last bytes of the archive.
        locator: Index of the record's locator in `tail`.
        end: Offset of the locator in the archive, at which the record must end.

    Returns:
        Offset of the record; entries on this disk, entries, bytes and offset of the directory.
    """
    _, disk, offset, disks = _ZIP64_LOCATOR.unpack_from(tail, locator)
    if offset + _ZIP64_END.size != end or disk or disks > 1:
        raise zipfile.BadZipFile("its end is not where it should be")
    stream.seek(offset)
    signature, length, *_, disk, first_disk, disk_entries, entries, size, start = _ZIP64_END.unpack(
        stream.read(_ZIP64_END.size)
    )
    if signature != b"PK\x06\x06" or length != _ZIP64_END.size - 12 or disk or first_disk:
        raise zipfile.BadZipFile("its end is not what it should be")
    return offset, (disk_entries, entries, size, start)


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
        if _UNICODE_PATH_FIELD in _extra_fields(info.extra):
            raise UnexplainedError("its members have two names")
        # Readers differ in whether a null ends a name, and in the encoding that they assume.
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


def _data_starts(stream: IO[bytes], infos: list[zipfile.ZipInfo], directory: int) -> dict[str, int]:
    """Return the offset of each member's bytes, by name.

    Bytes that belong to no member are refused, since other readers may find members in them.
    """
    starts: dict[str, int] = {}
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if not end <= info.header_offset <= end + _max_gap(end):
            raise zipfile.BadZipFile("there is something between its members")
        starts[info.filename] = _data_start(stream, info)
        end = starts[info.filename] + info.compress_size
    if not end <= directory <= end + _max_gap(end):
        raise zipfile.BadZipFile("there is something between its members")
    return starts


def _data_start(stream: IO[bytes], info: zipfile.ZipInfo) -> int:
    """Return the offset of a member's bytes.

    Some readers use the member's own header instead of the directory, so both must agree.
    """
    stream.seek(info.header_offset)
    header = _LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))
    signature, _, flags, method, _, _, checksum, compressed_size, size, name_length, extra_length = header
    name, extra = stream.read(name_length), stream.read(extra_length)
    is_utf_8 = info.flag_bits & _IS_UTF_8
    # A header may hold zeros if a descriptor follows the member, and placeholders if an extra field has the sizes.
    in_descriptor = {0} if flags & _HAS_DESCRIPTOR else set()
    agrees = (
        checksum in {info.CRC, *in_descriptor}
        and compressed_size in {info.compress_size, _IN_EXTRA_FIELD, *in_descriptor}
        and size in {info.file_size, _IN_EXTRA_FIELD, *in_descriptor}
    )
    if (
        signature != b"PK\x03\x04"
        or name != info.orig_filename.encode("utf-8" if is_utf_8 else "cp437")
        or (method, flags & _UNREADABLE) != (info.compress_type, 0)
        or _UNICODE_PATH_FIELD in _extra_fields(extra)
        or not agrees
    ):
        raise zipfile.BadZipFile("a member says something else than the directory")
    return info.header_offset + _LOCAL_HEADER.size + int(name_length) + int(extra_length)


def _max_gap(end: int) -> int:
    """Return how many bytes may lie between offset `end` and the next header: a descriptor, or none at offset 0."""
    return _DESCRIPTOR_BYTES if end else 0

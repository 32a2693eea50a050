"""Records of zip archives: the end records, the directory, and the header and descriptor of each member.

The checks require that every byte of an archive belongs to exactly one record or member, and that all records agree.
"""

from __future__ import annotations

import struct
import zipfile
from dataclasses import dataclass
from typing import IO

_MAX_DIRECTORY_BYTES = 4 * 1024 * 1024
_MAX_MEMBERS = 40_000
_LOCAL_HEADER = struct.Struct("<4sHHHHHIIIHH")
_ENTRY = struct.Struct("<4s4BHHHHIIIHHHHHII")
_END = struct.Struct("<4sHHHHIIH")
_ZIP64_LOCATOR = struct.Struct("<4sIQI")
_ZIP64_END = struct.Struct("<4sQHHIIQQQQ")
_DESCRIPTOR_SIGNATURE = b"PK\x07\x08"
_HAS_DESCRIPTOR = 0x8
IS_UTF_8 = 0x800
# Flags: encrypted, patch data, strong encryption, masked header.
UNREADABLE = 0x1 | 0x20 | 0x40 | 0x2000
# Values of the 16-bit and 32-bit fields of an end record that refer to the 64-bit record instead.
_IN_ZIP64_END = (0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
# Value of a 32-bit size that refers to the 64-bit extra field instead.
_IN_EXTRA_FIELD = 0xFFFFFFFF
_MAX_COMMENT_BYTES = 0xFFFF
# Version 4.5 of the format has 64-bit sizes. Later versions add encryption and compression methods that are refused.
_MAX_VERSION_NEEDED = 45
_ZIP64_FIELD = 0x0001
# The Unicode path extra field holds a second name, which only some programs use.
_UNICODE_PATH_FIELD = 0x7075


@dataclass(frozen=True)
class Directory:
    """Position of an archive's central directory.

    Attributes:
        start: Offset of the directory.
        size: Bytes of the directory.
        entries: Declared number of members.
    """

    start: int
    size: int
    entries: int


def locate_directory(stream: IO[bytes], size: int) -> Directory:
    """Return the position of the central directory.

    Programs search for the directory and the end records in different ways. To make all of them find the same records,
    the directory must end where the end records start, and the end records must end where the archive ends. The check
    runs before `zipfile`, which would read a directory of any size.

    Raises:
        zipfile.BadZipFile: Another program could find another directory, or the directory is too large.
    """
    # The 64-bit records are in front of the end record and its comment.
    longest = _ZIP64_END.size + _ZIP64_LOCATOR.size + _END.size + _MAX_COMMENT_BYTES
    stream.seek(max(0, size - longest))
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
    return Directory(int(start), int(length), int(entries))


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
    if offset + _ZIP64_END.size != end or (disk, disks) != (0, 1):
        raise zipfile.BadZipFile("its end is not where it should be")
    stream.seek(offset)
    signature, length, *_, disk, first_disk, disk_entries, entries, size, start = _ZIP64_END.unpack(
        stream.read(_ZIP64_END.size)
    )
    if signature != b"PK\x06\x06" or length != _ZIP64_END.size - 12 or disk or first_disk:
        raise zipfile.BadZipFile("its end is not what it should be")
    return offset, (disk_entries, entries, size, start)


def check_directory(stream: IO[bytes], directory: Directory) -> None:
    """Require that the directory consists of exactly the declared entries, and that each has one size.

    `zipfile` shortens the last entry if it is cut off, and takes no notice of 64-bit sizes that contradict the entry.

    Raises:
        zipfile.BadZipFile: Another program could read another directory.
    """
    stream.seek(directory.start)
    data = stream.read(directory.size)
    position = 0
    for _ in range(directory.entries):
        entry = _ENTRY.unpack_from(data, position)
        compressed_size, size, name_length, extra_length, comment_length, disk = entry[10:16]
        if entry[0] != b"PK\x01\x02" or disk:
            raise zipfile.BadZipFile("its directory is not what it should be")
        _require_known_version(entry[3] | entry[4] << 8)
        position += _ENTRY.size + name_length
        fields = _extra_fields(data[position : position + extra_length])
        placeholders = [value for value in (size, compressed_size, entry[18]) if value == _IN_EXTRA_FIELD]
        if len(fields.get(_ZIP64_FIELD, b"")) != 8 * len(placeholders):
            raise zipfile.BadZipFile("its members have two sizes")
        position += extra_length + comment_length
    if position != directory.size:
        raise zipfile.BadZipFile("its directory is not what it should be")


def _require_known_version(version_needed: int) -> None:
    """Raise BadZipFile if a member needs a version of the zip format that some programs refuse."""
    if version_needed > _MAX_VERSION_NEEDED:
        raise zipfile.BadZipFile(f"its members need version {version_needed / 10} of the format")


def _extra_fields(extra: bytes) -> dict[int, bytes]:
    """Return the extra fields of a member by identifier. Raise BadZipFile for a second name or size of the member."""
    fields: dict[int, bytes] = {}
    position = 0
    while position < len(extra):
        if position + 4 > len(extra):
            raise zipfile.BadZipFile("its members have damaged extra fields")
        identifier, length = struct.unpack_from("<HH", extra, position)
        position += 4 + length
        if position > len(extra):
            raise zipfile.BadZipFile("its members have damaged extra fields")
        if identifier == _UNICODE_PATH_FIELD:
            raise zipfile.BadZipFile("its members have two names")
        if identifier == _ZIP64_FIELD and identifier in fields:
            raise zipfile.BadZipFile("its members have two sizes")
        fields[identifier] = extra[position - length : position]
    return fields


@dataclass(frozen=True)
class Member:
    """Position of a member.

    Attributes:
        info: Entry of the directory.
        start: Offset of the member's bytes.
        has_descriptor: Whether the header announces a descriptor behind the member's bytes.
        is_zip64: Whether the descriptor has 64-bit sizes.
    """

    info: zipfile.ZipInfo
    start: int
    has_descriptor: bool
    is_zip64: bool

    @property
    def end(self) -> int:
        """Offset after the member's bytes."""
        return self.start + self.info.compress_size


def locate_members(stream: IO[bytes], infos: list[zipfile.ZipInfo], directory: Directory) -> list[Member]:
    """Return the positions of all members, in the order of their offsets.

    Only a descriptor that the member's header announces may lie between a member and the next header, or between the
    last member and the directory. In other bytes there, another program may find another member.

    Raises:
        zipfile.BadZipFile: There are other bytes between the members, or a header or a descriptor contradicts the
            directory.
    """
    members: list[Member] = []
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        _check_gap(stream, members, end, info.header_offset)
        members.append(_read_header(stream, info))
        end = members[-1].end
    _check_gap(stream, members, end, directory.start)
    return members


def _read_header(stream: IO[bytes], info: zipfile.ZipInfo) -> Member:
    """Read a member's header. Some programs use the header instead of the directory, so both must agree."""
    stream.seek(info.header_offset)
    header = _LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))
    signature, version_needed, flags, method, _, _, checksum, compressed_size, size, name_length, extra_length = header
    name, extra = stream.read(name_length), stream.read(extra_length)
    is_utf_8 = info.flag_bits & IS_UTF_8
    # A header may hold zeros if a descriptor follows the member, and placeholders if an extra field has the sizes.
    has_descriptor = bool(flags & _HAS_DESCRIPTOR)
    unknown = {0} if has_descriptor else set()
    long_sizes = _extra_fields(extra).get(_ZIP64_FIELD)
    expected = [(size, info.file_size), (compressed_size, info.compress_size)]
    if long_sizes is not None:
        short = [value for value in expected if value[0] == _IN_EXTRA_FIELD]
        known = expected if len(long_sizes) == 8 * len(expected) else short
        if len(long_sizes) != 8 * len(known) or any(
            value not in {actual, *unknown}
            for value, (_, actual) in zip(struct.unpack(f"<{len(known)}Q", long_sizes), known, strict=True)
        ):
            raise zipfile.BadZipFile("its members have two sizes")
        expected = [value for value in expected if value not in short]
    if (
        signature != b"PK\x03\x04"
        or name != info.orig_filename.encode("utf-8" if is_utf_8 else "cp437")
        or (not name.isascii() and not flags & IS_UTF_8)
        or (method, flags & UNREADABLE) != (info.compress_type, 0)
        or checksum not in {info.CRC, *unknown}
        or any(value not in {actual, *unknown} for value, actual in expected)
    ):
        raise zipfile.BadZipFile("a member says something else than the directory")
    _require_known_version(version_needed)
    start = info.header_offset + _LOCAL_HEADER.size + int(name_length) + int(extra_length)
    is_zip64 = long_sizes is not None or max(info.file_size, info.compress_size) >= _IN_EXTRA_FIELD
    return Member(info, start, has_descriptor, is_zip64)


def _check_gap(stream: IO[bytes], members: list[Member], start: int, end: int) -> None:
    """Require that the bytes after the last of the members are the descriptor that its header announces, if any."""
    descriptor = b""
    if members and members[-1].has_descriptor:
        member = members[-1]
        values = (member.info.CRC, member.info.compress_size, member.info.file_size)
        descriptor = struct.pack("<IQQ" if member.is_zip64 else "<III", *values)
    longest = _DESCRIPTOR_SIGNATURE + descriptor if descriptor else b""
    if not 0 <= end - start <= len(longest):
        raise zipfile.BadZipFile("there is something between its members")
    stream.seek(start)
    if stream.read(end - start) not in {descriptor, longest}:
        raise zipfile.BadZipFile("there is something between its members")

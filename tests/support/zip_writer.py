"""A writer of zip archives in which every field can be wrong."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

STORED, DEFLATED = 0, 8
_HAS_DESCRIPTOR, _IS_UTF_8 = 0x8, 0x800
PLACEHOLDER = 0xFFFFFFFF


class Descriptor(StrEnum):
    """What follows the bytes of a member."""

    NONE = "none"
    SHORT = "32-bit"
    SHORT_UNSIGNED = "32-bit without signature"
    LONG = "64-bit"
    LONG_UNSIGNED = "64-bit without signature"


@dataclass(frozen=True)
class ZipMember:
    """One member, with headers that are correct by default.

    Attributes:
        name: Name of the member.
        data: Data of the member.
        method: Compression.
        is_announced: Whether the header has the flag of a descriptor.
        descriptor: Kind of descriptor.
        has_zeros: Whether the header has zeros instead of checksum and sizes.
        trailing: Bytes that count as compressed but follow the compressed data.
        slack: Bytes that follow the member and its descriptor.
        wrong: Number added to the checksum and the sizes in the descriptor.
        local_name: Name in the header, None for the same name.
        is_local_utf_8: Whether the header has the flag of UTF-8 if the directory has it.
        local_extra: Extra fields in the header.
        local_sizes: Both sizes in the header, None for the real ones.
        extra: Extra fields in the directory.
        disk: Number of the part that has the member.
        attributes: External attributes: MS-DOS bits, and the mode of Unix in the high bits.
        system: System on which the member was made.
        version: Version of the format that the directory says is needed.
        local_version: Version of the format that the header says is needed.
        checksum: Declared checksum, None for the real one.
    """

    name: bytes
    data: bytes
    method: int = STORED
    is_announced: bool = False
    descriptor: Descriptor = Descriptor.NONE
    has_zeros: bool = False
    trailing: bytes = b""
    slack: bytes = b""
    wrong: tuple[int, int, int] = (0, 0, 0)
    local_name: bytes | None = None
    is_local_utf_8: bool = True
    local_extra: bytes = b""
    local_sizes: tuple[int, int] | None = None
    extra: bytes = b""
    disk: int = 0
    attributes: int = 0
    system: int = 0
    version: int = 20
    local_version: int = 20
    checksum: int | None = None


def zip64_field(*sizes: int) -> bytes:
    """Return an extra field with 64-bit sizes."""
    return struct.pack("<HH", 1, 8 * len(sizes)) + b"".join(struct.pack("<Q", size) for size in sizes)


def write_zip(members: Sequence[ZipMember], order: Sequence[int] | None = None, comment: bytes = b"") -> bytes:
    """Return an archive.

    Args:
        members: Members in the order of their bytes.
        order: Order of the members in the directory, None for the same order.
        comment: Comment of the archive.
    """
    body, entries = b"", []
    for member in members:
        header, entry = _records(member, len(body))
        body += header
        entries.append(entry)
    directory = b"".join(entries[index] for index in order or range(len(entries)))
    end = struct.pack(
        "<4sHHHHIIH", b"PK\5\6", 0, 0, len(entries), len(entries), len(directory), len(body), len(comment)
    )
    return body + directory + end + comment


def _records(member: ZipMember, offset: int) -> tuple[bytes, bytes]:
    packed = member.data
    if member.method == DEFLATED:
        compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        packed = compressor.compress(member.data) + compressor.flush()
    packed += member.trailing
    flags = (_HAS_DESCRIPTOR if member.is_announced else 0) | (0 if member.name.isascii() else _IS_UTF_8)
    checksum = zlib.crc32(member.data) if member.checksum is None else member.checksum
    real = (checksum, len(packed), len(member.data))
    local = (0, 0, 0) if member.has_zeros else real
    if member.local_sizes is not None:
        local = (local[0], *member.local_sizes)
    name = member.name if member.local_name is None else member.local_name
    common = (member.version, flags, member.method, 0, 33)
    local_flags = flags if member.is_local_utf_8 else flags & ~_IS_UTF_8
    local_common = (member.local_version, local_flags, *common[2:])
    header = struct.pack("<4sHHHHHIIIHH", b"PK\3\4", *local_common, *local, len(name), len(member.local_extra))
    entry = struct.pack(
        "<4sHHHHHHIIIHHHHHII",
        b"PK\1\2",
        20 | member.system << 8,
        *common,
        *real,
        len(member.name),
        len(member.extra),
        0,
        member.disk,
        0,
        member.attributes,
        offset,
    )
    tail = _descriptor(member.descriptor, [value + wrong for value, wrong in zip(real, member.wrong, strict=True)])
    return header + name + member.local_extra + packed + tail + member.slack, entry + member.name + member.extra


def _descriptor(kind: Descriptor, values: Sequence[int]) -> bytes:
    if kind is Descriptor.NONE:
        return b""
    is_long = kind in {Descriptor.LONG, Descriptor.LONG_UNSIGNED}
    signature = b"" if kind in {Descriptor.SHORT_UNSIGNED, Descriptor.LONG_UNSIGNED} else b"PK\7\x08"
    return signature + struct.pack("<IQQ" if is_long else "<III", *(value % 2**32 for value in values))

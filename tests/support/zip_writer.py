"""Write zip archives, also invalid ones, in which a test sets single fields to wrong values.

In this module, the header of a member is the local header before its bytes. The entry of a member is its record in
the central directory at the end of the archive.
"""

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
    """The form of the data descriptor, which repeats checksum and sizes after the bytes of a member."""

    NONE = "none"
    SHORT = "32-bit"
    SHORT_UNSIGNED = "32-bit without signature"
    LONG = "64-bit"
    LONG_UNSIGNED = "64-bit without signature"


@dataclass(frozen=True)
class ZipMember:
    """A member of an archive. Its header and its entry are correct unless an attribute changes them.

    Attributes:
        name: Name of the member.
        data: Uncompressed content of the member.
        method: Compression method: STORED or DEFLATED.
        is_announced: Whether header and entry have the flag that says that a descriptor follows.
        descriptor: Descriptor to write, with or without that flag.
        has_zeros: Whether the header has zeros instead of checksum and sizes.
        trailing: Bytes to add at the end of the compressed data. The compressed size includes them.
        slack: Bytes to write between this member (with its descriptor) and the next record.
        wrong: Numbers to add to the checksum, the compressed size and the size in the descriptor.
        local_name: Name in the header; None for the same name as in the entry.
        is_local_utf_8: Whether the header has the UTF-8 flag if the entry has it.
        local_extra: Extra fields in the header.
        local_sizes: Compressed size and size in the header; None for the real ones.
        extra: Extra fields in the entry.
        disk: Number of the disk that has the member, for an archive on several disks.
        attributes: External attributes in the entry: MS-DOS bits, and the Unix mode in the high bits.
        system: Number of the operating system on which the member was made.
        version: Version of the zip format that is needed to unpack the member, according to the entry.
        local_version: The same version, according to the header.
        checksum: CRC-32 in header, entry and descriptor; None for the real one.
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
    """Return the zip64 extra field, which has 64-bit values for sizes that do not fit into 32 bits."""
    return struct.pack("<HH", 1, 8 * len(sizes)) + b"".join(struct.pack("<Q", size) for size in sizes)


def write_zip(members: Sequence[ZipMember], order: Sequence[int] | None = None, comment: bytes = b"") -> bytes:
    """Return the bytes of an archive with these members.

    Args:
        members: Members in the order in which their contents are stored.
        order: Indexes of the members in the order of the central directory; None for the same order.
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

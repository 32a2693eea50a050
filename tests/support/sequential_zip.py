"""Unpack a zip archive from its start to its end, as a program does that receives the archive through a pipe.

This module ignores the offsets in the central directory. It imports nothing of Model Gate, and does not use `zipfile`.
"""

from __future__ import annotations

import struct
import zlib

_HEADER = struct.Struct("<4sHHHHHIIIHH")
_PLACEHOLDER = 0xFFFFFFFF


class SequentialZipError(Exception):
    """The archive cannot be read member by member up to its central directory."""


def read_sequentially(data: bytes) -> list[tuple[str, bytes]]:
    """Return the name and the content of each member, in the order in which the archive stores them.

    Raises:
        SequentialZipError: A part of the archive is neither a valid member nor the central directory.
    """
    members = []
    position = 0
    while data.startswith(b"PK\3\4", position):
        name, content, position = _read_member(data, position)
        members.append((name, content))
    if not data.startswith((b"PK\1\2", b"PK\5\6"), position):
        raise SequentialZipError(f"there is no record at {position}")
    return members


def _read_member(data: bytes, position: int) -> tuple[str, bytes, int]:
    _, _, flags, method, _, _, checksum, packed_size, size, name_length, extra_length = _HEADER.unpack_from(
        data, position
    )
    position += _HEADER.size
    raw_name = data[position : position + name_length]
    name = raw_name.decode("utf-8" if flags & 0x800 else "cp437")
    extra = data[position + name_length : position + name_length + extra_length]
    start = position + name_length + extra_length
    long_sizes = _long_sizes(extra)
    if _PLACEHOLDER in {packed_size, size}:
        if len(long_sizes) < 2:
            raise SequentialZipError("a size is missing")
        size, packed_size = long_sizes[:2]
    if flags & 0x8 and not packed_size:
        content, end = _read_unsized(data, start, method, is_long=bool(long_sizes))
        return name, content, end
    content = _unpack(data[start : start + packed_size], method)
    end = start + packed_size
    if flags & 0x8:
        end = _descriptor_end(data, end, content, packed_size, is_long=bool(long_sizes))
    elif zlib.crc32(content) != checksum:
        raise SequentialZipError("a checksum is wrong")
    if len(content) != size and not flags & 0x8:
        raise SequentialZipError("a size is wrong")
    return name, content, end


def _long_sizes(extra: bytes) -> tuple[int, ...]:
    position = 0
    while position + 4 <= len(extra):
        identifier, length = struct.unpack_from("<HH", extra, position)
        if identifier == 1:
            return struct.unpack_from(f"<{length // 8}Q", extra, position + 4)
        position += 4 + length
    return ()


def _unpack(packed: bytes, method: int) -> bytes:
    if method == 0:
        return packed
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    content = inflater.decompress(packed)
    if not inflater.eof or inflater.unused_data:
        raise SequentialZipError("the compressed data ends elsewhere")
    return content


def _read_unsized(data: bytes, start: int, method: int, *, is_long: bool) -> tuple[bytes, int]:
    """Return the content of a member whose header has no size, and the offset where its data descriptor ends."""
    if method:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        content = inflater.decompress(data[start:])
        if not inflater.eof:
            raise SequentialZipError("the compressed data has no end")
        end = len(data) - len(inflater.unused_data)
        return content, _descriptor_end(data, end, content, end - start, is_long=is_long)
    for end in range(start, len(data)):
        content = data[start:end]
        try:
            return content, _descriptor_end(data, end, content, len(content), is_long=is_long)
        except SequentialZipError:
            continue
    raise SequentialZipError("a member has no end")


def _descriptor_end(data: bytes, position: int, content: bytes, packed_size: int, *, is_long: bool) -> int:
    expected = struct.pack("<IQQ" if is_long else "<III", zlib.crc32(content), packed_size, len(content))
    for signature in (b"PK\7\x08", b""):
        if data.startswith(signature + expected, position):
            return position + len(signature) + len(expected)
    raise SequentialZipError("a descriptor is wrong")

"""Archives are not equivalent if zip libraries, or programs such as PyTorch, could read them differently."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.explained import explain, field_of, zipped
from tests.support.zip_writer import DEFLATED, PLACEHOLDER, STORED, Descriptor, ZipMember, write_zip, zip64_field

DATA = b"weights " * 20
PLAIN = ZipMember(b"model/data/0", DATA)
LAST = ZipMember(b"model/version", b"3\n")


def reason(tmp_path: Path, left: bytes, right: bytes, name: str = "model.pt") -> str:
    return explain(tmp_path, name, left, right).rewrite_reason


def is_equivalent_to_plain(tmp_path: Path, member: ZipMember, name: str = "") -> bool:
    """Return whether an archive with `member` is equivalent to one with the plain member in its place.

    The two archives are compared in both directions, and with the member in the first and in the last place. All
    results must agree. `name` is the file name of both archives, "" for the name of a PyTorch file, or of a NumPy file
    if `member` is compressed.
    """
    name = name or ("model.pt" if member.method == STORED else "model.npz")
    plain, other = write_zip([PLAIN, LAST]), write_zip([member, LAST])
    with zipfile.ZipFile(io.BytesIO(other)) as archive:
        assert archive.read("model/data/0") == DATA, "zipfile sees no difference"
    reasons = {bool(reason(tmp_path, plain, other, name)), bool(reason(tmp_path, other, plain, name))}
    # Behind the last member is the central directory instead of the header of another member.
    reasons |= {bool(reason(tmp_path, write_zip([LAST, PLAIN]), write_zip([LAST, member]), name))}
    assert len(reasons) == 1
    return reasons.pop()


@pytest.mark.parametrize("method", [STORED, DEFLATED])
@pytest.mark.parametrize("has_zeros", [False, True])
@pytest.mark.parametrize("descriptor", [Descriptor.SHORT, Descriptor.SHORT_UNSIGNED])
def test_zip_member_with_announced_data_descriptor_is_equivalent_to_a_plain_member(
    descriptor: Descriptor, has_zeros: bool, method: int, tmp_path: Path
) -> None:
    assert is_equivalent_to_plain(
        tmp_path, replace(PLAIN, method=method, is_announced=True, descriptor=descriptor, has_zeros=has_zeros)
    )


@pytest.mark.parametrize("descriptor", [Descriptor.LONG, Descriptor.LONG_UNSIGNED])
def test_zip_member_with_announced_64_bit_descriptor_is_equivalent_to_a_plain_member(
    descriptor: Descriptor, tmp_path: Path
) -> None:
    for sizes, field in (((PLACEHOLDER, PLACEHOLDER), (0, 0)), ((0, 0), (len(DATA), len(DATA)))):
        member = replace(PLAIN, is_announced=True, descriptor=descriptor, local_extra=zip64_field(*field))
        assert is_equivalent_to_plain(tmp_path, replace(member, local_sizes=sizes))


def test_archive_written_to_a_pipe_is_equivalent_to_one_written_to_a_file(tmp_path: Path) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def tell(self) -> int:
            raise OSError

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w") as archive:
        for member in (PLAIN, LAST):
            with archive.open(member.name.decode(), "w", force_zip64=member is LAST) as stream:
                stream.write(member.data)
    assert reason(tmp_path, write_zip([PLAIN, LAST]), pipe.getvalue())


@pytest.mark.parametrize("size", [1, 12, 16, 20, 24, 25])
def test_zip_member_followed_by_unannounced_bytes_is_not_equivalent_to_a_plain_member(
    size: int, tmp_path: Path
) -> None:
    assert not is_equivalent_to_plain(tmp_path, replace(PLAIN, slack=(b"hidden" * 5)[:size]))


@pytest.mark.parametrize("descriptor", list(Descriptor)[1:])
def test_zip_member_with_unannounced_data_descriptor_is_not_equivalent_to_a_plain_member(
    descriptor: Descriptor, tmp_path: Path
) -> None:
    assert not is_equivalent_to_plain(tmp_path, replace(PLAIN, descriptor=descriptor))


@pytest.mark.parametrize(
    "member",
    [
        replace(PLAIN, is_announced=True),
        replace(PLAIN, is_announced=True, slack=b"hidden" * 4),
        replace(PLAIN, is_announced=True, slack=b"PK\7\x08" + b"hidden" * 2),
        replace(PLAIN, is_announced=True, descriptor=Descriptor.SHORT, wrong=(1, 0, 0)),
        replace(PLAIN, is_announced=True, descriptor=Descriptor.SHORT, wrong=(0, 1, 0)),
        replace(PLAIN, is_announced=True, descriptor=Descriptor.SHORT, wrong=(0, 0, 1)),
        replace(PLAIN, is_announced=True, descriptor=Descriptor.SHORT_UNSIGNED, wrong=(1, 0, 0)),
        replace(PLAIN, is_announced=True, descriptor=Descriptor.SHORT, slack=b"12345678"),
        replace(PLAIN, is_announced=True, descriptor=Descriptor.SHORT_UNSIGNED, slack=b"1234"),
        replace(PLAIN, is_announced=True, descriptor=Descriptor.LONG),
        replace(
            PLAIN,
            is_announced=True,
            descriptor=Descriptor.SHORT,
            local_sizes=(PLACEHOLDER, PLACEHOLDER),
            local_extra=zip64_field(0, 0),
        ),
    ],
)
def test_zip_member_with_wrong_data_descriptor_is_not_equivalent_to_a_plain_member(
    member: ZipMember, tmp_path: Path
) -> None:
    assert not is_equivalent_to_plain(tmp_path, member)


@pytest.mark.parametrize(
    "member",
    [
        replace(PLAIN, local_sizes=(PLACEHOLDER, PLACEHOLDER)),
        replace(PLAIN, local_sizes=(PLACEHOLDER, PLACEHOLDER), local_extra=zip64_field(3, 3)),
        replace(PLAIN, local_sizes=(PLACEHOLDER, PLACEHOLDER), local_extra=zip64_field(0, 0)),
        replace(PLAIN, local_sizes=(PLACEHOLDER, PLACEHOLDER), local_extra=zip64_field(len(DATA))),
        replace(PLAIN, local_extra=zip64_field(3, 3)),
        replace(PLAIN, local_extra=zip64_field(len(DATA), len(DATA)) * 2),
        replace(PLAIN, extra=zip64_field(3, 3)),
        replace(PLAIN, extra=zip64_field(len(DATA), len(DATA))),
        replace(PLAIN, local_extra=b"FB\x09\x00Z"),
        replace(PLAIN, local_extra=b"FB"),
    ],
)
def test_zip_member_with_inconsistent_size_fields_is_not_equivalent_to_a_plain_member(
    member: ZipMember, tmp_path: Path
) -> None:
    assert not is_equivalent_to_plain(tmp_path, member)


def test_zip_member_with_64_bit_sizes_or_padding_is_equivalent_to_a_plain_member(tmp_path: Path) -> None:
    field = zip64_field(len(DATA), len(DATA))
    for extra in (field, field + b"FB\x02\x00ZZ"):
        member = replace(PLAIN, local_sizes=(PLACEHOLDER, PLACEHOLDER), local_extra=extra)
        assert is_equivalent_to_plain(tmp_path, member)
    assert is_equivalent_to_plain(tmp_path, replace(PLAIN, local_extra=b"FB\x02\x00ZZ"))


@pytest.mark.parametrize("trailing", [b"\0", b"PK\7\x08", write_zip([LAST])], ids=["byte", "signature", "archive"])
def test_zip_member_with_trailing_bytes_is_not_equivalent_to_a_plain_member(trailing: bytes, tmp_path: Path) -> None:
    assert is_equivalent_to_plain(tmp_path, replace(PLAIN, method=DEFLATED))
    assert not is_equivalent_to_plain(tmp_path, replace(PLAIN, method=DEFLATED, trailing=trailing))


def test_archives_with_the_same_damaged_compressed_data_are_not_equivalent(tmp_path: Path) -> None:
    left, right = (bytearray(write_zip([replace(PLAIN, method=DEFLATED)], comment=comment)) for comment in (b"a", b"b"))
    assert reason(tmp_path, bytes(left), bytes(right), "model.npz")
    start = 30 + len(PLAIN.name)
    for position in (start, start + 3, start + 8):
        damaged = []
        for data in (left, right):
            copy = bytearray(data)
            copy[position] ^= 0x10
            damaged.append(bytes(copy))
        assert not reason(tmp_path, damaged[0], damaged[1], "model.npz"), position


def test_archives_with_equal_bytes_after_compressed_data_are_not_equivalent(tmp_path: Path) -> None:
    member = replace(PLAIN, method=DEFLATED, trailing=b"hidden")
    assert not reason(tmp_path, write_zip([member]), write_zip([member], comment=b"other"), "model.npz")


def test_skops_file_with_bytes_after_its_schema_is_not_equivalent_to_one_without(tmp_path: Path) -> None:
    schemas = [ZipMember(b"schema.json", b'{"__loader__": "DictNode", "__id__": %d}' % address) for address in (1, 2)]
    left, right = (replace(schema, method=DEFLATED) for schema in schemas)
    assert reason(tmp_path, write_zip([left]), write_zip([right]), "model.skops")
    assert not reason(tmp_path, write_zip([left]), write_zip([replace(right, trailing=b"hidden")]), "model.skops")


def test_zip_members_that_declare_the_encoding_of_their_name_differently_are_not_equivalent(tmp_path: Path) -> None:
    member = ZipMember("model/é".encode(), DATA)
    assert reason(tmp_path, write_zip([member]), write_zip([replace(member, local_extra=b"FB\x02\x00ZZ")]))
    assert not reason(tmp_path, write_zip([member]), write_zip([replace(member, is_local_utf_8=False)]))


def test_archives_with_lzma_compression_are_never_equivalent(tmp_path: Path) -> None:
    members = {"model/data/0": DATA}
    assert reason(tmp_path, zipped(members), zipped(members, method=zipfile.ZIP_DEFLATED), "model.npz")
    lzma = zipped(members, method=zipfile.ZIP_LZMA)
    assert not reason(tmp_path, zipped(members), lzma, "model.npz")
    assert not reason(tmp_path, lzma, zipped(members, method=zipfile.ZIP_LZMA, comment=b"other"), "model.npz")


def test_zip_member_with_a_wrong_disk_number_is_not_equivalent_to_a_plain_member(tmp_path: Path) -> None:
    assert not is_equivalent_to_plain(tmp_path, replace(PLAIN, disk=1))


def test_archive_with_truncated_central_directory_is_not_equivalent_to_the_intact_archive(tmp_path: Path) -> None:
    data = write_zip([PLAIN])
    start = data.index(b"PK\1\2")
    # zipfile shortens the extra fields of the entry to the bytes that are there.
    cut = data[: start + 30] + (4).to_bytes(2, "little") + data[start + 32 :]
    with zipfile.ZipFile(io.BytesIO(cut)) as archive:
        assert archive.read("model/data/0") == DATA
    assert not reason(tmp_path, data, cut)


@pytest.mark.parametrize("first, second", [("data/A", "data/a"), ("Data/a", "data/a"), ("data/ß", "data/SS")])
@pytest.mark.parametrize("suffix", ["pt", "pth", "pt2"])
def test_pytorch_archives_with_member_names_that_differ_only_in_case_are_not_equivalent(
    first: str, second: str, suffix: str, tmp_path: Path
) -> None:
    members = {"model/data.pkl": b"N.", f"model/{first}": b"1", f"model/{second}": b"2"}
    others = dict(sorted(members.items(), reverse=True))
    assert not reason(tmp_path, zipped(members), zipped(others), f"model.{suffix}")
    assert not reason(tmp_path, zipped(members), zipped(members, year=2026), f"model.{suffix}")


def test_repacked_npz_file_with_names_that_differ_only_in_case_is_equivalent_to_the_original(
    tmp_path: Path,
) -> None:
    members = {"A.npy": b"1", "a.npy": b"2"}
    assert reason(tmp_path, zipped(members), zipped(members, year=2026), "model.npz")


def npz(names: Sequence[str]) -> bytes:
    target = io.BytesIO()
    np.savez(target, allow_pickle=False, **{name: np.array([float(ord(name))]) for name in names})
    return target.getvalue()


@pytest.mark.parametrize("left, right", [("ab", "ba"), ("abc", "acb"), ("abc", "cab")])
def test_npz_files_with_arrays_in_different_order_are_not_equivalent(left: str, right: str, tmp_path: Path) -> None:
    values = []
    for data in (npz(left), npz(right)):
        with np.load(io.BytesIO(data)) as arrays:
            values.append([float(value[0]) for value in arrays.values()])
    assert values[0] != values[1]
    explanation = explain(tmp_path, "model.npz", npz(left), npz(right))
    assert explanation.rewrite_reason == ""
    assert "which NumPy shows" in field_of(explanation, "(order)").meaning


def test_npz_files_with_reordered_long_array_names_are_not_equivalent(tmp_path: Path) -> None:
    names = ["x" * 300 + last for last in "ab"]
    left, right = (dict.fromkeys(order, b"1") for order in (names, names[::-1]))
    assert not reason(tmp_path, zipped(left), zipped(right), "model.npz")
    assert reason(tmp_path, zipped(left), zipped(left, year=2026), "model.npz")


def test_member_order_in_the_central_directory_makes_npz_files_different(tmp_path: Path) -> None:
    members = [ZipMember(b"a", b"1"), ZipMember(b"b", b"2")]
    assert not reason(tmp_path, write_zip(members), write_zip(members, order=[1, 0]), "model.npz")
    assert reason(tmp_path, write_zip(members), write_zip(members[::-1], order=[1, 0]), "model.npz")


def test_pytorch_archives_whose_first_member_has_no_directory_are_not_equivalent(tmp_path: Path) -> None:
    left, right = {"a": b"1", "/data.pkl": b"2"}, {"/data.pkl": b"2", "a": b"1"}
    assert not reason(tmp_path, zipped(left), zipped(right))


@pytest.mark.parametrize(
    "first, second",
    [
        ("assets/a", "assets//a"),
        ("assets/a", "assets/./a"),
        ("assets/a", "/assets/a"),
        ("a", "../a"),
        ("d/a", "d/../a"),
    ],
)
def test_keras_archives_with_two_members_for_the_same_unpacked_file_are_not_equivalent(
    first: str, second: str, tmp_path: Path
) -> None:
    left, right = (
        {"config.json": b"{}", **{name: name.encode() for name in names}}
        for names in ((first, second), (second, first))
    )
    unpacked: list[list[bytes]] = []
    for data in (zipped(left), zipped(right)):
        directory = tmp_path / f"unpacked-{len(unpacked)}"
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            archive.extractall(directory)
        unpacked.append([file.read_bytes() for file in directory.rglob("a")])
    assert unpacked[0] != unpacked[1]
    assert not reason(tmp_path, zipped(left), zipped(right), "model.keras")


@pytest.mark.parametrize(
    "attributes",
    [0x10, 0x08, 0x02, stat.S_IFDIR << 16, stat.S_IFIFO << 16, stat.S_IFCHR << 16, stat.S_IFLNK << 16, 0x400],
    ids=["DOS directory", "DOS label", "DOS hidden", "directory", "FIFO", "device", "link", "DOS reparse point"],
)
def test_zip_member_with_attributes_of_another_type_is_not_equivalent_to_a_plain_member(
    attributes: int, tmp_path: Path
) -> None:
    for name in ("model.pt", "model.npz"):
        assert not is_equivalent_to_plain(tmp_path, replace(PLAIN, attributes=attributes), name)


def test_archives_with_the_same_contradictory_attributes_are_not_equivalent(tmp_path: Path) -> None:
    for member in (
        replace(PLAIN, attributes=0x10),
        replace(PLAIN, attributes=stat.S_IFDIR << 16),
        ZipMember(b"model/d/", b"", attributes=stat.S_IFREG << 16),
    ):
        assert not reason(tmp_path, write_zip([member]), write_zip([replace(member, local_extra=b"FB\x02\x00ZZ")]))


@pytest.mark.parametrize("attributes", [0, stat.S_IFDIR << 16, 0x10, 0o40700 << 16])
def test_directories_in_archives_are_equivalent_only_with_equal_attributes(attributes: int, tmp_path: Path) -> None:
    member = ZipMember(b"model/d/", b"", attributes=(0o40755 << 16) | 0x10)
    padded = replace(member, local_extra=b"FB\x02\x00ZZ")
    assert reason(tmp_path, write_zip([PLAIN, member]), write_zip([PLAIN, padded]))
    other = replace(member, attributes=attributes)
    assert not reason(tmp_path, write_zip([PLAIN, member]), write_zip([PLAIN, other]))


@pytest.mark.parametrize("attributes", [0o600 << 16, 0o100644 << 16, (0o100444 << 16) | 0x21, 0x20])
@pytest.mark.parametrize("system", [0, 3])
def test_permissions_of_a_zip_member_do_not_affect_equivalence(attributes: int, system: int, tmp_path: Path) -> None:
    assert is_equivalent_to_plain(tmp_path, replace(PLAIN, attributes=attributes, system=system))


def test_zip_member_from_another_operating_system_is_not_equivalent_to_a_plain_member(tmp_path: Path) -> None:
    assert not is_equivalent_to_plain(tmp_path, replace(PLAIN, system=2))
    member = ZipMember(b"model/a\\b", DATA)
    assert not reason(tmp_path, write_zip([member]), write_zip([replace(member, system=3)]))


@pytest.mark.parametrize("suffix", ["pt", "pth", "pt2"])
def test_pytorch_archives_are_equivalent_only_without_compression(suffix: str, tmp_path: Path) -> None:
    # torch.load(mmap=True) takes the bytes of a tensor as they are stored.
    stored, deflated = write_zip([PLAIN, LAST]), write_zip([replace(PLAIN, method=DEFLATED), LAST])
    assert not reason(tmp_path, stored, deflated, f"model.{suffix}")
    assert not reason(tmp_path, deflated, stored, f"model.{suffix}")
    padded = write_zip([replace(PLAIN, method=DEFLATED, local_extra=b"FB\x02\x00ZZ"), LAST])
    assert not reason(tmp_path, deflated, padded, f"model.{suffix}")
    assert reason(tmp_path, deflated, padded, "model.npz")


@pytest.mark.parametrize("size", [1, 4_000, 0xFFFF])
def test_pytorch_archives_with_a_comment_are_not_equivalent(size: int, tmp_path: Path) -> None:
    plain, commented = write_zip([PLAIN]), write_zip([PLAIN], comment=b"c" * size)
    assert not reason(tmp_path, plain, commented)
    assert not reason(tmp_path, commented, write_zip([PLAIN], comment=b"d" * size))
    assert reason(tmp_path, plain, commented, "model.npz")


def zip64(
    data: bytes, comment: bytes = b"", disks: int = 1, extensible: bytes = b"", start: int | None = None, disk: int = 0
) -> bytes:
    """Return an archive that has 64-bit end records and a comment.

    Args:
        data: The archive, without a comment.
        comment: Comment of the archive.
        disks: Number of parts in the locator.
        extensible: Extensible data of the 64-bit end record.
        start: Offset of the directory in the 64-bit end record, None for the real one.
        disk: Number of the part that has the 64-bit end record, in the locator.
    """
    body, end = data[:-22], struct.unpack("<4sHHHHIIH", data[-22:])
    entries, length = end[4], end[5]
    offset = end[6] if start is None else start
    size = 44 + len(extensible)
    record = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", size, 45, 45, 0, 0, entries, entries, length, offset) + extensible
    locator = struct.pack("<4sIQI", b"PK\6\7", disk, len(body), disks)
    return body + record + locator + struct.pack("<4sHHHHIIH", *end[:7], len(comment)) + comment


@pytest.mark.parametrize("size", [0, 10, 0xFFFF - 20, 0xFFFF])
def test_zip64_end_records_before_a_comment_of_any_length_are_read(size: int, tmp_path: Path) -> None:
    plain = write_zip([PLAIN])
    comment = b"c" * size
    assert reason(tmp_path, plain, zip64(plain, comment), "model.npz")
    for wrong in (zip64(plain, comment, start=1), zip64(plain, comment, disks=2), zip64(plain, comment, disk=1)):
        assert not reason(tmp_path, plain, wrong, "model.npz")
    # The 64-bit end records lie in the comment of the last member: programs that do not see them find two directories.
    entries = plain[plain.index(b"PK\1\2") : -22]
    hidden = zip64(plain)[len(plain) - 22 : -22]
    longer = entries[:32] + len(hidden).to_bytes(2, "little") + entries[34:] + hidden
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 1, 1, len(longer), plain.index(b"PK\1\2"), size)
    assert not reason(tmp_path, plain, plain[: plain.index(b"PK\1\2")] + longer + end + comment, "model.npz")


@pytest.mark.parametrize("disks", [0, 2, 0xFFFFFFFF])
def test_zip64_end_record_with_a_part_count_other_than_one_makes_archives_not_equivalent(
    disks: int, tmp_path: Path
) -> None:
    plain = write_zip([PLAIN])
    assert reason(tmp_path, plain, zip64(plain))
    assert not reason(tmp_path, plain, zip64(plain, disks=disks))


def test_zip64_end_record_with_extra_data_makes_archives_not_equivalent(tmp_path: Path) -> None:
    plain = write_zip([PLAIN])
    for extensible in (b"x", bytes(20), b"PK\6\6" + bytes(52)):
        assert not reason(tmp_path, plain, zip64(plain, extensible=extensible))


@pytest.mark.parametrize("method", [STORED, DEFLATED])
@pytest.mark.parametrize("name", ["model.npz", "model.keras", "model.skops"])
def test_archives_with_the_same_wrong_checksum_are_not_equivalent(name: str, method: int, tmp_path: Path) -> None:
    member = replace(PLAIN, method=method, checksum=zlib.crc32(DATA) ^ 1)
    padded = replace(member, local_extra=b"FB\x02\x00ZZ")
    assert not reason(tmp_path, write_zip([member, LAST]), write_zip([padded, LAST]), name)
    assert reason(
        tmp_path,
        write_zip([replace(member, checksum=None), LAST]),
        write_zip([replace(padded, checksum=None), LAST]),
        name,
    )


def test_skops_schemas_with_wrong_checksums_are_not_equivalent(tmp_path: Path) -> None:
    left, right = (
        ZipMember(b"schema.json", b'{"__loader__": "DictNode", "__id__": %d}' % address, checksum=checksum)
        for address, checksum in ((1, None), (2, 1))
    )
    assert reason(tmp_path, write_zip([left]), write_zip([replace(right, checksum=None)]), "model.skops")
    assert not reason(tmp_path, write_zip([left]), write_zip([right]), "model.skops")


def test_pytorch_archives_written_without_checksums_may_be_equivalent(tmp_path: Path) -> None:
    # torch.serialization.set_crc32_options(False) writes such archives, and PyTorch loads them.
    member = replace(PLAIN, checksum=1)
    assert reason(tmp_path, write_zip([member]), write_zip([replace(member, local_extra=b"FB\x02\x00ZZ")]))


@pytest.mark.parametrize("version", [46, 51, 63, 64, 99, 20 | 3 << 8])
def test_zip_member_that_needs_a_version_unknown_to_some_zip_libraries_is_not_equivalent(
    version: int, tmp_path: Path
) -> None:
    plain = write_zip([PLAIN, LAST])
    for version_field in ("version", "local_version"):
        member = replace(PLAIN, **{version_field: version})  # type: ignore[arg-type]  # a name of an integer field
        for name in ("model.pt", "model.npz"):
            assert not reason(tmp_path, plain, write_zip([member, LAST]), name)
            assert not reason(tmp_path, write_zip([member, LAST]), write_zip([LAST, member]), name)
    assert is_equivalent_to_plain(tmp_path, replace(PLAIN, version=45, local_version=10))

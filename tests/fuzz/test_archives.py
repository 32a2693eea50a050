"""Random pairs of archives: if a pair is equivalent, zip libraries and MLflow's flavors read the same from both."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.pairs import Answers
from tests.support.sequential_zip import read_sequentially
from tests.support.zip_writer import DEFLATED, PLACEHOLDER, STORED, Descriptor, ZipMember, write_zip, zip64_field

pytestmark = [pytest.mark.fuzz, pytest.mark.timeout(0)]

Members = list[tuple[str, bytes]]


def one_in(count: int) -> st.SearchStrategy[bool]:
    """Return a strategy that draws True in one of `count` cases."""
    return st.sampled_from([False] * (count - 1) + [True])


def npy(*values: float) -> bytes:
    target = io.BytesIO()
    np.save(target, np.array(values))
    return target.getvalue()


NPZ_NAMES = ["a.npy", "b.npy", "A.npy", "a", "a.npy.npy", "é.npy", "d/a.npy", "d//a.npy"]
PYTORCH_NAMES = [
    "m/data.pkl",
    "m/data/0",
    "M/data.pkl",
    "m/Data/0",
    "n/data.pkl",
    "data.pkl",
    "/data.pkl",
    "m/é",
    "m/É",
]
KERAS_NAMES = ["config.json", "assets/a", "model.weights.h5", "assets//a", "assets/./a", "Assets/a", "metadata.json"]


@st.composite
def plain_members(draw: st.DrawFn, names: list[str]) -> tuple[Members, Members]:
    """Return the members of two archives, which are the same except for a few random changes."""
    # The first names never collide.
    names = draw(st.sampled_from([names[:2], names[:2], names]))
    is_unique = not draw(one_in(20))
    chosen = draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=is_unique))
    left = [(name, b"{}" if name.endswith(".json") else npy(draw(st.integers(0, 1)))) for name in chosen]
    right = list(left)
    if draw(one_in(3)):
        right = draw(st.permutations(right))
    if draw(one_in(5)):
        index = draw(st.integers(0, len(right) - 1))
        right[index] = (draw(st.sampled_from(names)), npy(draw(st.integers(0, 2))))
    return left, right


@cache
def skops_members() -> Members:
    data = skops.io.dumps({"first": np.arange(2.0), "second": np.arange(2.0, 4.0), "third": [np.arange(3), "text"]})
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


ADDRESSES = [1, 2, 3, 0, -1, 1.0, 2.0, True, False, None, "1", [1], {"a": 1}, 10**25]


def renamed(members: Members, addresses: list[int]) -> tuple[dict[str, bytes], Any]:
    """Return the members and the schema of a skops file in which these memory addresses replace the original ones."""
    files = dict(members)
    text = files.pop("schema.json").decode()
    known = sorted({int(name.partition(".")[0]) for name in files})
    for old, new in zip(known, addresses, strict=False):
        text = text.replace(str(old), str(new))
        files[f"{new}.npy"] = files.pop(f"{old}.npy")
    return files, json.loads(text)


def nodes_of(tree: Any) -> list[dict[str, Any]]:
    """Return all nodes of a skops schema that have a loader."""
    if isinstance(tree, list):
        return [node for item in tree for node in nodes_of(item)]
    if not isinstance(tree, dict):
        return []
    own = [tree] if "__loader__" in tree else []
    return own + [node for item in tree.values() for node in nodes_of(item)]


@st.composite
def skops_pairs(draw: st.DrawFn) -> tuple[Members, Members]:
    """Return the members of two skops files with different memory addresses and mostly the same unusual changes."""
    halves = []
    changes = draw(
        st.lists(
            st.tuples(
                st.integers(0, 30),
                st.sampled_from(["address", "address", "reference", "file", "drop"]),
                st.sampled_from(ADDRESSES),
            ),
            max_size=2,
        )
    )
    for is_right in (False, True):
        addresses = draw(st.permutations([1, 2, 3]))
        files, schema = renamed(skops_members(), addresses)
        for index, kind, address in changes:
            if is_right and draw(one_in(6)):
                continue
            nodes = [node for node in nodes_of(schema) if node is not schema]
            node = nodes[index % len(nodes)]
            if kind == "address":
                node["__id__"] = address
            elif kind == "reference":
                node.clear()
                node["__id__"] = address
            elif kind == "file" and "file" in node:
                node["file"] = draw(st.sampled_from(["1.npy", "2.npy", 1, "schema.json", "none"]))
            elif kind == "drop":
                node.pop("__loader__", None)
        halves.append([*draw(st.permutations(sorted(files.items()))), ("schema.json", json.dumps(schema).encode())])
    return halves[0], halves[1]


@st.composite
def zip_members(draw: st.DrawFn, members: Members, *, is_mapped: bool) -> list[ZipMember]:
    """Return the members of an archive. Some of them have unusual headers."""
    return [draw(odd_member(name, data, is_mapped=is_mapped)) for name, data in members]


@st.composite
def odd_member(draw: st.DrawFn, name: str, data: bytes, *, is_mapped: bool) -> ZipMember:
    methods = [STORED] * (19 if is_mapped else 2) + [DEFLATED]
    padding = draw(st.sampled_from([b"", b"FB\x02\x00ZZ"])) if is_mapped else b""
    attributes = draw(st.sampled_from([0, 0, 0o600 << 16, 0o100644 << 16] * 5 + [0x10, 0o40755 << 16]))
    member = ZipMember(name.encode(), data, draw(st.sampled_from(methods)), local_extra=padding, attributes=attributes)
    kind = draw(st.sampled_from(["plain"] * 24 + ["descriptor"] * 4 + ["zip64", "odd"]))
    if kind == "descriptor":
        descriptor = draw(st.sampled_from([Descriptor.SHORT, Descriptor.SHORT_UNSIGNED, *Descriptor]))
        return replace(
            member,
            is_announced=not draw(one_in(6)),
            has_zeros=draw(st.booleans()),
            descriptor=descriptor,
            local_extra=draw(st.sampled_from([b"", b"", zip64_field(0, 0)])),
            wrong=draw(st.sampled_from([(0, 0, 0), (0, 0, 0), (0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)])),
        )
    if kind == "zip64":
        size = len(data) + draw(st.sampled_from([0, 0, 0, 1]))
        return replace(
            member,
            method=STORED,
            local_sizes=draw(st.sampled_from([None, (PLACEHOLDER, PLACEHOLDER), (PLACEHOLDER, PLACEHOLDER)])),
            local_extra=draw(st.sampled_from([zip64_field(size, size), zip64_field(size), b"", b"FB\x01\x00Z"])),
        )
    if kind == "odd":
        return draw(
            st.sampled_from(
                [
                    replace(member, slack=b"?" * 24),
                    replace(member, slack=b"?"),
                    replace(member, method=DEFLATED, trailing=b"?"),
                    replace(member, method=DEFLATED, trailing=write_zip([ZipMember(b"hidden", b"1")])[:-22]),
                    replace(member, local_name=b"?" * len(member.name)),
                    replace(member, local_sizes=(1, 1)),
                    replace(member, extra=zip64_field(1, 1)),
                    replace(member, extra=b"up\x06\x00\x01\0\0\0\0x"),
                    replace(member, disk=1),
                    replace(member, name=member.name + b"\0x"),
                ]
            )
        )
    return member


@st.composite
def archives(draw: st.DrawFn, members: Members, *, is_mapped: bool) -> bytes:
    entries = draw(zip_members(members, is_mapped=is_mapped))
    order = draw(st.permutations(range(len(entries)))) if draw(one_in(10)) else None
    data = write_zip(
        entries, order, draw(st.sampled_from([b""] * (30 if is_mapped else 8) + [b"comment", b"PK\5\6" + bytes(18)]))
    )
    if draw(one_in(12)):
        place = draw(st.integers(0, len(data) - 1))
        data = data[:place] + bytes([draw(st.integers(0, 255))]) + data[place + 1 :]
    return data


@st.composite
def pairs(
    draw: st.DrawFn, members: st.SearchStrategy[tuple[Members, Members]], *, is_mapped: bool
) -> tuple[bytes, bytes]:
    """Return two archives.

    If `is_mapped`, as for PyTorch files, few archives are compressed or have a comment, since such archives are never
    equivalent.
    """
    left, right = draw(members)
    return draw(archives(left, is_mapped=is_mapped)), draw(archives(right, is_mapped=is_mapped))


def shown_by_zipfile(data: bytes) -> Members:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(name, _read_unchecked(archive, name)) for name in archive.namelist()]


def _read_unchecked(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return a member, even if it is stored and has a wrong checksum, which PyTorch does not look at."""
    with archive.open(name) as stream:
        if archive.getinfo(name).compress_type == STORED:
            stream._expected_crc = None  # type: ignore[attr-defined]  # zipfile has no other way
        return stream.read()


def has_wrong_checksum(data: bytes) -> bool:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.testzip() is not None


def shown_by_numpy(data: bytes) -> object:
    try:
        with np.load(io.BytesIO(data)) as arrays:
            return [(name, repr(value)) for name, value in arrays.items()]
    except (ValueError, zipfile.BadZipFile) as error:
        return type(error)


def shown_by_skops(data: bytes) -> object:
    """Return a description of the loaded object, with the values that it shares, or the type of the error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            untrusted = skops.io.get_untrusted_types(data=data)
            value = skops.io.loads(data)
    except Exception as error:  # noqa: BLE001  # each file that cannot be loaded has its own error
        return type(error)
    numbers: dict[int, int] = {}
    shown: list[object] = [untrusted]
    pending = [value]
    while pending:
        item = pending.pop()
        shown.append((numbers.setdefault(id(item), len(numbers)), type(item).__name__))
        if isinstance(item, dict):
            shown.append((len(item), repr(list(item))))
            pending += item.values()
        elif isinstance(item, list):
            pending += item
        else:
            shown.append((0, repr(item)))
    return shown


def shown_by_pytorch(data: bytes) -> object:
    """Return the directory of the first member and the records in it, None if the first member is in no directory.

    PyTorch looks for records in this directory only, and ignores the case of their names.
    """
    members = shown_by_zipfile(data)
    first, slash, _ = members[0][0].partition("/")
    if not slash:
        return None
    folded: dict[str, set[bytes]] = {}
    for name, content in members:
        folded.setdefault(name.lower(), set()).add(content)
    records = {
        name.removeprefix(f"{first}/"): folded[name.lower()] for name, _ in members if name.startswith(f"{first}/")
    }
    assert all(len(contents) == 1 for contents in folded.values())
    return first, records


def unpacked(data: bytes) -> dict[str, bytes]:
    """Return the files that `zipfile` writes when it unpacks the members in their order."""
    files = {}
    for name, content in shown_by_zipfile(data):
        files["/".join(part for part in name.split("/") if part not in {"", ".", ".."})] = content
    return files


def check_zip_readers(left: bytes, right: bytes) -> None:
    for data in (left, right):
        if not has_wrong_checksum(data):
            assert sorted(read_sequentially(data)) == sorted(shown_by_zipfile(data))
    assert has_wrong_checksum(left) == has_wrong_checksum(right)


def check_same_members(left: bytes, right: bytes) -> None:
    check_zip_readers(left, right)
    assert sorted(shown_by_zipfile(left)) == sorted(shown_by_zipfile(right))


def run(
    name: str,
    members: st.SearchStrategy[tuple[Members, Members]],
    check: Callable[[bytes, bytes], None],
    *,
    is_mapped: bool = False,
) -> None:
    answers = Answers()

    @settings(settings.get_profile("fuzz"))
    @given(pairs(members, is_mapped=is_mapped))
    def check_pair(pair: tuple[bytes, bytes]) -> None:
        left, right = pair
        if left != right and answers.is_equivalent(name, left, right):
            check(left, right)

    check_pair()
    answers.check()


def test_numpy_loads_the_same_arrays_from_equivalent_archives() -> None:
    def check(left: bytes, right: bytes) -> None:
        check_same_members(left, right)
        assert shown_by_numpy(left) == shown_by_numpy(right)

    run("model.npz", plain_members(NPZ_NAMES), check)


def test_pytorch_finds_the_same_records_in_equivalent_archives() -> None:
    def check(left: bytes, right: bytes) -> None:
        check_same_members(left, right)
        assert shown_by_pytorch(left) == shown_by_pytorch(right)
        for data in (left, right):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                assert not archive.comment
                assert all(info.compress_type == STORED for info in archive.infolist())
                assert not any(info.external_attr & 0x10 for info in archive.infolist())

    run("model.pt", plain_members(PYTORCH_NAMES), check, is_mapped=True)


def test_equivalent_keras_archives_unpack_to_the_same_files() -> None:
    def check(left: bytes, right: bytes) -> None:
        check_same_members(left, right)
        assert unpacked(left) == unpacked(right)

    run("model.keras", plain_members(KERAS_NAMES), check)


def test_skops_loads_the_same_objects_from_equivalent_archives() -> None:
    def check(left: bytes, right: bytes) -> None:
        check_zip_readers(left, right)
        assert shown_by_skops(left) == shown_by_skops(right)

    run("model.skops", skops_pairs(), check)

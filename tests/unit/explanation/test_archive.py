"""Zip-based models: the members are the model, times and order of members are not."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import skops.io

from model_gate.domain.model import Listing
from model_gate.domain.pairing import pair_files
from tests.support.explained import diff, explain, field_of, zipped

MEMBERS = {"model/data.pkl": b"\x80\x02N.", "model/data/0": bytes(range(200)), "model/version": b"3\n"}
REORDERED = dict(reversed(MEMBERS.items()))
CHANGED = {**MEMBERS, "model/data/0": bytes(range(199)) + b"\0"}


@pytest.mark.parametrize("name", ["model.pt", "data/model.pth", "model.npz", "model.PT"])
@pytest.mark.parametrize(
    "other",
    [
        zipped(MEMBERS, year=2026),
        zipped(REORDERED),
        zipped(MEMBERS, method=zipfile.ZIP_DEFLATED),
        zipped(MEMBERS, comment=b"made today"),
    ],
    ids=["times", "order", "compression", "comment"],
)
def test_the_same_members_are_equivalent(name: str, other: bytes, tmp_path: Path) -> None:
    found = explain(tmp_path, name, zipped(MEMBERS), other)
    assert found.rewrite_reason == found.summary == "same members, different archive metadata"


def test_a_member_that_differs_is_named(tmp_path: Path) -> None:
    found = explain(tmp_path, "model.pt", zipped(MEMBERS), zipped(CHANGED, year=2026))
    assert found.rewrite_reason == ""
    assert [each.field for each in found.fields] == ["model/data/0"]
    assert found.summary == "model/data/0: 1 of 200 bytes differ"


def test_members_that_came_and_went_are_named(tmp_path: Path) -> None:
    found = explain(tmp_path, "model.pt", zipped({"a": b"1", "b": b"2"}), zipped({"a": b"1", "c": b"2"}))
    assert [(each.field, each.left, each.right) for each in found.fields] == [
        ("b", "1 byte", None),
        ("c", None, "1 byte"),
    ]
    assert found.rewrite_reason == ""


def test_a_checksum_that_lies_does_not_make_members_the_same(tmp_path: Path) -> None:
    left, right = zipped({"a": b"left"}), bytearray(zipped({"a": b"rite"}))
    checksum = struct.pack("<I", zipfile.ZipFile(io.BytesIO(left)).getinfo("a").CRC)
    own = struct.pack("<I", zipfile.ZipFile(io.BytesIO(bytes(right))).getinfo("a").CRC)
    found = explain(tmp_path, "model.pt", left, bytes(right).replace(own, checksum))
    assert found.rewrite_reason == ""


@pytest.mark.parametrize(
    "change, reason",
    [
        (lambda data: b"\x80\x04N." + data, "not be"),
        (lambda data: data + b"more", "follows its end"),
        (lambda data: data[:-30], "no end record"),
    ],
    ids=["before", "behind", "cut off"],
)
def test_what_readers_would_not_agree_on_is_not_equivalent(change: object, reason: str, tmp_path: Path) -> None:
    data = zipped(MEMBERS)
    found = explain(tmp_path, "model.pt", data, change(data))  # type: ignore[operator]
    assert found.rewrite_reason == ""


def test_bytes_between_members_are_not_equivalent(tmp_path: Path) -> None:
    data = zipped({"a": b"1"})
    start = data.index(b"PK\x01\x02")
    hidden = b"hidden" * 10
    end = data.index(b"PK\x05\x06")
    moved = (
        data[:start]
        + hidden
        + data[start:end]
        + data[end : end + 16]
        + struct.pack("<I", start + len(hidden))
        + b"\0\0"
    )
    with zipfile.ZipFile(io.BytesIO(moved)) as archive:
        assert archive.read("a") == b"1", "this test makes no archive"
    found = explain(tmp_path, "model.pt", data, moved)
    assert found.rewrite_reason == ""
    assert "between its members" in found.note


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice_is_not_equivalent(tmp_path: Path) -> None:
    def twice(first: bytes, second: bytes) -> bytes:
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w") as archive:
            archive.writestr("a", first)
            archive.writestr("a", second)
        return target.getvalue()

    found = explain(tmp_path, "model.pt", twice(b"1", b"2"), twice(b"3", b"2"))
    assert found.rewrite_reason == ""
    assert "the same name" in found.note


def test_an_archive_of_an_unknown_format_is_explained_but_not_equivalent(tmp_path: Path) -> None:
    found = explain(tmp_path, "data.zip", zipped(MEMBERS), zipped(MEMBERS, year=2026))
    assert found.summary == "same members, different archive metadata"
    assert found.rewrite_reason == ""


def test_npz_names_the_array_that_changed(tmp_path: Path) -> None:
    def npz(value: float) -> bytes:
        target = io.BytesIO()
        np.savez(target, weights=np.array([1.0, 2.0, value]), bias=np.zeros(2))
        return target.getvalue()

    found = explain(tmp_path, "model.npz", npz(3.0), npz(3.5))
    assert found.summary == "weights.npy: 1 of 3 elements changed, largest difference 0.5"


KERAS_CONFIG = {
    "class_name": "Sequential",
    "config": {"layers": [{"class_name": "Dense", "units": 3, "shared_object_id": 139896289479312}] * 2},
}


def keras(config: object, date: str, weights: bytes = b"weights") -> bytes:
    """The members of a Keras 3 file, as Keras writes them."""
    metadata = {"keras_version": "3.5.0", "date_saved": date}
    return zipped(
        {
            "metadata.json": json.dumps(metadata).encode(),
            "config.json": json.dumps(config).encode(),
            "model.weights.h5": weights,
        }
    )


def test_keras_saved_again_is_equivalent(tmp_path: Path) -> None:
    again = json.loads(json.dumps(KERAS_CONFIG).replace("139896289479312", "139859625101392"))
    found = explain(
        tmp_path, "model.keras", keras(KERAS_CONFIG, "2026-01-01@12:00:00"), keras(again, "2026-01-02@09:00:00")
    )
    assert "what Keras writes anew into config.json, metadata.json" in found.rewrite_reason


@pytest.mark.parametrize(
    "old, new", [('"units": 3', '"units": 4'), ('"units": 3', '"units": 3.0'), ('"shared_object_id"', '"id"')]
)
def test_keras_with_another_configuration_is_not_equivalent(old: str, new: str, tmp_path: Path) -> None:
    other = json.loads(json.dumps(KERAS_CONFIG).replace(old, new))
    found = explain(tmp_path, "model.keras", keras(KERAS_CONFIG, "a"), keras(other, "b"))
    assert found.rewrite_reason == ""
    assert field_of(found, "config.json").meaning


def test_objects_that_are_no_longer_one_and_the_same_are_not_equivalent(tmp_path: Path) -> None:
    other = json.loads(json.dumps(KERAS_CONFIG))
    other["config"]["layers"][1]["shared_object_id"] += 1
    found = explain(tmp_path, "model.keras", keras(KERAS_CONFIG, "a"), keras(other, "a"))
    assert found.rewrite_reason == ""


def test_skops_dumped_again_with_other_addresses_is_equivalent(tmp_path: Path) -> None:
    left, right = ({"a": np.arange(4.0), "b": np.arange(3)} for _ in range(2))
    found = explain(tmp_path, "model.skops", skops.io.dumps(left), skops.io.dumps(right))
    assert "what skops writes anew" in found.rewrite_reason, found


@pytest.mark.parametrize(
    "other",
    [
        {"a": np.arange(4.0), "b": np.arange(1, 4)},
        {"a": np.arange(3), "b": np.arange(4.0)},
        {"b": np.arange(3)},
        {"a": np.arange(4.0), "b": np.arange(3), "c": 1},
    ],
    ids=["changed", "swapped", "removed", "added"],
)
def test_skops_with_other_content_is_not_equivalent(other: dict[str, object], tmp_path: Path) -> None:
    left = {"a": np.arange(4.0), "b": np.arange(3)}
    found = explain(tmp_path, "model.skops", skops.io.dumps(left), skops.io.dumps(other))
    assert found.rewrite_reason == "", found
    assert found.fields


def test_an_archive_of_another_size_is_looked_at_before_it_is_called_different(tmp_path: Path) -> None:
    for name, content in (
        ("left", zipped(MEMBERS)),
        ("right", zipped(MEMBERS, comment=b"longer")),
    ):
        (tmp_path / name / "data").mkdir(parents=True)
        (tmp_path / name / "MLmodel").write_text(f"run_id: {name}\n")
        (tmp_path / name / "data" / "model.pth").write_bytes(content)
    told = diff(tmp_path, tmp_path / "left", tmp_path / "right", "--require", "equivalent")
    assert (told.exit_code, told.verdict) == (0, "equivalent"), told.text


@pytest.mark.parametrize("name", ["model.skops", "data/model.pth", "model.keras", "arrays.npz"])
def test_another_size_of_an_archive_does_not_decide(name: str) -> None:
    left, right = (Listing({"MLmodel": 10, name: size}) for size in (100, 101))
    assert not pair_files(left, right).is_decided
    assert pair_files(left, Listing({"MLmodel": 10})).is_decided

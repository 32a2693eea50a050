"""Zip-based files: the members are compared, and their times, order and compression are not."""

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


@pytest.mark.parametrize("name", ["model.pt", "data/model.pth", "model.PT", "model.keras"])
def test_archives_that_differ_only_in_member_order_are_equivalent(name: str, tmp_path: Path) -> None:
    assert explain(tmp_path, name, zipped(MEMBERS), zipped(REORDERED)).rewrite_reason


@pytest.mark.parametrize(
    "name, other",
    [
        *((name, zipped(MEMBERS, year=2026)) for name in ("model.pt", "data/model.pth", "model.npz", "model.PT")),
        *((name, zipped(MEMBERS, method=zipfile.ZIP_DEFLATED)) for name in ("model.npz", "model.skops", "model.NPZ")),
        *((name, zipped(MEMBERS, comment=b"made today")) for name in ("model.npz", "model.keras", "model.NPZ")),
    ],
)
def test_archives_with_equal_members_are_equivalent(name: str, other: bytes, tmp_path: Path) -> None:
    explanation = explain(tmp_path, name, zipped(MEMBERS), other)
    assert explanation.rewrite_reason == explanation.summary == "same members, different archive metadata"


def test_explanation_names_the_archive_member_that_differs(tmp_path: Path) -> None:
    explanation = explain(tmp_path, "model.pt", zipped(MEMBERS), zipped(CHANGED, year=2026))
    assert explanation.rewrite_reason == ""
    assert [change.field for change in explanation.fields] == ["model/data/0"]
    assert explanation.summary == "model/data/0: 1 of 200 bytes differ"


def test_explanation_names_added_and_removed_archive_members(tmp_path: Path) -> None:
    explanation = explain(tmp_path, "model.pt", zipped({"a": b"1", "b": b"2"}), zipped({"a": b"1", "c": b"2"}))
    assert [(change.field, change.left, change.right) for change in explanation.fields] == [
        ("b", "1 byte", None),
        ("c", None, "1 byte"),
    ]
    assert explanation.rewrite_reason == ""


def test_different_archive_members_with_the_same_forged_checksum_are_not_equal(tmp_path: Path) -> None:
    left, right = zipped({"a": b"left"}), bytearray(zipped({"a": b"rite"}))
    checksum = struct.pack("<I", zipfile.ZipFile(io.BytesIO(left)).getinfo("a").CRC)
    original = struct.pack("<I", zipfile.ZipFile(io.BytesIO(bytes(right))).getinfo("a").CRC)
    explanation = explain(tmp_path, "model.pt", left, bytes(right).replace(original, checksum))
    assert explanation.rewrite_reason == ""


@pytest.mark.parametrize(
    "change, reason",
    [
        (lambda data: b"\x80\x04N." + data, "not be"),
        (lambda data: data + b"more", "follows its end"),
        (lambda data: data[:-30], "no end record"),
    ],
    ids=["bytes before", "bytes after", "truncated"],
)
def test_archive_with_extra_or_missing_bytes_is_not_equivalent_to_the_intact_archive(
    change: object, reason: str, tmp_path: Path
) -> None:
    data = zipped(MEMBERS)
    explanation = explain(tmp_path, "model.pt", data, change(data))  # type: ignore[operator]
    assert explanation.rewrite_reason == ""


def test_archive_with_bytes_between_members_is_not_equivalent_to_one_without_them(tmp_path: Path) -> None:
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
        assert archive.read("a") == b"1", "the test data is not a valid archive"
    explanation = explain(tmp_path, "model.pt", data, moved)
    assert explanation.rewrite_reason == ""
    assert "between its members" in explanation.note


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_archives_with_duplicate_members_are_not_equivalent(tmp_path: Path) -> None:
    def duplicate(first: bytes, second: bytes) -> bytes:
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w") as archive:
            archive.writestr("a", first)
            archive.writestr("a", second)
        return target.getvalue()

    explanation = explain(tmp_path, "model.pt", duplicate(b"1", b"2"), duplicate(b"3", b"2"))
    assert explanation.rewrite_reason == ""
    assert "the same name" in explanation.note


def test_archives_of_an_unsupported_format_are_explained_but_not_equivalent(tmp_path: Path) -> None:
    explanation = explain(tmp_path, "data.zip", zipped(MEMBERS), zipped(MEMBERS, year=2026))
    assert explanation.summary == (
        "same members, different archive metadata; only .skops, .keras, .pt, .pth, .pt2, .npz files can be equivalent"
    )
    assert explanation.rewrite_reason == ""


def test_explanation_of_an_npz_file_names_the_changed_array(tmp_path: Path) -> None:
    def npz(value: float) -> bytes:
        target = io.BytesIO()
        np.savez(target, weights=np.array([1.0, 2.0, value]), bias=np.zeros(2))
        return target.getvalue()

    explanation = explain(tmp_path, "model.npz", npz(3.0), npz(3.5))
    assert explanation.summary == "weights.npy: 1 of 3 elements changed, largest difference 0.5"


KERAS_CONFIG = {
    "class_name": "Sequential",
    "config": {"layers": [{"class_name": "Dense", "config": {"units": 3}, "shared_object_id": 139896289479312}] * 2},
}


def keras(config: object, date: str, weights: bytes = b"weights") -> bytes:
    """Return a Keras 3 file with the members that Keras writes."""
    metadata = {"keras_version": "3.5.0", "date_saved": date}
    return zipped(
        {
            "metadata.json": json.dumps(metadata).encode(),
            "config.json": json.dumps(config).encode(),
            "model.weights.h5": weights,
        }
    )


def test_keras_model_saved_again_is_equivalent_to_the_first_file(tmp_path: Path) -> None:
    again = json.loads(json.dumps(KERAS_CONFIG).replace("139896289479312", "139859625101392"))
    explanation = explain(
        tmp_path, "model.keras", keras(KERAS_CONFIG, "2026-01-01@12:00:00"), keras(again, "2026-01-02@09:00:00")
    )
    assert "what Keras writes anew into config.json, metadata.json" in explanation.rewrite_reason


@pytest.mark.parametrize(
    "old, new", [('"units": 3', '"units": 4'), ('"units": 3', '"units": 3.0'), ('"shared_object_id"', '"id"')]
)
def test_keras_model_with_changed_configuration_is_not_equivalent_to_the_original(
    old: str, new: str, tmp_path: Path
) -> None:
    other = json.loads(json.dumps(KERAS_CONFIG).replace(old, new))
    explanation = explain(tmp_path, "model.keras", keras(KERAS_CONFIG, "a"), keras(other, "b"))
    assert explanation.rewrite_reason == ""
    assert field_of(explanation, "config.json").meaning


def test_keras_models_whose_layers_share_objects_differently_are_not_equivalent(tmp_path: Path) -> None:
    other = json.loads(json.dumps(KERAS_CONFIG))
    other["config"]["layers"][1]["shared_object_id"] += 1
    explanation = explain(tmp_path, "model.keras", keras(KERAS_CONFIG, "a"), keras(other, "a"))
    assert explanation.rewrite_reason == ""


def test_skops_files_that_differ_only_in_memory_addresses_are_equivalent(tmp_path: Path) -> None:
    left, right = ({"a": np.arange(4.0), "b": np.arange(3)} for _ in range(2))
    explanation = explain(tmp_path, "model.skops", skops.io.dumps(left), skops.io.dumps(right))
    assert "what skops writes anew" in explanation.rewrite_reason, explanation


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
def test_skops_files_with_different_content_are_not_equivalent(other: dict[str, object], tmp_path: Path) -> None:
    left = {"a": np.arange(4.0), "b": np.arange(3)}
    explanation = explain(tmp_path, "model.skops", skops.io.dumps(left), skops.io.dumps(other))
    assert explanation.rewrite_reason == "", explanation
    assert explanation.fields


def test_archives_of_different_sizes_can_be_equivalent(tmp_path: Path) -> None:
    for name, content in (
        ("left", zipped(MEMBERS)),
        ("right", zipped(MEMBERS, comment=b"longer")),
    ):
        (tmp_path / name / "data").mkdir(parents=True)
        (tmp_path / name / "MLmodel").write_text(f"run_id: {name}\n")
        (tmp_path / name / "data" / "model.npz").write_bytes(content)
    result = diff(tmp_path, tmp_path / "left", tmp_path / "right", "--require", "equivalent")
    assert (result.exit_code, result.verdict) == (0, "equivalent"), result.text


@pytest.mark.parametrize("name", ["model.skops", "data/model.npz", "model.keras", "arrays.npz"])
def test_different_archive_sizes_do_not_prove_a_difference(name: str) -> None:
    left, right = (Listing({"MLmodel": 10, name: size}) for size in (100, 101))
    assert not pair_files(left, right).is_proven_not_equivalent
    assert pair_files(left, Listing({"MLmodel": 10})).is_proven_not_equivalent

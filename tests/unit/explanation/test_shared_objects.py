"""Files of skops or Keras with other memory addresses are equivalent only if the same objects are shared in both."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io

from tests.support.explained import explain, zipped

FIRST, SECOND, THIRD = np.arange(3.0), np.arange(3.0, 6.0), np.arange(6.0, 9.0)
Node = dict[str, Any]


def members_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def skops_file(first: int, second: int, edit: Callable[[Node], None] = lambda nodes: None) -> bytes:
    """Return a skops file with three arrays, of which the first two have these addresses.

    `edit` changes the nodes of the arrays.
    """
    members = members_of(skops.io.dumps({"first": FIRST, "second": SECOND, "third": THIRD}))
    schema = json.loads(members.pop("schema.json"))
    nodes = schema["content"]
    for name, address in (("first", first), ("second", second), ("third", 999)):
        members[f"{address}.npy"] = members.pop(nodes[name]["file"])
        nodes[name] |= {"__id__": address, "file": f"{address}.npy"}
    edit(nodes)
    return zipped({**members, "schema.json": json.dumps(schema).encode()})


def loaded(data: bytes) -> dict[str, list[float]]:
    return {name: list(value) for name, value in skops.io.loads(data).items()}


def test_skops_files_with_exchanged_memory_addresses_are_equivalent(tmp_path: Path) -> None:
    left, right = skops_file(5, 7), skops_file(7, 5)
    assert loaded(left) == loaded(right)
    assert explain(tmp_path, "model.skops", left, right).rewrite_reason


@pytest.mark.parametrize("address", [5, 5.0, "5", None, -5], ids=repr)
def test_skops_files_are_not_equivalent_if_a_node_has_an_address_but_no_loader(address: object, tmp_path: Path) -> None:
    def refer(nodes: Node) -> None:
        nodes["third"] = {"__id__": address}

    left, right = skops_file(5, 7, refer), skops_file(7, 5, refer)
    if address == 5:
        assert loaded(left)["third"] == list(FIRST)
        assert loaded(right)["third"] == list(SECOND)
    assert explain(tmp_path, "model.skops", left, right).rewrite_reason == ""


@pytest.mark.parametrize("first, second, address", [(5, 7, 5.0), (1, 2, True), (10, 7, 1e1)])
def test_skops_files_in_which_two_objects_have_equal_addresses_are_not_equivalent(
    first: int, second: int, address: object, tmp_path: Path
) -> None:
    def collide(nodes: Node) -> None:
        nodes["third"]["__id__"] = address

    left, right = skops_file(first, second, collide), skops_file(second, first, collide)
    assert loaded(left)["third"] == list(FIRST)
    assert loaded(right)["third"] == list(SECOND)
    assert explain(tmp_path, "model.skops", left, right).rewrite_reason == ""


@pytest.mark.parametrize("address", ["5", None, [5], {"a": 1}, 0, -1, 10**30], ids=repr)
def test_skops_files_with_an_impossible_memory_address_are_not_equivalent(address: object, tmp_path: Path) -> None:
    def replace(nodes: Node) -> None:
        nodes["third"]["__id__"] = address

    explanation = explain(tmp_path, "model.skops", skops_file(5, 7, replace), skops_file(7, 5, replace))
    assert explanation.rewrite_reason == ""
    assert "no memory address" in explanation.note


def test_skops_file_with_shared_objects_is_not_equivalent_to_one_with_separate_objects(tmp_path: Path) -> None:
    def share(address: int) -> Callable[[Node], None]:
        def edit(nodes: Node) -> None:
            for name in ("first", "second"):
                nodes[name]["__id__"] = address

        return edit

    left, right = skops_file(5, 7, share(0)), skops_file(5, 7, share(8))
    assert loaded(left) != loaded(right)
    assert explain(tmp_path, "model.skops", left, right).rewrite_reason == ""


def test_skops_member_name_as_number_is_not_equivalent_to_the_name_as_text(tmp_path: Path) -> None:
    def file_as(value: object) -> bytes:
        members = members_of(skops_file(5, 7))
        members["9999999"] = members.pop("999.npy")
        schema = json.loads(members["schema.json"])
        schema["content"]["third"]["file"] = value
        return zipped({**members, "schema.json": json.dumps(schema).encode()})

    left, right = file_as("9999999"), file_as(9999999)
    assert loaded(left)["third"] == list(THIRD)
    with pytest.raises(KeyError):
        loaded(right)
    assert explain(tmp_path, "model.skops", left, right).rewrite_reason == ""


def test_skops_files_of_equal_dictionaries_with_a_key_named_id_are_equivalent(tmp_path: Path) -> None:
    left, right = (skops.io.dumps({"__id__": np.arange(3), "file": [np.arange(2)]}) for _ in range(2))
    assert explain(tmp_path, "model.skops", left, right).rewrite_reason


def keras_file(first: int, second: int, third: object, date: object = "2026-01-01@12:00:00") -> bytes:
    """Return a Keras file with two layers at these addresses, followed by the JSON value `third`."""
    layers = [
        {"module": "keras.layers", "class_name": name, "config": {"units": 3}, "shared_object_id": address}
        for name, address in (("Dense", first), ("Lambda", second))
    ]
    config = {"class_name": "Sequential", "config": {"layers": [*layers, third]}}
    return zipped(
        {
            "metadata.json": json.dumps({"keras_version": "3.5.0", "date_saved": date}).encode(),
            "config.json": json.dumps(config).encode(),
            "model.weights.h5": b"weights",
        }
    )


def layer(address: object) -> Node:
    return {"module": "keras.layers", "class_name": "Dropout", "config": {}, "shared_object_id": address}


def test_keras_files_with_exchanged_memory_addresses_are_equivalent(tmp_path: Path) -> None:
    left, right = keras_file(5, 7, layer(5)), keras_file(7, 5, layer(7))
    assert explain(tmp_path, "model.keras", left, right).rewrite_reason


@pytest.mark.parametrize(
    "third",
    [
        layer(5.0),
        layer(True),
        layer("5"),
        layer(None),
        {"class_name": "Dropout", "shared_object_id": 5},
        {"config": {}, "shared_object_id": 5},
        {"shared_object_id": 5},
    ],
    ids=["float", "true", "text", "null", "without config", "without class", "alone"],
)
def test_keras_files_with_an_address_of_unusual_type_or_position_are_not_equivalent(
    third: object, tmp_path: Path
) -> None:
    left, right = keras_file(5, 7, third), keras_file(7, 5, third)
    assert explain(tmp_path, "model.keras", left, right).rewrite_reason == ""


def test_keras_files_with_different_object_ids_in_plain_dictionaries_are_not_equivalent(tmp_path: Path) -> None:
    # Keras takes a mapping without `config` for a plain dictionary, in which the number is data.
    left, right = (keras_file(5, 7, {"class_name": "x", "shared_object_id": number}) for number in (8, 9))
    assert explain(tmp_path, "model.keras", left, right).rewrite_reason == ""


@pytest.mark.parametrize("date", [{"loader": 1}, None, 5], ids=["mapping", "null", "number"])
def test_keras_files_whose_date_is_not_text_are_not_equivalent(date: object, tmp_path: Path) -> None:
    left, right = keras_file(5, 7, layer(5)), keras_file(5, 7, layer(5), date)
    assert explain(tmp_path, "model.keras", left, right).rewrite_reason == ""

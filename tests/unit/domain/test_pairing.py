"""Which file meets which: by path, or as native models whatever these are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_gate.comparison.model_pair import SelectedModel, SelectedPair
from model_gate.comparison.models import compare_models
from model_gate.comparison.progress import NoProgress
from model_gate.domain.difference import DifferenceKind
from model_gate.domain.location import Location
from model_gate.domain.model import Listing
from model_gate.domain.pairing import pair_files
from model_gate.domain.result import Comparison
from model_gate.errors import ModelError
from model_gate.sources.model_source import DirectorySource
from model_gate.sources.storage import Storage
from tests.support.zoo.pairs import MLMODEL, SPARKML
from tests.support.zoo.tree import Tree, make_tree


def compared(left: Path, right: Path, left_native: str, right_native: str) -> Comparison:
    """The comparison of these native models."""
    with Storage(None) as storage:
        sides = [
            SelectedModel(DirectorySource(path, Location(str(path), local_path=path), name, storage), native)
            for name, path, native in (("1", left, left_native), ("2", right, right_native))
        ]
        return compare_models([SelectedPair(sides[0], sides[1])], NoProgress())[0]


def made(tmp_path: Path, left: Tree, right: Tree) -> tuple[Path, Path]:
    make_tree(tmp_path / "left", {"MLmodel": MLMODEL, **left})
    make_tree(tmp_path / "right", {"MLmodel": MLMODEL, **right})
    return tmp_path / "left", tmp_path / "right"


def test_every_file_of_either_model_is_in_one_pair() -> None:
    left, right = Listing({"a": 1, "b": 2, "d/x": 3}), Listing({"b": 9, "c": 4, "d/x": 3})
    pairs = pair_files(left, right).pairs
    assert [(pair.path, pair.left_size, pair.right_size) for pair in pairs] == [
        ("a", 1, None),
        ("b", 2, 9),
        ("c", None, 4),
        ("d/x", 3, 3),
    ]


@pytest.mark.parametrize(
    "left, right, is_decided",
    [
        ({"a": 1}, {"a": 1}, False),
        ({"a": 1}, {"a": 2}, True),
        ({"a": 1}, {"a": 1, "b": 0}, True),
        ({"a": 1}, {"a/b": 1}, True),
        ({"a": 1, "MLmodel": 1}, {"a": 1, "MLmodel": 2}, False),
        ({"a": 1, "registered_model_meta": 1}, {"a": 1}, False),
        ({"a": 1, "code/MLmodel": 1}, {"a": 1, "code/MLmodel": 2}, True),
    ],
)
def test_listings_decide_only_what_cannot_be_an_identity_field(
    left: dict[str, int], right: dict[str, int], is_decided: bool
) -> None:
    assert pair_files(Listing(left), Listing(right)).is_decided is is_decided
    assert pair_files(Listing(right), Listing(left)).is_decided is is_decided


def test_native_files_of_different_names_are_one_pair(tmp_path: Path) -> None:
    left, right = made(tmp_path, {"model.pkl": b"1", "conda.yaml": b"a"}, {"deep/wine.pkl": b"1", "conda.yaml": b"a"})
    comparison = compared(left, right, "model.pkl", "deep/wine.pkl")
    assert comparison.equals
    assert comparison.left.digest == comparison.right.digest is not None
    assert (comparison.left.path, comparison.right.path) == (left / "model.pkl", right / "deep/wine.pkl")
    assert comparison.rest is not None
    assert comparison.rest.equals is True


def test_native_files_with_different_bytes_differ(tmp_path: Path) -> None:
    left, right = made(tmp_path, {"model.pkl": b"1"}, {"wine.pkl": b"2"})
    comparison = compared(left, right, "model.pkl", "wine.pkl")
    assert not comparison.equals
    assert [(each.path, each.kind, each.offset) for each in comparison.differences] == [
        ("model.pkl", DifferenceKind.CONTENT, 0)
    ]


def test_native_directories_of_different_names_are_compared_below_them(tmp_path: Path) -> None:
    spark = {str(path)[len("sparkml/") :]: entry for path, entry in SPARKML.items() if str(path).startswith("sparkml/")}
    left, right = made(
        tmp_path,
        {f"sparkml/{path}": entry for path, entry in spark.items()},
        {f"model/spark/{path}": entry for path, entry in spark.items()},
    )
    comparison = compared(left, right, "sparkml", "model/spark")
    assert comparison.equals
    assert comparison.left.digest == comparison.right.digest is not None
    (right / "model/spark/metadata/_SUCCESS").write_bytes(b"!")
    (right / "model/spark/metadata/more").write_bytes(b"!")
    differences = compared(left, right, "sparkml", "model/spark").differences
    assert {(each.path, str(each.kind)) for each in differences} == {
        ("sparkml/metadata/_SUCCESS", "content"),
        ("model/spark/metadata/more", "only_right"),
    }


@pytest.mark.parametrize("swapped", [False, True])
def test_a_native_file_against_a_native_directory_differs_in_type(swapped: bool, tmp_path: Path) -> None:
    trees: list[Tree] = [{"model": b"1"}, {"data/model": b"1", "data/more": b"2"}]
    natives = ["model", "data"]
    if swapped:
        trees.reverse()
        natives.reverse()
    left, right = made(tmp_path, *trees)
    comparison = compared(left, right, *natives)
    assert not comparison.equals
    assert [(each.path, str(each.kind)) for each in comparison.differences] == [(natives[0], "type")]


def test_the_rest_of_the_model_does_not_decide_but_is_told(tmp_path: Path) -> None:
    left, right = made(
        tmp_path,
        {"model.pkl": b"1", "conda.yaml": b"a", "model.pkl.txt": b"left"},
        {"model.pkl": b"1", "conda.yaml": b"b", "code/x.py": b"pass"},
    )
    comparison = compared(left, right, "model.pkl", "model.pkl")
    assert (comparison.equals, comparison.equivalent, comparison.differences) == (True, True, ())
    assert (comparison.left.files, comparison.compared) == (1, 1)
    assert comparison.rest is not None
    assert comparison.rest.equals is False
    assert {(each.path, str(each.kind)) for each in comparison.rest.differences} == {
        ("conda.yaml", "content"),
        ("model.pkl.txt", "only_left"),
        ("code/x.py", "only_right"),
    }


def test_different_native_models_differ_though_the_rest_is_equal(tmp_path: Path) -> None:
    left, right = made(tmp_path, {"model.pkl": b"1", "x": b"1"}, {"model.pkl": b"2", "x": b"1"})
    comparison = compared(left, right, "model.pkl", "model.pkl")
    assert not comparison.equals
    assert comparison.rest is not None
    assert (comparison.rest.equals, comparison.rest.differences) == (True, ())


@pytest.mark.parametrize("native", ["model.pk", "model.pkl/x", "Model.pkl", "data", "conda"])
def test_a_native_model_that_does_not_exist_is_an_error_that_lists_what_there_is(native: str, tmp_path: Path) -> None:
    left, right = made(tmp_path, {"model.pkl": b"1", "code/x.py": b"1"}, {"model.pkl": b"1"})
    with pytest.raises(ModelError, match=f"'{native}' does not exist") as caught:
        compared(left, right, native, "model.pkl")
    assert "There is: MLmodel, code/, model.pkl." in caught.value.remedy


@pytest.mark.parametrize("lacking", ["left", "right"])
def test_an_mlflow_model_needs_its_mlmodel_file(lacking: str, tmp_path: Path) -> None:
    left, right = made(tmp_path, {"model.pkl": b"1"}, {"model.pkl": b"1"})
    (tmp_path / lacking / "MLmodel").unlink()
    with pytest.raises(ModelError, match=r"has no MLmodel file, but model\.pkl") as caught:
        compared(left, right, "", "")
    assert caught.value.remedy


def test_one_location_with_two_native_models_is_compared(tmp_path: Path) -> None:
    left, _ = made(tmp_path, {"a.pkl": b"1", "b.pkl": b"2"}, {})
    comparison = compared(left, left, "a.pkl", "b.pkl")
    assert (comparison.same_location, comparison.equals) == (False, False)

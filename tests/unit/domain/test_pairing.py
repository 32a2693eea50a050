"""Files are paired by path, or by the path below native models that have different names."""

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
from tests.support.explained import zipped
from tests.support.zoo.pairs import MLMODEL, SPARKML
from tests.support.zoo.tree import Tree, make_tree


def compared(left: Path, right: Path, left_native: str, right_native: str) -> Comparison:
    """Return the comparison of two MLflow models whose native models have these paths."""
    with Storage(None) as storage:
        models = [
            SelectedModel(DirectorySource(path, Location(str(path), local_path=path), name, storage), native)
            for name, path, native in (("1", left, left_native), ("2", right, right_native))
        ]
        return compare_models([SelectedPair(models[0], models[1])], NoProgress())[0]


def make_models(tmp_path: Path, left: Tree, right: Tree) -> tuple[Path, Path]:
    make_tree(tmp_path / "left", {"MLmodel": MLMODEL, **left})
    make_tree(tmp_path / "right", {"MLmodel": MLMODEL, **right})
    return tmp_path / "left", tmp_path / "right"


def test_every_file_of_either_model_is_in_exactly_one_pair() -> None:
    left, right = Listing({"a": 1, "b": 2, "d/x": 3}), Listing({"b": 9, "c": 4, "d/x": 3})
    pairs = pair_files(left, right).pairs
    assert [(pair.path, pair.left_size, pair.right_size) for pair in pairs] == [
        ("a", 1, None),
        ("b", 2, 9),
        ("c", None, 4),
        ("d/x", 3, 3),
    ]


@pytest.mark.parametrize(
    "left, right, is_different",
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
def test_listings_prove_a_difference_unless_mlflow_may_rewrite_the_differing_file(
    left: dict[str, int], right: dict[str, int], is_different: bool
) -> None:
    assert pair_files(Listing(left), Listing(right)).is_proven_not_equivalent is is_different
    assert pair_files(Listing(right), Listing(left)).is_proven_not_equivalent is is_different


def test_native_model_files_with_different_names_form_one_pair(tmp_path: Path) -> None:
    left, right = make_models(
        tmp_path, {"model.pkl": b"1", "conda.yaml": b"a"}, {"deep/wine.pkl": b"1", "conda.yaml": b"a"}
    )
    comparison = compared(left, right, "model.pkl", "deep/wine.pkl")
    assert comparison.equals
    assert comparison.left.digest == comparison.right.digest is not None
    assert (comparison.left.path, comparison.right.path) == (left / "model.pkl", right / "deep/wine.pkl")
    assert comparison.rest is not None
    assert comparison.rest.equals is True


def test_native_model_files_with_different_bytes_make_models_different(tmp_path: Path) -> None:
    left, right = make_models(tmp_path, {"model.pkl": b"1"}, {"wine.pkl": b"2"})
    comparison = compared(left, right, "model.pkl", "wine.pkl")
    assert not comparison.equals
    assert [(difference.path, difference.kind, difference.offset) for difference in comparison.differences] == [
        ("model.pkl", DifferenceKind.CONTENT, 0)
    ]


def test_native_directories_with_different_names_are_paired_by_relative_path(tmp_path: Path) -> None:
    spark = {str(path)[len("sparkml/") :]: entry for path, entry in SPARKML.items() if str(path).startswith("sparkml/")}
    left, right = make_models(
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
    assert {(difference.path, str(difference.kind)) for difference in differences} == {
        ("sparkml/metadata/_SUCCESS", "content"),
        ("model/spark/metadata/more", "only_right"),
    }


@pytest.mark.parametrize("swapped", [False, True])
def test_native_model_file_and_native_model_directory_differ_in_type(swapped: bool, tmp_path: Path) -> None:
    trees: list[Tree] = [{"model": b"1"}, {"data/model": b"1", "data/more": b"2"}]
    natives = ["model", "data"]
    if swapped:
        trees.reverse()
        natives.reverse()
    left, right = make_models(tmp_path, *trees)
    comparison = compared(left, right, *natives)
    assert not comparison.equals
    assert [(difference.path, str(difference.kind)) for difference in comparison.differences] == [(natives[0], "type")]


def test_difference_outside_the_native_model_is_reported_but_does_not_change_the_verdict(tmp_path: Path) -> None:
    left, right = make_models(
        tmp_path,
        {"model.pkl": b"1", "conda.yaml": b"a", "model.pkl.txt": b"left"},
        {"model.pkl": b"1", "conda.yaml": b"b", "code/x.py": b"pass"},
    )
    comparison = compared(left, right, "model.pkl", "model.pkl")
    assert (comparison.equals, comparison.equivalent, comparison.differences) == (True, True, ())
    assert (comparison.left.files, comparison.compared) == (1, 1)
    assert comparison.rest is not None
    assert comparison.rest.equals is False
    assert {(difference.path, str(difference.kind)) for difference in comparison.rest.differences} == {
        ("conda.yaml", "content"),
        ("model.pkl.txt", "only_left"),
        ("code/x.py", "only_right"),
    }


def test_changed_native_model_is_different_even_if_all_other_files_are_equal(tmp_path: Path) -> None:
    left, right = make_models(tmp_path, {"model.pkl": b"1", "x": b"1"}, {"model.pkl": b"2", "x": b"1"})
    comparison = compared(left, right, "model.pkl", "model.pkl")
    assert not comparison.equals
    assert comparison.rest is not None
    assert (comparison.rest.equals, comparison.rest.differences) == (True, ())


@pytest.mark.parametrize("native", ["model.pk", "model.pkl/x", "Model.pkl", "data", "conda"])
def test_missing_native_model_is_an_error_that_lists_the_existing_paths(native: str, tmp_path: Path) -> None:
    left, right = make_models(tmp_path, {"model.pkl": b"1", "code/x.py": b"1"}, {"model.pkl": b"1"})
    with pytest.raises(ModelError, match=f"'{native}' does not exist") as caught:
        compared(left, right, native, "model.pkl")
    assert "There is: MLmodel, code/, model.pkl." in caught.value.remedy


@pytest.mark.parametrize("incomplete", ["left", "right"])
def test_model_without_mlmodel_file_is_an_error(incomplete: str, tmp_path: Path) -> None:
    left, right = make_models(tmp_path, {"model.pkl": b"1"}, {"model.pkl": b"1"})
    (tmp_path / incomplete / "MLmodel").unlink()
    with pytest.raises(ModelError, match=r"has no MLmodel file, but model\.pkl") as caught:
        compared(left, right, "", "")
    assert caught.value.remedy


def test_two_native_models_of_the_same_mlflow_model_are_not_the_same_location(tmp_path: Path) -> None:
    left, _ = make_models(tmp_path, {"a.pkl": b"1", "b.pkl": b"2"}, {})
    comparison = compared(left, left, "a.pkl", "b.pkl")
    assert (comparison.same_location, comparison.equals) == (False, False)


def archives(left_name: str, right_name: str, tmp_path: Path) -> tuple[Path, Path]:
    """Return two models with native models of the same members, saved at different times."""
    members = {"a.npy": b"1", "b.npy": b"2"}
    return make_models(tmp_path, {left_name: zipped(members)}, {right_name: zipped(members, year=2026)})


@pytest.mark.parametrize("left_name, right_name", [("m.npz", "n.npz"), ("m.pt", "deep/m.pth"), ("m.npz", "m.NPZ")])
def test_native_models_of_the_same_format_can_be_equivalent(left_name: str, right_name: str, tmp_path: Path) -> None:
    left, right = archives(left_name, right_name, tmp_path)
    comparison = compared(left, right, left_name, right_name)
    assert (comparison.equals, comparison.equivalent) == (False, True)


@pytest.mark.parametrize(
    "left_name, right_name", [("m.npz", "m.bin"), ("m.npz", "m.pt"), ("m.skops", "m"), ("m.zip", "n.zip")]
)
def test_native_models_of_different_formats_are_never_equivalent(
    left_name: str, right_name: str, tmp_path: Path
) -> None:
    left, right = archives(left_name, right_name, tmp_path)
    for comparison in (
        compared(left, right, left_name, right_name),
        compared(right, left, right_name, left_name),
    ):
        assert (comparison.equals, comparison.equivalent) == (False, False)
        (explanation,) = [difference.explanation for difference in comparison.differences]
        assert explanation is None or "equivalent" in explanation.summary
    listings = Listing({left_name: 1}), Listing({right_name: 2})
    assert pair_files(*listings, left_name, right_name).is_proven_not_equivalent
    assert pair_files(*listings[::-1], right_name, left_name).is_proven_not_equivalent


@pytest.mark.parametrize("is_swapped", [False, True])
def test_mlmodel_file_is_never_equivalent_to_a_native_model_with_a_different_name(
    is_swapped: bool, tmp_path: Path
) -> None:
    left, right = make_models(tmp_path, {}, {"info.yaml": MLMODEL + b"\nrun_id: '1'\n"})
    models, names = [left, right], ["MLmodel", "info.yaml"]
    if is_swapped:
        models.reverse()
        names.reverse()
    comparison = compared(models[0], models[1], names[0], names[1])
    assert (comparison.equals, comparison.equivalent) == (False, False)

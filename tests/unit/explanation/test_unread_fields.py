"""Fields of `MLmodel` that MLflow rewrites and does not read, and similar ones that it reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.explained import compare_directories, explain, field_of, verdict_of

PYFUNC = "flavors: {{python_function: {{loader_module: {loader}, artifacts: {{a: {{path: {path}, uri: {uri}}}}}}}}}\n"
LOADER = "mlflow.pyfunc.model"


def trusted(types: str, flavor: str = "lightgbm") -> bytes:
    return f"flavors: {{{flavor}: {{skops_trusted_types: {types}}}}}\n".encode()


@pytest.mark.parametrize("other", ["[b, a, a]", "[a, b, a]"])
def test_lightgbm_types_in_another_order_are_a_rewrite(other: str, tmp_path: Path) -> None:
    explanation = explain(tmp_path, "MLmodel", trusted("[a, a, b]"), trusted(other))
    assert explanation.rewrite_reason
    change = field_of(explanation, "flavors.lightgbm.skops_trusted_types")
    assert change.left == "a, a, b"
    assert "only looks them up" in change.rewrite_reason


@pytest.mark.parametrize(
    "left, right",
    [
        (trusted("[a, b]"), trusted("[a, b, b]")),
        (trusted("[a, a, b]"), trusted("[a, b, b]")),
        (trusted("[a, b]"), trusted("[b, c]")),
        (trusted("[a, 1]"), trusted("[1, a]")),
        (trusted("['1', 2]"), trusted("[2, '1']")),
        (trusted("['1', '2']"), trusted("['2', 1]")),
        (trusted("[[a], b]"), trusted("[b, [a]]")),
        (trusted("[a, b]"), trusted("'a, b'")),
        (trusted("[a, b]"), trusted("{b: a}")),
        (trusted("[a, b]", "sklearn"), trusted("[b, a]", "sklearn")),
        (trusted("[a, b]", "python_function"), trusted("[b, a]", "python_function")),
        (b"skops_trusted_types: [a, b]\n", b"skops_trusted_types: [b, a]\n"),
        (trusted("{skops_trusted_types: [a, b]}"), trusted("{skops_trusted_types: [b, a]}")),
    ],
)
def test_other_lists_of_types_are_not_equivalent(left: bytes, right: bytes, tmp_path: Path) -> None:
    assert explain(tmp_path, "MLmodel", left, right).rewrite_reason == ""


def model(directory: Path, fields: str, files: tuple[str, ...]) -> Path:
    for file in files:
        (directory / file).parent.mkdir(parents=True, exist_ok=True)
        (directory / file).write_text(file)
    directory.mkdir(exist_ok=True)
    (directory / "MLmodel").write_text(fields)
    return directory


def verdict(tmp_path: Path, left: str, right: str, left_files: tuple[str, ...], right_files: tuple[str, ...]) -> str:
    models = model(tmp_path / "left", left, left_files), model(tmp_path / "right", right, right_files)
    return verdict_of(compare_directories(*models))


def test_models_whose_artifacts_were_logged_from_other_places_are_equivalent(tmp_path: Path) -> None:
    files = ("artifacts/a.txt/in a directory", "b")
    left, right = (PYFUNC.format(loader=LOADER, path="artifacts/a.txt", uri=uri) for uri in ("/srv/1/a", "/srv/2/a"))
    assert verdict(tmp_path, left, right, files, files) == "equivalent"


@pytest.mark.parametrize("files", [(), ("artifacts/a.tx",), ("artifacts/a.txt.b",)])
def test_models_that_lack_the_artifact_of_another_uri_are_different(files: tuple[str, ...], tmp_path: Path) -> None:
    left, right = (PYFUNC.format(loader=LOADER, path="artifacts/a.txt", uri=uri) for uri in ("/srv/1/a", "/srv/2/a"))
    assert verdict(tmp_path, left, right, files, files) == "different"


@pytest.mark.parametrize(
    "left, right",
    [
        ({"path": "a"}, {"path": "b"}),
        ({"uri": "1"}, {"uri": "'1'"}),
        ({"uri": "[x]"}, {"uri": "[y]"}),
        ({"path": "../a", "uri": "x"}, {"path": "../a", "uri": "y"}),
        ({"path": "/a", "uri": "x"}, {"path": "/a", "uri": "y"}),
        ({"path": "a/", "uri": "x"}, {"path": "a/", "uri": "y"}),
        ({"path": "1", "uri": "x"}, {"path": "1", "uri": "y"}),
        ({"loader": "my.loader", "uri": "x"}, {"loader": "my.loader", "uri": "y"}),
        ({"loader": "mlflow.sklearn", "uri": "x"}, {"loader": "mlflow.sklearn", "uri": "y"}),
        ({"loader": "my.loader"}, {"uri": "y"}),
    ],
)
def test_artifacts_that_mlflow_may_load_otherwise_are_not_equivalent(
    left: dict[str, str], right: dict[str, str], tmp_path: Path
) -> None:
    usual = {"loader": LOADER, "path": "a", "uri": "x"}
    contents = (PYFUNC.format(**(usual | changed)).encode() for changed in (left, right))
    assert explain(tmp_path, "MLmodel", *contents).rewrite_reason == ""


def test_uri_of_an_artifact_in_another_flavor_affects_equivalence(tmp_path: Path) -> None:
    contents = (
        PYFUNC.format(loader=LOADER, path="a", uri=uri).replace("python_function", "mine").encode() for uri in "xy"
    )
    assert explain(tmp_path, "MLmodel", *contents).rewrite_reason == ""


def based_on(name: str, flavor: str = "transformers", rest: str = ", model_binary: model") -> str:
    return f"flavors: {{{flavor}: {{source_model_name: {name}{rest}}}}}\n"


def test_base_model_of_sentence_transformers_is_a_rewrite(tmp_path: Path) -> None:
    left, right = (based_on(name, "sentence_transformers", "").encode() for name in ("org/small", "/srv/x"))
    explanation = explain(tmp_path, "MLmodel", left, right)
    assert explanation.rewrite_reason == "only flavors.sentence_transformers.source_model_name differs"
    other = based_on("[x]", "sentence_transformers", "").encode()
    assert explain(tmp_path, "MLmodel", left, other).rewrite_reason == ""


def test_transformers_saved_from_other_directories_are_equivalent_only_with_their_weights(tmp_path: Path) -> None:
    left, right = based_on("/srv/1"), based_on("/srv/2")
    with_weights, without = ("model/config.json",), ("components/config.json",)
    assert verdict(tmp_path, left, right, with_weights, with_weights) == "equivalent"
    (tmp_path / "other").mkdir()
    assert verdict(tmp_path / "other", left, right, without, without) == "different"


@pytest.mark.parametrize(
    "left, right",
    [
        (based_on("org/a"), based_on("org/b")),
        (based_on("/srv/a"), based_on("org/b")),
        (based_on("./a"), based_on("./b")),
        (based_on("'C:\\a'"), based_on("'C:\\b'")),
        (based_on("/srv/a", rest=""), based_on("/srv/b", rest="")),
        (based_on("/srv/a"), based_on("/srv/b", rest="")),
        (based_on("/srv/a", rest=", model_binary: null"), based_on("/srv/b", rest=", model_binary: null")),
        (based_on("/srv/a", rest=", model_binary: ../x"), based_on("/srv/b", rest=", model_binary: ../x")),
        *(
            (based_on("/srv/a", rest=rest), based_on("/srv/b", rest=rest))
            for key in ("inference_task", "source_model_revision", "local_base_model_path")
            for rest in (f", model_binary: model, {key}: x", f", model_binary: model, {key}: null")
        ),
        (based_on("/srv/a", "mine"), based_on("/srv/b", "mine")),
    ],
)
def test_transformers_whose_base_model_mlflow_may_read_are_not_equivalent(
    left: str, right: str, tmp_path: Path
) -> None:
    assert explain(tmp_path, "MLmodel", left.encode(), right.encode()).rewrite_reason == ""

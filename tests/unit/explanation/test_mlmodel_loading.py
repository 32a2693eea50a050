"""MLmodel files are equivalent only if MLflow loads the same model from both."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml
from mlflow.models import Model

from tests.support.explained import explain

# The two files of a pair have different run IDs, so they are equivalent if the rest is the same.
TEXT = "run_id: {}\nflavors: {{python_function: {{loader_module: mlflow.sklearn}}}}\nmetadata: {}\n"


def reason(tmp_path: Path, left: str, right: str) -> str:
    return explain(
        tmp_path, "MLmodel", TEXT.format("a", left).encode(), TEXT.format("b", right).encode()
    ).rewrite_reason


@pytest.mark.parametrize(
    "value",
    [
        "1",
        "text",
        "''",
        "{a: [1, 2.5, true, null, 2026-01-01, 2026-01-01T00:00:00Z, .nan]}",
        "{<<: {a: 1}, a: 2}",
        "{a: &x [1], b: *x}",
        "{3: a, 2: b, true: c}",
        "!!binary YQ==",
        '"\\u00e9"',
        "é",
    ],
)
def test_mlmodel_files_that_differ_only_in_run_id_are_equivalent(value: str, tmp_path: Path) -> None:
    assert isinstance(yaml.safe_load(TEXT.format("a", value)), dict)
    assert reason(tmp_path, value, value) == "only run_id differs"


@pytest.mark.parametrize(
    "left, right",
    [
        ("!", "''"),
        ("{1: a, 0x1: b}", "{0x1: b, 1: a}"),
        ("{yes: a, true: b}", "{true: b, yes: a}"),
        ("{1: a, true: b}", "{true: b, 1: a}"),
        ("{0.1: a, 1.0e-1: b}", "{1.0e-1: b, 0.1: a}"),
        ("{null: a, ~: b}", "{~: b, null: a}"),
        ("{1.0: a, 1: b}", "{1: b, 1.0: a}"),
        ("{a: {1: a, 0x1: b}}", "{a: {0x1: b, 1: a}}"),
    ],
)
def test_mlmodel_files_that_mlflow_may_load_differently_are_not_equivalent(
    left: str, right: str, tmp_path: Path
) -> None:
    assert reason(tmp_path, left, right) == ""
    assert reason(tmp_path, right, left) == ""


@pytest.mark.parametrize(
    "value", ["{1: a, 0x1: b}", "{yes: a, true: b}", "[{a: {1: a, 1.0: b}}]", "{<<: {1: a}, 2: b, 0x2: c}"]
)
def test_mlmodel_files_with_keys_that_mlflow_merges_are_not_equivalent(value: str, tmp_path: Path) -> None:
    explanation = explain(tmp_path, "MLmodel", TEXT.format("a", value).encode(), TEXT.format("b", value).encode())
    assert explanation.rewrite_reason == ""
    assert explanation.note == "it has two keys of which MLflow would load one"


@pytest.mark.parametrize(
    "value",
    [
        "!!python/name:os.system ''",
        "!!python/object/apply:os.getcwd []",
        "!!int abc",
        "!!int ''",
        "!!float x",
        "!!bool x",
        "!!timestamp x",
        "!!binary é",
        "2020-99-99",
        "2020-01-01T99:00:00Z",
        "{2020-99-99: a}",
        "=",
        "!mine a",
        "\ta",
        "{a:\t1,\tb: 2}\n\tc",
        "{? [a] : b}",
    ],
)
def test_mlmodel_files_that_mlflow_cannot_load_are_not_equivalent(value: str, tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text(TEXT.format("a", value))
    with pytest.raises(Exception):  # noqa: B017, PT011  # each constructor raises its own type
        Model.load(str(tmp_path))
    assert reason(tmp_path, value, value) == ""


@pytest.mark.parametrize("text", ["1: a\n", "true: a\n", "self: a\n"])
def test_mlmodel_files_with_fields_that_mlflow_cannot_load_are_not_equivalent(text: str, tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text(text)
    with pytest.raises(TypeError):
        Model.load(str(tmp_path))
    left, right = (f"run_id: {run}\n{text}".encode() for run in "ab")
    assert explain(tmp_path, "MLmodel", left, right).rewrite_reason == ""


@pytest.mark.parametrize(
    "field, value",
    [
        ("run_id", "1"),
        ("run_id", "2026-01-01"),
        ("run_id", "true"),
        ("run_id", "!!binary YQ=="),
        ("model_uuid", "1.5"),
        ("model_id", "1.0e+3"),
        ("artifact_path", ".inf"),
        ("utc_time_created", "2026-01-01 00:00:00.000000"),
        ("utc_time_created", "null"),
        ("model_size_bytes", "'1'"),
        ("model_size_bytes", "true"),
        ("model_size_bytes", "1.0"),
    ],
)
def test_mlmodel_files_with_a_value_type_that_mlflow_never_writes_are_not_equivalent(
    field: str, value: str, tmp_path: Path
) -> None:
    usual = "17" if field == "model_size_bytes" else "other"
    for left, right in ((usual, value), (value, usual)):
        explanation = explain(tmp_path, "MLmodel", f"{field}: {left}\n".encode(), f"{field}: {right}\n".encode())
        assert explanation.rewrite_reason == ""
        assert not any(change.rewrite_reason for change in explanation.fields)
        assert explanation.note == f"MLflow does not write such a {field}"


@pytest.mark.parametrize("field", ["run_id", "model_id", "model_uuid", "artifact_path", "model_size_bytes"])
def test_mlmodel_files_are_equivalent_even_if_one_has_no_run_id_or_size(field: str, tmp_path: Path) -> None:
    usual = "17" if field == "model_size_bytes" else "other"
    for text in (f"{field}: null\n", "{}\n"):
        assert explain(tmp_path, "MLmodel", f"{field}: {usual}\n".encode(), text.encode()).rewrite_reason


@pytest.mark.parametrize("flavor", ["python_function", "langchain"])
def test_code_directory_of_python_function_and_langchain_does_not_affect_equivalence(
    flavor: str, tmp_path: Path
) -> None:
    left, right = (f"flavors: {{{flavor}: {{model_code_path: {path}/p.py}}}}\n".encode() for path in ("/a", "/b"))
    assert explain(tmp_path, "MLmodel", left, right).rewrite_reason


@pytest.mark.parametrize("flavor", ["sklearn", "llama_index", "mine", "Python_Function", "'python_function '", "1"])
def test_code_directory_of_any_other_flavor_affects_equivalence(flavor: str, tmp_path: Path) -> None:
    left, right = (f"flavors: {{{flavor}: {{model_code_path: {path}/p.py}}}}\n".encode() for path in ("/a", "/b"))
    explanation = explain(tmp_path, "MLmodel", left, right)
    assert explanation.rewrite_reason == ""
    assert explanation.fields[0].meaning == "logged from a program at another path"
    assert explanation.note == ""


def test_mlmodel_files_with_different_binary_code_paths_are_not_equivalent(tmp_path: Path) -> None:
    left, right = (
        f"flavors: {{python_function: {{model_code_path: !!binary {path}/YQ==}}}}\n".encode()
        for path in ("aaaa", "bbbb")
    )
    assert explain(tmp_path, "MLmodel", left, right).rewrite_reason == ""


@pytest.mark.parametrize(
    "value",
    [
        "1" + ":1" * 300_000,
        "[" * 400_000,
        "[" + "a, " * 300_000 + "]",
        "[&a0 x, " + "".join(f"&a{index + 1} [*a{index}, *a{index}], " for index in range(90)) + "]",
        "[&a0 {x: 1}, " + "".join(f"&a{index + 1} {{<<: [*a{index}, *a{index}]}}, " for index in range(30)) + "]",
    ],
    ids=["base 60", "deep", "long", "aliases", "merges"],
)
def test_hostile_mlmodel_file_is_loaded_in_bounded_time(value: str, tmp_path: Path) -> None:
    started = time.monotonic()
    assert reason(tmp_path, value, value) == ""
    # Far more than needed, since other tests run at the same time.
    assert time.monotonic() - started < 60

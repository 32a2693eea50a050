"""Compiled files of Python: which pairs are rewrites, and pairs that Python would load otherwise."""

from __future__ import annotations

import importlib.util
import marshal
import os
import py_compile
from collections.abc import Callable
from pathlib import Path
from types import CodeType

import pytest

from model_gate.comparison.file_comparison import FileComparison
from model_gate.comparison.rewrite_conditions import holds
from model_gate.domain.difference import Difference, DifferenceKind, RewriteCondition
from model_gate.domain.pairing import Pair
from model_gate.domain.result import Comparison
from tests.support.explained import compare_directories, diff, explain, field_of, verdict_of

SOURCE = '''"""A module."""

LIMIT = 3


class Model:
    def predict(self, rows, *, scale=1.5):
        def inner(row):
            return [value * scale for value in row]

        return {name: inner(row) for name, row in rows.items() if name not in {"a", "b"}}
'''
CACHED = "code/__pycache__/" + Path(importlib.util.cache_from_source("model.py")).name


def compiled(directory: Path, source: str = SOURCE, time: int = 1_000_000_000, name: str = "model.py") -> bytes:
    """Return the compiled form of a source that lies in a directory."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / name
    file.write_text(source)
    os.utime(file, (time, time))
    target = directory / "compiled.pyc"
    py_compile.compile(str(file), str(target), invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP)
    return target.read_bytes()


def model(directory: Path, bytecode: bytes | None, source: str | None = SOURCE) -> Path:
    for path, content in (
        ("MLmodel", b"run_id: '1'\n"),
        ("code/model.py", None if source is None else source.encode()),
        (CACHED, bytecode),
    ):
        if content is not None:
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_bytes(content)
    return directory


def difference_at(comparison: Comparison, path: str = CACHED) -> Difference:
    return next(difference for difference in comparison.differences if difference.path == path)


def test_models_whose_source_was_compiled_in_another_directory_are_equivalent(tmp_path: Path) -> None:
    left = model(tmp_path / "left", compiled(tmp_path / "a"))
    right = model(tmp_path / "right", compiled(tmp_path / "a-much-longer-name" / "ü", time=1_700_000_000))
    comparison = compare_directories(left, right)
    assert verdict_of(comparison) == "equivalent"
    explanation = difference_at(comparison).explanation
    assert explanation is not None
    assert [field.field for field in explanation.fields] == ["time of the source", "path of the source"]
    assert field_of(explanation, "path of the source").left == str(tmp_path / "a" / "model.py")


@pytest.mark.parametrize(
    "left_source, right_source", [(None, None), (SOURCE, None), (SOURCE, SOURCE + "\n"), (SOURCE + "#", SOURCE + "#")]
)
def test_compiled_files_without_their_unchanged_source_are_not_equivalent(
    left_source: str | None, right_source: str | None, tmp_path: Path
) -> None:
    left = model(tmp_path / "left", compiled(tmp_path / "a"), left_source)
    right = model(tmp_path / "right", compiled(tmp_path / "b"), right_source)
    comparison = compare_directories(left, right)
    assert verdict_of(comparison) == "different"
    assert difference_at(comparison).rewrite_reason == ""


@pytest.mark.parametrize("old, new, verdict", [("3", "4", "different"), ("3", "3", "equivalent")])
def test_compiled_files_whose_changed_source_is_ignored_are_not_equivalent(
    old: str, new: str, verdict: str, tmp_path: Path
) -> None:
    left = model(tmp_path / "left", compiled(tmp_path / "a"))
    right = model(tmp_path / "right", compiled(tmp_path / "b"), SOURCE.replace(old, new))
    assert verdict_of(compare_directories(left, right, ["code/model.py"])) == verdict


def test_compiled_files_need_a_source_that_was_compared_and_is_the_same() -> None:
    pair = Pair("code/model.py", "code/model.py", "code/model.py", 3, 3, ignored_by="code/*.py")
    condition = RewriteCondition("code/model.py", 3)
    same = FileComparison(pair, None)
    changed = FileComparison(pair, Difference("code/model.py", DifferenceKind.CONTENT, 3, 3))
    assert holds(condition, [same], ({}, {}))
    assert not holds(condition, [changed], ({}, {}))
    assert not holds(condition, [same._replace(is_compared=False)], ({}, {}))
    assert not holds(RewriteCondition("code/model.py", 4), [same], ({}, {}))
    assert not holds(RewriteCondition("code/mode.py", 3), [same], ({}, {}))
    assert not holds(condition, [same._replace(pair=pair._replace(right="other/model.py"))], ({}, {}))


def with_flags(flags: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:4] + flags.to_bytes(4, "little") + data[8:]


def with_other_code(change: Callable[[CodeType], CodeType]) -> Callable[[bytes], bytes]:
    return lambda data: data[:16] + marshal.dumps(change(marshal.loads(data[16:])))  # noqa: S302


def with_path_as_value(code: CodeType) -> CodeType:
    """Return code in which a constant is the path of the source, as a reference to it."""
    return code.replace(co_consts=(*code.co_consts, code.co_filename))


def with_another_path_inside(code: CodeType) -> CodeType:
    consts = [
        each.replace(co_filename=f"{each.co_filename[:-8]}x/model.py") if isinstance(each, CodeType) else each
        for each in code.co_consts
    ]
    return code.replace(co_consts=tuple(consts))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(with_flags(1), id="checked hash"),
        pytest.param(with_flags(3), id="hash that is never checked"),
        pytest.param(with_flags(2), id="unknown flag"),
        pytest.param(lambda data: b"\x01\x02" + data[2:], id="unknown magic"),
        pytest.param(lambda data: data[:2] + b"\n\n" + data[4:], id="magic without line end"),
        pytest.param(lambda data: data + b"N", id="bytes after the code"),
        pytest.param(lambda data: data[:-1], id="cut off"),
        pytest.param(lambda data: data[:16] + b"N", id="no code"),
        pytest.param(with_other_code(with_path_as_value), id="path as a value"),
        pytest.param(with_other_code(with_another_path_inside), id="another path inside"),
        pytest.param(
            with_other_code(lambda code: code.replace(co_filename="/x/other.py")), id="path of another source"
        ),
    ],
)
def test_compiled_files_that_python_may_load_otherwise_are_not_equivalent(
    change: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    left, right = (compiled(tmp_path / name) for name in ("a", "b"))
    assert explain(tmp_path, CACHED, left, right).rewrite_reason
    assert explain(tmp_path, CACHED, change(left), change(right)).rewrite_reason == ""


@pytest.mark.parametrize("old, new", [("LIMIT = 3", "LIMIT = 4"), ("1.5", "2.5"), ('"b"', '"c"'), ("inner", "outer")])
def test_compiled_files_with_other_code_are_not_equivalent(old: str, new: str, tmp_path: Path) -> None:
    left, right = compiled(tmp_path / "a"), compiled(tmp_path / "b", SOURCE.replace(old, new))
    explanation = explain(tmp_path, CACHED, left, right)
    assert explanation.rewrite_reason == ""
    assert "compiled from another source" in explanation.summary


def test_constant_that_looks_like_the_path_of_the_source_is_code(tmp_path: Path) -> None:
    source = "NAME = '/weights/{}/model.py'\n"
    left, right = compiled(tmp_path / "a", source.format(1)), compiled(tmp_path / "b", source.format(2))
    explanation = explain(tmp_path, CACHED, left, right)
    assert explanation.rewrite_reason == ""
    assert field_of(explanation, "code").meaning


def test_compiled_file_in_only_one_model_is_different_with_advice(tmp_path: Path) -> None:
    left, right = model(tmp_path / "left", compiled(tmp_path / "a")), model(tmp_path / "right", None)
    result = diff(tmp_path, left, right)
    assert result.verdict == "different"
    explanation = result.difference(CACHED)["explanation"]
    assert "PYTHONDONTWRITEBYTECODE=1" in explanation["advice"]
    assert "the compiled form of code/model.py" in result.text
    assert "PYTHONDONTWRITEBYTECODE=1" in result.text


@pytest.mark.parametrize(
    "path",
    [
        "code/model.cpython-311.pyc",
        "code/__pycache__/model.pyc",
        "code/__pycache__/a.b.cpython-311.pyc",
        "code/__pycache__/sub/model.cpython-311.pyc",
    ],
)
def test_compiled_file_at_an_unusual_place_is_not_equivalent(path: str, tmp_path: Path) -> None:
    explanation = explain(tmp_path, path, compiled(tmp_path / "a"), compiled(tmp_path / "b"))
    assert explanation.rewrite_reason == ""

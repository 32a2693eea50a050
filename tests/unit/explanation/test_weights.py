"""Weights that PyTorch and safetensors themselves have saved: `weights/make.py` says how."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from tests.support.explained import diff, explain, field_of

WEIGHTS = Path(__file__).parent / "weights"
STATE, TENSORS = "model.pth", "model.safetensors"


def saved(how: str, name: str) -> bytes:
    return (WEIGHTS / how / name).read_bytes()


def rewritten(data: bytes, method: int = zipfile.ZIP_STORED) -> bytes:
    """The same members, as another program packs them: other times, headers, alignment."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(target, "w", method) as archive:
        for name in source.namelist():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), source.read(name), method)
    return target.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "packed"])
def test_what_pytorch_saved_and_another_program_packed_again_is_equivalent(method: int, tmp_path: Path) -> None:
    left = saved("first", STATE)
    right = rewritten(left, method)
    assert left != right
    assert explain(tmp_path, "data/model.pth", left, right).rewrite_reason == "same members, different archive metadata"


def test_one_changed_weight_in_what_pytorch_saved_is_different_and_named(tmp_path: Path) -> None:
    left, right = saved("first", STATE), saved("changed", STATE)
    assert len(left) == len(right)
    for other in (right, rewritten(right)):
        found = explain(tmp_path, "data/model.pth", left, other)
        assert found.rewrite_reason == ""
        assert found.summary.startswith("model/data/2: 4 of 24 bytes differ")
        assert {each.field for each in found.fields} == {"model/data/2", "model/.data/serialization_id"}


def test_what_pytorch_saved_without_checksums_is_not_taken_for_the_same(tmp_path: Path) -> None:
    found = explain(tmp_path, "data/model.pth", saved("first", STATE), saved("without_checksums", STATE))
    assert found.rewrite_reason == ""
    assert "Bad CRC-32" in found.note


def test_one_changed_weight_in_safetensors_is_different_and_named(tmp_path: Path) -> None:
    found = explain(tmp_path, TENSORS, saved("first", TENSORS), saved("changed", TENSORS))
    assert found.rewrite_reason == ""
    assert found.summary == "2.weight: 1 of 6 elements changed, largest difference 0.5"
    assert field_of(found, "2.weight").left == "float32 2 × 3"


def test_the_verdict_on_a_model_with_these_weights(tmp_path: Path) -> None:
    contents = {
        "first": {STATE: saved("first", STATE)},
        "packed": {STATE: rewritten(saved("first", STATE))},
        "changed": {STATE: saved("changed", STATE)},
    }
    for name, files in contents.items():
        (tmp_path / name / "data").mkdir(parents=True)
        (tmp_path / name / "MLmodel").write_text(f"run_id: '{name}'\n")
        for path, content in files.items():
            (tmp_path / name / "data" / path).write_bytes(content)
    for other, verdict in (("packed", "equivalent"), ("changed", "different")):
        told = diff(tmp_path, tmp_path / "first", tmp_path / other)
        assert told.verdict == verdict, told.text

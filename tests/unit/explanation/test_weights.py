"""Weights saved by PyTorch and safetensors; `weights/make.py` creates them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from tests.support.explained import diff, explain, field_of

WEIGHTS = Path(__file__).parent / "weights"
STATE, TENSORS = "model.pth", "model.safetensors"


def saved(variant: str, name: str) -> bytes:
    return (WEIGHTS / variant / name).read_bytes()


def repacked(data: bytes, method: int = zipfile.ZIP_STORED) -> bytes:
    """Return an archive of the same members with other times, headers and alignment."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(target, "w", method) as archive:
        for name in source.namelist():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), source.read(name), method)
    return target.getvalue()


def test_repacked_pytorch_weights_are_equivalent_to_the_original_file(tmp_path: Path) -> None:
    left = saved("first", STATE)
    right = repacked(left, zipfile.ZIP_STORED)
    assert left != right
    assert explain(tmp_path, "data/model.pth", left, right).rewrite_reason == "same members, different archive metadata"


def test_compressed_pytorch_weights_are_not_equivalent_to_the_original_file(tmp_path: Path) -> None:
    # torch.load(mmap=True) takes the compressed bytes for the weights.
    left = saved("first", STATE)
    right = repacked(left, zipfile.ZIP_DEFLATED)
    explanation = explain(tmp_path, "data/model.pth", left, right)
    assert explanation.rewrite_reason == ""
    assert "compressed" in field_of(explanation, "0.weight (model/data/0)").meaning


def test_changed_pytorch_weight_is_a_difference_and_the_explanation_names_it(tmp_path: Path) -> None:
    left, right = saved("first", STATE), saved("changed", STATE)
    assert len(left) == len(right)
    for other in (right, repacked(right)):
        explanation = explain(tmp_path, "data/model.pth", left, other)
        assert explanation.rewrite_reason == ""
        assert explanation.summary.startswith("2.weight (model/data/2): 1 of 6 elements changed")
        fields = {change.field for change in explanation.fields}
        assert fields == {"2.weight (model/data/2)", "model/.data/serialization_id"}


def test_pytorch_file_with_invalid_checksums_is_not_equivalent_to_one_with_valid_checksums(tmp_path: Path) -> None:
    explanation = explain(tmp_path, "data/model.pth", saved("first", STATE), saved("without_checksums", STATE))
    assert explanation.rewrite_reason == ""
    assert "Bad CRC-32" in explanation.note


def test_changed_safetensors_weight_is_a_difference_and_the_explanation_names_it(tmp_path: Path) -> None:
    explanation = explain(tmp_path, TENSORS, saved("first", TENSORS), saved("changed", TENSORS))
    assert explanation.rewrite_reason == ""
    assert explanation.summary == "2.weight: 1 of 6 elements changed, largest difference 0.5"
    assert field_of(explanation, "2.weight").left == "float32 2 × 3"


def test_verdict_distinguishes_repacked_from_changed_pytorch_weights(tmp_path: Path) -> None:
    contents = {
        "first": {STATE: saved("first", STATE)},
        "repacked": {STATE: repacked(saved("first", STATE))},
        "changed": {STATE: saved("changed", STATE)},
    }
    for name, files in contents.items():
        (tmp_path / name / "data").mkdir(parents=True)
        (tmp_path / name / "MLmodel").write_text(f"run_id: '{name}'\n")
        for path, content in files.items():
            (tmp_path / name / "data" / path).write_bytes(content)
    for other, verdict in (("repacked", "equivalent"), ("changed", "different")):
        result = diff(tmp_path, tmp_path / "first", tmp_path / other)
        assert result.verdict == verdict, result.text

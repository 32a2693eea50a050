"""Phrases that describe differences."""

from __future__ import annotations

from pathlib import Path

from model_gate.domain.difference import Difference, DifferenceKind, Explanation
from model_gate.reporting.naming import SideNames
from model_gate.reporting.phrases import describe, describe_all
from tests.support.explained import explain

SIDES = SideNames("staging v12", "production v7", "")


def content(path: str, explanation: Explanation, identity: str = "") -> Difference:
    return Difference(path, DifferenceKind.CONTENT, 10, 10, offset=0, rewrite_reason=identity, explanation=explanation)


def test_files_that_mlflow_only_rewrote_are_described_last(tmp_path: Path) -> None:
    differences = [
        content("MLmodel", explain(tmp_path, "MLmodel", b"run_id: 1\n", b"run_id: 2\n"), "only run_id differs"),
        content("model.pkl", explain(tmp_path, "model.bin", bytes(48_112), bytes(48_108) + b"1234")),
        content(
            "requirements.txt",
            explain(tmp_path, "requirements.txt", b"scikit-learn==1.5.2\n", b"scikit-learn==1.6.0\n"),
        ),
    ]
    assert describe_all(differences, SIDES) == (
        "model.pkl: 4 of 48,112 bytes differ; requirements.txt: scikit-learn 1.5.2 → 1.6.0; "
        "MLmodel: only run_id differs"
    )


def test_differences_with_hostile_names_are_described_in_one_short_line() -> None:
    differences = [
        content(f"{number}\n::error::" + "x" * 9_000, Explanation("text", "a\nb" * 9_000)) for number in range(50)
    ]
    line = describe_all(differences, SIDES)
    assert "\n" not in line
    assert len(line) < 2_000
    assert line.endswith("; and 46 more")


def test_difference_without_an_explanation_is_described_by_file_sizes() -> None:
    assert describe(Difference("a", DifferenceKind.CONTENT, 10, 20), SIDES) == "content differs (10 → 20 bytes)"
    assert describe(Difference("a", DifferenceKind.ONLY_LEFT, 1), SIDES) == "only in staging v12 (1 byte)"

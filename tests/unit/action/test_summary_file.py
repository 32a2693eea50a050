"""The summary's file fits into a comment, and replaces nothing but an earlier summary."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from model_gate.access.redaction import Redactor
from model_gate.action.summary import summary
from model_gate.action.summary_file import MARKER, MAX_BYTES, write_summary_file
from model_gate.errors import StorageError
from tests.support.action_outcomes import HOSTILE, check, comparison, explained


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_summary_file_is_beside_the_report_and_starts_with_its_marker(workspace: Path) -> None:
    for text in ("first\n", "second\n"):
        assert write_summary_file(Path("reports/gate.json"), text) == Path("reports/gate.md")
        assert (workspace / "reports/gate.md").read_text() == f"{MARKER}\n{text}"


def test_summary_file_never_replaces_another_file(workspace: Path) -> None:
    (workspace / "README.md").write_text("# Mine\n")
    with pytest.raises(StorageError, match="another file"):
        write_summary_file(Path("README.json"), "text")
    assert (workspace / "README.md").read_text() == "# Mine\n"


def test_summary_file_is_never_written_through_a_symbolic_link(workspace: Path) -> None:
    target = workspace.parent / "target.md"
    target.write_text(MARKER)
    (workspace / "gate.md").symlink_to(target)
    with pytest.raises(StorageError):
        write_summary_file(Path("gate.json"), "text")
    assert target.read_text() == MARKER


def test_summary_file_of_the_largest_summary_has_at_most_60_000_bytes() -> None:
    assert write_summary_file(Path("r.json"), "x" * MAX_BYTES).stat().st_size == 60_000


@pytest.mark.parametrize("text", [*HOSTILE, "|" * 300, "a/" * 200])
def test_summary_for_a_comment_stays_within_the_limit_of_comments(text: str) -> None:
    many = comparison(*(explained(f"{text * 20}{number}", text * 20) for number in range(300)))
    markdown = summary(check(many, name=text * 20), "r.json", Redactor(), MAX_BYTES)
    path = write_summary_file(Path("r.json"), markdown)
    assert path.stat().st_size <= 60_000
    html = MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(markdown)
    assert html.count("<details>") == html.count("</details>")
    assert markdown.startswith("## ❌ ")


def test_summary_that_does_not_fit_keeps_the_verdict_and_what_was_not_compared() -> None:
    many = comparison(*(explained("|" * 300, "|" * 300) for _ in range(20)))
    markdown = summary(check(replace(many, not_compared=("model.pkl",))), "r.json", Redactor(), 20_000)
    assert len(markdown.encode()) <= 20_000
    assert markdown.startswith("## ❌ ")
    assert "so they may differ too: <code>model.pkl</code>." in markdown
    assert "Full report of Wine: <code>r.json</code>" in markdown

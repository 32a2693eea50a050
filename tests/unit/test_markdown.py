"""Lines of Markdown files have at most 120 columns, so that a diff stays readable."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.paths import ROOT

_COLUMNS = 120
# Lines of console blocks cannot be wrapped, because they show real output. `make bench` writes the long table rows.
_VERBATIM_BLOCK = "```console"
_GENERATED_TABLE = Path("docs/performance.md")


def _long_lines(path: Path) -> Iterator[int]:
    is_block = is_verbatim = False
    for number, line in enumerate((ROOT / path).read_text("utf-8").splitlines(), 1):
        if line.startswith("```"):
            is_block = not is_block
            is_verbatim = is_block and line == _VERBATIM_BLOCK
        is_generated = path == _GENERATED_TABLE and line.startswith("| ")
        if len(line) > _COLUMNS and not is_verbatim and not is_generated:
            yield number


def test_markdown_lines_have_at_most_120_columns() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "*.md"], cwd=ROOT, check=True, capture_output=True, encoding="utf-8"
    ).stdout
    pages = [Path(name) for name in listed.split("\0") if name]
    assert Path("README.md") in pages
    long_lines = [f"{page}:{number}" for page in pages for number in _long_lines(page)]
    assert not long_lines, "\n".join(long_lines)

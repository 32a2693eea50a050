"""Each line of SECURITY.md about what somebody cannot do names tests that exist."""

from __future__ import annotations

import ast
import re

import pytest

from tests.support.paths import ROOT

PAGE = (ROOT / "SECURITY.md").read_text("utf-8")
# Tables of this page that only describe.
_WITHOUT_TESTS = {"Who writes what"}
NAMES = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)))


def rows() -> list[tuple[str, str]]:
    """Return the section and the text of each row of a table, without its head."""
    sections = (section.partition("\n") for section in PAGE.split("\n## ")[1:])
    return [
        (title, line)
        for title, _, text in sections
        for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
        for line in table.splitlines()[2:]
    ]


@pytest.mark.parametrize("file, name", NAMES, ids=[name for _, name in NAMES])
def test_test_that_the_page_names_exists(file: str, name: str) -> None:
    tree = ast.parse((ROOT / "tests" / file).read_text("utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_line_of_the_page_names_a_test() -> None:
    assert len(rows()) > 20
    assert [line for title, line in rows() if title not in _WITHOUT_TESTS and "::test_" not in line] == []

"""Each item of SECURITY.md about what somebody cannot do names tests that exist."""

from __future__ import annotations

import ast
import re

import pytest

from tests.support.paths import ROOT

PAGE = (ROOT / "SECURITY.md").read_text("utf-8")
# Sections whose list items describe something and need no test.
_WITHOUT_TESTS = {"Who writes what", "How to set up a workflow"}
NAMES = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)))


def items() -> list[tuple[str, str]]:
    """Return the section title and the text of each list item of SECURITY.md."""
    sections = (section.partition("\n") for section in PAGE.split("\n## ")[1:])
    return [
        (title, item) for title, _, text in sections for item in re.findall(r"^- .*\n(?:  .*\n)*", text, re.MULTILINE)
    ]


@pytest.mark.parametrize("file, name", NAMES, ids=[name for _, name in NAMES])
def test_every_test_that_the_security_page_names_exists(file: str, name: str) -> None:
    tree = ast.parse((ROOT / "tests" / file).read_text("utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_item_of_the_security_page_names_a_test() -> None:
    assert len(items()) > 20
    assert [item for title, item in items() if title not in _WITHOUT_TESTS and "::test_" not in item] == []

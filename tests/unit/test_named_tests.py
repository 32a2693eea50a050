"""Each item of SECURITY.md and docs/equality.md about a guard names tests that exist."""

from __future__ import annotations

import ast
import re

import pytest

from tests.support.paths import ROOT

PAGES = {"SECURITY.md": "", "docs/equality.md": "unit/explanation/"}
# Sections whose list items describe something and need no test.
_WITHOUT_TESTS = {"Who writes what", "How to set up a workflow"}


def names(page: str, folder: str) -> set[tuple[str, str]]:
    """Return the file and the name of each test that a page names. A file without a folder is in `folder`."""
    found = re.findall(r"`([\w/]+\.py)::(\w+)`", (ROOT / page).read_text("utf-8"))
    return {(file if "/" in file else folder + file, name) for file, name in found}


NAMES = sorted({entry for page, folder in PAGES.items() for entry in names(page, folder)})


def items(page: str) -> list[tuple[str, str]]:
    """Return the section title and the text of each list item of a page."""
    sections = (section.partition("\n") for section in (ROOT / page).read_text("utf-8").split("\n## ")[1:])
    return [
        (title, item) for title, _, text in sections for item in re.findall(r"^- .*\n(?:  .*\n)*", text, re.MULTILINE)
    ]


@pytest.mark.parametrize("file, name", NAMES, ids=[f"{file}::{name}" for file, name in NAMES])
def test_every_test_that_a_page_names_exists(file: str, name: str) -> None:
    tree = ast.parse((ROOT / "tests" / file).read_text("utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("page", PAGES)
def test_every_item_of_a_page_about_guards_names_a_test(page: str) -> None:
    assert len(items(page)) > 20
    assert [item for title, item in items(page) if title not in _WITHOUT_TESTS and "::test_" not in item] == []

"""Digests of files and trees equal those of `sha256sum`."""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path

import pytest

from model_gate.comparison import digest
from model_gate.comparison.digest import file_digest, tree_digest
from model_gate.sources.directory import list_directory
from tests.support.oracle import tree_hash
from tests.support.paths import SCHEMAS
from tests.support.zoo.pairs import ODD_NAMES, SPARKML
from tests.support.zoo.tree import Link, Tree, make_tree


def documented_command() -> str:
    match = re.search(r"`(find .*)`", digest.__doc__ or "")
    assert match
    return match[1]


def digest_of(root: Path) -> str:
    return tree_digest({path: file_digest(str(root / path)) for path in list_directory(root).files})


# All files have the same content, so their lines are sorted by name only. A tab sorts before a newline.
SAME_CONTENT: Tree = {"a": b"1", "a\t": b"1", "a\tb": b"1", "a b": b"1"}
LINKED: Tree = {"a/f": b"1", "l": Link("a"), "g": Link("a/f")}


@pytest.mark.parametrize(
    "tree", [{"f": b"1"}, SPARKML, ODD_NAMES, SAME_CONTENT, LINKED, {"A": b"1", "a": b"2", "_": b"3"}]
)
def test_tree_digest_equals_the_output_of_the_documented_command(tree: Tree, tmp_path: Path) -> None:
    make_tree(tmp_path, tree)
    assert digest_of(tmp_path) == tree_hash(tmp_path, documented_command())


def test_report_schema_documents_the_command_for_the_tree_digest() -> None:
    schema = (SCHEMAS / "report.schema.json").read_text("utf-8")
    assert documented_command().replace("\\", "\\\\") in schema


def test_file_digest_equals_the_output_of_sha256sum(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(bytes(range(256)) * 10_000)
    printed = subprocess.run(["sha256sum", file], check=True, capture_output=True, text=True).stdout
    assert file_digest(str(file)) == printed.split()[0]


def test_tree_digest_depends_on_names_and_contents_but_not_on_their_order() -> None:
    first, second = hashlib.sha256(b"1").hexdigest(), hashlib.sha256(b"2").hexdigest()
    trees = ({"a": first, "b": second}, {"a": second, "b": first}, {"a": first}, {"a": first, "c": second})
    assert len({tree_digest(tree) for tree in trees}) == len(trees)
    assert tree_digest({"a": first, "b": second}) == tree_digest({"b": second, "a": first})

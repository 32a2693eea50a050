"""A listing of another process is the listing of this process, or this process lists the directory itself."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from model_gate.comparison.model_pair import SelectedModel, SelectedPair
from model_gate.comparison.models import compare_models
from model_gate.comparison.progress import NoProgress
from model_gate.domain.location import Location
from model_gate.errors import ModelError, TransferError
from model_gate.sources.directory import REPORTED_FILES, list_directory
from model_gate.sources.directory_process import DirectoryProcess
from model_gate.sources.model_source import DirectorySource
from model_gate.sources.storage import Storage
from tests.support.zoo.tree import EmptyDirectory, Link, Tree, make_tree

TREE: Tree = {
    "MLmodel": b"run_id: 1\n",
    "data/part-0": b"some text",
    "data/deep/zäh\n\t'\"": b"",
    "empty": EmptyDirectory(),
    "link": Link("data/part-0"),
    "linked": Link("data"),
}
FAILING_PROGRAMS = {
    "ends at once": [sys.executable, "-c", ""],
    "is no JSON": [sys.executable, "-c", "print('no')"],
    "ends early": [sys.executable, "-c", """print('{"files": ["a"], "directories": [""]}'); print('short')"""],
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    make_tree(tmp_path / "model", TREE)
    with open(os.fsencode(tmp_path / "model") + b"/\xff", "wb") as file:
        file.write(b"1")
    return tmp_path / "model"


@pytest.fixture
def source(model: Path) -> Iterator[DirectorySource]:
    with Storage(None) as storage, closing(DirectorySource(model, Location(str(model)), "left", storage)) as source:
        source.begin_list()
        yield source


def ignore_progress(_: dict[str, Any]) -> None:
    """Do nothing."""


def test_listing_of_another_process_is_the_listing_of_this_process(model: Path) -> None:
    expected = list_directory(model)
    with closing(DirectoryProcess(str(model))) as process:
        listing = process.listing()
    assert listing is not None
    assert list(listing.files.items()) == list(expected.files.items())
    assert (listing.root, list(listing.directories)) == (expected.root, list(expected.directories))
    assert list(listing.file_states) == list(expected.file_states)
    assert list(listing.directory_states) == list(expected.directory_states)


def test_unchanged_directory_passes_the_check_of_another_process(model: Path) -> None:
    with closing(DirectoryProcess(str(model))) as process:
        process.listing()
        process.begin_check()
        assert process.is_unchanged()


@pytest.mark.parametrize(
    "change",
    [
        lambda model: (model / "data/part-0").write_bytes(b"text some"),
        lambda model: (model / "data/deep/new").touch(),
        lambda model: (model / "MLmodel").unlink(),
        shutil.rmtree,
    ],
    ids=["rewritten", "added", "removed", "all removed"],
)
def test_change_after_the_listing_of_another_process_is_an_error(
    model: Path, source: DirectorySource, change: Callable[[Path], object]
) -> None:
    source.list(ignore_progress)
    change(model)
    source.begin_check()
    with pytest.raises(TransferError, match="changed while it was compared"):
        source.require_unchanged()


@pytest.mark.parametrize("program", FAILING_PROGRAMS.values(), ids=FAILING_PROGRAMS)
def test_failed_process_gives_no_listing(model: Path, program: list[str]) -> None:
    with closing(DirectoryProcess(str(model), program)) as process:
        assert process.listing() is None
        process.begin_check()
        assert not process.is_unchanged()


def test_directory_that_cannot_be_a_model_has_the_same_error(model: Path, source: DirectorySource) -> None:
    (model / "dangling").symlink_to("nowhere")
    source.close()
    source.begin_list()
    with pytest.raises(ModelError, match=r"dangling in .* points to nothing"):
        source.list(ignore_progress)


def test_process_that_ends_before_the_check_leaves_the_check_to_this_process(
    model: Path, source: DirectorySource
) -> None:
    source.list(ignore_progress)
    source.close()
    source.begin_check()
    source.require_unchanged()
    (model / "MLmodel").write_text("changed")
    with pytest.raises(TransferError):
        source.require_unchanged()


def test_second_large_directory_is_listed_by_another_process(tmp_path: Path) -> None:
    """The comparison of two large directories has the same result, and its second directory had a process."""
    begun: list[str] = []

    class Recorded(DirectorySource):
        def begin_list(self) -> None:
            begun.append(self.name)
            super().begin_list()

    (tmp_path / "left").mkdir()
    for number in range(REPORTED_FILES):
        (tmp_path / "left" / f"{number}").touch()
    shutil.copytree(tmp_path / "left", tmp_path / "right")
    (tmp_path / "right" / "0").write_text("more")
    with Storage(None) as storage:
        left, right = (
            SelectedModel(Recorded(tmp_path / name, Location(name), name, storage), is_mlflow_model=False)
            for name in ("left", "right")
        )
        (comparison,) = compare_models([SelectedPair(left, right)], NoProgress())
    assert begun == ["right"]
    assert [difference.path for difference in comparison.differences] == ["0"]

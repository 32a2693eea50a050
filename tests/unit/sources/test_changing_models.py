"""A model on this machine that changes between its listing and the end of the comparison is an error."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from model_gate.comparison.model_pair import SelectedModel, SelectedPair
from model_gate.comparison.models import compare_models
from model_gate.comparison.progress import NoProgress
from model_gate.domain.location import Location
from model_gate.domain.result import Comparison
from model_gate.errors import ModelGateError, TransferError
from model_gate.sources.directory import list_directory
from model_gate.sources.model_source import DirectorySource
from model_gate.sources.storage import Storage
from tests.support.zoo.tree import EmptyDirectory, Link, Tree, make_tree

TREE: Tree = {
    "MLmodel": b"run_id: 1\n",
    "data/part-0": b"some text",
    "data/deep/part-1": b"more text",
    "empty": EmptyDirectory(),
    "link": Link("data/part-0"),
    "linked": Link("data"),
}


def rewrite_with_old_times(file: Path) -> None:
    status = file.stat()
    file.write_bytes(file.read_bytes()[::-1])
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def replace_with_copy(path: Path) -> None:
    """Replace a file or directory by a copy with the same content and times."""
    copy = path.with_name("copy")
    if path.is_dir():
        shutil.copytree(path, copy, symlinks=True)
        shutil.rmtree(path)
    else:
        shutil.copy2(path, copy)
    copy.rename(path)


def retarget(link: Path, target: str) -> None:
    link.unlink()
    link.symlink_to(target)


def swap(path: Path, replacement: bytes) -> None:
    """Replace a file, and put the original back."""
    path.rename(path.with_name("original"))
    path.write_bytes(replacement)
    path.with_name("original").rename(path)


def replace_with_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_with_fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


CHANGES: dict[str, Callable[[Path], object]] = {
    "file added": lambda model: (model / "evil.py").write_bytes(b""),
    "file added in a directory": lambda model: (model / "data/deep/evil.py").write_bytes(b"1"),
    "file added in an empty directory": lambda model: (model / "empty/evil.py").write_bytes(b"1"),
    "directory added": lambda model: (model / "new").mkdir(),
    "file removed": lambda model: (model / "data/deep/part-1").unlink(),
    "file rewritten": lambda model: (model / "data/part-0").write_bytes(b"text some"),
    "file rewritten with its old times": lambda model: rewrite_with_old_times(model / "data/part-0"),
    "file grown": lambda model: (model / "data/part-0").write_bytes(b"some text and more"),
    "file replaced by a copy": lambda model: replace_with_copy(model / "data/part-0"),
    "file replaced and put back": lambda model: swap(model / "data/part-0", b"text some"),
    "file replaced by a FIFO": lambda model: replace_with_fifo(model / "data/part-0"),
    "file replaced by a directory": lambda model: replace_with_directory(model / "MLmodel"),
    "directory replaced by a copy": lambda model: replace_with_copy(model / "data/deep"),
    "link leads to another file": lambda model: retarget(model / "link", "data/deep/part-1"),
    "link leads to another directory": lambda model: retarget(model / "linked", "data/deep"),
    "model replaced by a copy": replace_with_copy,
    "model removed": shutil.rmtree,
}


class ChangeAtBegin(NoProgress):
    """Runs a function after the listing, before a file is read."""

    def __init__(self, change: Callable[[], object]) -> None:
        self._change = change

    def begin(self, *_: object) -> None:
        """Run the function."""
        self._change()


class ChangeAtEnd(ChangeAtBegin):
    """Runs a function after all files are compared."""

    _remaining = 0

    def begin(self, files: int, *_: object) -> None:  # type: ignore[override]  # the sizes are not needed
        """Count the files."""
        self._remaining = files

    def advance(self, files: int) -> None:
        """Run the function after the last file."""
        self._remaining -= files
        if not self._remaining:
            self._change()


def compare(
    directory: Path, progress: NoProgress, download_dir: Path | None = None, right: str = "right"
) -> Comparison:
    with Storage(download_dir) as storage:
        models = [
            SelectedModel(DirectorySource(root, Location(str(root), local_path=root), name, storage))
            for name, root in (("left", directory / "left"), ("right", directory / right))
        ]
        return compare_models([SelectedPair(models[0], models[1])], progress)[0]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    for name in ("left", "right"):
        make_tree(tmp_path / name, TREE)
    return tmp_path


@pytest.mark.parametrize("name", ["left", "right"])
@pytest.mark.parametrize("keeps", [False, True])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_model_that_changes_after_it_was_read_is_an_error(
    models: Path, change: Callable[[Path], object], keeps: bool, name: str
) -> None:
    progress = ChangeAtEnd(lambda: change(models / name))
    with pytest.raises(TransferError, match=f"/{name} changed while it was compared") as caught:
        compare(models, progress, models / "kept" if keeps else None)
    assert caught.value.remedy


def test_error_for_an_added_file_names_the_directory(models: Path) -> None:
    # Two paths lead to the directory `data`.
    for path, name in (("evil.py", ""), ("data/evil.py", "(data|linked)/ of ")):
        with pytest.raises(TransferError, match=f"^The directory {name}{models / 'right'} changed"):
            compare(models, ChangeAtEnd((models / "right" / path).touch))


@pytest.mark.parametrize("keeps", [False, True])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_model_that_changes_before_it_is_read_is_an_error(
    models: Path, change: Callable[[Path], object], keeps: bool
) -> None:
    with pytest.raises(ModelGateError):
        compare(models, ChangeAtBegin(lambda: change(models / "right")), models / "kept" if keeps else None)


def test_model_that_changes_is_an_error_even_if_the_models_differ(models: Path) -> None:
    (models / "left" / "MLmodel").write_text("run_id: 2\n")
    with pytest.raises(TransferError, match="changed while it was compared"):
        compare(models, ChangeAtEnd((models / "right" / "evil.py").touch))


def test_unchanged_models_are_equal(models: Path) -> None:
    assert compare(models, ChangeAtEnd((models / "beside").touch)).equals


def test_model_that_is_compared_with_itself_is_not_read_and_may_change(models: Path) -> None:
    progress = ChangeAtBegin((models / "left" / "evil.py").touch)
    comparison = compare(models, progress, right="left")
    assert (comparison.equals, comparison.same_location) == (True, True)


def test_change_within_one_tick_of_the_clock_is_an_error(tmp_path: Path) -> None:
    make_tree(tmp_path, TREE)
    for _ in range(20):
        (tmp_path / "data/part-0").write_bytes(b"some text")
        listing = list_directory(tmp_path)
        rewrite_with_old_times(tmp_path / "data/part-0")
        with pytest.raises(TransferError):
            listing.require_unchanged()


@pytest.mark.parametrize("path", ["data/part-0", "empty/new"])
def test_listing_waits_until_the_clock_tick_of_the_latest_change_is_over(tmp_path: Path, path: str) -> None:
    # Linux before 6.13 gives all changes within 10 ms the same time.
    make_tree(tmp_path, TREE)
    for _ in range(20):
        (tmp_path / path).unlink(missing_ok=True)
        (tmp_path / path).write_bytes(b"some text")
        list_directory(tmp_path)
        assert time.time_ns() - (tmp_path / path).stat().st_ctime_ns > 10_000_000


@pytest.mark.parametrize("nanoseconds", [0, -1, -(10**18), 2**62 + 1, 9 * 10**18])
def test_unusual_file_times_are_not_mistaken_for_changes(tmp_path: Path, nanoseconds: int) -> None:
    make_tree(tmp_path, TREE)
    for path in ("MLmodel", "data"):
        os.utime(tmp_path / path, ns=(nanoseconds, nanoseconds))
    list_directory(tmp_path).require_unchanged()


def test_changed_target_of_a_link_to_the_model_directory_is_an_error(models: Path) -> None:
    (models / "name").symlink_to("left")
    listing = list_directory(models / "name")
    retarget(models / "name", "right")
    with pytest.raises(TransferError):
        listing.require_unchanged()

"""Where fetched files are kept: private and removed, or the user's and never mixed with what was there."""

from __future__ import annotations

import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_gate.errors import StorageError
from model_gate.sources.storage import Storage, remove_tree


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where scratch directories are made during a test."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    yield scratch
    subprocess.run(["rm", "-rf", "--", scratch], check=True)


def test_scratch_space_is_private_and_removed(scratch: Path) -> None:
    with Storage(None) as storage:
        file = storage.reserve("run_model", "data/f")
        file.write_bytes(b"1")
        (made,) = scratch.iterdir()
        assert stat.S_IMODE(made.stat().st_mode) == 0o700
        assert made in file.parents
    assert list(scratch.iterdir()) == []


def test_scratch_space_is_removed_whatever_happens(scratch: Path) -> None:
    def fail() -> None:
        with Storage(None) as storage:
            storage.reserve("run_model", "f")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(scratch.iterdir()) == []


def test_scratch_space_is_removed_if_the_download_directory_is_refused(scratch: Path, tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"")
    with pytest.raises(StorageError):
        Storage(tmp_path)
    assert list(scratch.iterdir()) == []


def test_deep_scratch_space_is_removed(scratch: Path) -> None:
    with Storage(None) as storage:
        storage.reserve("run_model", "d/" * 1_000 + "f").write_bytes(b"1")
    assert list(scratch.iterdir()) == []


def test_nothing_is_put_into_scratch_space_that_was_removed(scratch: Path) -> None:
    storage = Storage(None)
    storage.remove()
    with pytest.raises(FileNotFoundError):
        storage.reserve("run_model", "a/b")
    assert list(scratch.iterdir()) == []


def test_the_home_of_a_side_is_empty(scratch: Path) -> None:
    with Storage(None) as storage:
        assert list(storage.home.iterdir()) == []


def test_names_that_do_not_fit_scratch_space_get_another(scratch: Path) -> None:
    with Storage(None) as storage:
        first = storage.reserve("run_model", "f")
        colliding = storage.reserve("run_model", "f")
        below_a_file = storage.reserve("run_model", "f/g")
        too_long = storage.reserve("run_model", "n" * 300)
        files = [first, colliding, below_a_file, too_long]
        for number, file in enumerate(files):
            file.write_text(str(number))
        assert [file.read_text() for file in files] == ["0", "1", "2", "3"]
    assert list(scratch.iterdir()) == []


def test_a_released_file_is_gone_from_scratch_space(scratch: Path) -> None:
    with Storage(None) as storage:
        file = storage.reserve("run_model", "f")
        storage.release(file)
        assert not file.exists()


def test_a_download_directory_keeps_what_was_fetched(scratch: Path, tmp_path: Path) -> None:
    kept = tmp_path / "new" / "kept"
    with Storage(kept) as storage:
        file = storage.reserve("run_model/server_1", "data/f")
        file.write_bytes(b"1")
        storage.release(file)
    assert (kept / "run_model" / "server_1" / "data" / "f").read_bytes() == b"1"
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("old", ["f", ".hidden", "directory"])
def test_a_download_directory_that_is_not_empty_is_refused_and_left_alone(
    old: str, scratch: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    (kept / old).mkdir(parents=True)
    with pytest.raises(StorageError, match="is not empty") as caught:
        Storage(kept)
    assert "Empty it" in caught.value.remedy
    assert [path.name for path in kept.iterdir()] == [old]


def test_a_download_directory_that_is_a_file_is_refused(scratch: Path, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"1")
    with pytest.raises(StorageError, match="use the download directory"):
        Storage(tmp_path / "f")
    with pytest.raises(StorageError, match="use the download directory"):
        Storage(tmp_path / "f" / "below")


def test_names_that_do_not_fit_a_download_directory_are_an_error(scratch: Path, tmp_path: Path) -> None:
    with Storage(tmp_path / "kept") as storage:
        storage.reserve("run_model", "f")
        with pytest.raises(StorageError, match="nearly the same name"):
            storage.reserve("run_model", "f")
        with pytest.raises(StorageError, match="nearly the same name"):
            storage.reserve("run_model", "f/g")
        with pytest.raises(StorageError, match=r"keep n+ in the download directory") as caught:
            storage.reserve("run_model", "n" * 300)
        assert "shorter" in caught.value.remedy


def test_no_scratch_space_is_an_error_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nothing"))
    with pytest.raises(StorageError, match="make a scratch directory"):
        Storage(None)


def test_a_tree_is_removed_without_what_its_links_point_to(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "f").write_bytes(b"1")
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (root / "a" / "l").symlink_to(tmp_path / "outside")
    (root / "dangling").symlink_to("nothing")
    os.mkfifo(root / "fifo")
    remove_tree(root)
    assert not root.exists()
    assert (tmp_path / "outside" / "f").read_bytes() == b"1"


def test_removing_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    remove_tree(tmp_path / "nothing")


def test_small_files_are_in_memory_each_in_a_new_place_and_private(scratch: Path) -> None:
    with Storage(None) as storage:
        first, second = (storage.reserve("run_model", "data/f", size) for size in (0, 64 * 1024))
        for file in (first, second):
            assert file.parent.parent == Path("/dev/shm")  # noqa: S108  # as it says
            assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
            assert file.read_bytes() == b""
        first.write_bytes(b"1")
        assert second.read_bytes() == b""
        storage.release(first)
        assert not first.exists()
        assert storage.reserve("run_model", "data/f", 1) != first
    assert not second.parent.exists()
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("size", [None, 64 * 1024 + 1])
def test_others_are_not(size: int | None, scratch: Path) -> None:
    with Storage(None) as storage:
        assert scratch in storage.reserve("run_model", "data/f", size).parents


def test_small_files_that_are_kept_are_where_they_are_kept(scratch: Path, tmp_path: Path) -> None:
    with Storage(tmp_path / "kept") as storage:
        assert storage.reserve("run_model", "f", 1) == tmp_path / "kept" / "run_model" / "f"


@pytest.mark.parametrize("place", ["nothing", "file"])
def test_where_there_is_no_place_in_memory_all_files_are_in_scratch_space(
    place: str, scratch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr("model_gate.sources.storage.MEMORY", tmp_path / place)
    with Storage(None) as storage:
        assert scratch in storage.reserve("run_model", "f", 1).parents


def test_where_there_is_no_room_in_memory_either(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model_gate.sources.storage._ROOM_BYTES", 1 << 60)
    with Storage(None) as storage:
        assert scratch in storage.reserve("run_model", "f", 1).parents


def test_what_memory_has_no_name_left_for_is_in_scratch_space(scratch: Path) -> None:
    with Storage(None) as storage:
        remove_tree(storage.reserve("run_model", "f", 1).parent)
        file = storage.reserve("run_model", "f", 1)
        assert scratch in file.parents
        assert file.read_bytes() == b""

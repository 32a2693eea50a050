"""Scratch files are private and are removed at the end. The download directory must be empty, and its files stay."""

from __future__ import annotations

import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_gate.errors import StorageError
from model_gate.sources.storage import SHARED_MEMORY, MemoryDirectory, Storage, remove_tree


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory in which all scratch directories of a test are made."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    yield scratch
    subprocess.run(["rm", "-rf", "--", scratch], check=True)


def test_scratch_directory_is_private_and_removed(scratch: Path) -> None:
    with Storage(None) as storage:
        file = storage.reserve("run_model", "data/f")
        file.write_bytes(b"1")
        (made,) = scratch.iterdir()
        assert stat.S_IMODE(made.stat().st_mode) == 0o700
        assert made in file.parents
    assert list(scratch.iterdir()) == []


def test_scratch_directory_is_removed_after_an_error(scratch: Path) -> None:
    def fail() -> None:
        with Storage(None) as storage:
            storage.reserve("run_model", "f")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(scratch.iterdir()) == []


def test_scratch_directory_is_removed_if_the_download_directory_is_rejected(scratch: Path, tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"")
    with pytest.raises(StorageError):
        Storage(tmp_path)
    assert list(scratch.iterdir()) == []


def test_deeply_nested_scratch_directory_is_removed(scratch: Path) -> None:
    with Storage(None) as storage:
        storage.reserve("run_model", "d/" * 1_000 + "f").write_bytes(b"1")
    assert list(scratch.iterdir()) == []


def test_reserving_a_file_in_a_removed_scratch_directory_is_an_error(scratch: Path) -> None:
    storage = Storage(None)
    storage.remove()
    with pytest.raises(FileNotFoundError):
        storage.reserve("run_model", "a/b")
    assert list(scratch.iterdir()) == []


def test_home_directory_of_a_worker_is_empty(scratch: Path) -> None:
    with Storage(None) as storage:
        assert list(storage.home.iterdir()) == []


def test_scratch_directory_replaces_a_file_name_that_the_filesystem_rejects(scratch: Path) -> None:
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


def test_released_scratch_file_is_removed(scratch: Path) -> None:
    with Storage(None) as storage:
        file = storage.reserve("run_model", "f")
        storage.release(file)
        assert not file.exists()


def test_released_files_are_not_removed_from_the_download_directory(scratch: Path, tmp_path: Path) -> None:
    kept = tmp_path / "new" / "kept"
    with Storage(kept) as storage:
        file = storage.reserve("run_model/server_1", "data/f")
        file.write_bytes(b"1")
        storage.release(file)
    assert (kept / "run_model" / "server_1" / "data" / "f").read_bytes() == b"1"
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("old", ["f", ".hidden", "directory"])
def test_nonempty_download_directory_is_rejected_and_unchanged(old: str, scratch: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    (kept / old).mkdir(parents=True)
    with pytest.raises(StorageError, match="is not empty") as caught:
        Storage(kept)
    assert "Empty it" in caught.value.remedy
    assert [path.name for path in kept.iterdir()] == [old]


def test_uri_as_download_directory_is_rejected(scratch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StorageError, match="is a URI"):
        Storage(Path("s3://bucket/models"))
    assert not (tmp_path / "s3:").exists()


@pytest.mark.parametrize("name", ["none", "file", "read-only"])
def test_temporary_directory_that_cannot_be_used_is_an_error(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    path = "/proc" if name == "read-only" else str(tmp_path / name)
    monkeypatch.setenv("TMPDIR", path)
    with pytest.raises(StorageError, match=f"TMPDIR is {path}, which is not a directory that can be written"):
        Storage(None)


def test_regular_file_as_download_directory_is_rejected(scratch: Path, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"1")
    with pytest.raises(StorageError, match="use the download directory"):
        Storage(tmp_path / "f")
    with pytest.raises(StorageError, match="use the download directory"):
        Storage(tmp_path / "f" / "below")


def test_file_name_that_the_download_directory_rejects_is_an_error(scratch: Path, tmp_path: Path) -> None:
    with Storage(tmp_path / "kept") as storage:
        storage.reserve("run_model", "f")
        with pytest.raises(StorageError, match="nearly the same name"):
            storage.reserve("run_model", "f")
        with pytest.raises(StorageError, match="nearly the same name"):
            storage.reserve("run_model", "f/g")
        with pytest.raises(StorageError, match=r"keep n+ in the download directory") as caught:
            storage.reserve("run_model", "n" * 300)
        assert "shorter" in caught.value.remedy


def test_missing_temporary_directory_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nothing"))
    with pytest.raises(StorageError, match="make a scratch directory"):
        Storage(None)


def test_removing_a_directory_does_not_remove_the_targets_of_its_links(tmp_path: Path) -> None:
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


def test_removing_a_missing_directory_is_no_error(tmp_path: Path) -> None:
    remove_tree(tmp_path / "nothing")


def test_small_files_in_memory_are_private_and_have_unique_paths(scratch: Path) -> None:
    with Storage(None) as storage:
        first, second = (storage.reserve("run_model", "data/f", size) for size in (0, 64 * 1024))
        for file in (first, second):
            assert file.parent.parent == SHARED_MEMORY
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
def test_file_of_large_or_unknown_size_is_not_stored_in_memory(size: int | None, scratch: Path) -> None:
    with Storage(None) as storage:
        assert scratch in storage.reserve("run_model", "data/f", size).parents


def test_small_file_is_stored_in_the_download_directory(scratch: Path, tmp_path: Path) -> None:
    with Storage(tmp_path / "kept") as storage:
        assert storage.reserve("run_model", "f", 1) == tmp_path / "kept" / "run_model" / "f"


@pytest.mark.parametrize("parent", ["nothing", "file"])
def test_small_file_is_stored_on_disk_without_an_in_memory_file_system(
    parent: str, scratch: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with Storage(None, MemoryDirectory(tmp_path / parent)) as storage:
        assert scratch in storage.reserve("run_model", "f", 1).parents


def test_small_file_is_stored_on_disk_if_memory_is_full(scratch: Path) -> None:
    with Storage(None, MemoryDirectory(min_free_bytes=1 << 60)) as storage:
        assert scratch in storage.reserve("run_model", "f", 1).parents


def test_small_file_is_stored_on_disk_if_it_cannot_be_made_in_memory(scratch: Path) -> None:
    with Storage(None) as storage:
        remove_tree(storage.reserve("run_model", "f", 1).parent)
        file = storage.reserve("run_model", "f", 1)
        assert scratch in file.parents
        assert file.read_bytes() == b""


def _storage_with_space(directory: Path, free: int) -> Storage:
    return Storage(directory / "kept", free_bytes=lambda _: free)


def test_file_beyond_the_free_space_is_rejected_before_its_download(tmp_path: Path) -> None:
    with _storage_with_space(tmp_path, 10_000_000) as storage:
        storage.reserve("left", "fits", 10_000_000)
        with pytest.raises(StorageError, match=r"10,000,001 bytes, but .* has only 0 bytes of free space"):
            storage.reserve("left", "large", 10_000_001)
    assert not (tmp_path / "kept" / "left" / "large").exists()


def test_files_that_are_still_arriving_reduce_the_free_space(tmp_path: Path) -> None:
    with _storage_with_space(tmp_path, 10_000_000) as storage:
        arriving = storage.reserve("left", "a", 6_000_000)
        with pytest.raises(StorageError, match="only 4,000,000 bytes"):
            storage.reserve("right", "a", 6_000_000)
        storage.arrived(arriving)
        storage.reserve("right", "a", 6_000_000)


def test_arrived_bytes_of_an_unfinished_file_are_subtracted_once_from_the_free_space(tmp_path: Path) -> None:
    with _storage_with_space(tmp_path, 10_000_000) as storage:
        storage.reserve("left", "a", 6_000_000).write_bytes(b"x" * 5_000_000)
        storage.reserve("right", "a", 8_000_000)


@pytest.mark.parametrize("kept", ["model", "model/kept", "model/a/b", "link/kept", "model/../model/kept", "."])
def test_download_directory_inside_or_above_a_model_is_rejected(kept: str, scratch: Path, tmp_path: Path) -> None:
    parent = tmp_path / "parent"
    parent.mkdir()
    (parent / "link").symlink_to("model")
    (parent / "model").mkdir()
    with pytest.raises(StorageError, match="would change an input" if kept != "." else "is not empty"):  # noqa: SIM117
        with Storage(parent / kept) as storage:
            storage.require_outside([parent / "model"])
    assert os.listdir(parent / "model") == []
    with Storage(parent / "models") as storage:
        storage.require_outside([parent / "model", tmp_path / "other"])


def test_model_that_appears_in_the_download_directory_is_rejected(scratch: Path, tmp_path: Path) -> None:
    with Storage(tmp_path / "kept") as storage:
        with pytest.raises(StorageError, match="would change an input"):
            storage.require_outside([tmp_path / "kept" / "model"])
        (tmp_path / "kept" / "model").mkdir(parents=True)
        with pytest.raises(StorageError, match="is not empty"):
            storage.make_download_dir()


def _compared_window(storage: Storage, content: bytes) -> Path:
    window = storage.reserve_window("model.bin", len(content))
    window.write_bytes(content)
    storage.arrived(window)
    storage.give_back_window(window)
    return window


@pytest.mark.parametrize("size", [200_000, 70_000, 1])
def test_compared_window_is_used_once_for_a_window_that_is_not_larger(size: int, scratch: Path) -> None:
    with Storage(None) as storage:
        compared = _compared_window(storage, b"x" * 200_000)
        assert storage.reserve_window("model.bin", 200_001) != compared
        assert storage.reserve_window("model.bin", size) == compared
        assert compared.stat().st_size == size
        assert storage.reserve_window("model.bin", size) != compared


def test_window_that_is_used_again_has_bytes_of_its_own_in_every_64_kib(scratch: Path) -> None:
    content = b"x" * 200_003
    with Storage(None) as storage:
        for window in (storage.reserve_window("a", len(content)), storage.reserve_window("b", len(content))):
            window.write_bytes(content)
            storage.give_back_window(window)
        windows = [storage.reserve_window(path, len(content)).read_bytes() for path in ("a", "b")]
    for start in range(0, len(content), 64 * 1024):
        pieces = {window[start : start + 64 * 1024] for window in (*windows, content)}
        assert len(pieces) == 3
    assert {len(window) for window in windows} == {len(content)}


def test_discarded_window_is_removed_and_not_used_again(scratch: Path) -> None:
    with Storage(None) as storage:
        window = storage.reserve_window("model.bin", 9)
        storage.discard_window(window)
        assert not window.exists()
        assert storage.reserve_window("model.bin", 9) != window


def test_compared_windows_are_removed_at_the_end_of_a_file(scratch: Path) -> None:
    with Storage(None) as storage:
        window = _compared_window(storage, b"x" * 9)
        storage.discard_free_windows()
        assert not window.exists()
        assert storage.reserve_window("model.bin", 9) != window

"""A directory source reads files in place or copies them, and rejects a file that does not have its listed size."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_gate.domain.location import Location
from model_gate.errors import StorageError, TransferError
from model_gate.sources.model_source import DirectorySource
from model_gate.sources.storage import Storage


def source_of(root: Path, storage: Storage) -> DirectorySource:
    return DirectorySource(root, Location(str(root), local_path=root), "left", storage)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "model" / "data").mkdir(parents=True)
    (tmp_path / "model" / "data" / "f").write_bytes(b"12345")
    return tmp_path / "model"


@pytest.mark.parametrize("keeps", [False, True])
@pytest.mark.parametrize("content", [b"1234", b"", b"123456"])
def test_file_that_differs_from_its_listed_size_is_an_error(
    keeps: bool, content: bytes, model: Path, tmp_path: Path
) -> None:
    with Storage(tmp_path / "kept" if keeps else None) as storage:
        source = source_of(model, storage)
        ((path, size),) = source.list(lambda _: None).files.items()
        (model / path).write_bytes(content)
        with pytest.raises(TransferError, match=f"data/f .* has {len(content)} bytes, but was listed with 5") as caught:
            source.fetch(path, size)
        assert caught.value.remedy


def test_file_removed_after_the_listing_is_an_error(model: Path) -> None:
    with Storage(None) as storage:
        source = source_of(model, storage)
        (model / "data" / "f").unlink()
        with pytest.raises(StorageError, match="No such file"):
            source.fetch("data/f", 5)


def test_local_model_is_read_in_place_without_a_download_directory(model: Path) -> None:
    with Storage(None) as storage:
        source = source_of(model, storage)
        file = source.fetch("data/f", 5)
        source.release(file)
        assert Path(file) == model / "data" / "f"
        assert Path(file).read_bytes() == b"12345"
        assert source.directory == model
        assert source.is_kept


def test_local_model_is_copied_to_the_download_directory(model: Path, tmp_path: Path) -> None:
    with Storage(tmp_path / "kept") as storage:
        source = source_of(model, storage)
        source.release(source.fetch("data/f", 5))
        assert source.directory == tmp_path / "kept" / "left"
    assert (tmp_path / "kept" / "left" / "data" / "f").read_bytes() == b"12345"
    assert (model / "data" / "f").read_bytes() == b"12345"


def test_file_is_copied_to_the_download_directory_once_and_keeps_its_listed_size(model: Path, tmp_path: Path) -> None:
    with Storage(tmp_path / "kept") as storage:
        source = source_of(model, storage)
        copy = source.fetch("data/f", 5)
        (model / "data" / "f").write_bytes(b"54321")
        assert source.fetch("data/f", 5) == copy
        assert Path(copy).read_bytes() == b"12345"
        with pytest.raises(TransferError, match="has 5 bytes, but was listed with 6"):
            source.fetch("data/f", 6)

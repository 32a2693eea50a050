"""The files of a model on this machine: read where they are or copied for the user, always in the listed size."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_gate.domain.location import Location
from model_gate.errors import StorageError, TransferError
from model_gate.sources.model_source import DirectorySource
from model_gate.sources.storage import Storage


def artifacts(root: Path, storage: Storage) -> DirectorySource:
    return DirectorySource(root, Location(str(root), local_path=root), "left", storage)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "model" / "data").mkdir(parents=True)
    (tmp_path / "model" / "data" / "f").write_bytes(b"12345")
    return tmp_path / "model"


@pytest.mark.parametrize("keeps", [False, True])
@pytest.mark.parametrize("content", [b"1234", b"", b"123456"])
def test_a_file_of_another_size_than_listed_is_an_error(
    keeps: bool, content: bytes, model: Path, tmp_path: Path
) -> None:
    with Storage(tmp_path / "kept" if keeps else None) as storage:
        found = artifacts(model, storage)
        ((path, size),) = found.list(lambda _: None).files.items()
        (model / path).write_bytes(content)
        with pytest.raises(TransferError, match=f"data/f .* has {len(content)} bytes, but was listed with 5") as caught:
            found.fetch(path, size)
        assert caught.value.remedy


def test_a_file_that_is_gone_since_it_was_listed_is_an_error(model: Path) -> None:
    with Storage(None) as storage:
        found = artifacts(model, storage)
        (model / "data" / "f").unlink()
        with pytest.raises(StorageError, match="No such file"):
            found.fetch("data/f", 5)


def test_a_model_on_this_machine_is_read_where_it_is(model: Path) -> None:
    with Storage(None) as storage:
        found = artifacts(model, storage)
        file = found.fetch("data/f", 5)
        found.release(file)
        assert Path(file) == model / "data" / "f"
        assert Path(file).read_bytes() == b"12345"
        assert found.directory == model
        assert found.is_kept


def test_a_copy_that_the_user_wants_is_kept_beside_the_model(model: Path, tmp_path: Path) -> None:
    with Storage(tmp_path / "kept") as storage:
        found = artifacts(model, storage)
        found.release(found.fetch("data/f", 5))
        assert found.directory == tmp_path / "kept" / "left"
    assert (tmp_path / "kept" / "left" / "data" / "f").read_bytes() == b"12345"
    assert (model / "data" / "f").read_bytes() == b"12345"

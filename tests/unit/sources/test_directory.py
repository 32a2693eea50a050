"""A listing follows only links that stay inside the model, and rejects FIFOs, sockets and devices."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from model_gate.errors import ModelError, StorageError
from model_gate.sources.directory import list_directory
from model_gate.sources.storage import remove_tree
from tests.support.zoo.tree import EmptyDirectory, Fifo, Link, Socket, Tree, make_tree


def list_tree(root: Path, tree: Tree) -> dict[str, int]:
    make_tree(root, tree)
    return dict(list_directory(root).files)


def error_for(root: Path, tree: Tree) -> str:
    make_tree(root, tree)
    with pytest.raises(ModelError) as caught:
        list_directory(root)
    assert caught.value.remedy
    return caught.value.message


def test_files_are_listed_with_their_sizes(tmp_path: Path) -> None:
    tree: Tree = {"MLmodel": b"12", "data/model/x.bin": b"123", "data/.hidden": b"", ".git/f": b"1"}
    assert list_tree(tmp_path, tree) == {"MLmodel": 2, "data/model/x.bin": 3, "data/.hidden": 0, ".git/f": 1}


def test_empty_directories_are_not_listed(tmp_path: Path) -> None:
    assert list_tree(tmp_path, {"f": b"1", "e/e": EmptyDirectory()}) == {"f": 1}


def test_listed_names_have_the_same_bytes_as_the_file_names(tmp_path: Path) -> None:
    names = [b"\xff", "é".encode(), "e\u0301".encode(), b"a\nb", b"-", b" "]
    files = list_tree(tmp_path, dict.fromkeys(names, b"1"))
    assert sorted(map(os.fsencode, files)) == sorted(names)


def test_links_inside_the_model_are_followed(tmp_path: Path) -> None:
    links: Tree = {"l": Link("a/f"), "d": Link("a"), "a/up": Link("../b"), "abs": Link("@/b/g")}
    assert list_tree(tmp_path, {"a/f": b"123", "b/g": b"1", **links}) == {
        "a/f": 3,
        "l": 3,
        "d/f": 3,
        "d/up/g": 1,
        "a/up/g": 1,
        "b/g": 1,
        "abs": 1,
    }


def test_model_directory_may_be_a_symbolic_link(tmp_path: Path) -> None:
    make_tree(tmp_path / "model", {"f": b"1", "l": Link("f")})
    (tmp_path / "name").symlink_to("model")
    assert dict(list_directory(tmp_path / "name").files) == {"f": 1, "l": 1}


@pytest.mark.parametrize(
    "tree, message",
    [
        ({"l": Link("nothing")}, "The symbolic link l in {root} points to nothing"),
        ({"l": Link("l")}, "The symbolic link l in {root} points to itself"),
        ({"d/l": Link("..")}, "The symbolic link d/l in {root} leads in a loop"),
        ({"d/l": Link(".")}, "The symbolic link d/l in {root} leads in a loop"),
        ({"a/l": Link("../b"), "b/l": Link("../a")}, "leads in a loop"),
        ({"l": Link("/etc/passwd")}, "The symbolic link l in {root} leaves the model"),
        ({"l": Link("../outside/f")}, "The symbolic link l in {root} leaves the model"),
        ({"l": Link("../outside")}, "The symbolic link l in {root} leaves the model"),
        ({"l": Link("../model-2/f")}, "The symbolic link l in {root} leaves the model"),
        ({"d/f": Fifo()}, "d/f in {root} is a FIFO"),
        ({"s": Socket()}, "s in {root} is a socket"),
        ({"s": Socket(), "l": Link("s")}, "is a socket"),
    ],
)
def test_error_names_the_invalid_link_or_special_file(tree: Tree, message: str, tmp_path: Path) -> None:
    make_tree(tmp_path / "outside", {"f": b"1"})
    make_tree(tmp_path / "model-2", {"f": b"1"})
    root = tmp_path / "model"
    assert message.format(root=root) in error_for(root, {"f": b"1", **tree})


def test_error_for_a_too_long_path_names_the_model(tmp_path: Path) -> None:
    message = error_for(tmp_path / "model", {"a directory/" * 500 + "f": b"1"})
    remove_tree(tmp_path / "model")
    assert f" in {tmp_path / 'model'} is longer" in message


def test_error_escapes_control_characters_in_a_file_name(tmp_path: Path) -> None:
    message = error_for(tmp_path / "model", {"::error::\n\x1b[31m": Link("nothing")})
    assert "\n" not in message
    assert "\x1b" not in message


def test_missing_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="There is no directory"):
        list_directory(tmp_path / "nothing")


def test_regular_file_in_place_of_the_model_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"1")
    with pytest.raises(ModelError, match="is not a directory"):
        list_directory(tmp_path / "f")


def test_file_below_a_thousand_directories_is_listed(tmp_path: Path) -> None:
    try:
        assert list_tree(tmp_path / "model", {"d/" * 1_000 + "f": b"1"}) == {"d/" * 1_000 + "f": 1}
    finally:
        remove_tree(tmp_path / "model")


def test_error_for_a_too_long_path_shortens_the_path(tmp_path: Path) -> None:
    message = error_for(tmp_path / "model", {"a directory/" * 500 + "f": b"1"})
    remove_tree(tmp_path / "model")
    assert "longer than this system can open" in message
    assert len(message) < 400


def test_links_that_multiply_the_number_of_paths_are_rejected_in_bounded_time(tmp_path: Path) -> None:
    tree: Tree = {f"d{level}/{name}": Link(f"../d{level + 1}") for level in range(40) for name in "ab"}
    started = time.monotonic()
    assert "lead to more than" in error_for(tmp_path / "model", {"f": b"1", "d40/e": EmptyDirectory(), **tree})
    assert time.monotonic() - started < 60


def test_too_many_files_are_an_error(tmp_path: Path) -> None:
    make_tree(tmp_path, {str(number): b"" for number in range(4)})
    with pytest.raises(ModelError, match="more than 3 files"):
        list_directory(tmp_path, max_files=3)
    assert len(list_directory(tmp_path, max_files=4).files) == 4


def test_error_names_the_unreadable_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The integration tests use a real unreadable directory, in a process without the rights of root.
    def refuse(path: str) -> object:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(StorageError, match=r"list the directory .*: Permission denied") as caught:
        list_directory(tmp_path)
    assert "permissions" in caught.value.remedy

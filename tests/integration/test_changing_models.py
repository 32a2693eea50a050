"""A local model that changes while it is compared with a server's model is an error, in seconds."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.faulty_server import MODEL, Call, FaultyServer
from tests.support.gates import compare, run, version
from tests.support.zoo.tree import Tree, make_tree

PATH = "data/part-0"


def rewrite(model: Path) -> None:
    """Rewrite the file with the same size and modification time."""
    modified = (model / PATH).stat().st_mtime_ns
    (model / PATH).write_bytes(MODEL[PATH])
    os.utime(model / PATH, ns=(modified, modified))


def replace_with_fifo(model: Path) -> None:
    (model / PATH).unlink()
    os.mkfifo(model / PATH)


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "added": (lambda model: (model / "evil.py").touch(), "changed while it was compared"),
    "added in a directory": (lambda model: (model / "data/evil.py").touch(), "changed while it was compared"),
    "rewritten": (rewrite, "changed while it was compared"),
    "FIFO": (replace_with_fifo, "Not a regular file"),
}


@pytest.mark.parametrize("change, message", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("options", [(), ("--download-dir", "kept")], ids=["in place", "copied"])
def test_directory_that_changes_while_a_file_is_fetched_is_an_error(
    tmp_path: Path, change: Callable[[Path], object], message: str, options: tuple[str, ...]
) -> None:
    tree: Tree = dict(MODEL.items())
    make_tree(tmp_path / "model", tree)

    def change_and_send(call: Call) -> None:
        change(tmp_path / "model")
        call.send(call.file, content_type="application/octet-stream")

    started = time.monotonic()
    with FaultyServer() as server:
        server.add("Wine", MODEL)
        server.faults[f"1/{PATH}"] = change_and_send
        environment = {"MLFLOW_TRACKING_URI": server.url}
        result = run(tmp_path, "diff", tmp_path / "model", "models:/Wine/1", *options, environment=environment)
    if options and message.startswith("Not a"):
        # The copy was made before the file was replaced.
        message = "changed while it was compared"
    assert (result.exit_code, result.status) == (2, "error"), result
    assert message in result.report["error"]["message"], result
    assert result.report["error"]["type"] == ("StorageError" if message.startswith("Not a") else "TransferError")
    assert time.monotonic() - started < 60


def test_version_whose_local_files_change_during_the_gate_is_an_error(tmp_path: Path) -> None:
    tree: Tree = dict(MODEL.items())
    make_tree(tmp_path / "model", tree)

    def change_and_send(call: Call) -> None:
        (tmp_path / "model" / "evil.py").touch()
        call.send(call.file, content_type="application/octet-stream")

    with FaultyServer() as left, FaultyServer() as right:
        left.sources["Wine", "1"] = str(tmp_path / "model")
        right.add("Wine", MODEL)
        right.faults[f"1/{PATH}"] = change_and_send
        result = compare(tmp_path, version(left.url, "Wine"), version(right.url, "Wine"), "--allow-local-artifacts")
    result.require_error("TransferError", str(tmp_path / "model"), "changed while it was compared", "nothing writes")

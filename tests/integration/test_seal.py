"""The commands `seal` and `verify`, and seals in `check` and `compare`, on real tracking servers and directories."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.faulty_server import ARTIFACTS, MODEL, FaultyServer
from tests.support.gates import GateResult, check, compare, run, version
from tests.support.servers import Server, Servers
from tests.support.signing_spec import validate

_SEAL = "seals/model.json"
# No other test uses these versions, so this file may change what the server stores.
pytestmark = pytest.mark.xdist_group("seal")


def seal(directory: Path, server: Server, model: str, version_or_stage: str = "1") -> GateResult:
    return _on(directory, server, "seal", model, version_or_stage, "--output", _SEAL)


def verify(directory: Path, server: Server, model: str, *options: str) -> GateResult:
    return _on(directory, server, "verify", model, "1", "--seal", _SEAL, *options)


def _on(directory: Path, server: Server, command: str, model: str, version_or_stage: str, *options: str) -> GateResult:
    (directory / "seals").mkdir(exist_ok=True)
    selection = ("--model", model, "--version-or-stage", version_or_stage)
    return run(directory, command, *selection, *options, environment={"MLFLOW_TRACKING_URI": server.host})


@contextmanager
def changed(stored: Path, change: Callable[[Path], None]) -> Iterator[None]:
    """Change the files of a model that a server stores, and restore them."""
    original = stored.with_name("original")
    shutil.copytree(stored, original)
    try:
        change(stored)
        yield
    finally:
        shutil.rmtree(stored)
        original.rename(stored)


def _change_byte(model: Path) -> None:
    content = bytearray((model / "model.pkl").read_bytes())
    content[100] ^= 1
    (model / "model.pkl").write_bytes(content)


def _remove_file(model: Path) -> None:
    (model / "conda.yaml").unlink()


def _add_file(model: Path) -> None:
    (model / "backdoor.py").write_text("pass\n")


def test_change_of_a_registered_version_is_found_by_its_seal(tmp_path: Path, servers: Servers) -> None:
    server = servers.staging
    sealed = seal(tmp_path, server, "Sealed")
    assert (sealed.exit_code, sealed.status) == (0, "sealed"), sealed
    statement = json.loads((tmp_path / _SEAL).read_text())
    validate(statement, "statement")
    facts = statement["subject"][0]["annotations"]["model_gate"]
    assert (facts["tracking_server"], facts["registered_model"]) == (server.url, "Sealed")
    assert (facts["model_version"], facts["source"]) == ("1", facts["uri"])

    equal = verify(tmp_path, server, "Sealed")
    assert (equal.exit_code, equal.status) == (0, "equal"), equal
    assert equal.report["seal_comparison"]["decided_by"] == "sha256"
    assert equal.report["seal"]["root"] == statement["subject"][0]["digest"]["sha256"]
    assert equal.report["seal_comparison"]["model"]["hash"] == equal.report["seal"]["hash"]

    stored = server.stored(facts["uri"])
    expected = {_change_byte: ("model.pkl", "content"), _remove_file: ("conda.yaml", "only_left")}
    for change, difference in (expected | {_add_file: ("backdoor.py", "only_right")}).items():
        with changed(stored, change):
            result = verify(tmp_path, server, "Sealed")
        assert (result.exit_code, result.status) == (1, "different"), result
        (found,) = result.report["seal_comparison"]["differences"]
        assert (found["path"], found["kind"]) == difference
        assert difference[0] in result.stdout

    with changed(stored, _change_byte):
        alone = check(tmp_path, server, "Sealed")
        assert alone.exit_code == 0, alone
        assert "\nEQUAL, nothing compared: one location\n" in alone.stdout
        result = check(tmp_path, server, "Sealed", "1", "--seal", _SEAL)
    assert (result.exit_code, result.status) == (1, "different"), result
    assert "nothing compared" not in result.stdout
    assert [each["path"] for each in result.report["seal_comparison"]["differences"]] == ["model.pkl"]


def test_seal_stands_for_a_server_whose_credentials_are_not_there(tmp_path: Path, servers: Servers) -> None:
    seal(tmp_path, servers.staging, "Wine", "2")
    imported = version(servers.production, "Wine Imported", "1")
    result = compare(tmp_path, {"seal": _SEAL, "model": "Wine"}, imported)
    assert (result.exit_code, result.status) == (0, "equal"), result
    assert set(result.report["model_versions"]) == {"tracking_server_2"}
    assert result.report["reg_model_comparison"]["decided_by"] == "sha256"
    assert "run_model_comparison" not in result.report
    assert "of 'Wine' version '2'" in result.stdout

    other = compare(tmp_path, version(servers.production, "Wine Imported", "2"), {"seal": _SEAL, "model": "Wine"})
    assert (other.exit_code, other.status) == (1, "different"), other
    assert [each["path"] for each in other.report["reg_model_comparison"]["differences"]] == ["model.pkl"]
    compare(tmp_path, {"seal": _SEAL}, imported).require_error("SealError", "'Wine'", "'Wine Imported'")


def test_seal_of_another_registered_model_is_an_error(tmp_path: Path, servers: Servers) -> None:
    seal(tmp_path, servers.staging, "Wine", "2")
    verify(tmp_path, servers.production, "Wine Imported").require_error("SealError", "'Wine'", "--seal-model")
    result = verify(tmp_path, servers.production, "Wine Imported", "--seal-model", "Wine")
    assert (result.exit_code, result.status) == (0, "equal"), result
    assert result.report["options"]["seal_model"] == "Wine"
    other = verify(tmp_path, servers.production, "Wine Imported", "--seal-model", "Wine Imported")
    other.require_error("SealError", "is of 'Wine', not of 'Wine Imported'")


def _edit(path: Path, change: Callable[[Any], None]) -> None:
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def test_edited_seal_is_an_error(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "MLmodel").write_text("flavors: {}\n")
    assert run(tmp_path, "seal", "model", "--output", "seal.json").exit_code == 0
    _edit(tmp_path / "seal.json", lambda data: data["predicate"]["resources"][0].update(name="MLmodem"))
    run(tmp_path, "verify", "model", "--seal", "seal.json").require_error("SealError", "was edited")


def test_directory_with_a_name_that_is_not_utf8_cannot_be_sealed(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "MLmodel").write_text("flavors: {}\n")
    (model / os.fsdecode(b"caf\xe9")).write_text("x")
    run(tmp_path, "seal", "model", "--output", "seal.json").require_error("SealError", "not UTF-8")
    assert not (tmp_path / "seal.json").exists()


def test_seal_is_not_written_into_the_sealed_model(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "MLmodel").write_text("flavors: {}\n")
    run(tmp_path, "seal", "model", "--output", "model/seal.json").require_error("StorageError", "would change an input")
    assert os.listdir(model) == ["MLmodel"]


@pytest.mark.parametrize("is_copy", [False, True], ids=["one location", "two locations"])
def test_download_directory_keeps_one_copy_of_a_model_that_is_checked_with_its_seal(
    tmp_path: Path, is_copy: bool
) -> None:
    with FaultyServer() as server:
        server.add("Wine", MODEL)
        if is_copy:
            server.add("copies", MODEL)
            server.downloads["Wine", "1"] = server.sources["copies", "1"]
        named = ("--host", server.url, "--model", "Wine", "--version-or-stage", "1")
        assert run(tmp_path, "seal", *named, "--output", "wine.json").status == "sealed"
        server.requests.clear()
        result = run(tmp_path, "check", *named, "--seal", "wine.json", "--download-dir", "kept")
        requested = [request.path for request in server.requests if request.path.startswith(f"{ARTIFACTS}/")]
    assert (result.exit_code, result.status) == (0, "equal"), result
    assert result.report["seal_comparison"]["model"]["kept"]
    roots = ("run_model", "reg_model") if is_copy else ("reg_model",)
    assert len(requested) == len(set(requested)) == len(roots) * len(MODEL)
    kept = {file.relative_to(tmp_path / "kept").as_posix() for file in (tmp_path / "kept").rglob("*") if file.is_file()}
    assert kept == {f"{root}/{path}" for root in roots for path in MODEL}
    for root in roots:
        assert {path: (tmp_path / "kept" / root / path).read_bytes() for path in MODEL} == MODEL

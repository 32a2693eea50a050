"""A signed seal and a promotion statement of model versions on tracking servers are about the same root."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.commandline import BIN, clean_environment, jq_directory
from tests.support.faulty_server import MODEL, FaultyServer
from tests.support.gates import GateResult, compare, run, version
from tests.support.markdown import Page
from tests.support.model_transfer import download, upload
from tests.support.paths import ROOT
from tests.support.saved_models import change_one_byte, make_directory_flavor
from tests.support.seals import FILES, root_of, write_seal
from tests.support.servers import Server, Servers
from tests.support.signed_models import KeyFiles
from tests.support.sigstore_instance import Identity, SigstoreInstance

pytestmark = pytest.mark.xdist_group("saved_models")  # the models are saved and uploaded once


def test_signed_seal_and_promotion_statement_of_a_version_have_one_root(tmp_path: Path) -> None:
    root = root_of(MODEL)
    with FaultyServer() as staging, FaultyServer() as production:
        staging.add("Wine", MODEL)
        production.add("Wine", MODEL)
        named = ("--host", staging.url, "--model", "Wine", "--version-or-stage", "1")
        assert run(tmp_path, "seal", *named, "--output", "wine.json").status == "sealed"
        key = KeyFiles.make(tmp_path)
        bundle = key.sign_file(tmp_path / "wine.json")
        signed = ("--seal", "wine.json", "--bundle", bundle, "--public-key", key.public)
        verified = run(tmp_path, "verify", *named, *signed, "--statement", "verified.json")
        promoted = compare(
            tmp_path, version(staging.url, "Wine"), version(production.url, "Wine"), "--statement", "promoted.json"
        )
    assert (verified.exit_code, promoted.exit_code) == (0, 0), (verified, promoted)
    statement = json.loads((tmp_path / "verified.json").read_bytes())
    sealed = statement["predicate"]["comparisons"]["seal_comparison"]["left"]["seal"]
    assert sealed.pop("sealed_at") in (tmp_path / "wine.json").read_text()
    assert sealed == {
        "file": "wine.json",
        "root": {"sha256": root},
        "model": "Wine",
        "version": "1",
        "signer": f"the key {key.public}",
    }
    assert f", signer the key {key.public}, of " in verified.stdout
    for name, decided_by in (("verified", "sha256"), ("promoted", "filecmp")):
        statement = json.loads((tmp_path / f"{name}.json").read_bytes())
        assert statement["subject"] == [{"name": "models:/Wine/1", "digest": {"sha256": root}}]
        comparisons = statement["predicate"]["comparisons"].values()
        assert {comparison["decided_by"] for comparison in comparisons} == {decided_by}
        assert {comparison[side]["root"]["sha256"] for comparison in comparisons for side in ("left", "right")} == {
            root
        }


def test_time_limit_holds_for_the_check_of_a_signature(tmp_path: Path) -> None:
    for name, content in FILES.items():
        (tmp_path / "model").mkdir(exist_ok=True)
        (tmp_path / "model" / name).write_bytes(content)
    seal = write_seal(tmp_path / "wine.json")
    identity = Identity("https://example.com/approve.yml@refs/heads/main", "https://issuer.example.com")
    (tmp_path / "bundle.json").write_text(json.dumps(SigstoreInstance().bundle(seal.read_bytes(), identity)))
    signer = ("--bundle", "bundle.json", "--identity", identity.uri, "--issuer", identity.issuer)
    # The proxy accepts connections and never answers, so the trusted root of the public instance never arrives.
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        variables = {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.getsockname()[1]}", "HOME": str(tmp_path)}
        began = time.monotonic()
        options = ("--seal", "wine.json", *signer, "--timeout", "8")
        result = run(tmp_path, "verify", "model", *options, environment=variables)
    result.require_error("StoppedError", "within 8 s. It was waiting for the trusted root from https://tuf-repo-cdn")
    assert time.monotonic() - began < 25


def run_block(text: str, directory: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run commands of a page, with the programs of this environment."""
    path = os.pathsep.join([str(jq_directory(directory)), str(BIN), os.environ["PATH"]])
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", text],
        cwd=directory,
        env=clean_environment() | {"PATH": path, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def shell_blocks(title: str) -> list[str]:
    """Return the shell commands in a section of the page, block by block."""
    section = Page(ROOT / "docs" / "evidence.md").section(title)
    return [block.partition("```")[0] for block in section.split("```sh\n")[1:]]


def test_documented_commands_about_keys_verify_a_version_until_a_byte_changes(tmp_path: Path) -> None:
    keep, tool, envelope, _ = shell_blocks("A key")
    with FaultyServer() as server:
        for number in ("1", "12"):
            server.add("Sklearn_Wine", FILES, number)
        variables = {"MLFLOW_TRACKING_URI": server.url}
        for block in (keep, tool, envelope):
            completed = run_block(block, tmp_path, **variables)
            assert completed.returncode == 0, completed.stdout + completed.stderr
            assert "\nEQUAL\n" in completed.stdout
        change_one_byte(tmp_path / "keep" / "reg_model" / "MLmodel")
        for command in tool.strip().splitlines()[-2:]:
            assert run_block(command, tmp_path, **variables).returncode == 1, command
        server.files["Sklearn_Wine/12/model.pkl"] = b"modem"
        assert run_block(envelope, tmp_path, **variables).returncode == 1


def test_documented_file_of_raw_digests_has_the_root_of_the_seal_as_its_digest(tmp_path: Path) -> None:
    write_seal(tmp_path / "seals" / "Sklearn_Wine.json", files={**FILES, "data.txt": b"", "data/part-0": b"text"})
    (block,) = shell_blocks("A promotion statement")
    completed = run_block(block.partition("gh ")[0], tmp_path)
    assert completed.returncode == 0, completed.stderr
    statement = json.loads((tmp_path / "seals" / "Sklearn_Wine.json").read_text())
    digest = hashlib.sha256((tmp_path / "wine.root").read_bytes()).hexdigest()
    assert digest == statement["subject"][0]["digest"]["sha256"]


NAME = "Signed"


@dataclass(frozen=True)
class Registered:
    """A version of a real model on a tracking server: its number and its source."""

    server: Server
    version: str
    source: str

    def run(self, directory: Path, command: str, *options: str | Path) -> GateResult:
        selection = ("--model", NAME, "--version-or-stage", self.version)
        return run(directory, command, *selection, *options, environment={"MLFLOW_TRACKING_URI": self.server.host})


@pytest.fixture(scope="module")
def registered(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Registered:
    scratch = tmp_path_factory.mktemp("models")
    # `unit/test_signed_seals.py` has the other kinds.
    make_directory_flavor(scratch / NAME, scratch)
    version = upload(servers.staging, {NAME: scratch / NAME})[NAME]
    return Registered(servers.staging, version["version"], version["source"])


def tool_accepts(model: Path, bundle: Path, key: KeyFiles, *options: str | Path) -> bool:
    """Return whether the command line of the tool `model_signing` accepts a directory."""
    command: list[str | Path] = [BIN / "model_signing", "verify", "key", "--public_key", key.public]
    completed = subprocess.run(
        [*command, "--signature", bundle, *options, model], capture_output=True, text=True, check=False
    )
    assert completed.returncode in {0, 1}, completed.stderr
    assert completed.returncode == 0 or "Verification failed" in completed.stderr, completed.stderr
    return completed.returncode == 0


def test_signed_seal_of_a_version_verifies_with_the_tool_against_its_download_until_a_byte_changes(
    registered: Registered, tmp_path: Path
) -> None:
    key, source = KeyFiles.make(tmp_path), registered.source
    assert registered.run(tmp_path, "seal", "--output", "seal.json").status == "sealed"
    bundle = key.sign_file(tmp_path / "seal.json")
    signed = ("--seal", "seal.json", "--bundle", bundle, "--public-key", key.public)
    assert registered.run(tmp_path, "verify", *signed).status == "equal"

    model = download(registered.server, source, tmp_path / "downloaded") / "model"
    assert tool_accepts(model, bundle, key)
    # MLflow adds a file if a model is downloaded by the name of its version.
    named = download(registered.server, f"models:/{NAME}/{registered.version}", tmp_path / "named")
    assert not tool_accepts(named, bundle, key)
    assert tool_accepts(named, bundle, key, "--ignore-paths", named / "registered_model_meta")

    # The byte changes on the server's disk.
    stored = registered.server.stored(source)
    largest = max((file for file in stored.rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)
    change_one_byte(largest)
    try:
        changed = download(registered.server, source, tmp_path / "changed") / "model"
        verified = registered.run(tmp_path, "verify", *signed)
    finally:
        change_one_byte(largest)
    assert not tool_accepts(changed, bundle, key)
    assert (verified.exit_code, verified.status) == (1, "different")
    (difference,) = verified.report["seal_comparison"]["differences"]
    assert difference["path"] == largest.relative_to(stored).as_posix()

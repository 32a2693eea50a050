"""What cannot be decided is an error: a sentence, a remedy, exit code 2, a report, and in time."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from model_gate.access.hosts import parse_host
from model_gate.errors import AccessError, ModelGateError, UnreachableError
from model_gate.sources.tracking_server import TrackingServerClient
from tests.support import commandline
from tests.support.faulty_server import MODEL, Fault, FaultyServer, hang_up, login_page, never_respond, stall, status
from tests.support.gates import Ran, check, compare, version
from tests.support.paths import SUPPORT
from tests.support.servers import Servers, free_port

LIMIT_SECONDS = 60


def test_a_wrong_password_is_told(tmp_path: Path, servers: Servers) -> None:
    host = servers.staging.url.replace("://", "://ada:secret-of-the-test@")
    ran = check(tmp_path, host, "Wine", "1")
    ran.require_error("AccessError", servers.staging.url, "does not accept the credentials", "Check the user name")


def test_a_user_without_permission_is_told_which_one_is_needed(tmp_path: Path, servers: Servers) -> None:
    host = servers.staging.url.replace("://", "://guest:guest-pass-word-1@")
    ran = compare(tmp_path, version(host, "Wine"), version(servers.production, "Wine Imported"))
    ran.require_error("AccessError", servers.staging.url, "forbids", "READ permission")
    # The other server's answer was not waited for in vain: it is known by then, or absent.
    assert ran.report["model_versions"]["tracking_server_1"]["resolved"] is None


_VERSIONS = {
    "a source that dangles": ("Dangling", (), "There are no files at", "empty or missing"),
    "a directory that is no model": ("Notes", (), "not an MLflow model", "readme.txt"),
    "a deleted original": ("Orphan", (), "the version's source dangles", "There is no version 1 of 'Original'"),
    "an unknown native model": (
        "Wine",
        ("--native-model", "model.pickle"),
        "'model.pickle' does not exist",
        "There is: MLmodel, conda.yaml, model.pkl",
    ),
}


@pytest.mark.parametrize("what", _VERSIONS)
def test_a_version_without_a_model_is_no_equal_model(tmp_path: Path, servers: Servers, what: str) -> None:
    model, options, *texts = _VERSIONS[what]
    ran = check(tmp_path, servers.staging, model, "1", *options)
    assert (ran.exit_code, ran.status, ran.report["error"]["type"]) == (2, "error", "ModelError")
    for text in texts:
        assert text.lower() in ran.stderr.lower()
    assert ran.report["model_version"]["resolved"]["version"] == "1"


@pytest.mark.parametrize("path", ["../model.pkl", "/etc/passwd", "data/../../model.pkl"])
def test_a_native_model_cannot_lead_out_of_the_model(tmp_path: Path, path: str) -> None:
    ran = check(tmp_path, "http://127.0.0.1:1", "Wine", "1", "--native-model", path)
    ran.require_error("InputError", path, "not a path inside the MLflow model", "without '..'")


@pytest.fixture(scope="module")
def faulty() -> Iterator[FaultyServer]:
    with FaultyServer() as started:
        yield started


@pytest.fixture(scope="module")
def client(faulty: FaultyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServerClient]:
    with TrackingServerClient(parse_host(faulty.url), os.environ, tmp_path_factory.mktemp("home")) as started:
        yield started


_ANSWERS: dict[str, tuple[Fault, type[ModelGateError], str]] = {
    "a web page": (login_page, UnreachableError, "web page instead of JSON"),
    "no answer": (hang_up, UnreachableError, "without an answer"),
    "503": (status(503), UnreachableError, "a server error (503)"),
    "429": (status(429), UnreachableError, "asks to slow down (429)"),
    "403": (status(403), AccessError, "(403)"),
    "401": (status(401), AccessError, "does not accept the credentials (401)"),
    "400": (status(400), UnreachableError, "(400)"),
}


_OPERATIONS: dict[str, Callable[[TrackingServerClient], object]] = {
    "registered-models/get": lambda client: client.resolve("Wine", "1"),
    "artifacts?": lambda client: client.list("mlflow-artifacts:/Wine/1", lambda _: None),
}


@pytest.mark.parametrize("operation", _OPERATIONS)
@pytest.mark.parametrize("what", _ANSWERS)
def test_what_the_server_answers_is_told(
    faulty: FaultyServer, client: TrackingServerClient, what: str, operation: str
) -> None:
    fault, kind, text = _ANSWERS[what]
    faulty.faults = {operation: fault}
    with pytest.raises(kind) as raised:
        _OPERATIONS[operation](client)
    assert text in raised.value.message
    assert faulty.url in raised.value.message
    assert raised.value.remedy


def test_no_server_is_waited_for_longer_than_a_minute(tmp_path: Path) -> None:
    """With the limits that a user gets by default, and all at once, since each of them takes its time."""
    with (
        FaultyServer(faults={"registered-models/get": never_respond}) as mute,
        FaultyServer(faults={"artifacts?": never_respond}) as unlisted,
        FaultyServer(faults={"/model.pkl": never_respond}) as unsent,
        FaultyServer(faults={"/model.pkl": stall}) as half,
        FaultyServer(faults={"registered-models/get": status(429, retry_after="3600")}) as busy,
    ):
        for server in (unlisted, unsent, half):
            server.add("Wine", MODEL)
            server.add("copies", MODEL)
            server.downloads["Wine", "1"] = server.sources["copies", "1"]
        cases = {
            mute.url: "does not answer",
            unlisted.url: "does not answer",
            unsent.url: "does not answer",
            half.url: "does not answer",
            busy.url: "asks to slow down (429)",
            f"http://127.0.0.1:{free_port()}": "it refuses connections",
            "http://model-gate.invalid": "its name cannot be resolved",
        }
        with ThreadPoolExecutor(len(cases)) as pool:
            ended = list(pool.map(lambda case: _timed(tmp_path / str(case[0]), case[1]), enumerate(cases)))
    for (url, text), (ran, seconds) in zip(cases.items(), ended, strict=True):
        ran.require_error("UnreachableError", url, text)
        assert seconds < LIMIT_SECONDS, (url, seconds)


def _timed(directory: Path, host: str) -> tuple[Ran, float]:
    directory.mkdir()
    started = time.monotonic()
    return check(directory, host, "Wine", "1"), time.monotonic() - started


@pytest.fixture
def large(tmp_path: Path) -> FaultyServer:
    """A version whose two models are copies with a file of a megabyte."""
    server = FaultyServer()
    server.add("Wine", MODEL | {"weights.bin": bytes(1_000_000)})
    server.add("copies", MODEL | {"weights.bin": bytes(1_000_000)})
    server.downloads["Wine", "1"] = server.sources["copies", "1"]
    return server


def test_a_full_disk_is_told(tmp_path: Path, large: FaultyServer) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = 'mount -t tmpfs -o size=512k none "$0" && exec "$@"'
    own = () if os.geteuid() == 0 else ("--map-root-user",)
    before = ("unshare", "--mount", *own, "sh", "-c", mount, disk)
    if subprocess.run([*before, "true"], check=False).returncode != 0:
        pytest.skip("no small disk can be made here")
    with large as server:
        options = ("--download-dir", disk / "kept")
        ran = check(tmp_path, server.url, "Wine", "1", *options, before=before)
    ran.require_error("StorageError", "No space left on device", "Free some disk space")


def test_a_limit_on_file_sizes_is_told(tmp_path: Path, large: FaultyServer) -> None:
    with large as server:
        ran = check(tmp_path, server.url, "Wine", "1", before=("prlimit", "--fsize=500000"))
    ran.require_error("StorageError", "File too large", "ulimit -f")


def test_a_download_directory_in_use_is_refused_and_left_alone(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "MLmodel").write_text("mine")
    with FaultyServer() as server:
        server.add("Wine", MODEL)
        ran = check(tmp_path, server.url, "Wine", "1", "--download-dir", kept)
        assert server.requests == []
    ran.require_error("StorageError", f"The download directory {kept} is not empty", "Empty it")
    assert [file.read_text() for file in kept.iterdir()] == ["mine"]


def test_a_report_that_cannot_be_written_is_told_before_any_work(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    unprivileged = ("python3", SUPPORT / "unprivileged.py")
    with FaultyServer() as server:
        server.add("Wine", MODEL)
        ended = commandline.run(
            *("check", "--host", server.url, "--model", "Wine", "--version-or-stage", "1"),
            *("--report-file", locked / "report.json"),
            before=unprivileged,
        )
        assert server.requests == []
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"error: Cannot write the report {locked}/report.json: Permission denied.\n")


def test_the_reports_directory_is_made(tmp_path: Path) -> None:
    with FaultyServer() as server:
        ended = commandline.run(
            *("check", "--host", server.url, "--model", "Wine", "--version-or-stage", "1"),
            *("--report-file", tmp_path / "some/where/report.json"),
        )
    assert ended.returncode == 2
    assert (tmp_path / "some/where/report.json").is_file()

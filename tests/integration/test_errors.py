"""Failures end within a minute with a message, a remedy, exit code 2 and a report."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest

from model_gate.access.hosts import parse_host
from model_gate.errors import AccessError, ModelGateError, UnreachableError
from model_gate.sources.tracking_server import TrackingServerClient
from tests.support import commandline
from tests.support.faulty_server import (
    MODEL,
    Call,
    Fault,
    FaultyServer,
    hang_up,
    listing,
    login_page,
    never_respond,
    stall,
    status,
)
from tests.support.gates import GateResult, check, compare, run, version
from tests.support.paths import SUPPORT
from tests.support.reports import Json
from tests.support.servers import Servers, free_port

LIMIT_SECONDS = 60


def test_wrong_password_is_an_access_error(tmp_path: Path, servers: Servers) -> None:
    host = servers.staging.url.replace("://", "://ada:secret-of-the-test@")
    result = check(tmp_path, host, "Wine", "1")
    result.require_error(
        "AccessError", servers.staging.url, "does not accept the login in", "Correct the user-info of the host."
    )


@pytest.mark.parametrize(
    "name, value, problem",
    [
        ("MLFLOW_TRACKING_TOKEN", "secret-of-the-test\n", "begins or ends with white space"),
        ("MLFLOW_TRACKING_TOKEN", '"secret-of-the-test"', "is in quotation marks"),
        ("MLFLOW_TRACKING_TOKEN", "secret-of-the-test-ł", "has a character that no token has"),
        ("MLFLOW_TRACKING_TOKEN", "secret-of\n-the-test", "has a line break"),
        ("MLFLOW_TRACKING_PASSWORD", "secret-of-the-test\n", "begins or ends with a line break"),
        ("MLFLOW_TRACKING_PASSWORD", "secret-of-the-test\udcff", "is not UTF-8"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "PROD_"])
def test_login_that_cannot_be_sent_is_an_error_that_names_the_variable(
    tmp_path: Path, prefix: str, name: str, value: str, problem: str
) -> None:
    with FaultyServer() as server:
        variables = {f"{prefix}MLFLOW_TRACKING_URI": server.url, f"{prefix}{name}": value}
        if name == "MLFLOW_TRACKING_PASSWORD":
            variables[f"{prefix}MLFLOW_TRACKING_USERNAME"] = "ada"
        options = ["--host", "server:prod"] if prefix else []
        result = run(tmp_path, "check", "--model", "Wine", "--version-or-stage", "1", *options, environment=variables)
        assert server.requests == []
    result.require_error("AccessError", f"The value of {prefix}{name} {problem} (on ", f"Set {prefix}{name} to")
    assert "secret-of" not in result.stderr + json.dumps(result.report)


@pytest.mark.parametrize(
    "name, value, numbers",
    [
        ("MLFLOW_HTTP_REQUEST_TIMEOUT", "0.5", "from 1 to 86,400"),
        ("MLFLOW_HTTP_REQUEST_TIMEOUT", "0", "from 1 to 86,400"),
        ("MLFLOW_HTTP_REQUEST_TIMEOUT", "99999999999", "from 1 to 86,400"),
        pytest.param("MLFLOW_HTTP_REQUEST_TIMEOUT", "9" * 5000, "from 1 to 86,400", id="5,000 digits"),
        ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "x", "from 0 to 10"),
        ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "11", "from 0 to 10"),
        ("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "-3", "from 0 to 120"),
    ],
)
def test_number_that_mlflow_cannot_read_is_an_error_that_names_the_variable(
    tmp_path: Path, name: str, value: str, numbers: str
) -> None:
    with FaultyServer() as server:
        variables = {"MLFLOW_TRACKING_URI": server.url, name: value}
        result = run(tmp_path, "check", "--model", "Wine", "--version-or-stage", "1", environment=variables)
        assert server.requests == []
    result.require_error(
        "InputError", f"The value of {name}, ", f"is not a whole number {numbers} (on ", f"Change {name}"
    )
    assert len(result.stderr) < 500


@pytest.mark.parametrize("value", ["1", "86400", " 10 ", ""])
def test_number_that_mlflow_reads_is_accepted(tmp_path: Path, value: str) -> None:
    with FaultyServer() as server:
        server.add("Wine", MODEL)
        variables = {"MLFLOW_TRACKING_URI": server.url, "MLFLOW_HTTP_REQUEST_TIMEOUT": value}
        result = run(tmp_path, "check", "--model", "Wine", "--version-or-stage", "1", environment=variables)
    assert result.exit_code == 0, result


def test_error_for_a_missing_permission_names_the_permission(tmp_path: Path, servers: Servers) -> None:
    host = servers.staging.url.replace("://", "://guest:guest-pass-word-1@")
    result = compare(tmp_path, version(host, "Wine"), version(servers.production, "Wine Imported"))
    result.require_error("AccessError", servers.staging.url, "forbids", "READ permission")
    # The version of the failed server is reported as unresolved.
    assert result.report["model_versions"]["tracking_server_1"]["resolved"] is None


def test_error_of_two_rejected_logins_asks_whether_they_are_swapped(tmp_path: Path, servers: Servers) -> None:
    first, second = (
        f"http://{quote(other.username, safe='')}:{quote(other.password, safe='')}@{server.url.partition('://')[2]}"
        for server, other in ((servers.staging, servers.production), (servers.production, servers.staging))
    )
    result = compare(tmp_path, version(first, "Wine"), version(second, "Wine Imported"))
    result.require_error("AccessError", "Check whether the two logins are swapped. If not, correct both.")


_NO_MODELS: dict[str, Fault] = {"registered-models/search": lambda call: call.send_json({"registered_models": []})}


def test_error_of_compare_names_the_server_that_lacks_the_version(tmp_path: Path) -> None:
    with FaultyServer() as first, FaultyServer(faults=_NO_MODELS) as second:
        first.add("Wine", MODEL)
        host = second.url.replace("://", "://ada:secret-of-the-test@")
        result = compare(tmp_path, version(first.url, "Wine"), version(host, "Wine"))
    result.require_error("NotFoundError", f"error: tracking_server_2 ({second.url}): There is no registered model")
    versions = result.report["model_versions"]
    assert versions["tracking_server_1"]["resolved"]["version"] == "1"
    assert versions["tracking_server_2"]["resolved"] is None


def test_error_of_compare_names_both_servers_if_both_lack_the_version(tmp_path: Path) -> None:
    with FaultyServer(faults=_NO_MODELS) as first, FaultyServer(faults=_NO_MODELS) as second:
        result = compare(tmp_path, version(first.url, "Wine"), version(second.url, "Beer"))
    message = (
        f"tracking_server_1 ({first.url}): There is no registered model 'Wine'. "
        f"tracking_server_2 ({second.url}): There is no registered model 'Beer'."
    )
    result.require_error("NotFoundError", message)


def test_error_of_a_server_is_reported_without_waiting_for_an_unresponsive_server(tmp_path: Path) -> None:
    with (
        FaultyServer(faults={"registered-models/get": never_respond}) as silent,
        FaultyServer(faults=_NO_MODELS) as empty,
    ):
        started = time.monotonic()
        result = compare(tmp_path, version(silent.url, "Wine"), version(empty.url, "Wine"))
        assert time.monotonic() - started < LIMIT_SECONDS / 3
    result.require_error("NotFoundError", f"error: tracking_server_2 ({empty.url}): There is no registered model")


def _of_another_size(call: Call) -> None:
    call.send(b"x" * 9)


_FAULTS_OF_MODELS: dict[str, tuple[str, Fault, str]] = {
    "malformed listing": ("artifacts?", lambda call: call.send(b"null"), "listing of the model is malformed."),
    "deep nesting": (
        "path=Wine/1/data",
        lambda call: call.send(b'{"files": %s%s}' % (b"[" * 100_000, b"]" * 100_000)),
        "listing of data is malformed.",
    ),
    "no files": ("artifacts?", lambda call: call.send(b"{}"), "There are no files at mlflow-artifacts:/Wine/1 on"),
    "no MLmodel": ("artifacts?", listing({"path": "a", "file_size": 1}), "is not an MLflow model"),
    "impossible size": ("artifacts?", listing({"path": "a", "file_size": -1}), "The listing has a with -1 bytes"),
    "endless listing": ("artifacts?", listing({"path": "d", "is_dir": True}), "250 levels of directories."),
    "another size": ("/model.pkl", _of_another_size, "model.pkl of mlflow-artifacts:/Wine/1 on"),
}


@pytest.mark.parametrize("case", _FAULTS_OF_MODELS)
def test_error_of_a_model_on_one_of_two_servers_names_its_server_without_a_login(tmp_path: Path, case: str) -> None:
    part, fault, text = _FAULTS_OF_MODELS[case]
    with FaultyServer() as good, FaultyServer(faults={part: fault}) as faulty_one:
        for server in (good, faulty_one):
            server.add("Wine", MODEL)
        host = faulty_one.url.replace("://", "://ada:secret-of-the-test@")
        result = compare(tmp_path, version(good.url, "Wine"), version(host, "Wine"))
    error = result.report["error"]
    assert text in error["message"]
    assert error["message"].count(faulty_one.url) == 1
    assert good.url not in error["message"]
    assert "secret-of-the-test" not in str(result)
    assert error["message"] in result.stderr


def test_listed_version_that_is_no_number_is_not_an_internal_error(tmp_path: Path) -> None:
    registered = {"name": "Wine", "latest_versions": [{"name": "Wine", "version": "²"}]}
    with FaultyServer() as server:
        server.faults["registered-models/get"] = lambda call: call.send_json({"registered_model": registered})
        server.add("Wine", MODEL)
        result = check(tmp_path, server.url, "Wine", "latest")
    result.require_error("UnreachableError", server.url, "The registry lists the version '²', which is not a number")


def test_error_for_another_size_of_one_response_does_not_blame_a_response_to_no_request(tmp_path: Path) -> None:
    pages = iter([b"<html>warming up</html>"])

    def page_at_first(call: Call) -> None:
        call.send(next(pages, call.file))

    with FaultyServer(faults={"/model.pkl": page_at_first}) as server:
        server.add("Wine", MODEL)
        server.add("Beer", MODEL)
        result = compare(tmp_path, version(server.url, "Wine"), version(server.url, "Beer"))
    text = f"The host {server.url} once sent a response of another size in place of model.pkl."
    result.require_error("TransferError", text, "Run the gate again.")


def test_empty_directory_is_an_error_that_asks_for_a_directory_with_a_model(tmp_path: Path) -> None:
    for name in ("full", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "full" / "MLmodel").touch()
    result = run(tmp_path, "diff", "full", "empty")
    result.require_error(
        "ModelError", f"There are no files at {tmp_path / 'empty'}", "Name a directory that holds a model."
    )


_INVALID_VERSIONS = {
    "missing source": ("Dangling", (), "There are no files at", "empty or missing"),
    "directory without MLmodel": ("Notes", (), "not an MLflow model", "readme.txt"),
    "deleted original": ("Orphan", (), "the version's source dangles", "There is no version 1 of 'Original'"),
    "unknown native model": (
        "Wine",
        ("--native-model", "model.pickle"),
        "'model.pickle' does not exist",
        "There is: MLmodel, conda.yaml, model.pkl",
    ),
}


@pytest.mark.parametrize("case", _INVALID_VERSIONS)
def test_version_without_the_expected_model_files_is_an_error(tmp_path: Path, servers: Servers, case: str) -> None:
    model, options, *texts = _INVALID_VERSIONS[case]
    result = check(tmp_path, servers.staging, model, "1", *options)
    assert (result.exit_code, result.status, result.report["error"]["type"]) == (2, "error", "ModelError")
    for text in texts:
        assert text.lower() in result.stderr.lower()
    assert result.report["model_version"]["resolved"]["version"] == "1"


@pytest.mark.parametrize("path", ["../model.pkl", "/etc/passwd", "data/../../model.pkl"])
def test_native_model_path_outside_the_model_is_rejected(tmp_path: Path, path: str) -> None:
    result = check(tmp_path, "http://127.0.0.1:1", "Wine", "1", "--native-model", path)
    result.require_error("InputError", path, "not a path inside the MLflow model", "without '..'")


@pytest.fixture(scope="module")
def faulty() -> Iterator[FaultyServer]:
    with FaultyServer() as started:
        yield started


@pytest.fixture(scope="module")
def client(faulty: FaultyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServerClient]:
    with TrackingServerClient(parse_host(faulty.url), os.environ, tmp_path_factory.mktemp("home")) as started:
        yield started


_RESPONSES: dict[str, tuple[Fault, type[ModelGateError], str]] = {
    "web page": (login_page, UnreachableError, "web page instead of JSON"),
    "closed connection": (hang_up, UnreachableError, "it closes the connection"),
    "503": (status(503), UnreachableError, "a server error (503)"),
    "429": (status(429), UnreachableError, "asks to slow down (429)"),
    "403": (status(403), AccessError, "(403)"),
    "401": (status(401), AccessError, "(401)"),
    "400": (status(400), UnreachableError, "(400)"),
}


@pytest.mark.parametrize(
    "response",
    [
        {"model_version": 5},
        {"model_version": {"name": ["Wine"], "version": "1"}},
        {"model_version": {"name": "Wine", "version": "1", "source": "\udc80"}},
    ],
    ids=["a number as version", "a list as name", "an unpaired surrogate"],
)
def test_response_with_a_malformed_field_is_reported_as_not_from_mlflow(
    faulty: FaultyServer, client: TrackingServerClient, response: Json
) -> None:
    faulty.add("Wine", MODEL)
    faulty.faults = {"model-versions/get": lambda call: call.send_json(response)}
    with pytest.raises(UnreachableError, match="not from an MLflow server"):
        client.resolve("Wine", "1")


_OPERATIONS: dict[str, Callable[[TrackingServerClient], object]] = {
    "registered-models/get": lambda client: client.resolve("Wine", "1"),
    "artifacts?": lambda client: client.list("mlflow-artifacts:/Wine/1", lambda _: None),
}


@pytest.mark.parametrize("operation", _OPERATIONS)
@pytest.mark.parametrize("response", _RESPONSES)
def test_error_message_describes_the_error_response_of_the_server(
    faulty: FaultyServer, client: TrackingServerClient, response: str, operation: str
) -> None:
    fault, kind, text = _RESPONSES[response]
    faulty.faults = {operation: fault}
    with pytest.raises(kind) as raised:
        _OPERATIONS[operation](client)
    assert text in raised.value.message
    assert faulty.url in raised.value.message
    assert raised.value.remedy


def test_unresponsive_server_is_an_error_within_a_minute(tmp_path: Path) -> None:
    """Run all cases in parallel, because each waits several seconds for the default timeouts."""
    with (
        FaultyServer(faults={"registered-models/get": never_respond}) as silent,
        FaultyServer(faults={"artifacts?": never_respond}) as silent_listing,
        FaultyServer(faults={"/model.pkl": never_respond}) as silent_download,
        FaultyServer(faults={"/model.pkl": stall}) as stuck_download,
        FaultyServer(faults={"registered-models/get": status(429, retry_after="3600")}) as busy,
    ):
        for server in (silent_listing, silent_download, stuck_download):
            server.add("Wine", MODEL)
            server.add("copies", MODEL)
            server.downloads["Wine", "1"] = server.sources["copies", "1"]
        cases = {
            silent.url: "does not answer",
            silent_listing.url: "does not answer",
            silent_download.url: "does not answer",
            stuck_download.url: "begins a response, but does not end it in time",
            busy.url: "asks to slow down (429)",
            f"http://127.0.0.1:{free_port()}": "it refuses connections",
            "http://model-gate.invalid": "its name cannot be resolved",
        }
        with ThreadPoolExecutor(len(cases)) as pool:
            timed_results = list(pool.map(lambda case: _timed(tmp_path / str(case[0]), case[1]), enumerate(cases)))
    for (url, text), (result, seconds) in zip(cases.items(), timed_results, strict=True):
        result.require_error("UnreachableError", url, text)
        assert seconds < LIMIT_SECONDS, (url, seconds)


def _timed(directory: Path, host: str) -> tuple[GateResult, float]:
    directory.mkdir()
    started = time.monotonic()
    return check(directory, host, "Wine", "1"), time.monotonic() - started


@pytest.fixture
def large(tmp_path: Path) -> FaultyServer:
    """Return a server with one version. Its two models are at two locations, and each has a file of one megabyte."""
    server = FaultyServer()
    server.add("Wine", MODEL | {"weights.bin": bytes(1_000_000)})
    server.add("copies", MODEL | {"weights.bin": bytes(1_000_000)})
    server.downloads["Wine", "1"] = server.sources["copies", "1"]
    return server


def test_download_to_a_full_disk_is_a_storage_error(tmp_path: Path, large: FaultyServer) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = 'mount -t tmpfs -o size=512k none "$0" && exec "$@"'
    user_option = () if os.geteuid() == 0 else ("--map-root-user",)
    before = ("unshare", "--mount", *user_option, "sh", "-c", mount, disk)
    if subprocess.run([*before, "true"], check=False).returncode != 0:
        pytest.skip("cannot mount a small file system")
    with large as server:
        options = ("--download-dir", disk / "kept")
        result = check(tmp_path, server.url, "Wine", "1", *options, before=before)
    result.require_error("StorageError", "No space left on device", "Free some disk space")


def test_exceeded_file_size_limit_is_a_storage_error(tmp_path: Path, large: FaultyServer) -> None:
    with large as server:
        result = check(tmp_path, server.url, "Wine", "1", before=("prlimit", "--fsize=500000"))
    result.require_error("StorageError", "File too large", "ulimit -f")


OPEN_FILES = ("prlimit", "--nofile=16")


@pytest.mark.parametrize("right, status", [("1", "equal"), ("2", "different")])
def test_two_small_directories_are_compared_with_16_open_files(tmp_path: Path, right: str, status: str) -> None:
    for name, content in (("left", "1"), ("right", right)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "MLmodel").write_text(content)
    assert run(tmp_path, "diff", "left", "right", before=OPEN_FILES).status == status


def test_too_low_limit_on_open_files_is_a_storage_error(tmp_path: Path) -> None:
    result = check(tmp_path, "http://127.0.0.1:1", "Wine", "1", before=OPEN_FILES)
    result.require_error("StorageError", "Too many open files", "ulimit -n")


def test_non_empty_download_directory_is_rejected_and_unchanged(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "MLmodel").write_text("mine")
    with FaultyServer() as server:
        server.add("Wine", MODEL)
        result = check(tmp_path, server.url, "Wine", "1", "--download-dir", kept)
        assert server.requests == []
    result.require_error("StorageError", f"The download directory {kept} is not empty", "Empty it")
    assert [file.read_text() for file in kept.iterdir()] == ["mine"]


def test_unwritable_report_path_is_an_error_before_any_request(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    unprivileged = ("python3", SUPPORT / "unprivileged.py")
    with FaultyServer() as server:
        server.add("Wine", MODEL)
        completed = commandline.run(
            *("check", "--host", server.url, "--model", "Wine", "--version-or-stage", "1"),
            *("--report-file", locked / "report.json"),
            before=unprivileged,
        )
        assert server.requests == []
    assert (completed.returncode, completed.stdout) == (2, "")
    assert completed.stderr.startswith(f"error: Cannot write the report {locked}/report.json: Permission denied.\n")


def test_missing_directory_of_the_report_is_created(tmp_path: Path) -> None:
    with FaultyServer() as server:
        completed = commandline.run(
            *("check", "--host", server.url, "--model", "Wine", "--version-or-stage", "1"),
            *("--report-file", tmp_path / "some/where/report.json"),
        )
    assert completed.returncode == 2
    assert (tmp_path / "some/where/report.json").is_file()


@pytest.mark.parametrize("request_path", ["/Wine/1/model.pkl", "?path=Wine/1/data"], ids=["file", "directory"])
def test_path_that_a_server_refuses_to_serve_is_named_without_advice_about_https(
    request_path: str, tmp_path: Path
) -> None:
    with FaultyServer(faults={f"artifacts{request_path}": status(400)}) as server:
        server.add("Wine", {**MODEL, "data/a.txt": b"a"})
        named = ("--host", server.url, "--model", "Wine", "--version-or-stage", "1")
        result = run(tmp_path, "seal", *named, "--output", "wine.json")
    path = request_path.removeprefix("?path=").strip("/")
    result.require_error("UnreachableError", f"refuses to serve {path} (400)", "a symbolic link")
    assert "https" not in result.report["error"]["remedy"]


@pytest.mark.parametrize(
    "path, remedy", [("/foo", "Remove /foo from the address, or correct it."), ("", "Check the address and its port.")]
)
def test_address_without_a_tracking_server_is_an_error_about_the_address(
    tmp_path: Path, path: str, remedy: str
) -> None:
    with FaultyServer() as server:
        server.faults["api/2.0"] = status(404)
        result = check(tmp_path, f"{server.url}{path}", "Wine", "1")
    result.require_error("NotFoundError", f"No MLflow tracking server answers at {server.url}{path} (404)", remedy)

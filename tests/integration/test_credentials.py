"""A credential reaches the server that it is declared for, no other, and no text."""

from __future__ import annotations

import base64
import json
import threading
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support import commandline
from tests.support.faulty_server import ARTIFACTS, MODEL, Call, FaultyServer, status
from tests.support.gates import check, compare, version
from tests.support.servers import Servers

SECRET = "secret-of-the-test"


def _basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def test_what_is_declared_wins_over_everything_in_the_environment(tmp_path: Path, servers: Servers) -> None:
    home = tmp_path / "home"
    (home / ".mlflow").mkdir(parents=True)
    (home / ".netrc").write_text("machine 127.0.0.1 login eve password wrong\ndefault login eve password wrong\n")
    (home / ".netrc").chmod(0o600)
    (home / ".mlflow/credentials").write_text(
        "[mlflow]\nmlflow_tracking_username = eve\nmlflow_tracking_password = wrong\n"
    )
    (home / ".databrickscfg").write_text(f"[DEFAULT]\nhost = {servers.old.url}\ntoken = wrong\n")
    (tmp_path / "lib/mlflow").mkdir(parents=True)
    (tmp_path / "lib/mlflow/__init__.py").write_text("raise SystemExit('the wrong mlflow')\n")
    misleading = {
        "HOME": str(home),
        "NETRC": str(home / ".netrc"),
        "MLFLOW_TRACKING_URI": servers.old.url,
        "MLFLOW_REGISTRY_URI": servers.old.url,
        "MLFLOW_TRACKING_USERNAME": "eve",
        "MLFLOW_TRACKING_PASSWORD": "wrong",
        "MLFLOW_TRACKING_TOKEN": "wrong",
        "MLFLOW_RUN_ID": "0" * 32,
        "MLFLOW_EXPERIMENT_NAME": "wrong",
        "MLFLOW_ARTIFACT_URI": "file:///nowhere",
        "DATABRICKS_HOST": servers.old.url,
        "DATABRICKS_TOKEN": "wrong",
        "DATABRICKS_CONFIG_PROFILE": "wrong",
        "PYTHONPATH": str(tmp_path / "lib"),
        "PYTHONWARNINGS": "error",
        "PYTHONSAFEPATH": "",
    }
    sides = version(servers.staging, "Wine"), version(servers.production, "Wine Imported", "2")
    ran = compare(tmp_path, *sides, environment=misleading)
    # The server that the environment names has no model of this name, and would make the two sides equal if it had.
    assert (ran.exit_code, ran.status) == (1, "different"), ran
    hosts = [each["host"] for each in ran.report["model_versions"].values()]
    assert hosts == [servers.staging.url, servers.production.url]


@pytest.mark.parametrize("kind", ["password", "token"])
def test_credentials_of_the_environment_reach_only_the_server_that_it_names(tmp_path: Path, kind: str) -> None:
    given = {
        "password": {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": SECRET},
        "token": {"MLFLOW_TRACKING_TOKEN": SECRET},
    }
    expected = {"password": _basic("ada", SECRET), "token": f"Bearer {SECRET}"}
    with FaultyServer() as named, FaultyServer() as other, FaultyServer() as third:
        for server in (named, other):
            server.add("Wine", MODEL)
        # Nor where the named server sends its client on to.
        third.add("Wine", MODEL)
        named.faults["/model.pkl"] = status(302, location=f"{third.url}{ARTIFACTS}/Wine/1/model.pkl")
        environment = {"MLFLOW_TRACKING_URI": named.url, **given[kind]}
        ran = compare(tmp_path, version(other.url, "Wine"), version(named.url, "Wine"), environment=environment)
        assert ran.status == "equal", ran
        assert named.authorizations == {expected[kind]}
        assert other.authorizations == {None}
        assert third.authorizations == {None}


def test_user_info_reaches_its_own_server_and_beats_the_environment(tmp_path: Path) -> None:
    with FaultyServer() as one, FaultyServer() as other:
        for server in (one, other):
            server.add("Wine", MODEL)
        password = f"{SECRET} p@ss/w:rd#100%é"
        hosts = [
            server.url.replace("://", f"://{user}:{quote(password + user, safe='')}@")
            for server, user in ((one, "ada"), (other, "bob"))
        ]
        environment = {
            "MLFLOW_TRACKING_URI": one.url,
            "MLFLOW_TRACKING_USERNAME": "eve",
            "MLFLOW_TRACKING_PASSWORD": "wrong",
            "MLFLOW_TRACKING_TOKEN": "wrong",
        }
        ran = compare(tmp_path, version(hosts[0], "Wine"), version(hosts[1], "Wine"), environment=environment)
        assert ran.status == "equal", ran
        assert one.authorizations == {_basic("ada", password + "ada")}
        assert other.authorizations == {_basic("bob", password + "bob")}


def _repeat(call: Call) -> None:
    """Refuse in a way that repeats what was sent, as careless proxies do."""
    sent = call.request.authorization or ""
    plain = base64.b64decode(sent.removeprefix("Basic ")).decode()
    call.send_json({"error_code": "BAD_REQUEST", "message": f"{sent} {plain} {quote(plain, safe='')}"}, 400)


@pytest.mark.parametrize("operation", ["registered-models/get", "artifacts?", "/model.pkl"])
def test_a_server_that_repeats_the_password_does_not_get_it_printed(tmp_path: Path, operation: str) -> None:
    password = f"{SECRET}/+é%'\""
    with FaultyServer() as server:
        server.add("Wine", MODEL)
        server.add("copies", MODEL)
        server.downloads["Wine", "1"] = server.sources["copies", "1"]
        server.faults[operation] = _repeat
        host = server.url.replace("://", f"://ada:{quote(password, safe='')}@")
        ran = check(tmp_path, host, "Wine", "1", "--verbose")
    assert (ran.exit_code, ran.status) == (2, "error"), ran
    assert "Traceback" in ran.stderr
    text = ran.stderr + json.dumps(ran.report)
    assert SECRET not in text
    assert base64.b64encode(f"ada:{password}".encode()).decode() not in text


def test_no_password_is_on_any_command_line_nor_kept_with_the_models(tmp_path: Path, servers: Servers) -> None:
    seen: set[bytes] = set()
    is_done = threading.Event()

    def watch() -> None:
        while not is_done.is_set():
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(file.read_bytes())
                except OSError:
                    continue
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        ran = compare(
            tmp_path,
            version(servers.staging, "Wine"),
            version(servers.production, "Wine Imported"),
            *("--download-dir", "kept", "--verbose"),
        )
    finally:
        is_done.set()
        watcher.join()
    assert ran.status == "equal", ran
    # The commands were watched: the gate's own and those of its two sides.
    assert any(b"--download-dir" in line for line in seen)
    assert any(line.endswith(b"model_gate.worker\0") for line in seen)
    kept = [file for file in (tmp_path / "kept").rglob("*") if file.is_file()]
    assert len(kept) >= 10
    for server in (servers.staging, servers.production):
        for form in {server.password, quote(server.password, safe=""), _basic(server.username, server.password)[6:]}:
            assert not any(form.encode() in line for line in seen)
            assert not any(form.encode() in file.read_bytes() for file in kept)


def test_a_password_in_the_address_of_the_default_server_is_not_shown(tmp_path: Path) -> None:
    ended = commandline.run(
        *("check", "--model", "Wine", "--version-or-stage", "1", "--report-file", tmp_path / "report.json"),
        environment={"MLFLOW_TRACKING_URI": f"ftp://ada:{SECRET}@127.0.0.1:1/x"},
    )
    assert ended.returncode == 2
    assert SECRET not in ended.stdout + ended.stderr + (tmp_path / "report.json").read_text()

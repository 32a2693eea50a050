"""Each declared server gets its own login. A server that is not declared gets no login."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support import commandline
from tests.support.databases import make_database
from tests.support.faulty_server import ARTIFACTS, MODEL, FaultyServer
from tests.support.gates import check, compare, run, version
from tests.support.reports import read_report
from tests.support.servers import Server, Servers

pytestmark = pytest.mark.usefixtures("proxied")

SECRET = "secret-of-the-test"
WINE = {"server": "staging", "model": "Wine", "version_or_stage": "1"}
IMPORTED = {"server": "prod", "model": "Wine Imported", "version_or_stage": "1"}


def declaration(name: str, server: Server, login: Server | None = None) -> dict[str, str]:
    """Return the variables that declare a server with its own login, or with that of another server."""
    login = login or server
    return {
        f"{name}_MLFLOW_TRACKING_URI": server.url,
        f"{name}_MLFLOW_TRACKING_USERNAME": login.username,
        f"{name}_MLFLOW_TRACKING_PASSWORD": login.password,
    }


@pytest.mark.parametrize("by", ["server", "host"])
def test_models_on_two_servers_with_different_passwords_are_compared(tmp_path: Path, servers: Servers, by: str) -> None:
    first, second = WINE, IMPORTED
    if by == "host":
        first, second = version(servers.staging.url, "Wine"), version(servers.production.url, "Wine Imported")
    environment = declaration("STAGING", servers.staging) | declaration("PROD", servers.production)
    result = compare(tmp_path, first, second, "--declared-hosts-only", environment=environment)
    assert (result.exit_code, result.status, result.stderr) == (0, "equal", ""), result
    entries = result.report["model_versions"].values()
    assert [entry["server"] for entry in entries] == ["staging", "prod"]
    assert [entry["host"] for entry in entries] == [servers.staging.url, servers.production.url]


def test_swapped_logins_of_two_servers_are_rejected(tmp_path: Path, servers: Servers) -> None:
    environment = declaration("STAGING", servers.staging, servers.production)
    environment |= declaration("PROD", servers.production, servers.staging)
    compare(tmp_path, WINE, IMPORTED, environment=environment).require_error("AccessError")


def test_server_declared_under_two_names_is_read_with_the_login_of_each_name(tmp_path: Path, servers: Servers) -> None:
    guest = Server(servers.staging.url, "guest", "guest-pass-word-1", "")
    environment = declaration("STAGING", servers.staging) | declaration("GUEST", servers.staging, guest)
    second = WINE | {"server": "guest"}
    # The guest may read nothing, so a comparison that reads both models with the first login would be equal.
    result = compare(tmp_path, WINE, second, environment=environment)
    assert result.status == "error", result
    by_host = compare(tmp_path, version(servers.staging.url, "Wine"), second, environment=environment)
    by_host.require_error("ConfigError", "the server 'guest'", "the server 'staging'", "server: ")


def test_login_variables_without_a_prefix_apply_to_servers_in_host_options(tmp_path: Path, servers: Servers) -> None:
    environment = {
        "MLFLOW_TRACKING_USERNAME": servers.staging.username,
        "MLFLOW_TRACKING_PASSWORD": servers.staging.password,
    }
    result = run(
        tmp_path,
        *("check", "--host", servers.staging.url, "--model", "Wine", "--version-or-stage", "1"),
        environment=environment,
    )
    assert result.status == "equal", result
    left, right = "models:/Wine/1", "models:/Wine/2"
    hosts = ("--left-host", servers.staging.url, "--right-host", servers.staging.url)
    assert run(tmp_path, "diff", left, right, *hosts, environment=environment).status != "error"


def test_models_in_two_workspaces_of_the_same_server_have_different_locations(tmp_path: Path) -> None:
    with FaultyServer() as server:
        server.add("Wine", MODEL)
        server.faults["server-info"] = lambda call: call.send_json(
            {"workspaces_enabled": True, "store_type": "SqlStore"}
        )
        environment = {f"{name}_MLFLOW_TRACKING_URI": server.url for name in ("A", "B")}
        environment |= {f"{name}_MLFLOW_WORKSPACE": f"workspace-{name}" for name in ("A", "B")}
        first, second = ({"server": name, "model": "Wine", "version_or_stage": "1"} for name in ("a", "b"))
        result = compare(tmp_path, first, second, environment=environment)
        assert result.status == "equal", result
        assert result.report["run_model_comparison"]["same_location"] is False
        names = {
            value
            for request in server.requests
            for name, value in request.headers.items()
            if "workspace" in name.lower()
        }
    assert names == {"workspace-A", "workspace-B"}


def test_declared_registry_server_resolves_versions_instead_of_the_tracking_server(tmp_path: Path) -> None:
    with FaultyServer() as tracking, FaultyServer() as registry:
        tracking.add("Wine", MODEL)
        registry.sources = dict(tracking.sources)
        registry.sources["Copy", "1"] = "mlflow-artifacts:/Copy/1"
        tracking.files |= {f"Copy/1/{path}": content for path, content in MODEL.items()}
        environment = {"PROD_MLFLOW_TRACKING_URI": tracking.url, "PROD_MLFLOW_REGISTRY_URI": registry.url}
        first, second = ({"server": "prod", "model": model, "version_or_stage": "1"} for model in ("Wine", "Copy"))
        result = compare(tmp_path, first, second, environment=environment)
        assert result.status == "equal", result
        assert {request.path.rpartition("/")[2] for request in registry.requests} >= {"get"}
        assert all(request.path.startswith(ARTIFACTS) for request in tracking.requests if "Wine" in request.path)
        assert not [request for request in tracking.requests if "model-versions" in request.path]


def test_token_in_the_environment_is_sent_only_to_the_server_declared_to_get_it(tmp_path: Path) -> None:
    with FaultyServer() as left, FaultyServer() as right:
        for server in (left, right):
            server.add("Wine", MODEL)
        environment = {
            "A_MLFLOW_TRACKING_URI": left.url,
            "B_MLFLOW_TRACKING_URI": right.url,
            "A_MODEL_GATE_PASS": "MLFLOW_TRACKING_TOKEN",
            "MLFLOW_TRACKING_TOKEN": SECRET,
        }
        first, second = ({"server": name, "model": "Wine", "version_or_stage": "1"} for name in ("a", "b"))
        assert compare(tmp_path, first, second, environment=environment).status == "equal"
        assert left.authorizations == {f"Bearer {SECRET}"}
        assert right.authorizations == {None}


def test_option_declared_hosts_only_turns_the_undeclared_server_warning_into_an_error(
    tmp_path: Path,
) -> None:
    with FaultyServer() as server:
        server.add("Wine", MODEL)
        entries = version(server.url, "Wine"), version(server.url, "Wine")
        warned = compare(tmp_path, *entries, environment={"MLFLOW_TRACKING_TOKEN": SECRET})
        assert (warned.status, server.authorizations) == ("equal", {None})
        assert warned.stderr.count("\n") == 1
        assert warned.stderr.startswith(f"warning: The compare file names {server.url}, which is not declared")
        assert compare(tmp_path, *entries, "--allow-hosts", server.url).stderr == ""
        server.requests.clear()
        result = compare(tmp_path, *entries, "--declared-hosts-only")
        result.require_error("InputError", server.url, "--allow-hosts")
        assert server.requests == []


def test_option_declared_hosts_only_rejects_an_undeclared_local_database(tmp_path: Path) -> None:
    make_database(tmp_path / "a.db")
    entries = version("sqlite:///a.db", "Wine"), version("sqlite:///a.db", "Wine")
    result = compare(tmp_path, *entries, "--declared-hosts-only")
    result.require_error("InputError", f"sqlite:///{tmp_path.resolve()}/a.db", "--allow-hosts")


def step(directory: Path, environment: dict[str, str]) -> tuple[int, str, dict[str, object]]:
    """Run the action's command with these variables. Return its exit code, its log and its report."""
    completed = commandline.run(
        "action", cwd=directory, environment={"GITHUB_WORKSPACE": str(directory), **environment}
    )
    report = read_report(directory / "model-gate-report.json", completed.returncode)
    return completed.returncode, completed.stdout + completed.stderr, report


def write_config(directory: Path, first: dict[str, str], second: dict[str, str]) -> None:
    text = json.dumps({"tracking_server_1": first, "tracking_server_2": second})
    (directory / "promotion.yaml").write_text(text, "utf-8")


@pytest.mark.parametrize("number, status", [("1", "equal"), ("2", "different")])
def test_step_reads_two_logins_from_the_input_credentials_and_masks_them(
    tmp_path: Path, servers: Servers, number: str, status: str
) -> None:
    write_config(tmp_path, WINE, IMPORTED | {"version_or_stage": number})
    variables = declaration("STAGING", servers.staging) | declaration("PROD", servers.production)
    lines = "\n".join(["# two servers", *(f"{name}={value}" for name, value in variables.items())])
    code, log, report = step(tmp_path, {"INPUT_CONFIG-FILE": "promotion.yaml", "INPUT_CREDENTIALS": lines})
    assert (code, report["status"]) == (int(status != "equal"), status), log
    masks = [line for line in log.splitlines() if line.startswith("::add-mask::")]
    for server in (servers.staging, servers.production):
        assert any(server.password.replace("%", "%25") == line.removeprefix("::add-mask::") for line in masks)
        others = [line for line in log.splitlines() if line not in masks]
        assert server.password not in "\n".join(others) + json.dumps(report)
        assert f"::add-mask::{server.url}" not in masks


def test_step_does_not_connect_to_an_undeclared_server(tmp_path: Path) -> None:
    with FaultyServer() as declared, FaultyServer() as other:
        for server in (declared, other):
            server.add("Wine", MODEL)
        write_config(tmp_path, version(declared.url, "Wine"), version(other.url, "Wine"))
        environment = {
            "INPUT_CONFIG-FILE": "promotion.yaml",
            "MLFLOW_TRACKING_URI": declared.url,
            "MLFLOW_TRACKING_TOKEN": SECRET,
        }
        code, log, report = step(tmp_path, environment)
        assert (code, report["status"]) == (2, "error")
        assert f"names the tracking server {other.url}, which is not declared" in log
        assert f"allow-hosts {other.url}" in log
        assert other.requests == []
        assert declared.requests == []
        code, log, _ = step(tmp_path, environment | {"INPUT_ALLOW-HOSTS": f"http://{urlsplit(other.url).netloc}"})
        assert code == 0, log
        assert (declared.authorizations, other.authorizations) == ({f"Bearer {SECRET}"}, {None})


def test_malformed_credentials_of_a_step_are_an_error_and_not_in_the_log(tmp_path: Path) -> None:
    write_config(tmp_path, WINE, IMPORTED)
    lines = f"PROD_MLFLOW_TRACKING_URI=https://prod.example.com\n{SECRET}"
    code, log, report = step(tmp_path, {"INPUT_CONFIG-FILE": "promotion.yaml", "INPUT_CREDENTIALS": lines})
    assert (code, report["status"]) == (2, "error")
    assert "The input 'credentials', line 2: this is not NAME=VALUE" in log
    assert SECRET not in log.replace(f"::add-mask::{SECRET}", "") + json.dumps(report)


def test_host_option_accepts_the_name_of_a_declared_server(tmp_path: Path, servers: Servers) -> None:
    environment = declaration("PROD", servers.production) | {"MLFLOW_TRACKING_URI": ""}
    result = check(tmp_path, "", "Wine Imported", "1", "--host", "server:prod", environment=environment)
    assert (result.status, result.report["model_version"]["server"]) == ("equal", "prod"), result

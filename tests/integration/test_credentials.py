"""Credentials are sent only to the server that they are declared for, and are in no output."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote
from xml.sax.saxutils import escape

import pytest

from model_gate.access.redaction import MASK
from tests.support import commandline
from tests.support.faulty_server import ARTIFACTS, MODEL, Call, FaultyServer, status
from tests.support.faulty_store import FaultyStore
from tests.support.gates import check, compare, run, version
from tests.support.servers import Servers

pytestmark = pytest.mark.usefixtures("proxied")

SECRET = "secret-of-the-test"
_PROD_LOGIN = {"PROD_MLFLOW_TRACKING_USERNAME": "ada", "PROD_MLFLOW_TRACKING_PASSWORD": SECRET}


def _basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def test_credentials_in_the_compare_file_override_environment_variables_and_credential_files(
    tmp_path: Path, servers: Servers
) -> None:
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
    versions = version(servers.staging, "Wine"), version(servers.production, "Wine Imported", "2")
    result = compare(tmp_path, *versions, environment=misleading)
    # The server in the environment does not have the model, so a request to it would change the result.
    assert (result.exit_code, result.status) == (1, "different"), result
    hosts = [entry["host"] for entry in result.report["model_versions"].values()]
    assert hosts == [servers.staging.url, servers.production.url]


@pytest.mark.parametrize(
    "variables, message, remedy",
    [
        (
            {"PROD_MLFLOW_TOKEN": SECRET},
            "PROD_MLFLOW_TOKEN is set, but MLflow does not read it as a login.",
            "Did you mean PROD_MLFLOW_TRACKING_TOKEN? Set PROD_MLFLOW_TRACKING_USERNAME and",
        ),
        (
            {"PROD_TRACKING_USERNAME": "ada", "PROD_TRACKING_PASSWORD": SECRET},
            "PROD_TRACKING_USERNAME and PROD_TRACKING_PASSWORD are set, but MLflow does not read them as a login.",
            "Did you mean PROD_MLFLOW_TRACKING_USERNAME and PROD_MLFLOW_TRACKING_PASSWORD?",
        ),
        (
            {"MLFLOW_USERNAME": "ada", "MLFLOW_PASSWORD": SECRET},
            "MLFLOW_PASSWORD and MLFLOW_USERNAME are set here, but were not handed over: MLflow does not",
            "Did you mean PROD_MLFLOW_TRACKING_PASSWORD and PROD_MLFLOW_TRACKING_USERNAME?",
        ),
        (
            {"PROD_MLFLOW_TRACKING_TOKEN": "", "PROD_MLFLOW_TRACKING_PASSWORD": ""},
            "PROD_MLFLOW_TRACKING_PASSWORD and PROD_MLFLOW_TRACKING_TOKEN are empty.",
            "Give it a value. In a workflow, a secret that does not exist gives an empty value",
        ),
        (
            {**_PROD_LOGIN, "PROD_MLFLOW_TRACKING_TOKEN": "t" * 20},
            "PROD_MLFLOW_TRACKING_TOKEN is set, but MLflow sends the user name and the password instead.",
            "Correct PROD_MLFLOW_TRACKING_USERNAME and PROD_MLFLOW_TRACKING_PASSWORD.",
        ),
    ],
    ids=["misnamed token", "misnamed password", "without prefix", "empty", "password and token"],
)
def test_error_about_a_login_names_only_what_was_sent(
    tmp_path: Path, variables: dict[str, str], message: str, remedy: str
) -> None:
    with FaultyServer(faults={"/api": status(401)}) as server:
        environment = {"PROD_MLFLOW_TRACKING_URI": server.url, **variables}
        options = ("--host", "server:prod", "--model", "Wine", "--version-or-stage", "1")
        ran = run(tmp_path, "check", *options, environment=environment)
        sent = server.authorizations
    ran.require_error("AccessError", message, remedy)
    assert sent == ({_basic("ada", SECRET)} if _PROD_LOGIN.items() <= variables.items() else {None})


@pytest.mark.parametrize("kind", ["password", "token"])
def test_environment_credentials_reach_only_the_server_in_the_environment(tmp_path: Path, kind: str) -> None:
    variables = {
        "password": {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": SECRET},
        "token": {"MLFLOW_TRACKING_TOKEN": SECRET},
    }
    expected = {"password": _basic("ada", SECRET), "token": f"Bearer {SECRET}"}
    with FaultyServer() as declared, FaultyServer() as other, FaultyServer() as redirect_target:
        for server in (declared, other):
            server.add("Wine", MODEL)
        # The redirect target must not receive the credentials either.
        redirect_target.add("Wine", MODEL)
        declared.faults["/model.pkl"] = status(302, location=f"{redirect_target.url}{ARTIFACTS}/Wine/1/model.pkl")
        environment = {"MLFLOW_TRACKING_URI": declared.url, **variables[kind]}
        result = compare(tmp_path, version(other.url, "Wine"), version(declared.url, "Wine"), environment=environment)
        result.require_error("UnreachableError", declared.url, redirect_target.url)
        assert declared.authorizations == {expected[kind]}
        assert other.authorizations <= {None}
        assert redirect_target.requests == []


def test_login_in_a_url_overrides_the_login_in_environment_variables(tmp_path: Path) -> None:
    with FaultyServer() as left, FaultyServer() as right:
        for server in (left, right):
            server.add("Wine", MODEL)
        password = f"{SECRET} p@ss/w:rd#100%é"
        hosts = [
            server.url.replace("://", f"://{user}:{quote(password + user, safe='')}@")
            for server, user in ((left, "ada"), (right, "bob"))
        ]
        environment = {
            "MLFLOW_TRACKING_URI": left.url,
            "MLFLOW_TRACKING_USERNAME": "eve",
            "MLFLOW_TRACKING_PASSWORD": "wrong",
            "MLFLOW_TRACKING_TOKEN": "wrong",
        }
        result = compare(tmp_path, version(hosts[0], "Wine"), version(hosts[1], "Wine"), environment=environment)
        assert result.status == "equal", result
        assert left.authorizations == {_basic("ada", password + "ada")}
        assert right.authorizations == {_basic("bob", password + "bob")}


def _echo_credentials(call: Call) -> None:
    """Answer with an error that repeats the received credentials, as some proxies do."""
    sent = call.request.authorization or ""
    plain = base64.b64decode(sent.removeprefix("Basic ")).decode()
    call.send_json({"error_code": "BAD_REQUEST", "message": f"{sent} {plain} {quote(plain, safe='')}"}, 400)


@pytest.mark.parametrize("operation", ["registered-models/get", "artifacts?", "/model.pkl"])
def test_password_echoed_by_server_is_redacted(tmp_path: Path, operation: str) -> None:
    password = f"{SECRET}/+é%'\""
    with FaultyServer() as server:
        server.add("Wine", MODEL)
        server.add("copies", MODEL)
        server.downloads["Wine", "1"] = server.sources["copies", "1"]
        server.faults[operation] = _echo_credentials
        host = server.url.replace("://", f"://ada:{quote(password, safe='')}@")
        result = check(tmp_path, host, "Wine", "1", "--verbose")
    assert (result.exit_code, result.status) == (2, "error"), result
    assert "Traceback" in result.stderr
    text = result.stderr + json.dumps(result.report)
    assert SECRET not in text
    assert base64.b64encode(f"ada:{password}".encode()).decode() not in text


def test_password_is_not_on_command_lines_or_in_downloaded_files(tmp_path: Path, servers: Servers) -> None:
    command_lines: set[bytes] = set()
    is_done = threading.Event()

    def watch() -> None:
        while not is_done.is_set():
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    command_lines.add(file.read_bytes())
                except OSError:
                    continue
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        result = compare(
            tmp_path,
            version(servers.staging, "Wine"),
            version(servers.production, "Wine Imported"),
            *("--download-dir", "kept", "--verbose"),
            # A forked command does not have its options on its command line.
            is_forked=False,
        )
    finally:
        is_done.set()
        watcher.join()
    assert result.status == "equal", result
    # The test recorded the command lines of the gate and of its two workers.
    assert any(b"--download-dir" in line for line in command_lines)
    assert any(line.endswith(b"model_gate.worker\0") for line in command_lines)
    kept = [file for file in (tmp_path / "kept").rglob("*") if file.is_file()]
    assert len(kept) >= 10
    for server in (servers.staging, servers.production):
        for form in {server.password, quote(server.password, safe=""), _basic(server.username, server.password)[6:]}:
            assert not any(form.encode() in line for line in command_lines)
            assert not any(form.encode() in file.read_bytes() for file in kept)


def test_password_in_default_server_url_is_redacted(tmp_path: Path) -> None:
    completed = commandline.run(
        *("check", "--model", "Wine", "--version-or-stage", "1", "--report-file", tmp_path / "report.json"),
        environment={"MLFLOW_TRACKING_URI": f"ftp://ada:{SECRET}@127.0.0.1:1/x"},
    )
    assert completed.returncode == 2
    assert SECRET not in completed.stdout + completed.stderr + (tmp_path / "report.json").read_text()


def _echo_header_in_many_forms(call: Call) -> None:
    header = (call.request.authorization or "").removeprefix("Basic ")
    plain = base64.b64decode(header).decode()
    escapes = "".join(f"%{byte:02x}" for byte in plain.encode())
    lines = f"{header[:10]}\n{header[10:]}"
    url_header = base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")
    message = f"<{header}> <{lines}> <{escapes}> <{json.dumps(plain)}> <{url_header}>"
    call.send_json({"error_code": "BAD_REQUEST", "message": message}, 400)


def test_action_masks_every_encoding_of_a_password_from_the_environment(tmp_path: Path) -> None:
    password = f"{SECRET}/+é%'\""
    header = base64.b64encode(f"ada:{password}".encode()).decode()
    with FaultyServer(faults={"registered-models/get": _echo_header_in_many_forms}) as server:
        variables = {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": password}
        inputs = {"command": "check", "model": "Wine", "version-or-stage": "1", "verbose": "true"}
        files = {name: str(tmp_path / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        environment = {"MLFLOW_TRACKING_URI": server.url, **variables, **files}
        environment |= {f"INPUT_{name.upper()}": value for name, value in inputs.items()}
        completed = commandline.run("action", cwd=tmp_path, environment=environment)
        assert server.authorizations == {f"Basic {header}"}
    masks = [line for line in completed.stdout.splitlines() if line.startswith("::add-mask::")]
    assert f"::add-mask::{header}" in masks
    # The runner reads the masks and does not log them.
    texts = [line for line in completed.stdout.splitlines() if line not in masks] + [completed.stderr]
    texts += [file.read_text("utf-8") for file in tmp_path.iterdir() if file.is_file()]
    text = "\n".join(texts)
    assert "<***>" in text
    forms = (SECRET, quote(SECRET), header, header[:10], header[10:], header.rstrip("=").replace("/", "_"))
    assert [form for form in forms if form in text] == []
    assert f"%{ord(SECRET[0]):02x}%{ord(SECRET[1]):02x}" not in text


PROFILE_TOKEN = "FwoGZXIvYXdzEPROFILEsession/TOKEN+abcdefghijklmnopqrstuvwxyz=="


def _echo_token(call: Call) -> None:
    """Answer with an error that repeats the session token and the header with the signature."""
    token = call.request.headers["X-Amz-Security-Token"]
    text = (
        f"<Message>{escape(token)} {quote(token, safe='').replace('%2B', '%2b')} {call.request.authorization}</Message>"
    )
    call.send(f"<Error><Code>AccessDenied</Code>{text}</Error>".encode(), 403, content_type="application/xml")


def _echo_token_as_region(call: Call) -> None:
    call.send(b"", 301, x_amz_bucket_region=f"#{call.request.headers['X-Amz-Security-Token']}")


def _profile_login(directory: Path, store: FaultyStore) -> dict[str, str]:
    """Return the variables of a store whose login is in a profile. The profile is written to `directory`."""
    login = {"aws_access_key_id": "AKIATEST", "aws_secret_access_key": "a-secret-access-key"}
    lines = [f"{name} = {value}\n" for name, value in (login | {"aws_session_token": PROFILE_TOKEN}).items()]
    (directory / "credentials").write_text("[prod]\n" + "".join(lines))
    variables = {name: value for name, value in store.variables.items() if name.lower() not in login}
    return variables | {"AWS_SHARED_CREDENTIALS_FILE": str(directory / "credentials"), "AWS_PROFILE": "prod"}


def _parts_of_the_token(text: str) -> list[str]:
    parts = [PROFILE_TOKEN[start : start + 8] for start in range(len(PROFILE_TOKEN) - 7)]
    return [part for part in parts if part in text]


# The proxy of the tests knows only logins in variables.
@pytest.mark.parametrize("proxied", [False], indirect=True, ids=["direct"])
@pytest.mark.parametrize("echo", [_echo_token, _echo_token_as_region])
def test_login_of_an_aws_profile_that_a_store_echoes_is_redacted(tmp_path: Path, echo: Callable[[Call], None]) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "MLmodel").write_bytes(b"flavors: {}\n")
    with FaultyStore(cloud="s3", faults={"/bucket": echo}) as store:
        environment = {"MLFLOW_TRACKING_URI": store.url, **_profile_login(tmp_path, store)}
        result = run(tmp_path, "diff", "s3://bucket/m", "model", "--verbose", environment=environment)
        assert any(PROFILE_TOKEN in request.headers.values() for request in store.requests)
    assert (result.exit_code, result.status) == (2, "error"), result
    text = result.stderr + result.stdout + json.dumps(result.report)
    assert "Traceback" in text
    assert MASK in text
    assert _parts_of_the_token(text) == []


@pytest.mark.parametrize("proxied", [False], indirect=True, ids=["direct"])
def test_login_of_an_aws_profile_in_the_name_of_a_file_is_redacted(tmp_path: Path) -> None:
    names = [quote(PROFILE_TOKEN, safe=""), f"data/{'x' * 90}/{PROFILE_TOKEN.replace('/', '%2f')}"]
    with FaultyServer() as server, FaultyStore(cloud="s3") as store:
        for model in ("Wine", "Copy"):
            server.sources[model, "1"] = f"s3://bucket/{model}"
            store.files[f"{model}/MLmodel"] = MODEL["MLmodel"]
        store.files |= {f"Copy/{name}": b"1" for name in names}
        environment = {"MLFLOW_TRACKING_URI": server.url, **_profile_login(tmp_path, store)}
        arguments = ("diff", "models:/Wine/1", "models:/Copy/1")
        result = run(tmp_path, *arguments, environment=environment)
        sides = {
            f"tracking_server_{number}": {"server": "prod", "model": model, "version_or_stage": 1}
            for number, model in ((1, "Wine"), (2, "Copy"))
        }
        (tmp_path / "gates.yaml").write_text(json.dumps({"gates": {"wine": sides}}))
        environment = {f"PROD_{name}": value for name, value in environment.items()}
        many = commandline.run("run", "gates.yaml", "--report-file", "many.json", cwd=tmp_path, environment=environment)
    assert (result.exit_code, result.status) == (1, "different"), result
    assert MASK in result.stdout
    assert _parts_of_the_token(result.stderr + result.stdout + json.dumps(result.report)) == []
    assert many.returncode == 1, many
    text = (tmp_path / "many.json").read_text()
    assert MASK in text
    assert _parts_of_the_token(many.stderr + many.stdout + text) == []


@pytest.mark.parametrize("proxied", [False], indirect=True, ids=["direct"])
def test_login_of_an_aws_profile_in_the_name_of_an_awaited_file_is_redacted(tmp_path: Path) -> None:
    name = quote(PROFILE_TOKEN, safe="")
    with FaultyStore(cloud="s3") as store:
        for model in ("left", "right"):
            store.files |= {f"{model}/{path}": b"1" for path in ("MLmodel", name)}

        def hang(_: Call) -> None:
            store.is_closing.wait(30)

        store.faults[PROFILE_TOKEN[:20]] = hang
        environment = {"MLFLOW_TRACKING_URI": store.url, **_profile_login(tmp_path, store)}
        arguments = ("diff", "s3://bucket/left", "s3://bucket/right", "--timeout", "6")
        result = run(tmp_path, *arguments, environment=environment)
    assert (result.exit_code, result.status) == (2, "error"), result
    assert f"It was waiting for the file {MASK}" in result.stderr
    assert _parts_of_the_token(result.stderr + result.stdout + json.dumps(result.report)) == []

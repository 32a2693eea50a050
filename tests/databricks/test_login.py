"""Service principal logins: one token exchange, renewal before expiry, and no token for another workspace."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator

import pytest

from model_gate.errors import UnreachableError
from tests.databricks.emulator.oidc import id_token
from tests.databricks.workspaces import WINE, Blueprint, EmulatedWorkspace, Result, Workspaces, ignore_progress

pytestmark = pytest.mark.xdist_group("databricks_login")  # the workspaces start once

KEY = "federation-key-0123456789"
SECRET = "m2m-secret-0123456789"
JOB_TOKEN = "job-request-token-0123456789"
# An access token that only the worker obtains.
ACCESS_TOKEN = "eyJ-access-0123456789abcdef"
ENCODED_TOKEN = base64.b64encode(ACCESS_TOKEN.encode()).decode()
LOCATION = f"dbfs:/databricks/mlflow-tracking/77/{'0a' * 16}/artifacts/model"


def fill(blueprint: Blueprint, **settings: object) -> Blueprint:
    source = blueprint.run("0a" * 16, WINE)
    blueprint.version("registry", "wine", "1", WINE, source=source, run_id="0a" * 16)
    blueprint.data |= {"tokens": [], "federation_key": KEY, "service_principals": {"robot": SECRET, "federated": ""}}
    blueprint.settings(**settings)
    return blueprint


@pytest.fixture(scope="module")
def workspaces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspaces]:
    directory = tmp_path_factory.mktemp("logins")
    issuer = Blueprint(directory / "issuer", "none", {"issuer_token": JOB_TOKEN, "federation_key": KEY})
    silent = Blueprint(directory / "silent", "none", {"issuer_token": JOB_TOKEN, "federation_key": KEY})
    silent.fault("/github/id-token", seconds=90, times=0)
    unresponsive = Blueprint(directory / "unresponsive", "none")
    unresponsive.fault("POST /oidc/v1/token", seconds=90, times=0)
    echoing = Blueprint(directory / "echoing", "none")
    answer = {"access_token": ACCESS_TOKEN, "token_type": "Bearer", "expires_in": 3600}
    echoing.fault("POST /oidc/v1/token", body=json.dumps(answer), times=0)
    echo = {"error_code": "BAD_REQUEST", "message": f"<{ACCESS_TOKEN}> <{ENCODED_TOKEN}>"}
    echoing.fault("registered-models/get", status=400, body=json.dumps(echo), times=0)
    with (
        EmulatedWorkspace(fill(Blueprint(directory / "normal", "none"))) as normal,
        EmulatedWorkspace(fill(Blueprint(directory / "short_lived", "none"), oauth_seconds=4)) as short_lived,
        EmulatedWorkspace(fill(Blueprint(directory / "limited_use", "none"), oauth_requests=30)) as limited_use,
        EmulatedWorkspace(issuer) as github,
        EmulatedWorkspace(silent) as silent_issuer,
        EmulatedWorkspace(fill(unresponsive)) as unresponsive_workspace,
        EmulatedWorkspace(fill(echoing)) as echoing_workspace,
        EmulatedWorkspace(fill(Blueprint(directory / "trap", "dapi-trap-0123456789"))) as trap,
    ):
        emulated = {
            "normal": normal,
            "short_lived": short_lived,
            "limited_use": limited_use,
            "unresponsive": unresponsive_workspace,
            "echoing": echoing_workspace,
        }
        result = Workspaces(directory, {**emulated, "issuer": github, "silent": silent_issuer}, trap)
        profiles: dict[str, dict[str, str]] = {}
        for name, each in emulated.items():
            by_secret = {"host": each.url, "client_id": "robot", "client_secret": SECRET}
            by_job = {"host": each.url, "client_id": "federated", "auth_type": "github-oidc"}
            by_token = {"host": each.url, "client_id": "federated", "auth_type": "env-oidc"}
            profiles |= {name: by_secret, f"{name}_github": by_job, f"{name}_env": by_token}
        profiles["wrong"] = {"host": normal.url, "client_id": "robot", "client_secret": "not-the-secret"}
        result.write_profiles(profiles)
        result.declare(echoing_workspace.url, ACCESS_TOKEN)
        yield result
        assert not trap.requests


def job_environment(workspaces: Workspaces, issuer: str = "issuer") -> dict[str, str]:
    url = f"{workspaces[issuer].url}/github/id-token?api-version=2"
    return {
        **workspaces.environment,
        "ACTIONS_ID_TOKEN_REQUEST_URL": url,
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": JOB_TOKEN,
    }


def require_no_secret(result: Result) -> None:
    text = str(result.report) + result.output
    for secret in (SECRET, JOB_TOKEN, KEY, "eyJ-access-", "not-the-secret"):
        assert secret not in text


def test_client_secret_is_exchanged_for_a_token_only_once(workspaces: Workspaces) -> None:
    result = workspaces.check("databricks://normal", "wine", "1")
    assert result.report["status"] == "equal", result.output
    assert len(result.paths("normal", "/oidc/v1/token")) == 1
    assert not result.requests["issuer"]
    require_no_secret(result)


def test_github_job_token_is_exchanged_for_one_access_token_per_workspace(workspaces: Workspaces) -> None:
    version = {"model": "wine", "version_or_stage": "1"}
    result = workspaces.compare(
        {"host": "databricks://normal_github", **version},
        {"host": "databricks://limited_use_github", **version},
        environment=job_environment(workspaces),
    )
    assert result.report["status"] == "equal", result.output
    assert len(result.paths("normal", "/oidc/v1/token")) == 1
    assert {each["query"]["audience"] for each in result.requests["issuer"]} == {
        f"{workspaces[name].url}/oidc/v1/token" for name in ("normal", "limited_use")
    }
    job = f"Bearer {JOB_TOKEN}"
    assert {each["authorization"] for each in result.requests["issuer"]} == {job}
    for name in ("normal", "limited_use"):
        assert job not in {each["authorization"] for each in result.requests[name]}
    require_no_secret(result)


def test_id_token_from_a_variable_is_sent_once_to_its_own_workspace(workspaces: Workspaces) -> None:
    audience = f"{workspaces['normal'].url}/oidc/v1/token"
    token = id_token(KEY, {"iss": "https://ci.example.com", "aud": audience, "exp": time.time() + 300})
    environment = {**workspaces.environment, "DATABRICKS_OIDC_TOKEN": token}
    result = workspaces.check("databricks://normal_env", "wine", "1", environment=environment)
    assert result.report["status"] == "equal", result.output
    assert len(result.paths("normal", "/oidc/v1/token")) == 1
    assert token not in str(result.report) + result.output


def test_rejected_access_token_is_renewed(workspaces: Workspaces) -> None:
    result = workspaces.check("databricks://limited_use", "wine", "1")
    assert result.report["status"] == "equal", result.output
    assert len(result.paths("limited_use", "/oidc/v1/token")) > 1
    assert [each for each in result.requests["limited_use"] if each["status"] == 401]
    require_no_secret(result)


def test_access_token_is_renewed_before_it_expires(workspaces: Workspaces) -> None:
    workspace = workspaces["short_lived"]

    def exchanges() -> int:
        return sum(each["path"] == "/oidc/v1/token" for each in workspace.requests)

    with workspaces.client("databricks://short_lived", "wine") as client:
        deadline = time.monotonic() + 30
        while exchanges() < 3 and time.monotonic() < deadline:
            assert len(client.list(LOCATION, ignore_progress).files) == len(WINE)
    assert exchanges() >= 3
    assert not [each["path"] for each in workspace.requests if each["status"] == 401]


def test_access_token_that_the_workspace_sends_back_is_redacted(workspaces: Workspaces) -> None:
    result = workspaces.run(
        *("check", "--host", "databricks://echoing", "--model", "wine", "--version-or-stage", "1", "--verbose")
    )
    assert result.report["status"] == "error"
    assert "<***> <***>" in result.error
    assert ENCODED_TOKEN not in str(result.report) + result.output
    require_no_secret(result)


def test_wrong_client_secret_is_an_error_within_a_minute(workspaces: Workspaces) -> None:
    started = time.monotonic()
    result = workspaces.check("databricks://wrong", "wine", "1")
    assert result.report["error"]["type"] == "AccessError"
    assert "Logging in to databricks://wrong by oauth-m2m failed: " in result.error
    assert "the secret may have expired" in result.error
    assert time.monotonic() - started < 60
    require_no_secret(result)


@pytest.mark.parametrize(
    "profile, issuer, kind",
    [
        ("unresponsive", "issuer", "oauth-m2m"),
        ("unresponsive_github", "issuer", "github-oidc"),
        ("normal_github", "silent", "github-oidc"),
    ],
)
def test_error_says_that_the_login_server_does_not_respond(
    workspaces: Workspaces, profile: str, issuer: str, kind: str
) -> None:
    host = f"databricks://{profile}"
    with (
        workspaces.client(host, "wine", job_environment(workspaces, issuer)) as client,
        pytest.raises(UnreachableError) as caught,
    ):
        client.resolve("wine", "1")
    # The error comes from the timeout of the login. The worker's general timeout could not name the silent server.
    assert f"by {kind} failed: the login server gives no answer" in caught.value.message


def test_error_for_a_rejected_federated_token_names_the_federation_policy(workspaces: Workspaces) -> None:
    token = id_token(KEY, {"iss": "https://ci.example.com", "aud": "another", "exp": time.time() + 300})
    environment = {**workspaces.environment, "DATABRICKS_OIDC_TOKEN": token}
    result = workspaces.check("databricks://normal_env", "wine", "1", environment=environment)
    assert result.report["error"]["type"] == "AccessError"
    assert "federation policy" in result.error

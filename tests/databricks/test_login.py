"""Service principals: each login is exchanged once, renewed in time, and shown to its own workspace only."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from model_gate.errors import UnreachableError
from tests.databricks.emulator.oidc import id_token
from tests.databricks.workspaces import WINE, Bench, Blueprint, Emulated, Result, nothing

KEY = "federation-key-0123456789"
SECRET = "m2m-secret-0123456789"
JOB_TOKEN = "job-request-token-0123456789"
LOCATION = f"dbfs:/databricks/mlflow-tracking/77/{'0a' * 16}/artifacts/model"


def principal(blueprint: Blueprint, **settings: object) -> Blueprint:
    source = blueprint.run("0a" * 16, WINE)
    blueprint.version("registry", "wine", "1", WINE, source=source, run_id="0a" * 16)
    blueprint.data |= {"tokens": [], "federation_key": KEY, "service_principals": {"robot": SECRET, "federated": ""}}
    blueprint.settings(**settings)
    return blueprint


@pytest.fixture(scope="module")
def logins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    directory = tmp_path_factory.mktemp("logins")
    issuer = Blueprint(directory / "issuer", "none", {"issuer_token": JOB_TOKEN, "federation_key": KEY})
    silent = Blueprint(directory / "silent", "none", {"issuer_token": JOB_TOKEN, "federation_key": KEY})
    silent.fault("/github/id-token", seconds=90, times=0)
    mute = Blueprint(directory / "mute", "none")
    mute.fault("POST /oidc/v1/token", seconds=90, times=0)
    with (
        Emulated(principal(Blueprint(directory / "lasting", "none"))) as lasting,
        Emulated(principal(Blueprint(directory / "brief", "none"), oauth_seconds=4)) as brief,
        Emulated(principal(Blueprint(directory / "worn", "none"), oauth_requests=30)) as worn,
        Emulated(issuer) as github,
        Emulated(silent) as silent_issuer,
        Emulated(principal(mute)) as mute_workspace,
        Emulated(principal(Blueprint(directory / "trap", "dapi-trap-0123456789"))) as wrong,
    ):
        workspaces = {"lasting": lasting, "brief": brief, "worn": worn, "mute": mute_workspace}
        bench = Bench(directory, {**workspaces, "issuer": github, "silent": silent_issuer}, wrong)
        profiles: dict[str, dict[str, str]] = {}
        for name, each in workspaces.items():
            by_secret = {"host": each.url, "client_id": "robot", "client_secret": SECRET}
            by_job = {"host": each.url, "client_id": "federated", "auth_type": "github-oidc"}
            by_token = {"host": each.url, "client_id": "federated", "auth_type": "env-oidc"}
            profiles |= {name: by_secret, f"{name}_github": by_job, f"{name}_env": by_token}
        profiles["wrong"] = {"host": lasting.url, "client_id": "robot", "client_secret": "not-the-secret"}
        bench.write_profiles(profiles)
        yield bench
        assert not wrong.requests


def in_job(bench: Bench, issuer: str = "issuer") -> dict[str, str]:
    url = f"{bench.workspaces[issuer].url}/github/id-token?api-version=2"
    return {
        **bench.environment,
        "ACTIONS_ID_TOKEN_REQUEST_URL": url,
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": JOB_TOKEN,
    }


def require_quiet(result: Result) -> None:
    told = str(result.report) + result.output
    for secret in (SECRET, JOB_TOKEN, KEY, "eyJ-access-", "not-the-secret"):
        assert secret not in told


def test_a_client_secret_is_exchanged_once(logins: Bench) -> None:
    result = logins.check("databricks://lasting", "wine", "1")
    assert result.report["status"] == "equal", result.output
    assert len(result.paths("lasting", "/oidc/v1/token")) == 1
    assert not result.asked["issuer"]
    require_quiet(result)


def test_a_github_job_needs_no_secret_and_one_exchange_a_workspace(logins: Bench) -> None:
    host = {"model": "wine", "version_or_stage": "1"}
    result = logins.compare(
        {"host": "databricks://lasting_github", **host},
        {"host": "databricks://worn_github", **host},
        environment=in_job(logins),
    )
    assert result.report["status"] == "equal", result.output
    assert len(result.paths("lasting", "/oidc/v1/token")) == 1
    assert {each["query"]["audience"] for each in result.asked["issuer"]} == {
        f"{logins.workspaces[name].url}/oidc/v1/token" for name in ("lasting", "worn")
    }
    job = f"Bearer {JOB_TOKEN}"
    assert {each["authorization"] for each in result.asked["issuer"]} == {job}
    for name in ("lasting", "worn"):
        assert job not in {each["authorization"] for each in result.asked[name]}
    require_quiet(result)


def test_an_id_token_in_a_variable_is_exchanged_at_its_own_workspace(logins: Bench) -> None:
    audience = f"{logins.workspaces['lasting'].url}/oidc/v1/token"
    token = id_token(KEY, {"iss": "https://ci.example.com", "aud": audience, "exp": time.time() + 300})
    environment = {**logins.environment, "DATABRICKS_OIDC_TOKEN": token}
    result = logins.check("databricks://lasting_env", "wine", "1", environment=environment)
    assert result.report["status"] == "equal", result.output
    assert len(result.paths("lasting", "/oidc/v1/token")) == 1
    assert token not in str(result.report) + result.output


def test_a_token_that_is_refused_midway_is_exchanged_again(logins: Bench) -> None:
    result = logins.check("databricks://worn", "wine", "1")
    assert result.report["status"] == "equal", result.output
    assert len(result.paths("worn", "/oidc/v1/token")) > 1
    assert [each for each in result.asked["worn"] if each["status"] == 401]
    require_quiet(result)


def test_a_token_is_renewed_before_it_expires(logins: Bench) -> None:
    workspace = logins.workspaces["brief"]

    def exchanges() -> int:
        return sum(each["path"] == "/oidc/v1/token" for each in workspace.requests)

    with logins.side("databricks://brief", "wine") as side:
        deadline = time.monotonic() + 30
        while exchanges() < 3 and time.monotonic() < deadline:
            assert len(side.list(LOCATION, nothing).files) == len(WINE)
    assert exchanges() >= 3
    assert not [each["path"] for each in workspace.requests if each["status"] == 401]


def test_a_wrong_secret_is_an_error_within_seconds(logins: Bench) -> None:
    started = time.monotonic()
    result = logins.check("databricks://wrong", "wine", "1")
    assert result.report["error"]["type"] == "AccessError"
    assert "Logging in to databricks://wrong by oauth-m2m failed: " in result.error
    assert "the secret may have expired" in result.error
    assert time.monotonic() - started < 60
    require_quiet(result)


@pytest.mark.parametrize(
    "profile, issuer, kind",
    [
        ("mute", "issuer", "oauth-m2m"),
        ("mute_github", "issuer", "github-oidc"),
        ("lasting_github", "silent", "github-oidc"),
    ],
)
def test_a_login_whose_server_never_answers_is_an_error_that_says_so(
    logins: Bench, profile: str, issuer: str, kind: str
) -> None:
    host = f"databricks://{profile}"
    with logins.side(host, "wine", in_job(logins, issuer)) as side, pytest.raises(UnreachableError) as caught:
        side.resolve("wine", "1")
    # Not the watch on silence, which cannot tell the login's server from the workspace.
    assert f"by {kind} failed: the login server gives no answer" in caught.value.message


def test_a_federation_that_does_not_fit_is_an_error_that_names_the_policy(logins: Bench) -> None:
    token = id_token(KEY, {"iss": "https://ci.example.com", "aud": "another", "exp": time.time() + 300})
    environment = {**logins.environment, "DATABRICKS_OIDC_TOKEN": token}
    result = logins.check("databricks://lasting_env", "wine", "1", environment=environment)
    assert result.report["error"]["type"] == "AccessError"
    assert "federation policy" in result.error

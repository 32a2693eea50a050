"""Logins from profiles and variables: what is taken, what is refused, and that no message repeats a value."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from model_gate.access.databricks import LOGIN_VARIABLE
from model_gate.access.environments import environment_for, secrets_of
from model_gate.access.hosts import find_host, parse_host
from model_gate.domain.host import RegistryKind
from model_gate.errors import InputError

FILE = """\
# A comment
[DEFAULT]
host = https://default.example.com
token = dapi-default-secret

[pat]
host: https://pat.example.com/?o=123
token = dapi-pat=secret%
cluster_id = ignored

[m2m]
host = m2m.example.com
client_id = m2m-client
client_secret = m2m-secret

[azure]
host = https://adb-1.2.azuredatabricks.net
azure_client_id = azure-client
azure_client_secret = azure-secret
azure_tenant_id = azure-tenant

[oidc]
host = https://oidc.example.com
client_id = oidc-client
auth_type = github-oidc

[plain]
host = http://plain.example.com
token = dapi-plain-secret

[no_token]
host = https://no-token.example.com

[no_host]
token = dapi-no-host-secret

[no_secret]
host = https://no-secret.example.com
client_id = lonely-client

[two]
host = https://two.example.com
token = dapi-two-secret
client_id = two-client
client_secret = two-secret

[odd]
host = https://odd.example.com
auth_type = external-browser

[loop]
host = http://127.0.0.1:8080
token = dapi-loop-secret
"""
VALUES = [line.partition(" = ")[2] for line in FILE.splitlines() if "secret" in line.partition(" = ")[2]]
JOB = {
    "ACTIONS_ID_TOKEN_REQUEST_URL": "https://github.example.com/token?x=1",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "job-token-secret",
}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "profiles").write_text(FILE, "utf-8")
    return {"DATABRICKS_CONFIG_FILE": str(tmp_path / "profiles"), "HOME": str(tmp_path)}


def login(host: str, environment: dict[str, str]) -> dict[str, str]:
    """The login that the process for this host is given."""
    given = environment_for(find_host(host, environment), environment, Path("/nowhere"))
    assert not [name for name in given if name.startswith(("DATABRICKS_", "ARM_"))], "only the login itself goes along"
    fields: dict[str, str] = json.loads(given[LOGIN_VARIABLE])
    return fields


def refusal(host: str, environment: dict[str, str]) -> str:
    with pytest.raises(InputError) as caught:
        find_host(host, environment)
    told = f"{caught.value.message} {caught.value.remedy}"
    for secret in (*VALUES, "lonely-client", "plain.example.com", "odd.example.com"):
        assert secret not in told
    return told


def test_a_profile_gives_its_own_login_and_nothing_of_the_others(environment: dict[str, str]) -> None:
    hostile = {**environment, "DATABRICKS_HOST": "https://evil.example.com", "DATABRICKS_TOKEN": "evil", **JOB}
    assert login("databricks://pat", hostile) == {
        "host": "https://pat.example.com",
        "token": "dapi-pat=secret%",
        "auth_type": "pat",
    }
    assert login("databricks-uc://m2m", hostile) == {
        "host": "https://m2m.example.com",
        "client_id": "m2m-client",
        "client_secret": "m2m-secret",
        "auth_type": "oauth-m2m",
    }
    assert login("databricks://azure", hostile) == {
        "host": "https://adb-1.2.azuredatabricks.net",
        "azure_client_id": "azure-client",
        "azure_client_secret": "azure-secret",
        "azure_tenant_id": "azure-tenant",
        "auth_type": "azure-client-secret",
    }


def test_a_job_token_goes_only_where_a_profile_asks_for_it(environment: dict[str, str]) -> None:
    job = {**environment, **JOB}
    host = find_host("databricks://oidc", job)
    given = environment_for(host, job, Path("/nowhere"))
    assert {name: given[name] for name in JOB} == JOB
    assert "job-token-secret" in host.secrets
    other = environment_for(find_host("databricks://pat", job), job, Path("/nowhere"))
    assert not set(JOB) & set(other)


def test_a_client_id_alone_uses_the_federation_that_there_is(environment: dict[str, str]) -> None:
    assert login("databricks://no_secret", {**environment, **JOB})["auth_type"] == "github-oidc"
    by_variable = {**environment, "DATABRICKS_OIDC_TOKEN": "an-id-token"}
    assert login("databricks://no_secret", by_variable)["auth_type"] == "env-oidc"
    assert "an-id-token" in secrets_of(by_variable)


def test_the_host_without_a_profile_takes_the_variables_before_the_file(environment: dict[str, str]) -> None:
    pair = {**environment, "DATABRICKS_HOST": "https://env.example.com", "DATABRICKS_TOKEN": "dapi-env-secret"}
    assert login("databricks", {**pair, "DATABRICKS_CONFIG_PROFILE": "pat"})["token"] == "dapi-env-secret"
    assert login("databricks-uc", environment)["host"] == "https://default.example.com"
    named = {**environment, "DATABRICKS_CONFIG_PROFILE": "pat"}
    assert login("databricks", named)["host"] == "https://pat.example.com"
    assert "dapi-env-secret" in secrets_of(pair)


def test_profiles_are_read_from_the_home_directory_by_default(tmp_path: Path) -> None:
    (tmp_path / ".databrickscfg").write_text(FILE, "utf-8")
    assert login("databricks://pat", {"HOME": str(tmp_path)})["host"] == "https://pat.example.com"


@pytest.mark.parametrize(
    "host, said",
    [
        ("databricks://plain", "line 28, has an http:// host"),
        ("databricks://no_token", "line 31, has no token"),
        ("databricks://no_host", "line 34, has no host"),
        ("databricks://no_secret", "line 37, has no client_secret"),
        ("databricks://two", "line 41, holds more than one login: pat and oauth-m2m"),
        ("databricks://odd", "line 49, asks for an auth_type"),
        ("databricks://oidc", "ACTIONS_ID_TOKEN_REQUEST_URL is not set. Give the job `permissions: id-token: write`"),
        ("databricks://patt", "Did you mean 'pat'? Known profiles: DEFAULT, azure, loop, m2m"),
        ("databricks://scope:prefix", "secret scope"),
        ("databricks:/pat", "is not the name of a Databricks workspace"),
    ],
)
def test_a_profile_that_cannot_be_used_is_told_by_name_and_line(
    environment: dict[str, str], host: str, said: str
) -> None:
    assert said in refusal(host, environment)


def test_http_is_allowed_on_this_machine_only(environment: dict[str, str]) -> None:
    assert login("databricks://loop", environment)["host"] == "http://127.0.0.1:8080"


def test_without_any_login_the_error_says_where_one_could_be(tmp_path: Path) -> None:
    nowhere = {"HOME": str(tmp_path)}
    assert "DATABRICKS_HOST is not set" in refusal("databricks", nowhere)
    assert f"{tmp_path}/.databrickscfg does not exist" in refusal("databricks://pat", nowhere)
    assert "has no DATABRICKS_TOKEN" in refusal("databricks", {**nowhere, "DATABRICKS_HOST": "https://x.example.com"})


@pytest.mark.parametrize(
    "text, said",
    [
        ("host = https://x.example.com\n", "line 1: this is neither"),
        ("[a]\nhost = https://x.example.com\ndapi-secret-token\n", "line 3: this is neither"),
        ("[a]\nhost = x\n[b]\nhost = y\n[a]\ntoken = z\n", "line 5: the profile 'a' begins again, first on line 1"),
        ("[a]\ntoken = dapi-first\ntoken = dapi-second\n", "line 3: 'token' is given twice, first on line 2"),
    ],
)
def test_a_line_that_cannot_be_read_is_told_by_number_and_not_repeated(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / ".databrickscfg").write_text(text, "utf-8")
    told = refusal("databricks://a", {"HOME": str(tmp_path)})
    assert said in told
    assert "dapi" not in told


@pytest.mark.parametrize(
    "host, model, asked, kind",
    [
        ("databricks://pat", "wine", None, RegistryKind.WORKSPACE),
        ("databricks://pat", "a.b.c", None, RegistryKind.UNITY_CATALOG),
        ("databricks://pat", "a.b", None, RegistryKind.WORKSPACE),
        ("databricks://pat", "a.b.c", RegistryKind.WORKSPACE, RegistryKind.WORKSPACE),
        ("databricks-uc://pat", "a.b.c", None, RegistryKind.UNITY_CATALOG),
    ],
)
def test_the_registry_follows_the_key_then_the_host_then_the_name(
    environment: dict[str, str], host: str, model: str, asked: RegistryKind | None, kind: RegistryKind
) -> None:
    found = find_host(host, environment).for_model(model, asked)
    assert found.workspace is not None
    assert found.workspace.registry is kind
    uri = "databricks-uc" if kind is RegistryKind.UNITY_CATALOG else "databricks"
    assert environment_for(found, environment, Path("/nowhere"))["MLFLOW_REGISTRY_URI"] == uri


def test_a_catalog_host_needs_a_name_of_three_levels(environment: dict[str, str]) -> None:
    with pytest.raises(InputError, match="does not have three levels"):
        find_host("databricks-uc://pat", environment).for_model("wine")


def test_the_key_registry_is_for_databricks_only() -> None:
    with pytest.raises(InputError, match="only a Databricks host"):
        parse_host("https://mlflow.example.com").for_model("wine", RegistryKind.WORKSPACE)


def test_two_profiles_of_one_workspace_are_one_place(tmp_path: Path) -> None:
    text = "[a]\nhost = https://w.example.com\ntoken = x\n[b]\nhost = https://w.example.com/?o=1\ntoken = y\n"
    (tmp_path / ".databrickscfg").write_text(text, "utf-8")
    first, second = (find_host(f"databricks://{name}", {"HOME": str(tmp_path)}).for_model("wine") for name in "ab")
    assert first.authority("dbfs:/x") == second.authority("dbfs:/x")
    catalog = first.for_model("a.b.c", RegistryKind.UNITY_CATALOG)
    assert first.authority("models:/a.b.c/1") != catalog.authority("models:/a.b.c/1")
    assert first.authority("dbfs:/x") == catalog.authority("dbfs:/x")

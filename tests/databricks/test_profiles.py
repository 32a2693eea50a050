"""Logins come from profiles or environment variables, and errors about them contain no value."""

from __future__ import annotations

import configparser
import json
from pathlib import Path

import pytest

from model_gate.access.databricks import LOGIN_VARIABLE
from model_gate.access.databrickscfg import parse_profiles
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
    """Return the login that the worker of a host receives."""
    variables = environment_for(find_host(host, environment), environment, Path("/nowhere"))
    assert not [name for name in variables if name.startswith(("DATABRICKS_", "ARM_"))]
    fields: dict[str, str] = json.loads(variables[LOGIN_VARIABLE])
    return fields


def rejection(host: str, environment: dict[str, str]) -> str:
    """Return the message and the remedy of the error for a host."""
    with pytest.raises(InputError) as caught:
        find_host(host, environment)
    text = f"{caught.value.message} {caught.value.remedy}"
    for secret in (*VALUES, "lonely-client", "plain.example.com", "odd.example.com"):
        assert secret not in text
    return text


def test_login_with_a_profile_uses_no_field_of_another_profile(environment: dict[str, str]) -> None:
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


def test_github_job_token_is_passed_only_to_a_worker_whose_profile_uses_it(environment: dict[str, str]) -> None:
    job = {**environment, **JOB}
    host = find_host("databricks://oidc", job)
    variables = environment_for(host, job, Path("/nowhere"))
    assert {name: variables[name] for name in JOB} == JOB
    assert "job-token-secret" in host.secrets
    other = environment_for(find_host("databricks://pat", job), job, Path("/nowhere"))
    assert not set(JOB) & set(other)


def test_client_id_without_secret_logs_in_with_an_id_token(environment: dict[str, str]) -> None:
    assert login("databricks://no_secret", {**environment, **JOB})["auth_type"] == "github-oidc"
    by_variable = {**environment, "DATABRICKS_OIDC_TOKEN": "an-id-token"}
    assert login("databricks://no_secret", by_variable)["auth_type"] == "env-oidc"
    assert "an-id-token" in secrets_of(by_variable)


def test_environment_variables_override_the_config_file_for_a_host_without_a_profile(
    environment: dict[str, str],
) -> None:
    pair = {**environment, "DATABRICKS_HOST": "https://env.example.com", "DATABRICKS_TOKEN": "dapi-env-secret"}
    assert login("databricks", {**pair, "DATABRICKS_CONFIG_PROFILE": "pat"})["token"] == "dapi-env-secret"
    assert login("databricks-uc", environment)["host"] == "https://default.example.com"
    named = {**environment, "DATABRICKS_CONFIG_PROFILE": "pat"}
    assert login("databricks", named)["host"] == "https://pat.example.com"
    assert "dapi-env-secret" in secrets_of(pair)


def test_databricks_config_file_defaults_to_one_in_the_home_directory(tmp_path: Path) -> None:
    (tmp_path / ".databrickscfg").write_text(FILE, "utf-8")
    assert login("databricks://pat", {"HOME": str(tmp_path)})["host"] == "https://pat.example.com"


@pytest.mark.parametrize(
    "host, message",
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
def test_error_names_an_unusable_profile_and_its_line(environment: dict[str, str], host: str, message: str) -> None:
    assert message in rejection(host, environment)


def test_http_host_on_this_machine_is_accepted(environment: dict[str, str]) -> None:
    assert login("databricks://loop", environment)["host"] == "http://127.0.0.1:8080"


def test_error_for_a_missing_login_names_the_variable_or_file(tmp_path: Path) -> None:
    empty = {"HOME": str(tmp_path)}
    assert "DATABRICKS_HOST is not set" in rejection("databricks", empty)
    assert f"{tmp_path}/.databrickscfg does not exist" in rejection("databricks://pat", empty)
    assert "has no DATABRICKS_TOKEN" in rejection("databricks", {**empty, "DATABRICKS_HOST": "https://x.example.com"})


@pytest.mark.parametrize(
    "text, message",
    [
        ("host = https://x.example.com\n", "line 1: this is neither"),
        ("[a]\nhost = https://x.example.com\ndapi-secret-token\n", "line 3: this is neither"),
        ("[a]\nhost = x\n[b]\nhost = y\n[a]\ntoken = z\n", "line 5: the profile 'a' begins again, first on line 1"),
        ("[a]\ntoken = dapi-first\ntoken = dapi-second\n", "line 3: 'token' is given twice, first on line 2"),
    ],
)
def test_error_in_the_config_file_shows_the_line_number_but_no_value(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / ".databrickscfg").write_text(text, "utf-8")
    rejected = rejection("databricks://a", {"HOME": str(tmp_path)})
    assert message in rejected
    assert "dapi" not in rejected


@pytest.mark.parametrize(
    "text",
    [
        FILE,
        "[a]\n  host = x\n  token = y\n",
        "[a]\nclient_secret = one\n  two\n\n  # comment\n  three = 3\nHOST: %x%\n",
        "[a] ; comment\n\tempty =\n[ b ]\n[__settings__]\ndefault_profile = a\n",
    ],
)
def test_profile_parser_agrees_with_the_databricks_sdk(text: str) -> None:
    parser = configparser.ConfigParser()
    parser.read_string(text)
    # Like the SDK, use this attribute: the public methods would add the fields of [DEFAULT] to every section.
    profiles = {name: fields for name, fields in parser._sections.items() if name != "__settings__"}  # type: ignore[attr-defined]
    if parser.defaults():
        profiles["DEFAULT"] = parser.defaults()
    assert {name: profile.fields for name, profile in parse_profiles(text, "text").items()} == profiles


def test_error_for_an_indented_line_in_a_login_names_the_line(tmp_path: Path) -> None:
    (tmp_path / ".databrickscfg").write_text("[a]\nhost = https://a.example.com\n  token = dapi-secret\n", "utf-8")
    rejected = rejection("databricks://a", {"HOME": str(tmp_path)})
    assert "line 2, has a host that continues on an indented line" in rejected
    assert "dapi" not in rejected


@pytest.mark.parametrize(
    "host, model, override, registry",
    [
        ("databricks://pat", "wine", None, RegistryKind.WORKSPACE),
        ("databricks://pat", "a.b.c", None, RegistryKind.UNITY_CATALOG),
        ("databricks://pat", "a.b", None, RegistryKind.WORKSPACE),
        ("databricks://pat", "a.b.c", RegistryKind.WORKSPACE, RegistryKind.WORKSPACE),
        ("databricks-uc://pat", "a.b.c", None, RegistryKind.UNITY_CATALOG),
    ],
)
def test_explicit_registry_overrides_the_host_and_the_model_name(
    environment: dict[str, str], host: str, model: str, override: RegistryKind | None, registry: RegistryKind
) -> None:
    resolved = find_host(host, environment).for_model(model, override)
    assert resolved.workspace is not None
    assert resolved.workspace.registry is registry
    uri = "databricks-uc" if registry is RegistryKind.UNITY_CATALOG else "databricks"
    assert environment_for(resolved, environment, Path("/nowhere"))["MLFLOW_REGISTRY_URI"] == uri


def test_unity_catalog_host_requires_a_model_name_of_three_parts(environment: dict[str, str]) -> None:
    with pytest.raises(InputError, match="does not have three levels"):
        find_host("databricks-uc://pat", environment).for_model("wine")


def test_registry_setting_is_rejected_for_a_host_other_than_databricks() -> None:
    with pytest.raises(InputError, match="only a Databricks host"):
        parse_host("https://mlflow.example.com").for_model("wine", RegistryKind.WORKSPACE)


def test_model_has_the_same_location_with_either_of_two_profiles_of_its_workspace(tmp_path: Path) -> None:
    text = "[a]\nhost = https://w.example.com\ntoken = x\n[b]\nhost = https://w.example.com/?o=1\ntoken = y\n"
    (tmp_path / ".databrickscfg").write_text(text, "utf-8")
    first, second = (find_host(f"databricks://{name}", {"HOME": str(tmp_path)}).for_model("wine") for name in "ab")
    assert first.authority("dbfs:/x") == second.authority("dbfs:/x")
    catalog = first.for_model("a.b.c", RegistryKind.UNITY_CATALOG)
    assert first.authority("models:/a.b.c/1") != catalog.authority("models:/a.b.c/1")
    assert first.authority("dbfs:/x") == catalog.authority("dbfs:/x")

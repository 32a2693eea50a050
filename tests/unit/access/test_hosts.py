"""Tests of `parse_host` and `find_host`, and of the environment variables that workers get."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from model_gate.access.declared import Declarations
from model_gate.access.environments import environment_for, secrets_of
from model_gate.access.hosts import find_host, parse_host, secrets_in
from model_gate.access.redaction import Redactor
from model_gate.domain.host import Host, HostKind
from model_gate.errors import InputError
from tests.support.databases import make_database

SECRET = "s3cret-w0rd"
# Environment variables of a GitHub runner. Workers must not get most of them.
RUNNER = {
    "PATH": "/bin",
    "HOME": "/home/runner",
    "LANG": "C.UTF-8",
    "LD_LIBRARY_PATH": "/x",
    "PYTHONPATH": "/x",
    "PYTHONSTARTUP": "/x",
    "DATABRICKS_HOST": "https://x",
    "DATABRICKS_TOKEN": "t",
    "DATABRICKS_CONFIG_PROFILE": "p",
    "DATABRICKS_CONFIG_FILE": "/x",
    "ARM_CLIENT_SECRET": "t",
    "ARM_TENANT_ID": "t",
    "GITHUB_TOKEN": "t",
    "INPUT_CONFIG": "t",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "t",
    "MLFLOW_RUN_ID": "r",
    "MLFLOW_REGISTRY_URI": "http://x",
    "MLFLOW_EXPERIMENT_NAME": "x",
    "NETRC": "/home/runner/.netrc",
}
CREDENTIALS = {
    "MLFLOW_TRACKING_USERNAME": "ann",
    "MLFLOW_TRACKING_PASSWORD": SECRET,
    "MLFLOW_TRACKING_TOKEN": "t0ken",
    "MLFLOW_TRACKING_INSECURE_TLS": "true",
    "MLFLOW_TRACKING_AUTH": "plugin",
    "MLFLOW_TRACKING_CLIENT_CERT_PATH": "/c",
}
UNWANTED = set(RUNNER) - {"PATH", "LANG", "HOME", "MLFLOW_REGISTRY_URI", "NETRC"}


def environment(host: str | Host, home: Path, **more: str) -> dict[str, str]:
    """Return the environment of the host's worker. The gate's own environment variables are RUNNER and `more`."""
    variables = RUNNER | more
    found = Declarations(variables).find(host) if isinstance(host, str) else host
    return environment_for(found, variables, home)


@pytest.mark.parametrize(
    "text, address",
    [
        ("http://example.com", "http://example.com"),
        ("http://example.com/", "http://example.com"),
        ("http://example.com:80", "http://example.com"),
        ("https://example.com:443/", "https://example.com"),
        ("https://example.com:80", "https://example.com:80"),
        ("HTTP://EXAMPLE.com", "http://example.com"),
        ("http://example.com:5000/mlflow/", "http://example.com:5000/mlflow"),
        ("http://ann:pw@example.com", "http://example.com"),
        ("http://ann:p%40w@[::1]:5000", "http://[::1]:5000"),
        ("  http://example.com\n", "http://example.com"),
    ],
)
def test_different_spellings_of_a_server_have_the_same_address(text: str, address: str) -> None:
    host = parse_host(text)
    assert (host.address, host.uri, host.kind) == (address, address, HostKind.HTTP)


def test_login_in_a_host_url_is_decoded_and_removed_from_the_address() -> None:
    host = parse_host("https://ann%40x:p%2Fw%3A1@example.com")
    assert (host.username, host.password) == ("ann@x", "p/w:1")
    assert "p/w" not in repr(host)
    assert "p/w:1" in host.secrets
    assert all("p/w" not in text and "p%2Fw" not in text for text in (host.address, host.uri))


@pytest.mark.parametrize(
    "text, problem",
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("example.com", "is not the URI of a tracking server"),
        ("example.com:5000", "is not the URI of a tracking server"),
        ("ftp://example.com", "is not the URI of a tracking server"),
        ("models:/M/1", "is not the URI of a tracking server"),
        ("http://", "names no host"),
        ("http:///path", "names no host"),
        ("http://example.com:99999", "malformed"),
        ("http://example.com:x", "malformed"),
        ("http://[::1", "malformed"),
        ("http://ann@example.com", "both a user name and a password"),
        ("http://:pw@example.com", "both a user name and a password"),
        ("http://example.com?x=1", "query or a fragment"),
        ("http://example.com#x", "query or a fragment"),
        ("databricks", "Databricks"),
        ("databricks://profile", "Databricks"),
        ("databricks-uc://profile", "Databricks"),
        ("file:///nothing/here", "there is no directory"),
        ("sqlite:///nothing.db", "cannot be read: No such file"),
    ],
)
def test_host_that_is_no_tracking_server_is_rejected(text: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        find_host(text, {"HOME": str(tmp_path)}, "--host")
    assert caught.value.message.startswith("--host")
    assert caught.value.remedy


@pytest.mark.parametrize(
    "text",
    [
        f"http://ann:{SECRET}@",
        f"http://ann:{SECRET}@example.com:port",
        f"http://ann:/{SECRET}@example.com:port",
        f"ftp://ann:{SECRET}@example.com",
        f"http://{SECRET}@example.com",
        f"http://ann:{SECRET}@example.com?x",
        f"http://ann:x#{SECRET}@example.com",
        f"http://ann:?{SECRET}@example.com",
        f"http://ann:1/{SECRET}@example.com",
        f"http://[ann:{SECRET}@example.com",
    ],
)
def test_error_for_a_malformed_host_does_not_contain_its_password(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_host(text)
    assert SECRET not in caught.value.message + caught.value.remedy + caught.value.detail


def test_address_of_sqlite_file_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_database(tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    relative, absolute = find_host("sqlite:///mlflow.db", {}), find_host(f"sqlite:///{tmp_path}/mlflow.db", {})
    assert relative.address == absolute.address == f"sqlite:///{tmp_path.resolve()}/mlflow.db"
    assert (relative.kind, relative.is_local) == (HostKind.DATABASE, True)


def test_missing_or_invalid_sqlite_file_is_rejected_and_not_created(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database at all")
    with pytest.raises(InputError, match="is not an SQLite database"):
        find_host(f"sqlite:///{tmp_path}/text.db", {})
    with pytest.raises(InputError, match="cannot be read"):
        find_host(f"sqlite:///{tmp_path}/new.db", {})
    assert os.listdir(tmp_path) == ["text.db"]


def test_parsing_a_host_does_not_read_the_disk() -> None:
    assert parse_host("sqlite:///nothing.db").kind is HostKind.DATABASE
    assert parse_host("file:///nothing/here").kind is HostKind.FILES
    assert parse_host("databricks://nobody").workspace is None


def test_password_of_a_database_is_a_secret() -> None:
    host = parse_host(f"postgresql://ann:{SECRET}@db.example.com/mlflow")
    assert host.address == "postgresql://db.example.com/mlflow"
    assert SECRET in host.secrets
    assert SECRET not in repr(host)


def test_directory_as_host_is_read_as_an_mlflow_file_store(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "meta.yaml").write_text("experiment_id: '0'")
    host = find_host(str(tmp_path), {})
    assert (host.kind, host.address, host.is_local) == (HostKind.FILES, tmp_path.resolve().as_uri(), True)
    assert find_host(tmp_path.as_uri(), {}) == host


@pytest.mark.parametrize("text", ["http://localhost:5000", "http://127.0.0.1", "http://[::1]:1"])
def test_loopback_server_is_treated_as_local(text: str) -> None:
    assert parse_host(text).is_local


@pytest.mark.parametrize("text", ["http://example.com", "http://localhost.example.com", "http://127.0.0.1.example.com"])
def test_server_whose_name_only_contains_a_loopback_name_is_not_local(text: str) -> None:
    assert not parse_host(text).is_local


def test_worker_gets_only_allowed_environment_variables(tmp_path: Path) -> None:
    variables = environment("http://example.com", tmp_path, **CREDENTIALS)
    assert not UNWANTED & variables.keys()
    assert "t" not in variables.values()
    assert variables["PATH"] == "/bin"
    assert variables["LANG"] == "C.UTF-8"


def test_worker_environment_sets_its_server_and_home_and_disables_netrc(tmp_path: Path) -> None:
    variables = environment("http://example.com/x/", tmp_path)
    assert variables["MLFLOW_TRACKING_URI"] == variables["MLFLOW_REGISTRY_URI"] == "http://example.com/x"
    assert variables["HOME"] == str(tmp_path)
    assert variables["NETRC"] == os.devnull
    assert variables["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_login_in_a_host_url_reaches_only_the_worker_of_that_server(tmp_path: Path) -> None:
    variables = environment(f"http://ann:{SECRET}@example.com", tmp_path)
    assert (variables["MLFLOW_TRACKING_USERNAME"], variables["MLFLOW_TRACKING_PASSWORD"]) == ("ann", SECRET)
    assert SECRET not in variables["MLFLOW_TRACKING_URI"]
    assert SECRET not in environment("http://example.org", tmp_path).values()


@pytest.mark.parametrize(
    "default", ["", "http://example.org", "https://example.com", "http://example.com:5000", "no uri"]
)
def test_environment_credentials_are_not_passed_to_a_server_other_than_the_default(
    default: str, tmp_path: Path
) -> None:
    variables = environment("http://example.com", tmp_path, **CREDENTIALS, MLFLOW_TRACKING_URI=default)
    assert not CREDENTIALS.keys() & variables.keys()
    assert not {SECRET, "t0ken"} & set(variables.values())


@pytest.mark.parametrize("default", ["http://example.com", "http://EXAMPLE.com:80/", " http://example.com "])
def test_credentials_in_environment_are_passed_to_the_default_server(default: str, tmp_path: Path) -> None:
    variables = environment("http://example.com", tmp_path, **CREDENTIALS, MLFLOW_TRACKING_URI=default)
    assert CREDENTIALS.items() <= variables.items()
    assert variables["MLFLOW_TRACKING_URI"] == "http://example.com"


def test_login_in_a_host_url_overrides_credentials_in_the_environment(tmp_path: Path) -> None:
    more = CREDENTIALS | {"MLFLOW_TRACKING_URI": "http://example.com", "MLFLOW_REGISTRY_URI": ""}
    variables = environment("http://bob:other@example.com", tmp_path, **more)
    assert (variables["MLFLOW_TRACKING_USERNAME"], variables["MLFLOW_TRACKING_PASSWORD"]) == ("bob", "other")
    assert "MLFLOW_TRACKING_TOKEN" not in variables


def test_login_in_the_default_server_url_applies_to_the_same_url_without_login(tmp_path: Path) -> None:
    more = {"MLFLOW_TRACKING_URI": f"http://ann:{SECRET}@example.com/", "MLFLOW_REGISTRY_URI": ""}
    variables = environment("http://example.com", tmp_path, **more)
    assert (variables["MLFLOW_TRACKING_USERNAME"], variables["MLFLOW_TRACKING_PASSWORD"]) == ("ann", SECRET)


def test_request_timeout_set_by_the_user_overrides_the_default(tmp_path: Path) -> None:
    variables = environment("http://example.com", tmp_path)
    assert (variables["MLFLOW_HTTP_REQUEST_MAX_RETRIES"], variables["MLFLOW_HTTP_REQUEST_TIMEOUT"]) == ("2", "10")
    assert (
        environment("http://example.com", tmp_path, MLFLOW_HTTP_REQUEST_TIMEOUT="90")["MLFLOW_HTTP_REQUEST_TIMEOUT"]
        == "90"
    )


def test_secrets_in_environment_variables_are_detected() -> None:
    secrets = secrets_of(
        CREDENTIALS | {"MLFLOW_TRACKING_URI": "http://bob:an0ther@example.com", "AWS_SECRET_ACCESS_KEY": "k"}
    )
    assert {SECRET, "t0ken", "an0ther", "k"} <= set(secrets)
    assert "" not in secrets_of({"MLFLOW_TRACKING_PASSWORD": ""})


@pytest.mark.parametrize("password", ["pw", "p/w", "p@w", "p?w#", "1/2", "p w"])
def test_password_in_the_text_of_a_host_is_detected(password: str) -> None:
    assert password in secrets_in(f"https://ann:{password}@example.com")
    assert secrets_in("https://example.com") == ()


MALFORMED = [
    "user:s3cret-pw@h:5000",
    "http:/user:s3cret-pw@h",
    "http:user:s3cret-pw@h",
    "https//user:s3cret-pw@h",
    "https:///user:s3cret-pw@h",
    "HTTP:/user:s3cret-pw@h/x",
    "postgresql:/user:s3cret-pw@h/db",
    "ftp://user:s3cret-pw@h/x",
    "http://user:s3cret-pw?x@h",
    "http://user:s3cret-pw#x@h",
    "user:s3cret-pw/x@h",
    "https:/s3cret-pw@h",
]


@pytest.mark.parametrize("text", MALFORMED)
def test_password_of_a_malformed_host_is_masked_and_absent_from_the_error(text: str) -> None:
    assert any("s3cret-pw" in secret for secret in secrets_in(text))
    with pytest.raises(InputError) as caught:
        find_host(text, {})
    assert "s3cret" not in caught.value.message + caught.value.remedy


@pytest.mark.parametrize("text", ["models:/Wine@champion", "models://prod@databricks/Wine/1", "databricks://prod", "h"])
def test_host_without_a_password_contains_no_secret_despite_an_at_sign(text: str) -> None:
    assert secrets_in(text) == ()


@pytest.mark.parametrize("key", ["password", "passwd", "pwd", "sslpassword", "token", "api_key"])
def test_password_in_a_database_query_is_a_secret(key: str) -> None:
    host = find_host(f"postgresql://h/db?user=u&{key}=s3cret-pw&sslmode=require", {})
    assert "s3cret-pw" in host.secrets
    assert "s3cret" not in host.address


@pytest.mark.parametrize(
    "text",
    [
        r"http://134744072\.example.com",
        "https://exa%6Dple.com",
        "https://example.com.",
        "https://exämple.com",
        "https://-example.com",
        "https://a..example.com",
    ],
)
def test_host_name_that_two_programs_could_read_differently_is_rejected(text: str) -> None:
    with pytest.raises(InputError, match="has a host name with other characters"):
        parse_host(text)


@pytest.mark.parametrize("query", ["host=/cloudsql/staging", "options=-csearch_path%3Dx"], ids=["host", "options"])
def test_address_of_a_database_has_the_query_that_selects_the_database(query: str) -> None:
    host = parse_host(f"postgresql://ann:{SECRET}@db/mlflow?{query}&password={SECRET}&sslmode=require")
    assert host.address == f"postgresql://db/mlflow?{query}"


@pytest.mark.parametrize("char", ["#", "?", "/"])
def test_error_for_a_password_that_is_not_percent_encoded_says_how_to_encode_it(char: str) -> None:
    with pytest.raises(InputError) as raised:
        parse_host(f"http://ann:se{char}cret@example.com")
    error = raised.value
    assert f"The user name or the password in host has a {char!r}" in error.message
    assert f"Write {char!r} as %{ord(char):X}." in error.remedy
    assert "cret" not in error.message + error.remedy.replace("secret", "")


@pytest.mark.parametrize("text", ["${HOST}", "$HOST", "https://ann:${PASSWORD}@example.com", "${{ vars.HOST }}"])
def test_error_for_a_variable_in_a_host_says_that_it_was_not_replaced(text: str) -> None:
    with pytest.raises(InputError, match="which was not replaced by its value") as raised:
        parse_host(text)
    assert "PASSWORD" not in raised.value.message + raised.value.remedy


@pytest.mark.parametrize("text", ["example.com", "localhost:5000", "mlflow:5000/path"])
def test_error_for_a_host_without_a_scheme_shows_it_with_both_schemes(text: str) -> None:
    with pytest.raises(InputError, match="is not the URI of a tracking server") as raised:
        find_host(text, {})
    assert raised.value.remedy == f"Write it with its scheme: https://{text} or http://{text}."


@pytest.mark.parametrize(
    "text", ["http://ann@example.com", "http://:secret@example.com", "http://ann:se/cret@example.com"]
)
def test_remedy_for_a_wrong_login_is_not_masked(text: str) -> None:
    with pytest.raises(InputError) as raised:
        parse_host(text)
    assert Redactor().text(raised.value.remedy) == raised.value.remedy

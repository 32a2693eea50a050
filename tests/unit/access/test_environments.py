"""Credentials of object stores and of tracking servers reach only the worker of the server that they belong to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from model_gate.access.allowed import AllowedHosts
from model_gate.access.declared import Declarations
from model_gate.access.environments import environment_for, make_home, secrets_of
from model_gate.access.hosts import parse_host
from model_gate.errors import InputError

SECRET = "s3cret-w0rd"
STORES = {
    "AWS_ACCESS_KEY_ID": "a",
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/w",
    "MLFLOW_S3_ENDPOINT_URL": "https://minio.example.com:9000/",
    "MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE": "path",
    "AZURE_STORAGE_CONNECTION_STRING": f"AccountName=acct;AccountKey={SECRET};EndpointSuffix=core.windows.net",
    "AZURE_FEDERATED_TOKEN_FILE": "/f",
    "AZURE_AUTHORITY_HOST": "https://login.example.com",
    "IDENTITY_ENDPOINT": "http://169.254.169.254",
    "IDENTITY_HEADER": SECRET,
    "MSI_ENDPOINT": "http://169.254.169.254",
    "GOOGLE_APPLICATION_CREDENTIALS": "/c",
    "STORAGE_EMULATOR_HOST": "localhost:4443",
    "CLOUDSDK_CORE_PROJECT": "p",
    "BOTO_CONFIG": "/b",
    "MODEL_GATE_STORE_ENDPOINTS": f"https://user:{SECRET}@files.example.com/x/, hdfs://namenode:8020",
}
# Why a login is not sent to a server with another address.
_OTHER = "it belongs to the address in MLFLOW_TRACKING_URI, and this server has another"
DEFAULT = {"HOME": "/home/ann", "MLFLOW_TRACKING_URI": "https://default.example.com"}
PROD = {"PROD_MLFLOW_TRACKING_URI": "https://prod.example.com"}


def environment(text: str, **variables: str) -> dict[str, str]:
    """Return the environment variables of the worker for a host that a compare file names."""
    return environment_for(Declarations(variables).find(text), variables, Path("/private"))


@pytest.mark.parametrize("host", ["https://default.example.com", "https://prod.example.com"])
def test_worker_of_a_declared_server_gets_unprefixed_object_store_credentials(host: str) -> None:
    variables = environment(host, **DEFAULT, **PROD, **STORES)
    assert (
        STORES.items() - {("MODEL_GATE_STORE_ENDPOINTS", STORES["MODEL_GATE_STORE_ENDPOINTS"])}
    ) <= variables.items()
    assert variables["AWS_SHARED_CREDENTIALS_FILE"] == "/home/ann/.aws/credentials"
    assert variables["CLOUDSDK_CONFIG"] == "/home/ann/.config/gcloud"
    assert variables["HOME"] == "/private"


def test_worker_of_an_undeclared_server_gets_no_object_store_credentials() -> None:
    variables = environment("https://other.example.com", **DEFAULT, **PROD, **STORES)
    assert STORES.keys() & variables.keys() == {"MODEL_GATE_STORE_ENDPOINTS"}
    assert variables["MODEL_GATE_STORE_ENDPOINTS"] == ""
    assert SECRET not in "".join(variables.values())
    # The worker cannot use the cloud login of this machine either.
    assert variables["AWS_EC2_METADATA_DISABLED"] == variables["NO_GCE_CHECK"] == "true"
    assert variables["AWS_SHARED_CREDENTIALS_FILE"] == variables["AWS_CONFIG_FILE"] == os.devnull
    assert "CLOUDSDK_CONFIG" not in variables


def test_undeclared_server_that_allow_hosts_matches_gets_no_credentials() -> None:
    host = Declarations(DEFAULT | STORES).find("https://allowed.example.com")
    assert AllowedHosts("https://allowed.example.com").allows(host)
    variables = environment_for(host, DEFAULT | STORES | {"MLFLOW_TRACKING_TOKEN": SECRET}, Path("/private"))
    assert SECRET not in "".join(variables.values())


def test_server_with_its_own_aws_variables_gets_no_unprefixed_aws_variables() -> None:
    own = {"PROD_AWS_PROFILE": "prod"}
    variables = environment("https://prod.example.com", **DEFAULT, **PROD, **STORES, **own)
    assert variables["AWS_PROFILE"] == "prod"
    assert not {"AWS_ACCESS_KEY_ID", "MLFLOW_S3_ENDPOINT_URL", "AWS_SECRET_ACCESS_KEY"} & variables.keys()
    assert variables["AZURE_FEDERATED_TOKEN_FILE"] == "/f"
    default = environment("https://default.example.com", **DEFAULT, **PROD, **STORES, **own)
    assert "AWS_PROFILE" not in default
    assert default["AWS_ACCESS_KEY_ID"] == "a"


def test_token_of_a_server_named_aws_prod_does_not_reach_another_server() -> None:
    named = {"AWS_PROD_MLFLOW_TRACKING_URI": "https://aws.example.com", "AWS_PROD_MLFLOW_TRACKING_TOKEN": SECRET}
    variables = environment("https://default.example.com", **DEFAULT, **named)
    assert SECRET not in "".join(variables.values())
    assert environment("https://aws.example.com", **DEFAULT, **named)["MLFLOW_TRACKING_TOKEN"] == SECRET


def test_each_server_gets_only_its_own_login_workspace_and_certificates() -> None:
    names = {
        "MLFLOW_TRACKING_USERNAME": "user",
        "MLFLOW_TRACKING_PASSWORD": "password",
        "MLFLOW_WORKSPACE": "workspace",
        "MLFLOW_TRACKING_INSECURE_TLS": "tls",
        "REQUESTS_CA_BUNDLE": "bundle",
        "MLFLOW_TRACKING_SERVER_CERT_PATH": "certificate",
    }
    variables = {f"{server}_MLFLOW_TRACKING_URI": f"https://{server}.example.com" for server in ("A", "B")}
    variables |= {f"{server}_{name}": f"{value}-{server}" for name, value in names.items() for server in ("A", "B")}
    for server, other in (("A", "B"), ("B", "A")):
        result = environment(f"https://{server}.example.com", **variables)
        assert {name: f"{value}-{server}" for name, value in names.items()}.items() <= result.items()
        texts = [value for name, value in result.items() if name != "MODEL_GATE_NOT_SENT"]
        assert not any(value.endswith(f"-{other}") for value in texts)


def test_unprefixed_workspace_variable_belongs_to_the_default_server() -> None:
    variables = DEFAULT | PROD | {"MLFLOW_WORKSPACE": "w"}
    assert environment("https://default.example.com", **variables)["MLFLOW_WORKSPACE"] == "w"
    assert "MLFLOW_WORKSPACE" not in environment("https://prod.example.com", **variables)
    assert "MLFLOW_WORKSPACE" not in environment("https://other.example.com", **variables)
    # Without a default server, a server that a file names has the workspace, unless it has a name.
    assert environment("https://other.example.com", **PROD, MLFLOW_WORKSPACE="w")["MLFLOW_WORKSPACE"] == "w"
    assert "MLFLOW_WORKSPACE" not in environment("https://prod.example.com", **PROD, MLFLOW_WORKSPACE="w")


def test_variables_of_a_server_cannot_override_fixed_settings_of_its_worker() -> None:
    own = {"PROD_HOME": "/root", "PROD_NETRC": "/root/.netrc", "PROD_MLFLOW_ENABLE_MULTIPART_DOWNLOAD": "true"}
    variables = environment("https://prod.example.com", **PROD, **own)
    assert (variables["HOME"], variables["NETRC"]) == ("/private", os.devnull)
    assert variables["MLFLOW_ENABLE_MULTIPART_DOWNLOAD"] == "false"


def test_worker_gets_the_separate_registry_uri_and_may_contact_that_server() -> None:
    more = {"PROD_MLFLOW_REGISTRY_URI": "https://registry.example.com:8443/x"}
    variables = environment("https://prod.example.com", **PROD, **more)
    assert variables["MLFLOW_TRACKING_URI"] == "https://prod.example.com"
    assert variables["MLFLOW_REGISTRY_URI"] == "https://registry.example.com:8443/x"
    assert variables["MODEL_GATE_STORE_ENDPOINTS"] == "https://registry.example.com:8443"


def test_worker_gets_the_store_endpoints_from_all_store_variables() -> None:
    variables = environment("https://default.example.com", **DEFAULT, **STORES)
    assert variables["MODEL_GATE_STORE_ENDPOINTS"].split(",") == [
        f"https://user:{SECRET}@files.example.com/x/",
        " hdfs://namenode:8020",
        "https://minio.example.com:9000",
        "http://localhost:4443",
        "https://acct.blob.core.windows.net",
        "https://acct.dfs.core.windows.net",
    ]


def sent_and_not_sent(text: str, **variables: str) -> tuple[list[str], dict[str, str]]:
    result = environment(text, **variables)
    assert result["MODEL_GATE_SERVER_NAME"] == Declarations(variables).find(text).server
    return json.loads(result["MODEL_GATE_SENT"]), dict(json.loads(result["MODEL_GATE_NOT_SENT"]))


CREDENTIALS = {"MLFLOW_TRACKING_TOKEN": "t", "AWS_SECRET_ACCESS_KEY": "k", "PROD_MLFLOW_TRACKING_TOKEN": "p"}


@pytest.mark.parametrize(
    "host, sent, reasons",
    [
        (
            "https://default.example.com",
            ["AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_TOKEN"],
            {"PROD_MLFLOW_TRACKING_TOKEN": "it belongs to the server prod"},
        ),
        (
            "https://prod.example.com",
            ["AWS_SECRET_ACCESS_KEY", "PROD_MLFLOW_TRACKING_TOKEN"],
            {"MLFLOW_TRACKING_TOKEN": _OTHER},
        ),
        (
            "https://other.example.com",
            [],
            {
                "AWS_SECRET_ACCESS_KEY": "this server is not declared",
                "MLFLOW_TRACKING_TOKEN": _OTHER,
                "PROD_MLFLOW_TRACKING_TOKEN": "it belongs to the server prod",
            },
        ),
        (
            "https://bob:other@prod.example.com",
            ["AWS_SECRET_ACCESS_KEY"],
            {
                "MLFLOW_TRACKING_TOKEN": _OTHER,
                "PROD_MLFLOW_TRACKING_TOKEN": "the address of the server has a login of its own",
            },
        ),
    ],
)
def test_worker_environment_lists_sent_credentials_and_reasons_for_withheld_ones(
    host: str, sent: list[str], reasons: dict[str, str]
) -> None:
    assert sent_and_not_sent(host, **DEFAULT, **PROD, **CREDENTIALS) == (sent, reasons)


def test_reason_says_why_a_password_or_an_aws_key_was_withheld() -> None:
    _, reasons = sent_and_not_sent("https://other.example.com", MLFLOW_TRACKING_PASSWORD="x", HOME="/")
    assert reasons == {"MLFLOW_TRACKING_PASSWORD": "no server is declared for it: MLFLOW_TRACKING_URI is not set"}
    variables = {**PROD, "PROD_AWS_PROFILE": "p", "AWS_SECRET_ACCESS_KEY": "x"}
    _, reasons = sent_and_not_sent("https://prod.example.com", **variables)
    assert reasons == {"AWS_SECRET_ACCESS_KEY": "this server has AWS variables of its own, such as PROD_AWS_PROFILE"}


@pytest.mark.parametrize("name", ["MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"])
def test_reason_says_why_the_address_of_a_store_was_withheld(name: str) -> None:
    variables = {**DEFAULT, **PROD, "PROD_AWS_PROFILE": "p", name: "http://minio"}
    _, reasons = sent_and_not_sent("https://prod.example.com", **variables)
    assert reasons == {name: "this server has AWS variables of its own, such as PROD_AWS_PROFILE"}
    assert name not in sent_and_not_sent("https://default.example.com", **variables)[1]
    _, reasons = sent_and_not_sent("https://other.example.com", **PROD, **{f"PROD_{name}": "http://minio"})
    assert reasons == {f"PROD_{name}": "it belongs to the server prod"}
    assert sent_and_not_sent("https://prod.example.com", **PROD, **{f"PROD_{name}": "http://minio"}) == ([], {})


def test_worker_home_has_cached_aws_logins_only_for_a_declared_server(tmp_path: Path) -> None:
    user = tmp_path / "user"
    for cache in (".aws/sso/cache", ".aws/cli/cache"):
        (user / cache).mkdir(parents=True)
        (user / cache / "login.json").write_text("{}")
        (user / cache / "large.json").write_bytes(b" " * 100_000)
        (user / cache / "other.txt").write_text("x")
    (user / ".netrc").write_text("machine x login y password z")
    variables = PROD | {"HOME": str(user)}
    declared = make_home(tmp_path / "homes", Declarations(variables).named("prod"), variables)
    copied = {str(path.relative_to(declared)) for path in declared.rglob("*") if path.is_file()}
    assert copied == {".aws/sso/cache/login.json", ".aws/cli/cache/login.json"}
    other = make_home(tmp_path / "homes", parse_host("https://other.example.com"), variables)
    assert list(other.iterdir()) == []


def test_azure_config_directory_of_the_user_is_passed_on_if_it_exists(tmp_path: Path) -> None:
    variables = PROD | {"HOME": str(tmp_path)}
    assert "AZURE_CONFIG_DIR" not in environment("https://prod.example.com", **variables)
    (tmp_path / ".azure").mkdir()
    assert environment("https://prod.example.com", **variables)["AZURE_CONFIG_DIR"] == str(tmp_path / ".azure")


def test_secrets_of_all_declared_servers_are_detected() -> None:
    secrets = secrets_of(
        {
            "PROD_MLFLOW_TRACKING_URI": "https://ann:in-the-address@prod.example.com",
            "PROD_MLFLOW_TRACKING_USERNAME": "bob",
            "PROD_MLFLOW_TRACKING_PASSWORD": "a-password",
            "PROD_AWS_SECRET_ACCESS_KEY": "a-key",
            "PROD_AWS_REGION": "eu-central-1",
            "PROD_MLFLOW_WORKSPACE": "wine",
            "PROD_MODEL_GATE_PASS": "X_AUTH",
            "PROD_MODEL_GATE_STORE_ENDPOINTS": "https://user:endpoint-password@minio.example.com",
            "PROD_AZURE_STORAGE_CONNECTION_STRING": "a-connection",
            "X_AUTH": "a-header",
            "OTHER_TOKEN": "of another program",
        }
    )
    assert {"in-the-address", "a-password", "a-key", "endpoint-password", "a-connection", "a-header"} <= set(secrets)
    assert "Ym9iOmEtcGFzc3dvcmQ=" in secrets  # the header of bob:a-password
    assert not {"eu-central-1", "wine", "of another program", "bob", ""} & set(secrets)


@pytest.mark.parametrize("name", ["AZURE_STORAGE_SAS_TOKEN", "PROD_AZURE_STORAGE_CONNECTION_STRING"])
def test_signature_in_an_azure_login_is_a_secret(name: str) -> None:
    login = "BlobEndpoint=https://acct.example.com;SharedAccessSignature=sv=2021&sig=Ab3dEf%2F6hIj8kLmNoP%3D"
    server = {"PROD_MLFLOW_TRACKING_URI": "https://prod.example.com"}
    assert {login, "Ab3dEf%2F6hIj8kLmNoP%3D", "Ab3dEf/6hIj8kLmNoP="} <= set(secrets_of(server | {name: login}))


@pytest.mark.parametrize(
    "pattern, host, is_allowed",
    [
        ("https://mlflow.example.com", "https://mlflow.example.com", True),
        ("https://MLflow.example.com:443/", "https://mlflow.example.com", True),
        ("mlflow.example.com", "https://mlflow.example.com", True),
        ("mlflow.example.com:8443", "https://mlflow.example.com:8443", True),
        ("mlflow.example.com", "http://mlflow.example.com", False),
        ("mlflow.example.com", "https://mlflow.example.com:8443", False),
        ("mlflow.example.com", "https://mlflow.example.com/x", False),
        ("mlflow.example.com", "https://mlflow.example.com.evil.example", False),
        ("mlflow.example.com/x", "https://mlflow.example.com/x", True),
        ("http://localhost:5000", "http://localhost:5000", True),
        ("https://*.example.com", "https://mlflow.example.com", True),
        ("https://*.example.com", "https://a.mlflow.example.com", False),
        ("https://*.example.com", "https://example.com", False),
        ("https://a.*.example.com", "https://a.b.example.com", True),
        ("a.example.com,\n b.example.com c.example.com", "https://c.example.com", True),
        ("postgresql://db.example.com/mlflow", "postgresql://ann:pw@db.example.com/mlflow", True),
        ("postgresql://db.example.com/mlflow", "postgresql://db.example.com/mlflow?host=evil.example", False),
        ("databricks://prod", "databricks://prod", True),
        ("", "https://mlflow.example.com", False),
    ],
)
def test_allow_hosts_pattern_matches_whole_addresses_and_asterisk_one_domain_label(
    pattern: str, host: str, is_allowed: bool
) -> None:
    assert AllowedHosts(pattern).allows(parse_host(host)) is is_allowed


@pytest.mark.parametrize(
    "text",
    ["https://*example.com", "https://ml*.example.com", "https://example.com:*", f"https://a:{SECRET}@b", "ftp://x"],
)
def test_error_for_a_malformed_allow_hosts_pattern_does_not_show_its_password(text: str) -> None:
    with pytest.raises(InputError) as caught:
        AllowedHosts(text)
    assert caught.value.message.startswith("--allow-hosts")
    assert SECRET not in caught.value.message + caught.value.remedy


@pytest.mark.parametrize("name", ["HTTP_PROXY", "https_proxy", "ALL_PROXY"])
def test_login_to_a_proxy_is_a_secret(name: str) -> None:
    secrets = secrets_of({name: "http://ann:pr0xy%2Dpass@proxy.example.com:3128"})
    assert {"pr0xy%2Dpass", "pr0xy-pass", "YW5uOnByMHh5LXBhc3M="} <= set(secrets)


def test_worker_of_an_undeclared_server_does_not_try_the_identity_of_this_machine() -> None:
    program = (
        "from azure.identity import DefaultAzureCredential as D; print(*(type(c).__name__ for c in D().credentials))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment("https://other.example.com", **DEFAULT, **STORES) | {"HOME": os.devnull},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["EnvironmentCredential"]

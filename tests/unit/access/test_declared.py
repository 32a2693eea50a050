"""Environment variables declare servers, and each variable belongs to exactly one of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_gate.access.declared import Declarations
from model_gate.domain.host import Host
from model_gate.errors import InputError
from tests.support.databases import make_database

SECRET = "s3cret-w0rd"
PROD = {"PROD_MLFLOW_TRACKING_URI": "https://prod.example.com/mlflow/", "PROD_MLFLOW_TRACKING_TOKEN": SECRET}
LOGIN = {"MLFLOW_TRACKING_USERNAME": "ann", "MLFLOW_TRACKING_PASSWORD": SECRET}


def rejection(**variables: str) -> InputError:
    with pytest.raises(InputError) as caught:
        Declarations(variables).named("prod")
    assert caught.value.remedy
    assert SECRET not in caught.value.message + caught.value.remedy
    return caught.value


def variables_of(name: str, **variables: str) -> dict[str, str]:
    return dict(Declarations(variables).named(name).variables)


def test_server_gets_its_prefixed_variables_without_the_prefix() -> None:
    host = Declarations(PROD | {"PROD_ANY_PLUGIN": "x", "OTHER": "y", "PROD_EMPTY": ""}).named("prod")
    assert (host.server, host.address, host.is_declared) == ("prod", "https://prod.example.com/mlflow", True)
    assert dict(host.variables) == {"MLFLOW_TRACKING_TOKEN": SECRET, "ANY_PLUGIN": "x"}
    assert SECRET not in repr(host)
    assert SECRET in host.secrets


def test_key_in_a_connection_string_is_a_secret_of_its_server() -> None:
    login = "AccountName=acct;AccountKey=QUJDREVGR0hJSktMTU5PUA=="
    environment = {"MLFLOW_TRACKING_URI": "https://mlflow.example.com", "AZURE_STORAGE_CONNECTION_STRING": login}
    named = {f"PROD_{name}": value for name, value in environment.items()}
    assert "QUJDREVGR0hJSktMTU5PUA==" in Declarations(named).named("prod").secrets


def test_server_is_found_by_its_name_in_upper_or_lower_case() -> None:
    assert Declarations(PROD).named(" Prod ").server == "prod"


def test_variable_belongs_to_the_server_with_the_longest_prefix() -> None:
    variables = {
        "A_MLFLOW_TRACKING_URI": "https://a.example.com",
        "A_B_MLFLOW_TRACKING_URI": "https://b.example.com",
        "A_TOKEN": "a",
        "A_B_TOKEN": "b",
    }
    assert variables_of("a", **variables) == {"TOKEN": "a"}
    assert variables_of("a_b", **variables) == {"TOKEN": "b"}


@pytest.mark.parametrize(
    "name", ["PYTHONPATH", "PYTHON_X", "LD_PRELOAD", "MODEL_GATE_ADDRESS", "MODEL_GATE_NOT_SENT", "MODEL_GATE_PASS"]
)
def test_variable_that_controls_the_worker_process_belongs_to_no_server(name: str) -> None:
    assert name not in variables_of("prod", **PROD, **{f"PROD_{name}": "", name: "x"})
    assert name not in variables_of("prod", **PROD, OTHER="x", **{f"PROD_{name}": "OTHER"})


def test_variables_listed_in_model_gate_pass_belong_to_the_server() -> None:
    passed = {"PROD_MODEL_GATE_PASS": "X_AUTH, Y\nZ", "X_AUTH": "x", "Y": "y", "Z": "", "W": "w"}
    assert variables_of("prod", **PROD, **passed) == {"MLFLOW_TRACKING_TOKEN": SECRET, "X_AUTH": "x", "Y": "y"}
    unnamed = Declarations({"MLFLOW_TRACKING_URI": "http://x", "MODEL_GATE_PASS": "X_AUTH", "X_AUTH": "x"}).default()
    assert dict(unnamed.variables) == {"X_AUTH": "x"}


@pytest.mark.parametrize(
    "names, problem",
    [
        ("X_AUTH", "names X_AUTH, which is not set"),
        ("LD_PRELOAD", "cannot be passed on"),
        ("PYTHONPATH", "cannot be passed on"),
        ("MODEL_GATE_ADDRESS", "cannot be passed on"),
        ("X-AUTH", "cannot be passed on"),
    ],
)
def test_unset_or_forbidden_variable_in_model_gate_pass_is_an_error(names: str, problem: str) -> None:
    assert problem in rejection(**PROD, PROD_MODEL_GATE_PASS=names, LD_PRELOAD="x", PYTHONPATH="x").message


@pytest.mark.parametrize(
    "prefix", ["AWS", "AZURE", "GOOGLE", "MLFLOW", "MLFLOW_TRACKING", "DATABRICKS", "LC", "CLOUDSDK", "MLFLOW_S3"]
)
def test_reserved_server_name_such_as_aws_is_an_error(prefix: str) -> None:
    error = rejection(**{f"{prefix}_MLFLOW_TRACKING_URI": f"https://u:{SECRET}@example.com"})
    assert error.message.startswith(f"{prefix}_MLFLOW_TRACKING_URI cannot declare a server")


def test_server_name_that_begins_with_a_reserved_name_is_accepted() -> None:
    assert Declarations({"AWS_PROD_MLFLOW_TRACKING_URI": "http://x"}).names == ("aws_prod",)


@pytest.mark.parametrize("prefix", ["1A", "A-B", "_", "Ä"])
def test_malformed_server_name_in_a_variable_is_an_error(prefix: str) -> None:
    assert "is not a name" in rejection(**{f"{prefix}_MLFLOW_TRACKING_URI": "https://example.com"}).message


def test_declaring_the_same_server_name_twice_is_an_error() -> None:
    error = rejection(**PROD, Prod_MLFLOW_TRACKING_URI="https://other.example.com")
    assert error.message == ("PROD_MLFLOW_TRACKING_URI and Prod_MLFLOW_TRACKING_URI both declare the server 'prod'.")


def test_malformed_address_of_a_server_is_an_error_that_names_the_variable() -> None:
    error = rejection(PROD_MLFLOW_TRACKING_URI=f"ftp://ann:{SECRET}@example.com")
    assert error.message.startswith("PROD_MLFLOW_TRACKING_URI")


@pytest.mark.parametrize("name", ["MLFLOW_TRACKING_URI", "_MLFLOW_TRACKING_URI", "XMLFLOW_TRACKING_URI"])
def test_tracking_uri_variable_without_a_name_prefix_declares_no_named_server(name: str) -> None:
    assert Declarations({name: "https://example.com"}).names == ()


@pytest.mark.parametrize(
    "text",
    ["https://prod.example.com/mlflow", "HTTPS://PROD.example.com:443/mlflow/", " https://prod.example.com/mlflow"],
)
def test_host_that_is_the_address_of_a_declared_server_gets_its_variables(text: str) -> None:
    assert Declarations(PROD).find(text) == Declarations(PROD).named("prod")


@pytest.mark.parametrize(
    "text",
    [
        "http://prod.example.com/mlflow",
        "https://prod.example.com:8443/mlflow",
        "https://prod.example.com",
        "https://prod.example.com/mlflow/x",
        "https://evil.example.com/mlflow",
        "https://prod.example.com.evil.example/mlflow",
    ],
)
def test_host_that_differs_from_all_declared_addresses_gets_no_variables(text: str) -> None:
    host = Declarations(PROD | LOGIN | {"MLFLOW_TRACKING_URI": "https://default.example.com"}).find(text)
    assert (host.is_declared, host.server, host.variables) == (False, "", ())


@pytest.mark.parametrize("declared", ["localhost", "127.0.0.1", "[::1]"])
@pytest.mark.parametrize("named", ["localhost", "127.0.0.1", "[::1]"])
def test_server_declared_at_a_loopback_address_is_found_by_any_loopback_name(declared: str, named: str) -> None:
    host = Declarations(LOGIN | {"MLFLOW_TRACKING_URI": f"http://{declared}:5000"}).find(f"http://{named}:5000")
    assert (host.address, dict(host.variables)) == (f"http://{named}:5000", LOGIN)


def test_login_in_a_host_url_replaces_the_login_of_the_declared_server() -> None:
    host = Declarations(PROD).find("https://bob:other@prod.example.com/mlflow")
    assert (host.server, host.username, host.password) == ("prod", "bob", "other")


def test_database_declared_by_a_relative_path_is_found_by_its_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_database(tmp_path / "a.db")
    declarations = Declarations({"PROD_MLFLOW_TRACKING_URI": "sqlite:///a.db"})
    assert declarations.find(f"sqlite:///{tmp_path}/a.db").server == "prod"


def test_two_server_names_with_the_same_address_and_variables_are_not_ambiguous() -> None:
    variables = {"A_MLFLOW_TRACKING_URI": "https://x.example.com", "B_MLFLOW_TRACKING_URI": "https://x.example.com"}
    assert Declarations(variables).find("https://x.example.com").is_declared


def test_address_of_two_declared_servers_is_ambiguous_but_their_names_are_not() -> None:
    declarations = Declarations(PROD | {"QA_MLFLOW_TRACKING_URI": PROD["PROD_MLFLOW_TRACKING_URI"]})
    with pytest.raises(InputError, match=r"--host: .* is the address of the server 'prod' and the server 'qa'"):
        declarations.option("https://prod.example.com/mlflow", "--host")
    assert declarations.option("server:qa", "--host").server == "qa"
    # Two logins at one address are two readers, so their models are never one location.
    assert declarations.named("qa").reader != declarations.named("prod").reader


def option(text: str, **variables: str) -> Host:
    declarations = Declarations(variables)
    return declarations.with_unprefixed(declarations.option(text, "--host"))


def test_host_option_gets_the_unprefixed_login_unless_another_server_is_the_default() -> None:
    assert dict(option("http://x", **LOGIN).variables) == LOGIN
    assert option("http://x", **LOGIN, MLFLOW_TRACKING_URI="http://y").variables == ()
    assert dict(option("http://x", **LOGIN, MLFLOW_TRACKING_URI="http://x").variables) == LOGIN
    assert dict(option("https://prod.example.com/mlflow", **LOGIN, **PROD).variables) == {
        "MLFLOW_TRACKING_TOKEN": SECRET
    }


@pytest.mark.parametrize(
    "left, right, owners",
    [
        ("http://x", None, (True,)),
        ("http://x", "http://X:80/", (True, True)),
        ("http://x", "http://y", (False, False)),
        ("http://x", "https://prod.example.com/mlflow", (True, False)),
        ("http://x", "postgresql://db/y", (True, False)),
    ],
)
def test_unprefixed_login_belongs_to_the_only_undeclared_http_server_of_a_diff(
    left: str, right: str | None, owners: tuple[bool, ...]
) -> None:
    declarations = Declarations(LOGIN | PROD)
    hosts = [declarations.option(text, "--left-host") for text in (left, right) if text is not None]
    found = declarations.with_unprefixed_if_single(hosts)
    assert tuple(host is not None and LOGIN.items() <= dict(host.variables).items() for host in found) == owners


def test_registry_uri_is_passed_on_only_if_it_differs_from_the_tracking_uri() -> None:
    other = variables_of("prod", **PROD, PROD_MLFLOW_REGISTRY_URI="https://registry.example.com/")
    assert other["MLFLOW_REGISTRY_URI"] == "https://registry.example.com"
    same = variables_of("prod", **PROD, PROD_MLFLOW_REGISTRY_URI="https://prod.example.com:443/mlflow")
    assert "MLFLOW_REGISTRY_URI" not in same


@pytest.mark.parametrize("uri", ["databricks-uc", f"ftp://ann:{SECRET}@example.com"])
def test_error_for_an_unusable_registry_uri_names_its_variable(uri: str) -> None:
    login = {"DATABRICKS_HOST": "https://dbc.example.com", "DATABRICKS_TOKEN": "t"}
    assert "PROD_MLFLOW_REGISTRY_URI" in rejection(**PROD, **login, PROD_MLFLOW_REGISTRY_URI=uri).message


def test_error_for_a_malformed_store_endpoint_does_not_show_its_password() -> None:
    error = rejection(**PROD, PROD_MODEL_GATE_STORE_ENDPOINTS=f"hdfs://namenode:8020, https://u:{SECRET}@b:port/x")
    assert error.message.startswith("Entry 2 of PROD_MODEL_GATE_STORE_ENDPOINTS")


def test_databricks_login_of_a_named_server_comes_from_its_prefixed_variables() -> None:
    variables = {
        "PROD_MLFLOW_TRACKING_URI": "databricks",
        "PROD_DATABRICKS_HOST": "https://prod.example.com",
        "PROD_DATABRICKS_TOKEN": SECRET,
        "DATABRICKS_HOST": "https://other.example.com",
        "DATABRICKS_TOKEN": "other",
        "DATABRICKS_CLIENT_SECRET": "other",
    }
    host = Declarations(variables).named("prod")
    assert host.workspace is not None
    assert host.workspace.url == "https://prod.example.com"
    assert dict(host.workspace.fields)["token"] == SECRET
    assert host.variables == ()


@pytest.mark.parametrize("other", ["?host=/cloudsql/staging", "?options=-csearch_path%3Dstaging", "?x=1", ""])
def test_databases_with_different_queries_are_different_servers(other: str) -> None:
    declared = "postgresql://ro:a@db/mlflow?host=/cloudsql/prod"
    servers = Declarations({"MLFLOW_TRACKING_URI": declared})
    assert servers.find(declared).is_declared
    found = servers.find(f"postgresql://ro:a@db/mlflow{other}")
    assert (found.is_declared, found.uri) == (False, f"postgresql://ro:a@db/mlflow{other}")
    assert found.reader != servers.find(declared).reader


@pytest.mark.parametrize("login", ["rw:b@db/mlflow", "db/mlflow?user=rw&password=b"])
def test_login_in_the_address_of_a_database_replaces_the_declared_login(login: str) -> None:
    servers = Declarations({"MLFLOW_TRACKING_URI": "postgresql://ro:a@db/mlflow"})
    found = servers.find(f"postgresql://{login}")
    assert (found.is_declared, found.uri) == (True, f"postgresql://{login}")
    assert servers.find("postgresql://db/mlflow").uri == "postgresql://ro:a@db/mlflow"


@pytest.mark.parametrize(
    "variables, text",
    [
        ({"PROD_MLFLOW_TRACKING_URI": "https://ann:pw@prod.example.com"}, "https://prod.example.com"),
        ({"PROD_MLFLOW_TRACKING_URI": "https://prod.example.com"}, "https://ann:pw@prod.example.com"),
    ],
    ids=["declared address", "address in a file"],
)
def test_login_in_an_address_is_not_sent_to_the_registry_at_another_address(
    variables: dict[str, str], text: str
) -> None:
    registry = {"PROD_MLFLOW_REGISTRY_URI": "https://registry.example.com"}
    with pytest.raises(InputError, match="PROD_MLFLOW_REGISTRY_URI would send to another server") as raised:
        Declarations(variables | registry).find(text)
    assert "PROD_MLFLOW_TRACKING_USERNAME" in raised.value.remedy


def test_servers_that_differ_only_in_the_endpoint_of_their_store_have_different_readers() -> None:
    servers = Declarations(
        {
            "A_MLFLOW_TRACKING_URI": "https://mlflow.example.com",
            "A_MLFLOW_S3_ENDPOINT_URL": "https://minio-a.example.com",
            "B_MLFLOW_TRACKING_URI": "https://mlflow.example.com",
            "B_MLFLOW_S3_ENDPOINT_URL": "https://minio-b.example.com",
        }
    )
    assert servers.named("a").reader != servers.named("b").reader


@pytest.mark.parametrize("given, missing", [("USERNAME", "PASSWORD"), ("PASSWORD", "USERNAME")])
@pytest.mark.parametrize("prefix", ["PROD_", ""])
def test_login_without_its_other_half_is_an_error_before_any_request(given: str, missing: str, prefix: str) -> None:
    names = {f"{prefix}MLFLOW_TRACKING_URI": "https://prod.example.com", f"{prefix}MLFLOW_TRACKING_{given}": "x"}
    unset: dict[str, str] = {}
    for empty, fault in ((unset, "not"), ({f"{prefix}MLFLOW_TRACKING_{missing}": ""}, "empty")):
        with pytest.raises(InputError) as raised:
            Declarations(names | empty).find("https://prod.example.com")
        assert f"{prefix}MLFLOW_TRACKING_{missing} is {fault}." in raised.value.message
        assert ("secrets.NAME" in raised.value.remedy) == (fault == "empty")
    more = {f"{prefix}MLFLOW_TRACKING_TOKEN": "t"}
    assert Declarations(names | more).find("https://prod.example.com").is_declared


@pytest.mark.parametrize("left, right", [("127.0.0.1", "[::1]"), ("localhost", "127.0.0.1"), ("[::1]", "localhost")])
def test_names_of_this_machine_are_two_servers_with_the_login_of_the_declared_name(left: str, right: str) -> None:
    servers = Declarations({"MLFLOW_TRACKING_URI": f"http://{left}:5000", "MLFLOW_TRACKING_TOKEN": SECRET})
    first, second = servers.find(f"http://{left}:5000"), servers.find(f"http://{right}:5000")
    assert second.uri == second.address == f"http://{right}:5000"
    assert dict(first.variables) == dict(second.variables) == {"MLFLOW_TRACKING_TOKEN": SECRET}
    assert first.reader != second.reader


def test_exact_address_has_priority_over_another_name_of_this_machine() -> None:
    servers = Declarations(
        {
            "A_MLFLOW_TRACKING_URI": "http://127.0.0.1:5000",
            "A_MLFLOW_TRACKING_TOKEN": "a",
            "B_MLFLOW_TRACKING_URI": "http://[::1]:5000",
            "B_MLFLOW_TRACKING_TOKEN": "b",
        }
    )
    assert [servers.find(f"http://{name}:5000").server for name in ("127.0.0.1", "[::1]")] == ["a", "b"]


def test_registry_at_another_name_of_this_machine_is_kept() -> None:
    names = {"A_MLFLOW_TRACKING_URI": "http://127.0.0.1:5000", "A_MLFLOW_REGISTRY_URI": "http://[::1]:5000"}
    assert dict(Declarations(names).named("a").variables)["MLFLOW_REGISTRY_URI"] == "http://[::1]:5000"


def test_workspaces_with_the_same_text_as_host_are_two_servers() -> None:
    prod, staging = "https://dbc-prod.example.com", "https://dbc-staging.example.com"
    servers = Declarations(
        {
            "DATABRICKS_HOST": prod,
            "DATABRICKS_TOKEN": "dapi-prod",
            "A_MLFLOW_TRACKING_URI": "databricks",
            "A_DATABRICKS_HOST": staging,
            "A_DATABRICKS_TOKEN": "dapi-staging",
        }
    )
    found, named = servers.find("databricks"), servers.named("a")
    assert found.workspace is not None
    assert named.workspace is not None
    assert (found.workspace.url, named.workspace.url) == (prod, staging)
    assert found.reader != named.reader


def test_profile_of_the_same_name_in_two_files_is_two_servers(tmp_path: Path) -> None:
    for name in ("prod", "staging"):
        text = f"[x]\nhost = https://dbc-{name}.example.com\ntoken = dapi-{name}\n"
        (tmp_path / f"{name}.cfg").write_text(text)
    servers = Declarations(
        {
            "DATABRICKS_CONFIG_FILE": str(tmp_path / "prod.cfg"),
            "A_MLFLOW_TRACKING_URI": "databricks://x",
            "A_DATABRICKS_CONFIG_FILE": str(tmp_path / "staging.cfg"),
        }
    )
    found = servers.find("databricks://x")
    assert found.workspace is not None
    assert (found.server, found.workspace.url) == ("", "https://dbc-prod.example.com")

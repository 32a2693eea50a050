"""Requests to a store have the login of the user, for the account of the store."""

from __future__ import annotations

import json
import os
import socket
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from model_gate.access.declared import Declarations
from model_gate.domain.host import Host, HostKind
from model_gate.domain.limits import LIMITS
from model_gate.errors import AccessError, ModelError, UnreachableError
from model_gate.sources.tracking_server import TrackingServerClient
from tests.databricks.workspaces import read_files
from tests.support.faulty_store import KEY, SECRET, FaultyStore
from tests.support.gates import run
from tests.support.opened_stores import FILES, add, ignore, open_store


def test_each_store_of_a_diff_is_read_with_the_login_of_its_declared_name(tmp_path: Path) -> None:
    environment: dict[str, str] = {}
    stores = {name: FaultyStore(cloud="s3") for name in ("LEFT", "RIGHT")}
    with ExitStack() as stack:
        for name, store in stores.items():
            stack.enter_context(store)
            add(store, "m", FILES)
            # Nothing listens on port 1, so a request to the declared address would be an error.
            own = {**store.variables, "AWS_ACCESS_KEY_ID": f"AKIA{name}", "MLFLOW_TRACKING_URI": "http://127.0.0.1:1"}
            environment |= {f"{name}_{variable}": value for variable, value in own.items()}
        hosts = ("--left-host", "server:left", "--right-host", "server:right")
        result = run(tmp_path, "diff", "s3://bucket/m", "s3://bucket/m", *hosts, environment=environment)
    assert (result.exit_code, result.status) == (0, "equal"), result
    assert result.report["comparison"]["same_location"] is False
    for name, store in stores.items():
        logins = {request.authorization or request.query["X-Amz-Credential"][0] for request in store.requests}
        assert logins
        assert all(f"AKIA{name}/" in login for login in logins), logins


def test_user_can_pay_for_the_requests_to_a_bucket(tmp_path: Path) -> None:
    with open_store("s3", tmp_path, AWS_REQUEST_PAYER="requester") as (store, client):
        add(store, "m", FILES)
        read_files(client, store.location("m"), tmp_path / "files")
        payers = {request.headers.get("x-amz-request-payer") for request in store.requests}
    assert payers == {"requester"}


def test_project_of_the_user_can_pay_for_the_requests_to_a_bucket_of_google(tmp_path: Path) -> None:
    with open_store("google", tmp_path, GOOGLE_CLOUD_QUOTA_PROJECT="billing-project") as (store, client):
        add(store, "m", {"a": b"content"})
        assert read_files(client, store.location("m"), tmp_path / "files") == {"a": b"content"}
        # Google's client also requests facts of the bucket for its own metrics, and ignores any error.
        reads = [request for request in store.requests if not request.path.endswith("/b/bucket")]
    assert [request.query.get("userProject") for request in reads] == [["billing-project"]] * 2


def test_signature_for_a_blob_of_azure_grants_reading_only(tmp_path: Path) -> None:
    with open_store("azure", tmp_path) as (store, client):
        add(store, "m", {"a": b"content"})
        read_files(client, store.location("m"), tmp_path / "files")
        granted = [request.query["sp"] for request in store.requests if request.path.endswith("/m/a")]
    assert granted == [["r"]]


def test_connection_string_of_another_azure_account_is_an_error(tmp_path: Path) -> None:
    with open_store("azure", tmp_path) as (store, client):
        add(store, "m", FILES)
        with pytest.raises(ModelError, match="for the account acct"):
            client.list("wasbs://bucket@other.blob.core.windows.net/m", ignore)
        assert store.requests == []


def test_connection_string_of_another_azure_cloud_is_an_error(tmp_path: Path) -> None:
    with open_store("azure", tmp_path) as (store, client):
        add(store, "m", FILES)
        with pytest.raises(ModelError, match="for the account acct at"):
            client.list("wasbs://bucket@acct.blob.core.chinacloudapi.cn/m", ignore)
        assert store.requests == []


def test_connection_string_with_the_endpoint_of_another_azure_cloud_is_an_error(tmp_path: Path) -> None:
    endpoint = "acct.blob.core.chinacloudapi.cn"
    login = f"AccountName=acct;AccountKey={KEY};BlobEndpoint=https://{endpoint}"
    with (
        open_store("azure", tmp_path, AZURE_STORAGE_CONNECTION_STRING=login) as (store, client),
        pytest.raises(ModelError, match=f"for the account acct at {endpoint}"),
    ):
        client.list(store.location("m"), ignore)


def test_google_request_that_no_project_pays_for_is_an_error_that_names_the_variable(tmp_path: Path) -> None:
    text = "Bucket is a requester pays bucket but no user project provided."
    error = {"code": 400, "message": text, "errors": [{"message": text, "domain": "global", "reason": "required"}]}
    body = json.dumps({"error": error}).encode()
    destination = tmp_path / "MLmodel"
    destination.touch()
    with open_store("google", tmp_path) as (store, client):
        add(store, "m", FILES)
        client.list(store.location("m"), ignore)
        store.faults["/o"] = lambda call: call.send(body, 400, content_type="application/json")
        requests = (
            lambda: client.list(store.location("m"), ignore),
            lambda: client.fetch(store.location("m"), "MLmodel", 12, destination),
        )
        for request in requests:
            with pytest.raises(AccessError, match="needs a project that pays") as raised:
                request()
            assert "GOOGLE_CLOUD_QUOTA_PROJECT" in raised.value.remedy


def test_connection_string_without_an_account_is_an_error(tmp_path: Path) -> None:
    with open_store("azure", tmp_path) as (store, _):
        endpoint = store.url.replace("127.0.0.1", "[::1]")
        login = f"BlobEndpoint={endpoint};SharedAccessSignature=sv=2021&sig={SECRET}"
        environment = {"PATH": os.environ["PATH"], "MLFLOW_TRACKING_URI": store.url, "HOME": str(tmp_path)}
        environment["AZURE_STORAGE_CONNECTION_STRING"] = login
        with (
            TrackingServerClient(Declarations(environment).default(), environment, tmp_path) as client,
            pytest.raises(ModelError, match="names no account"),
        ):
            client.list("wasbs://bucket@acct.blob.core.windows.net/m", ignore)
        assert store.requests == []


@pytest.mark.parametrize("server", ["", "http://127.0.0.1:9"])
def test_store_whose_login_does_not_arrive_is_named_in_the_error(tmp_path: Path, server: str) -> None:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    # The system accepts the connections of this socket, and nothing answers them.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        account = {"type": "service_account", "client_email": "gate@example.com", "private_key": pem}
        account["token_uri"] = f"http://127.0.0.1:{silent.getsockname()[1]}/token"
        file = tmp_path / "account.json"
        file.write_text(json.dumps(account))
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GOOGLE_APPLICATION_CREDENTIALS": str(file)}
        environment["GOOGLE_CLOUD_PROJECT"] = "project"
        host = Host(HostKind.STORE, "gs://models", "", is_declared=True)
        if server:
            environment["MLFLOW_TRACKING_URI"] = server
            host = Declarations(environment).default()
        limits = replace(LIMITS, silence_seconds=8)
        with (
            TrackingServerClient(host, environment, tmp_path, limits=limits) as client,
            pytest.raises(UnreachableError, match="The store gs://models, or the service that issues its login"),
        ):
            client.list("gs://models/m", ignore)


@pytest.mark.parametrize(
    "location, variables",
    [
        (
            "s3://models/m",
            {"AWS_ENDPOINT_URL": "http://{}", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "key"},
        ),
        ("gs://models/m", {"STORAGE_EMULATOR_HOST": "http://{}", "GOOGLE_CLOUD_PROJECT": "project"}),
    ],
)
def test_error_of_a_silent_store_has_its_address(tmp_path: Path, location: str, variables: dict[str, str]) -> None:
    # The system accepts the connections of this socket, and nothing answers them.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "AWS_DEFAULT_REGION": "us-east-1"}
        environment |= {name: value.format(address) for name, value in variables.items()}
        bucket = location.rpartition("/")[0]
        host = Host(HostKind.STORE, bucket, "", is_declared=True)
        limits = replace(LIMITS, silence_seconds=3)
        with (
            TrackingServerClient(host, environment, tmp_path, limits=limits) as client,
            pytest.raises(UnreachableError, match=f"The store {bucket} at http://{address}, or the service"),
        ):
            client.list(location, ignore)

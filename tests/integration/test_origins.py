"""A worker contacts only its tracking server, the clouds' stores and declared servers, each with its own login."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from model_gate.access.declared import Declarations
from model_gate.errors import ModelError, UnreachableError
from model_gate.sources.tracking_server import TrackingServerClient
from tests.support.certificates import certificates
from tests.support.commandline import clean_environment
from tests.support.destinations import Destinations, verified
from tests.support.faulty_server import ARTIFACTS, MODEL, Call, Fault, FaultyServer, hang_up, status
from tests.support.gates import check, run
from tests.support.listener import Listener

pytestmark = pytest.mark.usefixtures("proxied")

SECRET = "secret-of-the-test"
# Credentials of all clouds. The clients send them to the host in the location.
CLOUDS = {
    "AWS_ACCESS_KEY_ID": "AKIATEST",
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_SESSION_TOKEN": SECRET,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AZURE_STORAGE_ACCESS_KEY": base64.b64encode(SECRET.encode()).decode(),
    "AZURE_CLIENT_ID": "00000000-0000-4000-8000-000000000000",
    "AZURE_TENANT_ID": "00000000-0000-4000-8000-000000000000",
    "AZURE_CLIENT_SECRET": SECRET,
}
# {listener} is the address of a listener on this machine, {host} and {port} are those of the tracking server.
HOSTILE = [
    "abfss://fs@acct.attacker.example/m",
    "abfss://fs@acct.dfs.core.windows.net.evil.example/m",
    "abfss://fs@{listener}/m",
    "abfss://fs@evil.example@acct.dfs.core.windows.net/m",
    "abfss://fs@ACCT.DFS.CORE.WINDOWS.NET/m",
    "abfss://fs@acct.dfs.core.windows.net./m",
    "r2://bucket@evil.example/m",
    "r2://bucket@{listener}/m",
    "r2://bucket@evil.r2.cloudflarestorage.com.evil.example/m",
    "wasbs://c@{listener}\\.blob.core.windows.net/m",
    "wasbs://c@{listener}#.blob.core.windows.net/m",
    "wasbs://c@evil.example/.blob.core.windows.net/m",
    "s3://evil.example:443/m",
    "s3://bucket@{listener}/m",
    "http://{listener}" + ARTIFACTS + "/m",
    "https://{host}:{port}" + ARTIFACTS + "/m",
    "http://{host}:{port}@{listener}" + ARTIFACTS + "/m",
    "http://{listener}\\@{host}:{port}" + ARTIFACTS + "/m",
    "http://ada:{secret}@{host}:{port}" + ARTIFACTS + "/m",
    "http://{host}" + ARTIFACTS + "/m",
    "http://[::1]:{port}" + ARTIFACTS + "/m",
    "mlflow-artifacts://{listener}/m",
    "mlflow-artifacts://{host}/m",
    "mlflow-artifacts://a:b@{host}:{port}/m",
    "hdfs://{listener}/m",
    "arn:aws:sagemaker:us-east-1:123456789012:mlflow-tracking-server/t",
    "azureml://evil.example/m",
]


def basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


@contextmanager
def open_client(directory: Path, host: str, **variables: str) -> Iterator[TrackingServerClient]:
    """Start a worker for the tracking server at `host`, with these environment variables."""
    environment = {**clean_environment(), "MLFLOW_TRACKING_URI": host, **variables}
    home = directory / "home"
    home.mkdir()
    destinations = Destinations.to(host)
    destinations.secrets |= {value for name, value in variables.items() if name.endswith(("TOKEN", "SECRET", "KEY"))}
    with (
        verified(destinations),
        TrackingServerClient(Declarations(environment).find(host), environment, home) as client,
    ):
        yield client


@pytest.mark.parametrize("proxied", [True, False], ids=["proxy", "direct"], indirect=True)
def test_hostile_location_gets_no_connection_and_no_credential(tmp_path: Path) -> None:
    with FaultyServer() as server, Listener() as listener:
        server.add("m", MODEL)
        host, _, port = server.url.removeprefix("http://").partition(":")
        login = server.url.replace("://", f"://ada:{SECRET}@")
        with open_client(tmp_path, login, **CLOUDS) as client:
            for text in HOSTILE:
                uri = text.format(listener=f"127.0.0.1:{listener.port}", host=host, port=port, secret=SECRET)
                with pytest.raises(ModelError, match="The location of the model is"):
                    client.list(uri, lambda _: None)
            # The same worker still reads its own server.
            assert set(client.list("mlflow-artifacts:/m/1", lambda _: None).files) == set(MODEL)
    assert listener.connections == 0
    assert server.authorizations == {basic("ada", SECRET)}
    assert {request.path for request in server.requests} == {ARTIFACTS}


def test_password_of_an_https_server_is_not_sent_to_a_plain_http_source(tmp_path: Path) -> None:
    import ssl

    authority, identity = certificates(tmp_path, ["localhost"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity)
    with FaultyServer(tls=context) as server, FaultyServer() as plain:
        server.sources["Wine", "1"] = plain.url.replace("127.0.0.1", "localhost") + ARTIFACTS + "/Wine/1"
        plain.add("Wine", MODEL)
        environment = {
            "MLFLOW_TRACKING_USERNAME": "ada",
            "MLFLOW_TRACKING_PASSWORD": SECRET,
            "REQUESTS_CA_BUNDLE": str(authority),
        }
        ran = check(tmp_path, server.url, "Wine", environment=environment)
    ran.require_error("ModelError", "has another scheme or port")
    assert plain.requests == []


@pytest.mark.parametrize("proxied", [True, False], ids=["proxy", "direct"], indirect=True)
@pytest.mark.parametrize("scheme, login", [("mlflow-artifacts", f"files:{SECRET}-of-files@"), ("http", "")])
def test_declared_artifact_server_never_gets_the_tracking_servers_login(
    tmp_path: Path, scheme: str, login: str
) -> None:
    with FaultyServer() as server, FaultyServer("127.0.0.2") as files:
        files.add("Wine", MODEL)
        files.files["Wine/1/empty"] = b""
        # The listing omits the size of an empty file, and one file is served with retries only.
        files.faults["/data/part-0"] = _fail_first_request
        address = files.url.removeprefix("http://")
        path = "/Wine/1" if scheme == "mlflow-artifacts" else f"{ARTIFACTS}/Wine/1"
        server.sources["Wine", "1"] = f"{scheme}://{address}{path}"
        server.add("copies", MODEL)
        server.files["copies/1/empty"] = b""
        server.downloads["Wine", "1"] = server.sources["copies", "1"]
        environment = {
            "MLFLOW_TRACKING_USERNAME": "ada",
            "MLFLOW_TRACKING_PASSWORD": SECRET,
            "MODEL_GATE_STORE_ENDPOINTS": f"http://{login}{address}",
        }
        ran = check(tmp_path, server.url, "Wine", environment=environment)
    assert ran.status == "equal", ran
    assert server.authorizations == {basic("ada", SECRET)}
    assert files.authorizations == {basic("files", f"{SECRET}-of-files") if login else None}
    assert len(files.fetched) >= len(MODEL)


def _fail_first_request(call: Call) -> None:
    is_first = sum(request.path == call.request.path for request in call.server.requests) == 1
    call.send(b"", 503) if is_first else call.send(call.file)


def test_artifact_server_that_needs_a_login_is_named_in_the_error(tmp_path: Path) -> None:
    with FaultyServer() as server, FaultyServer("127.0.0.2") as files:
        files.faults[ARTIFACTS] = lambda call: call.send(b"", 401)
        server.sources["Wine", "1"] = f"mlflow-artifacts://{files.url[7:]}/Wine/1"
        server.add("Mine", MODEL)
        server.downloads["Wine", "1"] = server.sources["Mine", "1"]
        ran = check(tmp_path, server.url, "Wine", environment={"MODEL_GATE_STORE_ENDPOINTS": files.url})
    ran.require_error("AccessError", f"The server of the artifacts, {files.url}", "MODEL_GATE_STORE_ENDPOINTS")


@pytest.mark.parametrize(
    "fault, kind, text",
    [
        (status(404), "NotFoundError", "has no such files (404)"),
        (status(500), "UnreachableError", "gives no answer"),
        (hang_up, "UnreachableError", "gives no answer"),
        (status(400), "UnreachableError", "answers with an error (400)"),
    ],
    ids=["404", "500", "closed connection", "400"],
)
def test_error_of_an_artifact_server_does_not_name_the_tracking_server(
    tmp_path: Path, fault: Fault, kind: str, text: str
) -> None:
    with FaultyServer() as server, FaultyServer("127.0.0.2") as files:
        files.faults[ARTIFACTS] = fault
        server.sources["Wine", "1"] = f"mlflow-artifacts://{files.url[7:]}/Wine/1"
        server.add("Mine", MODEL)
        server.downloads["Wine", "1"] = server.sources["Mine", "1"]
        ran = check(tmp_path, server.url, "Wine", environment={"MODEL_GATE_STORE_ENDPOINTS": files.url})
    ran.require_error(kind, f"he server of the artifacts, {files.url}, {text}")
    assert "tracking server" not in ran.stderr


@pytest.mark.parametrize("proxied", [True, False], ids=["proxy", "direct"], indirect=True)
def test_download_url_that_the_tracking_server_hands_out_is_not_requested(tmp_path: Path) -> None:
    def break_direct_requests(call: Call) -> None:
        # The fast client gives up, so that the download starts again with MLflow's repository.
        is_first = sum(request.path == call.request.path for request in call.server.requests) == 1
        call.send(b"", 500) if is_first else call.send(call.file)

    with FaultyServer() as server, Listener() as listener:
        server.add("m", MODEL)
        server.faults["/server-info"] = lambda call: call.send_json({"multipart_downloads_enabled": True})
        url = f"http://127.0.0.1:{listener.port}/latest/meta-data"
        presigned = {"url": url, "headers": {"Metadata-Flavor": "Google"}, "file_size": 9}
        server.faults["/presigned"] = lambda call: call.send_json(presigned)
        server.faults["/m/1/data/part-0"] = break_direct_requests
        with open_client(tmp_path, server.url) as client:
            client.list("mlflow-artifacts:/m/1", lambda _: None)
            destination = tmp_path / "fetched"
            destination.touch()
            client.fetch("mlflow-artifacts:/m/1", "data/part-0", len(MODEL["data/part-0"]), destination)
            assert destination.read_bytes() == MODEL["data/part-0"]
    assert listener.connections == 0
    assert not [request.path for request in server.requests if "presigned" in request.path]


@pytest.mark.parametrize("proxied", [True, False], ids=["proxy", "direct"], indirect=True)
@pytest.mark.parametrize("operation", ["registered-models/get", "artifacts?"])
def test_redirect_to_another_origin_is_an_error_that_names_both_origins(tmp_path: Path, operation: str) -> None:
    with FaultyServer() as server, Listener() as listener:
        server.add("Wine", MODEL)
        server.add("copies", MODEL)
        server.downloads["Wine", "1"] = server.sources["copies", "1"]
        target = f"http://127.0.0.1:{listener.port}"
        server.faults[operation] = lambda call: call.send(b"", 302, location=f"{target}/x")
        ran = check(tmp_path, server.url.replace("://", f"://ada:{SECRET}@"), "Wine")
    ran.require_error("UnreachableError", server.url, target)
    assert listener.connections == 0


# The proxy's record recognizes no signature, which is the login of an Azure store.
@pytest.mark.parametrize("proxied", [False], ids=["direct"], indirect=True)
def test_redirect_of_an_azure_store_to_another_origin_is_not_followed(tmp_path: Path) -> None:
    with FaultyServer() as server, FaultyServer() as store, Listener() as listener:
        target = f"http://127.0.0.1:{listener.port}"
        store.faults["/acct/c"] = lambda call: call.send(b"", 307, location=f"{target}/x")
        key = CLOUDS["AZURE_STORAGE_ACCESS_KEY"]
        connection = f"DefaultEndpointsProtocol=http;AccountName=acct;AccountKey={key};BlobEndpoint={store.url}/acct"
        with open_client(tmp_path, server.url, AZURE_STORAGE_CONNECTION_STRING=connection) as client:  # noqa: SIM117
            with pytest.raises(UnreachableError, match=f"redirects a request to {target}"):
                client.list("wasbs://c@acct.blob.core.windows.net/m", lambda _: None)
    assert store.requests
    assert listener.connections == 0


@pytest.mark.parametrize(
    "host, vendor",
    [("arn:aws:sagemaker:us-east-1:1:mlflow-tracking-server/t", "SageMaker"), ("azureml://x/y", "Azure Machine")],
)
def test_error_for_a_host_that_needs_an_mlflow_plugin_names_the_vendor(tmp_path: Path, host: str, vendor: str) -> None:
    ran = run(tmp_path, "check", "--host", host, "--model", "Wine", "--version-or-stage", "1")
    ran.require_error("InputError", "needs the MLflow plugin of", vendor)


def test_error_for_a_malformed_store_endpoint_does_not_contain_its_password(tmp_path: Path) -> None:
    with FaultyServer() as server:
        server.add("m", MODEL)
        environment = {"MLFLOW_TRACKING_URI": server.url, "MODEL_GATE_STORE_ENDPOINTS": f"https://ann:{SECRET}@"}
        ran = check(tmp_path, server.url, "m", environment=environment)
    ran.require_error("InputError", "Entry 1 of MODEL_GATE_STORE_ENDPOINTS")
    assert SECRET not in ran.stdout + ran.stderr + json.dumps(ran.report)

"""Errors of access name the server or the store and the credentials, for the real exceptions of the clients."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mlflow
import pytest
import requests
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.artifact.s3_artifact_repo import _cached_get_s3_client

from model_gate.errors import AccessError, InputError, ModelGateError, NotFoundError, TransferError, UnreachableError
from model_gate.worker.credential_facts import CredentialFacts
from model_gate.worker.failures import (
    RUN_NOTE,
    chain_text,
    downloading_file,
    listing_model,
    place_sentence,
    reason_in,
    to_model_gate_error,
)
from model_gate.worker.object_store import store_of
from model_gate.worker.store_failures import store_errors, to_store_error
from model_gate.worker.transfer.http_client import HttpClient
from tests.support.certificates import certificates
from tests.support.faulty_server import (
    ARTIFACTS,
    Call,
    Fault,
    FaultyServer,
    hang_up,
    login_page,
    never_respond,
    stall,
    status,
)

USER = ("PROD_MLFLOW_TRACKING_USERNAME", "PROD_MLFLOW_TRACKING_PASSWORD")
NOTHING_SENT = CredentialFacts("", (), (("MLFLOW_TRACKING_TOKEN", "it is for https://other.example.com"),))


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let the clients fail quickly, without the credentials and the metadata service of this machine."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)


def error_of(action: Callable[[], object]) -> Exception:
    """Return the exception that an action raises."""
    with pytest.raises(Exception) as raised:  # noqa: PT011  # the clients have many types
        action()
    return raised.value


def server_error(url: str, facts: CredentialFacts) -> ModelGateError:
    client = mlflow.MlflowClient(tracking_uri=url, registry_uri=url)
    return to_model_gate_error(error_of(lambda: client.get_registered_model("Wine")), url, facts)


def test_error_for_a_rejected_login_names_the_server_and_the_variables() -> None:
    with FaultyServer(faults={"registered-models/get": status(401)}) as server:
        error = server_error(server.url, CredentialFacts("prod", USER))
    assert isinstance(error, AccessError)
    assert f"prod ({server.url}) does not accept the login in {USER[0]} and {USER[1]} (401)." in error.message
    assert error.remedy == f"Correct {USER[0]} and {USER[1]}."


@pytest.mark.parametrize("mark", ["..", "..."])
def test_mark_of_a_cut_at_the_end_of_a_message_is_kept(mark: str) -> None:
    error = to_model_gate_error(MlflowException(f"Wrong key: abcdefgh{mark}", 1000), "http://host")
    assert f"Wrong key: abcdefgh{mark}" in error.message


@pytest.mark.parametrize("code", [401, 403])
def test_error_for_a_missing_login_says_why_no_credential_was_sent(code: int) -> None:
    with FaultyServer(faults={"registered-models/get": status(code)}) as server:
        error = server_error(server.url, NOTHING_SENT)
        named = server_error(server.url, CredentialFacts("prod", (), prefix="PROD_"))
        default = server_error(server.url, CredentialFacts("", (), prefix=""))
    assert isinstance(error, AccessError)
    assert server.url in error.message
    assert f"({code})" in error.message
    assert "No credential was sent, because none is declared for it." in error.message
    assert "MLFLOW_TRACKING_TOKEN is set here, but was not handed over: it is for https://other" in error.message
    assert error.remedy == (
        "Choose a prefix for the variables of this server, such as STAGING_. Set STAGING_MLFLOW_TRACKING_URI="
        f"{server.url}, and your login in STAGING_MLFLOW_TRACKING_USERNAME and STAGING_MLFLOW_TRACKING_PASSWORD, or in"
        " STAGING_MLFLOW_TRACKING_TOKEN. If MLFLOW_TRACKING_URI names no other server, the variables need no prefix."
        " Then run the same command again."
    )
    assert named.remedy == (
        "Set PROD_MLFLOW_TRACKING_USERNAME and PROD_MLFLOW_TRACKING_PASSWORD, or PROD_MLFLOW_TRACKING_TOKEN."
    )
    assert default.remedy == ("Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN.")


def test_error_for_an_untrusted_certificate_names_the_reason_and_the_variables(tmp_path: Path) -> None:
    _, identity = certificates(tmp_path, ["localhost"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity)
    facts = CredentialFacts("", (), (("MLFLOW_TRACKING_INSECURE_TLS", "it is for another server"),))
    with FaultyServer(tls=context) as server:
        error = server_error(server.url, facts)
    assert isinstance(error, UnreachableError)
    assert "cannot be used: its certificate is not trusted here: " in error.message
    assert "certificate in certificate chain" in error.message or "issuer certificate" in error.message
    assert "MLFLOW_TRACKING_INSECURE_TLS is set here, but was not handed over" in error.message
    for name in ("MLFLOW_TRACKING_SERVER_CERT_PATH", "REQUESTS_CA_BUNDLE", "MLFLOW_TRACKING_INSECURE_TLS"):
        assert name in error.remedy


def test_error_for_https_to_a_plain_http_port_says_that_the_port_speaks_http() -> None:
    with FaultyServer() as server:
        error = server_error(server.url.replace("http:", "https:"), NOTHING_SENT)
    assert isinstance(error, UnreachableError)
    assert "cannot be used: it speaks plain http on this port, not https" in error.message
    assert "http://" in error.remedy


def test_error_for_a_server_that_hangs_up_on_plain_http_suggests_https() -> None:
    with FaultyServer(faults={"registered-models/get": hang_up}) as server:
        error = server_error(server.url, NOTHING_SENT)
    assert "gives no answer: it closes the connection." in error.message
    assert "write https:// in its address" in error.remedy


@pytest.mark.parametrize(
    "fault, reason",
    [
        (never_respond, "gives no answer: it accepts connections but does not answer"),
        (stall, "cannot be used: it begins a response, but does not end it in time"),
    ],
)
@pytest.mark.parametrize("is_direct", [True, False])
def test_silence_within_a_response_is_not_reported_as_no_response(
    fault: Fault, reason: str, is_direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "0.3")

    def download() -> None:
        client = HttpClient.from_request(requests.Request("GET", url).prepare(), True, None)
        assert client is not None
        if not is_direct:
            requests.get(url, timeout=0.3)
            return
        with client.get(url, {}) as response:
            response.read()

    with FaultyServer(files={"file": bytes(100)}, faults={"file": fault}) as server:
        url = f"{server.url}{ARTIFACTS}/file"
        assert reason_in(chain_text(error_of(download))) == reason


def sending(data: bytes) -> Fault:
    """Return a fault that sends these bytes in place of a response."""

    def send(call: Call) -> None:
        call.handler.wfile.write(data)
        call.handler.wfile.flush()
        call.close()

    return send


_OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 2OO OK\r\n\r\n",
        b"Connection refused\r\n\r\n",
        b"HTTP/9 200 OK\r\n\r\n",
        _OK + b"X: " + b"a" * 70_000 + b"\r\n\r\n",
        _OK + b"X: a\r\n" * 150 + b"\r\n",
    ],
    ids=["status", "no status", "version", "long header", "many headers"],
)
def test_malformed_response_is_not_reported_as_a_closed_connection(response: bytes) -> None:
    with FaultyServer(faults={"registered-models/get": sending(response)}) as server:
        error = server_error(server.url, NOTHING_SENT)
    assert isinstance(error, UnreachableError)
    assert error.message.startswith(f"The tracking server {server.url} cannot be used: its response is not valid HTTP.")
    assert "https" not in error.remedy


def test_error_for_plain_http_to_a_port_that_answers_with_a_tls_alert_says_that_the_port_speaks_https() -> None:
    with FaultyServer(faults={"registered-models/get": sending(b"\x15\x03\x03\x00\x02\x02\x0a")}) as server:
        error = server_error(server.url, NOTHING_SENT)
    assert "cannot be used: it speaks https on this port, not http." in error.message
    assert "write https:// in its address" in error.remedy


@pytest.mark.parametrize(
    "request_name, subject, remedy",
    [
        ("registered-models/get", "the registered model", "READ permission on the registered model."),
        ("logged-models/m-1", "the run that logged the model", "READ permission on the experiment"),
        ("runs/get", "the run that logged the model", "READ permission on the experiment"),
    ],
)
def test_error_for_a_missing_permission_names_what_cannot_be_read(request_name: str, subject: str, remedy: str) -> None:
    text = f"API request to endpoint /api/2.0/mlflow/{request_name} failed with error code 403 != 200."
    error = to_model_gate_error(MlflowException(text), "http://mlflow.example.com", CredentialFacts("", USER))
    assert f"forbids this user to read {subject} (403)" in error.message
    assert remedy in error.remedy


def test_error_for_files_without_permission_asks_for_permission_on_the_experiment() -> None:
    url = "http://mlflow.example.com/api/2.0/mlflow-artifacts/artifacts?path=1/models/m-1/artifacts"
    response = requests.Response()
    response.status_code, response.url = 403, url
    denied = requests.HTTPError(f"403 Client Error: FORBIDDEN for url: {url}", response=response)
    error = to_model_gate_error(denied, "http://mlflow.example.com", CredentialFacts("", USER))
    assert "read the files at mlflow-artifacts:/1/models/m-1/artifacts (403)" in error.message
    assert "administrator of the server to give this user READ permission on the experiment" in error.remedy


@pytest.mark.parametrize(
    "reason, file",
    [
        ("self-signed certificate", "for its certificate as a PEM file"),
        (
            "self-signed certificate in certificate chain",
            "for the certificate of its certificate authority as a PEM file",
        ),
        ("unable to get local issuer certificate", "for the certificate of its certificate authority as a PEM file"),
    ],
)
def test_remedy_for_an_untrusted_certificate_names_the_file_that_is_needed(reason: str, file: str) -> None:
    untrusted = MlflowException(
        f"SSLError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: {reason} (_ssl.c:1006)"
    )
    error = to_model_gate_error(untrusted, "https://mlflow.example.com", CredentialFacts("prod", (), prefix="PROD_"))
    assert file in error.remedy


def test_remedy_for_a_login_page_of_an_undeclared_server_declares_the_server() -> None:
    with FaultyServer(faults={"registered-models/get": login_page}) as server:
        error = server_error(server.url, NOTHING_SENT)
        declared = server_error(server.url, CredentialFacts("prod", (), prefix="PROD_"))
    assert "set NAME_MLFLOW_TRACKING_URI to this address and NAME_MLFLOW_TRACKING_TOKEN, if the proxy" in error.remedy
    assert "set PROD_MLFLOW_TRACKING_TOKEN if the proxy" in declared.remedy


def test_error_for_a_run_without_permission_names_the_run() -> None:
    denied = MlflowException("API request to endpoint /api/2.0/mlflow/runs/get failed with error code 403 != 200.")
    denied.add_note(f"{RUN_NOTE}0123abcd")
    error = to_model_gate_error(denied, "http://mlflow.example.com", CredentialFacts("", USER))
    assert "forbids this user to read the run 0123abcd that logged the model (403)" in error.message


def test_error_for_an_untrusted_certificate_of_a_named_server_names_its_own_variables() -> None:
    untrusted = MlflowException("SSLError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed")
    error = to_model_gate_error(untrusted, "https://mlflow.example.com", CredentialFacts("prod", (), prefix="PROD_"))
    assert "PROD_MLFLOW_TRACKING_SERVER_CERT_PATH" in error.remedy
    assert "PROD_MLFLOW_TRACKING_INSECURE_TLS=true" in error.remedy


def test_error_for_a_silent_server_names_the_request_and_the_time() -> None:
    text = (
        "Max retries exceeded with url: /api/2.0/mlflow/registered-models/get?name=Wine (Caused by ReadTimeoutError("
        "\"HTTPConnectionPool(host='127.0.0.1', port=1): Read timed out. (read timeout=10)\"))"
    )
    assert reason_in(text) == (
        "gives no answer: it accepts connections but does not answer /api/2.0/mlflow/registered-models/get within 10 s"
    )


@pytest.fixture
def store() -> Iterator[Store]:
    with Store() as started:
        yield started


class Store:
    """An object store that answers each request with one error, in the formats of S3, Azure and Google."""

    def __init__(self) -> None:
        self.status, self.code = 403, "AccessDenied"

    def __enter__(self) -> Store:
        store = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                data = {"code": store.status, "message": "No", "errors": [{"reason": store.code}]}
                xml = f"<?xml version='1.0'?><Error><Code>{store.code}</Code><Message>No</Message></Error>"
                is_json = "storage/v1" in self.path
                body = json.dumps({"error": data}).encode() if is_json else xml.encode()
                self.send_response(store.status)
                self.send_header("Content-Type", "application/json" if is_json else "application/xml")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("x-ms-error-code", store.code)
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            def do_HEAD(self) -> None:
                self.do_GET()

            def log_message(self, *_: object) -> None:
                """Do not log."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._http.server_address[1]}"


S3 = "s3://models/wine"
AZURE = "wasbs://models@account.blob.core.windows.net/wine"
GCS = "gs://models/wine"
ENVIRONMENT = {
    "MODEL_GATE_SENT": json.dumps(["AWS_ACCESS_KEY_ID", "AZURE_STORAGE_CONNECTION_STRING", USER[0]]),
    "MODEL_GATE_NOT_SENT": json.dumps([["GOOGLE_APPLICATION_CREDENTIALS", "the server is not declared"]]),
}


@pytest.fixture
def variables(store: Store, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Set the variables with which the clients contact the store. Return the environment of the worker."""
    _cached_get_s3_client.cache_clear()
    connection = "DefaultEndpointsProtocol=http;AccountName=account;AccountKey=YWJj"
    values = {
        "MLFLOW_S3_ENDPOINT_URL": f"http://{store.address}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AZURE_STORAGE_CONNECTION_STRING": f"{connection};BlobEndpoint=http://{store.address}/account",
        "STORAGE_EMULATOR_HOST": f"http://{store.address}",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return values | ENVIRONMENT


def read_error(uri: str, environment: dict[str, str], *, downloads: bool = False) -> Exception:
    """Return the error of listing a location, or of downloading a file."""

    def read() -> None:
        with store_errors(uri, environment):
            repository = get_artifact_repository(uri)
            if downloads:
                repository._download_file("model.pkl", "/dev/null")  # type: ignore[no-untyped-call]
            else:
                repository.list_artifacts(None)

    return error_of(read)


@pytest.mark.parametrize("downloads", [False, True], ids=["list", "download"])
@pytest.mark.parametrize(
    "uri, container, credentials",
    [
        (S3, "bucket models", "AWS_ACCESS_KEY_ID is set for this store."),
        (AZURE, "container models", "AZURE_STORAGE_CONNECTION_STRING is set for this store."),
        (GCS, "bucket models", "GOOGLE_APPLICATION_CREDENTIALS is set here, but was not handed over"),
    ],
    ids=["S3", "Azure", "Google"],
)
def test_error_for_denied_store_access_names_store_and_error_code_and_variables(
    store: Store, variables: dict[str, str], uri: str, container: str, credentials: str, downloads: bool
) -> None:
    error = read_error(uri, variables, downloads=downloads)
    assert isinstance(error, AccessError)
    assert f"The store {store.address} ({container}) refuses to be read" in error.message
    # A response to HEAD, with which boto3 begins a download, has no code.
    code = "403" if downloads and uri == S3 else "AccessDenied, 403"
    assert f"({code})" in error.message or (downloads and uri == GCS)
    assert credentials in error.message
    assert "MLFLOW_TRACKING" not in error.message + error.remedy
    assert "tracking server" not in error.message + error.remedy


@pytest.mark.parametrize(
    "status_code, code, kind, text",
    [
        (403, "InvalidAccessKeyId", AccessError, "does not accept the credentials (InvalidAccessKeyId, 403)"),
        (404, "NoSuchBucket", NotFoundError, "has no bucket models (NoSuchBucket, 404)"),
        (403, "RequestTimeTooSkewed", AccessError, "The clock of this machine differs"),
        (503, "SlowDown", UnreachableError, "answers with an error (SlowDown, 503)"),
        (400, "InvalidRequest", UnreachableError, "refuses the request (InvalidRequest, 400)"),
    ],
)
def test_each_error_code_of_a_store_becomes_its_own_error_message(
    store: Store, variables: dict[str, str], status_code: int, code: str, kind: type[ModelGateError], text: str
) -> None:
    store.status, store.code = status_code, code
    error = read_error(S3, variables)
    assert isinstance(error, kind)
    assert store.address in error.message
    assert text in error.message


def test_error_names_the_store_that_refuses_connections(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "http://127.0.0.1:1")
    error = read_error(S3, variables)
    assert isinstance(error, UnreachableError)
    assert error.message == "The store 127.0.0.1:1 (bucket models) gives no answer: it refuses connections."


def test_store_without_tls_is_not_reported_as_a_login(
    store: Store, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", f"https://{store.address}")
    error = read_error(S3, variables)
    assert isinstance(error, UnreachableError)
    assert f"The store {store.address} (bucket models)" in error.message
    assert "login" not in error.message + error.remedy


def test_missing_aws_profile_is_an_access_error(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "missing")
    error = read_error(S3, variables)
    assert isinstance(error, AccessError)
    assert "There is no valid login to the store" in error.message
    assert "missing" in error.message
    assert "AWS_PROFILE" in error.remedy


def test_malformed_azure_connection_string_is_an_access_error(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "x")
    error = read_error(AZURE, variables)
    assert isinstance(error, AccessError)
    assert "There is no valid login to the store " in error.message
    assert "AZURE_STORAGE_CONNECTION_STRING" in error.remedy


def test_error_that_does_not_come_from_a_store_is_not_changed() -> None:
    original = OSError(28, "No space left on device")

    def fail() -> None:
        with store_errors(S3, {}):
            raise original

    assert error_of(fail) is original
    assert to_store_error(RuntimeError("x"), "mlflow-artifacts:/1", {}) is None


@pytest.mark.parametrize(
    "uri, environment, text",
    [
        (S3, {}, "s3.amazonaws.com (bucket models)"),
        (S3, {"AWS_ENDPOINT_URL": "https://key:s3cret@minio:9000/"}, "minio:9000 (bucket models)"),
        ("r2://models@account.r2.cloudflarestorage.com/x", {}, "account.r2.cloudflarestorage.com (bucket models)"),
        (AZURE, {}, "account.blob.core.windows.net (container models)"),
        ("abfss://fs@account.dfs.core.windows.net/x", {}, "account.dfs.core.windows.net (container fs)"),
        (GCS, {}, "storage.googleapis.com (bucket models)"),
    ],
)
def test_store_is_described_by_endpoint_and_container(uri: str, environment: dict[str, str], text: str) -> None:
    assert str(store_of(uri, environment)) == text


@pytest.mark.parametrize(
    "package, command",
    [
        ("psycopg", "pip install 'psycopg[binary]'"),
        ("MySQLdb", "pip install mysqlclient"),
        ("botocore.config", "pip install 'model-gate[aws]'"),
        ("pyhdfs", "pip install pyhdfs"),
    ],
)
def test_remedy_for_a_missing_package_is_the_command_that_installs_it(package: str, command: str) -> None:
    error = to_model_gate_error(ModuleNotFoundError(f"No module named '{package}'", name=package), "the server")
    assert isinstance(error, InputError)
    assert command in error.remedy


def download_error(uri: str, message: str) -> Exception:
    def fail() -> None:
        with downloading_file("data/model.bin", uri):
            raise TransferError(message)

    return error_of(fail)


@pytest.mark.parametrize(
    "uri, message, sentence",
    [
        ("mlflow-artifacts:/1/model", "It broke off.", "The file is data/model.bin on http://tracking."),
        ("mlflow-artifacts:/1/model", "data/model.bin broke off.", "The file is on http://tracking."),
        ("mlflow-artifacts:/1/model", "http://tracking hangs up.", "The file is data/model.bin."),
        ("mlflow-artifacts:/1/model", "http://tracking hangs up in data/model.bin.", ""),
        ("mlflow-artifacts://other:81/1", "data/model.bin broke off.", "The file is on other:81."),
        ("https://user:secret@other/1", "data/model.bin broke off.", ""),
        ("https://user:123/ret@other/1", "data/model.bin broke off.", ""),
        ("wasbs://user:secret@a.net/x", "data/model.bin broke off.", ""),
        ("https://user:sec/ret@other/1", "data/model.bin broke off.", ""),
        ("https://[broken/1", "data/model.bin broke off.", ""),
        ("s3://user:secret@models/wine", "data/model.bin broke off.", ""),
        ("dbfs:/databricks/model", "data/model.bin broke off.", ""),
        ("s3://models/wine", "It broke off.", "The file is data/model.bin on s3.amazonaws.com (bucket models)."),
        (
            "wasbs://c@a.net/x?sig=secret",
            "data/model.bin broke off.",
            "The file is on a.net (container c).",
        ),
        ("mlflow-artifacts:/1/model", "http://tracking2 hangs up.", "The file is data/model.bin on http://tracking."),
        ("hdfs:///wine", "It broke off.", "The file is data/model.bin."),
        ("/mnt/wine", "It broke off.", "The file is data/model.bin."),
        ("hdfs://namenode/wine", "It broke off.", "The file is data/model.bin."),
    ],
)
def test_error_of_a_download_names_the_file_and_its_source_once(
    uri: str, message: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_GATE_ADDRESS", "http://tracking")
    assert place_sentence(download_error(uri, message), message) == sentence


@pytest.mark.parametrize(
    "uri, message, sentence",
    [
        ("mlflow-artifacts:/1/model", "The listing is malformed.", "The model is on http://tracking."),
        ("mlflow-artifacts:/1/model", "http://tracking hangs up.", ""),
        ("mlflow-artifacts://other:81/1", "The listing is malformed.", "The model is on other:81."),
        ("https://user:secret@other/1", "The listing is malformed.", ""),
        ("https://[broken/1", "The listing is malformed.", ""),
        ("s3://models/wine", "The listing is malformed.", "The model is on s3.amazonaws.com (bucket models)."),
        ("/mnt/wine", "The listing is malformed.", ""),
    ],
)
def test_error_of_a_listing_names_its_source_once(
    uri: str, message: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        with listing_model(uri):
            raise TransferError(message)

    monkeypatch.setenv("MODEL_GATE_ADDRESS", "http://tracking")
    assert place_sentence(error_of(fail), message) == sentence


def test_login_in_the_address_of_a_store_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "http://user:pa/ss@minio:9000")
    assert place_sentence(download_error("s3://models/wine", "It broke off."), "It broke off.") == (
        "The file is data/model.bin."
    )


def test_error_outside_of_a_download_names_no_file() -> None:
    assert place_sentence(TransferError("It broke off."), "It broke off.") == ""

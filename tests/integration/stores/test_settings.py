"""A mistake in the settings of an object store is an error that names the setting, and shows no secret."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.faulty_store import KEY, SECRET
from tests.support.gates import GateResult, run

S3 = {
    "AWS_ACCESS_KEY_ID": "AKIATEST",
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
AZURE_IDENTITY = {"AZURE_CLIENT_ID": "x", "AZURE_TENANT_ID": "y", "AZURE_CLIENT_SECRET": SECRET}
BLOB, LAKE = "wasbs://models@acct.blob.core.windows.net", "abfss://models@acct.dfs.core.windows.net"


def diff(directory: Path, location: str, **variables: str) -> GateResult:
    """Compare two models at a location. Whatever is wrong, nothing is sent."""
    environment = {"HOME": str(directory), "HTTPS_PROXY": "http://127.0.0.1:1", **variables}
    return run(directory, "diff", f"{location}/a", f"{location}/b", environment=environment)


@pytest.mark.parametrize("name", ["MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
@pytest.mark.parametrize("value", ["minio:9000", "rubbish", "ftp://minio", "http://", "http://mi_nio:9000"])
def test_malformed_address_of_an_s3_store_is_an_error_that_names_the_variable(
    tmp_path: Path, name: str, value: str
) -> None:
    result = diff(tmp_path, "s3://models", **S3, **{name: value})
    result.require_error("InputError", f"The value of {name} ({value}) is not the address of a store.", "http://HOST")


@pytest.mark.parametrize("value", ["localhost:4443", "rubbish", "http://host:99999"])
def test_malformed_address_of_a_google_store_is_an_error_that_names_the_variable(tmp_path: Path, value: str) -> None:
    result = diff(tmp_path, "gs://models", STORAGE_EMULATOR_HOST=value)
    result.require_error("InputError", f"The value of STORAGE_EMULATOR_HOST ({value}) is not the address of a store.")


def test_host_of_a_google_store_may_have_an_underscore(tmp_path: Path) -> None:
    result = diff(tmp_path, "gs://models", STORAGE_EMULATOR_HOST="http://fake_gcs.invalid:4443")
    result.require_error("UnreachableError", "fake_gcs.invalid:4443")


@pytest.mark.parametrize(
    "value",
    [f"http://user:{SECRET}@", f"user:{SECRET}@minio:9000", f"http://user:{SECRET}@minio:9000", f"user:{SECRET}"],
)
def test_address_with_a_password_is_an_error_that_does_not_show_it(tmp_path: Path, value: str) -> None:
    result = diff(tmp_path, "s3://models", **S3, MLFLOW_S3_ENDPOINT_URL=value)
    result.require_error("InputError", "The value of MLFLOW_S3_ENDPOINT_URL is not the address of a store.")
    assert "without a login" in result.stderr
    assert SECRET not in result.stderr


@pytest.mark.parametrize(
    "location, name, server",
    [("s3://models", "MLFLOW_S3_IGNORE_TLS", ""), (BLOB, "MLFLOW_TRACKING_INSECURE_TLS", "http://127.0.0.1:9")],
)
@pytest.mark.parametrize("value", ["yes", "2", SECRET])
def test_setting_that_is_neither_true_nor_false_is_an_error_that_names_the_variable(
    tmp_path: Path, location: str, name: str, server: str, value: str
) -> None:
    result = diff(tmp_path, location, **S3, MLFLOW_TRACKING_URI=server, **{name: value})
    result.require_error("InputError", f"The value of {name} is neither true nor false.", f"Set {name} to true")
    assert SECRET not in result.stderr


@pytest.mark.parametrize(
    "name, value, problem",
    [
        ("MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE", " path", "is not auto, path or virtual."),
        ("AWS_RETRY_MODE", "Standard", "is not legacy, standard or adaptive."),
        ("AWS_MAX_ATTEMPTS", "x", "is not a whole number of at least 1."),
        ("AWS_MAX_ATTEMPTS", "0", "is not a whole number of at least 1."),
        ("MLFLOW_S3_EXPECTED_BUCKET_OWNER", "123456789012\n", "is not the ID of an account"),
        ("MLFLOW_S3_EXPECTED_BUCKET_OWNER", "1234 5678 9012", "is not the ID of an account"),
    ],
)
def test_malformed_setting_of_s3_is_an_error_that_names_the_variable(
    tmp_path: Path, name: str, value: str, problem: str
) -> None:
    result = diff(tmp_path, "s3://models", **S3, **{name: value})
    result.require_error("InputError", f"The value of {name} {problem}", "or unset it.")
    assert SECRET not in result.stderr


def test_valid_settings_of_s3_are_accepted(tmp_path: Path) -> None:
    for variables in (
        {"MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE": "", "MLFLOW_S3_EXPECTED_BUCKET_OWNER": "", "AWS_MAX_ATTEMPTS": " 1 "},
        {"MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE": "virtual", "AWS_RETRY_MODE": "adaptive", "AWS_MAX_ATTEMPTS": "1"},
    ):
        result = diff(tmp_path, "s3://models", **S3, **variables)
        result.require_error("UnreachableError", "gives no answer: it refuses connections.")


def test_malformed_number_in_a_profile_of_aws_is_no_error_of_the_login(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text("[profile gate]\nmax_attempts = x\n")
    result = diff(tmp_path, "s3://models", **S3, AWS_PROFILE="gate", AWS_CONFIG_FILE=str(file))
    result.require_error("UnreachableError", "cannot be read: ValueError: invalid literal for int()", "the settings of")
    assert "login" not in result.stderr


@pytest.mark.parametrize("endpoint", ["ht!tp://x", "http://", "http://host:99999", f"http://a:{SECRET}@host"])
def test_malformed_address_in_a_connection_string_is_an_error_that_shows_no_key(tmp_path: Path, endpoint: str) -> None:
    login = f"AccountName=acct;AccountKey={KEY};BlobEndpoint={endpoint}"
    result = diff(tmp_path, BLOB, AZURE_STORAGE_CONNECTION_STRING=login)
    result.require_error("InputError", "The BlobEndpoint in AZURE_STORAGE_CONNECTION_STRING is not the address of a")
    assert not any(part in result.stderr for part in (KEY[:8], KEY[-8:], SECRET))


@pytest.mark.parametrize("endpoint", ["https://host.invalid/acct/", "host.invalid/acct"])
def test_address_in_a_connection_string_may_lack_its_scheme(tmp_path: Path, endpoint: str) -> None:
    login = f"AccountName=acct;AccountKey={KEY};BlobEndpoint={endpoint}"
    result = diff(tmp_path, BLOB, AZURE_STORAGE_CONNECTION_STRING=login)
    result.require_error("UnreachableError", "the store host.invalid (container models)")


def test_certificate_that_is_not_checked_is_an_error(tmp_path: Path) -> None:
    variables = {"MLFLOW_TRACKING_INSECURE_TLS": "true", "MLFLOW_TRACKING_SERVER_CERT_PATH": "/none/authority.pem"}
    result = diff(tmp_path, BLOB, MLFLOW_TRACKING_URI="http://127.0.0.1:9", **variables)
    result.require_error("InputError", "skips the check of certificates", "Unset MLFLOW_TRACKING_INSECURE_TLS or")


@pytest.mark.parametrize(
    "content, problem",
    [
        (f"not JSON {SECRET}", "is not JSON"),
        (json.dumps([SECRET]), "is not a login to Google"),
        (json.dumps({"type": SECRET}), "is not a login to Google"),
        (json.dumps({"type": "service_account", "private_key": SECRET}), "a field is missing"),
    ],
)
def test_file_that_is_no_login_to_google_is_an_error(tmp_path: Path, content: str, problem: str) -> None:
    file = tmp_path / "login.json"
    file.write_text(content)
    result = diff(tmp_path, "gs://models", GOOGLE_APPLICATION_CREDENTIALS=str(file))
    result.require_error("AccessError", f"The file in GOOGLE_APPLICATION_CREDENTIALS, {file}, ", problem)


def test_missing_file_with_a_login_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    for location, variables in {
        "gs://models": {"GOOGLE_APPLICATION_CREDENTIALS": "/nonexistent/login"},
        LAKE: {**AZURE_IDENTITY, "AZURE_CLIENT_SECRET": "", "AZURE_CLIENT_CERTIFICATE_PATH": "/nonexistent/login"},
        BLOB: {**AZURE_IDENTITY, "AZURE_CLIENT_SECRET": "", "AZURE_FEDERATED_TOKEN_FILE": "/nonexistent/login"},
    }.items():
        result = diff(tmp_path, location, AZURE_TOKEN_CREDENTIALS="prod", NO_GCE_CHECK="true", **variables)
        result.require_error("AccessError", "/nonexistent/login", "No such file")


@pytest.mark.parametrize("value", [json.dumps({"private_key": SECRET}), f"{SECRET}{'x' * 250}"])
def test_google_login_in_place_of_the_path_of_its_file_is_not_shown(tmp_path: Path, value: str) -> None:
    result = diff(tmp_path, "gs://models", GOOGLE_APPLICATION_CREDENTIALS=value)
    result.require_error("AccessError", "The value of GOOGLE_APPLICATION_CREDENTIALS is not the path of a file.")


@pytest.mark.parametrize(
    "location, variables, problem",
    [
        (BLOB, {"AZURE_STORAGE_CONNECTION_STRING": SECRET}, "Connection string is either blank or malformed"),
        (BLOB, {"AZURE_STORAGE_CONNECTION_STRING": f"AccountKey={KEY}"}, "Connection string missing required"),
        (BLOB, {**AZURE_IDENTITY, "AZURE_TENANT_ID": "!"}, "Invalid tenant ID provided"),
        (LAKE, {**AZURE_IDENTITY, "AZURE_AUTHORITY_HOST": "http://x"}, "'http://x' is an invalid authority"),
        ("s3://models", {"AWS_PROFILE": "missing", **S3}, "The config profile (missing) could not be found"),
        ("s3://models", {"AWS_CONFIG_FILE": __file__, "AWS_PROFILE": "x"}, "Unable to parse config file"),
    ],
)
def test_malformed_login_is_an_error_of_access(
    tmp_path: Path, location: str, variables: dict[str, str], problem: str
) -> None:
    result = diff(tmp_path, location, **variables)
    result.require_error("AccessError", "There is no valid login to the store", problem)
    assert KEY not in result.stderr


@pytest.mark.parametrize(
    "variables, problem",
    [
        ({"AZURE_STORAGE_ACCESS_KEY": f"{SECRET}!!"}, "The value of AZURE_STORAGE_ACCESS_KEY is not base64"),
        (
            {"AZURE_STORAGE_CONNECTION_STRING": f"AccountName=acct;AccountKey={SECRET}!!"},
            "The AccountKey in AZURE_STORAGE_CONNECTION_STRING is not base64",
        ),
        (
            {"AZURE_STORAGE_CONNECTION_STRING": f'"AccountName=acct;AccountKey={KEY}"'},
            "The value of AZURE_STORAGE_CONNECTION_STRING is in quotation marks",
        ),
    ],
)
def test_malformed_key_of_azure_is_an_error_before_any_request(
    tmp_path: Path, variables: dict[str, str], problem: str
) -> None:
    result = diff(tmp_path, BLOB, **variables)
    result.require_error("AccessError", problem)
    assert KEY not in result.stderr
    assert SECRET not in result.stderr


@pytest.mark.parametrize(
    "removed, missing",
    [
        ("AZURE_TENANT_ID", "AZURE_TENANT_ID is not set."),
        ("AZURE_CLIENT_ID", "AZURE_CLIENT_ID is not set."),
        ("AZURE_CLIENT_SECRET", "AZURE_CLIENT_SECRET is not set."),
    ],
)
@pytest.mark.parametrize("location", [BLOB, LAKE])
def test_missing_variable_of_a_login_to_azure_is_named(
    tmp_path: Path, location: str, removed: str, missing: str
) -> None:
    variables = {name: value for name, value in AZURE_IDENTITY.items() if name != removed}
    result = diff(tmp_path, location, **variables, AZURE_TOKEN_CREDENTIALS="EnvironmentCredential")
    result.require_error("AccessError", missing, "AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET")
    assert all(name in result.stderr.partition(" are set for this store")[0] for name in variables)


def test_login_server_that_cannot_be_reached_is_an_error_that_names_it(tmp_path: Path) -> None:
    result = diff(tmp_path, LAKE, **AZURE_IDENTITY, AZURE_TOKEN_CREDENTIALS="EnvironmentCredential")
    text = "the proxy in front of the service that issues it, 127.0.0.1:1, gives no answer: it refuses"
    result.require_error("AccessError", text, "Check whether the service can be reached")


def google_login(directory: Path, token_uri: str) -> str:
    """Write the login of a service account, and return the path of its file."""
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    account = {"type": "service_account", "client_email": "gate@example.com", "private_key": pem}
    file = directory / "account.json"
    file.write_text(json.dumps({**account, "token_uri": token_uri, "project_id": "project"}))
    return str(file)


def test_google_login_server_that_cannot_be_reached_is_an_error_that_names_it(tmp_path: Path) -> None:
    login = google_login(tmp_path, "http://127.0.0.1:1/token")
    result = diff(tmp_path, "gs://models", GOOGLE_APPLICATION_CREDENTIALS=login)
    text = "the service that issues it, 127.0.0.1:1, gives no answer: it refuses connections."
    result.require_error("AccessError", text, "GOOGLE_APPLICATION_CREDENTIALS is set for this store.")


@contextmanager
def refusing_login_server(make_body: Callable[[bytes], bytes]) -> Iterator[str]:
    """Run a server that refuses each login with the body that a function makes of the request's body."""

    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = make_body(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(400)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Do nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/token"
        server.shutdown()


def test_refused_google_login_is_an_error_in_one_sentence(tmp_path: Path) -> None:
    body = json.dumps({"error": "invalid_grant", "error_description": "Invalid JWT Signature."}).encode()
    with refusing_login_server(lambda _: body) as address:
        login = google_login(tmp_path, address)
        result = diff(tmp_path, "gs://models", GOOGLE_APPLICATION_CREDENTIALS=login)
    text = (
        "(bucket models): invalid_grant: Invalid JWT Signature. GOOGLE_APPLICATION_CREDENTIALS is set for this store."
    )
    result.require_error("AccessError", text)


@pytest.mark.parametrize("as_json", [False, True])
def test_text_of_a_login_server_that_repeats_the_request_is_not_shown(tmp_path: Path, as_json: bool) -> None:
    requests: list[bytes] = []

    def echo(request: bytes) -> bytes:
        requests.append(request)
        text = f"bad request: {request.decode()[-60:]}"
        return (
            json.dumps({"error": "invalid_request", "error_description": text}).encode() if as_json else text.encode()
        )

    with refusing_login_server(echo) as address:
        result = diff(tmp_path, "gs://models", GOOGLE_APPLICATION_CREDENTIALS=google_login(tmp_path, address))
    result.require_error("AccessError", "the service that issues it refuses the login.")
    assert requests
    assert not any(request.decode()[-60:-40] in result.stderr for request in requests)


def test_missing_variable_of_a_declared_server_has_its_prefix(tmp_path: Path) -> None:
    variables = {f"LEFT_{name}": value for name, value in AZURE_IDENTITY.items() if name != "AZURE_TENANT_ID"}
    variables |= {"LEFT_MLFLOW_TRACKING_URI": "http://localhost", "AZURE_TENANT_ID": "y"}
    variables |= {"LEFT_AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential", "HOME": str(tmp_path)}
    locations = (f"{LAKE}/a", f"{LAKE}/b", "--left-host", "server:left", "--right-host", "server:left")
    result = run(tmp_path, "diff", *locations, environment=variables)
    result.require_error("AccessError", "LEFT_AZURE_TENANT_ID is not set.")
    assert " AZURE_TENANT_ID is not set." not in result.stderr


@pytest.mark.parametrize(
    "location, variables",
    [
        (
            BLOB,
            {"AZURE_STORAGE_CONNECTION_STRING": f"AccountName=acct;AccountKey={KEY};EndpointSuffix=core.windows.net"},
        ),
        (LAKE, {**AZURE_IDENTITY, "AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential"}),
    ],
)
def test_key_of_azure_that_is_not_read_is_not_checked(tmp_path: Path, location: str, variables: dict[str, str]) -> None:
    result = diff(tmp_path, location, **variables, AZURE_STORAGE_ACCESS_KEY="bad")
    assert "base64" not in result.stderr
    assert "gives no answer" in result.stderr


def test_malformed_region_is_an_error_that_names_the_variable(tmp_path: Path) -> None:
    result = diff(tmp_path, "s3://models", **{**S3, "AWS_DEFAULT_REGION": "bad region!"})
    result.require_error("InputError", "'bad region!'", "AWS_DEFAULT_REGION")


@pytest.mark.parametrize(
    "location, remedy",
    [
        ("s3://Bad_Bucket!", "The name of a bucket has 3 to 63 letters"),
        ("s3://minio:9000/models", "belongs in MLFLOW_S3_ENDPOINT_URL"),
        ("gs://-models", "The name of a bucket has 3 to 63 letters"),
        (BLOB.replace("models", "Bad_Container"), "The name of a container has 3 to 63 lower-case letters"),
        (LAKE.replace("models", "models!"), "The name of a container has 3 to 63 lower-case letters"),
        (LAKE.replace("models@", ""), "abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH"),
        (LAKE.replace("dfs", "blob"), "begin with wasbs:"),
        (BLOB.replace("blob", "dfs"), "begin with wasbs:"),
        ("abfss://models@acct.example.com", "MODEL_GATE_STORE_ENDPOINTS=https://acct.example.com"),
        (BLOB.replace("wasbs", "wasb"), BLOB),
        (LAKE.replace("abfss", "abfs"), LAKE),
    ],
)
def test_location_with_a_wrong_name_is_an_error_that_shows_the_right_form(
    tmp_path: Path, location: str, remedy: str
) -> None:
    diff(tmp_path, location, **S3).require_error("ModelError", remedy)

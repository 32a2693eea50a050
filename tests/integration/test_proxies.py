"""An error for a proxy that fails names the proxy and its variable, not the server behind it, and shows no login."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.faulty_store import SECRET
from tests.support.gates import GateResult, run

LOGIN = "ann:secret-of-the-proxy"
SERVER = "127.0.0.1:8443"


@contextmanager
def refusing_proxy(status: str) -> Iterator[str]:
    """Run a proxy that answers each request with a status. Yield its host and port."""

    class Refusing(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            self.wfile.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refusing) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def check(directory: Path, scheme: str, variables: Mapping[str, str]) -> GateResult:
    """Check a version on a tracking server behind a proxy. Nothing is behind the proxy."""
    environment = {
        "HOME": str(directory),
        "NO_PROXY": "",
        "MLFLOW_TRACKING_URI": f"{scheme}://{SERVER}",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        **variables,
    }
    return run(directory, "check", "--model", "Wine", "--version-or-stage", "1", environment=environment)


def diff(directory: Path, location: str, variables: Mapping[str, str]) -> GateResult:
    """Compare two models in a store behind a proxy."""
    environment = {
        "HOME": str(directory),
        "NO_PROXY": "",
        "AWS_ACCESS_KEY_ID": "AKIATEST",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
        **variables,
    }
    return run(directory, "diff", f"{location}/a", f"{location}/b", environment=environment)


def gate(directory: Path, kind: str, scheme: str, variables: Mapping[str, str]) -> GateResult:
    if kind == "server":
        return check(directory, scheme, variables)
    return diff(directory, "s3://models", {"MLFLOW_S3_ENDPOINT_URL": f"{scheme}://{SERVER}", **variables})


def require_no_login(result: GateResult) -> None:
    assert not any(part in result.stderr for part in (LOGIN, LOGIN.partition(":")[2]))


@pytest.mark.parametrize("kind, subject", [("server", "the tracking server https://"), ("store", "the store ")])
@pytest.mark.parametrize(
    "address, problem",
    [
        ("127.0.0.1:1", "gives no answer: it refuses connections."),
        ("no-such-proxy.invalid:3128", "gives no answer: its name cannot be resolved."),
    ],
    ids=["refusing", "unresolved"],
)
def test_error_for_a_proxy_that_gives_no_answer_names_the_proxy(
    tmp_path: Path, kind: str, subject: str, address: str, problem: str
) -> None:
    result = gate(tmp_path, kind, "https", {"HTTPS_PROXY": f"http://{LOGIN}@{address}"})
    message = (
        f"{SERVER}{'' if kind == 'server' else ' (bucket models)'} goes through the proxy {address} in HTTPS_PROXY,"
    )
    result.require_error("UnreachableError", f"The request to {subject}{message} which {problem}", "to NO_PROXY.")
    require_no_login(result)


@pytest.mark.parametrize("kind", ["server", "store"])
@pytest.mark.parametrize(
    "status, problem, remedy",
    [
        ("403 Forbidden", "forbids the connection (403).", "Ask the administrator of the proxy to allow"),
        ("503 Busy", "answers with an error (503).", "whether the proxy runs"),
    ],
    ids=["403", "503"],
)
def test_error_for_a_proxy_that_refuses_a_connection_has_its_status(
    tmp_path: Path, kind: str, status: str, problem: str, remedy: str
) -> None:
    with refusing_proxy(status) as proxy:
        result = gate(tmp_path, kind, "https", {"HTTPS_PROXY": f"http://{LOGIN}@{proxy}"})
    result.require_error("UnreachableError", f"through the proxy {proxy} in HTTPS_PROXY, which {problem}", remedy)
    require_no_login(result)


@pytest.mark.parametrize("kind", ["server", "store"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_error_for_a_proxy_that_rejects_or_lacks_a_login_names_the_variable(
    tmp_path: Path, kind: str, scheme: str
) -> None:
    variable = f"{scheme.upper()}_PROXY"
    with refusing_proxy("407 Proxy Authentication Required") as proxy:
        rejected = gate(tmp_path, kind, scheme, {variable: f"http://{LOGIN}@{proxy}"})
        missing = gate(tmp_path, kind, scheme, {variable: proxy})
    named = f"through the proxy {proxy} in {variable}, which"
    rejected.require_error(
        "AccessError", f"{named} does not accept the login in {variable} (407).", "Correct the login"
    )
    missing.require_error("AccessError", f"{named} requires a login (407).", f"Add the login in {variable}.")
    require_no_login(rejected)


@pytest.mark.parametrize(
    "location, variables",
    [
        ("gs://models", {"STORAGE_EMULATOR_HOST": f"http://{SERVER}"}),
        (
            "wasbs://models@acct.blob.core.windows.net",
            {"AZURE_STORAGE_CONNECTION_STRING": f"AccountName=acct;AccountKey=a2V5;BlobEndpoint=http://{SERVER}/acct"},
        ),
    ],
    ids=["google", "azure"],
)
def test_error_for_a_proxy_of_another_cloud_names_the_proxy(
    tmp_path: Path, location: str, variables: dict[str, str]
) -> None:
    with refusing_proxy("407 Proxy Authentication Required") as proxy:
        closed = diff(tmp_path, location, {**variables, "http_proxy": "http://127.0.0.1:1"})
        rejected = diff(tmp_path, location, {**variables, "ALL_PROXY": proxy})
    closed.require_error("UnreachableError", "through the proxy 127.0.0.1:1 in http_proxy, which gives no answer")
    rejected.require_error("AccessError", f"through the proxy {proxy} in ALL_PROXY, which requires a login (407).")


@pytest.mark.parametrize("kind", ["server", "store"])
@pytest.mark.parametrize(
    "value, problem",
    [
        ("ht!tp://127.0.0.1:9", "is not the address of a proxy"),
        (f"http://ann:{SECRET}#@127.0.0.1:9", "is not the address of a proxy"),
        ("http://127.0.0.1:99999", "is not the address of a proxy"),
        ("127.0.0.1:9 ", "begins or ends with white space"),
        ("'http://127.0.0.1:9'", "is in quotation marks"),
    ],
    ids=["scheme", "login", "port", "blank", "quoted"],
)
def test_malformed_address_of_a_proxy_is_an_error_that_names_the_variable(
    tmp_path: Path, kind: str, value: str, problem: str
) -> None:
    result = gate(tmp_path, kind, "https", {"HTTPS_PROXY": value})
    result.require_error("InputError", f"The value of HTTPS_PROXY {problem}", "Set HTTPS_PROXY to ")
    assert SECRET not in result.stderr


def test_malformed_address_of_a_proxy_that_is_not_used_is_no_error(tmp_path: Path) -> None:
    variables = {"HTTPS_PROXY": "ht!tp://127.0.0.1:9", "HTTP_PROXY": "socks5://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}
    result = check(tmp_path, "https", variables)
    result.require_error("UnreachableError", f"The tracking server https://{SERVER} gives no answer")


def test_error_for_a_proxy_that_refuses_the_login_to_a_store_says_so(tmp_path: Path) -> None:
    identity = {"AZURE_CLIENT_ID": "x", "AZURE_TENANT_ID": "y", "AZURE_CLIENT_SECRET": SECRET}
    identity |= {"AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential"}
    with refusing_proxy("407 Proxy Authentication Required") as proxy:
        result = diff(tmp_path, "abfss://models@acct.dfs.core.windows.net", {**identity, "HTTPS_PROXY": proxy})
    result.require_error("AccessError", "the proxy in front of the service that issues it", "requires a login (407)")
    assert "Check whether the service can be reached from here: its name, the proxy" in result.stderr

"""The login to an object store is found soon, or is soon an error."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.databricks.clouds import Bucket
from tests.databricks.emulator.messages import Response
from tests.databricks.https_proxy import HttpsProxy
from tests.support.faulty_server import Call, FaultyServer, never_respond
from tests.support.faulty_store import FaultyStore
from tests.support.gates import run
from tests.support.recording_proxy import shared_proxy

TOKEN = "secret-of-the-test"
FILES = {"MLmodel": b"flavors: {}\n", "data/a": bytes(range(256))}


@pytest.fixture(autouse=True)
def _forget_requests() -> Iterator[None]:
    """Keep the requests of a test from the tests that verify all requests since the last test."""
    yield
    shared_proxy().take()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Require that the block ends within this time."""
    start = time.monotonic()
    yield
    assert time.monotonic() - start < seconds


@dataclass
class MetadataServer(FaultyServer):
    """The metadata servers of Google's and Azure's machines. Each issues a token for the machine's identity."""

    responses: dict[str, object] = field(
        default_factory=lambda: {
            "/": {},
            "/computeMetadata/v1/project/project-id": "project",
            "/computeMetadata/v1/instance/service-accounts/default/": {
                "email": "gate@project.iam.gserviceaccount.com",
                "scopes": ["https://www.googleapis.com/auth/cloud-platform"],
            },
            "/token": {"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"},
        }
    )

    @property
    def variables(self) -> dict[str, str]:
        """The variables that make clients use this server."""
        address = self.url.removeprefix("http://")
        return {
            "GCE_METADATA_HOST": address,
            "GCE_METADATA_IP": address,
            "AZURE_POD_IDENTITY_AUTHORITY_HOST": self.url,
        }

    def respond(self, call: Call) -> None:
        path = "/token" if call.request.path.endswith("/token") else call.request.path
        found = path in self.responses
        call.send_json(self.responses.get(path), 200 if found else 404, metadata_flavor="Google")


def test_missing_google_login_is_an_error_within_ten_seconds(tmp_path: Path) -> None:
    refusal = Response(401, b'{"error": {"code": 401, "message": "Anonymous caller"}}', {})
    with (
        MetadataServer(faults={"/": never_respond}) as metadata,
        HttpsProxy(tmp_path, {"storage.googleapis.com": lambda _: refusal}) as proxy,
        within(10),
    ):
        environment = {"HOME": str(tmp_path), **proxy.environment, **metadata.variables}
        result = run(tmp_path, "diff", "gs://models/a", "gs://models/b", environment=environment)
    result.require_error("AccessError", "the store storage.googleapis.com", "GOOGLE_APPLICATION_CREDENTIALS")
    assert metadata.requests


@pytest.mark.parametrize(
    "location", ["wasbs://models@acct.blob.core.windows.net", "abfss://models@acct.dfs.core.windows.net"]
)
def test_missing_azure_login_is_an_error_within_ten_seconds(tmp_path: Path, location: str) -> None:
    no_identity = {"error": "invalid_request", "error_description": "Identity not found"}
    with (
        MetadataServer(faults={"/": lambda call: call.send_json(no_identity, 400)}) as metadata,
        HttpsProxy(tmp_path, {}) as proxy,
        within(10),
    ):
        environment = {"HOME": str(tmp_path), **proxy.environment, **metadata.variables}
        result = run(tmp_path, "diff", f"{location}/a", f"{location}/b", environment=environment)
    result.require_error("AccessError", "There is no valid login to the store acct.", "AZURE_CLIENT_ID")
    assert metadata.requests
    assert proxy.refused_hosts == []


@pytest.mark.parametrize("cloud", ["s3", "azure", "lake", "google"])
def test_store_that_refuses_connections_is_an_error_within_half_a_minute(tmp_path: Path, cloud: str) -> None:
    store = FaultyStore(cloud=cloud)
    trust = store.use_tls(tmp_path)
    with store:
        variables, location = {**store.variables, **trust}, store.location("")
    with within(30):
        result = run(tmp_path, "diff", f"{location}a", f"{location}b", environment=variables)
    result.require_error(
        "UnreachableError",
        "(container bucket)" if cloud in {"azure", "lake"} else "(bucket bucket)",
        "refuses connections",
    )


def test_google_login_of_the_machine_is_used(tmp_path: Path) -> None:
    bucket = Bucket("models", {f"{root}/{path}": content for root in "ab" for path, content in FILES.items()}, TOKEN)
    with MetadataServer() as metadata, HttpsProxy(tmp_path, {"storage.googleapis.com": bucket}) as proxy:
        environment = {"HOME": str(tmp_path), **proxy.environment, **metadata.variables}
        result = run(tmp_path, "diff", "gs://models/a", "gs://models/b", environment=environment)
    assert (result.exit_code, result.status) == (0, "equal"), result


def test_azure_login_of_the_machine_is_used(tmp_path: Path) -> None:
    store = FaultyStore(cloud="lake")
    trust = store.use_tls(tmp_path)
    store.files = {f"{root}/{path}": content for root in "ab" for path, content in FILES.items()}
    with MetadataServer() as metadata, store:
        environment = {**store.variables, **trust, **metadata.variables, "AZURE_STORAGE_SAS_TOKEN": ""}
        result = run(tmp_path, "diff", store.location("a"), store.location("b"), environment=environment)
    assert (result.exit_code, result.status) == (0, "equal"), result
    assert store.authorizations == {f"Bearer {TOKEN}"}

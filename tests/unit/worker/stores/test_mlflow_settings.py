"""The clients of the stores have the settings that MLflow would give them."""

from __future__ import annotations

import os
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from google.auth.credentials import AnonymousCredentials
from mlflow.store.artifact import s3_artifact_repo
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.artifact.azure_blob_artifact_repo import AzureBlobArtifactRepository
from mlflow.store.artifact.gcs_artifact_repo import GCSArtifactRepository
from mlflow.utils.credentials import get_default_host_creds

from model_gate.worker.stores.azure import AzureContainer
from model_gate.worker.stores.google import GoogleBucket
from model_gate.worker.stores.mlflow_settings import azure_verify, is_true
from model_gate.worker.stores.s3 import S3Bucket, shared_client

_LOGIN = {"AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "a-secret", "AWS_DEFAULT_REGION": "eu-west-1"}
_BLOB_HOST = "acct.blob.core.windows.net"
_KEY = "QUJDREVGR0hJSktMTU5PUA=="
_STRING = f"DefaultEndpointsProtocol=https;AccountName=acct;AccountKey={_KEY};EndpointSuffix=core.windows.net"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_", "MLFLOW_S3_", "MLFLOW_TRACKING_", "STORAGE_")):
            monkeypatch.delenv(name)
    for name, value in _LOGIN.items():
        monkeypatch.setenv(name, value)
    # `shared_client` and MLflow keep a client, and boto3 keeps a login.
    shared_client.cache_clear()
    s3_artifact_repo._cached_get_s3_client.cache_clear()
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"MLFLOW_S3_ENDPOINT_URL": "http://127.0.0.1:9000"},
        {"MLFLOW_S3_ENDPOINT_URL": "http://127.0.0.1:9000", "AWS_ENDPOINT_URL": "http://127.0.0.1:9001"},
        {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9000"},
        *({"MLFLOW_S3_IGNORE_TLS": value} for value in ("true", "TRUE", "1", "false", "0")),
        {"AWS_CA_BUNDLE": "/none/authority.pem"},
        *({"MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE": value} for value in ("auto", "path", "virtual")),
        {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
    ],
    ids=str,
)
def test_client_of_s3_is_that_of_mlflow(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    own = S3Bucket.from_environment("models")
    other = S3Bucket.from_repository(get_artifact_repository("s3://models/m"), "models")

    def facts(bucket: S3Bucket) -> list[object]:
        client = bucket._client
        config = client.meta.config
        url = urlsplit(bucket.sign("m/a").url)
        signed = {name: value for name, value in parse_qs(url.query).items() if "Date" not in name}
        names = {name for name in signed if "Signature" not in name and name != "Expires"}
        settings = (client.meta.endpoint_url, config.signature_version, config.s3, config.region_name, bucket.verify)
        return [*settings, url.scheme, url.netloc, url.path, names]

    assert facts(own) == facts(other)


def test_each_request_requires_the_owner_of_the_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_S3_EXPECTED_BUCKET_OWNER", "111122223333")
    own = S3Bucket.from_environment("models")
    signed = own.sign("m/a")
    assert signed.headers == {"x-amz-expected-bucket-owner": "111122223333"}
    assert "x-amz-expected-bucket-owner" in parse_qs(urlsplit(signed.url).query)["X-Amz-SignedHeaders"][0].split(";")
    assert own._parameters["ExpectedBucketOwner"] == "111122223333"


def test_url_that_has_the_owner_gets_no_header_with_the_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_S3_EXPECTED_BUCKET_OWNER", "111122223333")
    signed = S3Bucket.from_repository(get_artifact_repository("s3://models/m"), "models").sign("m/a")
    assert not signed.headers
    assert parse_qs(urlsplit(signed.url).query)["x-amz-expected-bucket-owner"] == ["111122223333"]


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"AZURE_STORAGE_ACCESS_KEY": _KEY},
        {"AZURE_STORAGE_CONNECTION_STRING": _STRING},
        {"AZURE_STORAGE_CONNECTION_STRING": _STRING, "AZURE_STORAGE_ACCESS_KEY": "b3RoZXI="},
        {"AZURE_STORAGE_CONNECTION_STRING": f"BlobEndpoint=https://{_BLOB_HOST};SharedAccessSignature=sv=1&sig=x"},
    ],
    ids=str,
)
def test_client_of_azure_is_that_of_mlflow(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    own = AzureContainer.from_environment("models", _BLOB_HOST)
    client = AzureBlobArtifactRepository(f"wasbs://models@{_BLOB_HOST}/m").client
    credential = client.credential
    assert own._client.url == client.get_container_client("models").url
    assert type(own._login._credential) is type(credential)
    key = getattr(credential, "account_key", None)
    assert getattr(own._login._credential, "account_key", None) == key


def _verify_of(container: AzureContainer) -> bool | str:
    """Return how the client of a container checks certificates."""
    verify: bool | str = container._client._config.transport.connection_config.verify
    return verify


@pytest.mark.parametrize(
    "login", [{}, {"AZURE_STORAGE_ACCESS_KEY": _KEY}, {"AZURE_STORAGE_CONNECTION_STRING": _STRING}]
)
@pytest.mark.parametrize(
    "variables",
    [
        {},
        *({"MLFLOW_TRACKING_INSECURE_TLS": value} for value in ("true", "True", "1", "false", "0")),
        {"MLFLOW_TRACKING_SERVER_CERT_PATH": "/none/authority.pem"},
        {"MLFLOW_TRACKING_SERVER_CERT_PATH": "/none/authority.pem", "MLFLOW_TRACKING_INSECURE_TLS": "false"},
    ],
    ids=str,
)
def test_certificates_of_azure_are_checked_as_by_mlflow(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], login: dict[str, str]
) -> None:
    for name, value in (variables | login).items():
        monkeypatch.setenv(name, value)
    credentials = get_default_host_creds(f"wasbs://models@{_BLOB_HOST}/m")  # type: ignore[no-untyped-call]
    container = AzureContainer.from_environment("models", _BLOB_HOST)
    assert azure_verify(variables) == container.verify == _verify_of(container) == credentials.verify


@pytest.mark.parametrize("value", ["yes", "on", " true", "2"])
def test_unknown_value_of_a_setting_skips_no_check(value: str) -> None:
    assert not is_true(value)


@pytest.mark.parametrize("variables", [{}, {"STORAGE_EMULATOR_HOST": "http://127.0.0.1:4443"}], ids=str)
def test_client_of_google_is_that_of_mlflow(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    # Nothing listens there, so the client finds no login of the machine.
    monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:1")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    own = GoogleBucket.from_environment("models")._client
    other = GCSArtifactRepository("gs://models/m").client
    assert type(own._credentials) is type(other._credentials) is AnonymousCredentials
    assert own._connection.API_BASE_URL == other._connection.API_BASE_URL

"""A bucket knows the secrets of its login, wherever the client of the cloud has found them."""

from __future__ import annotations

import json
import shlex
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from azure.core.credentials import AccessToken, AzureSasCredential
from azure.core.exceptions import ServiceRequestError
from azure.storage.blob import BlobServiceClient
from google.auth import impersonated_credentials
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client
from google.oauth2.credentials import Credentials
from mlflow.store.artifact.azure_data_lake_artifact_repo import AzureDataLakeArtifactRepository

from model_gate.worker.stores.azure import AzureContainer, AzureFileSystem
from model_gate.worker.stores.google import GoogleBucket
from model_gate.worker.stores.s3 import S3Bucket, shared_client

_BLOB_HOST = "acct.blob.core.windows.net"
_LAKE_HOST = "acct.dfs.core.windows.net"
_KEY = "QUJDREVGR0hJSktMTU5PUA=="


def _held(secrets: list[str]) -> set[str]:
    return {secret for secret in secrets if secret}


def _s3_bucket(monkeypatch: pytest.MonkeyPatch, config: Path, text: str) -> S3Bucket:
    """Return a bucket with the login of a profile in the text of a configuration file."""
    config.write_text(f"[profile prod]\nregion = us-east-1\n{text}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    variables = {"CONFIG_FILE": str(config), "SHARED_CREDENTIALS_FILE": "/dev/null", "PROFILE": "prod"}
    for name, value in variables.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    # The process keeps the client, and boto3 the login.
    shared_client.cache_clear()
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    return S3Bucket.from_environment("models")


def test_bucket_of_s3_knows_the_key_and_the_token_of_a_profile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    login = "aws_access_key_id = AKIATEST\naws_secret_access_key = a-key\naws_session_token = a-token\n"
    assert _held(_s3_bucket(monkeypatch, tmp_path / "config", login).secrets()) == {"a-key", "a-token"}


def test_bucket_of_s3_knows_a_login_that_expires_without_renewing_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    expiry = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    login = {"Version": 1, "AccessKeyId": "AKIATEST", "SecretAccessKey": "a-key", "SessionToken": "a-token"}
    calls = tmp_path / "calls"
    program = tmp_path / "program.py"
    text = json.dumps(login | {"Expiration": expiry})
    program.write_text(f"open({str(calls)!r}, 'a').write('call\\n')\nprint({text!r})\n")
    command = f"credential_process = {shlex.quote(sys.executable)} {program}\n"
    bucket = _s3_bucket(monkeypatch, tmp_path / "config", command)
    before = calls.read_text()
    assert _held(bucket.secrets()) == {"a-key", "a-token"}
    assert calls.read_text() == before


def test_bucket_of_s3_without_a_login_has_no_secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert _held(_s3_bucket(monkeypatch, tmp_path / "config", "").secrets()) == set()


class TokenCredential:
    """A login to Azure whose client gets access tokens."""

    def __init__(self) -> None:
        self.count = 0

    def get_token(self, *_: str, **__: object) -> AccessToken:
        self.count += 1
        return AccessToken(f"token-{self.count}", int(time.time()) + 3600)


def _container(client: BlobServiceClient) -> AzureContainer:
    return AzureContainer("models", client, verify=True)


def test_container_knows_the_key_of_the_account_and_its_own_signature() -> None:
    container = _container(BlobServiceClient(f"https://{_BLOB_HOST}", credential=_KEY))
    assert _held(container.secrets()) == {_KEY}
    query = container.sign("m/a").url.partition("?")[2]
    assert "sig=" in query
    assert _held(container.secrets()) == {_KEY, query}


def test_container_knows_the_signature_in_a_connection_string() -> None:
    login = f"BlobEndpoint=https://{_BLOB_HOST};SharedAccessSignature=sv=2021&sig=Ab3dEf6h"
    assert _held(_container(BlobServiceClient.from_connection_string(login)).secrets()) == {"sv=2021&sig=Ab3dEf6h"}


def test_container_knows_the_access_token_of_its_client_and_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing listens at the proxy, so the request of the client fails after it has a token.
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    client = BlobServiceClient(f"https://{_BLOB_HOST}", credential=TokenCredential())
    container = _container(client)
    vars(client._config.retry_policy).update(total_retries=0)
    assert _held(container.secrets()) == set()
    container.sign("m/a")
    assert _held(container.secrets()) == {"token-1"}
    with pytest.raises(ServiceRequestError):
        next(container.pages("m/"))
    assert _held(container.secrets()) == {"token-1", "token-2"}


@pytest.mark.parametrize("has_token", [True, False])
def test_file_system_of_azure_knows_its_token_or_signature(has_token: bool) -> None:
    credential = TokenCredential() if has_token else AzureSasCredential("sv=2021&sig=Ab3dEf6h")
    repository = AzureDataLakeArtifactRepository(f"abfss://models@{_LAKE_HOST}/m", credential=credential)
    file_system = AzureFileSystem(repository, "models")
    file_system.sign("m/a")
    assert _held(file_system.secrets()) == {"token-1" if has_token else "sv=2021&sig=Ab3dEf6h"}


def test_file_system_of_azure_knows_the_access_token_of_its_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    repository = AzureDataLakeArtifactRepository(f"abfss://models@{_LAKE_HOST}/m", credential=TokenCredential())
    file_system = AzureFileSystem(repository, "models")
    repository.fs_client._config.retry_policy.total_retries = 0
    with pytest.raises(ServiceRequestError):
        next(file_system.pages("m/"))
    assert _held(file_system.secrets()) == {"token-1", "token-2"}


def _google_bucket(credentials: object) -> GoogleBucket:
    client = Client(project="test", credentials=credentials)
    return GoogleBucket("models", client)


def test_bucket_of_google_knows_the_tokens_and_the_secret_of_its_login() -> None:
    login = Credentials("a-token", refresh_token="another-token", client_secret="a-secret")  # type: ignore[no-untyped-call]
    assert _held(_google_bucket(login).secrets()) == {"a-token", "another-token", "a-secret"}


def test_bucket_of_google_knows_the_token_from_which_its_login_is_made() -> None:
    source = Credentials("a-token")  # type: ignore[no-untyped-call]
    login = impersonated_credentials.Credentials(source, "reader@example.com", [])  # type: ignore[no-untyped-call]
    assert "a-token" in _held(_google_bucket(login).secrets())


def test_bucket_of_google_without_a_login_has_no_secrets() -> None:
    assert _held(_google_bucket(AnonymousCredentials()).secrets()) == set()  # type: ignore[no-untyped-call]

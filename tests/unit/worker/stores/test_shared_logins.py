"""A client of a cloud, and an access token, are made once and used for all models and files."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from azure.core.credentials import AccessToken
from mlflow.store.artifact.azure_data_lake_artifact_repo import AzureDataLakeArtifactRepository

from model_gate.worker.stores.azure import AzureFileSystem
from model_gate.worker.stores.s3 import S3Bucket, shared_client

_HOST = "acct.dfs.core.windows.net"


def test_two_models_that_are_opened_at_once_share_one_s3_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    shared_client.cache_clear()
    barrier = threading.Barrier(2)

    def open_bucket(name: str) -> S3Bucket:
        barrier.wait()
        return S3Bucket.from_environment(name)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(open_bucket, "ab"))
    assert shared_client.cache_info().misses == 1


class CountingCredential:
    """A login to Azure whose access tokens are valid for some seconds.

    Attributes:
        count: Number of tokens so far.
    """

    def __init__(self, seconds: int) -> None:
        self.count = 0
        self._seconds = seconds

    def get_token(self, *_: str, **__: object) -> AccessToken:
        self.count += 1
        return AccessToken(f"token {self.count}", int(time.time()) + self._seconds)


@pytest.mark.parametrize("seconds, count", [(3600, 1), (299, 3)])
def test_access_token_of_azure_is_used_until_five_minutes_before_its_end(seconds: int, count: int) -> None:
    credential = CountingCredential(seconds)
    repository = AzureDataLakeArtifactRepository(f"abfss://models@{_HOST}/m", credential=credential)
    file_system = AzureFileSystem(repository, "models")
    signed = [file_system.sign(f"m/{name}") for name in "abc"]
    assert credential.count == count
    assert signed[-1].headers["Authorization"] == f"Bearer token {count}"
    repository.fs_client.close()

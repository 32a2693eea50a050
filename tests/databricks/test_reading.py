"""The bytes of a model by every way that a workspace may have to give them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from model_gate.access.environments import environment_for
from model_gate.access.hosts import find_host
from model_gate.errors import ModelError, ModelGateError, NotFoundError
from model_gate.sources.tracking_server import TrackingServerClient
from tests.databricks.workspaces import WINE, Bench, Blueprint, Emulated, changed, listings, nothing, read

BUCKET = "ml-prod"
WAYS = {"on": "0", "plain": "1", "forbidden": "2", "missing": "3"}
# `{}` is what a client that treats file bodies as JSON answers makes of it.
BLANK = changed(data__blank_dot_txt=b"\n\n", data__ok_dot_txt=b"200 OK", data__nothing=b"")


def ways(blueprint: Blueprint) -> Blueprint:
    for way, digit in WAYS.items():
        blueprint.run(digit * 32, WINE, files_api=way)
        blueprint.logged_model("m-" + digit * 32, WINE, files_api=way)
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
    blueprint.version("catalog", "ml.prod.presigned", "1", BLANK, source="", storage="default-storage")
    location = f"s3://{BUCKET}/models/1"
    blueprint.version("catalog", "ml.prod.vended", "1", {}, source="", storage="s3", storage_location=location)
    blueprint.settings(uc_storage="s3", aws=["AKIAVENDED", "vended-secret", "vended-session"])
    return blueprint


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    directory = tmp_path_factory.mktemp("reading")
    with (
        Emulated(ways(Blueprint(directory / "ways", "dapi-ways-0123456789"))) as one,
        Emulated(ways(Blueprint(directory / "trap", "dapi-trap-0123456789"))) as wrong,
    ):
        yield Bench(directory, {"ways": one}, wrong)
        assert not wrong.requests


@pytest.fixture(scope="module")
def side(reading: Bench) -> Iterator[TrackingServerClient]:
    with reading.side("databricks://ways") as started:
        yield started


@pytest.fixture(scope="module")
def catalog(reading: Bench) -> Iterator[TrackingServerClient]:
    from moto.server import ThreadedMotoServer

    store = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    store.start()
    host, port = store.get_host_and_port()
    _fill(f"http://{host}:{port}")
    environment = {**reading.environment, "MLFLOW_S3_ENDPOINT_URL": f"http://{host}:{port}"}
    with reading.side("databricks-uc://ways", "ml.prod.vended", environment) as started:
        yield started
    store.stop()


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


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["run", "logged"])
def test_runs_and_logged_models_are_read_whole_and_each_directory_once(
    reading: Bench, side: TrackingServerClient, tmp_path: Path, kind: str, way: str
) -> None:
    digit = WAYS[way]
    place = f"{digit * 32}/artifacts/model" if kind == "run" else f"logged_models/m-{digit * 32}/artifacts"
    before = len(reading.workspaces["ways"].requests)
    assert read(side, f"dbfs:/databricks/mlflow-tracking/77/{place}", tmp_path / "model") == WINE
    asked = reading.workspaces["ways"].requests[before:]
    listed = listings([each for each in asked if each["status"] == 200])
    assert len(listed) == len(set(listed)), listed
    by_credentials = [each for each in asked if "credentials-for" in each["path"]]
    assert bool(by_credentials) is (way in {"forbidden", "missing"})
    plain = [each for each in asked if each["path"].startswith("/api/2.0/fs/files/")]
    assert bool(plain) is (way == "plain")


def test_files_on_dbfs_keep_their_bytes(side: TrackingServerClient, tmp_path: Path) -> None:
    assert read(side, "dbfs:/experiments/1/model", tmp_path / "model") == BLANK


def test_a_registry_model_is_read_by_signed_urls_and_never_from_dbfs(
    reading: Bench, side: TrackingServerClient, tmp_path: Path
) -> None:
    before = len(reading.workspaces["ways"].requests)
    assert read(side, "models:/wine/1", tmp_path / "model") == BLANK
    asked = reading.workspaces["ways"].requests[before:]
    assert not [each["path"] for each in asked if "dbfs" in each["path"]]
    listed = listings(asked)
    assert len(listed) == len(set(listed)), listed


def test_a_model_name_may_hold_what_urls_use(side: TrackingServerClient, tmp_path: Path) -> None:
    assert read(side, "models:/My Wine #1/2/1", tmp_path / "model") == WINE


@pytest.mark.parametrize("name", ["presigned", "vended"])
def test_a_catalog_model_is_read_from_its_store(
    catalog: TrackingServerClient, reading: Bench, tmp_path: Path, name: str
) -> None:
    before = len(reading.workspaces["ways"].requests)
    assert read(catalog, f"models:/ml.prod.{name}/1", tmp_path / "model") == BLANK
    asked = reading.workspaces["ways"].requests[before:]
    listed = listings(asked)
    assert len(listed) == len(set(listed)), listed
    vended = [each for each in asked if each["path"].endswith("generate-temporary-credentials")]
    assert len(vended) == 1


def test_a_catalog_model_is_not_read_at_the_location_that_only_the_catalog_has_the_key_of(
    catalog: TrackingServerClient,
) -> None:
    found = catalog.resolve("ml.prod.vended", "1")
    assert found.download_uri == f"s3://{BUCKET}/models/1"
    assert found.reg_model_uri == "models:/ml.prod.vended/1"


def test_what_is_not_there_is_not_an_empty_model(side: TrackingServerClient) -> None:
    for place in (f"{'9' * 32}/artifacts/model", f"{'0' * 32}/artifacts/other", f"{'3' * 32}/artifacts/other"):
        with pytest.raises(NotFoundError):
            side.list(f"dbfs:/databricks/mlflow-tracking/77/{place}", nothing)
    with pytest.raises(ModelGateError):
        side.list("dbfs:/experiments/1/other", nothing)


@pytest.mark.parametrize("number", range(4))
def test_a_listing_that_leaves_the_model_is_refused(side: TrackingServerClient, number: int) -> None:
    with pytest.raises(ModelError, match="where it cannot be"):
        side.list(f"models:/traversal{number}/1", nothing)


@pytest.mark.parametrize("model", ["wine", "traversal"])
def test_a_source_on_the_runner_itself_is_refused(reading: Bench, model: str) -> None:
    result = reading.check("databricks://ways", model, "1")
    assert result.report["error"]["type"] == "ModelError"
    assert "on its own machine" in result.error
    assert not result.paths("ways", "list-artifacts")


def test_no_signed_url_can_reach_a_command_line(reading: Bench, tmp_path: Path) -> None:
    # MLflow fetches large files by processes that get the signed URL as an argument, unless it is told not to.
    host = find_host("databricks://ways", reading.environment).for_model("wine")
    assert environment_for(host, reading.environment, tmp_path)["MLFLOW_ENABLE_MULTIPART_DOWNLOAD"] == "false"

"""Dead, slow, throttled or broken workspaces and stores lead to a result or an error within a minute."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from model_gate.errors import AccessError, ModelGateError, TransferError, UnreachableError
from model_gate.sources.tracking_server import TrackingServerClient
from tests.databricks.workspaces import WINE, Blueprint, EmulatedWorkspace, Workspaces, ignore_progress, read_files

pytestmark = pytest.mark.xdist_group("databricks_unresponsive_hosts")  # the workspaces start once

LIMIT = 60.0


def fill(blueprint: Blueprint) -> Blueprint:
    source = blueprint.run("0a" * 16, WINE)
    names = ("throttled", "unavailable", "patience", "down", "expired", "refused", "busy_store", "slow", "half", "web")
    for name in (*names, "short", "long", "page", "denied_page"):
        blueprint.version("registry", name, "1", WINE, source=source, run_id="0a" * 16)
    get, signed = "model-versions/get.*name={}&", "GET /signed/.*/{}/1/model.pkl"
    blueprint.fault(get.format("throttled"), status=429, headers={"Retry-After": "1"}, times=2)
    blueprint.fault(get.format("unavailable"), status=503, headers={"Retry-After": "1"})
    blueprint.fault(get.format("patience"), status=429, headers={"Retry-After": "3600"}, times=0)
    blueprint.fault(get.format("down"), status=503, times=0)
    blueprint.fault(signed.format("expired"), status=403)
    blueprint.fault(signed.format("refused"), status=403, times=0)
    blueprint.fault(signed.format("busy_store"), status=503, headers={"Retry-After": "1"})
    blueprint.fault(signed.format("slow"), seconds=90, times=0)
    blueprint.fault(signed.format("half"), cut=20, honest=False)
    blueprint.fault("list-artifacts.*name=web&", body="<html>Log in</html>", times=0)
    blueprint.fault(signed.format("short"), cut=20, times=0)
    blueprint.fault(signed.format("long"), body="<html>Log in</html>" * 80, times=0)
    blueprint.fault(
        "list-artifacts.*name=denied_page&.*path=data", status=403, body='{"error_code": "PERMISSION_DENIED"}', times=0
    )
    return blueprint


@pytest.fixture(scope="module")
def workspaces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspaces]:
    directory = tmp_path_factory.mktemp("waiting")
    with (
        EmulatedWorkspace(fill(Blueprint(directory / "faulty", "dapi-faulty-0123456789"))) as workspace,
        EmulatedWorkspace(fill(Blueprint(directory / "trap", "dapi-trap-0123456789"))) as trap,
    ):
        yield Workspaces(directory, {"faulty": workspace}, trap)
        assert not trap.requests


@pytest.fixture(scope="module")
def client(workspaces: Workspaces) -> Iterator[TrackingServerClient]:
    with workspaces.client("databricks://faulty", "throttled") as started:
        # The worker imports MLflow before the first test, so that the tests do not measure the import.
        started.resolve("expired", "1")
        yield started


def failure(kind: type[ModelGateError], call: Callable[[], object]) -> str:
    started = time.monotonic()
    with pytest.raises(kind) as caught:
        call()
    assert time.monotonic() - started < LIMIT
    return f"{caught.value.message} {caught.value.remedy}"


@pytest.mark.parametrize("name", ["throttled", "unavailable"])
def test_request_is_repeated_after_a_short_wait_that_the_workspace_asks_for(
    client: TrackingServerClient, workspaces: Workspaces, name: str
) -> None:
    assert client.resolve(name, "1").version == "1"
    requests = [
        request
        for request in workspaces["faulty"].requests
        if "/model-versions/get" in request["path"] and request["query"]["name"] == name
    ]
    # The version and its download URI are requested at the same time, and either gets the fault.
    rejected = [each for each in requests if each["status"] != 200]
    assert [each["status"] for each in rejected] == ([429, 429] if name == "throttled" else [503])
    for each in rejected:
        (later, *_) = [
            other["time"] for other in requests if other["path"] == each["path"] and other["time"] > each["time"]
        ]
        assert later - each["time"] >= 1


def test_workspace_that_asks_for_a_long_wait_is_an_error_at_once(client: TrackingServerClient) -> None:
    started = time.monotonic()
    assert "asks to wait 36" in failure(UnreachableError, lambda: client.resolve("patience", "1"))
    assert time.monotonic() - started < 20


def test_persistently_unavailable_workspace_is_an_error(client: TrackingServerClient) -> None:
    assert "503" in failure(UnreachableError, lambda: client.resolve("down", "1"))


@pytest.mark.parametrize("name", ["expired", "busy_store", "half"])
def test_new_presigned_url_is_requested_after_a_failure(
    client: TrackingServerClient, workspaces: Workspaces, tmp_path: Path, name: str
) -> None:
    assert read_files(client, f"models:/{name}/1", tmp_path / "model") == WINE
    url_requests = [
        each
        for each in workspaces["faulty"].requests
        if each["path"].endswith("/get-signed-download-uri")
        and (each["query"]["name"], each["query"]["path"]) == (name, "model.pkl")
    ]
    assert len(url_requests) == 2


def test_error_for_a_rejected_presigned_url_does_not_contain_the_url(
    client: TrackingServerClient, tmp_path: Path
) -> None:
    message = failure(
        AccessError, lambda: client.fetch("models:/refused/1", "model.pkl", len(WINE["model.pkl"]), tmp_path / "x")
    )
    assert "even with a fresh presigned URL" in message
    assert "signature" not in message


def test_unresponsive_store_is_an_error(client: TrackingServerClient, tmp_path: Path) -> None:
    size = len(WINE["model.pkl"])
    message = failure(UnreachableError, lambda: client.fetch("models:/slow/1", "model.pkl", size, tmp_path / "x"))
    assert "does not answer in time" in message


def test_web_page_in_place_of_a_directory_listing_is_an_error(client: TrackingServerClient) -> None:
    message = failure(UnreachableError, lambda: client.list("models:/web/1", ignore_progress))
    assert "web page" in message


def test_forbidden_directory_listing_is_an_error(client: TrackingServerClient) -> None:
    failure(AccessError, lambda: client.list("models:/denied_page/1", ignore_progress))


@pytest.mark.parametrize("name", ["short", "long"])
def test_download_whose_size_differs_from_the_listing_is_an_error(workspaces: Workspaces, name: str) -> None:
    result = workspaces.check("databricks://faulty", name, "1")
    assert result.report["error"]["type"] == TransferError.__name__, result.output
    assert "was listed with 840" in result.error


def test_refused_connection_to_workspace_is_an_error_within_a_minute(workspaces: Workspaces) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        workspaces.write_profiles(
            {"dead": {"host": f"http://127.0.0.1:{bound.getsockname()[1]}", "token": "dapi-dead"}}
        )
        started = time.monotonic()
        # The proxy would answer in place of the port that refuses the connection.
        result = workspaces.check("databricks://dead", "wine", "1", environment=workspaces.direct_environment)
    assert time.monotonic() - started < LIMIT
    assert result.report["error"]["type"] == "UnreachableError"
    assert "databricks://dead gives no answer: it refuses connections" in result.error


def test_unresponsive_workspace_is_an_error_within_a_minute(workspaces: Workspaces) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)
        workspaces.write_profiles(
            {"mute": {"host": f"http://127.0.0.1:{silent.getsockname()[1]}", "token": "dapi-mute"}}
        )
        started = time.monotonic()
        result = workspaces.check("databricks://mute", "wine", "1")
    assert time.monotonic() - started < LIMIT
    assert result.report["error"]["type"] == "UnreachableError"
    assert "does not answer" in result.error

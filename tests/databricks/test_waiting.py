"""Workspaces and stores that are dead, slow, throttled or broken: a verdict, or an error within a minute."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from model_gate.errors import AccessError, ModelGateError, TransferError, UnreachableError
from model_gate.sources.tracking_server import TrackingServerClient
from tests.databricks.workspaces import WINE, Bench, Blueprint, Emulated, nothing, read

LIMIT = 60.0


def faulty(blueprint: Blueprint) -> Blueprint:
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
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    directory = tmp_path_factory.mktemp("waiting")
    with (
        Emulated(faulty(Blueprint(directory / "faulty", "dapi-faulty-0123456789"))) as one,
        Emulated(faulty(Blueprint(directory / "trap", "dapi-trap-0123456789"))) as wrong,
    ):
        yield Bench(directory, {"faulty": one}, wrong)
        assert not wrong.requests


@pytest.fixture(scope="module")
def side(waiting: Bench) -> Iterator[TrackingServerClient]:
    with waiting.side("databricks://faulty", "throttled") as started:
        # Whoever is timed below must not be timed while MLflow is imported.
        started.resolve("expired", "1")
        yield started


def refused(kind: type[ModelGateError], call: Callable[[], object]) -> str:
    started = time.monotonic()
    with pytest.raises(kind) as caught:
        call()
    assert time.monotonic() - started < LIMIT
    return f"{caught.value.message} {caught.value.remedy}"


@pytest.mark.parametrize("name", ["throttled", "unavailable"])
def test_a_workspace_that_asks_for_a_short_wait_gets_it(side: TrackingServerClient, waiting: Bench, name: str) -> None:
    assert side.resolve(name, "1").version == "1"
    asked = [
        each
        for each in waiting.workspaces["faulty"].requests
        if each["path"].endswith("/model-versions/get") and each["query"]["name"] == name
    ]
    assert [each["status"] for each in asked] == ([429, 429, 200] if name == "throttled" else [503, 200])
    assert asked[-1]["time"] - asked[0]["time"] >= len(asked) - 1


def test_a_workspace_that_asks_for_an_hour_is_told_at_once(side: TrackingServerClient) -> None:
    started = time.monotonic()
    assert "asks to wait 36" in refused(UnreachableError, lambda: side.resolve("patience", "1"))
    assert time.monotonic() - started < 20


def test_a_workspace_that_stays_down_is_an_error(side: TrackingServerClient) -> None:
    assert "503" in refused(UnreachableError, lambda: side.resolve("down", "1"))


@pytest.mark.parametrize("name", ["expired", "busy_store", "half"])
def test_a_signed_url_that_fails_once_is_drawn_anew(
    side: TrackingServerClient, waiting: Bench, tmp_path: Path, name: str
) -> None:
    assert read(side, f"models:/{name}/1", tmp_path / "model") == WINE
    drawn = [
        each
        for each in waiting.workspaces["faulty"].requests
        if each["path"].endswith("/get-signed-download-uri")
        and (each["query"]["name"], each["query"]["path"]) == (name, "model.pkl")
    ]
    assert len(drawn) == 2


def test_a_store_that_refuses_fresh_urls_too_is_an_error_without_the_url(
    side: TrackingServerClient, tmp_path: Path
) -> None:
    told = refused(
        AccessError, lambda: side.fetch("models:/refused/1", "model.pkl", len(WINE["model.pkl"]), tmp_path / "x")
    )
    assert "even with a fresh presigned URL" in told
    assert "signature" not in told


def test_a_store_that_does_not_answer_is_an_error(side: TrackingServerClient, tmp_path: Path) -> None:
    size = len(WINE["model.pkl"])
    told = refused(UnreachableError, lambda: side.fetch("models:/slow/1", "model.pkl", size, tmp_path / "x"))
    assert "does not answer in time" in told


def test_a_web_page_instead_of_a_listing_is_an_error(side: TrackingServerClient) -> None:
    told = refused(UnreachableError, lambda: side.list("models:/web/1", nothing))
    assert "web page" in told


def test_a_directory_that_may_not_be_listed_is_an_error_and_not_an_empty_one(side: TrackingServerClient) -> None:
    refused(AccessError, lambda: side.list("models:/denied_page/1", nothing))


@pytest.mark.parametrize("name", ["short", "long"])
def test_a_complete_body_of_another_size_than_listed_is_an_error(waiting: Bench, name: str) -> None:
    result = waiting.check("databricks://faulty", name, "1")
    assert result.report["error"]["type"] == TransferError.__name__, result.output
    assert "was listed with 840" in result.error


def test_a_dead_workspace_is_an_error_within_a_minute(waiting: Bench) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        waiting.write_profiles({"dead": {"host": f"http://127.0.0.1:{bound.getsockname()[1]}", "token": "dapi-dead"}})
        started = time.monotonic()
        result = waiting.check("databricks://dead", "wine", "1")
    assert time.monotonic() - started < LIMIT
    assert result.report["error"]["type"] == "UnreachableError"
    assert "databricks://dead gives no answer: it refuses connections" in result.error


def test_a_workspace_that_accepts_and_never_answers_is_an_error_within_a_minute(waiting: Bench) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)
        waiting.write_profiles({"mute": {"host": f"http://127.0.0.1:{silent.getsockname()[1]}", "token": "dapi-mute"}})
        started = time.monotonic()
        result = waiting.check("databricks://mute", "wine", "1")
    assert time.monotonic() - started < LIMIT
    assert result.report["error"]["type"] == "UnreachableError"
    assert "does not answer" in result.error

"""Large files behind presigned URLs: parallel ranges, resumed ranges, fresh URLs, and files that change meanwhile."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from model_gate.domain.model import FileRequest
from model_gate.errors import AccessError, ModelGateError, TransferError
from model_gate.sources.tracking_server import TrackingServerClient
from model_gate.worker.transfer.byte_range import split_into_ranges
from tests.databricks.https_proxy import HttpsProxy, forward_to
from tests.databricks.workspaces import Blueprint, EmulatedWorkspace, Workspaces

pytestmark = pytest.mark.xdist_group("databricks_range_requests")  # the workspaces start once

MIB = 1024 * 1024
LARGE = random.Random(1).randbytes(20 * MIB + 12_345)
# Content of the same size in which every byte differs.
OTHER = LARGE.translate(bytes(range(255, -1, -1)))
RANGES = sorted(part.header for part in split_into_ranges(len(LARGE)))
# The three ranges of LARGE. Most faults affect the middle one.
FIRST, MIDDLE, LAST = ("bytes=0-", "bytes=8388608-", "bytes=16777216-")
RESUMED = "bytes=(?!8388608)[0-9]+-16777215"

# For each model name, the fault of each requested range of the model's large file.
FAULTS: dict[str, dict[str, dict[str, Any]]] = {
    "plain": {MIDDLE: {"seconds": 0.5, "times": 0}, LAST: {"seconds": 0.5, "times": 0}},
    "broken": {MIDDLE: {"cut": 3 * MIB, "honest": False}},
    "expired": {MIDDLE: {"expires": True}},
    "lapsed": {MIDDLE: {"cut": 3 * MIB, "honest": False}, RESUMED: {"expires": True}},
    "busy": {MIDDLE: {"status": 503, "headers": {"Retry-After": "2"}}},
    "throttled": {MIDDLE: {"status": 429, "headers": {"Retry-After": "2"}}},
    "failing": {MIDDLE: {"status": 500}},
    "rangeless": {"": {"ignored": ["range"], "times": 0}},
    "tagless": {FIRST: {"headers": {"ETag": ""}}},
    "weak": {FIRST: {"headers": {"ETag": 'W/"1"'}}},
    "misplaced": {FIRST: {"headers": {"Content-Range": f"bytes 1-{8 * MIB}/{len(LARGE)}"}}},
    "unplaced": {FIRST: {"headers": {"Content-Range": ""}}},
    "other_size": {FIRST: {"headers": {"Content-Range": f"bytes 0-{8 * MIB - 1}/{len(LARGE) + 1}"}}},
    "encoded": {FIRST: {"headers": {"Content-Encoding": "br"}}},
    "forbidding": {"bytes=": {"status": 400, "times": 0}},
    "changed": {MIDDLE: {"replacement": "../other.bin"}},
    "changed_unseen": {
        MIDDLE: {"replacement": "../other.bin", "ignored": ["if-range"]},
        LAST: {"ignored": ["if-range"], "times": 0},
    },
    "changed_resumed": {
        MIDDLE: {"cut": 3 * MIB, "honest": False},
        RESUMED: {"replacement": "../other.bin", "ignored": ["if-range"]},
    },
    "grown": {MIDDLE: {"replacement": "../grown.bin"}},
    "shrunk": {MIDDLE: {"replacement": "../shrunk.bin", "ignored": ["if-range"]}},
    "begun_anew": {LAST: {"seconds": 1, "headers": {"ETag": '"another"'}}},
    "fixed": {},
    "gone": {"": {"cut": 1000, "honest": False, "times": 0}},
    "refused": {"": {"status": 403, "times": 0}},
    "flipped": {},
    "medium": {},
}


def fill(blueprint: Blueprint, names: Collection[str] = FAULTS) -> Blueprint:
    """Add a registry version for each name. All have the same run model; requests for the registry copy have faults."""
    contents = {"large": LARGE, "other": OTHER, "grown": LARGE + b"!", "shrunk": LARGE[: 9 * MIB]}
    contents |= {"flipped": LARGE[:-1] + bytes([LARGE[-1] ^ 1]), "medium": LARGE[: 10 * MIB]}
    blueprint.files("contents", {f"{name}.bin": content for name, content in contents.items()})

    def link_content(name: str, path: str) -> None:
        # With hard links, replacing the file of one model does not change the others.
        os.link(blueprint.directory / "contents" / f"{name}.bin", blueprint.directory / path)

    small = {"MLmodel": b"flavors: {}\n"}
    source = blueprint.run("0a" * 16, small, files_api="forbidden")
    link_content("large", "runs/" + "0a" * 16 + "/model/model.bin")
    blueprint.version("catalog", "ml.prod.large", "1", small, source="", storage="default-storage")
    link_content("large", "catalog/ml.prod.large/1/model.bin")
    blueprint.settings(uc_storage="default-storage", signed_ranges={"/fixed/": "bytes=0-"})
    for name in names:
        blueprint.version("registry", name, "1", small, source=source, run_id="0a" * 16)
        link_content(name if name in {"flipped", "medium"} else "large", f"registry/{name}/1/model.bin")
        for other in ("other", "grown", "shrunk"):
            link_content(other, f"registry/{name}/{other}.bin")
        for requests, fault in FAULTS[name].items():
            blueprint.fault(f"GET /signed/.*/{name}/1/model.bin.* {requests}", **fault)
    return blueprint


@pytest.fixture(scope="module")
def workspaces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspaces]:
    directory = tmp_path_factory.mktemp("parts")
    with (
        EmulatedWorkspace(fill(Blueprint(directory / "store", "dapi-store-0123456789"))) as store,
        EmulatedWorkspace(Blueprint(directory / "trap", "dapi-trap-0123456789")) as trap,
    ):
        yield Workspaces(directory, {"store": store}, trap)
        assert not trap.requests
        store_requests = [each for each in store.requests if each["path"].startswith("/signed/")]
        assert {each["authorization"] for each in store_requests} == {""}


@pytest.fixture(scope="module")
def client(workspaces: Workspaces) -> Iterator[TrackingServerClient]:
    with workspaces.client("databricks://store", "plain") as started:
        yield started


@dataclass
class Download:
    """A downloaded file, the requests for it, and the number of bytes that the progress reported."""

    content: bytes
    url_requests: list[dict[str, Any]]
    file_requests: list[dict[str, Any]]
    reported_bytes: int

    @property
    def ranges(self) -> list[str]:
        """The Range headers of the requests, in order. "" is a request for the whole file."""
        return [request["range"] for request in self.file_requests]


def download(
    workspaces: Workspaces,
    client: TrackingServerClient,
    uri: str,
    directory: Path,
    size: int = len(LARGE),
    path: str = "model.bin",
) -> Download:
    destination = directory / "downloaded"
    destination.touch()
    workspace = workspaces["store"]
    before = len(workspace.requests)
    messages: list[Mapping[str, Any]] = []
    future: Future[None] = client.begin_fetch(uri, [FileRequest(path, size, str(destination))], messages.append)
    future.result()
    requests = workspace.requests[before:]
    return Download(
        destination.read_bytes(),
        # The Databricks SDK requests the host metadata once, before its first request.
        [each for each in requests if not each["path"].startswith(("/signed/", "/.well-known/"))],
        [each for each in requests if each["path"].startswith("/signed/")],
        sum(message["bytes"] for message in messages),
    )


def download_version(
    workspaces: Workspaces, client: TrackingServerClient, name: str, directory: Path, size: int = len(LARGE)
) -> Download:
    return download(workspaces, client, f"models:/{name}/1", directory, size)


@pytest.mark.parametrize(
    "host, uri",
    [
        ("databricks://store", "models:/plain/1"),
        ("databricks://store", f"dbfs:/databricks/mlflow-tracking/77/{'0a' * 16}/artifacts/model"),
        ("databricks-uc://store", "models:/ml.prod.large/1"),
    ],
    ids=["registry", "run", "catalog"],
)
def test_all_ranges_of_a_large_file_are_of_the_same_file_version(
    workspaces: Workspaces, tmp_path: Path, host: str, uri: str
) -> None:
    with workspaces.client(host, "ml.prod.large" if "ml.prod" in uri else "plain") as client:
        client.list(uri, lambda _: None)
        downloaded = download(workspaces, client, uri, tmp_path)
    assert downloaded.content == LARGE
    assert sorted(downloaded.ranges) == RANGES
    # The first response identifies the file version; the other requests are conditional on it.
    first, *rest = downloaded.file_requests
    assert (first["range"], first["if_range"]) == (RANGES[0], "")
    assert all(each["if_range"].startswith('"') for each in rest)
    assert len(downloaded.url_requests) == 1


def test_ranges_are_downloaded_in_parallel(workspaces: Workspaces, tmp_path: Path) -> None:
    # The proxy would open a connection for each request, even if the worker sent all requests on one.
    with workspaces.client("databricks://store", "plain", workspaces.direct_environment) as client:
        downloaded = download_version(workspaces, client, "plain", tmp_path)
    requests = {each["range"]: each for each in downloaded.file_requests}
    # Each response is delayed, so the second request would start later if it waited for the first response.
    assert requests[RANGES[1]]["client"] != requests[RANGES[2]]["client"]
    assert abs(requests[RANGES[1]]["time"] - requests[RANGES[2]]["time"]) < 0.4


def test_medium_file_is_downloaded_in_one_request(
    workspaces: Workspaces, client: TrackingServerClient, tmp_path: Path
) -> None:
    downloaded = download_version(workspaces, client, "medium", tmp_path, 10 * MIB)
    assert downloaded.content == LARGE[: 10 * MIB]
    assert downloaded.ranges == [""]
    assert len(downloaded.url_requests) == 1


def test_interrupted_range_is_resumed_where_it_stopped(
    workspaces: Workspaces, client: TrackingServerClient, tmp_path: Path
) -> None:
    downloaded = download_version(workspaces, client, "broken", tmp_path)
    assert downloaded.content == LARGE
    (resumed,) = (each for each in downloaded.file_requests if each["range"] not in RANGES)
    start, stop = (int(number) for number in resumed["range"].removeprefix("bytes=").split("-"))
    assert 8 * MIB < start <= 11 * MIB
    assert stop == 16 * MIB - 1
    assert resumed["if_range"] == downloaded.file_requests[1]["if_range"]
    assert len(downloaded.file_requests) == len(RANGES) + 1
    assert len(downloaded.url_requests) == 1


@pytest.mark.parametrize("name", ["expired", "lapsed"])
def test_range_is_not_downloaded_twice_after_a_new_presigned_url(
    workspaces: Workspaces, client: TrackingServerClient, tmp_path: Path, name: str
) -> None:
    downloaded = download_version(workspaces, client, name, tmp_path)
    assert downloaded.content == LARGE
    # One new URL serves all rejected ranges.
    assert len(downloaded.url_requests) == 2
    signatures = {each["query"]["signature"] for each in downloaded.file_requests}
    assert len(signatures) == 2
    assert "" not in downloaded.ranges
    served = [each["range"] for each in downloaded.file_requests if each["status"] == 206]
    assert len(served) == len(set(served)) == len(RANGES) + (name == "lapsed")


@pytest.mark.parametrize("name, seconds", [("busy", 2), ("throttled", 2), ("failing", 1)])
def test_request_to_a_busy_store_is_repeated_after_the_requested_delay(
    workspaces: Workspaces, client: TrackingServerClient, tmp_path: Path, name: str, seconds: float
) -> None:
    downloaded = download_version(workspaces, client, name, tmp_path)
    assert downloaded.content == LARGE
    assert sorted(downloaded.ranges) == sorted([*RANGES, RANGES[2]])
    rejected, retried = (each for each in downloaded.file_requests if each["range"] == RANGES[2])
    assert retried["status"] == 206
    assert retried["time"] - rejected["time"] >= seconds


def test_file_is_downloaded_once_from_a_store_without_range_support(
    workspaces: Workspaces, client: TrackingServerClient, tmp_path: Path
) -> None:
    downloaded = download_version(workspaces, client, "rangeless", tmp_path)
    assert downloaded.content == LARGE
    assert len(downloaded.file_requests) == 1


@pytest.mark.parametrize("name", ["tagless", "weak", "misplaced", "unplaced", "other_size", "encoded"])
def test_range_response_that_may_belong_to_another_file_version_is_discarded(
    workspaces: Workspaces, client: TrackingServerClient, tmp_path: Path, name: str
) -> None:
    downloaded = download_version(workspaces, client, name, tmp_path)
    assert downloaded.content == LARGE
    assert downloaded.ranges == [RANGES[0], ""]


def test_whole_file_is_requested_if_range_requests_are_rejected(
    workspaces: Workspaces, client: TrackingServerClient, tmp_path: Path
) -> None:
    downloaded = download_version(workspaces, client, "forbidding", tmp_path)
    assert downloaded.content == LARGE
    assert downloaded.ranges[-1] == ""


@pytest.mark.parametrize("name", ["changed", "changed_unseen", "changed_resumed"])
def test_file_replaced_between_ranges_is_downloaded_again(
    workspaces: Workspaces, client: TrackingServerClient, tmp_path: Path, name: str
) -> None:
    downloaded = download_version(workspaces, client, name, tmp_path)
    # No byte of the replaced file remains.
    assert downloaded.content == OTHER
    assert downloaded.ranges[-1] == ""


@pytest.mark.parametrize("name", ["grown", "shrunk"])
def test_file_whose_size_changed_since_its_listing_is_an_error(workspaces: Workspaces, name: str) -> None:
    result = workspaces.check("databricks://store", name, "1")
    assert result.report["error"]["type"] == TransferError.__name__, result.output
    assert f"was listed with {len(LARGE)}" in result.error.replace(",", "")


def test_presigned_url_for_a_fixed_range_gets_one_request_with_that_range(
    workspaces: Workspaces, client: TrackingServerClient, tmp_path: Path
) -> None:
    downloaded = download_version(workspaces, client, "fixed", tmp_path)
    assert downloaded.content == LARGE
    assert [(each["range"], each["if_range"]) for each in downloaded.file_requests] == [("bytes=0-", "")]


@pytest.mark.parametrize(
    "name, kind, text, reason",
    [
        ("gone", TransferError, "broke off before its end", "IncompleteRead"),
        ("refused", AccessError, "even with a fresh presigned URL (403)", "RefusedError: 403"),
    ],
)
def test_download_error_does_not_show_the_presigned_url(
    workspaces: Workspaces,
    client: TrackingServerClient,
    tmp_path: Path,
    name: str,
    kind: type[ModelGateError],
    text: str,
    reason: str,
) -> None:
    started = time.monotonic()
    with pytest.raises(kind) as caught:
        download_version(workspaces, client, name, tmp_path)
    assert time.monotonic() - started < 60
    assert text in caught.value.message
    assert reason in caught.value.detail
    text = f"{caught.value.message} {caught.value.remedy} {caught.value.detail}"
    assert "signature" not in text
    assert f"/{name}/1/" not in text


@pytest.mark.parametrize("name", ["plain", "rangeless", "begun_anew", "medium"])
def test_reported_progress_never_exceeds_the_file_size(
    workspaces: Workspaces, client: TrackingServerClient, tmp_path: Path, name: str
) -> None:
    size = 10 * MIB if name == "medium" else len(LARGE)
    downloaded = download_version(workspaces, client, name, tmp_path, size)
    assert size - 4 * MIB < downloaded.reported_bytes <= size
    assert len(downloaded.file_requests) == {"plain": 3, "begun_anew": 4}.get(name, 1)


def test_changed_byte_in_the_last_range_is_a_difference(workspaces: Workspaces) -> None:
    result = workspaces.check("databricks://store", "flipped", "1")
    (difference,) = result.report["comparison"]["differences"]
    assert (result.report["status"], difference["path"]) == ("different", "model.bin"), result.output
    assert difference["offset"] == len(LARGE) - 1
    assert workspaces.check("databricks://store", "plain", "1").report["status"] == "equal"


def test_store_is_reached_through_proxy_with_custom_certificate_authority(tmp_path: Path) -> None:
    store = "models.s3.example.com"
    blueprint = fill(Blueprint(tmp_path / "store", "dapi-store-0123456789"), ("plain", "medium"))
    blueprint.settings(store=f"https://{store}")
    with (
        EmulatedWorkspace(blueprint) as workspace,
        EmulatedWorkspace(Blueprint(tmp_path / "trap", "dapi-trap-0123456789")) as trap,
        HttpsProxy(tmp_path, {store: forward_to(workspace.url)}) as proxy,
    ):
        workspaces = Workspaces(tmp_path, {"store": workspace}, trap)
        workspaces.declare(f"https://{store}")
        with workspaces.client(
            "databricks://store", "plain", {**workspaces.environment, **proxy.environment}
        ) as client:
            assert download_version(workspaces, client, "plain", tmp_path).content == LARGE
            assert download_version(workspaces, client, "medium", tmp_path, 10 * MIB).content == LARGE[: 10 * MIB]
        ranges = [each.headers.get("range", "") for each in proxy.requests_to(store)]
    # The store's name resolves only through the proxy.
    assert sorted(ranges) == sorted([*RANGES, ""])

"""Large files behind presigned URLs: in parts, resumed, by fresh URLs, and never a byte of another file among them."""

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
from tests.databricks.internet import Internet, forward
from tests.databricks.workspaces import Bench, Blueprint, Emulated

MIB = 1024 * 1024
LARGE = random.Random(1).randbytes(20 * MIB + 12_345)
# Of the same size, and without a byte in common.
OTHER = bytes(byte ^ 255 for byte in LARGE)
RANGES = sorted(part.header for part in split_into_ranges(len(LARGE)))
# Its three parts; the middle one has most of the trouble.
FIRST, MIDDLE, LAST = ("bytes=0-", "bytes=8388608-", "bytes=16777216-")
RESUMED = "bytes=(?!8388608)[0-9]+-16777215"

# What goes wrong with which requests for the one large file of a model, by the model's name.
TROUBLE: dict[str, dict[str, dict[str, Any]]] = {
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


def troubled(blueprint: Blueprint, names: Collection[str] = TROUBLE) -> Blueprint:
    """Versions in the registry whose run models are one and the same, and whose own copies have some trouble."""
    contents = {"large": LARGE, "other": OTHER, "grown": LARGE + b"!", "shrunk": LARGE[: 9 * MIB]}
    contents |= {"flipped": LARGE[:-1] + bytes([LARGE[-1] ^ 1]), "medium": LARGE[: 10 * MIB]}
    blueprint.files("contents", {f"{name}.bin": content for name, content in contents.items()})

    def put(name: str, place: str) -> None:
        # A link, which a replacement then takes the place of.
        os.link(blueprint.directory / "contents" / f"{name}.bin", blueprint.directory / place)

    small = {"MLmodel": b"flavors: {}\n"}
    source = blueprint.run("0a" * 16, small, files_api="forbidden")
    put("large", "runs/" + "0a" * 16 + "/model/model.bin")
    blueprint.version("catalog", "ml.prod.large", "1", small, source="", storage="default-storage")
    put("large", "catalog/ml.prod.large/1/model.bin")
    blueprint.settings(uc_storage="default-storage", signed_ranges={"/fixed/": "bytes=0-"})
    for name in names:
        blueprint.version("registry", name, "1", small, source=source, run_id="0a" * 16)
        put(name if name in {"flipped", "medium"} else "large", f"registry/{name}/1/model.bin")
        for other in ("other", "grown", "shrunk"):
            put(other, f"registry/{name}/{other}.bin")
        for requests, fault in TROUBLE[name].items():
            blueprint.fault(f"GET /signed/.*/{name}/1/model.bin.* {requests}", **fault)
    return blueprint


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    directory = tmp_path_factory.mktemp("parts")
    with (
        Emulated(troubled(Blueprint(directory / "store", "dapi-store-0123456789"))) as one,
        Emulated(Blueprint(directory / "trap", "dapi-trap-0123456789")) as wrong,
    ):
        yield Bench(directory, {"store": one}, wrong)
        assert not wrong.requests
        to_store = [each for each in one.requests if each["path"].startswith("/signed/")]
        assert {each["authorization"] for each in to_store} == {""}


@pytest.fixture(scope="module")
def side(bench: Bench) -> Iterator[TrackingServerClient]:
    with bench.side("databricks://store", "plain") as started:
        yield started


@dataclass
class Fetched:
    """A file, and what was asked for it."""

    content: bytes
    drawn: list[dict[str, Any]]
    asked: list[dict[str, Any]]
    told: int

    @property
    def ranges(self) -> list[str]:
        """What was asked of the store, in order; "" for the whole file."""
        return [each["range"] for each in self.asked]


def fetch(
    bench: Bench, side: TrackingServerClient, uri: str, directory: Path, size: int = len(LARGE), path: str = "model.bin"
) -> Fetched:
    destination = directory / "fetched"
    destination.touch()
    workspace = bench.workspaces["store"]
    before = len(workspace.requests)
    notes: list[Mapping[str, Any]] = []
    fetching: Future[None] = side.begin_fetch(uri, [FileRequest(path, size, str(destination))], notes.append)
    fetching.result()
    requests = workspace.requests[before:]
    return Fetched(
        destination.read_bytes(),
        # The first request to a workspace is told what the workspace is, beside what it asks.
        [each for each in requests if not each["path"].startswith(("/signed/", "/.well-known/"))],
        [each for each in requests if each["path"].startswith("/signed/")],
        sum(note["bytes"] for note in notes),
    )


def registered(bench: Bench, side: TrackingServerClient, name: str, directory: Path, size: int = len(LARGE)) -> Fetched:
    return fetch(bench, side, f"models:/{name}/1", directory, size)


@pytest.mark.parametrize(
    "host, uri",
    [
        ("databricks://store", "models:/plain/1"),
        ("databricks://store", f"dbfs:/databricks/mlflow-tracking/77/{'0a' * 16}/artifacts/model"),
        ("databricks-uc://store", "models:/ml.prod.large/1"),
    ],
    ids=["registry", "run", "catalog"],
)
def test_a_large_file_comes_in_parts_of_one_and_the_same_file(
    bench: Bench, tmp_path: Path, host: str, uri: str
) -> None:
    with bench.side(host, "ml.prod.large" if "ml.prod" in uri else "plain") as side:
        side.list(uri, lambda _: None)
        fetched = fetch(bench, side, uri, tmp_path)
    assert fetched.content == LARGE
    assert sorted(fetched.ranges) == RANGES
    # The first one tells which file it is; the others are of that one only.
    first, *others = fetched.asked
    assert (first["range"], first["if_range"]) == (RANGES[0], "")
    assert all(each["if_range"].startswith('"') for each in others)
    assert len(fetched.drawn) == 1


def test_parts_come_side_by_side(bench: Bench, side: TrackingServerClient, tmp_path: Path) -> None:
    asked = {each["range"]: each for each in registered(bench, side, "plain", tmp_path).asked}
    # Both wait for their answers, so neither can have waited for the other's connection.
    assert asked[RANGES[1]]["client"] != asked[RANGES[2]]["client"]
    assert abs(asked[RANGES[1]]["time"] - asked[RANGES[2]]["time"]) < 0.4


def test_a_file_that_is_not_worth_parts_is_asked_for_once_and_whole(
    bench: Bench, side: TrackingServerClient, tmp_path: Path
) -> None:
    fetched = registered(bench, side, "medium", tmp_path, 10 * MIB)
    assert fetched.content == LARGE[: 10 * MIB]
    assert fetched.ranges == [""]
    assert len(fetched.drawn) == 1


def test_a_part_that_breaks_off_is_resumed_where_it_did(
    bench: Bench, side: TrackingServerClient, tmp_path: Path
) -> None:
    fetched = registered(bench, side, "broken", tmp_path)
    assert fetched.content == LARGE
    (resumed,) = (each for each in fetched.asked if each["range"] not in RANGES)
    start, stop = (int(number) for number in resumed["range"].removeprefix("bytes=").split("-"))
    assert 8 * MIB < start <= 11 * MIB
    assert stop == 16 * MIB - 1
    assert resumed["if_range"] == fetched.asked[1]["if_range"]
    assert len(fetched.asked) == len(RANGES) + 1
    assert len(fetched.drawn) == 1


@pytest.mark.parametrize("name", ["expired", "lapsed"])
def test_a_url_that_expires_in_the_middle_is_drawn_anew_and_nothing_comes_twice(
    bench: Bench, side: TrackingServerClient, tmp_path: Path, name: str
) -> None:
    fetched = registered(bench, side, name, tmp_path)
    assert fetched.content == LARGE
    # However many parts were refused.
    assert len(fetched.drawn) == 2
    signatures = {each["query"]["signature"] for each in fetched.asked}
    assert len(signatures) == 2
    assert "" not in fetched.ranges
    given = [each["range"] for each in fetched.asked if each["status"] == 206]
    assert len(given) == len(set(given)) == len(RANGES) + (name == "lapsed")


@pytest.mark.parametrize("name, seconds", [("busy", 2), ("throttled", 2), ("failing", 1)])
def test_a_store_that_is_busy_gets_the_time_that_it_asks_for(
    bench: Bench, side: TrackingServerClient, tmp_path: Path, name: str, seconds: float
) -> None:
    fetched = registered(bench, side, name, tmp_path)
    assert fetched.content == LARGE
    assert sorted(fetched.ranges) == sorted([*RANGES, RANGES[2]])
    refused, given = (each for each in fetched.asked if each["range"] == RANGES[2])
    assert given["status"] == 206
    assert given["time"] - refused["time"] >= seconds


def test_a_store_without_ranges_sends_the_file_once(bench: Bench, side: TrackingServerClient, tmp_path: Path) -> None:
    fetched = registered(bench, side, "rangeless", tmp_path)
    assert fetched.content == LARGE
    assert len(fetched.asked) == 1


@pytest.mark.parametrize("name", ["tagless", "weak", "misplaced", "unplaced", "other_size", "encoded"])
def test_parts_that_are_not_sure_to_be_the_files_are_not_used(
    bench: Bench, side: TrackingServerClient, tmp_path: Path, name: str
) -> None:
    fetched = registered(bench, side, name, tmp_path)
    assert fetched.content == LARGE
    assert fetched.ranges == [RANGES[0], ""]


def test_a_store_that_gives_no_parts_is_asked_for_the_whole(
    bench: Bench, side: TrackingServerClient, tmp_path: Path
) -> None:
    fetched = registered(bench, side, "forbidding", tmp_path)
    assert fetched.content == LARGE
    assert fetched.ranges[-1] == ""


@pytest.mark.parametrize("name", ["changed", "changed_unseen", "changed_resumed"])
def test_a_file_that_is_replaced_between_two_parts_is_fetched_anew(
    bench: Bench, side: TrackingServerClient, tmp_path: Path, name: str
) -> None:
    fetched = registered(bench, side, name, tmp_path)
    # Not a byte of the former file is among them.
    assert fetched.content == OTHER
    assert fetched.ranges[-1] == ""


@pytest.mark.parametrize("name", ["grown", "shrunk"])
def test_a_file_that_has_another_size_by_now_is_an_error(bench: Bench, name: str) -> None:
    result = bench.check("databricks://store", name, "1")
    assert result.report["error"]["type"] == TransferError.__name__, result.output
    assert f"was listed with {len(LARGE)}" in result.error.replace(",", "")


def test_a_url_for_a_range_of_its_own_is_used_as_it_is(
    bench: Bench, side: TrackingServerClient, tmp_path: Path
) -> None:
    fetched = registered(bench, side, "fixed", tmp_path)
    assert fetched.content == LARGE
    assert [(each["range"], each["if_range"]) for each in fetched.asked] == [("bytes=0-", "")]


@pytest.mark.parametrize(
    "name, kind, text, reason",
    [
        ("gone", TransferError, "broke off before its end", "IncompleteRead"),
        ("refused", AccessError, "even with a fresh presigned URL (403)", "RefusedError: 403"),
    ],
)
def test_a_file_that_never_comes_is_an_error_without_the_url(
    bench: Bench,
    side: TrackingServerClient,
    tmp_path: Path,
    name: str,
    kind: type[ModelGateError],
    text: str,
    reason: str,
) -> None:
    started = time.monotonic()
    with pytest.raises(kind) as caught:
        registered(bench, side, name, tmp_path)
    assert time.monotonic() - started < 60
    assert text in caught.value.message
    assert reason in caught.value.detail
    told = f"{caught.value.message} {caught.value.remedy} {caught.value.detail}"
    assert "signature" not in told
    assert f"/{name}/1/" not in told


@pytest.mark.parametrize("name", ["plain", "rangeless", "begun_anew", "medium"])
def test_progress_tells_what_has_come_and_nothing_twice(
    bench: Bench, side: TrackingServerClient, tmp_path: Path, name: str
) -> None:
    size = 10 * MIB if name == "medium" else len(LARGE)
    fetched = registered(bench, side, name, tmp_path, size)
    assert size - 4 * MIB < fetched.told <= size
    assert len(fetched.asked) == {"plain": 3, "begun_anew": 4}.get(name, 1)


def test_one_byte_that_differs_in_the_last_part_is_found(bench: Bench) -> None:
    result = bench.check("databricks://store", "flipped", "1")
    (difference,) = result.report["comparison"]["differences"]
    assert (result.report["status"], difference["path"]) == ("different", "model.bin"), result.output
    assert difference["offset"] == len(LARGE) - 1
    assert bench.check("databricks://store", "plain", "1").report["status"] == "equal"


def test_the_environments_proxy_and_certificates_lead_to_the_store(tmp_path: Path) -> None:
    store = "models.s3.example.com"
    blueprint = troubled(Blueprint(tmp_path / "store", "dapi-store-0123456789"), ("plain", "medium"))
    blueprint.settings(store=f"https://{store}")
    with (
        Emulated(blueprint) as workspace,
        Emulated(Blueprint(tmp_path / "trap", "dapi-trap-0123456789")) as trap,
        Internet(tmp_path, {store: forward(workspace.url)}) as internet,
    ):
        bench = Bench(tmp_path, {"store": workspace}, trap)
        with bench.side("databricks://store", "plain", {**bench.environment, **internet.environment}) as side:
            assert registered(bench, side, "plain", tmp_path).content == LARGE
            assert registered(bench, side, "medium", tmp_path, 10 * MIB).content == LARGE[: 10 * MIB]
        asked = [each.headers.get("range", "") for each in internet.of(store)]
    # No other way leads to a host of that name.
    assert sorted(asked) == sorted([*RANGES, ""])

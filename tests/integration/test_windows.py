"""Large files are compared window by window: with bounded scratch space, and never equal if they are not."""

from __future__ import annotations

import hashlib
import io
import json
import random
import re
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest

from model_gate.comparison.file_comparison import FileComparison
from model_gate.comparison.model_pair import SelectedModel, SelectedPair
from model_gate.comparison.models import compare_models
from model_gate.comparison.progress import NoProgress
from model_gate.domain.location import Location
from model_gate.errors import ModelGateError, TransferError, UnreachableError
from model_gate.sources.model_source import DirectorySource
from model_gate.sources.storage import Storage
from tests.support.faulty_server import Call, Fault
from tests.support.faulty_store import FaultyStore
from tests.support.gate_in_windows import (
    KIB,
    MLMODEL,
    SERVERS,
    STORES,
    WINDOW,
    WINDOWS,
    Gate,
    open_gate,
    range_of,
    serve,
)

LARGE = random.Random(1).randbytes(20 * WINDOW + 123)
LAST_BYTE = LARGE[:-1] + bytes([LARGE[-1] ^ 1])


# The worker of each kind starts once.
KINDS = [pytest.param(kind, marks=pytest.mark.xdist_group(f"windows_{kind}")) for kind in (*SERVERS, *STORES)]


@pytest.fixture(scope="module", params=KINDS)
def gate(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    with open_gate(request.param, tmp_path_factory.mktemp("home")) as opened:
        yield opened


def tree_hash(content: bytes) -> str:
    """Return the hash of a model with the large file `content`, as `sha256sum` computes it."""
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in (("MLmodel", MLMODEL), ("model.bin", content))}
    lines = sorted(f"{digest}  {name}\n" for name, digest in hashes.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def files(content: bytes) -> dict[str, bytes]:
    return {"model.bin": content}


def test_equal_files_have_the_hash_of_coreutils_and_bounded_scratch_space(gate: Gate) -> None:
    comparison = gate.compare(files(LARGE), files(LARGE))
    assert comparison.equals
    assert comparison.left.digest == comparison.right.digest == tree_hash(LARGE)
    assert 0 < gate.peak <= WINDOWS.scratch_bytes
    # A near server sends the file in one response. A distant one may have sent it before a range is requested.
    assert not gate.is_near or gate.ranges("Right") == [""]


def test_near_servers_need_less_scratch_space(gate: Gate) -> None:
    def send_slowly(call: Call) -> None:
        time.sleep(0.3)
        serve(call)

    # The left file waits for the right one.
    windows = replace(WINDOWS, near_scratch_bytes=4 * WINDOW)
    assert gate.compare(files(LARGE), files(LARGE), windows=windows, fault=send_slowly).equals
    assert gate.peak <= (windows.near_scratch_bytes if gate.is_near else windows.scratch_bytes)


@pytest.mark.parametrize("kind", ["far", *STORES])
def test_distant_file_is_requested_in_ranges(kind: str, tmp_path: Path) -> None:
    has_ranges = threading.Event()

    def wait_for_a_range(call: Call) -> None:
        if call.request.headers.get("Range"):
            has_ranges.set()
            serve(call)
            return
        call.handler.send_response(200)
        call.handler.send_header("Content-Length", str(len(call.file)))
        call.handler.send_header("ETag", '"1"')
        call.handler.end_headers()
        call.handler.wfile.write(call.file[:WINDOW])
        call.handler.wfile.flush()
        has_ranges.wait(1.5)
        call.handler.wfile.write(call.file[WINDOW:])

    with open_gate(kind, tmp_path) as gate:
        assert gate.compare(files(LARGE), files(LARGE), fault=wait_for_a_range).equals
    assert has_ranges.is_set()


# The page stands in place of a chunk, or begins in a chunk that was not sent completely.
@pytest.mark.parametrize("in_chunk", [0, 20])
@pytest.mark.parametrize("kind", SERVERS)
def test_error_page_in_the_middle_of_a_response_is_no_response_to_another_request(
    kind: str, in_chunk: int, tmp_path: Path
) -> None:
    def write_error_page(call: Call) -> None:
        call.handler.send_response(200)
        call.handler.send_header("Transfer-Encoding", "chunked")
        call.handler.end_headers()
        call.handler.wfile.write(b"%x\r\n%s\r\n" % (WINDOW + 5, call.file[: WINDOW + 5]))
        if in_chunk:
            call.handler.wfile.write(b"%x\r\n" % in_chunk)
        call.handler.wfile.write(b"HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\n\r\n<html>")
        call.close()

    with open_gate(kind, tmp_path) as gate, pytest.raises(TransferError) as raised:
        gate.compare(files(LARGE), files(LARGE), fault=write_error_page)
    ended = rf"model\.bin ended after {WINDOW + 5 + in_chunk:,} bytes and \d s, but was listed with {len(LARGE):,}\. "
    assert re.fullmatch(ended + f"The file is on {gate.server.url}.", raised.value.message)


def test_stream_of_a_distant_server_goes_on_if_the_server_answers_nothing_else_meanwhile(tmp_path: Path) -> None:
    sending = threading.Lock()

    def send_alone(call: Call) -> None:
        with sending:
            serve(call)

    large = bytes(64 * 1024 * KIB)
    with open_gate("far", tmp_path) as gate:
        assert gate.compare(files(large), files(large), fault=send_alone).equals
        assert gate.ranges("Right")[0] == ""
        assert not gate.compare(files(large), files(large[:-1] + b"!"), fault=send_alone).equals


@pytest.mark.parametrize("kind", SERVERS)
def test_remedy_for_a_server_that_sends_one_file_at_a_time_names_download_dir(kind: str, tmp_path: Path) -> None:
    sending = threading.Lock()

    def send_alone(call: Call) -> None:
        with sending:
            serve(call)

    # More than the buffers of two sockets.
    large = files(bytes(64 * 1024 * KIB))
    with open_gate(kind, tmp_path) as gate, pytest.raises(UnreachableError, match="does not answer") as raised:
        gate.compare(large, large, fault=send_alone, left_fault=send_alone)
    assert "If the server sends one file at a time" in raised.value.remedy
    assert "--download-dir" in raised.value.remedy


@pytest.mark.parametrize("offset", [0, WINDOW - 1, WINDOW, 13 * WINDOW + 7, len(LARGE) - 1])
def test_first_differing_byte_and_number_of_differing_bytes_are_exact(gate: Gate, offset: int) -> None:
    changed = bytearray(LARGE)
    for position in {offset, len(LARGE) - 1}:
        changed[position] ^= 255
    comparison = gate.compare(files(LARGE), files(bytes(changed)))
    (difference,) = comparison.differences
    assert difference.offset == offset
    assert difference.explanation is not None
    assert difference.explanation.summary.startswith(f"{1 + (offset < len(LARGE) - 1)} of {len(LARGE):,} bytes differ")
    assert comparison.left.digest == tree_hash(LARGE)
    assert comparison.right.digest == tree_hash(bytes(changed))


def without_ranges(call: Call) -> None:
    call.send(call.file)


def with_new_etags(call: Call) -> None:
    serve(call, f'"{time.monotonic_ns()}"')


def test_difference_at_the_front_ends_the_transfer_early(gate: Gate) -> None:
    large = bytes(32 * 1024 * KIB)
    sent = []

    def count(call: Call) -> None:
        if call.request.headers.get("Range"):
            sent.append(WINDOW)
            serve(call, content=large)
            return
        changed = b"!" + large[1:]
        call.handler.send_response(200)
        call.handler.send_header("Content-Length", str(len(changed)))
        call.handler.send_header("ETag", '"1"')
        call.handler.end_headers()
        for start in range(0, len(changed), WINDOW):
            call.handler.wfile.write(changed[start : start + WINDOW])
            sent.append(WINDOW)

    comparison = gate.compare(files(large), files(large), fault=count, is_enough=lambda file: bool(file.difference))
    (difference,) = comparison.differences
    assert (difference.offset, comparison.equals) == (0, False)
    assert difference.explanation is not None
    assert difference.explanation.summary.startswith("at least 1 of")
    # Sockets buffer some megabytes.
    assert sum(sent) < len(large) / 2


def test_one_file_of_two_comparisons_is_read_once(gate: Gate) -> None:
    gate.compare(files(LARGE), files(LARGE))
    gate.server.add("Other", {"MLmodel": MLMODEL, **files(LAST_BYTE)})
    gate.server.faults["Other/1/model"] = serve
    gate.server.requests.clear()
    with Storage(None) as storage:
        left, right, other = (SelectedModel(gate.source(name, storage)) for name in ("Left", "Right", "Other"))
        gate.server.requests.clear()
        pairs = [SelectedPair(left, right), SelectedPair(left, other)]
        first, second = compare_models(pairs, NoProgress(), windows=WINDOWS)
    assert (first.equals, second.equals) == (True, False)
    assert first.left.digest == first.right.digest == second.left.digest != second.right.digest
    assert second.differences[0].offset == len(LARGE) - 1
    requested = [header for header in gate.ranges("Left") if header]
    assert len(requested) == len(set(requested))
    assert gate.ranges("Left").count("") == 1


def test_local_file_is_compared_with_a_remote_one(gate: Gate, tmp_path: Path) -> None:
    gate.compare(files(LARGE), files(LARGE))
    model = tmp_path / "model"
    model.mkdir()
    (model / "MLmodel").write_bytes(MLMODEL)
    for content in (LARGE, LAST_BYTE):
        (model / "model.bin").write_bytes(content)
        with Storage(None) as storage:
            local = DirectorySource(model, Location(str(model), local_path=model), "local", storage)
            pair = SelectedPair(SelectedModel(local), SelectedModel(gate.source("Right", storage)))
            (comparison,) = compare_models([pair], NoProgress(), windows=WINDOWS)
        assert comparison.equals == (content == LARGE)


def test_kept_downloads_are_whole_files(gate: Gate, tmp_path: Path) -> None:
    gate.compare(files(LARGE), files(LARGE))
    with Storage(tmp_path / "kept") as storage:
        storage.make_download_dir()
        pair = SelectedPair(*(SelectedModel(gate.source(name, storage)) for name in ("Left", "Right")))
        (comparison,) = compare_models([pair], NoProgress(), windows=WINDOWS)
    assert comparison.equals
    assert (tmp_path / "kept" / "Right" / "model.bin").read_bytes() == LARGE


def test_changed_tensor_of_a_large_file_is_explained_from_the_windows_that_differ(gate: Gate) -> None:
    size = 10 * WINDOW
    tensors = {
        name: {"dtype": "F32", "shape": [size // 4], "data_offsets": [start, start + size]}
        for name, start in (("a", 0), ("b", size))
    }
    header = json.dumps(tensors).encode()
    left = len(header).to_bytes(8, "little") + header + bytes(2 * size)
    right = bytearray(left)
    right[-4:] = b"\0\0\x80\x3f"
    name = "model.safetensors"
    windows = replace(WINDOWS, explained_bytes=8 * WINDOW)
    comparison = gate.compare({name: left}, {name: bytes(right)}, windows=windows)
    explanation = comparison.differences[0].explanation
    assert explanation is not None
    assert (explanation.kind, explanation.note) == ("safetensors", "")
    assert [change.field for change in explanation.fields] == ["b"]
    assert explanation.fields[0].meaning == f"1 of {size // 4:,} elements changed, largest difference 1"
    limited = gate.compare({name: left}, {name: bytes(right)}).differences[0].explanation
    assert limited is not None
    assert limited.summary == f"2 of {len(left):,} bytes differ"
    assert "of both files again to explain a difference" in limited.note
    hurried = gate.compare({name: left}, {name: bytes(right)}, windows=replace(windows, explained_seconds=0.0))
    explanation = hurried.differences[0].explanation
    assert explanation is not None
    assert "for at most 0 seconds to explain a difference" in explanation.note


def test_large_file_in_only_one_model_is_never_a_rewrite(gate: Gate) -> None:
    # Without another difference, the file is fetched to find out whether MLflow has written it.
    comparison = gate.compare({"registered_model_meta": LARGE}, {})
    assert [difference.rewrite_reason for difference in comparison.differences] == [""]
    assert (comparison.equals, comparison.equivalent) == (False, False)
    assert comparison.left.digest is not None


def archives_of_two_dates(name: str = "model.npz") -> list[dict[str, bytes]]:
    archives = []
    for year in (2001, 2002):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr(zipfile.ZipInfo("a.npy", (year, 1, 1, 0, 0, 0)), LARGE)
        archives.append({name: buffer.getvalue()})
    return archives


@pytest.mark.parametrize("name", ["model.npz", "model.pt"])
@pytest.mark.parametrize("fault", [with_new_etags, without_ranges, serve])
def test_archives_are_compared_whole_and_equivalent_whatever_the_server_can_send(
    gate: Gate, name: str, fault: Fault
) -> None:
    archives = archives_of_two_dates(name)
    windows = replace(WINDOWS, rewritable_threshold_bytes=len(archives[0][name]))
    comparison = gate.compare(*archives, windows=windows, fault=fault)
    assert (comparison.equals, comparison.equivalent) == (False, True), comparison.differences
    assert gate.peak == 0


def test_archives_above_the_limit_are_compared_in_windows(gate: Gate) -> None:
    archives = archives_of_two_dates()
    windows = replace(WINDOWS, rewritable_threshold_bytes=len(archives[0]["model.npz"]) - 1)
    comparison = gate.compare(*archives, windows=windows, fault=with_new_etags)
    assert (comparison.equals, comparison.equivalent) == (False, False)
    assert gate.peak > 0
    explanation = comparison.differences[0].explanation
    assert explanation is not None
    assert "cannot send parts of model.npz again" in explanation.note


# A server that throttles is not near any more, so each case has a worker of its own.
@pytest.mark.parametrize("kind", ["near", "far", "s3"])
@pytest.mark.parametrize("status", [403, 500, 0])
def test_archive_that_fails_to_be_read_again_is_an_error(kind: str, status: int, tmp_path: Path) -> None:
    content = archives_of_two_dates()[1]["model.npz"]
    served: list[int] = []

    def fail_later(call: Call) -> None:
        start, stop = range_of(call, len(content))
        if sum(served) < len(content):
            served.append(stop - start)
            serve(call)
        elif status:
            call.send(b"", status)
        else:
            call.close()

    with open_gate(kind, tmp_path) as gate, pytest.raises(ModelGateError, match=r"model\.npz"):
        gate.compare(*archives_of_two_dates(), fault=fail_later)


@pytest.mark.parametrize("stops_early", [True, False])
def test_large_files_are_read_last_if_the_first_difference_is_enough(gate: Gate, stops_early: bool) -> None:
    left, right = ({**files(LARGE), "small.bin": content} for content in (b"left", b"more"))

    def is_enough(file: FileComparison) -> bool:
        return bool(file.difference)

    comparison = gate.compare(left, right, is_enough=is_enough if stops_early else None)
    assert [difference.path for difference in comparison.differences] == ["small.bin"]
    assert bool(gate.ranges("Right")) != stops_early


def test_small_file_is_read_beside_a_large_one_in_stores_only(gate: Gate) -> None:
    requested_early = threading.Event()
    is_store = isinstance(gate.server, FaultyStore)

    def has_small_request() -> bool:
        paths = [unquote(request.path.partition("?")[0]) for request in list(gate.server.requests)]
        return any(path.endswith("Right/1/MLmodel") for path in paths)

    def wait_for_the_small_file(call: Call) -> None:
        end = time.monotonic() + (1.5 if is_store else 0.5)
        while time.monotonic() < end and not requested_early.is_set():
            if has_small_request():
                requested_early.set()
            time.sleep(0.01)
        serve(call)

    assert gate.compare(files(LARGE), files(LARGE), fault=wait_for_the_small_file).equals
    assert requested_early.is_set() is is_store


@pytest.mark.parametrize("kind", STORES)
def test_error_of_a_small_file_ends_the_transfer_of_a_large_one(kind: str, tmp_path: Path) -> None:
    sent: list[int] = []

    def refuse_the_small_file(call: Call) -> None:
        if "model.small" in unquote(call.request.path):
            call.send(b"", 403)
            return
        start, stop = range_of(call, len(large))
        call.handler.send_response(206 if call.request.headers.get("Range") else 200)
        call.handler.send_header("Content-Length", str(stop - start))
        call.handler.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(large)}")
        call.handler.send_header("ETag", '"1"')
        call.handler.end_headers()
        for position in range(start, stop, 16 * KIB):
            call.handler.wfile.write(large[position : min(position + 16 * KIB, stop)])
            sent.append(position)
            time.sleep(0.05)

    large = bytes(4000 * KIB)
    model = {**files(large), "model.small": b"small"}
    with open_gate(kind, tmp_path) as gate:
        with pytest.raises(ModelGateError, match=r"model\.small"):
            gate.compare(model, model, fault=refuse_the_small_file)
        time.sleep(0.5)
        before = len(sent)
        time.sleep(0.5)
        assert len(sent) == before


def test_several_counterparts_that_are_large_together_are_compared_in_windows(gate: Gate) -> None:
    content = LARGE[: WINDOWS.threshold_bytes]
    gate.compare(files(content), files(content))
    assert gate.peak == 0
    gate.server.add("Other", {"MLmodel": MLMODEL, **files(content)})
    with Storage(None) as storage:
        left, right, other = (SelectedModel(gate.source(name, storage)) for name in ("Left", "Right", "Other"))
        compared = compare_models([SelectedPair(left, right), SelectedPair(left, other)], NoProgress(), windows=WINDOWS)
        assert all(comparison.equals for comparison in compared)
        assert any(storage.home.parent.glob("windows"))


def test_archive_with_several_counterparts_is_compared_whole(gate: Gate) -> None:
    archives = archives_of_two_dates()
    gate.compare(*archives)
    gate.server.add("Other", {"MLmodel": MLMODEL, **archives[1]})
    windows = replace(WINDOWS, rewritable_threshold_bytes=len(archives[0]["model.npz"]))
    with Storage(None) as storage:
        left, right, other = (SelectedModel(gate.source(name, storage)) for name in ("Left", "Right", "Other"))
        compared = compare_models([SelectedPair(left, right), SelectedPair(left, other)], NoProgress(), windows=windows)
        assert [comparison.equivalent for comparison in compared] == [True, True]
        assert not any(storage.home.parent.glob("windows"))


def test_large_archives_with_the_same_members_are_equivalent(gate: Gate) -> None:
    archives = archives_of_two_dates()
    # The verdict must not depend on the speed of the network.
    comparison = gate.compare(*archives, windows=replace(WINDOWS, explained_seconds=0.0))
    assert (comparison.equals, comparison.equivalent) == (False, True), comparison.differences
    changed = bytearray(archives[1]["model.npz"])
    changed[500_000] ^= 1
    assert not gate.compare(archives[0], {"model.npz": bytes(changed)}).equivalent

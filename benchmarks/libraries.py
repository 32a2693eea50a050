"""Compares each module that Model Gate writes itself with the library that could replace it.

    python -m benchmarks.libraries [--quick] [--runs N]

Each row runs both variants in turns, in one process, against the same server, and prints the ratio of the medians.
A ratio above 1 means that the library is slower.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import obstore
import requests
import urllib3
from obstore.store import HTTPStore
from urllib3.connection import HTTPConnection

from benchmarks import models
from benchmarks.environment import KIB, MIB
from benchmarks.link import Shape, link_to
from benchmarks.servers import Server, two_servers
from model_gate.comparison.small_files.comparer import SmallFileComparer
from model_gate.comparison.small_files.equality import SmallPair, digests_if_equal
from model_gate.domain.model import FileRequest
from model_gate.worker.transfer.batch import Batch
from model_gate.worker.transfer.byte_range import split_into_ranges
from model_gate.worker.transfer.concurrency import MAX_CONCURRENCY, ConcurrencyLimiter
from model_gate.worker.transfer.http_client import HttpClient
from model_gate.worker.transfer.quick_ack import set_quick_ack
from model_gate.worker.transfer.range_download import RangeDownload

_FAR = Shape(latency=0.05, rate=20e6)
_NEAR_SECONDS, _FAR_SECONDS = 0.003, 0.06
_CHUNK = 256 * KIB

Run = Callable[[], None]


@dataclass(frozen=True)
class Scale:
    """Amounts of work: numbers of files and bytes."""

    small_files: int = 400
    far_files: int = 200
    large_file: int = 256 * MIB
    local_pairs: int = 50_000


@dataclass(frozen=True)
class Row:
    """One comparison: what is done, our module, and the variants that use a library."""

    work: str
    module: str
    own: Run
    libraries: Mapping[str, Run]


def main() -> None:
    """Measure all rows and print a Markdown table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.libraries", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="little work, to see that it runs")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    scale = Scale(small_files=20, far_files=10, large_file=20 * MIB, local_pairs=500) if arguments.quick else Scale()
    _print("| work | own module | own | library | time | ratio |")
    _print("| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory(prefix="model-gate-libraries-") as scratch, two_servers(Path(scratch)) as servers:
        for row in _rows(Path(scratch), servers[0], scale):
            _measure(row, arguments.runs)


def _measure(row: Row, runs: int) -> None:
    variants = {"": row.own, **row.libraries}
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for run in variants.values():
        run()
    for _ in range(runs):
        for name, run in variants.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    own = medians.pop("")
    for name, median in medians.items():
        _print(f"| {row.work} | `{row.module}` | {own:.2f} s | {name} | {median:.2f} s | {median / own:.2f} × |")


def _rows(scratch: Path, server: Server, scale: Scale) -> Iterator[Row]:
    small = server.place("small", models.small_files(scale.small_files))
    urls = _urls(server, server.url, small)
    yield _small_file_row(urls)
    yield _concurrency_row("near server", urls, _NEAR_SECONDS, (1, 4, 16, 32))
    yield _batch_row(scratch, urls)
    with link_to(server.url, _FAR) as link:
        far = _urls(server, link.url, small)[: scale.far_files]
        yield _concurrency_row("far server, 50 ms", far, _FAR_SECONDS, (1, 4, 16, 32))
    large = server.place("large", models.one_file(scale.large_file))
    url = f"{server.url}/api/2.0/mlflow-artifacts/artifacts/{server.artifact_path(large)}/model.bin"
    yield _range_row(scratch, "near server", url, scale.large_file, _NEAR_SECONDS)
    with link_to(server.url, _FAR) as link:
        far_url = url.replace(server.url, link.url)
        yield _range_row(scratch, "far server, 50 ms", far_url, scale.large_file, _FAR_SECONDS)
    yield _processes_row(scratch, scale.local_pairs)


def _urls(server: Server, address: str, directory: Path) -> list[str]:
    root = f"{address}/api/2.0/mlflow-artifacts/artifacts/{server.artifact_path(directory)}"
    files = sorted(file for file in directory.rglob("*.bin"))
    return [f"{root}/{file.relative_to(directory).as_posix()}" for file in files]


def _client(url: str) -> HttpClient:
    with requests.Session() as session:
        request = session.prepare_request(requests.Request("GET", url))
        client = HttpClient.from_request(request, True, None)
    if client is None:
        raise RuntimeError("a proxy is set")
    return client


def _small_file_row(urls: Sequence[str]) -> Row:
    client = _client(urls[0])
    root, _ = _split(urls[:1])
    store = HTTPStore.from_url(root, client_options={"allow_http": True})
    plain, acknowledging = urllib3.PoolManager(), urllib3.PoolManager()
    acknowledging.pool_classes_by_scheme = {"http": _QuickAckPool, "https": urllib3.HTTPSConnectionPool}
    session = requests.Session()

    def own(url: str) -> None:
        with client.get(url, {}) as response:
            response.read()

    def one_after_another(get: Callable[[str], object]) -> Run:
        def run() -> None:
            for url in urls:
                get(url)

        return run

    return Row(
        f"{len(urls)} files of 4 KiB, one after another",
        "worker.transfer.http_client, quick_ack",
        one_after_another(own),
        {
            "urllib3": one_after_another(lambda url: plain.request("GET", url).data),
            "urllib3 with `TCP_QUICKACK`": one_after_another(lambda url: acknowledging.request("GET", url).data),
            "requests": one_after_another(lambda url: session.get(url, timeout=30).content),
            "obstore": one_after_another(lambda url: obstore.get(store, url.removeprefix(root + "/")).bytes()),
        },
    )


class _QuickAckConnection(HTTPConnection):
    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]  # as urllib3 declares its own
        set_quick_ack(self)
        return super().getresponse()


class _QuickAckPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _QuickAckConnection


def _split(urls: Sequence[str]) -> tuple[str, list[str]]:
    root = urls[0].partition("/api/")[0]
    return root, [url.removeprefix(root + "/") for url in urls]


def _concurrency_row(server: str, urls: Sequence[str], latency: float, sizes: Sequence[int]) -> Row:
    client = _client(urls[0])

    def fetch(url: str) -> None:
        with client.get(url, {}) as response:
            response.read()

    def adaptive() -> None:
        limiter = ConcurrencyLimiter()
        limiter.record_latency(latency)

        def limited(url: str) -> None:
            with limiter.request(4 * KIB):
                fetch(url)

        with ThreadPoolExecutor(MAX_CONCURRENCY) as pool:
            list(pool.map(limited, urls))

    def fixed(size: int) -> Run:
        def run() -> None:
            with ThreadPoolExecutor(size) as pool:
                list(pool.map(fetch, urls))

        return run

    def with_obstore() -> None:
        asyncio.run(_get_all(urls, 32))

    libraries = {f"`ThreadPoolExecutor({size})`": fixed(size) for size in sizes}
    return Row(
        f"{len(urls)} files of 4 KiB, {server}",
        "worker.transfer.concurrency",
        adaptive,
        libraries | {"obstore, 32 at once": with_obstore},
    )


async def _get_all(urls: Sequence[str], limit: int) -> None:
    root, paths = _split(urls)
    store = HTTPStore.from_url(root, client_options={"allow_http": True})
    semaphore = asyncio.Semaphore(limit)

    async def get(path: str) -> None:
        async with semaphore:
            response = await obstore.get_async(store, path)
            await response.bytes_async()

    await asyncio.gather(*map(get, paths))


def _batch_row(scratch: Path, urls: Sequence[str]) -> Row:
    client = _client(urls[0])
    requests_ = [FileRequest(url, 4 * KIB, str(scratch / f"file-{index}")) for index, url in enumerate(urls)]

    def fetch(request: FileRequest) -> None:
        with client.get(request.path, {}) as response:
            Path(request.destination).write_bytes(response.read())

    def own() -> None:
        limiter = ConcurrencyLimiter()
        limiter.record_latency(_NEAR_SECONDS)
        with ThreadPoolExecutor(MAX_CONCURRENCY) as pool:
            for start in range(0, len(requests_), 16):
                Batch(requests_[start : start + 16], limiter, pool).fetch(fetch)

    def one_task_each() -> None:
        limiter = ConcurrencyLimiter()
        limiter.record_latency(_NEAR_SECONDS)

        def limited(request: FileRequest) -> None:
            with limiter.request(request.size):
                fetch(request)

        with ThreadPoolExecutor(MAX_CONCURRENCY) as pool:
            list(pool.map(limited, requests_))

    return Row(
        f"{len(urls)} files of 4 KiB written, near server",
        "worker.transfer.batch",
        own,
        {"`ThreadPoolExecutor.map`, a task for each file": one_task_each},
    )


def _range_row(scratch: Path, server: str, url: str, size: int, latency: float) -> Row:
    client = _client(url)
    destination = scratch / "large.bin"

    def own() -> None:
        destination.write_bytes(b"")
        limiter = ConcurrencyLimiter()
        limiter.record_latency(latency)
        with ThreadPoolExecutor(MAX_CONCURRENCY) as pool:
            RangeDownload(client, limiter, pool, url, size).write_to(str(destination))

    def with_urllib3() -> None:
        with (
            urllib3.PoolManager() as pool,
            pool.request("GET", url, preload_content=False) as response,
            destination.open("wb") as file,
        ):
            for data in response.stream(_CHUNK):
                file.write(data)

    def with_obstore() -> None:
        root, (path,) = _split([url])
        store = HTTPStore.from_url(root, client_options={"allow_http": True})
        ranges = split_into_ranges(size)
        lock = threading.Lock()
        with destination.open("wb") as file, ThreadPoolExecutor(32) as pool:

            def fetch(start: int, stop: int) -> None:
                data = obstore.get_range(store, path, start=start, end=stop)
                with lock:
                    os.pwrite(file.fileno(), data, start)

            list(pool.map(lambda byte_range: fetch(byte_range.start, byte_range.stop), ranges))

    return Row(
        f"one file of {size // MIB} MiB, {server}",
        "worker.transfer.range_download, byte_range",
        own,
        {"urllib3, one stream": with_urllib3, "obstore, 32 ranges": with_obstore},
    )


def _processes_row(scratch: Path, count: int) -> Row:
    left, right = scratch / "left", scratch / "right"
    for directory in (left, right):
        directory.mkdir()
        models.small_tree(directory, count)
    names = sorted(file.relative_to(left).as_posix() for file in left.rglob("*.bin"))
    pairs: list[SmallPair] = [(f"{left}/{name}", f"{right}/{name}", KIB) for name in names]
    processes = len(os.sched_getaffinity(0))

    def own() -> None:
        with SmallFileComparer(pairs, processes) as comparer:
            for number in range(len(pairs)):
                if comparer.digest(number) is None:
                    raise RuntimeError("the pairs are equal")

    def with_executor(method: str) -> Run:
        def run() -> None:
            batches = [pairs[start : start + 200] for start in range(0, len(pairs), 200)]
            with ProcessPoolExecutor(processes, mp_context=get_context(method)) as pool:
                for digests in pool.map(digests_if_equal, batches):
                    if None in digests:
                        raise RuntimeError("the pairs are equal")

        return run

    return Row(
        f"{count:,} pairs of local files of 1 KiB",
        "comparison.small_files.comparer",
        own,
        {
            "`ProcessPoolExecutor`, spawn": with_executor("spawn"),
            "`ProcessPoolExecutor`, forkserver": with_executor("forkserver"),
        },
    )


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

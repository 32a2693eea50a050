"""Computes the SHA-256 of the files of one model. Each file is fetched once, hashed and released.

A large file of a tracking server is read window by window, so that it is never on disk whole.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from queue import SimpleQueue

from model_gate.comparison.digest import file_digest
from model_gate.comparison.fail_fast_pool import FailFastPool
from model_gate.comparison.fetching import begin_fetch
from model_gate.comparison.job_queue import MAX_BYTES_IN_PROGRESS, MAX_PAIRS_IN_PROGRESS
from model_gate.comparison.jobs import BATCH_JOBS, SMALL_JOB_BYTES
from model_gate.comparison.prefix_digests import PrefixDigests
from model_gate.comparison.progress import Progress
from model_gate.comparison.ranged_content import ReadBudget, ranged_content
from model_gate.comparison.small_files.comparer import SmallFileComparer, process_count
from model_gate.comparison.small_files.equality import SmallPair
from model_gate.domain.windows import WINDOWS, Windows
from model_gate.domain.wording import first_names, printable
from model_gate.errors import InternalError, storage_error
from model_gate.explanation.content import Content
from model_gate.regular_files import open_regular
from model_gate.sealing.digest_process import PROGRAM, digest_of
from model_gate.sources.model_source import ModelSource
from model_gate.sources.window_reader import WindowReader

# Smaller local files are hashed in batches: handing one to a thread takes longer than hashing it.
_LOCAL_SMALL_BYTES = 1024 * 1024
# A file that was read window by window is inspected by reading at most this much of it again.
_MAX_BYTES_READ_AGAIN = 16 * 1024**2
# Hashing releases the interpreter lock, so several threads run at once.
_THREADS = min(8, os.cpu_count() or 1)

Sizes = Mapping[str, int]
Digests = dict[str, str]
# Receives the path and the digest of a file. Returns whether no further digest is needed.
IsEnough = Callable[[str, str], bool]
# Receives the path, the digest and the content of a file, which can be read only during the call. Any thread calls it.
Inspect = Callable[[str, str, Content], None]


def hash_files(
    source: ModelSource,
    sizes: Sizes,
    progress: Progress,
    is_enough: IsEnough = lambda _path, _digest: False,
    windows: Windows = WINDOWS,
    inspect: Inspect | None = None,
) -> Digests:
    """Return the SHA-256 of files in hex, by path.

    Args:
        source: The source of the model.
        sizes: Listed size in bytes of each file, by path relative to the model's directory.
        progress: Receives the numbers of received bytes and hashed files.
        is_enough: Returns whether the digest of a file makes all further digests unnecessary. Files whose fetch has not
            begun are then left out.
        windows: Which files are read window by window, and how.
        inspect: Looks at each file before it is released and before `is_enough` is called for it.

    Raises:
        ModelGateError: A transfer failed, or a file cannot be read or does not have its listed size.
        InternalError: A file has no digest although all were wanted.
    """
    progress.begin(len(sizes), {} if source.is_local else {source.name: sum(sizes.values())})
    hasher = _Hasher(source, progress, is_enough, inspect)
    small = {path: size for path, size in sizes.items() if size < _LOCAL_SMALL_BYTES and source.local_file(path)}
    large = {path: size for path, size in sizes.items() if _is_windowed(source, size, windows)}
    hasher.hash_local(small)
    hasher.hash_groups({path: size for path, size in sizes.items() if path not in small and path not in large})
    # The digest of another file can make the transfer of the large files unnecessary.
    hasher.hash_windows(large, windows)
    if not hasher.is_done and (missing := sizes.keys() - hasher.digests.keys()):
        raise InternalError(
            f"No digest was computed of {first_names(missing)}.", "Please report it, with the listing of the model."
        )
    return hasher.digests


def _is_windowed(source: ModelSource, size: int, windows: Windows) -> bool:
    """Return whether a file is read window by window. Files of this machine are hashed in place."""
    return windows.is_large(size) and source.has_windows and not source.is_local


@dataclass(frozen=True)
class _Finished:
    """The digests of a group of files, or the error of its transfer."""

    sizes: Sizes
    result: Future[Digests]


class _Hasher:
    """Hashes files in several threads or processes.

    Only `_add` changes the attributes, in the caller's thread. `_hash` runs in the pool.
    """

    def __init__(self, source: ModelSource, progress: Progress, is_enough: IsEnough, inspect: Inspect | None) -> None:
        self.digests: Digests = {}
        self._source = source
        self._progress = progress
        self._is_enough = is_enough
        self._inspect = inspect
        self.is_done = False

    def hash_local(self, sizes: Sizes) -> None:
        """Hash small files of this machine."""
        files: list[SmallPair] = [(self._source.local_file(path), "", size) for path, size in sizes.items()]
        with SmallFileComparer(files, process_count(files), PROGRAM, digest_of) as comparer:
            for number, (path, size) in enumerate(sizes.items()):
                if self.is_done:
                    return
                if digest := comparer.digest(number):
                    if self._inspect is not None:
                        self._inspect(path, digest, _content(self._source.local_file(path), size))
                    self._add({path: digest})
                else:
                    # The file is read again here, to find out what is wrong with it.
                    self._add(self._hash_one(path, size))

    def _hash_one(self, path: str, size: int) -> Digests:
        return self._hash(self._source.begin_fetch({path: size}, lambda _: None).result())

    def hash_windows(self, sizes: Sizes, windows: Windows) -> None:
        """Read files window by window, the largest first, and hash the windows as they arrive."""
        for path, size in sorted(sizes.items(), key=lambda item: item[1], reverse=True):
            if self.is_done:
                return
            self._add({path: self._hash_windowed(path, size, windows)})

    def _hash_windowed(self, path: str, size: int, windows: Windows) -> str:
        def on_bytes(count: int) -> None:
            self._progress.received(self._source.name, count)

        hashed = 0
        with closing(self._source.open_file(path, size, on_bytes)) as file:
            with PrefixDigests([file]) as digests, WindowReader([file], windows) as reader:
                for window in reader:
                    try:
                        digests.add(window.files, lambda: ())
                    except OSError as error:
                        raise storage_error(error, f"read a part of {printable(path)}") from error
                    hashed += min(windows.window_bytes, size - window.start)
                digest = digests.hex(file)
            if hashed != size:
                raise InternalError(
                    f"Only {hashed:,} bytes of {printable(path)} were hashed.", "Please report it, with the listing."
                )
            if self._inspect is not None:
                budget = ReadBudget(path, _MAX_BYTES_READ_AGAIN, windows.explained_seconds)
                self._inspect(path, digest, ranged_content(file, budget))
        return digest

    def hash_groups(self, sizes: Sizes) -> None:
        """Fetch and hash files, the largest first."""
        pending = deque(_groups(sizes, batches=self._source.is_near))
        finished: SimpleQueue[_Finished] = SimpleQueue()
        max_bytes = max(MAX_BYTES_IN_PROGRESS, max(sizes.values(), default=0))
        files = size = 0
        with FailFastPool(_THREADS) as pool:
            while True:
                while pending and not self.is_done and files < MAX_PAIRS_IN_PROGRESS:
                    if size + sum(pending[0].values()) > max_bytes:
                        break
                    group = pending.popleft()
                    files, size = files + len(group), size + sum(group.values())
                    self._start(group, pool, finished)
                if not files:
                    return
                group_finished = finished.get()
                files, size = files - len(group_finished.sizes), size - sum(group_finished.sizes.values())
                self._add(group_finished.result.result())

    def _add(self, digests: Digests) -> None:
        for path, digest in digests.items():
            self.digests[path] = digest
            self.is_done = self._is_enough(path, digest) or self.is_done
        self._progress.advance(len(digests))

    def _start(self, group: Sizes, pool: ThreadPoolExecutor, finished: SimpleQueue[_Finished]) -> None:
        """Begin to fetch a group of files. The pool hashes them after all of them have arrived."""

        def on_fetched(fetch: Future[dict[str, str]]) -> None:
            if error := fetch.exception():
                failed: Future[Digests] = Future()
                failed.set_exception(error)
                finished.put(_Finished(group, failed))
                return
            try:
                hashing = pool.submit(self._hash, fetch.result())
            except RuntimeError:
                # The pool is shut down because another group failed, so nothing waits for this group.
                return
            hashing.add_done_callback(lambda result: finished.put(_Finished(group, result)))

        begin_fetch(self._source, group, self._progress).add_done_callback(on_fetched)

    def _hash(self, files: Mapping[str, str]) -> Digests:
        """Return the digest of each fetched file, and release the files. `files` has their local paths."""
        digests: Digests = {}
        for path, file in files.items():
            try:
                digests[path] = file_digest(file)
                if self._inspect is not None:
                    self._inspect(path, digests[path], Content.of_file(file))
            except OSError as error:
                raise storage_error(error, f"read {printable(path)}") from error
            self._source.release(file)
        return digests


def _content(file: str, size: int) -> Content:
    # `Content.of_file` reads the status of the file. Here the size is known, and few of the files are inspected.
    return Content(size, lambda: open(file, "rb", opener=open_regular))


def _groups(sizes: Sizes, *, batches: bool) -> Iterator[Sizes]:
    """Yield the files that are fetched together: the largest first, one at a time; small files in batches."""
    ordered = sorted(sizes.items(), key=lambda item: item[1], reverse=True)
    small = [item for item in ordered if batches and item[1] < SMALL_JOB_BYTES]
    yield from ({path: size} for path, size in ordered[: len(ordered) - len(small)])
    yield from map(dict, _chunks(small))


def _chunks(items: Sequence[tuple[str, int]]) -> Iterable[Sequence[tuple[str, int]]]:
    return (items[start : start + BATCH_JOBS] for start in range(0, len(items), BATCH_JOBS))

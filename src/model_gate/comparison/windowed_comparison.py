"""Compares pairs of large files window by window, as the windows arrive. No file is on disk whole.

`filecmp` decides on each window. Two files are equal if they have the same size and all their windows are equal.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from model_gate.comparison.file_comparison import (
    FileComparison,
    content_difference,
    have_same_content,
    one_sided_difference,
)
from model_gate.comparison.jobs import Job, PendingPair, SourceFile
from model_gate.comparison.prefix_digests import PrefixDigests
from model_gate.comparison.progress import Progress
from model_gate.comparison.ranged_content import ReadBudget, ranged_content
from model_gate.domain.difference import Difference, DifferenceKind
from model_gate.domain.limits import LIMITS
from model_gate.domain.pairing import Pair
from model_gate.domain.rewrites import may_be_rewritten
from model_gate.domain.windows import WINDOWS, Windows
from model_gate.domain.wording import printable
from model_gate.errors import InternalError, TransferError, storage_error
from model_gate.explanation import Explainer
from model_gate.explanation.content import Content, ContentPair, KnownDifference
from model_gate.explanation.raw_bytes import MAX_COUNTED_BYTES, count_differing, first_differing_byte
from model_gate.sources.window_reader import ReadWindow, WindowReader
from model_gate.sources.windowed_file import WindowedFile

# After a comparison that stopped at its first difference, at most this much is read again to explain it.
_MAX_EXPLAINED_EARLY = 32 * 1024 * 1024

IsEnough = Callable[[FileComparison], bool]


def is_windowed(job: Job, windows: Windows = WINDOWS) -> bool:
    """Return whether the files of a job are compared window by window: they are large, and all can be read so."""
    if job.is_local or job.size <= windows.threshold_bytes:
        return False
    sizes = job.file_sizes()
    is_rewritable = any(_may_be_rewritten(pending.pair) for pending in job.pairs)
    threshold = windows.rewritable_threshold_bytes if is_rewritable else windows.threshold_bytes
    # With several counterparts of a file, the files together can be large.
    are_large = not is_rewritable and job.size > 2 * threshold
    is_large = are_large or any(size > threshold for size in sizes.values())
    return is_large and all(file.source.has_windows for file in sizes)


def _may_be_rewritten(pair: Pair) -> bool:
    return pair.left is not None and pair.right is not None and may_be_rewritten(pair.left, pair.right)


@dataclass
class _State:
    """What is known about a pair of files so far.

    Attributes:
        pending: The pair.
        compared: Bytes of the windows that were compared.
        offset: Offset of the first differing byte, None if there is none yet.
        differing: Number of differing bytes.
        counted: Bytes of the differing blocks whose bytes were counted.
        is_cut: Whether `differing` is a lower bound.
        ranges: Start and stop of the windows that differ, joined if they touch.
        is_stopped: Whether the comparison stopped before the end, because a difference is enough.
    """

    pending: PendingPair
    compared: int = 0
    offset: int | None = None
    differing: int = 0
    counted: int = 0
    is_cut: bool = False
    ranges: list[tuple[int, int]] = field(default_factory=list)
    is_stopped: bool = False

    @property
    def files(self) -> list[SourceFile]:
        """The files of the pair."""
        return [file for file in (self.pending.left, self.pending.right) if file is not None]

    def add_difference(self, start: int, left: str | None, right: str | None, size: int) -> None:
        """Record a window that differs. A half that does not exist, because its file has ended, is None."""
        left_half, right_half = (
            Content.of_bytes(b"") if half is None else Content.of_file(half) for half in (left, right)
        )
        if self.offset is None:
            offset = first_differing_byte(left_half, right_half)
            if offset is None:
                raise InternalError(
                    f"A part of {printable(self.pending.pair.path)} changed while it was compared.",
                    "Check that no other program writes to the temporary directory.",
                )
            self.offset = start + offset
        if left_half.size == right_half.size:
            self._count(ContentPair(self.pending.pair.path, left_half, right_half))
        if self.ranges and self.ranges[-1][1] == start:
            start, _ = self.ranges.pop()
        self.ranges.append((start, start + size))

    def _count(self, contents: ContentPair) -> None:
        if self.counted >= MAX_COUNTED_BYTES:
            self.is_cut = True
            return
        count = count_differing(contents, MAX_COUNTED_BYTES - self.counted)
        self.differing += count.differing
        self.counted += count.counted
        self.is_cut = self.is_cut or count.is_cut


class WindowedComparison:
    """Compares the pairs of one job. Use it once.

    Args:
        job: The job. Each of its files is read once, however many pairs need it.
        windows: The sizes of windows and of the scratch space.
        explainer: Explains differences.
        is_enough: Returns whether a file comparison settles the verdict of its pair of models.
        progress: Receives the received bytes.
    """

    def __init__(
        self, job: Job, windows: Windows, explainer: Explainer, is_enough: IsEnough, progress: Progress
    ) -> None:
        self._job = job
        self._windows = windows.for_servers(are_near=all(file.source.is_near for file in job.file_sizes()))
        self._explainer = explainer
        self._is_enough = is_enough
        self._progress = progress
        self._states = [_State(pending) for pending in job.pairs]
        self._files: dict[SourceFile, WindowedFile] = {}
        self._is_stopped = threading.Event()

    def run(self) -> list[FileComparison]:
        """Compare the files and return the comparison of each pair, in the order of the job's pairs.

        Raises:
            ModelGateError: A transfer failed, or a local file cannot be read.
        """
        with ExitStack() as stack:
            for file, size in self._job.file_sizes().items():
                self._files[file] = self._open(stack, file, size)
            if self._is_stopped.is_set():
                raise _stopped_error()
            digests = stack.enter_context(PrefixDigests(self._files.values()))
            try:
                self._read(digests)
                return [self._result(state, digests) for state in self._states]
            except OSError as error:
                raise storage_error(error, f"read a part of {printable(self._job.pairs[0].pair.path)}") from error

    def stop(self) -> None:
        """End the transfer of the files. `run`, which another thread has called, ends soon, mostly with an error."""
        self._is_stopped.set()
        for file in list(self._files.values()):
            file.stop()

    def _open(self, stack: ExitStack, file: SourceFile, size: int) -> WindowedFile:
        received = 0

        def on_bytes(count: int) -> None:
            nonlocal received
            received += count
            self._progress.received(file.source.name, count)

        opened = file.source.open_file(file.path, size, on_bytes)
        stack.callback(opened.close)
        if not file.source.is_local:
            stack.callback(lambda: self._progress.received(file.source.name, size - received))
        return opened

    def _read(self, digests: PrefixDigests[WindowedFile]) -> None:
        files = list(self._files.values())
        with WindowReader(files, self._windows) as reader:
            for window in reader:
                if self._is_stopped.is_set():
                    raise _stopped_error()
                digests.add(window.files, lambda window=window: self._compare(window))  # type: ignore[misc]
                needed = {self._files[file] for state in self._states if not state.is_stopped for file in state.files}
                for file in [file for file in files if file not in needed]:
                    files.remove(file)
                    reader.drop(file)

    def _compare(self, window: ReadWindow) -> list[tuple[WindowedFile, WindowedFile]]:
        """Compare a window of each pair. Return the pairs of files that have equal bytes in it."""
        equal: list[tuple[WindowedFile, WindowedFile]] = []
        for state in self._states:
            if state.is_stopped or len(state.files) < 2:
                continue
            left, right = (self._files[file] for file in state.files)
            halves = window.files.get(left), window.files.get(right)
            if halves == (None, None):
                continue
            size = min(self._windows.window_bytes, max(left.size, right.size) - window.start)
            if halves[0] is not None and halves[1] is not None and have_same_content(halves[0], halves[1]):
                equal.append((left, right))
            else:
                state.add_difference(window.start, *halves, size)
                state.is_stopped = self._is_settled_by_a_difference(state.pending)
            state.compared += size
        return equal

    def _is_settled_by_a_difference(self, pending: PendingPair) -> bool:
        """Return whether any difference of a pair settles the verdict, whatever its explanation is."""
        pair = pending.pair
        reason = "unknown yet" if _may_be_rewritten(pair) else ""
        difference = Difference(
            pair.path,
            DifferenceKind.CONTENT,
            rewrite_reason=reason,
            is_native=pair.is_native,
            ignored_by=pair.ignored_by,
        )
        return self._is_enough(FileComparison(pair, difference))

    def _result(self, state: _State, digests: PrefixDigests[WindowedFile]) -> FileComparison:
        pair = state.pending.pair
        left, right = (
            None if file is None else self._files[file] for file in (state.pending.left, state.pending.right)
        )
        left_digest, right_digest = (None if file is None else digests.hex(file) for file in (left, right))
        if left is None or right is None:
            return FileComparison(pair, one_sided_difference(pair), left_digest, right_digest)
        if state.offset is None:
            if not state.compared == left.size == right.size:
                raise InternalError(
                    f"Only {state.compared:,} bytes of {printable(pair.path)} were compared.",
                    "Please report it, with the listing of both models.",
                )
            return FileComparison(pair, None, left_digest, right_digest)
        difference = self._difference(state, left, right)
        if state.is_stopped:
            left_digest = right_digest = None
        return FileComparison(pair, difference, left_digest, right_digest)

    def _difference(self, state: _State, left: WindowedFile, right: WindowedFile) -> Difference:
        pair = state.pending.pair
        ranges: Sequence[tuple[int, int]] = state.ranges
        explained, seconds = self._windows.explained_bytes, self._windows.explained_seconds
        decides = _may_be_rewritten(pair) and not state.is_stopped
        if state.is_stopped:
            explained = min(explained, _MAX_EXPLAINED_EARLY)
            ranges = [(ranges[0][0], max(left.size, right.size))]
        elif decides:
            # Every byte must be read again to find that two archives are equivalent.
            explained += 2 * (left.size + right.size)
            seconds += explained / LIMITS.transfer_bytes_per_second
        budget = ReadBudget(pair.path, explained, seconds)
        offset = state.offset or 0
        known = KnownDifference(offset, state.differing, state.is_cut or state.is_stopped, tuple(ranges))
        contents = ContentPair(pair.path, ranged_content(left, budget), ranged_content(right, budget), known=known)
        difference = content_difference(pair, offset, self._explainer.explain_contents(contents))
        if decides and budget.failure is not None:
            # Whether the archives are equivalent must not depend on the network.
            raise budget.failure
        return difference


def _stopped_error() -> TransferError:
    return TransferError("The comparison of a large file was ended early.", "See the error of the gate.")

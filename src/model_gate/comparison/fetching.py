"""Fetches files of a source, and reports the received bytes."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future

from model_gate.comparison.progress import Progress
from model_gate.sources.model_source import ModelSource


def begin_fetch(source: ModelSource, sizes: Mapping[str, int], progress: Progress) -> Future[dict[str, str]]:
    """Begin to fetch files, and return a future of their local paths, by path relative to the model's root.

    Args:
        source: The source of the model.
        sizes: Listed size in bytes of each file, by path relative to the model's root.
        progress: Receives the number of received bytes, unless the files are on this machine.
    """
    if source.is_local:
        return source.begin_fetch(sizes, lambda _: None)
    reported = 0

    def on_bytes(count: int) -> None:
        nonlocal reported
        reported += count
        progress.received(source.name, count)

    fetch = source.begin_fetch(sizes, on_bytes)
    # Some artifact stores report no progress, so the remaining bytes are reported at the end.
    fetch.add_done_callback(lambda _: progress.received(source.name, sum(sizes.values()) - reported))
    return fetch

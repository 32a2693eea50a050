"""Bounds the disk space of gates that run side by side: only one at a time transfers a large model."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_MIB = 1024**2


class TransferSlots:
    """Admits transfers of models. Small models need no slot; large models wait for each other. Thread-safe.

    A gate needs up to 512 MiB of scratch space for large models, whatever their size. With the slots, all gates of a
    run together need this space once, and `small_bytes` for each other gate.

    Args:
        small_bytes: The most bytes that a gate can transfer without a slot.
    """

    def __init__(self, small_bytes: int = 64 * _MIB) -> None:
        self._small_bytes = small_bytes
        self._slot = threading.Lock()

    @contextmanager
    def transfer(self, size: int) -> Iterator[None]:
        """Wait until a transfer of `size` bytes may begin. It must end with the block."""
        if size <= self._small_bytes:
            yield
            return
        with self._slot:
            yield

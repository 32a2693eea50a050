"""The interface through which a comparison reports its progress."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Progress(Protocol):
    """Receives the progress of a gate. Every method may be called from any thread."""

    def listing(self, name: str, files: int) -> None:
        """Report the number of files of a model found so far."""

    def begin(self, files: int, sizes: Mapping[str, int]) -> None:
        """Report the number of pairs of files to compare, and the bytes to fetch by name of the model."""

    def received(self, name: str, size: int) -> None:
        """Report that `size` more bytes of a model have arrived."""

    def advance(self, files: int) -> None:
        """Report that `files` more pairs of files are compared."""


class NoProgress:
    """Discards all progress."""

    def listing(self, name: str, files: int) -> None:
        """Do nothing."""

    def begin(self, files: int, sizes: Mapping[str, int]) -> None:
        """Do nothing."""

    def received(self, name: str, size: int) -> None:
        """Do nothing."""

    def advance(self, files: int) -> None:
        """Do nothing."""

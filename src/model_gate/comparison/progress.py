"""The interface through which a comparison reports its progress."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Progress(Protocol):
    """What a gate tells while it works. Any thread may tell."""

    def listing(self, name: str, files: int) -> None:
        """So many files of that model were found so far."""

    def begin(self, files: int, sizes: Mapping[str, int]) -> None:
        """So many pairs of files will be compared, and so many bytes fetched of each model."""

    def received(self, name: str, size: int) -> None:
        """So many bytes more of that model have come."""

    def advance(self, files: int) -> None:
        """So many pairs of files more were compared."""


class NoProgress:
    """No progress is told."""

    def listing(self, name: str, files: int) -> None:
        """Nothing."""

    def begin(self, files: int, sizes: Mapping[str, int]) -> None:
        """Nothing."""

    def received(self, name: str, size: int) -> None:
        """Nothing."""

    def advance(self, files: int) -> None:
        """Nothing."""

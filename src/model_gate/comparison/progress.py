"""The interface through which a comparison reports its progress."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Progress(Protocol):
    """Receives the progress of a comparison. Its methods may be called from any thread."""

    def listing(self, name: str, files: int) -> None:
        """Report that `files` files of the model `name` have been listed so far."""

    def begin(self, files: int, sizes: Mapping[str, int]) -> None:
        """Report the number of files to compare. `sizes` has the number of bytes to fetch for each model, by its name.

        A path that occurs in several pairs of models is counted once.
        """

    def received(self, name: str, size: int) -> None:
        """Report that `size` more bytes of the model `name` have arrived."""

    def advance(self, files: int) -> None:
        """Report that `files` more files have been compared, counted as in `begin`."""


class NoProgress:
    """An implementation of `Progress` that ignores all reports."""

    def listing(self, name: str, files: int) -> None:
        """Do nothing."""

    def begin(self, files: int, sizes: Mapping[str, int]) -> None:
        """Do nothing."""

    def received(self, name: str, size: int) -> None:
        """Do nothing."""

    def advance(self, files: int) -> None:
        """Do nothing."""

"""A model in an object store, twice."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.models import Make
from tests.support.emulated_bucket import upload
from tests.support.emulators import Emulator


@dataclass(frozen=True)
class StoredModel:
    """Two copies of a model in an object store.

    Attributes:
        emulator: The store.
        name: First part of the names of both directories in the bucket.
        url: Address of a forwarder to the store; empty for the store itself.
    """

    emulator: Emulator
    name: str
    url: str = ""

    @property
    def prefixes(self) -> tuple[str, str]:
        """The directories of both copies in the bucket."""
        return f"{self.name}_left", f"{self.name}_right"

    @property
    def locations(self) -> list[str]:
        """The URIs of both copies."""
        return [self.emulator.location(prefix) for prefix in self.prefixes]

    def through(self, url: str) -> StoredModel:
        """Return the same model, which is read through a forwarder."""
        return replace(self, url=url)


def store_model(emulator: Emulator, name: str, make: Make, scratch: Path) -> StoredModel:
    """Create a model, and upload it twice. `scratch` is a directory for its files until they are uploaded."""
    stored = StoredModel(emulator, name)
    with tempfile.TemporaryDirectory(dir=scratch) as directory:
        root = Path(directory)
        make(root)
        files = {file.relative_to(root).as_posix(): file for file in root.rglob("*") if file.is_file()}
        for prefix in stored.prefixes:
            upload(emulator, {f"{prefix}/{path}": file for path, file in files.items()})
    return stored

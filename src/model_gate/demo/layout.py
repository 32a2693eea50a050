"""The files and directories of the demo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from model_gate.errors import InputError, storage_error
from model_gate.sources.storage import remove_tree

MODEL = "Sklearn_Wine"
ALIAS = "champion"
# Numbers of the model's versions in production. Staging has only version 1.
PROMOTED, TAMPERED, LOGGED_AGAIN = "1", "2", "3"

# This file marks a directory as the demo's, so that a directory of the user is never overwritten.
_MARKER = ".model-gate-demo"
_MARKER_TEXT = "Made by `model-gate demo`. Running it again replaces the registries and the reports.\n"


@dataclass(frozen=True)
class DemoRegistry:
    """One of the two embedded MLflow registries.

    Attributes:
        database: Path of the SQLite database.
        artifacts: Directory of the artifacts.
    """

    database: Path
    artifacts: Path

    @property
    def host(self) -> str:
        """The URI that names the registry in commands and compare files."""
        return f"sqlite:///{self.database}"


@dataclass(frozen=True)
class Layout:
    """Paths in the demo's directory. If the directory is relative, so are all paths, which keeps the commands short.

    Attributes:
        directory: The demo's directory.
    """

    directory: Path

    @property
    def staging(self) -> DemoRegistry:
        """The registry in which the model is trained and tested."""
        return self._registry("staging")

    @property
    def production(self) -> DemoRegistry:
        """The registry to which the model is promoted."""
        return self._registry("production")

    @property
    def reports(self) -> Path:
        """The directory of the reports."""
        return self.directory / "reports"

    def report(self, name: str) -> Path:
        """Return the path of the JSON report `name` that a gate of the demo writes."""
        return self.reports / f"{name}.json"

    def compare_file(self, name: str) -> Path:
        """Return the path of the YAML file `name`, which names the two versions of a comparison."""
        return self.directory / f"{name}.yaml"

    def prepare(self) -> None:
        """Make the directory, and remove the files of an earlier demo from it.

        Raises:
            InputError: The directory has files that no demo made, or its path cannot be part of a database URI.
            StorageError: The directory cannot be written.
        """
        if set("?#") & set(str(self.directory)):
            raise InputError(
                f"The demo's directory {self.directory} has a ? or a # in its path. A database URI cannot have one.",
                "Name another one with --directory.",
            )
        try:
            self._require_own_directory()
            for registry in (self.staging, self.production):
                registry.database.unlink(missing_ok=True)
                remove_tree(registry.artifacts)
            remove_tree(self.reports)
            self.directory.mkdir(parents=True, exist_ok=True)
            (self.directory / _MARKER).write_text(_MARKER_TEXT)
            for directory in (self.staging.artifacts, self.production.artifacts, self.reports):
                directory.mkdir()
        except OSError as error:
            raise storage_error(error, f"make the demo's directory {self.directory}") from error

    def _require_own_directory(self) -> None:
        if self.directory.exists() and any(self.directory.iterdir()) and not (self.directory / _MARKER).exists():
            raise InputError(
                f"The directory {self.directory} is not empty and was not made by the demo.",
                "Name another one with --directory.",
            )

    def _registry(self, name: str) -> DemoRegistry:
        return DemoRegistry(self.directory / f"{name}.db", self.directory / name)

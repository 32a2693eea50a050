"""Where the demo keeps what it makes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from model_gate.errors import InputError, storage_error
from model_gate.sources.storage import remove_tree

MODEL = "Sklearn_Wine"
ALIAS = "champion"
# The model's versions in production; in staging there is one.
PROMOTED, TAMPERED, LOGGED_AGAIN = "1", "2", "3"

# What tells a demo's directory from one that holds something of the user's.
_MARK = ".model-gate-demo"
_MARK_TEXT = "Made by `model-gate demo`. Running it again makes the registries and the reports anew.\n"


@dataclass(frozen=True)
class DemoRegistry:
    """One of the two embedded MLflow registries.

    Attributes:
        database: Its database.
        artifacts: The directory of its artifacts.
    """

    database: Path
    artifacts: Path

    @property
    def host(self) -> str:
        """Its URI, as commands and compare files name it."""
        return f"sqlite:///{self.database}"


@dataclass(frozen=True)
class Layout:
    """The demo's directory. All paths are relative if it is, so that commands stay short."""

    directory: Path

    @property
    def staging(self) -> DemoRegistry:
        """Where the model was trained and tested."""
        return self._registry("staging")

    @property
    def production(self) -> DemoRegistry:
        """Where it was promoted to."""
        return self._registry("production")

    @property
    def reports(self) -> Path:
        """The directory of the reports."""
        return self.directory / "reports"

    def report(self, name: str) -> Path:
        """The report of that name."""
        return self.reports / f"{name}.json"

    def compare_file(self, name: str) -> Path:
        """The compare file of that name."""
        return self.directory / f"{name}.yaml"

    def prepare(self) -> None:
        """Make the directory; replace an earlier demo in it.

        Raises:
            InputError: It holds something else, or cannot be part of a database's URI.
            StorageError: It cannot be written.
        """
        if set("?#") & set(str(self.directory)):
            raise InputError(
                f"The demo's directory {self.directory} has a ? or a # in its path, which no database URI can hold.",
                "Name another one with --directory.",
            )
        try:
            self._require_own()
            for registry in (self.staging, self.production):
                registry.database.unlink(missing_ok=True)
                remove_tree(registry.artifacts)
            remove_tree(self.reports)
            self.directory.mkdir(parents=True, exist_ok=True)
            (self.directory / _MARK).write_text(_MARK_TEXT)
            for directory in (self.staging.artifacts, self.production.artifacts, self.reports):
                directory.mkdir()
        except OSError as error:
            raise storage_error(error, f"make the demo's directory {self.directory}") from error

    def _require_own(self) -> None:
        if self.directory.exists() and any(self.directory.iterdir()) and not (self.directory / _MARK).exists():
            raise InputError(
                f"The directory {self.directory} is not empty, and no demo made what is in it.",
                "Name another one with --directory.",
            )

    def _registry(self, name: str) -> DemoRegistry:
        return DemoRegistry(self.directory / f"{name}.db", self.directory / name)

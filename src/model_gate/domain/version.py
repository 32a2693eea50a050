"""A resolved model version and where it came from: plain data that crosses from a tracking server's process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Lineage:
    """The run that made a version. Texts are "" where the run does not say.

    Attributes:
        reachable: Whether the run could be read; if not, `reason` says why and the texts are "".
        run_id: The run.
        run_name: Its name.
        experiment_id: Its experiment.
        experiment_name: The experiment's name.
        user: Who started it.
        git_commit: The commit of the code that ran (tag `mlflow.source.git.commit`).
        git_repo: The repository of that code (tag `mlflow.source.git.repoURL`).
        source_name: The script or notebook (tag `mlflow.source.name`).
        notebook_path: The Databricks notebook's path (tag `mlflow.databricks.notebookPath`).
        notebook_revision: Its revision (tag `mlflow.databricks.notebookRevisionID`).
        reason: Why it is not reachable.
    """

    reachable: bool
    run_id: str = ""
    run_name: str = ""
    experiment_id: str = ""
    experiment_name: str = ""
    user: str = ""
    git_commit: str = ""
    git_repo: str = ""
    source_name: str = ""
    notebook_path: str = ""
    notebook_revision: str = ""
    reason: str = ""


@dataclass(frozen=True)
class ModelVersion:
    """One version of a registered model, resolved.

    Attributes:
        name: The registered model's name.
        version: The version's number, as text.
        stage: Its stage, "" where the registry has none.
        aliases: Its aliases, sorted.
        status: The registry's word on it, `READY` for one that can be used.
        source: What the version was registered from, as the registry gives it.
        download_uri: Where the registry says its own copy is.
        run_model_uri: The physical URI of the run model, "" if it could not be resolved.
        run_model_reason: Why not.
        reg_model_uri: The physical URI of the registry model, "" if it could not be resolved.
        reg_model_reason: Why not.
        created: Milliseconds since the epoch.
        lineage: The run.
    """

    name: str
    version: str
    stage: str
    aliases: tuple[str, ...]
    status: str
    source: str
    download_uri: str
    run_model_uri: str
    reg_model_uri: str
    created: int
    lineage: Lineage
    run_model_reason: str = ""
    reg_model_reason: str = ""

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> ModelVersion:
        """The version that `dataclasses.asdict` turned into JSON."""
        lineage = Lineage(**data["lineage"])
        return cls(**{**data, "aliases": tuple(data["aliases"]), "lineage": lineage})

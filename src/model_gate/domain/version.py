"""A resolved model version and its run: plain data, which a worker sends to the parent process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Lineage:
    """The run that created a version. A text that the run does not have is "".

    Attributes:
        reachable: Whether the run could be read. If it could not, all texts except `reason` are "".
        run_id: ID of the run.
        run_name: Name of the run.
        experiment_id: ID of the run's experiment.
        experiment_name: Name of the run's experiment.
        user: User who started the run.
        git_commit: Commit of the code (tag `mlflow.source.git.commit`).
        git_repo: Repository of the code (tag `mlflow.source.git.repoURL`).
        source_name: Script or notebook (tag `mlflow.source.name`).
        notebook_path: Path of the Databricks notebook (tag `mlflow.databricks.notebookPath`).
        notebook_revision: Revision of the notebook (tag `mlflow.databricks.notebookRevisionID`).
        lifecycle_stage: `active` or `deleted`. MLflow still loads the models of a deleted run.
        reason: Why the run could not be read, "" if it could.
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
    lifecycle_stage: str = ""


@dataclass(frozen=True)
class Hop:
    """A name on the way from a URI to the files: a model version, a logged model or a run.

    Attributes that do not belong to this kind of name are "".

    Attributes:
        uri: The URI with the name, as the registry or the user wrote it.
        name: Name of the registered model.
        version: Number of the version that the URI named when it was resolved.
        status: Status of the version or of the logged model.
        model_id: ID of the logged model.
        run_id: ID of the run.
        lifecycle_stage: Lifecycle stage of the run.
    """

    uri: str
    name: str = ""
    version: str = ""
    status: str = ""
    model_id: str = ""
    run_id: str = ""
    lifecycle_stage: str = ""


class ResolvedUri(NamedTuple):
    """A URI with the names that were resolved to get it.

    Attributes:
        uri: The physical URI.
        hops: The names between the original URI and the physical URI, in order.
    """

    uri: str
    hops: tuple[Hop, ...] = ()


@dataclass(frozen=True)
class ModelVersion:
    """One version of a registered model, resolved.

    Attributes:
        name: The registered model's name.
        version: The version's number, as text.
        stage: The version's stage, "" if the registry has no stages.
        aliases: The version's aliases, sorted.
        status: Status in the registry: `READY` for a version that can be used.
        source: URI that the version was registered from, as the registry stores it.
        download_uri: URI of the registry's own copy, as the registry returns it.
        run_model_uri: Physical URI of the run model, "" if it could not be resolved.
        run_model_reason: Why the run model's URI could not be resolved, "" if it could.
        run_model_remedy: What the user can do about it; "" if the reason does not show it.
        run_model_hops: The names between `source` and the run model's physical URI, in order.
        reg_model_uri: Physical URI of the registry model, "" if it could not be resolved.
        reg_model_reason: Why the registry model's URI could not be resolved, "" if it could.
        reg_model_remedy: Like `run_model_remedy`.
        reg_model_hops: The names between `download_uri` and the registry model's physical URI, in order.
        created: Creation time in milliseconds since the epoch.
        lineage: The run that created the version.
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
    run_model_remedy: str = ""
    reg_model_remedy: str = ""
    run_model_hops: tuple[Hop, ...] = ()
    reg_model_hops: tuple[Hop, ...] = ()

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> ModelVersion:
        """Return the version that `data` describes, which is the parsed JSON of its `dataclasses.asdict`."""
        lineage = Lineage(**data["lineage"])
        hops = {name: tuple(Hop(**hop) for hop in data[name]) for name in ("run_model_hops", "reg_model_hops")}
        return cls(**{**data, **hops, "aliases": tuple(data["aliases"]), "lineage": lineage})


@dataclass(frozen=True)
class SelectedVersion:
    """A version that a search in a registry selected.

    Attributes:
        model: The registered model's name.
        version: The version's number, as text; "" if `problem` is why it is not known.
        aliases: The version's aliases, sorted, as far as the search needed them.
        stage: The version's stage, as far as the search needed it; "" for none.
        problem: Why the versions of the model are not known, such as a missing permission; "" if they are.
    """

    model: str
    version: str
    aliases: tuple[str, ...] = ()
    stage: str = ""
    problem: str = ""

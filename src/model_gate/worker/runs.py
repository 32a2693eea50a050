"""Resolves `runs:/` URIs to the files that MLflow loads from them: artifacts of the run, or a logged model of the run.

MLflow 3 reads both and lets the files of a logged model overwrite those of the run. Of several logged models with
the same name, MLflow takes the first that the server lists. In this module, a URI that does not name exactly one
location is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mlflow.exceptions import MlflowException

from model_gate.domain.version import Hop
from model_gate.errors import ModelError, NotFoundError
from model_gate.worker.artifacts import ArtifactReader
from model_gate.worker.failures import NOT_FOUND_CODES
from model_gate.worker.names import require_requested

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run

# Function from a run ID and a name to the filter of a search for logged models. The search must find all logged models
# of this run with this name, and may find others. None means no filter.
ModelFilter = Callable[[str, str], str | None]

_MAX_PAGES = 1_000
_MAX_CANDIDATES = 10
_NO_ENDPOINT_CODES = frozenset({"ENDPOINT_NOT_FOUND", "NOT_IMPLEMENTED"})


def filter_by_run(run_id: str, name: str) -> str:  # noqa: ARG001  # the signature of a ModelFilter
    """Return the filter for open-source servers: by run ID only, because a name may contain quotes."""
    return f"source_run_id = '{run_id}'"


class RunResolver:
    """Resolves `runs:/` URIs on one tracking server."""

    def __init__(
        self, client: MlflowClient, artifacts: ArtifactReader, model_filter: ModelFilter = filter_by_run
    ) -> None:
        self._client = client
        self._artifacts = artifacts
        self._model_filter = model_filter

    def resolve(self, uri: str, path: str, missing_remedy: str) -> tuple[str, Hop]:
        """Return the physical URI for a `runs:/` URI, and the run and the logged model that it names.

        Args:
            uri: The `runs:/` URI.
            path: The path of the URI, `RUN`, `RUN/NAME` or `RUN/NAME/SUBPATH`, without leading and trailing slashes.
            missing_remedy: What to do if the run does not exist.

        Raises:
            NotFoundError: The run does not exist.
            ModelError: The URI names more than one model, a model that is not ready, or no path inside the run.
            MlflowException: Any other error of the server.
        """
        run_id, _, artifact_path = path.partition("/")
        _require_path_in_run(uri, artifact_path)
        run = self._get_run(run_id, missing_remedy)
        location = str(run.info.artifact_uri)
        hop = Hop(uri, run_id=run_id, lifecycle_stage=run.info.lifecycle_stage or "")
        name, _, subpath = artifact_path.partition("/")
        models = self._logged_models(run, name) if name else []
        if not models:
            return _join(location, artifact_path), hop
        if len(models) > 1:
            raise _ambiguous_name(uri, name, models)
        (model,) = models
        if self._artifacts.has_entry(location, name):
            raise ModelError(
                f"{uri} is ambiguous: the run has both a logged model {name!r}, models:/{model.model_id}, and artifacts"
                f" at {_join(location, name)}.",
                f"Name one of them: models:/{model.model_id}, or the location of the artifacts.",
            )
        require_ready_model(model, uri)
        hop = replace(hop, model_id=model.model_id, status=str(model.status))
        return _join(str(model.artifact_location), subpath), hop

    def _get_run(self, run_id: str, missing_remedy: str) -> Run:
        try:
            run = self._client.get_run(run_id)
        except MlflowException as error:
            if error.error_code not in NOT_FOUND_CODES:
                raise
            raise NotFoundError(f"There is no run {run_id}.", missing_remedy) from error
        require_requested("run", run_id, run.info.run_id)
        return run

    def _logged_models(self, run: Run, name: str) -> list[LoggedModel]:
        """Return the logged models of a run that are called `name`."""
        try:
            return [
                model
                for model in self._search(run, name)
                if model.source_run_id == run.info.run_id and model.name == name
            ]
        except MlflowException as error:
            # A server of MLflow 2 has no endpoint for logged models. Its runs have no logged models either.
            if error.error_code not in _NO_ENDPOINT_CODES or getattr(run.outputs, "model_outputs", None):
                raise
            return []

    def _search(self, run: Run, name: str) -> Iterator[LoggedModel]:
        model_filter = self._model_filter(run.info.run_id, name)
        token: str | None = None
        for _ in range(_MAX_PAGES):
            page = self._client.search_logged_models(
                [run.info.experiment_id], filter_string=model_filter, page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return
        raise ModelError(
            f"The list of logged models of experiment {run.info.experiment_id} does not end.",
            "Name the logged model by its ID: models:/m-….",
        )


def require_ready_model(model: LoggedModel, uri: str) -> None:
    """Check that all files of a logged model were uploaded.

    Args:
        model: The logged model.
        uri: The URI that names the logged model, for the error message.

    Raises:
        ModelError: The status of the logged model is PENDING or FAILED.
    """
    if str(model.status) in {"PENDING", "FAILED"}:
        raise ModelError(
            f"The logged model {model.model_id}, which {uri} names, is not ready: its status is {model.status}.",
            "Wait until it is uploaded, or log the model again.",
        )


def _require_path_in_run(uri: str, path: str) -> None:
    # MLflow parses the URI like a URL and ends the path at `?` or `#`, so it would load another model.
    cut = next((character for character in "?#" if character in path), None)
    if cut is not None:
        raise ModelError(
            f"{uri} contains {cut!r}, where MLflow ends the path.",
            "Name the logged model by its ID, models:/m-…, or the location of the artifacts.",
        )
    if path and any(part in {"", ".", ".."} for part in path.split("/")):
        raise ModelError(
            f"{uri} is not a path inside a run.", "Write runs:/RUN/NAME, without '.', '..' and empty parts."
        )


def _ambiguous_name(uri: str, name: str, models: Sequence[LoggedModel]) -> ModelError:
    models = sorted(models, key=lambda model: (model.creation_timestamp or 0, model.model_id))
    candidates = [
        f"models:/{model.model_id} ({str(model.status).lower()}, created {_time(model.creation_timestamp)})"
        for model in models[:_MAX_CANDIDATES]
    ]
    if len(models) > _MAX_CANDIDATES:
        candidates.append(f"and {len(models) - _MAX_CANDIDATES} more")
    return ModelError(
        f"{uri} is ambiguous: the run has {len(models)} logged models named {name!r}: {', '.join(candidates)}.",
        f"Name one of them by its ID, as in models:/{models[0].model_id}.",
    )


def _time(milliseconds: int | None) -> str:
    try:
        moment = datetime.fromtimestamp((milliseconds or 0) / 1000, UTC)
    except (OverflowError, ValueError):
        return f"{milliseconds} ms after the epoch"
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _join(location: str, path: str) -> str:
    return "/".join(part for part in (location.rstrip("/"), path) if part)

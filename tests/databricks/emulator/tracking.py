"""Experiments, runs, logged models and their artifacts (MLflow API and Files API), and DBFS."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.databricks.emulator import catalog, files
from tests.databricks.emulator.content import LoggedModel, Run
from tests.databricks.emulator.messages import (
    ApiError,
    Request,
    Response,
    Routes,
    Workspace,
    json_response,
    not_found,
    page,
    permission_denied,
)

_ROOT = "/WorkspaceInternal/Mlflow/Artifacts"
_AWS = "AWS_PRESIGNED_URL"


def run_of(workspace: Workspace, run_id: str) -> Run:
    """Return a run, or raise the error of a workspace if the run is missing or the caller may not read it."""
    run = workspace.content.runs.get(run_id)
    if run is None:
        raise not_found(f"Run '{run_id}'")
    if f"run:{run_id}" in workspace.settings.denied:
        raise permission_denied(f"User does not have permission to 'View' experiment with id {run.experiment_id}.")
    return run


def logged_model_of(workspace: Workspace, model_id: str) -> LoggedModel:
    """Return a logged model, or raise the error of a workspace if it is missing or the caller may not read it."""
    model = workspace.content.logged_models.get(model_id)
    if model is None:
        raise not_found(f"Logged model '{model_id}'")
    if f"logged-model:{model_id}" in workspace.settings.denied:
        raise permission_denied(f"User does not have permission to 'View' experiment with id {model.experiment_id}.")
    return model


def run_location(run: Run) -> str:
    """Return the artifact URI of a run."""
    return f"dbfs:/databricks/mlflow-tracking/{run.experiment_id}/{run.run_id}/artifacts"


def logged_model_location(model: LoggedModel) -> str:
    """Return the artifact URI of a logged model."""
    return f"dbfs:/databricks/mlflow-tracking/{model.experiment_id}/logged_models/{model.model_id}/artifacts"


def _get_run(workspace: Workspace, request: Request, _: tuple[str, ...]) -> Response:
    run = run_of(workspace, request.parameters["run_id"])
    info = {
        "run_id": run.run_id,
        "run_uuid": run.run_id,
        "run_name": f"run {run.run_id[:4]}",
        "experiment_id": run.experiment_id,
        "user_id": "someone@example.com",
        "status": "FINISHED",
        "start_time": 1,
        "end_time": 2,
        "lifecycle_stage": "active",
        "artifact_uri": run_location(run),
    }
    tags = [{"key": key, "value": value} for key, value in run.tags.items()]
    outputs = [
        {"model_id": model.model_id, "step": 0}
        for model in workspace.content.logged_models.values()
        if model.run_id == run.run_id
    ]
    return json_response({"run": {"info": info, "data": {"tags": tags}, "outputs": {"model_outputs": outputs}}})


def _get_experiment(workspace: Workspace, request: Request, _: tuple[str, ...]) -> Response:
    experiment_id = request.parameters["experiment_id"]
    name = workspace.content.experiments.get(experiment_id)
    if name is None:
        raise not_found(f"Experiment '{experiment_id}'")
    return json_response({"experiment": {"experiment_id": experiment_id, "name": name, "lifecycle_stage": "active"}})


def _get_logged_model(workspace: Workspace, request: Request, parts: tuple[str, ...]) -> Response:
    return json_response({"model": _logged_model_data(logged_model_of(workspace, parts[0]))})


def _logged_model_data(model: LoggedModel) -> dict[str, Any]:
    info = {
        "model_id": model.model_id,
        "experiment_id": model.experiment_id,
        "name": model.name,
        "creation_timestamp_ms": 1,
        "last_updated_timestamp_ms": 1,
        "artifact_uri": logged_model_location(model),
        "status": model.status,
        "source_run_id": model.run_id,
    }
    return {"info": info, "data": {}}


def _search_logged_models(workspace: Workspace, request: Request, _: tuple[str, ...]) -> Response:
    parameters = request.parameters
    if "logged-models" in workspace.settings.denied:
        raise permission_denied("User does not have permission to 'View' experiment with id 77.")
    match = re.fullmatch("(?:name = '([^']*)')?", parameters.get("filter", ""))
    if match is None:
        raise ApiError(400, "INVALID_PARAMETER_VALUE", f"Invalid filter: {parameters['filter']}")
    models = [
        _logged_model_data(model)
        for model in workspace.content.logged_models.values()
        if model.experiment_id in parameters["experiment_ids"] and match.group(1) in (None, model.name)
    ]
    return json_response(page(models, "models", parameters.get("page_token", ""), workspace.settings.page_size))


def _list_run(workspace: Workspace, request: Request, _: tuple[str, ...]) -> Response:
    run = run_of(workspace, request.parameters["run_id"])
    return _listing(workspace, request, run.directory, request.parameters.get("path", ""))


def _list_logged_model(workspace: Workspace, request: Request, parts: tuple[str, ...]) -> Response:
    model = logged_model_of(workspace, parts[0])
    return _listing(workspace, request, model.directory, request.parameters.get("artifact_directory_path", ""))


def _listing(workspace: Workspace, request: Request, root: Path, path: str) -> Response:
    entries = files.infos(root, path)
    return json_response(page(entries, "files", request.parameters.get("page_token", ""), workspace.settings.page_size))


def _run_credentials(workspace: Workspace, request: Request, _: tuple[str, ...]) -> Response:
    run = run_of(workspace, request.parameters["run_id"])
    return json_response(
        {"credential_infos": [_credential(workspace, run.directory, each) for each in request.parameters["path"]]}
    )


def _logged_model_credentials(workspace: Workspace, request: Request, parts: tuple[str, ...]) -> Response:
    model = logged_model_of(workspace, parts[0])
    infos = [_credential(workspace, model.directory, each) for each in request.parameters["paths"]]
    return json_response({"credentials": [{"credential_info": info} for info in infos]})


def _credential(workspace: Workspace, root: Path, path: str) -> dict[str, Any]:
    url, headers = workspace.sign(str(root / path))
    return {"path": path, "signed_uri": url, "type": _AWS, "headers": headers}


def _locate(workspace: Workspace, path: str) -> tuple[Path, str, str]:
    """Split a Files API path into the local directory, its Files API address, and the path below it."""
    if match := re.fullmatch(rf"({_ROOT}/([^/]+)/Runs/([^/]+)/artifacts)/?(.*)", path):
        run = run_of(workspace, match.group(3))
        _require_files_api(run.files_api or workspace.settings.files_api)
        return run.directory, match.group(1), match.group(4).rstrip("/")
    if match := re.fullmatch(rf"({_ROOT}/([^/]+)/LoggedModels/([^/]+)/artifacts)/?(.*)", path):
        model = logged_model_of(workspace, match.group(3))
        _require_files_api(model.files_api or workspace.settings.files_api)
        return model.directory, match.group(1), match.group(4).rstrip("/")
    if match := re.fullmatch(r"(/Models/([^/]+)/([^/]+)/([^/]+)/([^/]+))/?(.*)", path):
        version = catalog.version_of(workspace, ".".join(match.group(2, 3, 4)), match.group(5))
        return version.directory, match.group(1), match.group(6).rstrip("/")
    raise not_found(f"The path {path}")


def _require_files_api(mode: str) -> None:
    if mode == "forbidden":
        raise permission_denied("The Files API is not enabled for this path.")
    if mode == "missing":
        raise not_found("The path")


def _is_plain(workspace: Workspace, path: str) -> bool:
    content = workspace.content
    modes = [run.files_api for run in content.runs.values() if f"/{run.run_id}/" in path]
    modes += [model.files_api for model in content.logged_models.values() if f"/{model.model_id}/" in path]
    return "plain" in (*modes, workspace.settings.files_api)


def _directory(workspace: Workspace, request: Request, parts: tuple[str, ...]) -> Response:
    root, address, path = _locate(workspace, parts[0])
    return files.directory(workspace, request, root, address, path)


def _file(workspace: Workspace, request: Request, parts: tuple[str, ...]) -> Response:
    root, _, path = _locate(workspace, parts[0])
    return files.contents(root, path)


def _download_url(workspace: Workspace, request: Request, _: tuple[str, ...]) -> Response:
    root, __, path = _locate(workspace, request.parameters["path"])
    if _is_plain(workspace, request.parameters["path"]):
        raise ApiError(403, "PERMISSION_DENIED", "Presigned URLs API is not enabled")
    return files.download_url(workspace, root, path)


def _dbfs(workspace: Workspace, path: str) -> tuple[Path, Path]:
    root = workspace.content.dbfs
    if root is None or not (root / path.lstrip("/")).exists():
        raise not_found(f"No file or directory exists on path {path}.")
    return root, root / path.lstrip("/")


def _dbfs_info(root: Path, entry: Path) -> dict[str, Any]:
    size = 0 if entry.is_dir() else entry.stat().st_size
    return {"path": f"/{entry.relative_to(root).as_posix()}", "is_dir": entry.is_dir(), "file_size": size}


def _dbfs_status(workspace: Workspace, request: Request, _: tuple[str, ...]) -> Response:
    return json_response(_dbfs_info(*_dbfs(workspace, request.parameters["path"])))


def _dbfs_list(workspace: Workspace, request: Request, _: tuple[str, ...]) -> Response:
    root, target = _dbfs(workspace, request.parameters["path"])
    entries = sorted(target.iterdir()) if target.is_dir() else [target]
    return json_response({"files": [_dbfs_info(root, entry) for entry in entries]})


def _dbfs_file(workspace: Workspace, request: Request, parts: tuple[str, ...]) -> Response:
    root, target = _dbfs(workspace, parts[0])
    return files.contents(root, target.relative_to(root).as_posix())


_MLFLOW = "/api/2.0/mlflow"
ROUTES: Routes = [
    ("GET", f"{_MLFLOW}/runs/get", True, _get_run),
    ("GET", f"{_MLFLOW}/experiments/get", True, _get_experiment),
    ("GET", f"{_MLFLOW}/artifacts/list", True, _list_run),
    ("POST", f"{_MLFLOW}/artifacts/credentials-for-read", True, _run_credentials),
    ("GET", f"{_MLFLOW}/logged-models/([^/]+)", True, _get_logged_model),
    ("POST", f"{_MLFLOW}/logged-models/search", True, _search_logged_models),
    ("GET", f"{_MLFLOW}/logged-models/([^/]+)/artifacts/directories", True, _list_logged_model),
    ("POST", f"{_MLFLOW}/logged-models/([^/]+)/artifacts/credentials-for-download", True, _logged_model_credentials),
    ("GET", "/api/2.0/fs/directories(/.*)", True, _directory),
    ("HEAD", "/api/2.0/fs/directories(/.*)", True, _directory),
    ("POST", "/api/2.0/fs/create-download-url", True, _download_url),
    ("GET", "/api/2.0/fs/files(/.*)", True, _file),
    ("GET", "/api/2.0/dbfs/get-status", True, _dbfs_status),
    ("GET", "/api/2.0/dbfs/list", True, _dbfs_list),
    ("GET", "/dbfs(/.*)", True, _dbfs_file),
]

"""The workspace model registry: versions, stages, its own copies by signed URLs."""

from __future__ import annotations

from typing import Any

from tests.databricks.emulator import files
from tests.databricks.emulator.content import RegisteredModel, Version
from tests.databricks.emulator.exchange import (
    Answer,
    RefusedError,
    Request,
    Routes,
    Workspace,
    answer,
    denied,
    missing,
    page,
)


def _model(workspace: Workspace, name: str) -> RegisteredModel:
    model = workspace.content.registry.get(name)
    if model is None:
        raise missing(f"RegisteredModel '{name}'")
    if f"model:{name}" in workspace.settings.denied:
        raise denied(f"User does not have permission to 'View' registered model with id {name}.")
    return model


def _version(workspace: Workspace, asked: dict[str, Any]) -> tuple[RegisteredModel, Version]:
    model = _model(workspace, asked["name"])
    version = model.versions.get(str(asked["version"]))
    if version is None:
        raise missing(f"ModelVersion '{asked['name']}' version {asked['version']}")
    return model, version


def _version_data(model: RegisteredModel, version: Version) -> dict[str, Any]:
    return {
        "name": model.name,
        "version": version.number,
        "creation_timestamp": 1,
        "last_updated_timestamp": 1,
        "current_stage": version.stage,
        "source": version.source,
        "run_id": version.run_id,
        "run_link": version.run_link,
        "status": version.status,
    }


def _latest(model: RegisteredModel) -> list[dict[str, Any]]:
    by_stage: dict[str, Version] = {}
    for version in sorted(model.versions.values(), key=lambda each: int(each.number)):
        by_stage[version.stage] = version
    return [_version_data(model, version) for version in by_stage.values()]


def _get_model(workspace: Workspace, request: Request, _: tuple[str, ...]) -> Answer:
    model = _model(workspace, request.asked["name"])
    return answer({"registered_model": {"name": model.name, "latest_versions": _latest(model)}})


def _search_models(workspace: Workspace, request: Request, _: tuple[str, ...]) -> Answer:
    models = [{"name": name} for name in sorted(workspace.content.registry)]
    return answer(page(models, "registered_models", request.asked.get("page_token", ""), workspace.settings.page_size))


def _get_version(workspace: Workspace, request: Request, _: tuple[str, ...]) -> Answer:
    return answer({"model_version": _version_data(*_version(workspace, request.asked))})


def _search_versions(workspace: Workspace, request: Request, _: tuple[str, ...]) -> Answer:
    name = request.asked["filter"].partition("=")[2].strip().strip("'\"")
    model = _model(workspace, name)
    versions = [_version_data(model, version) for version in model.versions.values()]
    return answer(page(versions, "model_versions", request.asked.get("page_token", ""), workspace.settings.page_size))


def _alias(workspace: Workspace, request: Request, _: tuple[str, ...]) -> Answer:
    if not workspace.settings.registry_aliases:
        raise RefusedError(404, "ENDPOINT_NOT_FOUND", f"No API found for 'GET {request.path}'")
    model = _model(workspace, request.asked["name"])
    number = model.aliases.get(request.asked["alias"])
    if number is None:
        raise RefusedError(
            400, "INVALID_PARAMETER_VALUE", f"Registered model alias {request.asked['alias']} not found."
        )
    return answer({"model_version": _version_data(model, model.versions[number])})


def _download_uri(workspace: Workspace, request: Request, _: tuple[str, ...]) -> Answer:
    model, version = _version(workspace, request.asked)
    if f"download:{model.name}" in workspace.settings.denied:
        raise denied(f"User does not have permission to 'View' registered model with id {model.name}.")
    return answer({"artifact_uri": f"dbfs:/databricks/mlflow-registry/{model.name}-{version.number}/models/model"})


def _list(workspace: Workspace, request: Request, _: tuple[str, ...]) -> Answer:
    version = _version(workspace, request.asked)[1]
    entries = files.infos(version.directory, request.asked.get("path", ""))
    return answer(page(entries, "files", request.asked.get("page_token", ""), workspace.settings.page_size))


def _signed(workspace: Workspace, request: Request, _: tuple[str, ...]) -> Answer:
    version = _version(workspace, request.asked)[1]
    target = version.directory / request.asked["path"]
    if not target.is_file():
        raise missing(f"The file {request.asked['path']}")
    url, headers = workspace.sign(str(target))
    return answer({"signed_uri": url, "headers": headers})


_MLFLOW = "/api/2.0/mlflow"
ROUTES: Routes = [
    ("GET", f"{_MLFLOW}/registered-models/get", True, _get_model),
    ("GET", f"{_MLFLOW}/registered-models/search", True, _search_models),
    ("GET", f"{_MLFLOW}/registered-models/alias", True, _alias),
    ("GET", f"{_MLFLOW}/model-versions/get", True, _get_version),
    ("GET", f"{_MLFLOW}/model-versions/search", True, _search_versions),
    ("GET", f"{_MLFLOW}/model-versions/get-download-uri", True, _download_uri),
    ("GET", f"{_MLFLOW}/model-versions/list-artifacts", True, _list),
    ("GET", f"{_MLFLOW}/model-versions/get-signed-download-uri", True, _signed),
]

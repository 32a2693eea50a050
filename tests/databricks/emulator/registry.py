"""Workspace model registry API: registered models, versions, stages, and files behind presigned URLs."""

from __future__ import annotations

from typing import Any

from tests.databricks.emulator import files
from tests.databricks.emulator.content import RegisteredModel, Version
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
    tag_list,
)


def _model(workspace: Workspace, name: str) -> RegisteredModel:
    model = workspace.content.registry.get(name)
    if model is None:
        raise not_found(f"RegisteredModel '{name}'")
    if f"model:{name}" in workspace.settings.denied:
        raise permission_denied(f"User does not have permission to 'View' registered model with id {name}.")
    return model


def _version(workspace: Workspace, parameters: dict[str, Any]) -> tuple[RegisteredModel, Version]:
    model = _model(workspace, parameters["name"])
    version = model.versions.get(str(parameters["version"]))
    if version is None:
        raise not_found(f"ModelVersion '{parameters['name']}' version {parameters['version']}")
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
        "tags": tag_list(version.tags),
    }


def _latest(model: RegisteredModel) -> list[dict[str, Any]]:
    by_stage: dict[str, Version] = {}
    for version in sorted(model.versions.values(), key=lambda each: int(each.number)):
        by_stage[version.stage] = version
    return [_version_data(model, version) for version in by_stage.values()]


def _get_model(workspace: Workspace, request: Request, _: tuple[str, ...]) -> Response:
    model = _model(workspace, request.parameters["name"])
    return json_response({"registered_model": {"name": model.name, "latest_versions": _latest(model)}})


def _search_models(workspace: Workspace, request: Request, _: tuple[str, ...]) -> Response:
    # `LIKE` means a part of the name, whatever the position of the wildcards.
    part = request.parameters.get("filter", "").partition("LIKE")[2].strip().strip("'").replace("%", "")
    models = [
        {"name": name, "latest_versions": _latest(model)}
        for name, model in sorted(workspace.content.registry.items())
        if part in name
    ]
    return json_response(
        page(models, "registered_models", request.parameters.get("page_token", ""), workspace.settings.page_size)
    )


def _get_version(workspace: Workspace, request: Request, _: tuple[str, ...]) -> Response:
    return json_response({"model_version": _version_data(*_version(workspace, request.parameters))})


def _search_versions(workspace: Workspace, request: Request, _: tuple[str, ...]) -> Response:
    name = request.parameters["filter"].partition("=")[2].strip().strip("'\"")
    model = _model(workspace, name)
    versions = [_version_data(model, version) for version in model.versions.values()]
    return json_response(
        page(versions, "model_versions", request.parameters.get("page_token", ""), workspace.settings.page_size)
    )


def _alias(workspace: Workspace, request: Request, _: tuple[str, ...]) -> Response:
    if not workspace.settings.registry_aliases:
        raise ApiError(404, "ENDPOINT_NOT_FOUND", f"No API found for 'GET {request.path}'")
    model = _model(workspace, request.parameters["name"])
    number = model.aliases.get(request.parameters["alias"])
    if number is None:
        raise ApiError(
            400, "INVALID_PARAMETER_VALUE", f"Registered model alias {request.parameters['alias']} not found."
        )
    return json_response({"model_version": _version_data(model, model.versions[number])})


def _download_uri(workspace: Workspace, request: Request, _: tuple[str, ...]) -> Response:
    model, version = _version(workspace, request.parameters)
    if f"download:{model.name}" in workspace.settings.denied:
        raise permission_denied(f"User does not have permission to 'View' registered model with id {model.name}.")
    return json_response(
        {"artifact_uri": f"dbfs:/databricks/mlflow-registry/{model.name}-{version.number}/models/model"}
    )


def _list(workspace: Workspace, request: Request, _: tuple[str, ...]) -> Response:
    version = _version(workspace, request.parameters)[1]
    entries = files.infos(version.directory, request.parameters.get("path", ""))
    return json_response(page(entries, "files", request.parameters.get("page_token", ""), workspace.settings.page_size))


def _signed(workspace: Workspace, request: Request, _: tuple[str, ...]) -> Response:
    version = _version(workspace, request.parameters)[1]
    target = version.directory / request.parameters["path"]
    if not target.is_file():
        raise not_found(f"The file {request.parameters['path']}")
    url, headers = workspace.sign(str(target))
    return json_response({"signed_uri": url, "headers": headers})


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

"""Unity Catalog API: registered models, versions, aliases, grants and storage credentials."""

from __future__ import annotations

from typing import Any

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


def _require_grants(workspace: Workspace, name: str) -> None:
    catalog, _, rest = name.partition(".")
    for privilege, securable, kind in (
        ("USE CATALOG", catalog, "Catalog"),
        ("USE SCHEMA", f"{catalog}.{rest.partition('.')[0]}", "Schema"),
        ("EXECUTE", name, "Routine or Model"),
    ):
        if f"{privilege}:{securable}" in workspace.settings.denied:
            raise permission_denied(f"User does not have {privilege} on {kind} '{securable}'.")


def _model(workspace: Workspace, name: str) -> RegisteredModel:
    _require_grants(workspace, name)
    model = workspace.content.catalog.get(name)
    if model is None:
        raise not_found(f"Registered model '{name}'")
    return model


def version_of(workspace: Workspace, name: str, number: str) -> Version:
    """Return a version, or raise the error of Unity Catalog if it is missing or the caller may not read it."""
    version = _model(workspace, name).versions.get(number)
    if version is None:
        raise not_found(f"Model version '{name}' {number}")
    return version


def _version_data(model: RegisteredModel, version: Version) -> dict[str, Any]:
    return {
        "name": model.name,
        "version": version.number,
        "creation_timestamp": 1,
        "last_updated_timestamp": 1,
        "source": version.source,
        "run_id": version.run_id,
        "status": version.status,
        "storage_location": version.storage_location,
        "aliases": _aliases(model, version.number),
        "tags": tag_list(version.tags),
    }


def _aliases(model: RegisteredModel, number: str) -> list[dict[str, str]]:
    return [{"alias": alias, "version": target} for alias, target in model.aliases.items() if number in {target, ""}]


def _get_model(workspace: Workspace, request: Request, _: tuple[str, ...]) -> Response:
    model = _model(workspace, request.parameters["name"])
    return json_response({"registered_model": {"name": model.name, "aliases": _aliases(model, "")}})


def _search_models(workspace: Workspace, request: Request, _: tuple[str, ...]) -> Response:
    models = [{"name": name} for name in sorted(workspace.content.catalog)]
    return json_response(
        page(models, "registered_models", request.parameters.get("page_token", ""), workspace.settings.page_size)
    )


def _list_models(workspace: Workspace, request: Request, _: tuple[str, ...]) -> Response:
    """List the models of a schema, or of the metastore without aliases and only those that the caller may see."""
    catalog, schema = (request.parameters.get(name, "") for name in ("catalog_name", "schema_name"))
    if bool(catalog) != bool(schema):
        raise ApiError(400, "INVALID_PARAMETER_VALUE", "catalog_name and schema_name must be specified together.")
    start = f"{catalog}.{schema}." if catalog else ""
    if start:
        for privilege in (f"USE CATALOG:{catalog}", f"USE SCHEMA:{catalog}.{schema}"):
            if privilege in workspace.settings.denied:
                raise permission_denied(f"User does not have {privilege.partition(':')[0]}.")
        if not any(name.startswith(start) for name in workspace.content.catalog):
            raise ApiError(404, "SCHEMA_DOES_NOT_EXIST", f"Schema '{catalog}.{schema}' does not exist.")
    models: list[dict[str, Any]] = []
    for full_name in sorted(workspace.content.catalog):
        if not full_name.startswith(start):
            continue
        try:
            _require_grants(workspace, full_name)
            models.append({"name": full_name.rpartition(".")[2], "full_name": full_name})
        except ApiError:
            if request.parameters.get("include_browse") == "true":
                models.append({"full_name": full_name, "browse_only": True})
    return json_response(
        page(models, "registered_models", request.parameters.get("page_token", ""), workspace.settings.page_size)
    )


def _get_version(workspace: Workspace, request: Request, _: tuple[str, ...]) -> Response:
    model = _model(workspace, request.parameters["name"])
    version = version_of(workspace, model.name, str(request.parameters["version"]))
    return json_response({"model_version": _version_data(model, version)})


def _alias(workspace: Workspace, request: Request, _: tuple[str, ...]) -> Response:
    model = _model(workspace, request.parameters["name"])
    number = model.aliases.get(request.parameters["alias"])
    if number is None:
        raise not_found(f"Alias '{request.parameters['alias']}' of '{model.name}'")
    return json_response({"model_version": _version_data(model, model.versions[number])})


def _search_versions(workspace: Workspace, request: Request, _: tuple[str, ...]) -> Response:
    model = _model(workspace, request.parameters["filter"].partition("=")[2].strip().strip("'\""))
    versions = [_version_data(model, version) for version in model.versions.values()]
    return json_response(
        page(versions, "model_versions", request.parameters.get("page_token", ""), workspace.settings.page_size)
    )


def _download_uri(workspace: Workspace, request: Request, _: tuple[str, ...]) -> Response:
    version = version_of(workspace, request.parameters["name"], str(request.parameters["version"]))
    return json_response({"artifact_uri": version.storage_location})


def _is_sdk_enabled(workspace: Workspace, request: Request, _: tuple[str, ...]) -> Response:
    enabled = workspace.settings.uc_storage == "files-api"
    return json_response({"is_databricks_sdk_models_artifact_repository_enabled": enabled})


def _lineage(workspace: Workspace, request: Request, _: tuple[str, ...]) -> Response:
    return json_response({})


def _credentials(workspace: Workspace, request: Request, _: tuple[str, ...]) -> Response:
    version = version_of(workspace, request.parameters["name"], str(request.parameters["version"]))
    storage = version.storage or workspace.settings.uc_storage
    if storage == "default-storage":
        return json_response({"credentials": {"storage_mode": "DEFAULT_STORAGE"}})
    return json_response({"credentials": {**_vended(workspace, storage), "storage_mode": "CUSTOMER_HOSTED"}})


def _vended(workspace: Workspace, storage: str) -> dict[str, Any]:
    if storage == "azure":
        return {"azure_user_delegation_sas": {"sas_token": workspace.settings.azure}}
    if storage == "gcp":
        return {"gcp_oauth_token": {"oauth_token": workspace.settings.gcp}}
    key, secret, session = workspace.settings.aws
    return {"aws_temp_credentials": {"access_key_id": key, "secret_access_key": secret, "session_token": session}}


_UC = "/api/2.0/mlflow/unity-catalog"
ROUTES: Routes = [
    ("GET", "/api/2.1/unity-catalog/models", True, _list_models),
    ("GET", f"{_UC}/registered-models/get", True, _get_model),
    ("GET", f"{_UC}/registered-models/search", True, _search_models),
    ("GET", f"{_UC}/registered-models/alias", True, _alias),
    ("GET", f"{_UC}/model-versions/get", True, _get_version),
    ("GET", f"{_UC}/model-versions/search", True, _search_versions),
    ("GET", f"{_UC}/model-versions/get-download-uri", True, _download_uri),
    ("POST", f"{_UC}/model-versions/generate-temporary-credentials", True, _credentials),
    ("ANY", f"{_UC}/.*is-databricks-sdk-models-artifact-repository-enabled", True, _is_sdk_enabled),
    ("ANY", f"{_UC}/.*emit-lineage|{_UC}/.*lineage.*", True, _lineage),
]

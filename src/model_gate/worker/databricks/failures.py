"""Converts errors of a Databricks workspace to Model Gate's errors, whose remedies name the missing permission."""

from __future__ import annotations

import os

from databricks.sdk import errors as sdk
from databricks.sdk.errors.base import DatabricksError
from mlflow.exceptions import MlflowException

from model_gate.domain.host import RegistryKind
from model_gate.errors import AccessError, ModelGateError, NotFoundError, UnreachableError
from model_gate.worker import failures
from model_gate.worker.credential_facts import UNKNOWN, CredentialFacts, join_sentences

_LOGIN_REMEDY = "Check the profile's login: its token or secret may have expired, or belong to another workspace."
_EXPERIMENT_REMEDY = "Give the login Can Read on the experiment that the run or the logged model belongs to."
_GRANT_REMEDIES = {
    RegistryKind.WORKSPACE: "Give the login Can Read on the registered model.",
    RegistryKind.UNITY_CATALOG: (
        "Grant the login EXECUTE on the model, USE SCHEMA on its schema and USE CATALOG on its catalog."
    ),
}
# The SDK's exception type for each error code. MLflow raises one and the same exception type for all codes.
_ERROR_TYPES: dict[str, type[Exception]] = {
    "UNAUTHENTICATED": sdk.Unauthenticated,
    "CUSTOMER_UNAUTHORIZED": sdk.PermissionDenied,
    "PERMISSION_DENIED": sdk.PermissionDenied,
    "RESOURCE_DOES_NOT_EXIST": sdk.NotFound,
    "NOT_FOUND": sdk.NotFound,
    "CATALOG_DOES_NOT_EXIST": sdk.NotFound,
    "SCHEMA_DOES_NOT_EXIST": sdk.NotFound,
    "REQUEST_LIMIT_EXCEEDED": sdk.TooManyRequests,
    "RESOURCE_EXHAUSTED": sdk.TooManyRequests,
    "TEMPORARILY_UNAVAILABLE": sdk.TemporarilyUnavailable,
}


def to_model_gate_error(error: Exception, address: str, kind: RegistryKind, uri: str = "") -> ModelGateError:
    """Return the error to show to the user.

    Args:
        error: The exception of the failed operation.
        address: Address of the workspace.
        kind: The registry of the workspace that the session uses.
        uri: Location of the requested files, or "" if the operation has no location.
    """
    for cause in failures.exception_chain(error):
        if isinstance(cause, ModelGateError):
            return cause
        workspace_error = _workspace_error(cause, address, kind, uri)
        if workspace_error is not None:
            return workspace_error
    return failures.to_model_gate_error(error, address, _facts())


def _facts() -> CredentialFacts:
    """Return the facts about the variables with the login, UNKNOWN if the login comes from a Databricks profile."""
    facts = CredentialFacts.from_environment(os.environ)
    return facts if facts.of_server().sent else UNKNOWN


def _sent() -> str:
    return _facts().of_server().sent_to_server()


def _workspace_error(error: BaseException, address: str, kind: RegistryKind, uri: str) -> ModelGateError | None:
    if not isinstance(error, DatabricksError | MlflowException):
        return None
    error_type = _ERROR_TYPES.get(getattr(error, "error_code", "") or "", type(error))
    # The SDK appends its whole configuration to its messages. The user does not need it.
    text = str(getattr(error, "message", "") or error).partition(" Config: ")[0].rstrip(".")
    if issubclass(error_type, sdk.Unauthenticated):
        message = f"The workspace {address} does not accept the login: {text}."
        return AccessError(join_sentences(message, _sent()), _LOGIN_REMEDY)
    if issubclass(error_type, sdk.PermissionDenied):
        is_experiment = uri.startswith("dbfs:") or "experiment" in text.lower()
        remedy = _EXPERIMENT_REMEDY if is_experiment else _GRANT_REMEDIES[kind]
        return AccessError(join_sentences(f"The workspace {address} forbids it: {text}.", _sent()), remedy)
    if issubclass(error_type, sdk.NotFound):
        return NotFoundError(f"The workspace {address} says: {text}.", "Check the names.")
    if issubclass(error_type, sdk.TooManyRequests):
        return UnreachableError(f"The workspace {address} asks to slow down (429).", "Run the gate again later.")
    if issubclass(error_type, sdk.TemporarilyUnavailable):
        return UnreachableError(f"The workspace {address} is not available now (503): {text}.", "Try again later.")
    return None

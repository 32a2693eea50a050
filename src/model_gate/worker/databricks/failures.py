"""Turns what a Databricks workspace refuses into the project's errors, with the permission that is lacking."""

from __future__ import annotations

from databricks.sdk import errors as sdk
from databricks.sdk.errors.base import DatabricksError
from mlflow.exceptions import MlflowException

from model_gate.domain.host import RegistryKind
from model_gate.errors import AccessError, ModelGateError, NotFoundError, UnreachableError
from model_gate.worker import failures

_LOGIN = "Check the profile's login: its token or secret may have expired, or belong to another workspace."
_EXPERIMENT = "Give the login Can Read on the experiment that the run or the logged model belongs to."
_GRANTS = {
    RegistryKind.WORKSPACE: "Give the login Can Read on the registered model.",
    RegistryKind.UNITY_CATALOG: (
        "Grant the login EXECUTE on the model, USE SCHEMA on its schema and USE CATALOG on its catalog."
    ),
}
_CODES: dict[str, type[Exception]] = {
    "UNAUTHENTICATED": sdk.Unauthenticated,
    "CUSTOMER_UNAUTHORIZED": sdk.PermissionDenied,
    "PERMISSION_DENIED": sdk.PermissionDenied,
    "RESOURCE_DOES_NOT_EXIST": sdk.NotFound,
    "NOT_FOUND": sdk.NotFound,
    "REQUEST_LIMIT_EXCEEDED": sdk.TooManyRequests,
    "RESOURCE_EXHAUSTED": sdk.TooManyRequests,
    "TEMPORARILY_UNAVAILABLE": sdk.TemporarilyUnavailable,
}


def to_model_gate_error(error: Exception, address: str, kind: RegistryKind, uri: str = "") -> ModelGateError:
    """The error that a user is told of; `uri` is what was read, "" for the registry itself."""
    for each in failures.exception_chain(error):
        if isinstance(each, ModelGateError):
            return each
        known = _refusal(each, address, kind, uri)
        if known is not None:
            return known
    return failures.to_model_gate_error(error, address)


def _refusal(error: BaseException, address: str, kind: RegistryKind, uri: str) -> ModelGateError | None:
    if not isinstance(error, DatabricksError | MlflowException):
        return None
    meaning = _CODES.get(getattr(error, "error_code", "") or "", type(error))
    # The SDK adds all of its configuration.
    text = str(getattr(error, "message", "") or error).partition(" Config: ")[0].rstrip(".")
    if issubclass(meaning, sdk.Unauthenticated):
        return AccessError(f"The workspace {address} does not accept the login: {text}.", _LOGIN)
    if issubclass(meaning, sdk.PermissionDenied):
        remedy = _EXPERIMENT if uri.startswith("dbfs:") or "experiment" in text.lower() else _GRANTS[kind]
        return AccessError(f"The workspace {address} forbids it: {text}.", remedy)
    if issubclass(meaning, sdk.NotFound):
        return NotFoundError(f"The workspace {address} says: {text}.", "Check the names.")
    if issubclass(meaning, sdk.TooManyRequests):
        return UnreachableError(f"The workspace {address} asks to slow down (429).", "Run the gate again later.")
    if issubclass(meaning, sdk.TemporarilyUnavailable):
        return UnreachableError(f"The workspace {address} is not available now (503): {text}.", "Try again later.")
    return None

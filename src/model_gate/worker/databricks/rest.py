"""Calls of a workspace's REST API that MLflow's client does not make, or whose answers it does not look at."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mlflow.exceptions import MlflowException, RestException
from mlflow.utils.databricks_utils import get_databricks_host_creds
from mlflow.utils.rest_utils import http_request
from requests import Response


def get(endpoint: str, asked: Mapping[str, str] | None = None, *, stream: bool = False) -> Response:
    """The workspace's answer, whatever it is."""
    creds = get_databricks_host_creds("databricks")  # type: ignore[no-untyped-call]
    response: Response = http_request(creds, endpoint, "GET", params=asked, stream=stream)  # type: ignore[no-untyped-call]
    return response


def get_json(endpoint: str, asked: Mapping[str, str]) -> dict[str, Any]:
    """The workspace's answer as JSON.

    Raises:
        MlflowException: It is an error, or no JSON.
    """
    response = get(endpoint, asked)
    require_success(response)
    try:
        data: dict[str, Any] = json.loads(response.content)
    except ValueError as error:
        raise MlflowException("The response body was not in a valid JSON format.") from error
    return data


def require_success(response: Response) -> None:
    """Refuse an answer that is an error.

    Raises:
        RestException: What the workspace says.
    """
    if response.status_code == 200:
        return
    try:
        data = json.loads(response.content)
    except ValueError:
        data = {"error_code": "INTERNAL_ERROR", "message": f"error code {response.status_code} != 200"}
    raise RestException(data)  # type: ignore[no-untyped-call]

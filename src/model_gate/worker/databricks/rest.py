"""GET requests to the REST API of a workspace.

They replace functions of MLflow that lack an operation or do not check the response.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mlflow.exceptions import MlflowException, RestException
from mlflow.utils.databricks_utils import get_databricks_host_creds
from mlflow.utils.rest_utils import http_request
from requests import Response


def get(endpoint: str, parameters: Mapping[str, str] | None = None, *, stream: bool = False) -> Response:
    """Send a GET request and return the response, whatever its status.

    With `stream`, the body is not read yet.
    """
    creds = get_databricks_host_creds("databricks")  # type: ignore[no-untyped-call]
    response: Response = http_request(creds, endpoint, "GET", params=parameters, stream=stream)  # type: ignore[no-untyped-call]
    return response


def get_json(endpoint: str, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Send a GET request and return the JSON object in the response body.

    Raises:
        MlflowException: The status is not 200, or the body is not JSON.
    """
    response = get(endpoint, parameters)
    require_success(response)
    try:
        data: dict[str, Any] = json.loads(response.content)
    except ValueError as error:
        raise MlflowException("The response body was not in a valid JSON format.") from error
    return data


def require_success(response: Response) -> None:
    """Check that the status of a response is 200.

    Raises:
        RestException: The status is not 200. The exception has the error code and message of the response.
    """
    if response.status_code == 200:
        return
    try:
        data = json.loads(response.content)
    except ValueError:
        data = {"error_code": "INTERNAL_ERROR", "message": f"error code {response.status_code} != 200"}
    raise RestException(data)  # type: ignore[no-untyped-call]

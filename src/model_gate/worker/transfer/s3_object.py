"""Requests for one object in S3, with the login and the client of MLflow's artifact repository."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from mlflow.store.artifact.artifact_repo import ArtifactRepository
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import ProtocolError

from model_gate.worker.transfer.concurrency import ConcurrencyLimiter
from model_gate.worker.transfer.file_parts import FileParts

_HTTP_ERRORS_OF_PARTS = frozenset({412, 416})


def is_s3(repository: ArtifactRepository) -> bool:
    """Return whether a repository reads S3. MLflow's repositories of S3 have no common base class."""
    return all(hasattr(repository, name) for name in ("parse_s3_compliant_uri", "_get_s3_client"))


def s3_parts(
    repository: Any,
    path: str,
    size: int,
    limiter: ConcurrencyLimiter,
    errors: Callable[[], AbstractContextManager[None]],
) -> FileParts:
    """Return the parts of a file of `size` bytes below the location of a repository of S3.

    `errors` returns a context manager that converts the exceptions of boto3.
    """
    bucket, root = repository.parse_s3_compliant_uri(repository.artifact_uri)
    owner = getattr(repository, "_bucket_owner_params", {})
    key = {"Bucket": bucket, "Key": posixpath.join(root, path), **owner}
    client = S3Object(repository._get_s3_client(), key, errors)  # noqa: SLF001
    return FileParts(path, size, lambda: client.get({}), limiter, client.get)


class S3Object:
    """An object in S3. Thread-safe, as the clients of boto3 are."""

    def __init__(
        self, client: Any, arguments: Mapping[str, str], errors: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._client = client
        self._arguments = arguments
        self._errors = errors

    @contextmanager
    def get(self, headers: Mapping[str, str]) -> Iterator[_Response]:
        """Request the object, or the range that `headers` name, and yield the response with an unread body."""
        response = self._send({"Range": headers["Range"], "IfMatch": headers["If-Range"]} if headers else {})
        metadata = response["ResponseMetadata"]
        with response.get("Body") or nullcontext() as body:
            yield _Response(metadata["HTTPStatusCode"], CaseInsensitiveDict(metadata["HTTPHeaders"]), body)

    def _send(self, options: Mapping[str, str]) -> dict[str, Any]:
        from botocore.exceptions import ClientError

        with self._errors():
            try:
                response: dict[str, Any] = self._client.get_object(**self._arguments, **options)
            except ClientError as error:
                response = dict(error.response)
                if response.get("ResponseMetadata", {}).get("HTTPStatusCode") not in _HTTP_ERRORS_OF_PARTS:
                    raise
        return response


class _Response:
    """A response of boto3."""

    def __init__(self, status: int, headers: Mapping[str, str], body: Any) -> None:
        self.status = status
        self.headers = headers
        self._body = body

    def read1(self, amount: int) -> bytes:
        """Wait for the next bytes of the body, and return at most `amount` of them; b"" means the end of the body."""
        if self._body is None:
            return b""
        from botocore.exceptions import IncompleteReadError, ResponseStreamingError

        try:
            return bytes(self._body.read(amount))
        except (IncompleteReadError, ResponseStreamingError) as error:
            raise ProtocolError(f"Connection broken: {error!r}", error) from error

"""The files of a model behind a tracking server that proxies its artifacts, as the server gives them.

MLflow's own `list_artifacts` cannot be trusted with them: it takes a directory whose only file bears its name for that
file, and lists nothing; and it decodes `%41` in names, which then lead nowhere or to other files. Files that are not
listed are not compared, and so would make different models equal. MLflow's own `_download_file` can be trusted, but is
slow, and is what is left when a file cannot be had by the fast way.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote, unquote, urlencode

from mlflow.entities import FileInfo
from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.request_utils import augmented_raise_for_status
from mlflow.utils.rest_utils import http_request
from requests import Response
from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as WireTimeoutError

from model_gate.domain.wording import printable
from model_gate.errors import ModelError, TransferError
from model_gate.worker.progress import ProgressCallback, TransferProgress
from model_gate.worker.transfer.concurrency import MAX_CONCURRENCY, ConcurrencyLimiter
from model_gate.worker.transfer.http_client import HttpClient
from model_gate.worker.transfer.range_download import RangeDownload, UnsupportedDownloadError

_ENDPOINT = "/mlflow-artifacts/artifacts"


class ProxiedFiles:
    """The files at one location behind the server. Paths are relative to it."""

    def __init__(self, repository: HttpArtifactRepository, flow: ConcurrencyLimiter) -> None:
        self._repository = repository
        self._flow = flow
        self._wire: HttpClient | None = None
        self._parts = ThreadPoolExecutor(MAX_CONCURRENCY)

    def list_artifacts(self, path: str | None) -> list[FileInfo]:
        """What is in one directory, None for the root; a size of None is one that the server does not tell.

        Raises:
            ModelError: What is listed is not the content of a directory, or is not served under its name.
        """
        directory = path or ""
        base, found, root = self._repository.artifact_uri.partition(_ENDPOINT)
        if not found:
            raise ModelError(
                f"The model is said to be at {self._repository.artifact_uri}, where no tracking server serves"
                " artifacts.",
                "Check the version's source.",
            )
        joined = "/".join(part for part in (root.strip("/"), directory) if part)
        listing = self._listed_by_wire(base, joined) or self._listed_by_mlflow(base, joined)
        try:
            return [_file_info(each, directory) for each in listing.get("files", [])]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"The server's listing of {printable(directory) or 'the model'} is not one.",
                "Check the tracking server.",
            ) from error

    def _listed_by_wire(self, base: str, path: str) -> Any:
        """The answer to a request for the listing of one directory; None if it did not go smoothly.

        Raises:
            WireTimeoutError: urllib3's, as of a file.
        """
        if self._wire is None:
            return None
        asked = time.monotonic()
        try:
            with self._wire.get(f"{base}{_ENDPOINT}?{urlencode({'path': path})}", {}) as answer:
                self._flow.answered(time.monotonic() - asked)
                return json.loads(answer.read()) if answer.status == 200 else None
        except WireTimeoutError:
            raise
        except (HTTPError, ValueError):
            return None

    def _listed_by_mlflow(self, base: str, path: str) -> Any:
        """The same, or MLflow's error; the first one is the pattern for all requests by wire."""
        with _get(base, _ENDPOINT, params={"path": path}) as response:
            self._flow.answered(response.elapsed.total_seconds())
            listing = response.json()
            self._wire = self._wire or _wire_like(base, response)
        return listing

    def require_empty(self, path: str) -> None:
        """Make sure that a file without a listed size has none: MLflow leaves a size of zero out.

        Raises:
            TransferError: It has content, and its size is not known.
        """
        with _get(self._repository.artifact_uri, "/" + quote(path), stream=True) as response:
            if next(response.iter_content(1), b""):
                raise TransferError(
                    f"The server does not tell the size of {printable(path)}: a short download would go unnoticed.",
                    "Use an artifact store that lists sizes.",
                )

    def fetch(self, path: str, size: int, destination: str, note: ProgressCallback) -> None:
        """Write one file of `size` bytes to `destination`; `note` is given how many `bytes` more have come."""
        # MLflow puts the path into the URL as it is: `a#b` would fetch `a`, and compare it with itself.
        remote = quote(path)
        if self._wire is not None and self._fetch_by_wire(self._wire, remote, size, destination, note):
            return
        with self._flow.request(size):
            self._repository._download_file(remote, destination)  # type: ignore[no-untyped-call]  # noqa: SLF001

    def _fetch_by_wire(
        self, wire: HttpClient, remote: str, size: int, destination: str, note: ProgressCallback
    ) -> bool:
        """Whether it went smoothly.

        Raises:
            WireTimeoutError: urllib3's. MLflow would only wait as long again, and again.
        """
        url = f"{self._repository.artifact_uri.rstrip('/')}/{remote}"
        try:
            RangeDownload(wire, self._flow, self._parts, url, size, TransferProgress(note).add).write_to(destination)
        except WireTimeoutError:
            raise
        except (HTTPError, UnsupportedDownloadError):
            return False
        return True


def _wire_like(base: str, response: Response) -> HttpClient | None:
    credentials = get_default_host_creds(base)  # type: ignore[no-untyped-call]
    if credentials.aws_sigv4 or credentials.auth:
        # Each request is signed for itself.
        return None
    return HttpClient.like(response.request, credentials.verify, credentials.client_cert_path)


def _file_info(entry: dict[str, Any], directory: str) -> FileInfo:
    name = str(entry["path"])
    path = f"{directory}/{name}" if directory else name
    # The server decodes a name until nothing is left to decode, whatever it was sent as.
    if unquote(name) != name or "#" in name or not name.isprintable():
        raise ModelError(
            f"The server does not serve {printable(path)} under that name: it reads %xx, # and control characters as"
            " something else.",
            "Rename the file and log the model again, or compare the models at their store with model-gate diff.",
        )
    size = entry.get("file_size")
    return FileInfo(path, bool(entry.get("is_dir")), None if size is None else int(size))


def _get(host: str, endpoint: str, **options: object) -> Response:
    credentials = get_default_host_creds(host)  # type: ignore[no-untyped-call]
    response: Response = http_request(credentials, endpoint, "GET", **options)  # type: ignore[no-untyped-call]
    augmented_raise_for_status(response)  # type: ignore[no-untyped-call]
    return response

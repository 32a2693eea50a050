"""Lists and downloads the files of a model through a server that proxies artifacts.

MLflow's `list_artifacts` is unsafe for a comparison. It returns an empty listing if the only file of a directory has
the name of the directory. It also decodes `%41` in file names, and the decoded names belong to no file or to other
files. An unlisted file is not compared, so different models would appear equal.

Requests by `ArtifactServer` are safe but slow. They are used only if `HttpClient` fails.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any
from urllib.parse import quote, unquote, urlencode

import requests
from mlflow.entities import FileInfo
from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as Urllib3TimeoutError
from urllib3.response import HTTPResponse

from model_gate.domain.progress import ProgressCallback
from model_gate.domain.wording import printable
from model_gate.errors import ModelError, TransferError
from model_gate.worker.progress import TransferProgress
from model_gate.worker.transfer.artifact_server import ArtifactServer, RequestOptions
from model_gate.worker.transfer.byte_range import is_encoded
from model_gate.worker.transfer.concurrency import MAX_CONCURRENCY, ConcurrencyLimiter
from model_gate.worker.transfer.file_parts import FileParts
from model_gate.worker.transfer.file_version import FileRequests
from model_gate.worker.transfer.http_client import HttpClient
from model_gate.worker.transfer.listed_file import ListedFile
from model_gate.worker.transfer.range_download import RangeDownload, Response, UnsupportedDownloadError, WrongSizeError

_ENDPOINT = "/mlflow-artifacts/artifacts"
_CHUNK_BYTES = 1024 * 1024
_DIGITS = re.compile(r"-?[0-9]{1,19}")
# Maximum seconds until a distant server begins to send a range beside a stream, which nobody reads meanwhile. A server
# that needs longer is not faster with ranges.
_PROBE_SECONDS = 5.0
# A tracking server may have few threads, or limit the time of a response.
_CUT_OFF_HINT = (
    "If it ends after the same time again, the server limits the time of a response. For MLflow 2, raise the limit"
    " with mlflow server --gunicorn-opts '--timeout 300'."
)
_STALLED_HINT = (
    "If it ends again, the server may send one file at a time, or limit the time of a response. For MLflow 2, use"
    " mlflow server --workers 4 --gunicorn-opts '--timeout 300'. Or keep whole files with --download-dir."
)


class ProxiedFiles:
    """The files at one location that a server proxies. Paths are relative to the location."""

    def __init__(self, server: ArtifactServer, uri: str, limiter: ConcurrencyLimiter) -> None:
        self._server = server
        self._uri = uri
        base, endpoint, root = uri.partition(_ENDPOINT)
        self._files_url = f"{base}{endpoint}{quote(root.rstrip('/'))}"
        self._limiter = limiter
        self._client: HttpClient | None = None
        self._range_pool = ThreadPoolExecutor(MAX_CONCURRENCY)

    def list_artifacts(self, path: str | None) -> list[FileInfo]:
        """Return the files and directories directly in the directory `path`; None is the root of the location.

        The size of a file is None if the server does not report it.

        Raises:
            ModelError: The listing is malformed, or has a file name that the server would decode to another name.
        """
        directory = path or ""
        base, endpoint, root = self._uri.partition(_ENDPOINT)
        if not endpoint:
            raise ModelError(
                f"The location of the model is {self._uri}, where no tracking server serves artifacts.",
                "Check the version's source.",
            )
        joined = "/".join(part for part in (root.strip("/"), directory) if part)
        listing = self._list_directly(base, joined) or self._list_without_client(base, joined, directory)
        with _listing_errors(directory):
            return [_file_info(entry, directory) for entry in _entries(listing)]

    def _list_directly(self, base: str, path: str) -> Any:
        """Return the JSON listing of one directory, requested with `HttpClient`.

        Return None if there is no `HttpClient` yet or on any error but a timeout.

        Raises:
            Urllib3TimeoutError: The server does not respond in time.
        """
        if self._client is None:
            return None
        start = time.monotonic()
        try:
            with self._client.get(f"{base}{_ENDPOINT}?{urlencode({'path': path})}", {}) as response:
                self._limiter.record_latency(time.monotonic() - start)
                return json.loads(response.read()) if response.status == 200 else None
        except Urllib3TimeoutError:
            raise
        except (HTTPError, ValueError, RecursionError):
            return None

    def _list_without_client(self, base: str, path: str, directory: str) -> Any:
        """Return the JSON listing of one directory, without an `HttpClient`. The first call makes the client."""
        with self._server.get(base, _ENDPOINT, RequestOptions({"path": path})) as response:
            self._limiter.record_latency(response.elapsed.total_seconds())
            with _listing_errors(directory):
                listing = response.json()
            if self._client is None:
                self._client = self._server.client(base, response)
        return listing

    def require_empty(self, path: str) -> None:
        """Check that a file without a listed size is empty. MLflow omits the size of an empty file from its listing.

        Raises:
            TransferError: The file has content, so its size is unknown. Or the response does not say where it ends, so
                a response that breaks off before its first byte would be an empty file.
        """
        # Otherwise a proxy may compress the empty body, and a compressed body can break off unnoticed.
        with self._get(quote(path), {"Accept-Encoding": "identity"}) as response:
            if next(response.iter_content(1), b""):
                raise TransferError(
                    f"The server does not report the size of {printable(path)}, so a truncated download would go"
                    " unnoticed.",
                    "Use an artifact store that lists sizes.",
                )
            if not _has_end(response.headers):
                raise TransferError(
                    f"The server sends nothing for {printable(path)}, and does not say whether the file is empty.",
                    "Run the gate again. If the error comes back, check the server, and the proxies in front of it.",
                )

    def fetch(self, path: str, size: int, destination: str, on_progress: ProgressCallback) -> None:
        """Write one file of `size` bytes to `destination`.

        `on_progress` may be called with the number of `bytes` received since its last call.
        """
        # MLflow does not quote the path in the URL. For `a#b`, it would download `a` from both servers, which may be
        # equal although `a#b` differs.
        remote_path = quote(path)
        if self._client is not None and self._fetch_directly(self._client, remote_path, size, destination, on_progress):
            return
        with self._limiter.request(size):
            self._download(remote_path, destination)

    def _download(self, remote_path: str, destination: str) -> None:
        """Write one file to `destination`, without `HttpClient`."""
        with self._get(remote_path) as response, open(destination, "wb") as file:
            file.writelines(response.iter_content(_CHUNK_BYTES))

    def _get(self, remote_path: str, headers: Mapping[str, str] | None = None) -> requests.Response:
        """Request one file without `HttpClient`, and return the response, whose body is not read yet.

        Raises:
            TransferError: The file has an encoding that is not decoded here.
        """
        response = self._server.get(
            self._files_url, f"/{remote_path}", RequestOptions(headers=headers or {}, is_stream=True)
        )
        try:
            _require_known_encoding(unquote(remote_path), response.headers)
        except TransferError:
            response.close()
            raise
        return response

    def open(self, path: str, size: int) -> FileParts:
        """Return the parts of one file of `size` bytes."""
        file = ListedFile(path, size, _CUT_OFF_HINT, _STALLED_HINT)
        return FileParts(file, self._requests(quote(path), size), self._limiter)

    def _requests(self, remote_path: str, size: int) -> FileRequests:
        def open_stream() -> AbstractContextManager[Response]:
            return self._open_stream(remote_path, size)

        client, url = self._client, self._url(remote_path)
        if client is None:
            return FileRequests(open_stream)
        return FileRequests(
            open_stream,
            part=lambda headers: client.get(url, headers),
            probe=lambda headers: client.get(url, headers, _PROBE_SECONDS),
        )

    @contextmanager
    def _open_stream(self, remote_path: str, size: int) -> Iterator[Response]:
        """Request a whole file, and yield the response, whose body is not read yet.

        MLflow sends the request if `HttpClient` cannot, or if its response is not the file as it is.
        """
        with ExitStack() as stack:
            response = self._direct_response(stack, remote_path, size)
            yield response or DecodedResponse(stack.enter_context(self._get(remote_path)))

    def _direct_response(self, stack: ExitStack, remote_path: str, size: int) -> Response | None:
        """Request a whole file with `HttpClient`. Return None on any error but a timeout.

        Raises:
            Urllib3TimeoutError: The server does not respond in time. A second try with MLflow would wait as long again.
        """
        if self._client is None:
            return None
        try:
            with ExitStack() as attempt:
                response: Response = attempt.enter_context(self._client.get(self._url(remote_path), {}))
                if response.status != 200 or is_encoded(response.headers):
                    return None
                length = response.headers.get("Content-Length", str(size))
                if length != str(size):
                    # This exception closes the connection: later responses may belong to other requests too.
                    raise WrongSizeError(f"The response has {length} bytes, but the listing says {size}.")
                stack.push(attempt.pop_all())
                return response
        except WrongSizeError:
            self._client.suspect(unquote(remote_path))
        except Urllib3TimeoutError:
            raise
        except HTTPError:
            pass
        return None

    def _url(self, remote_path: str) -> str:
        return f"{self._files_url}/{remote_path}"

    def _fetch_directly(
        self, client: HttpClient, remote_path: str, size: int, destination: str, on_progress: ProgressCallback
    ) -> bool:
        """Download one file with `client`. Return false on any error but a timeout.

        Raises:
            Urllib3TimeoutError: The server does not respond in time. A second try with MLflow would wait as long again.
        """
        url = self._url(remote_path)
        progress = TransferProgress(on_progress)
        try:
            RangeDownload(client, self._limiter, self._range_pool, url, size, progress.add).write_to(destination)
        except Urllib3TimeoutError:
            raise
        except WrongSizeError:
            client.suspect(unquote(remote_path))
            return False
        except (HTTPError, UnsupportedDownloadError):
            return False
        return True


class DecodedResponse:
    """A response of `requests` whose body is decompressed."""

    def __init__(self, response: requests.Response) -> None:
        self.status = response.status_code
        self.headers = response.headers
        self._raw = response.raw

    def read1(self, amount: int) -> bytes:
        """Wait for the next bytes of the body, and return at most `amount` of them; b"" means the end of the body."""
        return bytes(self._raw.read1(amount, decode_content=True))


def _require_known_encoding(path: str, headers: Mapping[str, str]) -> None:
    """Require that `requests` decodes the body. It returns a body with another encoding as it is.

    Raises:
        TransferError: It does not decode the body.
    """
    given = headers.get("Content-Encoding", "identity")
    parts = {part.strip().lower() for part in given.split(",")}
    if not parts <= {"", "identity", *HTTPResponse.CONTENT_DECODERS}:
        raise TransferError(
            f"The server sends {printable(path)} with the Content-Encoding {printable(given)}, which was not requested"
            " and is not decoded here.",
            "Check the server, and the proxies in front of it.",
        )


def _has_end(headers: Mapping[str, str]) -> bool:
    """Return whether an empty body is complete. A compressed body can break off without an error.

    A chunked body that breaks off is an error of the client.
    """
    is_chunked = headers.get("Transfer-Encoding", "").lower() == "chunked"
    return not is_encoded(headers) and (is_chunked or headers.get("Content-Length", "").strip() == "0")


@contextmanager
def _listing_errors(directory: str) -> Iterator[None]:
    """Convert exceptions of Python about the content of a listing to ModelError."""
    try:
        yield
    except requests.JSONDecodeError:
        # This ValueError means another fault: the response is a web page, not JSON.
        raise
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise ModelError(
            f"The server's listing of {printable(directory) or 'the model'} is malformed.",
            "Check the tracking server, and the proxies in front of it.",
        ) from error


def _entries(listing: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the entries of a directory. An empty directory has no field `files`, and no other field either.

    Raises:
        KeyError: The response is no listing.
        TypeError: The entries are no list.
        ValueError: The listing has a second page. MLflow's servers list all entries at once.
    """
    if listing.get("next_page_token"):
        raise ValueError
    entries: list[dict[str, Any]] = listing["files"] if listing else []
    if not isinstance(entries, list):
        raise TypeError
    return entries


def _file_info(entry: dict[str, Any], directory: str) -> FileInfo:
    name, is_dir = entry["path"], entry.get("is_dir")
    if not isinstance(name, str) or not isinstance(is_dir, bool | None):
        raise TypeError
    path = f"{directory}/{name}" if directory else name
    # The server decodes a name twice or more, so quoting the name in the request would not help.
    if unquote(name) != name or "#" in name or not name.isprintable():
        raise ModelError(
            f"The server does not serve {printable(path)} under that name, because it interprets %xx, # and"
            " control characters.",
            "Rename the file and log the model again, or compare the models at their store with model-gate diff.",
        )
    return FileInfo(path, bool(is_dir), _file_size(entry.get("file_size")))


def _file_size(size: object) -> int | None:
    """Return the size in an entry of a listing, None if it has none. The JSON form of protobuf has numbers as text.

    Raises:
        TypeError: The size is neither a number nor a text.
        ValueError: The size is not a whole number.
    """
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, int | float | str):
        raise TypeError
    if isinstance(size, str) and not _DIGITS.fullmatch(size):
        raise ValueError
    if isinstance(size, float) and not size.is_integer():
        raise ValueError
    return int(size)

"""Signed GET requests for the objects in one bucket.

Each request has a signature of its own, so that a login that is renewed counts at once. The connections are those of
`HttpClient`. Behind a proxy, `requests` sends the requests. Redirects are never followed.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError, ProtocolError
from urllib3.exceptions import TimeoutError as Urllib3TimeoutError

from model_gate.domain.wording import printable
from model_gate.errors import ModelError, ModelGateError
from model_gate.worker.object_store import store_of
from model_gate.worker.store_failures import status_error
from model_gate.worker.stores.bucket import Bucket
from model_gate.worker.transfer.file_version import is_busy
from model_gate.worker.transfer.http_client import HttpClient
from model_gate.worker.transfer.presigned_url import PresignedUrl
from model_gate.worker.transfer.range_download import Response

_MAX_ATTEMPTS = 4
_CONNECT_SECONDS = 10.0
_DEFAULT_READ_SECONDS = 18.0
# Bytes of a response that are read to find the store's own code of an error.
_ERROR_BYTES = 16 * 1024
_OK = 200
# HTTP statuses with which stores reject credentials that have expired.
_EXPIRED_STATUSES = frozenset({400, 401, 403})
# With 412 and 416, a store says that it has another version of the object.
_STATUSES_OF_CONTENT = frozenset({200, 206})
_STATUSES_OF_PARTS = _STATUSES_OF_CONTENT | {412, 416}
# Google decompresses a stored object for clients that do not accept its encoding, and names the encoding here.
_STORED_ENCODING = "X-Goog-Stored-Content-Encoding"
# Threads whose credentials expired at the same time share the new ones.
_RENEWED_SECONDS = 10.0

Pause = Callable[[float], None]


class StoreClient:
    """Sends requests for the objects in one bucket. Thread-safe.

    Args:
        bucket: The bucket, which signs the requests.
        uri: The location of the model, for error messages.
        pause: Waits for a number of seconds.
    """

    def __init__(self, bucket: Bucket, uri: str, pause: Pause = time.sleep) -> None:
        self._bucket = bucket
        self._uri = uri
        self._pause = pause
        self._lock = threading.Lock()
        self._clients: dict[str, HttpClient | None] = {}
        self._renewed_at = 0.0
        self._session = requests.Session()

    @contextmanager
    def get(self, url: str, headers: Mapping[str, str]) -> Iterator[Response]:
        """Request the object with the key `url`, or the range that `headers` name. Yield the response.

        Raises:
            ModelGateError: The store rejects the request.
            HTTPError: The connection failed. This is the base class of urllib3's errors.
        """
        with ExitStack() as stack:
            yield self._open(stack, url, headers)

    @contextmanager
    def whole(self, key: str) -> Iterator[Response]:
        """Request a whole object, in up to four attempts, and yield the response.

        Raises:
            ModelGateError: The store rejects the request, or is busy.
            HTTPError: The connection failed.
        """
        with ExitStack() as stack:
            yield self._open_whole(stack, key)

    def _open_whole(self, stack: ExitStack, key: str) -> Response:
        for attempt in range(_MAX_ATTEMPTS):
            is_last = attempt == _MAX_ATTEMPTS - 1
            with ExitStack() as opened:
                try:
                    response = self._open(opened, key, {})
                except Urllib3TimeoutError:
                    raise
                except HTTPError:
                    if is_last:
                        raise
                else:
                    if response.status == _OK:
                        stack.push(opened.pop_all())
                        return response
                    if is_last or not is_busy(response):
                        raise self._status_error(response)
            self._pause(2.0**attempt - 1)
        raise AssertionError("the last attempt returns or raises")

    def _open(self, stack: ExitStack, key: str, headers: Mapping[str, str]) -> Response:
        response = self._send(stack, key, headers)
        if response.status in _EXPIRED_STATUSES and self._renew():
            stack.close()
            response = self._send(stack, key, headers)
        if response.status not in _STATUSES_OF_PARTS and not is_busy(response):
            raise self._status_error(response)
        if self._bucket.client_decompresses and response.status in _STATUSES_OF_CONTENT:
            self._require_plain(key, response)
        return response

    def _require_plain(self, key: str, response: Response) -> None:
        """Require an object without a Content-Encoding that a download removes.

        The listing has the compressed size, so nothing would show that the decompressed file is complete.

        Raises:
            ModelError: The object has a Content-Encoding, and the cloud's own client decompresses it.
        """
        encoding = response.headers.get(_STORED_ENCODING) or response.headers.get("Content-Encoding", "identity")
        if encoding.lower() != "identity":
            raise ModelError(
                f"The store {store_of(self._uri, os.environ)} has {printable(key)} with the Content-Encoding"
                f" {printable(encoding)}: it lists the compressed size, but a download decompresses the file.",
                "Store the file without a Content-Encoding, or compare copies of both models with model-gate diff.",
            )

    def _status_error(self, response: Response) -> ModelGateError:
        body = b""
        with suppress(HTTPError):
            while len(body) < _ERROR_BYTES and (chunk := response.read1(_ERROR_BYTES - len(body))):
                body += chunk
        return status_error(self._uri, os.environ, response.status, body.decode("utf-8", "replace"))

    def _renew(self) -> bool:
        """Get new credentials, unless another thread has just got them. Return whether another attempt may succeed."""
        with self._lock:
            if self._renewed_at and time.monotonic() - self._renewed_at < _RENEWED_SECONDS:
                return True
            if not self._bucket.renew():
                return False
            self._renewed_at = time.monotonic()
            return True

    def _send(self, stack: ExitStack, key: str, headers: Mapping[str, str]) -> Response:
        signed = self._bucket.sign(key)
        sent = {**signed.headers, **_conditional(headers)}
        client = self._client_for(signed)
        if client is not None:
            return stack.enter_context(client.get(signed.url, sent))
        return stack.enter_context(self._get_by_proxy(signed, sent))

    def suspect(self, path: str) -> None:
        """Record that a response was not of the requested file, as `HttpClient.suspect` does."""
        with self._lock:
            clients = list(self._clients.values())
        for client in clients:
            if client is not None:
                client.suspect(path)

    def _client_for(self, signed: PresignedUrl) -> HttpClient | None:
        """Return the client for the host of a URL, None if a proxy is used."""
        parts = urlsplit(signed.url)
        origin = f"{parts.scheme}://{parts.netloc}"
        with self._lock:
            if origin not in self._clients:
                request = self._session.prepare_request(requests.Request("GET", f"{origin}/"))
                self._clients[origin] = HttpClient.from_request(request, self._bucket.verify, None)
            return self._clients[origin]

    def _get_by_proxy(self, signed: PresignedUrl, headers: Mapping[str, str]) -> AbstractContextManager[Response]:
        @contextmanager
        def opened() -> Iterator[Response]:
            with self._request_by_proxy(signed, headers) as response:
                yield response.raw

        return opened()

    def _request_by_proxy(self, signed: PresignedUrl, headers: Mapping[str, str]) -> requests.Response:
        seconds = float(os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT", _DEFAULT_READ_SECONDS))
        try:
            return self._session.get(
                signed.url,
                headers={"Accept-Encoding": "identity", **headers},
                stream=True,
                allow_redirects=False,
                verify=None if self._bucket.verify is True else self._bucket.verify,
                timeout=(_CONNECT_SECONDS, seconds),
            )
        # The URL has a signature, so no error may show it.
        except requests.Timeout:
            raise Urllib3TimeoutError(f"{signed.host}: Read timed out.") from None
        except requests.RequestException as error:
            raise ProtocolError(f"{signed.host}: {type(error).__name__}") from None


def _conditional(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers with `If-Match` in place of `If-Range`, which stores do not promise to respect."""
    return {{"If-Range": "If-Match"}.get(name, name): value for name, value in headers.items()}

"""The object store behind presigned URLs: checks signatures and serves byte ranges.

Ranges and conditions follow HTTP; an invalid Range header is ignored.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlencode

from tests.databricks.emulator.content import Settings
from tests.databricks.emulator.messages import ApiError, Request, Response, not_found

_SECONDS = 900
# A header that every request to a presigned URL of this store must have.
_HEADER = ("x-amz-emulator-signed", "yes")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class Store:
    """Local files behind presigned URLs."""

    def __init__(self, address: str, settings: Settings) -> None:
        self._address = settings.store or address
        self._ranges = settings.signed_ranges
        self._key = secrets.token_bytes(16)
        self._expired: set[str] = set()

    def sign(self, path: str) -> tuple[str, list[dict[str, str]]]:
        """Return a presigned URL of a file and the headers that the client must send."""
        expires, number = str(int(time.time()) + _SECONDS), secrets.token_hex(4)
        signed = {"expires": expires, "number": number, "signature": self._signature(path, expires, number)}
        headers = [_HEADER, *(("Range", each) for part, each in self._ranges.items() if part in path)]
        url = f"{self._address}/signed/{quote(path.lstrip('/'))}?{urlencode(signed)}"
        return url, [{"name": name, "value": value} for name, value in headers]

    def expire(self, request: Request) -> None:
        """Reject all later requests to the URL of this request."""
        self._expired.add(request.query.get("signature", ""))

    def respond(self, path: str, request: Request) -> Response:
        """Return a file or the requested range of it."""
        self._require_signed(path, request)
        if "authorization" in request.headers:
            raise ApiError(400, "InvalidArgument", "Only one auth mechanism allowed")
        if not Path(path).is_file():
            raise not_found(path)
        return range_response(Path(path).read_bytes(), request.headers)

    def _require_signed(self, path: str, request: Request) -> None:
        expires, number, signature = (request.query.get(name, "") for name in ("expires", "number", "signature"))
        is_signed = signature == self._signature(path, expires, number)
        if not is_signed or float(expires) < time.time() or signature in self._expired:
            raise ApiError(403, "AccessDenied", "Request has expired")
        ranges = {each for part, each in self._ranges.items() if part in path}
        if request.headers.get(_HEADER[0]) != _HEADER[1] or not ranges <= {request.headers.get("range", "")}:
            raise ApiError(403, "SignatureDoesNotMatch", "A signed header is missing")

    def _signature(self, *signed: str) -> str:
        return hmac.new(self._key, "\n".join(signed).encode(), hashlib.sha256).hexdigest()


def range_response(content: bytes, headers: Mapping[str, str]) -> Response:
    """Return the response to a GET request of `content` whose request headers are `headers`."""
    tag = f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
    metadata = {"Content-Type": "application/octet-stream", "ETag": tag, "Accept-Ranges": "bytes"}
    match = _RANGE.fullmatch(headers.get("range", ""))
    if match is None or not any(match.groups()) or headers.get("if-range", tag) != tag:
        return Response(200, content, metadata)
    first, last = match.groups()
    start = int(first) if first else max(0, len(content) - int(last))
    stop = min(int(last) + 1, len(content)) if first and last else len(content)
    if start >= stop:
        return Response(416, b"<Error><Code>InvalidRange</Code></Error>", {"Content-Range": f"bytes */{len(content)}"})
    return Response(206, content[start:stop], {**metadata, "Content-Range": f"bytes {start}-{stop - 1}/{len(content)}"})

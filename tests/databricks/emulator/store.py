"""The store that presigned URLs lead to: who may read, and which bytes of a file are asked for.

Ranges and conditions are those of HTTP; a range that is asked for wrongly is not heeded.
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
from tests.databricks.emulator.exchange import Answer, RefusedError, Request, missing

_SECONDS = 900
# A presigned URL of a cloud's may ask for headers of its own; one that is asked for must be sent.
_HEADER = ("x-emulator-signed", "yes")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class Store:
    """The files of this machine, for who has a presigned URL."""

    def __init__(self, address: str, settings: Settings) -> None:
        self._address = settings.store or address
        self._ranges = settings.signed_ranges
        self._key = secrets.token_bytes(16)
        self._expired: set[str] = set()

    def sign(self, path: str) -> tuple[str, list[dict[str, str]]]:
        """A URL that gives the file at this path without a token, for a while, and what must be sent along."""
        expires, number = str(int(time.time()) + _SECONDS), secrets.token_hex(4)
        signed = {"expires": expires, "number": number, "signature": self._signature(path, expires, number)}
        headers = [_HEADER, *(("Range", each) for part, each in self._ranges.items() if part in path)]
        url = f"{self._address}/signed/{quote(path.lstrip('/'))}?{urlencode(signed)}"
        return url, [{"name": name, "value": value} for name, value in headers]

    def expire(self, request: Request) -> None:
        """Refuse the URL of this request from now on."""
        self._expired.add(request.query.get("signature", ""))

    def give(self, path: str, request: Request) -> Answer:
        """The file, or the part of it that is asked for."""
        self._require_signed(path, request)
        if "authorization" in request.headers:
            raise RefusedError(400, "InvalidArgument", "Only one auth mechanism allowed")
        if not Path(path).is_file():
            raise missing(path)
        return part_of(Path(path).read_bytes(), request.headers)

    def _require_signed(self, path: str, request: Request) -> None:
        expires, number, signature = (request.query.get(name, "") for name in ("expires", "number", "signature"))
        is_signed = signature == self._signature(path, expires, number)
        if not is_signed or float(expires) < time.time() or signature in self._expired:
            raise RefusedError(403, "AccessDenied", "Request has expired")
        ranges = {each for part, each in self._ranges.items() if part in path}
        if request.headers.get(_HEADER[0]) != _HEADER[1] or not ranges <= {request.headers.get("range", "")}:
            raise RefusedError(403, "SignatureDoesNotMatch", "A signed header is missing")

    def _signature(self, *signed: str) -> str:
        return hmac.new(self._key, "\n".join(signed).encode(), hashlib.sha256).hexdigest()


def part_of(content: bytes, headers: Mapping[str, str]) -> Answer:
    """The answer to a GET with these headers."""
    tag = f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
    about = {"Content-Type": "application/octet-stream", "ETag": tag, "Accept-Ranges": "bytes"}
    asked = _RANGE.fullmatch(headers.get("range", ""))
    if asked is None or not any(asked.groups()) or headers.get("if-range", tag) != tag:
        return Answer(200, content, about)
    first, last = asked.groups()
    start = int(first) if first else max(0, len(content) - int(last))
    stop = min(int(last) + 1, len(content)) if first and last else len(content)
    if start >= stop:
        return Answer(416, b"<Error><Code>InvalidRange</Code></Error>", {"Content-Range": f"bytes */{len(content)}"})
    return Answer(206, content[start:stop], {**about, "Content-Range": f"bytes {start}-{stop - 1}/{len(content)}"})

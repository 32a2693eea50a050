"""Fake cloud services: Microsoft Entra, Azure Data Lake Storage and Google Cloud Storage.

The services accept the requests that the client libraries send. They reject requests without the right credential.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from tests.databricks.emulator.messages import Request, Response, json_response
from tests.databricks.emulator.oidc import entra_token

_PAGE = 3


@dataclass(frozen=True)
class Entra:
    """Token endpoint of one Entra tenant.

    Attributes:
        tenant: The tenant's ID.
        secrets: Client secrets of the service principals by client ID.
        key: Key that signs the tokens.
    """

    tenant: str
    secrets: Mapping[str, str]
    key: str

    def __call__(self, request: Request) -> Response:
        """Issue a token for the requested resource."""
        form = dict(parse_qsl(request.body.decode()))
        if request.path != f"/{self.tenant}/oauth2/token":
            return json_response(
                {"error": "invalid_request", "error_description": "AADSTS90002: Tenant not found."}, 400
            )
        client = form.get("client_id", "")
        if form.get("grant_type") != "client_credentials" or form.get("client_secret") != self.secrets.get(client):
            description = "AADSTS7000215: Invalid client secret provided."
            return json_response({"error": "invalid_client", "error_description": description}, 401)
        token = entra_token(self.key, client, form["resource"])
        return json_response(
            {"token_type": "Bearer", "expires_in": "3599", "resource": form["resource"], "access_token": token}
        )


@dataclass(frozen=True)
class DataLake:
    """A file system of a storage account (its `dfs` host), protected by a shared access signature."""

    filesystem: str
    files: Mapping[str, bytes]
    signature: str

    def __call__(self, request: Request) -> Response:
        """Answer with a page of a listing or a range of a file."""
        if request.query.get("sig") != self.signature or "authorization" in request.headers:
            return json_response(
                {"error": {"code": "AuthenticationFailed"}}, 403, {"x-ms-error-code": "AuthenticationFailed"}
            )
        path = unquote(request.path).removeprefix(f"/{self.filesystem}").strip("/")
        if request.query.get("resource") == "filesystem" and not path:
            if request.query.get("recursive") != "true":
                return json_response({"error": {"code": "NotImplemented"}}, 501)
            return self._page(request.query["directory"].strip("/"), int(request.query.get("continuation") or 0))
        if path not in self.files:
            return json_response({"error": {"code": "BlobNotFound"}}, 404, {"x-ms-error-code": "BlobNotFound"})
        return _range(self.files[path], request.headers.get("x-ms-range") or request.headers.get("range", ""))

    def _page(self, directory: str, start: int) -> Response:
        files = _below(self.files, directory)
        directories = {name.rpartition("/")[0] for name in files} - {directory}
        entries = [{"name": name, "isDirectory": "true", "contentLength": "0"} for name in sorted(directories)]
        entries += [{"name": name, "contentLength": str(len(self.files[name]))} for name in files]
        more = {"x-ms-continuation": str(start + _PAGE)} if start + _PAGE < len(entries) else {}
        return json_response({"paths": entries[start : start + _PAGE]}, headers=more)


@dataclass(frozen=True)
class Bucket:
    """A Google Cloud Storage bucket (JSON API), protected by an access token."""

    name: str
    files: Mapping[str, bytes]
    token: str

    def __call__(self, request: Request) -> Response:
        """Answer with a page of a listing or a range of an object."""
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return json_response({"error": {"code": 401, "message": "Invalid Credentials"}}, 401)
        root = f"/storage/v1/b/{self.name}/o"
        path = request.path.removeprefix("/download")
        if path == root:
            return self._page(request.query["prefix"], int(request.query.get("pageToken") or 0))
        name = unquote(path.removeprefix(f"{root}/"))
        if not path.startswith(f"{root}/") or name not in self.files:
            return json_response({"error": {"code": 404, "message": f"No such object: {name}"}}, 404)
        if request.query.get("alt") != "media":
            return json_response(self._object(name))
        return _range(self.files[name], request.headers.get("range", ""))

    def _object(self, name: str) -> dict[str, str]:
        return {"kind": "storage#object", "name": name, "bucket": self.name, "size": str(len(self.files[name]))}

    def _page(self, prefix: str, start: int) -> Response:
        files = _below(self.files, prefix.rstrip("/"))
        data: dict[str, object] = {"kind": "storage#objects"}
        data["items"] = [self._object(name) for name in files[start : start + _PAGE]]
        if start + _PAGE < len(files):
            data["nextPageToken"] = str(start + _PAGE)
        return json_response(data)


def _below(files: Mapping[str, bytes], directory: str) -> list[str]:
    """Return the full paths of all files below a directory."""
    return sorted(path for path in files if path.startswith(f"{directory}/"))


def _range(content: bytes, byte_range: str) -> Response:
    """Return the requested bytes, or status 416 for a range that starts after the end (any range of an empty file)."""
    match = re.fullmatch(r"bytes=(\d+)-(\d*)", byte_range)
    headers = {
        "Content-Type": "application/octet-stream",
        "ETag": '"1"',
        "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT",
    }
    if match is None:
        return Response(200, content, headers)
    start = int(match[1])
    if start >= len(content):
        error = {"x-ms-error-code": "InvalidRange", "Content-Range": f"bytes */{len(content)}"}
        return Response(416, json.dumps({}).encode(), {**headers, **error})
    part = content[start : int(match[2]) + 1 if match[2] else None]
    content_range = f"bytes {start}-{start + len(part) - 1}/{len(content)}"
    return Response(206, part, {**headers, "Content-Range": content_range})

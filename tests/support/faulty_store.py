"""Object stores that can respond with faults: S3, Azure's two kinds of stores, and Google.

A store implements the part of its cloud's protocol that a gate uses. It is also the tracking server of the gate, so
that the gate has one.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote
from xml.sax.saxutils import escape

from tests.support.certificates import certificates
from tests.support.faulty_server import Call, FaultyServer

SECRET = "secret-of-the-test"
KEY = base64.b64encode(SECRET.encode()).decode()
BUCKET = "bucket"
# For each cloud, the start of the paths of objects. In all listings, `prefix` or `directory` names the directory.
_OBJECTS = {
    "s3": f"/{BUCKET}/",
    "azure": f"/acct/{BUCKET}/",
    "lake": f"/{BUCKET}/",
    "google": f"/download/storage/v1/b/{BUCKET}/o/",
}


@dataclass
class FaultyStore(FaultyServer):
    """A store of one cloud with one bucket. Use it as a context manager.

    Attributes:
        cloud: `s3`, `azure` (Blob Storage), `lake` (Data Lake Storage, which needs TLS) or `google`.
        page: Objects on a page of a listing.
        last_page: Body of each page after the first, None for the right body.
    """

    cloud: str = "s3"
    page: int = 1_000
    last_page: bytes | None = None
    # The sorted names of each listing that has begun, by its prefix.
    _names: dict[str, list[str]] = field(default_factory=dict)

    def use_tls(self, directory: Path) -> dict[str, str]:
        """Serve TLS, if the client of the cloud needs it. Write the certificates to `directory`.

        Must be called before the store starts. Returns the variables with which a client trusts the store.
        """
        if self.cloud != "lake":
            return {}
        authority, identity = certificates(directory, ["localhost", "127.0.0.1"])
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(identity)
        return {"REQUESTS_CA_BUNDLE": str(authority)}

    @property
    def variables(self) -> dict[str, str]:
        """The variables with the login and the address of the store."""
        port = self.url.rpartition(":")[2]
        account = f"DefaultEndpointsProtocol=http;AccountName=acct;AccountKey={KEY};BlobEndpoint={self.url}/acct"
        return {
            "s3": {
                "AWS_ACCESS_KEY_ID": "AKIATEST",
                "AWS_SECRET_ACCESS_KEY": SECRET,
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_EC2_METADATA_DISABLED": "true",
                "MLFLOW_S3_ENDPOINT_URL": self.url,
            },
            "azure": {"AZURE_STORAGE_CONNECTION_STRING": account},
            "lake": {
                "AZURE_STORAGE_SAS_TOKEN": f"sv=2021&sig={SECRET}",
                "MODEL_GATE_STORE_ENDPOINTS": f"https://127.0.0.1:{port}",
            },
            "google": {"STORAGE_EMULATOR_HOST": self.url},
        }[self.cloud]

    def location(self, path: str) -> str:
        """Return the location of a directory in the bucket."""
        port = self.url.rpartition(":")[2]
        return {
            "s3": f"s3://{BUCKET}/{path}",
            "azure": f"wasbs://{BUCKET}@acct.blob.core.windows.net/{path}",
            # MLflow takes what is before the first dot for the name of the account.
            "lake": f"abfss://{BUCKET}@127.0.0.1:{port}/{path}",
            "google": f"gs://{BUCKET}/{path}",
        }[self.cloud]

    def file_at(self, path: str) -> bytes:
        return self.files[path.removeprefix(_OBJECTS[self.cloud])]

    def respond(self, call: Call) -> None:
        query = {name: values[0] for name, values in call.request.query.items()}
        is_listing = {
            "s3": "list-type" in query,
            "azure": query.get("comp") == "list",
            "lake": query.get("resource") == "filesystem",
            "google": call.request.path.endswith("/o"),
        }[self.cloud]
        if is_listing:
            self._list(call, query)
        elif call.request.path.removeprefix(_OBJECTS[self.cloud]) in self.files:
            serve_object(call)
        elif call.request.path.rstrip("/") == f"/{BUCKET}":
            call.send(b"", x_amz_bucket_region="us-east-1")
        else:
            call.send(b"<Error><Code>NoSuchKey</Code></Error>", 404, content_type="application/xml")

    def _list(self, call: Call, query: Mapping[str, str]) -> None:
        prefix = query.get("prefix", "")
        if "directory" in query:
            prefix = query["directory"] + "/"
        token = next((query[name] for name in _TOKENS if query.get(name)), "")
        if token and self.last_page is not None:
            call.send(self.last_page, content_type=_CONTENT_TYPES[self.cloud])
            return
        if not token:
            self._names[prefix] = sorted(name for name in self.files if name.startswith(prefix))
        names = self._names[prefix]
        start, stop = int(token or 0), int(token or 0) + self.page
        following = str(stop) if stop < len(names) else ""
        entries = [(name, len(self.files[name])) for name in names[start:stop]]
        _SEND[self.cloud](call, entries, following)


_CONTENT_TYPES = {
    "s3": "application/xml",
    "azure": "application/xml",
    "lake": "application/json",
    "google": "application/json",
}
_TOKENS = ("continuation-token", "marker", "continuation", "pageToken")
_DATE = "2026-01-01T00:00:00.000Z"
_HTTP_DATE = "Thu, 01 Jan 2026 00:00:00 GMT"


def _send_s3(call: Call, entries: list[tuple[str, int]], following: str) -> None:
    contents = "".join(
        f"<Contents><Key>{escape(quote(name))}</Key><LastModified>{_DATE}</LastModified><ETag>&quot;1&quot;</ETag>"
        f"<Size>{size}</Size></Contents>"
        for name, size in entries
    )
    token = f"<NextContinuationToken>{following}</NextContinuationToken>" if following else ""
    body = (
        f'<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>{BUCKET}</Name>'
        f"<EncodingType>url</EncodingType><IsTruncated>{str(bool(following)).lower()}</IsTruncated>{token}{contents}"
        "</ListBucketResult>"
    )
    call.send(body.encode(), content_type="application/xml")


def _send_azure(call: Call, entries: list[tuple[str, int]], following: str) -> None:
    # Azure's client asks for the next page with the prefix of this response.
    prefix = escape(call.request.query["prefix"][0])
    blobs = "".join(
        f"<Blob><Name>{escape(name)}</Name><Properties><Last-Modified>{_HTTP_DATE}</Last-Modified><Etag>1</Etag>"
        f"<Content-Length>{size}</Content-Length><BlobType>BlockBlob</BlobType></Properties></Blob>"
        for name, size in entries
    )
    body = (
        f'<?xml version="1.0"?><EnumerationResults ContainerName="{BUCKET}"><Prefix>{prefix}</Prefix>'
        f"<Blobs>{blobs}</Blobs>"
        f"<NextMarker>{following}</NextMarker></EnumerationResults>"
    )
    call.send(body.encode(), content_type="application/xml")


def _send_lake(call: Call, entries: list[tuple[str, int]], following: str) -> None:
    paths = [
        {"name": name, "contentLength": str(size), "lastModified": _HTTP_DATE, "etag": "1"} for name, size in entries
    ]
    parents = sorted({name.rpartition("/")[0] for name, _ in entries if "/" in name})
    paths += [{"name": name, "isDirectory": "true", "lastModified": _HTTP_DATE, "etag": "1"} for name in parents]
    call.send_json({"paths": paths}, x_ms_continuation=following)


def _send_google(call: Call, entries: list[tuple[str, int]], following: str) -> None:
    items = [{"name": name, "size": str(size)} for name, size in entries]
    call.send_json({"kind": "storage#objects", "items": items} | ({"nextPageToken": following} if following else {}))


_SEND = {"s3": _send_s3, "azure": _send_azure, "lake": _send_lake, "google": _send_google}


def serve_object(call: Call, tag: str = '"1"') -> None:
    """Send the object or the requested range of it, with an ETag."""
    header = call.request.headers.get("Range", "")
    if call.request.headers.get("If-Match", tag) != tag:
        call.send(b"", 412)
    elif header:
        start, stop = (int(number) for number in header.removeprefix("bytes=").split("-"))
        part = call.file[start : stop + 1]
        call.send(part, 206, content_range=f"bytes {start}-{stop}/{len(call.file)}", etag=tag)
    else:
        call.send(call.file, etag=tag, content_type="application/octet-stream")

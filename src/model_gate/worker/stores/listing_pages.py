"""Checks of the pages in which a store lists its objects.

The clients of the clouds accept an empty or foreign response as the last page of a listing. A listing that ends too
early would make two different models equal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from model_gate.domain.wording import byte_count, printable
from model_gate.errors import ModelError, TransferError

_S3_ROOT = "ListBucketResult"
_AZURE_ROOT = "EnumerationResults"
_GOOGLE_KIND = "storage#objects"
_PREFIXES = "it has directories in place of the objects below them"
_FALSE = (None, False, "false", "False")


class MalformedPageError(Exception):
    """A response is not a whole page of a listing. The message, if there is one, says what the page leaves out."""


# What Python and the clients of the clouds raise if a page lacks a field, or has another type of value. Only these
# exact classes: the errors of a login have subclasses of `ValueError`.
_PARSE_ERRORS = frozenset({MalformedPageError, AttributeError, KeyError, TypeError, UnicodeDecodeError, ValueError})
_PARSE_ERROR_NAMES = frozenset({"DecodeError", "DeserializationError", "JSONDecodeError", "ResponseParserError"})


@contextmanager
def well_formed_pages(store: object) -> Iterator[None]:
    """Convert the exceptions that a malformed page causes.

    Args:
        store: The store, for the error message.

    Raises:
        TransferError: A page is malformed.
    """
    try:
        yield
    except Exception as error:
        if type(error) in _PARSE_ERRORS or type(error).__name__ in _PARSE_ERROR_NAMES:
            detail = f": {error}" if isinstance(error, MalformedPageError) and str(error) else ""
            raise TransferError(
                f"The listing of the store {store} is malformed or incomplete{detail}.",
                "Run the gate again. If the error remains, check the address of the store, and the proxies in front of"
                " it.",
            ) from error
        raise


def require_s3_body(body: bytes) -> None:
    """Require that the body of a response is a page of S3 that says whether another page follows.

    The page must not list versions of objects, which the client of S3 would leave out.
    """
    if not _has_root(body, _S3_ROOT) or _texts(body, "IsTruncated") not in ([b"true"], [b"false"]):
        raise MalformedPageError
    if _has_element(body, "Version") or _has_element(body, "DeleteMarker"):
        raise MalformedPageError("it has versions of objects, which were not requested")


def require_s3_page(page: dict[str, Any]) -> None:
    """Require that a parsed page of S3 is complete.

    It has the token of the next page if, and only if, another page follows. It has each object that it counts, and no
    prefix that stands for objects, because no request has a delimiter.
    """
    is_ok = page["ResponseMetadata"]["HTTPStatusCode"] == 200
    if not is_ok or page["IsTruncated"] != bool(page.get("NextContinuationToken")):
        raise MalformedPageError
    if page.get("CommonPrefixes"):
        raise MalformedPageError(_PREFIXES)
    counted, listed = page.get("KeyCount", 0), len(page.get("Contents", ()))
    if counted > listed:
        raise MalformedPageError(f"a page counts {counted:,} objects, but lists {listed:,}")


def require_google_page(page: Any) -> None:
    """Require that the JSON of a response is a page of Google Cloud Storage.

    The page must have no prefix that stands for objects, because no request has a delimiter.
    """
    if not isinstance(page, dict) or "error" in page:
        raise MalformedPageError
    if page.get("prefixes"):
        raise MalformedPageError(_PREFIXES)
    items, kind, token = page.get("items"), page.get("kind"), page.get("nextPageToken", "")
    if not isinstance(items, list | None) or not isinstance(token, str):
        raise MalformedPageError
    if kind != _GOOGLE_KIND and (kind is not None or items is None):
        raise MalformedPageError


def require_azure_body(body: bytes) -> None:
    """Require that the body of a response is a page of Azure Blob Storage that says whether another page follows.

    The page must have no prefix that stands for blobs, because no request has a delimiter.
    """
    if not _has_root(body, _AZURE_ROOT) or len(_texts(body, "NextMarker")) != 1:
        raise MalformedPageError
    if _has_element(body, "BlobPrefix"):
        raise MalformedPageError(_PREFIXES)


def require_lake_body(body: bytes) -> None:
    """Require that the body of a response is a page of Azure Data Lake Storage.

    Raises:
        MalformedPageError: The body is not a page.
        ModelError: A directory has content.
    """
    page = json.loads(body)
    if not isinstance(page, dict) or "error" in page or not isinstance(page.get("paths"), list):
        raise MalformedPageError
    for path in page["paths"]:
        name, size = path["name"], path.get("contentLength")
        is_file = path.get("isDirectory") in _FALSE
        if not isinstance(name, str) or (size is None and is_file):
            raise MalformedPageError
        content = int(size or 0)
        if content and not is_file:
            raise ModelError(
                f"The store lists {printable(name)} as a directory, but also with {byte_count(content)} of content.",
                "Check the store.",
            )


def _has_root(body: bytes, name: str) -> bool:
    """Return whether the root element of an XML document has a name, in any namespace."""
    prolog = rb"(?:\xef\xbb\xbf)?(?:\s+|<\?.*?\?>|<!--.*?-->)*"
    return re.match(prolog + rb"<(?:[\w.-]+:)?" + name.encode() + rb"[\s/>]", body, re.DOTALL) is not None


def _has_element(body: bytes, name: str) -> bool:
    """Return whether an XML document has an element with a name, in any namespace."""
    # A text of the document has no `<`, so it cannot contain an element.
    return re.search(rb"<(?:[\w.-]+:)?" + name.encode() + rb"[\s/>]", body) is not None


def _texts(body: bytes, name: str) -> list[bytes]:
    """Return the texts of all elements with a name in an XML document."""
    element = rb"<(?:[\w.-]+:)?" + name.encode() + rb"(?:\s[^>]*?)?(?:/>|>([^<]*)<)"
    return [text.strip() for text in re.findall(element, body)]

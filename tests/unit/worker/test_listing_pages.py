"""Pages of the stores' listings are complete and well-formed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from model_gate.errors import ModelError, TransferError
from model_gate.worker.stores.listing_pages import (
    MalformedPageError,
    require_azure_body,
    require_google_page,
    require_lake_body,
    require_s3_body,
    require_s3_page,
    well_formed_pages,
)

S3 = '<?xml version="1.0"?><ListBucketResult xmlns="u">{}</ListBucketResult>'
AZURE = '<?xml version="1.0"?><EnumerationResults>{}</EnumerationResults>'


@pytest.mark.parametrize(
    "body",
    [
        S3.format("<IsTruncated>false</IsTruncated>"),
        S3.format("<IsTruncated>true</IsTruncated><Key>a</Key>"),
        S3.format("<IsTruncated>false</IsTruncated><Contents><Key>&lt;Version></Key></Contents>"),
        '<s:ListBucketResult xmlns:s="u"><s:IsTruncated>false</s:IsTruncated></s:ListBucketResult>',
    ],
)
def test_whole_page_of_s3_is_accepted(body: str) -> None:
    require_s3_body(body.encode())


@pytest.mark.parametrize(
    "body",
    [
        "",
        S3.format(""),
        S3.format("<IsTruncated/>"),
        S3.format("<IsTruncated>no</IsTruncated>"),
        S3.format("<IsTruncated>true</IsTruncated><IsTruncated>false</IsTruncated>"),
        "<html><IsTruncated>false</IsTruncated></html>",
        "<Error><Code>SlowDown</Code><IsTruncated>false</IsTruncated></Error>",
        "<ListBucketResults><IsTruncated>false</IsTruncated></ListBucketResults>",
        "<Error><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult></Error>",
        S3.format("<IsTruncatedBefore>false</IsTruncatedBefore>"),
        S3.format("<IsTruncated>false</IsTruncated><Version><Key>a</Key></Version>"),
        S3.format("<IsTruncated>false</IsTruncated><n:DeleteMarker><Key>a</Key></n:DeleteMarker>"),
    ],
)
def test_response_that_is_no_page_of_s3_is_rejected(body: str) -> None:
    with pytest.raises(MalformedPageError):
        require_s3_body(body.encode())


@pytest.mark.parametrize(
    "fields, status",
    [
        ({"IsTruncated": True}, 200),
        ({"IsTruncated": True, "NextContinuationToken": ""}, 200),
        ({"IsTruncated": False, "NextContinuationToken": "T"}, 200),
        ({"IsTruncated": False}, 204),
    ],
)
def test_page_of_s3_whose_end_is_unclear_is_rejected(fields: dict[str, Any], status: int) -> None:
    with pytest.raises(MalformedPageError):
        require_s3_page({"ResponseMetadata": {"HTTPStatusCode": status}, **fields})


@pytest.mark.parametrize("fields", [{}, {"KeyCount": 0}, {"KeyCount": 1}, {"CommonPrefixes": []}])
def test_page_of_s3_with_each_object_that_it_counts_is_accepted(fields: dict[str, Any]) -> None:
    page = {"ResponseMetadata": {"HTTPStatusCode": 200}, "IsTruncated": False, "Contents": [{"Key": "a", "Size": 1}]}
    require_s3_page(page | fields)


@pytest.mark.parametrize("fields", [{"KeyCount": 2}, {"CommonPrefixes": [{"Prefix": "m/d/"}]}])
def test_page_of_s3_that_leaves_objects_out_is_rejected(fields: dict[str, Any]) -> None:
    page = {"ResponseMetadata": {"HTTPStatusCode": 200}, "IsTruncated": False, "Contents": [{"Key": "a", "Size": 1}]}
    with pytest.raises(MalformedPageError):
        require_s3_page(page | fields)


@pytest.mark.parametrize(
    "page", [{"kind": "storage#objects"}, {"items": [], "prefixes": []}, {"items": [], "nextPageToken": "T"}]
)
def test_whole_page_of_google_is_accepted(page: object) -> None:
    require_google_page(page)


@pytest.mark.parametrize(
    "page",
    [
        b"",
        None,
        [],
        {},
        {"items": {}},
        {"kind": "storage#bucket", "items": []},
        {"kind": "storage#objects", "error": {}},
        {"kind": "storage#objects", "items": None, "nextPageToken": 1},
        {"kind": "storage#objects", "items": "a"},
        {"kind": "storage#objects", "items": [], "prefixes": ["m/d/"]},
    ],
)
def test_response_that_is_no_page_of_google_is_rejected(page: object) -> None:
    with pytest.raises(MalformedPageError):
        require_google_page(page)


@pytest.mark.parametrize("fields", ["<NextMarker/>", "<NextMarker />", "<NextMarker>T</NextMarker>"])
def test_whole_page_of_azure_is_accepted(fields: str) -> None:
    require_azure_body(b"\xef\xbb\xbf" + AZURE.format(fields).encode())


@pytest.mark.parametrize(
    "body",
    [
        "",
        AZURE.format(""),
        AZURE.format("<NextMarker/><NextMarker>T</NextMarker>"),
        AZURE.format("<NextMarkers/>"),
        AZURE.format("<Blobs><BlobPrefix><Name>m/d/</Name></BlobPrefix></Blobs><NextMarker/>"),
        "<Error><NextMarker/></Error>",
    ],
)
def test_response_that_is_no_page_of_azure_is_rejected(body: str) -> None:
    with pytest.raises(MalformedPageError):
        require_azure_body(body.encode())


def test_whole_page_of_data_lake_is_accepted() -> None:
    folder = {"name": "m/d", "isDirectory": "true", "contentLength": "0"}
    require_lake_body(json.dumps({"paths": [{"name": "m/a", "contentLength": "1"}, folder]}).encode())
    require_lake_body(b'{"paths": []}')


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html/>",
        b"[]",
        b"{}",
        b'{"error": {}, "paths": []}',
        b'{"paths": {}}',
        b'{"paths": [1]}',
        b'{"paths": [{"contentLength": "1"}]}',
        b'{"paths": [{"name": "a"}]}',
        b'{"paths": [{"name": "a", "contentLength": "1", "isDirectory": "true"}]}',
    ],
)
def test_response_that_is_no_page_of_data_lake_is_rejected(body: bytes) -> None:
    with pytest.raises((TransferError, ModelError)), well_formed_pages("store"):
        require_lake_body(body)


@pytest.mark.parametrize("error", [KeyError("Key"), TypeError(), ValueError("x"), MalformedPageError()])
def test_page_that_cannot_be_parsed_is_one_error(error: Exception) -> None:
    with pytest.raises(TransferError, match="store S is malformed"), well_formed_pages("S"):
        raise error


def test_error_of_a_login_is_no_error_of_a_page() -> None:
    class LoginError(ValueError):
        pass

    with pytest.raises(LoginError), well_formed_pages("S"):
        raise LoginError

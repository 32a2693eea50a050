"""Buckets of S3 are read in their own regions, whatever the region of the login is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.support.faulty_server import Call, Request
from tests.support.faulty_store import BUCKET, FaultyStore
from tests.support.gates import run
from tests.support.opened_stores import FILES, add

_OTHER_BUCKET = "other-bucket"


def reject_with_region(call: Call, region: str) -> None:
    body = f"<Error><Code>AuthorizationHeaderMalformed</Code><Region>{region}</Region></Error>"
    call.send(body.encode(), 400, content_type="application/xml")


def redirect(call: Call, region: str) -> None:
    body = b"<Error><Code>PermanentRedirect</Code><Endpoint>s3.example.com</Endpoint></Error>"
    call.send(body, 301, content_type="application/xml", x_amz_bucket_region=region)


def reject_without_region(call: Call, _: str) -> None:
    call.send(b"<Error><Code>AuthorizationHeaderMalformed</Code></Error>", 400, content_type="application/xml")


@dataclass
class RegionalStore(FaultyStore):
    """A store of S3 that answers only requests that are signed for the region of their bucket.

    Attributes:
        regions: The region of each bucket. All buckets have the same objects.
        reject: Answers a request that is signed for another region.
    """

    regions: Mapping[str, str] = field(default_factory=dict)
    reject: Callable[[Call, str], None] = reject_with_region

    def respond(self, call: Call) -> None:
        bucket = call.request.path.split("/")[1]
        if region_of(call.request) != self.regions[bucket]:
            self.reject(call, self.regions[bucket])
            return
        path = call.request.path.replace(f"/{bucket}", f"/{BUCKET}", 1)
        super().respond(replace(call, request=replace(call.request, path=path)))


def region_of(request: Request) -> str:
    """Return the region for which a request is signed."""
    login = request.authorization or request.query["X-Amz-Credential"][0]
    match = re.search(r"AKIATEST/\d+/([^/]+)/s3/", login)
    assert match is not None
    return match[1]


@pytest.mark.parametrize("reject", [reject_with_region, redirect])
def test_bucket_in_another_region_than_that_of_the_login_is_read(
    reject: Callable[[Call, str], None], tmp_path: Path
) -> None:
    with RegionalStore(regions={BUCKET: "eu-central-1"}, reject=reject) as store:
        add(store, "m", FILES)
        add(store, "n", {**FILES, "aA": b"!"})
        result = run(tmp_path, "diff", "s3://bucket/m", "s3://bucket/n", environment=store.variables)
    assert (result.exit_code, result.status) == (1, "different"), result


def test_each_bucket_of_a_diff_is_read_in_its_own_region(tmp_path: Path) -> None:
    with RegionalStore(regions={BUCKET: "us-east-1", _OTHER_BUCKET: "ap-south-1"}) as store:
        add(store, "m", FILES)
        add(store, "n", FILES)
        result = run(tmp_path, "diff", "s3://bucket/m", f"s3://{_OTHER_BUCKET}/n", environment=store.variables)
        signed = {
            (request.path.split("/")[1], region_of(request)) for request in store.requests if "/n/" in request.path
        }
    assert (result.exit_code, result.status) == (0, "equal"), result
    assert signed == {(_OTHER_BUCKET, "ap-south-1")}


def test_bucket_whose_region_the_store_does_not_name_is_an_error_that_names_the_variable(tmp_path: Path) -> None:
    with RegionalStore(regions={BUCKET: "eu-central-1"}, reject=reject_without_region) as store:
        result = run(tmp_path, "diff", "s3://bucket/m", "s3://bucket/n", environment=store.variables)
    result.require_error("UnreachableError", "AuthorizationHeaderMalformed", "AWS_DEFAULT_REGION")

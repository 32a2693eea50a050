"""Buckets of S3 and of compatible stores, with the client of boto3."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from model_gate.worker.stores.bucket import StoredObject
from model_gate.worker.stores.listing_pages import require_s3_body, require_s3_page
from model_gate.worker.stores.mlflow_settings import S3Settings, s3_owner
from model_gate.worker.transfer.presigned_url import PresignedUrl

# S3 rejects a URL after this time. Each request has a URL of its own.
_VALID_SECONDS = 3600
_OK = 200
_SIGNATURE = "s3v4"
_REQUEST_PAYER = "AWS_REQUEST_PAYER"
_PAYER_HEADER = {"x-amz-request-payer": "requester"}
_OWNER_HEADER = "x-amz-expected-bucket-owner"
# boto3 cannot make two clients at the same time, but one worker can open two models at the same time. With the lock,
# the second model uses the client of the first one: a new client takes a tenth of a second of processor time.
_CLIENT_LOCK = threading.Lock()
# Attributes of the logins of botocore. Those of a login that renews itself begin with an underscore.
_SECRET_ATTRIBUTES = ("secret_key", "token", "_secret_key", "_token")


def pays_requests(environment: Mapping[str, str]) -> bool:
    """Return whether the user pays for requests to a bucket whose owner does not pay.

    >>> pays_requests({"AWS_REQUEST_PAYER": "requester"}), pays_requests({})
    (True, False)
    """
    return environment.get(_REQUEST_PAYER, "").lower() in {"requester", "true", "1"}


class S3Bucket:
    """A bucket of S3.

    Args:
        name: Name of the bucket.
        make_client: Returns a client of boto3 with the login.
        owner: The account that must own the bucket, "" for any.
        renew_client: Returns a client with new credentials of Unity Catalog; None for a login that renews itself.
    """

    client_decompresses = False

    def __init__(
        self, name: str, make_client: Callable[[], Any], owner: str, renew_client: Callable[[], Any] | None = None
    ) -> None:
        self._parameters = {"Bucket": name} | ({"ExpectedBucketOwner": owner} if owner else {})
        self._headers = {_OWNER_HEADER: owner} if owner else {}
        if pays_requests(os.environ):
            self._parameters |= {"RequestPayer": "requester"}
            self._headers |= _PAYER_HEADER
        self._renew_client = renew_client
        # The bucket keeps its client, because a client renews its own login.
        with _CLIENT_LOCK:
            self._client = make_client()
            _prepare(self._client)

    @classmethod
    def from_environment(cls, name: str, host: str = "") -> S3Bucket:  # noqa: ARG003  # the name is enough
        """Return a bucket with the login that boto3 finds: variables, profiles, single sign-on or the machine."""
        settings = S3Settings.from_environment(os.environ)
        return cls(name, lambda: shared_client(settings), s3_owner(os.environ))

    @classmethod
    def from_repository(cls, repository: Any, name: str) -> S3Bucket:
        """Return a bucket with the login of a repository of MLflow, such as credentials of Unity Catalog."""
        can_renew = getattr(repository, "_credential_refresh_def", None) is not None
        return cls(
            name,
            repository._get_s3_client,  # noqa: SLF001
            getattr(repository, "_bucket_owner_params", {}).get("ExpectedBucketOwner", ""),
            repository._refresh_credentials if can_renew else None,  # noqa: SLF001
        )

    @property
    def verify(self) -> bool | str:
        """The `verify` argument for requests, from MLFLOW_S3_IGNORE_TLS, AWS_CA_BUNDLE or the profile."""
        verify: bool | str | None = self._client._endpoint.http_session._verify  # noqa: SLF001
        return True if verify is None else verify

    def pages(self, prefix: str) -> Iterator[Sequence[StoredObject]]:
        """Yield the objects whose keys begin with `prefix`, page by page."""
        paginator = self._client.get_paginator("list_objects_v2")
        for page in paginator.paginate(Prefix=prefix, **self._parameters):
            require_s3_page(page)
            yield [StoredObject(entry["Key"], int(entry["Size"])) for entry in page.get("Contents", ())]

    def sign(self, key: str) -> PresignedUrl:
        """Return the URL of an object, and the headers, with which the login may read the object now."""
        parameters = {**self._parameters, "Key": key}
        url = self._client.generate_presigned_url("get_object", Params=parameters, ExpiresIn=_VALID_SECONDS)
        # The client of MLflow's repositories has the owner in the URL, and S3 rejects a second one in a header.
        headers = {name: value for name, value in self._headers.items() if f"{name}=" not in url}
        return PresignedUrl(url, headers)

    def secrets(self) -> list[str]:
        """Return the secret key and the session token. The public properties of a login would renew it."""
        login = self._client._request_signer._credentials  # noqa: SLF001
        values = {} if login is None else vars(login)
        return [values.get(name) or "" for name in _SECRET_ATTRIBUTES]

    def renew(self) -> bool:
        """Get new credentials from Unity Catalog. Other credentials renew themselves."""
        if self._renew_client is None:
            return False
        with _CLIENT_LOCK:
            self._client = self._renew_client()
            _prepare(self._client)
        return True


@lru_cache(maxsize=8)
def shared_client(settings: S3Settings) -> Any:
    """Return the client of boto3 with some settings, which all buckets of this process share.

    Call this function with `_CLIENT_LOCK`.
    """
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=settings.endpoint,
        # boto3 reads None as its own settings, such as AWS_CA_BUNDLE.
        verify=None if settings.checks_certificates else False,
        config=Config(signature_version=_SIGNATURE, s3={"addressing_style": settings.addressing}),
    )


def _prepare(client: Any) -> None:
    """Make a client of boto3 check each page of a listing, leave dates unparsed, and sign for the region of a bucket.

    Dates take four fifths of the time to parse a listing.
    """
    from botocore.parsers import ResponseParserFactory

    factory = ResponseParserFactory()
    factory.set_parser_defaults(timestamp_parser=str)
    client._endpoint._response_parser_factory = factory  # noqa: SLF001
    client.meta.events.register("before-parse.s3.ListObjectsV2", _check_response, unique_id="model-gate-page")
    _RegionalUrls().register(client.meta.events)


class _RegionalUrls:
    """Makes a client of boto3 sign each URL for the region in which it has listed the bucket.

    Without this class, the client lists a bucket and signs its URLs with different hosts and regions:

    - The host of the URLs is `BUCKET.s3.amazonaws.com`. Amazon redirects requests to this host for a new bucket, and
      rejects them for buckets in regions that an account must enable, such as `af-south-1`.
    - If a bucket is in another region than that of the login, the client repeats the request for the listing there. It
      still signs URLs for the region of the login, and the store rejects them.
    """

    _BUCKET = "model-gate-bucket"

    def __init__(self) -> None:
        self._regions: dict[str, str] = {}

    def register(self, events: Any) -> None:
        """Handle the events of a client, unless another object of this class handles them already."""
        for event, handler in (
            ("before-parameter-build.s3.ListObjectsV2", self._begin_listing),
            ("after-call.s3.ListObjectsV2", self._end_listing),
            ("before-parameter-build.s3.GetObject", self._begin_signing),
        ):
            events.register(event, handler, unique_id=f"model-gate-region {event}")

    def _begin_listing(self, params: Mapping[str, Any], context: dict[str, Any], **_: Any) -> None:
        context[self._BUCKET] = params["Bucket"]

    def _end_listing(self, http_response: Any, context: Mapping[str, Any], **_: Any) -> None:
        region = context.get("signing", {}).get("region")
        if http_response.status_code == _OK and region:
            self._regions[context[self._BUCKET]] = region

    def _begin_signing(self, params: Mapping[str, Any], context: dict[str, Any], **_: Any) -> None:
        context["use_global_endpoint"] = False
        region = self._regions.get(params["Bucket"])
        if region:
            context["signing"] = {**context.get("signing", {}), "region": region}


def _check_response(response_dict: Mapping[str, Any], **_: Any) -> None:
    if response_dict["status_code"] == _OK:
        require_s3_body(response_dict["body"])

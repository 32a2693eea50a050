"""Buckets of Google Cloud Storage, with the client of Google."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from model_gate.worker.stores.bucket import StoredObject
from model_gate.worker.stores.listing_pages import require_google_page
from model_gate.worker.transfer.presigned_url import PresignedUrl

# The project that pays for requests. Google's clients name it in a header only, and only if they have a login.
_QUOTA_PROJECT = "GOOGLE_CLOUD_QUOTA_PROJECT"
# `prefixes` is requested so that a page which leaves objects out is noticed.
_FIELDS = "kind,items(name,size),prefixes,nextPageToken"
# After this time, the listing of a page is not tried again. Google's default is two minutes, which is longer than the
# parent waits.
_RETRY_SECONDS = 10.0
# The attributes of several kinds of logins with a secret, and with the login from which another one is made.
_SECRET_ATTRIBUTES = ("token", "refresh_token", "client_secret", "_client_secret")
_SOURCE_ATTRIBUTES = ("_source_credentials", "_impersonated_credentials")


class GoogleBucket:
    """A bucket of Google Cloud Storage.

    Args:
        name: Name of the bucket.
        client: Google's client with the login.
        renew_client: Returns a client with a new token of Unity Catalog; None for a login that renews itself.
    """

    verify = True
    client_decompresses = True

    def __init__(self, name: str, client: Any, renew_client: Callable[[], Any] | None = None) -> None:
        from google.auth.transport.requests import Request

        self._client = client
        self._renew_client = renew_client
        self._name = name
        self._payer = os.environ.get(_QUOTA_PROJECT) or None
        self._request = Request()

    @classmethod
    def from_environment(cls, name: str, host: str = "") -> GoogleBucket:  # noqa: ARG003  # the name is enough
        """Return a bucket with the login that Google's client finds, or without a login as for a public bucket."""
        from google.auth.exceptions import DefaultCredentialsError
        from google.cloud.storage import Client

        try:
            client = Client()
        except DefaultCredentialsError:
            client = Client.create_anonymous_client()
        return cls(name, client)

    @classmethod
    def from_repository(cls, repository: Any, name: str) -> GoogleBucket:
        """Return a bucket with the login of a repository of MLflow, such as a token of Unity Catalog."""

        def renew_client() -> Any:
            repository._refresh_credentials()  # noqa: SLF001
            return repository.client

        return cls(name, repository.client, None if repository.credential_refresh_def is None else renew_client)

    def pages(self, prefix: str) -> Iterator[Sequence[StoredObject]]:
        """Yield the objects whose keys begin with `prefix`, page by page."""
        from google.cloud.storage.retry import DEFAULT_RETRY

        client = self._client
        bucket = client.bucket(self._name, user_project=self._payer)
        retry = DEFAULT_RETRY.with_timeout(_RETRY_SECONDS)
        blobs = client.list_blobs(bucket, prefix=prefix, fields=_FIELDS, retry=retry)
        blobs.api_request = _checked(blobs.api_request)
        for page in blobs.pages:
            yield [StoredObject(blob.name, int(blob.size)) for blob in page]

    def sign(self, key: str) -> PresignedUrl:
        """Return the URL of an object, and the headers, with which the login may read the object now.

        The client of Google gets a new access token shortly before the old one expires.
        """
        client = self._client
        base = client._connection.get_api_base_url_for_mtls()  # noqa: SLF001
        query = urlencode({"alt": "media"} | ({"userProject": self._payer} if self._payer else {}))
        url = f"{base}/download/storage/v1/b/{quote(self._name, safe='')}/o/{quote(key, safe='')}?{query}"
        headers: dict[str, str] = {}
        client._credentials.before_request(self._request, "GET", url, headers)  # noqa: SLF001
        return PresignedUrl(url, headers)

    def secrets(self) -> list[str]:
        """Return the access token, and the secrets with which Google's client gets the next one."""
        login = self._client._credentials  # noqa: SLF001
        logins = (login, *(getattr(login, name, None) for name in _SOURCE_ATTRIBUTES))
        return [getattr(each, name, None) or "" for each in logins for name in _SECRET_ATTRIBUTES]

    def renew(self) -> bool:
        """Get new credentials from Unity Catalog. Other credentials renew themselves."""
        if self._renew_client is None:
            return False
        self._client = self._renew_client()
        return True


def _checked(request: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that requests a page of a listing with `request`, and checks the page."""

    def request_page(**arguments: Any) -> Any:
        page = request(**arguments)
        require_google_page(page)
        return page

    return request_page

"""Containers of Azure Blob Storage and Data Lake Storage, with the clients of Azure."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import quote, urlsplit

from model_gate.domain.variables import CONNECTION_STRING
from model_gate.errors import ModelError
from model_gate.worker.object_store import azure_login_variable, connection_field
from model_gate.worker.stores.bucket import StoredObject
from model_gate.worker.stores.listing_pages import require_azure_body, require_lake_body
from model_gate.worker.stores.mlflow_settings import azure_verify
from model_gate.worker.transfer.presigned_url import PresignedUrl

_SCOPE = "https://storage.azure.com/.default"
# How long a signature that is made from the account's key is valid, and after how long the next one is made.
_VALID = timedelta(hours=2)
_RENEWED_SECONDS = 3600.0
# Two retries, after about 3 and 5 s. By default, Azure's client waits about 18, 24 and 42 s, which is longer than the
# parent waits.
_RETRIES = {"total_retries": 2, "initial_backoff": 1, "increment_base": 2}
# An access token is not used in its last minutes.
_TOKEN_RESERVE_SECONDS = 300.0
_OK = 200
_FOLDER = "hdi_isfolder"
_BLOB_HOST = re.compile(r"[^.@]+\.blob\.core\.(?:windows\.net|chinacloudapi\.cn|usgovcloudapi\.net)")
_DEFAULT_CLOUD = "core.windows.net"


def is_blob_host(host: str) -> bool:
    """Return whether a host is that of an account in one of the clouds whose `wasbs:` locations MLflow reads.

    >>> is_blob_host("acct.blob.core.windows.net"), is_blob_host("acct.blob.core.windows.net:443")
    (True, False)
    """
    return _BLOB_HOST.fullmatch(host) is not None


class AzureContainer:
    """A container of Azure Blob Storage.

    Args:
        name: Name of the container.
        client: Azure's client of the account, with the login.
        verify: Whether to check certificates, or the path of a CA bundle.
    """

    client_decompresses = True

    def __init__(self, name: str, client: Any, *, verify: bool | str) -> None:
        _retry_quickly(client)
        self._client = client.get_container_client(name)
        self._login = _Login(client.credential, name)
        self.verify = verify

    @classmethod
    def from_environment(cls, name: str, host: str) -> AzureContainer:
        """Return a container with the login in AZURE_STORAGE_* variables, or the login that Azure's client finds.

        Args:
            name: Name of the container.
            host: Host of the location, which begins with the name of the account.

        Raises:
            ModelError: The login is for another account.
        """
        verify = azure_verify(os.environ)
        client = _account_client(host, verify)
        _require_account(client, host)
        return cls(name, client, verify=verify)

    def pages(self, prefix: str) -> Iterator[Sequence[StoredObject]]:
        """Yield the blobs whose names begin with `prefix`, page by page."""
        self._login.require()
        blobs = self._client.list_blobs(
            name_starts_with=prefix, include=["metadata"], raw_response_hook=_checking(require_azure_body)
        )
        folders, parents = set[str](), set[str]()
        for page in blobs.by_page():
            stored = []
            for blob in page:
                _add_parents(blob.name, parents)
                if _is_folder(blob):
                    folders.add(blob.name)
                else:
                    stored.append(StoredObject(blob.name, int(blob.size)))
            yield stored
        # MLflow loads a folder without blobs below it as an empty file.
        yield [StoredObject(name, 0) for name in sorted(folders - parents)]

    def sign(self, key: str) -> PresignedUrl:
        """Return the URL of a blob, and the headers, with which the login may read the blob now."""
        return self._login.sign(self._client.url, key, self._client.api_version)

    def secrets(self) -> list[str]:
        """Return the account's key, the signature or the access tokens."""
        return self._login.secrets(self._client)

    def renew(self) -> bool:
        """Return false: all credentials renew themselves."""
        return False


class AzureFileSystem:
    """A file system of Azure Data Lake Storage.

    Args:
        repository: MLflow's `AzureDataLakeArtifactRepository`.
        name: Name of the file system.
    """

    verify = True
    client_decompresses = True

    def __init__(self, repository: Any, name: str) -> None:
        self._repository = repository
        self._name = name
        self._prepare()

    def _prepare(self) -> None:
        _retry_quickly(self._repository.fs_client)
        self._login = _Login(self._repository.credential, self._name)

    def pages(self, prefix: str) -> Iterator[Sequence[StoredObject]]:
        """Yield the files below the directory `prefix`, page by page."""
        self._login.require()
        directory = prefix.rstrip("/") or None
        pages = self._repository.fs_client.get_paths(path=directory, recursive=True).by_page()
        # `get_paths` has no parameter for the hook.
        pages._command = partial(pages._command, raw_response_hook=_checking(require_lake_body))  # noqa: SLF001
        for page in pages:
            yield [StoredObject(path.name, int(path.content_length)) for path in page if not path.is_directory]

    def sign(self, key: str) -> PresignedUrl:
        """Return the URL of a file, and the headers, with which the login may read the file now."""
        client = self._repository.fs_client
        return self._login.sign(client.url, key, client.api_version)

    def secrets(self) -> list[str]:
        """Return the account's key, the signature or the access tokens."""
        return self._login.secrets(self._repository.fs_client)

    def renew(self) -> bool:
        """Get new credentials from Unity Catalog. Other credentials renew themselves."""
        if self._repository._credential_refresh_def is None:  # noqa: SLF001
            return False
        self._repository._refresh_credentials()  # noqa: SLF001
        self._prepare()
        return True


class _Login:
    """The login to a container: the account's key, an access token, a signature, or none.

    A signature of the user can also be in the URL of the container.
    """

    def __init__(self, credential: Any, container: str) -> None:
        self._credential = credential
        self._container = container
        self._lock = threading.Lock()
        self._signature = ""
        self._signed_at = 0.0
        self._token: Any = None

    def require(self) -> None:
        """Require an access token, if the login needs one.

        Azure's client takes a missing login for a broken connection, and tries again.
        """
        if self._has_tokens:
            self._access_token()

    @property
    def _has_tokens(self) -> bool:
        return hasattr(self._credential, "get_token")

    def sign(self, container_url: str, key: str, version: str) -> PresignedUrl:
        base, _, query = container_url.partition("?")
        headers = {"x-ms-version": version}
        if hasattr(self._credential, "account_key"):
            query = self._signature_by_key()
        elif self._has_tokens:
            headers["Authorization"] = f"Bearer {self._access_token()}"
        elif hasattr(self._credential, "signature"):
            query = self._credential.signature.removeprefix("?")
        url = f"{base}/{quote(key, safe='~/')}"
        return PresignedUrl(f"{url}?{query}" if query else url, headers)

    def secrets(self, client: Any) -> list[str]:
        """Return the secret values of the login. `client` is the client of Azure for the container."""
        # The client gets an access token of its own for listings, which a step of its requests keeps.
        steps = client._pipeline._impl_policies  # noqa: SLF001
        tokens = (self._token, *(getattr(step, "_token", None) for step in steps))
        return [
            *(getattr(self._credential, name, None) or "" for name in ("account_key", "signature")),
            *(token.token for token in tokens if token is not None),
            self._signature,
            urlsplit(client.url).query,
        ]

    def _access_token(self) -> str:
        # The command line of Azure takes a second for each token.
        with self._lock:
            if self._token is None or self._token.expires_on - time.time() < _TOKEN_RESERVE_SECONDS:
                self._token = self._credential.get_token(_SCOPE)
            return str(self._token.token)

    def _signature_by_key(self) -> str:
        from azure.storage.blob import ContainerSasPermissions, generate_container_sas

        with self._lock:
            now = time.monotonic()
            if not self._signature or now - self._signed_at > _RENEWED_SECONDS:
                self._signature = generate_container_sas(
                    self._credential.account_name,
                    self._container,
                    self._credential.account_key,
                    permission=ContainerSasPermissions(read=True),
                    expiry=datetime.now(UTC) + _VALID,
                )
                self._signed_at = now
            return self._signature


def _account_client(host: str, verify: bool | str) -> Any:
    """Return Azure's client of an account. The client uses the login in a variable, or searches for another login."""
    from azure.storage.blob import BlobServiceClient

    login = azure_login_variable(os.environ)
    if login == CONNECTION_STRING:
        return BlobServiceClient.from_connection_string(os.environ[login], connection_verify=verify)
    if login:
        return BlobServiceClient(f"https://{host}", os.environ[login], connection_verify=verify)
    from azure.identity import DefaultAzureCredential

    return BlobServiceClient(f"https://{host}", DefaultAzureCredential(), connection_verify=verify)


def _retry_quickly(client: Any) -> None:
    """Make a client retry soon, so that an unreachable store is an error before the parent gives up."""
    vars(client._config.retry_policy).update(_RETRIES)  # noqa: SLF001


def _is_folder(blob: Any) -> bool:
    """Return whether a blob stands for a directory, as in an account with a hierarchical namespace."""
    metadata = {name.lower(): value for name, value in (blob.metadata or {}).items()}
    return metadata.get(_FOLDER) == "true" and blob.size == 0


def _add_parents(name: str, parents: set[str]) -> None:
    """Add the directories above a blob to `parents`, which has the parents of each directory that it has."""
    while (name := name.rpartition("/")[0]) and name not in parents:
        parents.add(name)


def _checking(require_body: Callable[[bytes], None]) -> Callable[[Any], None]:
    """Return a hook that checks the body of each successful response."""

    def check(response: Any) -> None:
        if response.http_response.status_code == _OK:
            require_body(response.http_response.body())

    return check


def _require_account(client: Any, host: str) -> None:
    """Require that a client is one of the account in a location.

    A client with AZURE_STORAGE_CONNECTION_STRING reads each location from the account in the variable. So the models
    of two accounts could be one model.

    Raises:
        ModelError: The client reads another account, or does not say which one.
    """
    endpoint = urlsplit(client.url)
    account = getattr(client.credential, "account_name", None) or client.account_name
    if host.lower() == endpoint.netloc.lower():
        return
    if account and not endpoint.netloc.lower().startswith(f"{account}.blob.core."):
        # An endpoint of the user's own, such as a private one. The connection string names its account and its cloud.
        cloud = connection_field(os.environ.get(CONNECTION_STRING, ""), "EndpointSuffix", _DEFAULT_CLOUD)
        if host.lower() == f"{account}.blob.{cloud}".lower():
            return
    login = f"the account {account} at {endpoint.netloc}" if account else f"{endpoint.netloc}, which names no account"
    raise ModelError(
        f"The location of the model is on {host}, but the login in {CONNECTION_STRING} is for {login}.",
        f"Set AZURE_STORAGE_ACCESS_KEY instead, or a variable of the server's own: NAME_{CONNECTION_STRING}.",
    )

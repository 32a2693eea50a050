"""The object store of a location: its kind, its address and its bucket."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from model_gate.domain.location import AZURE_SCHEMES
from model_gate.domain.variables import CONNECTION_STRING, GOOGLE_ENDPOINT, S3_ENDPOINTS
from model_gate.worker.credential_facts import StoreFamily

_FAMILIES = {"s3": StoreFamily.S3, "r2": StoreFamily.S3, "gs": StoreFamily.GCS} | dict.fromkeys(
    AZURE_SCHEMES, StoreFamily.AZURE
)
# Variables with the address of a store, in the order in which the client of a cloud looks at them.
_ENDPOINT_VARIABLES: dict[StoreFamily, tuple[str, ...]] = {
    StoreFamily.S3: S3_ENDPOINTS,
    StoreFamily.GCS: (GOOGLE_ENDPOINT,),
    StoreFamily.AZURE: (),
}
ACCESS_KEY = "AZURE_STORAGE_ACCESS_KEY"
_BLOB_SCHEMES = frozenset({"wasb", "wasbs"})
_DEFAULT_ENDPOINTS = {StoreFamily.S3: "s3.amazonaws.com", StoreFamily.GCS: "storage.googleapis.com"}


@dataclass(frozen=True)
class Store:
    """An object store.

    Attributes:
        family: The kind of store.
        endpoint: Host and port.
        container: The name of the bucket or container.
        address_variable: The variable with the address of the store, "" if there is none.
        address_has_path: Whether the address of the store has a path.
        scheme: The scheme of requests to the store.
    """

    family: StoreFamily
    endpoint: str
    container: str
    address_variable: str = ""
    address_has_path: bool = False
    scheme: str = "https"

    @property
    def word(self) -> str:
        """What the store calls a container."""
        return "container" if self.family is StoreFamily.AZURE else "bucket"

    @property
    def address(self) -> str:
        """How a remedy names the address of the store."""
        return f"the address of the store in {self.address_variable}" if self.address_variable else "the address"

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"{self.scheme}://{self.endpoint}"

    def __str__(self) -> str:
        return f"{self.endpoint} ({self.word} {self.container})"


def family_of(scheme: str) -> StoreFamily | None:
    """Return the kind of store that a scheme of locations names, None if it names none."""
    return _FAMILIES.get(scheme)


def address_variable(family: StoreFamily, environment: Mapping[str, str]) -> str:
    """Return the variable from which the client of a kind of store takes the address, "" if none is set.

    >>> address_variable(StoreFamily.S3, {"AWS_ENDPOINT_URL": "http://minio:9000"})
    'AWS_ENDPOINT_URL'
    """
    return next((name for name in _ENDPOINT_VARIABLES[family] if environment.get(name)), "")


def store_of(uri: str, environment: Mapping[str, str]) -> Store | None:
    """Return the store of a location, None if the location is not in an object store.

    >>> str(store_of("s3://models/wine", {}))
    's3.amazonaws.com (bucket models)'
    """
    parts = urlsplit(uri)
    family = family_of(parts.scheme)
    if family is None:
        return None
    container, at, host = parts.netloc.rpartition("@")
    if at:
        login = environment.get(CONNECTION_STRING, "") if parts.scheme in _BLOB_SCHEMES else ""
        own = _split_address(connection_field(login, "BlobEndpoint"))
        own_host = own.netloc.rpartition("@")[2]
        variable = CONNECTION_STRING if own_host else ""
        return Store(family, own_host or host, container, variable, scheme=own.scheme or "https")
    variable = address_variable(family, environment)
    address = environment[variable] if variable else _DEFAULT_ENDPOINTS.get(family, "")
    split = _split_address(address)
    return Store(family, host_in(address), host, variable, split.path.strip("/") != "", split.scheme or "https")


def azure_login_variable(environment: Mapping[str, str]) -> str:
    """Return the variable with the login to Azure Blob Storage, "" if there is none. A connection string counts first.

    >>> azure_login_variable({"AZURE_STORAGE_ACCESS_KEY": "a2V5"})
    'AZURE_STORAGE_ACCESS_KEY'
    """
    return next((name for name in (CONNECTION_STRING, ACCESS_KEY) if name in environment), "")


def connection_field(connection_string: str, name: str, default: str = "") -> str:
    """Return the value of a field of a connection string of Azure, `default` if it has no such field.

    >>> connection_field("AccountName=acct;AccountKey=a2V5;EndpointSuffix=core.chinacloudapi.cn", "EndpointSuffix")
    'core.chinacloudapi.cn'
    """
    fields = (field.partition("=") for field in connection_string.split(";"))
    return next((value for key, _, value in fields if key.strip().lower() == name.lower()), default)


def host_in(address: str) -> str:
    """Return the host and port of an address, without a login. The address may lack a scheme.

    >>> host_in("https://user:password@minio:9000/"), host_in("minio:9000")
    ('minio:9000', 'minio:9000')
    """
    return _split_address(address).netloc.rpartition("@")[2]


def _split_address(address: str) -> SplitResult:
    return urlsplit(address if "://" in address else f"//{address}")

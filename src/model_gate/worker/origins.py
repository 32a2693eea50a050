"""Decides which locations and presigned URLs a worker may read. The module sends no request.

Locations and presigned URLs come from a tracking server, which may be malicious. A client of MLflow or of a cloud sends
the credentials in the environment to the host in the location, so only these hosts are allowed: the tracking server
itself, the host names of the clouds' own stores, and the origins that the environment declares.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

from model_gate.domain.location import STORE_FORMS, has_control_character
from model_gate.domain.origin import Origin, StoreEndpoint, find_endpoint, origin_of
from model_gate.domain.variables import GOOGLE_ENDPOINT, S3_ENDPOINTS, STORE_ENDPOINTS
from model_gate.domain.wording import printable
from model_gate.errors import AccessError, ModelError

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE | re.ASCII)
_AUTHORITY = re.compile(r"[^:]*:(?://([^/?#]*))?(.*)", re.DOTALL)

_AZURE_CLOUDS = r"core\.(?:windows\.net|chinacloudapi\.cn|usgovcloudapi\.net|cloudapi\.de)"
_AZURE_ACCOUNT = r"[a-z0-9]{3,24}"
_AZURE_HOST = rf"{_AZURE_ACCOUNT}\.(?:%s\.{_AZURE_CLOUDS}|z[0-9]{{1,2}}\.%s\.storage\.azure\.net)"
_AZURE_BLOB, _AZURE_LAKE, _AZURE_ANY = (_AZURE_HOST.replace("%s", each) for each in ("blob", "dfs", "(?:blob|dfs)"))
_CONTAINER = r"\$?[a-z0-9][a-z0-9-]{0,62}"
_R2_HOST = r"[a-z0-9]{1,63}(?:\.eu|\.fedramp)?\.r2\.cloudflarestorage\.com"
_BUCKET = r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}"

# For each scheme, the authority of a location in a cloud's own store. For S3 and Google, it is a bucket, and no host.
_AUTHORITIES = {
    "s3": re.compile(_BUCKET, re.ASCII),
    "gs": re.compile(_BUCKET, re.ASCII),
    "r2": re.compile(rf"{_BUCKET}@{_R2_HOST}", re.ASCII),
    "wasb": re.compile(f"{_CONTAINER}@{_AZURE_BLOB}", re.ASCII),
    "wasbs": re.compile(f"{_CONTAINER}@{_AZURE_BLOB}", re.ASCII),
    "abfs": re.compile(f"{_CONTAINER}@{_AZURE_LAKE}", re.ASCII),
    "abfss": re.compile(f"{_CONTAINER}@{_AZURE_LAKE}", re.ASCII),
}
_BEFORE_HOST = re.compile(rf"(?:{_BUCKET}|{_CONTAINER})@", re.ASCII)
_WEB_SCHEMES = frozenset({"http", "https"})
_HADOOP_SCHEMES = frozenset({"hdfs", "viewfs"})
_ARTIFACTS_PATH = "/api/2.0/mlflow-artifacts/artifacts"

# Host names of the clouds' own stores in presigned URLs.
_STORE_HOST = re.compile(
    "|".join(
        (
            rf"(?:{_BUCKET}\.)?s3(?:-[a-z0-9-]+)?(?:\.dualstack)?(?:\.[a-z0-9-]+)?(?:\.vpce)?\.amazonaws\.com(?:\.cn)?",
            _AZURE_ANY,
            rf"(?:{_BUCKET}\.)?storage\.googleapis\.com",
            rf"(?:{_BUCKET}\.)?{_R2_HOST}",
        )
    ),
    re.ASCII,
)
# Servers that issue the access tokens of an account of Databricks.
_ACCOUNT_HOST = re.compile(
    r"accounts\.(?:(?:cloud|gcp)\.databricks\.com|cloud\.databricks\.(?:us|mil)|azuredatabricks\.net"
    r"|databricks\.azure\.(?:us|cn))",
    re.ASCII,
)
# Names that only mean something on this machine or in its network.
_PRIVATE_NAME = re.compile(r"[^.]+|.*\.(?:localhost|local|localdomain|internal|intranet|lan|home\.arpa|onion)")
# Resolvers of some systems read such names as IPv4 addresses: 127.1, 0x7f000001.
_NUMERIC_NAME = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Headers that stores demand with a presigned URL, and those that HTTP clients send with every request. Any other
# header, such as `Metadata-Flavor`, could make a request succeed at a service that is not a store.
_STORE_HEADER = re.compile(r"x-(?:amz|ms|goog)-[a-z0-9-]+", re.ASCII)
_HEADERS = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "connection",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-length",
        "content-md5",
        "content-type",
        "date",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "range",
        "user-agent",
    }
)

_REMEDY_STORE = f"If the store is yours, declare it: {STORE_ENDPOINTS}={{}}. Otherwise check who set this location."


@dataclass(frozen=True)
class LocationPolicy:
    """The locations that one worker may read.

    Attributes:
        tracking_uri: URI of the tracking server, without user-info.
        endpoints: Stores and artifact servers that the environment declares.
    """

    tracking_uri: str
    endpoints: tuple[StoreEndpoint, ...] = ()

    def require_readable(self, uri: str) -> StoreEndpoint | None:
        """Check that the worker may read the location `uri`.

        Returns:
            The declared server that serves the artifacts at `uri`. None if the tracking server or a store serves them.

        Raises:
            ModelError: The location is not allowed.
        """
        match = _SCHEME.match(uri)
        scheme = match[1].lower() if match else ""
        if has_control_character(uri):
            raise ModelError(
                f"The location of the model is {printable(uri)}, which contains a control character.",
                "Check the version's source.",
            )
        if scheme == "mlflow-artifacts" or scheme in _WEB_SCHEMES:
            return self._require_server(uri, scheme)
        authority = _authority(uri)
        if scheme in _AUTHORITIES:
            if not _AUTHORITIES[scheme].fullmatch(authority):
                self._require_declared_store(uri, scheme, authority)
        elif scheme in _HADOOP_SCHEMES:
            if find_endpoint(self.endpoints, origin_of(uri)) is None:
                raise _undeclared(uri, origin_of(uri), f"{scheme}://NAMENODE:PORT")
        else:
            raise _unsupported(uri, scheme)
        return None

    def _require_server(self, uri: str, scheme: str) -> StoreEndpoint | None:
        """Check that the server in `uri` is allowed. Return it if it is declared, None if it is the tracking server."""
        authority = _authority(uri)
        if scheme == "mlflow-artifacts" and not authority:
            if self._scheme not in _WEB_SCHEMES:
                raise ModelError(
                    f"The location of the model is {uri}, which only a running tracking server can read, not its"
                    " database.",
                    "Start the server, and name its http address as the host.",
                )
            return None
        origins = [origin_of(f"{name}://{authority}") for name in self._server_schemes(scheme)]
        if origins[0] is not None and origins[0] == origin_of(self.tracking_uri):
            return None
        declared = [find_endpoint(self.endpoints, origin) for origin in origins]
        endpoint = next(filter(None, declared), None)
        if endpoint is None:
            raise self._another_server(uri, origins[0])
        return endpoint

    @property
    def _scheme(self) -> str:
        return self.tracking_uri.partition(":")[0].lower()

    def _server_schemes(self, scheme: str) -> tuple[str, ...]:
        if scheme != "mlflow-artifacts":
            return (scheme,)
        # A location with `mlflow-artifacts:` does not say whether its server uses TLS. MLflow assumes the scheme of the
        # tracking server. For a declared server, the declaration names the scheme.
        first = self._scheme if self._scheme in _WEB_SCHEMES else "https"
        return (first, *(_WEB_SCHEMES - {first}))

    def _another_server(self, uri: str, origin: Origin | None) -> ModelError:
        if self._scheme not in _WEB_SCHEMES:
            return _undeclared(uri, origin, "https://HOST:PORT")
        difference = f": {origin} is not {origin_of(self.tracking_uri)}" if origin else ""
        return ModelError(
            f"The location of the model is {uri}, which is on another host than the tracking server, or has another"
            f" scheme or port{difference}.",
            _REMEDY_STORE.format(origin or "https://HOST:PORT"),
        )

    def _require_declared_store(self, uri: str, scheme: str, authority: str) -> None:
        before = _BEFORE_HOST.match(authority)
        origin = origin_of(f"https://{authority[before.end() :]}") if before else None
        if find_endpoint(self.endpoints, origin) is None:
            raise ModelError(
                f"The location of the model is {uri}, which is neither {STORE_FORMS[scheme]} nor a declared store.",
                _remedy_of_name(scheme, authority) or _REMEDY_STORE.format(origin or "https://HOST:PORT"),
            )


def _remedy_of_name(scheme: str, authority: str) -> str:
    """Return the remedy for a location in a cloud's own store with a malformed name, "" for another store."""
    _, at, host = authority.rpartition("@")
    if scheme in {"s3", "gs"}:
        remedy = "The name of a bucket has 3 to 63 letters, digits, dots, hyphens and underscores."
        endpoint = S3_ENDPOINTS[0] if scheme == "s3" else GOOGLE_ENDPOINT
        return "" if at else f"{remedy} The address of a store of your own belongs in {endpoint}."
    if not at:
        return f"Name the location as {STORE_FORMS[scheme]}/PATH."
    if _AUTHORITIES[scheme].fullmatch(f"name@{host}"):
        return "The name of a container has 3 to 63 lower-case letters, digits and hyphens."
    if re.fullmatch(_AZURE_ANY, host):
        return "Locations on a blob host begin with wasbs:, and those on a dfs host with abfss:."
    return ""


def server_uri(uri: str, endpoint: StoreEndpoint) -> str:
    """Return the http(s) URL of a location whose artifacts a declared server serves.

    >>> server_uri("mlflow-artifacts://files:5001/1/m", StoreEndpoint(Origin("https", "files", 5001), "/mlflow"))
    'https://files:5001/mlflow/api/2.0/mlflow-artifacts/artifacts/1/m'
    """
    if not uri.lower().startswith("mlflow-artifacts:"):
        return uri
    match = _AUTHORITY.fullmatch(uri)
    path = match[2] if match else ""
    return f"{endpoint.origin}{endpoint.path}{_ARTIFACTS_PATH}/{path.strip('/')}".rstrip("/")


def require_presigned(url: str, headers: Iterable[str], endpoints: Iterable[StoreEndpoint]) -> bool:
    """Check that a request to a presigned URL may be sent.

    Args:
        url: The presigned URL.
        headers: Names of all headers of the request.
        endpoints: The stores that the environment declares.

    Returns:
        Whether the caller must also check that the IP address of the host is public (`is_public`).

    Raises:
        ModelError: The URL or a header is not allowed. The message has neither the URL's path nor a header's value.
    """
    origin = origin_of(url)
    if origin is None:
        raise _bad_presigned("has user-info, or a host that is not plain")
    for name in headers:
        if name.lower() not in _HEADERS and not _STORE_HEADER.fullmatch(name.lower()):
            raise _bad_presigned(f"at {origin} demands the header {printable(name)}, which no store needs")
    if find_endpoint(endpoints, origin) is not None:
        return False
    if origin.scheme != "https":
        raise _bad_presigned(f"at {origin} is not https", origin)
    if _STORE_HOST.fullmatch(origin.host):
        return False
    if not _may_be_public(origin.host):
        raise _bad_presigned(f"at {origin} is not on the internet", origin)
    return True


def require_login_server(workspace: str, token_url: str) -> None:
    """Check that the login to a workspace may be sent to `token_url`, which the workspace names as the login server.

    Raises:
        AccessError: The URL is neither on the workspace nor on an account server of Databricks.
    """
    origin = origin_of(token_url)
    if origin is not None and origin == origin_of(workspace):
        return
    if origin is None or origin.scheme != "https" or not _ACCOUNT_HOST.fullmatch(origin.host) or origin.port != 443:
        raise AccessError(
            f"The workspace {workspace} sends logins to {origin or 'a host that is not plain'}, which is neither the"
            " workspace nor an account server of Databricks.",
            "Check the host of the profile.",
        )


def is_public(address: str) -> bool:
    """Return whether an IP address is on the internet, and not on this machine or in its network.

    >>> is_public("8.8.8.8"), is_public("169.254.169.254"), is_public("::ffff:127.0.0.1")
    (True, False, False)
    """
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour
        if parsed in _NAT64:
            inner = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
        if parsed.teredo is not None:
            return False
        if inner is not None:
            return is_public(str(inner))
    return parsed.is_global and not parsed.is_multicast


def private_address(host: str) -> ModelError:
    """Return the error for a presigned URL whose `host` has an IP address that is not public."""
    return _bad_presigned(f"at {host} leads to an address that is not on the internet", Origin("https", host, 443))


def _may_be_public(host: str) -> bool:
    try:
        return is_public(host)
    except ValueError:
        return not _PRIVATE_NAME.fullmatch(host) and not _NUMERIC_NAME.fullmatch(host)


def _bad_presigned(problem: str, origin: Origin | None = None) -> ModelError:
    remedy = "Check the tracking server."
    if origin is not None:
        remedy = f"If the store is yours, declare it: {STORE_ENDPOINTS}={origin}. Otherwise check the server."
    return ModelError(f"The tracking server hands out a presigned URL that {problem}.", remedy)


def _authority(uri: str) -> str:
    match = _AUTHORITY.fullmatch(uri)
    return (match[1] or "") if match else ""


def _undeclared(uri: str, origin: Origin | None, form: str) -> ModelError:
    return ModelError(
        f"The location of the model is {uri}, which is on a host that is not declared.",
        _REMEDY_STORE.format(origin or form),
    )


def _unsupported(uri: str, scheme: str) -> ModelError:
    if scheme in {"arn", "sagemaker", "azureml"}:
        vendor = "Azure Machine Learning" if scheme == "azureml" else "Amazon SageMaker"
        return ModelError(
            f"The location of the model is {uri}, which needs the MLflow plugin of {vendor}. Model Gate does not have"
            " it.",
            "Name the location in the store behind it (s3://… or abfss://…), or download both models and compare them"
            " with model-gate diff.",
        )
    return ModelError(
        f"The location of the model is {uri}, which cannot be read from here.",
        "Let the server proxy its artifacts: mlflow server --serve-artifacts.",
    )

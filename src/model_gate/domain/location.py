"""Locations of models: physical URIs, and the tracking servers that serve them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

# How file: URIs name this machine.
_THIS_MACHINE = frozenset({"", ".", "localhost", "127.0.0.1"})
AZURE_SCHEMES = frozenset({"wasb", "wasbs", "abfs", "abfss"})
# Schemes of stores whose locations have the name of a container or bucket before an @: `r2://BUCKET@ACCOUNT.…`.
CONTAINER_SCHEMES = AZURE_SCHEMES | {"r2"}
# The form of a location in each object store. A location of this form needs no tracking server.
STORE_FORMS = {
    "s3": "s3://BUCKET",
    "gs": "gs://BUCKET",
    "r2": "r2://BUCKET@ACCOUNT.r2.cloudflarestorage.com",
    "wasb": "wasb://CONTAINER@ACCOUNT.blob.core.windows.net",
    "wasbs": "wasbs://CONTAINER@ACCOUNT.blob.core.windows.net",
    "abfs": "abfs://CONTAINER@ACCOUNT.dfs.core.windows.net",
    "abfss": "abfss://CONTAINER@ACCOUNT.dfs.core.windows.net",
}
# The start of a URI that names a host. A URI without a host can be a location on any server.
_NAMES_SERVER = re.compile(r"[^:/]+://[^/]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_REGION = r"[a-z]{2}(?:-[a-z]+)+-\d"
# Forms of other programs for a location in an object store, and the same location in the form of Model Gate.
_FORMS_OF_OTHER_PROGRAMS = (
    (re.compile(r"(?i:s3):/?([^/@]+/.+)"), r"s3://\1"),
    (re.compile(r"(?i:gs):/?([^/@]+/.+)"), r"gs://\1"),
    (re.compile(r"(?i:az|azure)://([^/@]+)/(.+)"), r"wasbs://\1@ACCOUNT.blob.core.windows.net/\2"),
    (re.compile(r"arn:aws[a-z-]*:s3:::([^/@]+/.+)"), r"s3://\1"),
    (re.compile(r"(?i:gcs)://([^/@]+/.+)"), r"gs://\1"),
    (re.compile(r"(?i:s3[an])://([^/@]+/.+)"), r"s3://\1"),
    (
        re.compile(rf"https?://([a-z0-9][a-z0-9.-]*)\.s3(?:[.-](?:dualstack\.)?{_REGION})?\.amazonaws\.com/(.+)"),
        r"s3://\1/\2",
    ),
    (re.compile(rf"https?://s3(?:[.-](?:dualstack\.)?{_REGION})?\.amazonaws\.com/([^/@]+/.+)"), r"s3://\1"),
    (
        re.compile(
            r"https?://storage\.(?:googleapis|cloud\.google)\.com/(?!(?:download/|upload/)?storage/v1/)([^/]+/.+)"
        ),
        r"gs://\1",
    ),
    (re.compile(r"https?://([a-z0-9][a-z0-9._-]*)\.storage\.googleapis\.com/(.+)"), r"gs://\1/\2"),
    (re.compile(r"https?://([a-z0-9]+\.blob\.core\.windows\.net)/([^/]+)/(.+)"), r"wasbs://\2@\1/\3"),
    (re.compile(r"https?://([a-z0-9]+\.dfs\.core\.windows\.net)/([^/]+)/(.+)"), r"abfss://\2@\1/\3"),
)
# Schemes of URIs that are read only if a tracking server is named.
_SERVER_SCHEMES = frozenset({"models", "runs", "mlflow-artifacts", "dbfs", "hdfs", "viewfs"})
# What a user can do if an HTTP server names a path on this machine.
LOCAL_REMEDY = (
    "Let the server proxy its artifacts (mlflow server --serve-artifacts), or allow it to name local paths:"
    " --allow-local-artifacts."
)


class LocationKey(NamedTuple):
    """Key of a location. Two keys are equal only if their locations are the same."""

    reader: str
    server: str
    uri: str
    is_local: bool


@dataclass(frozen=True)
class Location:
    """Location of an MLflow model: a physical URI, and the server and login that read it.

    The same URI can mean different bytes for another tracking server, login or machine.

    Attributes:
        uri: Physical URI, without credentials.
        reader: Opaque name of the server and login that read the URI, without credentials; "" for this machine.
        server: The server, or its registry, for which the URI is one location; "" if `reader` and `uri` are enough to
            identify the location.
        local_path: The real path of the directory, if the model is on this machine.
    """

    uri: str
    reader: str = ""
    server: str = ""
    local_path: Path | None = None

    @property
    def place(self) -> str:
        """The URI for messages, followed by the server if the URI alone does not say on which server the model is.

        >>> Location("mlflow-artifacts:/1/model", "reader", "http://tracking:5000").place
        'mlflow-artifacts:/1/model on http://tracking:5000'
        >>> Location("mlflow-artifacts://tracking:5000/1/model", "reader", "http://tracking:5000").place
        'mlflow-artifacts://tracking:5000/1/model'
        """
        return f"{self.uri} on {self.server}" if self.server and not _NAMES_SERVER.match(self.uri) else self.uri

    @property
    def key(self) -> LocationKey:
        """Key that is equal for two locations only if they are the same.

        URIs are compared as text. In an object store, the case of the scheme and a slash at the end mean nothing.
        """
        uri = _canonical(self.uri) if self.local_path is None else str(self.local_path)
        return LocationKey(self.reader, self.server, uri, self.local_path is not None)


def _canonical(uri: str) -> str:
    scheme, colon, rest = uri.partition(":")
    return f"{scheme.lower()}{colon}{rest.removesuffix('/')}" if store_of_uri(uri) else uri


def is_local_uri(uri: str) -> bool:
    """Return whether a URI is a path on this machine.

    >>> is_local_uri("./model"), is_local_uri("file:///model"), is_local_uri("s3://bucket/model")
    (True, True, False)
    """
    return uri.startswith(("/", "./", "../", "file:")) or ":/" not in uri


def has_control_character(uri: str) -> bool:
    r"""Return whether a URI has a control character of ASCII. URL parsers remove some of them.

    >>> has_control_character("s3://bucket/model\n"), has_control_character("s3://bucket/a model")
    (True, False)
    """
    return _CONTROL.search(uri) is not None


def is_arn(text: str) -> bool:
    """Return whether a text is Amazon's own name of a resource, such as `arn:aws:s3:::bucket/model`."""
    return text.startswith("arn:aws")


def store_of_uri(uri: str) -> str:
    """Return the scheme and bucket of a location in an object store, "" if the location is in none.

    >>> store_of_uri("s3://bucket/model"), store_of_uri("models:/Wine/1")
    ('s3://bucket', '')
    """
    scheme, _, rest = uri.partition("://")
    bucket = rest.partition("/")[0]
    return f"{scheme.lower()}://{bucket}" if bucket and scheme.lower() in STORE_FORMS else ""


def store_problem(uri: str) -> str:
    """Return why a URI names no object store, "" if it names one or if a tracking server resolves it.

    >>> store_problem("s3:///model"), store_problem("gcs://bucket/model"), store_problem("models:/Wine/1")
    ('names no bucket', "has the scheme 'gcs', which is not the scheme of an object store", '')
    """
    if uri.partition(":")[0].lower() in STORE_FORMS and not store_of_uri(uri):
        return "names no bucket"
    scheme, slashes, _ = uri.partition("://")
    if slashes and scheme.lower() not in _SERVER_SCHEMES | STORE_FORMS.keys():
        return f"has the scheme {scheme!r}, which is not the scheme of an object store"
    return ""


def suggested_store_location(uri: str) -> str:
    """Return the location to suggest for a URI in the form of another program, "" if the form is unknown.

    >>> suggested_store_location("gcs://bucket/model"), suggested_store_location("https://example.com/model")
    ('gs://bucket/model', '')
    >>> suggested_store_location("s3:/bucket/model"), suggested_store_location("arn:aws:s3:::bucket/model")
    ('s3://bucket/model', 's3://bucket/model')
    >>> suggested_store_location(" s3://bucket/model"), suggested_store_location("az://models/wine")
    ('s3://bucket/model', 'wasbs://models@ACCOUNT.blob.core.windows.net/wine')
    >>> suggested_store_location("https://acct.blob.core.windows.net/models/my%20wine?sig=secret")
    'wasbs://models@acct.blob.core.windows.net/my wine'
    """
    stripped = uri.strip()
    location, escaped = _converted(stripped)
    if not location and stripped != uri and _is_store_without_login(stripped):
        location = escaped = stripped
    is_shown = location.isprintable() and not re.search("[?#]", _fully_unquoted(escaped))
    return location if is_shown else ""


def _converted(uri: str) -> tuple[str, str]:
    """Return the location for the form of another program, and the location as it is in the URI; "" if there is none.

    The path of a URL is percent-encoded. An escaped query can have a signature.
    """
    uri_without_query = without_query(uri)
    for form, store_form in _FORMS_OF_OTHER_PROGRAMS:
        if match := form.fullmatch(uri_without_query):
            escaped = match.expand(store_form)
            return (unquote(escaped) if uri.startswith("http") else escaped), escaped
    return "", ""


def _is_store_without_login(uri: str) -> bool:
    """Return whether a URI is a location in a store, and certainly has no user name and password."""
    scheme, _, rest = uri.partition("://")
    has_login = ":" in rest or (scheme.lower() in {"s3", "gs"} and "@" in rest)
    return bool(store_of_uri(uri)) and not has_login


def _fully_unquoted(text: str) -> str:
    """Return a text without percent-encoding, also if it was encoded several times."""
    while (unquoted := unquote(text)) != text:
        text = unquoted
    return text


def without_query(uri: str) -> str:
    """Return a URI without its query and fragment, which can have credentials. A plain path does not change.

    >>> without_query("https://host/a?sig=x#y"), without_query("/models/a#b")
    ('https://host/a', '/models/a#b')
    """
    if is_local_uri(uri) and not uri.startswith("file:"):
        return uri
    return re.split(r"[?#]", uri, maxsplit=1)[0]


def other_machine(uri: str) -> str:
    """Return the machine that a `file:` URI names, "" if the URI does not name another machine.

    >>> other_machine("file://nas/model"), other_machine("file:///model"), other_machine("/model")
    ('nas', '', '')
    """
    machine = uri.removeprefix("file://").partition("/")[0] if uri.startswith("file://") else ""
    return "" if machine in _THIS_MACHINE else machine


def path_in_uri(uri: str) -> str:
    """Return the path that MLflow reads for a local URI in a registry. It may be relative.

    Like MLflow, percent-decode plain paths too. The URI must not name another machine.

    >>> path_in_uri("file:./a%20b"), path_in_uri("a%20b"), path_in_uri("file:///a?b")
    ('./a b', 'a b', '/a')
    """
    return unquote(urlsplit(uri).path if uri.startswith("file:") else uri)


def split_profile(uri: str) -> tuple[str, str, str]:
    """Split an artifact URI into scheme, Databricks profile ("" if there is none) and path.

    >>> split_profile("models://PROFILE@databricks/wine/1")
    ('models', 'PROFILE', 'wine/1')
    """
    match = re.match(r"(models|dbfs|runs)://(?:([^/@]+)@)?databricks/+(.*)", uri)
    if match:
        return match.group(1), match.group(2) or "", match.group(3)
    scheme, _, path = uri.partition(":")
    return scheme, "", path.lstrip("/")


def registered_model_in(uri: str) -> str:
    """Return the name of the registered model in a `models:/` URI; "" for another URI and for a logged model.

    >>> registered_model_in("models:/Wine/1"), registered_model_in("models:/Wine@champion")
    ('Wine', 'Wine')
    >>> registered_model_in("models:/m-0123"), registered_model_in("runs:/0123/wine"), registered_model_in("./models")
    ('', '', '')
    """
    scheme, _, path = split_profile(uri)
    path = path.strip("/")
    return "" if scheme != "models" or is_logged_model(path) else re.split(r"[/@]", path)[0]


def is_logged_model(path: str) -> bool:
    """Return whether the path of a `models:/` URI is the ID of a logged model, not a version of a registered model.

    >>> is_logged_model("m-0123"), is_logged_model("m-wine/1"), is_logged_model("m-wine@champion")
    (True, False, False)
    """
    return path.startswith("m-") and "/" not in path and "@" not in path

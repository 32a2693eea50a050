"""Converts exceptions of MLflow and its dependencies to Model Gate's errors."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeGuard
from urllib.parse import parse_qs, unquote, urlsplit

from model_gate.domain.location import AZURE_SCHEMES
from model_gate.domain.variables import EMPTY_REMEDY
from model_gate.domain.wording import printable
from model_gate.errors import (
    AccessError,
    InputError,
    InternalError,
    ModelGateError,
    NotFoundError,
    TransferError,
    UnreachableError,
    storage_error,
)
from model_gate.worker.credential_facts import UNKNOWN, CredentialFacts, and_, join_sentences
from model_gate.worker.object_store import host_in, store_of
from model_gate.worker.proxies import LOGIN_STATUS, failed_proxy, login_error, proxy_error, proxy_problem

if TYPE_CHECKING:
    from mlflow.exceptions import MlflowException

# Codes of MLflow's errors for names that do not exist, or that are malformed so that they cannot exist.
NOT_FOUND_CODES = frozenset({"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "INVALID_PARAMETER_VALUE"})

_REMEDY_NAME = "Check the host name in the address, and the DNS and VPN of this machine."
_REMEDY_UNENDED = (
    "Check whether the server or a proxy in front of it hangs or is overloaded. To wait longer for each answer, set"
    " MLFLOW_HTTP_REQUEST_TIMEOUT to a number of seconds."
)
_REMEDY_SILENT = f"Check the port, and {_REMEDY_UNENDED.removeprefix('Check ')}"
_LIMIT_HINT = (
    " If it breaks off again, check whether the server, or a proxy in front of it, limits the time of a response."
)
_REMEDY_ONE_FILE = (
    "If the server sends one file at a time, start it with more workers (mlflow server --workers), or keep whole files"
    " with --download-dir."
)
_REMEDY_PROTOCOL = "Check the address and its port, and the proxies in front of the server."
_REMEDY_REACH = "Check the address, and whether the server runs and can be reached from here."
_REMEDY_LOGIN = (
    "Check the user name, password or token: in the host's user-info, or in the MLFLOW_TRACKING_* variables."
)
_REMEDY_MODEL = "Ask an administrator of the server to give this user READ permission on the registered model."
_REMEDY_RIGHTS = f"{_REMEDY_MODEL.removesuffix('.')} and the experiment."

_REMEDY_EXPERIMENT = (
    "Ask an administrator of the server to give this user READ permission on the experiment that the run belongs to."
    " READ permission on the registered model does not include it."
)

_REMEDY_FILES = (
    "Ask an administrator of the server to give this user READ permission on the experiment that the model was logged"
    " in. READ permission on the registered model does not include the files."
)

_ARTIFACTS = "/mlflow-artifacts/artifacts"
# The name of a server in a remedy.
_EXAMPLE_NAME = "STAGING"

# Start of a note in an exception, before the ID of the run that a request is about.
RUN_NOTE = "about the run "
# Start of a note in an exception, before the path of the file that is downloaded.
_FILE_NOTE = "about the file "
# Start of a note in an exception, before the server or the store that the file or the model is on.
_SOURCE_NOTE = "from the source "
# A host with its port, and the container of a store. Another text may be a part of a login.
_SOURCE = re.compile(r"[\w.-]+(?::\d+)?(?: \((?:bucket|container) [\w.$-]+\))?")
# A note in an exception of a file that is read part by part.
_PARTS_NOTE = "read in parts"
# Schemes of locations that a tracking server proxies. Some locations name the server.
_SERVER_SCHEMES = frozenset({"http", "https", "mlflow-artifacts"})

_STATUS = re.compile(
    r"(?:error code |too many |\b)(4\d\d|5\d\d)\b(?: != 200| error responses| (?:Client|Server) Error)"
)

_REMEDY_HTTPS = "If the server speaks https on this port, write https:// in its address."
_HANGS_UP = "it closes the connection"
_SPEAKS_HTTPS = "it speaks https on this port, not http"
_MALFORMED = "its response is not valid HTTP"
_UNRESOLVED = "its name cannot be resolved"
_NOT_MLFLOW = "the response is not from an MLflow server"
_SILENT = "it accepts connections but does not answer"
_UNENDED = "it begins a response, but does not end it in time"
# The text of a ReadTimeoutError after the head of a response.
UNENDED_BODY = "Read timed out in the body."
# The request that a server has not answered, and the seconds that the client waited.
_WAITED_FOR = re.compile(r"url: (/[^\s?]*)[^\n]*\((?:read|connect) timeout=(\d+)(?:\.0)?\)")
# The client's text after its last attempt, if it has sent the request more than once.
_MAX_RETRIES = re.compile(r"Max retries exceeded with url: \S*/api/2\.0/mlflow/")
_REMEDY_PLAIN_HTTP = "Name the server with http://, or name the port on which it speaks https."

# A request to the registry that is answered by other text than JSON.
_REGISTRY_REQUEST = re.compile(r"API request to endpoint /api/2\.0/mlflow/(?:registered-models|model-versions)/get\b")
# The path of a server's address. The declared name of the server can precede the address.
_PATH_OF_ADDRESS = re.compile(r"https?://[^/\s()]+(/[^\s()]+)")

# Pairs of a regular expression for the error text and the reason to show. The first pair that matches is used.
_REASONS: tuple[tuple[str, str], ...] = (
    # OpenSSL reports one of these errors if the server answers in plain http, because the answer is no TLS record.
    (
        r"WRONG_VERSION_NUMBER|wrong version number|record layer failure|packet length too long",
        "it speaks plain http on this port, not https",
    ),
    # A server answers a request in plain http with a TLS alert, whose first byte is 21 and whose second byte is 3.
    (r"BadStatusLine\W+(?:\x15\x03|\\x15\\x03)", _SPEAKS_HTTPS),
    # These errors come before the others, because their texts quote the server.
    (r"\b(?:BadStatusLine|LineTooLong|UnknownProtocol)\b|got more than \d+ headers", _MALFORMED),
    (r"CERTIFICATE_VERIFY_FAILED|SSLError|SSLCertVerification", "its certificate is not trusted here"),
    (
        r"NameResolutionError|Name or service not known|getaddrinfo|Temporary failure in name resolution",
        _UNRESOLVED,
    ),
    (r"[Cc]onnection refused", "it refuses connections"),
    # `requests` raises a ConnectionError if no more of a body arrives, and a ReadTimeout if the head does not.
    (rf"{re.escape(UNENDED_BODY)}|(?m:^ConnectionError: [^\n]*: Read timed out\.$)", _UNENDED),
    (r"ReadTimeout|[Rr]ead timed out|failed with timeout", _SILENT),
    (
        r"ConnectTimeout|[Cc]onnection (?:to \S+ )?timed out|No route to host|Network is unreachable",
        "it cannot be reached",
    ),
    (
        r"RemoteDisconnected|Connection aborted|Connection reset|ConnectionResetError",
        _HANGS_UP,
    ),
    (
        r"not in a valid JSON format|JSONDecodeError|Expecting value",
        f"{_NOT_MLFLOW} (a web page instead of JSON)",
    ),
    # protobuf raises this error if a field does not have the type that MLflow defines for it.
    (r"(?m)^ParseError: ", f"{_NOT_MLFLOW} (a field has a wrong type)"),
)
# Pairs of a part of a reason and its remedy. The remedies of the other reasons depend on the server and its login.
_REMEDIES: tuple[tuple[str, str], ...] = (
    ("plain http", _REMEDY_PLAIN_HTTP),
    (_MALFORMED, _REMEDY_PROTOCOL),
    (_UNRESOLVED, _REMEDY_NAME),
    (_SILENT, _REMEDY_SILENT),
    (_UNENDED, _REMEDY_UNENDED),
)
_CERTIFICATE_REASON = re.compile(r"certificate verify failed: ([^()\n]{1,200}?)\.? \(_ssl")
_MAX_CHAIN_LENGTH = 10
BROKEN_TRANSFER = re.compile(r"IncompleteRead|ChunkedEncodingError|Connection broken|ContentDecodingError|prematurely")
# For each importable package, the extra of Model Gate that installs it.
_EXTRAS = {
    "boto3": "aws",
    "botocore": "aws",
    "azure": "azure",
    "google": "gcp",
    "sqlalchemy": "local",
    "alembic": "local",
}
# For each importable package of a database driver, the name to install it by.
_DATABASE_DRIVERS = {"psycopg": "'psycopg[binary]'", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}


def to_model_gate_error(error: Exception, address: str, facts: CredentialFacts = UNKNOWN) -> ModelGateError:
    """Return the error to show to the user.

    Args:
        error: The exception of the failed operation.
        address: Address of the tracking server, without credentials.
        facts: The credentials that the worker has.
    """
    url, address = address, facts.describe_server(address)
    if (limit_error := _limit_error(error, address)) is not None:
        return limit_error
    if isinstance(error, ImportError):
        return _missing_package(error)
    text = chain_text(error)
    if isinstance(error, OSError) and error.errno and not _is_network_error(error):
        return storage_error(error, "write a downloaded file")
    if BROKEN_TRANSFER.search(text):
        remedy = f"Run the gate again.{_LIMIT_HINT if _note_of(error, _FILE_NOTE) else ''}"
        return TransferError(f"A download from {address} broke off before its end.", remedy)
    if (proxy := _proxy_error(error, text, url, address)) is not None:
        return proxy
    status = _http_status(error, text)
    if status is not None and status != 200:
        return _http_error(status, error, address, facts.of_server())
    if (reason := reason_in(text)) is not None:
        return _no_answer(reason, text, address, facts, in_parts=_PARTS_NOTE in _notes(error))
    return _mlflow_error(error, address, facts.of_server()) if is_from_mlflow(error) else _unknown_error(error, address)


@contextmanager
def downloading_file(path: str, uri: str, *, in_parts: bool = False) -> Iterator[None]:
    """Note in exceptions which file is downloaded, from which location, and whether it is read part by part."""
    try:
        yield
    except Exception as error:
        error.add_note(f"{_FILE_NOTE}{printable(path)}")
        error.add_note(f"{_SOURCE_NOTE}{printable(_source_of(uri))}")
        if in_parts:
            error.add_note(_PARTS_NOTE)
        raise


@contextmanager
def listing_model(uri: str) -> Iterator[None]:
    """Note in exceptions from which location a model is listed."""
    try:
        yield
    except Exception as error:
        error.add_note(f"{_SOURCE_NOTE}{printable(_source_of(uri))}")
        raise


def _source_of(uri: str) -> str:
    """Return the store or the tracking server that has a location, "" if it is another one, or its text has a login.

    >>> _source_of("s3://models/wine"), _source_of("http://host:5000/x"), _source_of("http://user:password@host/x")
    ('s3.amazonaws.com (bucket models)', 'host:5000', '')
    """
    try:
        store, parts = store_of(uri, os.environ), urlsplit(uri)
    except ValueError:
        return ""
    if store is not None:
        source = str(store)
    elif parts.scheme not in _SERVER_SCHEMES:
        return ""
    elif not parts.netloc:
        return os.environ.get("MODEL_GATE_ADDRESS", "")
    else:
        source = host_in(uri)
    has_login = "@" in uri and parts.scheme not in AZURE_SCHEMES
    return source if _SOURCE.fullmatch(source) and not has_login else ""


def place_sentence(error: Exception, message: str) -> str:
    """Return a sentence that names the file or model and its source, as far as `message` does not name them.

    Only a download is about a file; a listing is about the model. Return "" if `message` names all of it, or if the
    error occurred in neither.
    """
    path, source = _note_of(error, _FILE_NOTE), _note_of(error, _SOURCE_NOTE)
    place = f" on {source}" if source and not _names(message, source) else ""
    if path and not _names(message, path):
        return f"The file is {path}{place}."
    return f"The {'file' if path else 'model'} is{place}." if place else ""


def _names(message: str, name: str) -> bool:
    """Return whether a message has a path or an address that is not a part of a longer one."""
    return re.search(rf"(?<![\w.-])(?<![^/]/){re.escape(name)}(?![\w/-])", message) is not None


def _note_of(error: Exception, start: str) -> str:
    """Return the rest of the first note that begins with `start`, "" if there is none."""
    return next((note.removeprefix(start) for note in _notes(error) if note.startswith(start)), "")


def _notes(error: Exception) -> list[str]:
    return [note for cause in exception_chain(error) for note in getattr(cause, "__notes__", ())]


def _unknown_error(error: Exception, address: str) -> InternalError:
    return InternalError(
        f"Talking to {address} failed: {type(error).__name__}: {str(error).rstrip('.')}.",
        "Run with --verbose for the traceback.",
    )


def _limit_error(error: Exception, address: str) -> ModelGateError | None:
    """Return the ModelGateError that caused `error`, a new one if memory ran out, None for any other cause."""
    for cause in exception_chain(error):
        # MLflow wraps the errors that `response_limits` and `network` raise in its own exceptions.
        if isinstance(cause, ModelGateError):
            return cause
        if isinstance(cause, MemoryError):
            return TransferError(
                f"A response of {address} needs more memory than a worker may use.",
                "Check the server: it sends more than an MLflow server would.",
            )
    return None


def _proxy_error(error: Exception, text: str, url: str, address: str) -> ModelGateError | None:
    """Return the error for a proxy that fails, None if an exception is about no proxy.

    Args:
        error: The exception.
        text: The text of the exception and its causes.
        url: Address of the tracking server.
        address: The address with the declared name.
    """
    subject = f"the tracking server {address}"
    if _http_status(error, text) == LOGIN_STATUS:
        return login_error(subject, _url(error) or url, os.environ)
    proxy = failed_proxy(exception_chain(error), url, os.environ)
    return None if proxy is None else proxy_error(subject, proxy, proxy_problem(text, reason_in(text)))


def _missing_package(error: ImportError) -> ModelGateError:
    package = (error.name or "").partition(".")[0]
    extra = _EXTRAS.get(package)
    if extra:
        remedy = f"Install the extra: pip install 'model-gate[{extra}]', or pip install '.[{extra}]' in a checkout."
    elif package:
        remedy = f"Install the package: pip install {_DATABASE_DRIVERS.get(package, package)}."
    else:
        remedy = "Install the missing package."
    return InputError(f"This kind of server or store needs a package that is not installed: {error}.", remedy)


def reason_in(text: str) -> str | None:
    """Return why a server or store gives no answer that can be used; None if the text of the exception does not say it.

    The result begins with `gives no answer` or, if the server does answer, with `cannot be used`.
    """
    reason = next((reason for pattern, reason in _REASONS if re.search(pattern, text)), None)
    if reason == _SILENT and (waited := _WAITED_FOR.search(text)):
        reason = f"{reason} {waited[1]} within {waited[2]} s"
    if reason is not None and "certificate" in reason and (match := _CERTIFICATE_REASON.search(text)):
        reason = f"{reason}: {match[1]}"
    if reason is None:
        return None
    answers = ("plain http", "certificate", _NOT_MLFLOW, _SPEAKS_HTTPS, _MALFORMED, _UNENDED)
    return f"{'cannot be used' if any(part in reason for part in answers) else 'gives no answer'}: {reason}"


def _no_answer(reason: str, text: str, address: str, facts: CredentialFacts, *, in_parts: bool) -> ModelGateError:
    message = f"The tracking server {address} {reason}."
    if "certificate" in reason:
        certificates = facts.of_certificates().not_handed_over()
        return UnreachableError(join_sentences(message, certificates), _certificate_remedy(reason, facts))
    if _SILENT in reason and _MAX_RETRIES.search(text):
        from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_MAX_RETRIES

        tries = int(MLFLOW_HTTP_REQUEST_MAX_RETRIES.get()) + 1  # type: ignore[no-untyped-call]
        message = f"The tracking server {address} {reason}, {tries} times." if tries > 1 else message
    remedy = _reach_remedy(reason, address, facts)
    is_late = _SILENT in reason or _UNENDED in reason
    return UnreachableError(message, f"{remedy} {_REMEDY_ONE_FILE}" if is_late and in_parts else remedy)


def _reach_remedy(reason: str, address: str, facts: CredentialFacts) -> str:
    if remedy := next((remedy for part, remedy in _REMEDIES if part in reason), ""):
        return remedy
    if (_HANGS_UP in reason or _SPEAKS_HTTPS in reason) and "http://" in address:
        return f"{_REMEDY_HTTPS} {_REMEDY_REACH}"
    if "a web page" in reason:
        variables = f"{facts.prefix or ''}MLFLOW_TRACKING_TOKEN"
        if facts.prefix is None:
            # The variables without a name are those of another server.
            variables = "NAME_MLFLOW_TRACKING_URI to this address and NAME_MLFLOW_TRACKING_TOKEN,"
        return (
            "Perhaps a login page or a proxy (single sign-on) is in front of the server: name an address at which the"
            f" API answers without a browser, or set {variables} if the proxy takes a token. Or the address is not that"
            " of an MLflow server."
        )
    if _NOT_MLFLOW in reason:
        return "Check the address: it is perhaps not that of an MLflow server."
    return _REMEDY_REACH


def _certificate_remedy(reason: str, facts: CredentialFacts) -> str:
    prefix = f"{facts.prefix or ''}MLFLOW_TRACKING_"
    is_self_signed = "self-signed" in reason and "chain" not in reason
    file = "its certificate" if is_self_signed else "the certificate of its certificate authority"
    return (
        f"Ask the administrator of the server for {file} as a PEM file, and set {prefix}SERVER_CERT_PATH or"
        " REQUESTS_CA_BUNDLE to the path of that file."
        f" {prefix}INSECURE_TLS=true skips the check: use it only on a network that you trust."
    )


def _login_error(status: int | str, address: str, facts: CredentialFacts) -> AccessError:
    if facts.sent == ():
        message = f"The tracking server {address} requires a login ({status})."
        return AccessError(join_sentences(message, facts.sent_to_server()), _login_remedy(facts, address))
    login = f"the login in {and_(facts.sent)}" if facts.sent else "the credentials"
    message = f"The tracking server {address} does not accept {login} ({status})."
    return AccessError(join_sentences(message, facts.not_sent_to_server()), facts.correction() or _REMEDY_LOGIN)


def _login_remedy(facts: CredentialFacts, address: str) -> str:
    """Return the remedy for a server that received no credential."""
    if facts.has_empty_login:
        return EMPTY_REMEDY
    if facts.prefix is not None:
        prefix = f"{facts.prefix}MLFLOW_TRACKING_"
        return join_sentences(facts.meant(), f"Set {prefix}USERNAME and {prefix}PASSWORD, or {prefix}TOKEN.")
    prefix = f"{_EXAMPLE_NAME}_MLFLOW_TRACKING_"
    return (
        f"Choose a prefix for the variables of this server, such as {_EXAMPLE_NAME}_. Set {prefix}URI={address}, and"
        f" your login in {prefix}USERNAME and {prefix}PASSWORD, or in {prefix}TOKEN. If MLFLOW_TRACKING_URI names no"
        " other server, the variables need no prefix. Then run the same command again."
    )


def is_not_found(error: Exception) -> bool:
    """Return whether an error means that the requested path does not exist."""
    if isinstance(error, NotFoundError | FileNotFoundError):
        return True
    if is_from_mlflow(error):
        return error.error_code in {"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"}
    return getattr(getattr(error, "response", None), "status_code", None) == 404


def is_from_mlflow(error: BaseException) -> TypeGuard[MlflowException]:
    """Return whether an exception is an `MlflowException`. A worker that reads only stores does not import MLflow."""
    kind = getattr(sys.modules.get("mlflow.exceptions"), "MlflowException", None)
    return kind is not None and isinstance(error, kind)


def exception_chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield `error`, its cause, the cause of its cause and so on: at most 10 exceptions."""
    # Two exceptions can be the cause of each other.
    seen: list[BaseException] = []
    while error is not None and error not in seen and len(seen) < _MAX_CHAIN_LENGTH:
        yield error
        seen.append(error)
        error = error.__cause__ or error.__context__


def chain_text(error: BaseException) -> str:
    """Return the types and texts of an exception and of its causes, one on each line."""
    return "\n".join(f"{type(cause).__name__}: {cause}" for cause in exception_chain(error))


def _is_network_error(error: OSError) -> bool:
    # Exceptions of `requests` are OSErrors too, but their errno is a network error and not a file error.
    return type(error).__module__.startswith(("requests", "urllib3")) or isinstance(
        error, ConnectionError | TimeoutError
    )


def _http_status(error: Exception, text: str) -> int | None:
    response = getattr(error, "response", None)
    if response is not None and getattr(response, "status_code", None):
        return int(response.status_code)
    match = _STATUS.search(text)
    return int(match.group(1)) if match else None


def _http_error(status: int, error: Exception, address: str, facts: CredentialFacts) -> ModelGateError:
    if status == 401:
        return _login_error(status, address, facts)
    if status == 403:
        subject, remedy = _denied(error)
        message = f"The tracking server {address} forbids this user to read {subject} (403)."
        return _forbidden(message, facts, address, remedy)
    if status == 404:
        return _missing_path(error, address)
    if status == 429:
        return UnreachableError(f"The tracking server {address} asks to slow down (429).", "Run the gate again later.")
    if status == 400 and (path := _artifact_path(error)):
        return UnreachableError(
            f"The tracking server {address} refuses to serve {path} (400).",
            "Look at this path on the server: a symbolic link that leaves the server's artifact root is not served."
            " Replace the link by its file, or log the model again without it.",
        )
    if status == 400 and "http://" in address:
        # A proxy that speaks https answers so to a request in plain http.
        remedy = f"{_REMEDY_HTTPS} {_REMEDY_REACH}"
        return UnreachableError(f"The tracking server {address} refuses the request (400).", remedy)
    if status >= 500:
        return UnreachableError(
            f"The tracking server {address} answers with a server error ({status}).",
            "Look at the server's log, or try again later.",
        )
    return UnreachableError(f"The tracking server {address} refuses the request ({status}).", _REMEDY_REACH)


def _missing_path(error: Exception, address: str) -> NotFoundError:
    if _REGISTRY_REQUEST.search(chain_text(error)):
        # All versions of MLflow have these endpoints, and say in JSON that a name does not exist.
        path = _PATH_OF_ADDRESS.search(address)
        remedy = f"Remove {path[1]} from the address, or correct it." if path else "Check the address and its port."
        return NotFoundError(f"No MLflow tracking server answers at {address} (404).", remedy)
    return NotFoundError(
        f"{_requested_path(error)} does not exist on {address} (404).", "Check the address and the version's source."
    )


def _denied(error: Exception) -> tuple[str, str]:
    """Return what a user may not read, according to the request in an exception's text, and the remedy."""
    text = chain_text(error)
    if re.search(r"mlflow/(?:registered-models|model-versions)/", text):
        return "the registered model", _REMEDY_MODEL
    if re.search(r"mlflow/(?:logged-models|runs|experiments)/", text):
        notes = (note for cause in exception_chain(error) for note in getattr(cause, "__notes__", ()))
        run = next((f" {note.removeprefix(RUN_NOTE)}" for note in notes if note.startswith(RUN_NOTE)), "")
        return f"the run{run} that logged the model", _REMEDY_EXPERIMENT
    if _ARTIFACTS in text:
        path = _artifact_path(error)
        return f"the files at mlflow-artifacts:/{path}" if path else "the files of the model", _REMEDY_FILES
    return "the model", _REMEDY_RIGHTS


def _forbidden(message: str, facts: CredentialFacts, address: str, remedy: str = _REMEDY_RIGHTS) -> AccessError:
    remedy = _login_remedy(facts, address) if facts.sent == () else remedy
    return AccessError(join_sentences(message, facts.sent_to_server()), remedy)


def _requested_path(error: Exception) -> str:
    url = _url(error)
    return urlsplit(url).path.rpartition(f"{_ARTIFACTS}/")[2] if url else "The requested path"


def _artifact_path(error: Exception) -> str:
    """Return the path of the artifact that a request is about, "" if the request is about no artifact."""
    url = urlsplit(_url(error))
    _, endpoint, path = url.path.rpartition(_ARTIFACTS)
    if not endpoint:
        return ""
    directory = parse_qs(url.query).get("path", [""])[0]
    return printable(unquote(path.strip("/")) or directory)


def _url(error: Exception) -> str:
    """Return the URL of the request that an exception is about, "" if it is not known."""
    return getattr(getattr(error, "response", None), "url", None) or ""


def _mlflow_error(error: MlflowException, address: str, facts: CredentialFacts) -> ModelGateError:
    # Two dots or more are the mark of a shortened text, beside which a part of a secret is masked.
    message = error.message if error.message.endswith("..") else error.message.removesuffix(".")
    code = error.error_code
    if code in {"PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED"}:
        return _forbidden(f"The tracking server {address} forbids it: {message}.", facts, address)
    if code == "UNAUTHENTICATED":
        return _login_error(message, address, facts)
    if code in {"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"}:
        return NotFoundError(f"The tracking server {address} says: {message}.", "Check the names.")
    if "out-of-date database schema" in message or "database schema" in message:
        return outdated_schema(address)
    return UnreachableError(
        f"The tracking server {address} answers with an error: {message} ({code}).",
        "Look at the server's log, or run with --verbose.",
    )


def outdated_schema(address: str) -> InputError:
    """Return the error for a database whose schema is not that of the installed MLflow."""
    import mlflow

    return InputError(
        f"The database {address} was made by another version of MLflow than {mlflow.__version__}, which reads it here.",
        f"If the database is older, take a backup and run `mlflow db upgrade {address}`. Otherwise, name the address of"
        " its tracking server as the host.",
    )

"""Converts exceptions of the object stores' clients to Model Gate's errors, which name the store.

The clients are optional packages, so their exceptions are recognized by their names and attributes.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from model_gate.domain.variables import CONNECTION_STRING, S3_ENDPOINT, TRACKING_URI
from model_gate.domain.wording import truncate
from model_gate.errors import AccessError, InputError, ModelGateError, TransferError, UnreachableError
from model_gate.worker.credential_facts import CredentialFacts, StoreFamily, and_, edge_problem, join_sentences
from model_gate.worker.failures import BROKEN_TRANSFER, chain_text, exception_chain, reason_in
from model_gate.worker.object_store import ACCESS_KEY, Store, address_variable, host_in, store_of
from model_gate.worker.proxies import LOGIN_STATUS, failed_proxy, login_error, proxy_error, proxy_problem
from model_gate.worker.response_limits import sent_by
from model_gate.worker.store_responses import LOGIN_REMEDIES, code_in, redirect_error, response_error

_CLIENT_PACKAGES = frozenset({"boto3", "botocore", "s3transfer", "azure", "google", "urllib3"})
# Names of the exceptions that a client raises if it finds no credentials, or cannot get a token with its credentials.
_LOGIN_ERRORS = re.compile(
    r"Credential|ProfileNotFound|SSO|TokenRetrieval|RefreshError|ClientAuthentication|ConfigParse|ConfigNotFound"
    # Google's client requests tokens with a transport of its own.
    r"|TransportError"
)
# The host that an exception of `requests` or of Azure's transport names.
_CONTACTED_HOST = re.compile(r"\(host='([^']+)', port=(\d+)\)")
# The text of urllib3 if a proxy fails.
_PROXY_FAILURE = "Unable to connect to proxy"
_LOGIN_SERVICE_REMEDY = (
    "Check whether the service can be reached from here: its name, the proxy and the firewall. The address of the"
    " service is a part of the login."
)
# A login to Azure has one of these besides the two names, unless the machine has an identity.
_AZURE_NAMES = ("AZURE_CLIENT_ID", "AZURE_TENANT_ID")
_AZURE_PROOFS = ("AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_FEDERATED_TOKEN_FILE")
# What the clients say about a login, as regular expressions, and the same in the words of Model Gate.
_LOGIN_TEXTS = (
    (r"Anonymous credentials cannot be refreshed", "no login was found, and it does not serve anonymous users"),
    (r"Incorrect padding|base64|AzureSigningError", "the key of the account is not base64"),
    # Azure lists all logins that it tried. One of them failed, and others were not set up at all.
    (r"\n\t(?:Environment|WorkloadIdentity)Credential: (?!\w+ authentication unavailable)([^\n]+)", r"\1"),
    (r"DefaultAzureCredential failed", "no login was found in variables, on this machine or in Azure's command line"),
)
_MAX_REASON = 300
# A text that has no part of a login: no URL, no parameter, and no word as long as a token.
_PLAIN_TEXT = re.compile(r"[\w ,.:;'()/-]{1,300}")
_LONG_WORD = re.compile(r"[^ ]{40}")
# Names of other programs for variables of a login, and the names that the clients read.
_WRONG_NAMES = {
    "AWS_ACCESS_KEY": "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_KEY": "AWS_SECRET_ACCESS_KEY",
    "AZURE_STORAGE_KEY": "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_ACCOUNT_KEY": "AZURE_STORAGE_ACCESS_KEY",
}

_KEY_PAIR = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_KEY_PAIR_REMEDY = f"Set both {and_(_KEY_PAIR)}."
# boto3 prefers AWS_DEFAULT_PROFILE.
_PROFILE_REMEDY = (
    "Correct the name in AWS_DEFAULT_PROFILE or AWS_PROFILE, or the profile in ~/.aws/config or ~/.aws/credentials."
    " AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE name other files."
)
# MLflow reads a Data Lake with an identity only.
_LAKE_LOGIN_REMEDY = (
    "Set AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET. The key of an account and a connection string are"
    " for locations that begin with wasbs: only."
)
_CERTIFICATE_REMEDIES = {
    StoreFamily.S3: (
        "Name the file of its certificate authority in AWS_CA_BUNDLE or REQUESTS_CA_BUNDLE. MLFLOW_S3_IGNORE_TLS=true"
        " skips the check."
    ),
    StoreFamily.AZURE: "Name the file of its certificate authority in REQUESTS_CA_BUNDLE.",
    StoreFamily.GCS: "Name the file of its certificate authority in REQUESTS_CA_BUNDLE.",
}


@contextmanager
def store_errors(uri: str, environment: Mapping[str, str]) -> Iterator[None]:
    """Convert an exception that a store's client raises inside the block to an error of Model Gate.

    Args:
        uri: The location that is read.
        environment: The worker's environment.
    """
    try:
        yield
    except Exception as error:
        store_error = to_store_error(error, uri, environment)
        if store_error is None or store_error is error:
            raise
        raise store_error from error


def to_store_error(error: Exception, uri: str, environment: Mapping[str, str]) -> ModelGateError | None:
    """Return the error to show to the user, None if `error` does not come from a store or its client."""
    store = store_of(uri, environment)
    if store is None:
        return None
    # The clients wrap the errors of `response_limits` and `network` in exceptions of their own.
    if own := next(
        (cause for cause in exception_chain(error) if isinstance(cause, ModelGateError | MemoryError)), None
    ):
        return sent_by(store, own) if isinstance(own, ModelGateError) else None
    causes = [cause for cause in exception_chain(error) if _is_of_client(cause)]
    if not causes:
        return None
    # If Google's client gets no token, it raises the error of the last retry, as if the store did not answer.
    cause = next((cause for cause in causes if type(cause).__name__ == "TransportError"), causes[0])
    store = replace(store, endpoint=_endpoint_of(cause) or store.endpoint)
    if proxy := _proxy_error(store, error, cause, environment):
        return proxy
    missing = _missing_azure_variable(uri, environment) if store.family is StoreFamily.AZURE else ""
    facts = replace(_facts(store, environment), missing=missing)
    return _for_server(_client_error(store, uri, error, cause, facts), facts, environment)


def _proxy_error(
    store: Store, error: Exception, cause: BaseException, environment: Mapping[str, str]
) -> ModelGateError | None:
    """Return the error for a proxy that fails, None if an exception is about no proxy, or about a login."""
    if _status_of(cause) == LOGIN_STATUS:
        return login_error(f"the store {store}", store.url, environment)
    proxy = None if _is_about_login(cause) else failed_proxy(exception_chain(error), store.url, environment)
    if proxy is None:
        return None
    text = chain_text(error)
    return proxy_error(f"the store {store}", proxy, proxy_problem(text, reason_in(text)))


def _client_error(
    store: Store, uri: str, error: Exception, cause: BaseException, facts: CredentialFacts
) -> ModelGateError:
    """Return the error for an exception of a store's client, with a remedy that has the unprefixed variables.

    Args:
        store: The store.
        uri: The location that is read.
        error: The exception that the client raised.
        cause: The exception in the chain of `error` that is of the client.
        facts: The variables of the store.
    """
    if status := _status_of(cause):
        return response_error(store, status, _code_of(cause), facts, _region_of(cause))
    # The client of S3 follows redirects without a limit. Its HTTP session wraps each exception.
    if any(isinstance(each, RecursionError) for each in exception_chain(cause)):
        return redirect_error(store, "")
    if type(cause).__name__ == "InvalidRegionError":
        return InputError(
            f"The region of the store {store} is malformed: {_first_line(cause)}.",
            "Correct AWS_DEFAULT_REGION, or the region of the profile. If both are right, check the store, which names"
            " a region in its responses.",
        )
    if _is_about_login(cause):
        return AccessError(
            join_sentences(
                f"There is no valid login to the store {store}: {_login_text(cause, facts).rstrip('.')}.",
                facts.used_for_store(),
                f"{facts.named(facts.missing)} is not set." if facts.missing else "",
            ),
            _login_remedy(store, uri, cause, facts),
        )
    text = chain_text(error)
    if "Invalid header value" in text:
        return AccessError(
            f"The login to the store {store} has a line break, or another character that no request can have.",
            LOGIN_REMEDIES[store.family],
        )
    if BROKEN_TRANSFER.search(text):
        return TransferError(f"A download from the store {store} broke off before its end.", "Run the gate again.")
    return _no_answer(store, cause, text, facts)


def status_error(uri: str, environment: Mapping[str, str], status: int, body: str) -> ModelGateError:
    """Return the error for a response with an error status, to a request that no client of a cloud has sent.

    Args:
        uri: The location that is read.
        environment: The worker's environment.
        status: The HTTP status.
        body: The start of the response's body.
    """
    store = store_of(uri, environment) or Store(StoreFamily.S3, "", uri)
    if status == LOGIN_STATUS:
        return login_error(f"the store {store}", store.url, environment)
    facts = _facts(store, environment)
    return _for_server(response_error(store, status, code_in(body), facts), facts, environment)


def _facts(store: Store, environment: Mapping[str, str]) -> CredentialFacts:
    """Return what is known about the variables of a store."""
    has_endpoint = address_variable(store.family, environment) != ""
    return CredentialFacts.from_environment(environment).of_store(store.family, has_endpoint=has_endpoint)


def _for_server(error: ModelGateError, facts: CredentialFacts, environment: Mapping[str, str]) -> ModelGateError:
    """Return a copy of an error whose remedy names the variables of the worker's server, and how to name a server."""
    unused = "" if environment.get(TRACKING_URI) else facts.use_of_other_server(error.message)
    problems = _problems_of_login(facts, environment) if isinstance(error, AccessError) else ()
    remedy = error.remedy.replace(S3_ENDPOINT, address_variable(StoreFamily.S3, environment) or S3_ENDPOINT)
    return type(error)(join_sentences(error.message, *problems), join_sentences(unused, facts.named(remedy)))


def _problems_of_login(facts: CredentialFacts, environment: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each variable of a login that has a wrong name, or a value with a wrong begin or end."""
    for name, value in environment.items():
        given = facts.given_name(name)
        if given not in (facts.sent or ()):
            continue
        if name in _WRONG_NAMES:
            yield f"{given} is not read: the name is {given.removesuffix(name)}{_WRONG_NAMES[name]}."
        if problem := edge_problem(value):
            yield f"The value of {given} {problem}."


def _missing_azure_variable(uri: str, environment: Mapping[str, str]) -> str:
    """Return the variable that an incomplete identity of Azure lacks, "" if it is complete or not used.

    >>> _missing_azure_variable("abfss://models", {"AZURE_CLIENT_ID": "app", "AZURE_CLIENT_SECRET": "secret"})
    'AZURE_TENANT_ID'
    """
    if uri.startswith("wasb") and (environment.get(CONNECTION_STRING) or environment.get(ACCESS_KEY)):
        return ""
    if environment.get("AZURE_USERNAME"):
        # The login of a user needs no tenant.
        return ""
    proof = next((name for name in _AZURE_PROOFS if environment.get(name)), "")
    missing = [name for name in _AZURE_NAMES if not environment.get(name)]
    if proof and missing:
        return missing[0]
    return "" if proof or missing else _AZURE_PROOFS[0]


def _no_answer(store: Store, cause: BaseException, text: str, facts: CredentialFacts) -> ModelGateError:
    reason = reason_in(text)
    if reason is None:
        return UnreachableError(
            join_sentences(
                f"The store {store} cannot be read: {type(cause).__name__}: {_first_line(cause)}.",
                facts.endpoint_not_handed_over(),
            ),
            "Check the location and the settings of the store.",
        )
    remedy = f"Check {store.address}, and whether the store can be reached from here."
    if store.family is StoreFamily.S3 and store.endpoint.endswith(".amazonaws.com"):
        remedy += " For another store than Amazon's, set MLFLOW_S3_ENDPOINT_URL."
    if "certificate" in reason:
        remedy = _CERTIFICATE_REMEDIES[store.family]
    # Google's client reads a bucket as a public one if it finds no login.
    login = facts.used_for_store() if store.family is StoreFamily.GCS and facts.sent == () else ""
    message = join_sentences(f"The store {store} {reason}.", login, facts.endpoint_not_handed_over())
    return UnreachableError(message, remedy)


def _is_of_client(error: BaseException) -> bool:
    """Return whether an exception is of a client's class, or is one of Python's that a client raises for a setting."""
    if _has_own_class(error):
        return True
    if isinstance(error, RecursionError):
        # The client of S3 requests the region of a bucket without end, if the store redirects each request.
        return any(module.startswith("botocore.") for module in _modules_of(error))
    return isinstance(error, ValueError | OSError) and _raised_in(error) in _CLIENT_PACKAGES - {"urllib3"}


def _has_own_class(error: BaseException) -> bool:
    """Return whether the class of an exception is a client's own."""
    return type(error).__module__.partition(".")[0] in _CLIENT_PACKAGES


def _raised_in(error: BaseException) -> str:
    """Return the name of the package whose code raised an exception."""
    modules = _modules_of(error)
    return modules[-1].partition(".")[0] if modules else ""


def _modules_of(error: BaseException) -> list[str]:
    """Return the names of the modules in the traceback of an exception. The last module raised the exception."""
    return [str(frame.f_globals.get("__name__", "")) for frame, _ in traceback.walk_tb(error.__traceback__)]


def _is_about_login(error: BaseException) -> bool:
    name = type(error).__name__
    if name == "AzureSigningError" or _LOGIN_ERRORS.search(name):
        return True
    # An OSError of a client's own class is about the connection, such as TLS. One of Python is about a login file.
    is_of_setting = isinstance(error, ValueError) or (isinstance(error, OSError) and not _has_own_class(error))
    package = _raised_in(error)
    # A ValueError of the client of S3 is about another setting of the profile, such as a number.
    is_of_profile = isinstance(error, ValueError) and package in {"boto3", "botocore"}
    return is_of_setting and package in _CLIENT_PACKAGES and not is_of_profile


def _login_remedy(store: Store, uri: str, error: BaseException, facts: CredentialFacts) -> str:
    """Return the remedy for an exception about a login."""
    if (reason := reason_in(str(error)) or "") or _PROXY_FAILURE in str(error):
        return _CERTIFICATE_REMEDIES[store.family] if "certificate" in reason else _LOGIN_SERVICE_REMEDY
    if _lacks_half_of_key_pair(error, facts):
        return _KEY_PAIR_REMEDY
    if type(error).__name__ in {"PartialCredentialsError", "ProfileNotFound"}:
        return _PROFILE_REMEDY
    return _LAKE_LOGIN_REMEDY if uri.startswith("abfs") else LOGIN_REMEDIES[store.family]


def _lacks_half_of_key_pair(error: BaseException, facts: CredentialFacts) -> bool:
    """Return whether one variable of the key pair is set without the other one."""
    if type(error).__name__ == "PartialCredentialsError":
        return _botocore_fields(error).get("provider") == "env"
    set_halves = [half for half in _KEY_PAIR if any(name.endswith(half) for name in facts.sent or ())]
    return type(error).__name__ == "NoCredentialsError" and len(set_halves) == 1


def _botocore_fields(error: BaseException) -> dict[str, object]:
    """Return what an exception of botocore is about, such as the name of a missing setting; {} for other exceptions."""
    fields = getattr(error, "kwargs", None)
    return fields if isinstance(fields, dict) else {}


def _login_text(error: BaseException, facts: CredentialFacts) -> str:
    """Return what is wrong with a login, in one line."""
    if _lacks_half_of_key_pair(error, facts):
        return "half of the key pair is missing"
    if type(error).__name__ == "PartialCredentialsError":
        return f"the profile lacks {_botocore_fields(error).get('cred_var')}"
    if type(error).__name__ == "TransportError":
        return _service_text(str(error)) or "the service that issues it cannot be reached"
    text = f"{type(error).__name__}: {error}"
    for pattern, shown in _LOGIN_TEXTS:
        if match := re.search(pattern, text):
            found = match.expand(shown)
            return _service_text(found) or truncate(found.rstrip("."), _MAX_REASON)
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return _refusal(error) if type(error).__name__ == "RefreshError" else _first_line(error)


def _service_text(text: str) -> str:
    """Return why the service that issues a login gives no answer, "" if the text of an exception does not say it."""
    reason, is_proxy = reason_in(text), _PROXY_FAILURE in text
    if is_proxy:
        reason = proxy_problem(text, reason)
    if not reason:
        return ""
    host = _CONTACTED_HOST.search(text)
    proxy = "the proxy in front of " if is_proxy else ""
    return f"{proxy}the service that issues it{f', {host[1]}:{host[2]},' if host else ''} {reason}"


def _refusal(error: BaseException) -> str:
    """Return how the token service of Google refuses a login.

    The exception has the response, which may repeat the request with the signed login. So only texts without anything
    like a login are shown.
    """
    response = error.args[1] if len(error.args) > 1 else None
    if isinstance(response, dict):
        text = f"{response.get('error')}: {response.get('error_description')}"
    else:
        text = _first_line(error)
    is_plain = _PLAIN_TEXT.fullmatch(text) and not _LONG_WORD.search(text)
    return text.rstrip(".") if is_plain else "the service that issues it refuses the login"


def _endpoint_of(error: BaseException) -> str:
    """Return the host and port that the client contacted, "" if the exception does not contain them."""
    url = _botocore_fields(error).get("endpoint_url")
    response: Any = getattr(error, "response", None)
    if url is None and not isinstance(response, dict):
        url = getattr(response, "url", None)
    return host_in(str(url)) if url else ""


def _status_of(error: BaseException) -> int:
    """Return the HTTP status of the store's response, 0 if there was no response."""
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):
        return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
    status: Any = getattr(error, "status_code", None) or getattr(response, "status_code", None)
    return int(status or 0)


def _code_of(error: BaseException) -> str:
    """Return the store's own code of the error, such as `AccessDenied`, "" if there is none."""
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):
        code = str(response.get("Error", {}).get("Code", ""))
        # A response to HEAD has no body, and so no code. The client then uses the status as the code.
        return "" if code.isdigit() else code
    if error_code := getattr(error, "error_code", None):
        return str(getattr(error_code, "value", error_code))
    errors = getattr(error, "errors", None)
    if isinstance(errors, list | tuple) and errors and isinstance(errors[0], dict):
        return str(errors[0].get("reason", ""))
    return code_in(str(error))


def _region_of(error: BaseException) -> str:
    """Return the region of the bucket that the response of an S3 store names, "" if it names none."""
    response: Any = getattr(error, "response", None)
    if not isinstance(response, dict):
        return ""
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return str(headers.get("x-amz-bucket-region") or response.get("Error", {}).get("Region") or "")


def _first_line(error: BaseException) -> str:
    first, *_ = str(error).strip().splitlines() or [type(error).__name__]
    return truncate(first.rstrip("."), _MAX_REASON)

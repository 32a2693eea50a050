"""Converts responses with which an object store rejects a request to Model Gate's errors."""

from __future__ import annotations

import re

from model_gate.errors import AccessError, ModelError, ModelGateError, NotFoundError, UnreachableError
from model_gate.worker.credential_facts import CredentialFacts, StoreFamily, join_sentences
from model_gate.worker.object_store import Store

# S3 and Blob Storage send XML, Google and the Data Lake JSON.
_CODE_IN_TEXT = re.compile(r"<Code>([\w.]+)</Code>|\"(?:reason|code)\": ?\"(\w+)\"")
_REGION = re.compile(r"[a-z0-9-]{1,32}")
_CODE = re.compile(r"(?:KMS\.)?[A-Za-z]{1,64}")

LOGIN_REMEDIES = {
    StoreFamily.S3: (
        "Check the login to the store: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE or the role. For"
        " another store than Amazon's, check MLFLOW_S3_ENDPOINT_URL too."
    ),
    StoreFamily.AZURE: (
        "Check the login to the store: AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_ACCESS_KEY, or the identity in"
        " AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET."
    ),
    StoreFamily.GCS: "Check the login to the store: GOOGLE_APPLICATION_CREDENTIALS.",
}
_RIGHTS_REMEDIES = {
    StoreFamily.S3: (
        "Give this login s3:ListBucket on the bucket and s3:GetObject on its objects, and kms:Decrypt on the key if the"
        " objects are encrypted with one. The policy of the bucket must allow presigned URLs (s3:authType). If the"
        " owner of the bucket does not pay for requests, set AWS_REQUEST_PAYER=requester."
    ),
    StoreFamily.AZURE: (
        "If the login is the key of an account, check the key. Otherwise, give the login the role Storage Blob Data"
        " Reader on the container. Check the network rules of the account too."
    ),
    StoreFamily.GCS: "Give this login the role Storage Object Viewer on the bucket.",
}
_ADDRESS_REMEDIES = {
    StoreFamily.S3: (
        "Check the region in AWS_DEFAULT_REGION or the profile. For another store than Amazon's, check"
        " MLFLOW_S3_ENDPOINT_URL too."
    ),
    StoreFamily.AZURE: "Check the name of the account, and the location.",
    StoreFamily.GCS: "Check the location.",
}
_CODE_REMEDY = "The documentation of the store explains this code. Check the address of the store too."
# Error codes that mean a wrong region.
_REGION_CODES = frozenset(
    {"AuthorizationHeaderMalformed", "AuthorizationQueryParametersError", "IllegalLocationConstraintException"}
)
# Error codes for a container or bucket that does not exist. Google has none of its own.
_NO_CONTAINER_CODES = frozenset({"NoSuchBucket", "ContainerNotFound", "FilesystemNotFound"})
# Error codes with which Google rejects a request that names no project that pays for it, with the status 400.
_PAYER_CODES = frozenset({"required", "UserProjectMissing"})
# Error codes with which a store rejects the login itself. Their HTTP status may be 403, like that of a missing right.
_LOGIN_CODES = frozenset(
    {
        "AuthenticationFailed",
        "InvalidAccessKeyId",
        "InvalidAuthenticationInfo",
        "InvalidToken",
        "SignatureDoesNotMatch",
    }
)
_EXPIRED_CODES = frozenset({"ExpiredToken", "TokenRefreshRequired"})
_EXPIRED_REMEDY = "Get new temporary credentials, such as a new AWS_SESSION_TOKEN with its key pair, or sign in again."
_ARCHIVED = "The object is in an archive of the store {}"
# Codes whose errors depend on nothing else: the class of the error, the message and the remedy.
_ERRORS: dict[str, tuple[type[ModelGateError], str, str]] = {
    "BlobArchived": (
        ModelError,
        _ARCHIVED,
        "Set the access tier of the model's blobs to Hot or Cool, and run the gate again when they are restored.",
    ),
    "InvalidObjectState": (
        ModelError,
        _ARCHIVED,
        "Restore the model's objects (`aws s3api restore-object`), and run the gate again when they are restored.",
    ),
    "KeyBasedAuthenticationNotPermitted": (
        AccessError,
        "The account of the store {} does not accept keys",
        "Set AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET, and no key or connection string.",
    ),
    "RequestTimeTooSkewed": (
        AccessError,
        "The clock of this machine differs from that of the store {}",
        "Correct the clock.",
    ),
}
_KEY_SERVICE = "KMS."


def response_error(store: Store, status: int, code: str, facts: CredentialFacts, region: str = "") -> ModelGateError:
    """Return the error for a response that rejects a request, with a remedy that has the unprefixed variables.

    Args:
        store: The store.
        status: The HTTP status of the response.
        code: The store's own code of the error, such as `AccessDenied`; "" if there is none. A text that may be more
            than a code is not shown.
        facts: The variables of the store.
        region: The region of the bucket, if the response names it. A text that may be more than a region is not shown.
    """
    code = code if _CODE.fullmatch(code) else ""
    shown = f"{code}, {status}" if code else str(status)
    if _REGION.fullmatch(region) and (status == 301 or code in _REGION_CODES):
        error: ModelGateError | None = _region_error(store, region, shown)
    else:
        error = _error_of_code(store, status, code, shown, facts)
    if error is not None:
        return error
    if status == 401 or code in _LOGIN_CODES:
        message = f"The store {store} does not accept the credentials ({shown})."
        return AccessError(join_sentences(message, facts.used_for_store()), LOGIN_REMEDIES[store.family])
    if status == 403:
        remedy = LOGIN_REMEDIES[store.family] if facts.sent == () else _RIGHTS_REMEDIES[store.family]
        message = f"The store {store} refuses to be read ({shown})."
        return AccessError(join_sentences(message, facts.used_for_store()), remedy)
    if status == 404:
        message = f"The store {store} has no such {store.word} or object ({shown})."
        return NotFoundError(
            join_sentences(message, facts.endpoint_not_handed_over()),
            join_sentences(f"Check the location, and {store.address}.", _path_remedy(store)),
        )
    if status == 429 or status >= 500:
        return UnreachableError(f"The store {store} answers with an error ({shown}).", "Run the gate again later.")
    if status < 300:
        return UnreachableError(
            f"The store {store} answers with status {status} in place of the file.",
            f"Check {store.address}, and the proxies in front of the store.",
        )
    if status < 400:
        return redirect_error(store, f" ({shown})")
    remedy = _ADDRESS_REMEDIES[store.family] if code in _REGION_CODES or not code else _CODE_REMEDY
    return UnreachableError(f"The store {store} refuses the request ({shown}).", remedy)


def _region_error(store: Store, region: str, shown: str) -> UnreachableError:
    return UnreachableError(
        f"The store {store} rejects the request ({shown}), because the {store.word} is in the region {region}.",
        f"Set AWS_DEFAULT_REGION={region}, or the region of the profile. If MLFLOW_S3_ENDPOINT_URL is set, check its"
        " region too.",
    )


def redirect_error(store: Store, shown: str) -> UnreachableError:
    """Return the error for a redirect. `shown` is the code and the status in parentheses after a blank, or ""."""
    return UnreachableError(
        f"The store {store} redirects the request{shown}. Model Gate does not follow redirects of a store.",
        _ADDRESS_REMEDIES[store.family],
    )


def _path_remedy(store: Store) -> str:
    """Return the remedy for an address that may have the name of the bucket, "" for an address without a path."""
    return "The address has a path. If the path is the name of the bucket, remove it." if store.address_has_path else ""


def _error_of_code(store: Store, status: int, code: str, shown: str, facts: CredentialFacts) -> ModelGateError | None:
    """Return the error for a code that says more than its status, None for other codes."""
    if code in _NO_CONTAINER_CODES:
        return NotFoundError(
            join_sentences(
                f"The store {store.endpoint} has no {store.word} {store.container} ({shown}).",
                facts.endpoint_not_handed_over(),
            ),
            join_sentences(f"Check the name of the {store.word}, and {store.address}.", _path_remedy(store)),
        )
    if store.family is StoreFamily.GCS and status == 400 and code in _PAYER_CODES:
        return AccessError(
            f"The store {store} needs a project that pays for the request ({shown}).",
            "Set GOOGLE_CLOUD_QUOTA_PROJECT to the project that pays.",
        )
    if code in _EXPIRED_CODES:
        message = f"The session of the login to the store {store} has expired ({shown})."
        return AccessError(join_sentences(message, facts.used_for_store()), _EXPIRED_REMEDY)
    if code in _ERRORS:
        kind, message, remedy = _ERRORS[code]
        return kind(f"{message.format(store)} ({shown}).", remedy)
    if code.startswith(_KEY_SERVICE):
        return AccessError(
            f"The store {store} cannot decrypt the object ({shown}).",
            "Check the key of AWS KMS that encrypts it.",
        )
    return None


def code_in(text: str) -> str:
    """Return the code in the body of a response, "" if there is none.

    >>> code_in("<Error><Code>AccessDenied</Code></Error>"), code_in('{"error": {"code": "AuthorizationFailure"}}')
    ('AccessDenied', 'AuthorizationFailure')
    >>> code_in("<Error><Code>KMS.DisabledException</Code></Error>")
    'KMS.DisabledException'
    """
    match = _CODE_IN_TEXT.search(text)
    return (match[1] or match[2]) if match else ""

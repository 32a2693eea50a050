"""Names of environment variables: those of tracking servers and of object stores, and those with secret values."""

from __future__ import annotations

import re

TRACKING_URI = "MLFLOW_TRACKING_URI"
REGISTRY_URI = "MLFLOW_REGISTRY_URI"
STORE_ENDPOINTS = "MODEL_GATE_STORE_ENDPOINTS"
# The parent sets these variables in the environment of a worker: the name of the declared server, and in JSON the
# variables with credentials that the worker gets, and those that it does not get. The second list also has the
# variables in S3_ENDPOINTS.
SERVER_VARIABLE = "MODEL_GATE_SERVER_NAME"
# The prefix of the server's own variables; not set if no variable declares the server.
PREFIX_VARIABLE = "MODEL_GATE_SERVER_PREFIX"
SENT_VARIABLE = "MODEL_GATE_SENT"
NOT_SENT_VARIABLE = "MODEL_GATE_NOT_SENT"
# A JSON object. For each variable of an object store that the worker gets, it has the name that the user has given.
NAMES_VARIABLE = "MODEL_GATE_NAMES"
# Variables with the address of an S3 store, first that of MLflow, in the order in which the client of S3 looks at them.
S3_ENDPOINT = "MLFLOW_S3_ENDPOINT_URL"
S3_ENDPOINTS = (S3_ENDPOINT, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
# The variable with the address of a Google store. The address may have no scheme.
GOOGLE_ENDPOINT = "STORAGE_EMULATOR_HOST"
# The variable with the login to a Blob Storage, which can have its address too.
CONNECTION_STRING = "AZURE_STORAGE_CONNECTION_STRING"
# How the reason in NOT_SENT_VARIABLE begins if a variable is the login of another declared server.
ANOTHER_SERVER = "it belongs to the server "

# The reason in NOT_SENT_VARIABLE for a variable of the server that is empty, and what to do about it.
EMPTY = "it is empty"
EMPTY_REMEDY = (
    "Give it a value. In a workflow, a secret that does not exist gives an empty value: compare the name in"
    " ${{ secrets.NAME }}, letter by letter, with the secrets in the settings of the repository. A pull request from a"
    " fork gets no secrets."
)
# The reason for a variable that looks like a login, but that MLflow does not read.
NO_LOGIN_VARIABLE = "MLflow does not read it as a login"

# Variables with a login to a tracking server. User-info in the server's address replaces them.
LOGIN_VARIABLES = frozenset(
    {
        "MLFLOW_TRACKING_USERNAME",
        "MLFLOW_TRACKING_PASSWORD",
        "MLFLOW_TRACKING_TOKEN",
        "MLFLOW_TRACKING_AUTH",
        "MLFLOW_TRACKING_AWS_SIGV4",
    }
)
INSECURE_TLS = "MLFLOW_TRACKING_INSECURE_TLS"
SERVER_CERTIFICATE = "MLFLOW_TRACKING_SERVER_CERT_PATH"
# Variables that belong to one tracking server over HTTP.
HTTP_VARIABLES = LOGIN_VARIABLES | {
    INSECURE_TLS,
    SERVER_CERTIFICATE,
    "MLFLOW_TRACKING_CLIENT_CERT_PATH",
    "MLFLOW_WORKSPACE",
}
# Prefixes of the variables of each family of object stores. A server with its own variable of a family gets none of
# the unprefixed variables of that family.
STORE_FAMILIES = {
    "AWS": ("AWS_", "MLFLOW_S3", "MLFLOW_BOTO"),
    "Azure": ("AZURE_", "IDENTITY_", "MSI_"),
    "Google": ("GOOGLE_", "CLOUDSDK", GOOGLE_ENDPOINT, "GCE_METADATA_", "NO_GCE_CHECK"),
    "boto": ("BOTO_",),
    "endpoint": (STORE_ENDPOINTS,),
}
_SECRET = re.compile(
    r"PASSW|PWD|PASSPHRASE|TOKEN|SECRET|KEY|CREDENTIAL|CONNECTION_STRING|SAS|AUTH|HEADER|COOKIE|BEARER|JWT"
)
# Exceptions to _SECRET, whose values are no secrets: the name of MLflow's authentication plugin, the switch for signed
# requests, paths of files, and addresses.
_NOT_SECRET = re.compile(
    r"(?:MLFLOW_TRACKING_AUTH|_AWS_SIGV4|_FILE|_PATH|_DIR|_URI|_URL|_HOST|_ENDPOINT|_ENDPOINTS|_EXPIRATION"
    r"|AZURE_AUTHORITY|GOOGLE_APPLICATION_CREDENTIALS)$"
)
# Further parts of logins, and variables for certificates. An error about a rejected login or certificate lists these
# variables.
_CREDENTIAL = re.compile(
    r"PROFILE|ROLE_ARN|CLIENT_ID|TENANT_ID|APPLICATION_CREDENTIALS$|CERT_PATH|CONFIG|_FILE$|IDENTITY_|MSI_|_AUTH$|SIGV4"
    r"|USERNAME|_TLS$|CA_BUNDLE$"
)
_PUBLIC = re.compile(
    rf"(?:{TRACKING_URI}|{REGISTRY_URI}|MLFLOW_WORKSPACE|_INSECURE_TLS|_IGNORE_TLS|_SIGV4|MLFLOW_TRACKING_AUTH|_REGION"
    rf"|_PROFILE|_CERT_PATH|_FILE|_DIR|_ENDPOINT_URL|_ENDPOINT_URL_S3|_ADDRESSING_STYLE|{GOOGLE_ENDPOINT}"
    r"|AUTHORITY_HOST|CONFIG_PROFILE|DATABRICKS_HOST|MODEL_GATE_PASS|_MAX_RETRIES|_BACKOFF_FACTOR|_REQUEST_TIMEOUT)$"
)


# What is left of the name of a variable without MLFLOW_ and TRACKING_, and the variable that is probably meant.
_MEANT = {
    "MLFLOW_TRACKING_USERNAME": re.compile(r"(?:USER|USERNAME|USER_NAME|LOGIN)"),
    "MLFLOW_TRACKING_PASSWORD": re.compile(r"(?:PASS|PASSWD|PASSWORD|PWD)"),
    "MLFLOW_TRACKING_TOKEN": re.compile(r"(?:(?:API|ACCESS|AUTH|BEARER)_)?TOKEN|API_KEY|APIKEY|BEARER"),
}


def meant_login(name: str) -> str:
    """Return the login variable of MLflow that is probably meant by another name, "" if none is.

    >>> meant_login("MLFLOW_TOKEN"), meant_login("TRACKING_USER"), meant_login("MLFLOW_TRACKING_TOKEN")
    ('MLFLOW_TRACKING_TOKEN', 'MLFLOW_TRACKING_USERNAME', '')
    >>> meant_login("API_KEY")
    ''
    """
    rest = name.removeprefix("MLFLOW_").removeprefix("TRACKING_")
    if rest == name:
        return ""
    meant = next((login for login, pattern in _MEANT.items() if pattern.fullmatch(rest)), "")
    return "" if meant == name else meant


def store_family(name: str) -> str:
    """Return the family of object stores that a variable belongs to, "" if it belongs to none.

    >>> store_family("AWS_PROFILE"), store_family("MLFLOW_S3_ENDPOINT_URL"), store_family("MLFLOW_WORKSPACE")
    ('AWS', 'AWS', '')
    """
    return next((family for family, prefixes in STORE_FAMILIES.items() if name.startswith(prefixes)), "")


def is_secret(name: str) -> bool:
    """Return whether the value of a variable with this name must not be printed or written.

    >>> is_secret("PROD_MLFLOW_TRACKING_TOKEN"), is_secret("AWS_WEB_IDENTITY_TOKEN_FILE"), is_secret("AWS_REGION")
    (True, False, False)
    """
    return bool(_SECRET.search(name.upper())) and not _NOT_SECRET.search(name.upper())


def is_credential(name: str) -> bool:
    """Return whether a variable with this name holds a login, a part of a login or the place of a login."""
    if name.endswith((TRACKING_URI, STORE_ENDPOINTS)):
        return False
    return is_secret(name) or bool(_CREDENTIAL.search(name.upper()))


def is_public(name: str) -> bool:
    """Return whether the value of a variable with this name is certainly no secret, such as the name of a region."""
    return bool(_PUBLIC.search(name.upper()))

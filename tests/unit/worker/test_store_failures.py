"""Errors about the login to a store say what is wrong in one line."""

from __future__ import annotations

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.storage.blob import BlobServiceClient
from google.auth.exceptions import RefreshError

from model_gate.errors import AccessError
from model_gate.worker.store_failures import status_error, to_store_error

TRIED = "DefaultAzureCredential failed to retrieve a token from the included credentials.\nAttempted credentials:\n"
UNSET = "\tEnvironmentCredential: EnvironmentCredential authentication unavailable. Variables are not fully set.\n"


@pytest.mark.parametrize(
    "error, text",
    [
        (
            ClientAuthenticationError(f"{TRIED}{UNSET}\tAzureCliCredential: Azure CLI not found on path\n"),
            "no login was",
        ),
        (
            ClientAuthenticationError(
                f"{TRIED}\tEnvironmentCredential: Authentication failed: AADSTS7000215: Wrong.\n"
            ),
            "Authentication failed: AADSTS7000215: Wrong",
        ),
        (
            ClientAuthenticationError(
                f"{TRIED}\tEnvironmentCredential: Authentication failed:"
                " Connection(host='login.example.com', port=443): Failed to resolve 'login.example.com'"
                " ([Errno -2] Name or service not known)\n"
            ),
            "the service that issues it, login.example.com:443, gives no answer: its name cannot be resolved",
        ),
        (ClientAuthenticationError(f"{TRIED}{UNSET}\tWorkloadIdentityCredential: No file\n"), "No file"),
        (
            RefreshError("Anonymous credentials cannot be refreshed."),  # type: ignore[no-untyped-call]
            "it does not serve anonymous users",
        ),
    ],
    ids=["unset", "rejected", "unresolved", "no-file", "anonymous"],
)
def test_error_of_a_login_says_which_login_failed(error: Exception, text: str) -> None:
    shown = to_store_error(error, "abfss://models@acct.dfs.core.windows.net/wine", {})
    assert isinstance(shown, AccessError)
    assert text in shown.message
    assert not {"\n", "\t"} & set(shown.message)


def test_error_of_python_is_about_the_store_only_if_a_client_raises_it() -> None:
    with pytest.raises(ValueError, match="onnection string") as raised:
        BlobServiceClient.from_connection_string("AccountName")
    location = "wasbs://models@acct.blob.core.windows.net/wine"
    assert isinstance(to_store_error(raised.value, location, {}), AccessError)
    assert to_store_error(ValueError(str(raised.value)), location, {}) is None


@pytest.mark.parametrize("variable", ["MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"])
def test_remedy_names_the_variable_that_has_the_address_of_the_store(variable: str) -> None:
    environment = {variable: "http://127.0.0.1:9000"}
    error = status_error("s3://models/wine", environment, 403, "<Code>InvalidAccessKeyId</Code>")
    assert isinstance(error, AccessError)
    assert f"For another store than Amazon's, check {variable} too." in error.remedy

"""The input `credentials` is parsed, its values are masked, and no error quotes a value."""

from __future__ import annotations

import pytest

from model_gate.action.credentials import parse_credentials, secrets_in
from model_gate.errors import InputError

TEXT = """
# staging
STAGING_MLFLOW_TRACKING_URI=https://ann:pw-in-address@staging.example.com
STAGING_MLFLOW_TRACKING_TOKEN = a=b==
  PROD_MLFLOW_TRACKING_USERNAME=bob\r
PROD_AWS_REGION=eu-central-1
PROD_MLFLOW_TRACKING_INSECURE_TLS=true
EMPTY=
"""


def test_name_and_value_of_each_credential_line_are_parsed() -> None:
    assert parse_credentials(TEXT) == {
        "STAGING_MLFLOW_TRACKING_URI": "https://ann:pw-in-address@staging.example.com",
        "STAGING_MLFLOW_TRACKING_TOKEN": "a=b==",
        "PROD_MLFLOW_TRACKING_USERNAME": "bob",
        "PROD_AWS_REGION": "eu-central-1",
        "PROD_MLFLOW_TRACKING_INSECURE_TLS": "true",
        "EMPTY": "",
    }


def test_every_credential_value_is_masked_unless_its_variable_is_public() -> None:
    assert secrets_in(TEXT) == ("ann:pw-in-address", "pw-in-address", "a=b==", "bob")


def test_key_in_a_connection_string_is_masked() -> None:
    login = "AccountName=acct;AccountKey=QUJDREVGR0hJSktMTU5PUA=="
    assert secrets_in(f"AZURE_STORAGE_CONNECTION_STRING={login}") == (login, "QUJDREVGR0hJSktMTU5PUA==")


@pytest.mark.parametrize(
    "text, problem",
    [
        ("A=s3cret\ns3cret-value", "line 2: this is not NAME=VALUE"),
        ("A B=s3cret", "line 1: this is not NAME=VALUE"),
        ("=s3cret", "line 1: this is not NAME=VALUE"),
        ("export A=s3cret", "line 1: this is not NAME=VALUE"),
        ("A=s3cret\n\nA=s3cret", "line 3: A is given twice, first on line 1"),
        ("PYTHONPATH=s3cret", "PYTHONPATH cannot be set here"),
        ("LD_PRELOAD=s3cret", "LD_PRELOAD cannot be set here"),
        ("GITHUB_OUTPUT=s3cret", "GITHUB_OUTPUT cannot be set here"),
    ],
)
def test_error_for_an_invalid_credential_line_does_not_quote_the_value(text: str, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_credentials(text)
    assert problem in caught.value.message
    assert "s3cret" not in caught.value.message + caught.value.remedy
    assert any("s3cret" in secret for secret in secrets_in(text))

"""The parts of a login that a request shows alone are secrets."""

from __future__ import annotations

import pytest

from model_gate.domain.credentials import secret_parts

SIG = "Ab3dEf6hIj8kLmNoPqRsTuVwXyZ/0123456789+abQ="
ENCODED = "Ab3dEf6hIj8kLmNoPqRsTuVwXyZ%2F0123456789%2BabQ%3D"
KEY = "QUJDREVGR0hJSktMTU5PUA=="


@pytest.mark.parametrize(
    "value, parts",
    [
        (f"AccountName=acct;AccountKey={KEY};BlobEndpoint=https://acct.example.com", {KEY}),
        (f"Endpoint=sb://x/;SharedAccessKeyName=reader;SharedAccessKey={KEY}", {KEY}),
        (
            f"BlobEndpoint=https://x/;SharedAccessSignature=sv=2021&sp=rl&sig={ENCODED}",
            {f"sv=2021&sp=rl&sig={ENCODED}", ENCODED, SIG},
        ),
        (f"SharedAccessSignature=sig={ENCODED}&sv=2021", {f"sig={ENCODED}&sv=2021", ENCODED, SIG}),
        (f"?sv=2021&sig={ENCODED}", {ENCODED, SIG}),
        (f"sv=2021&sig={SIG}&sp=r", {SIG}),
        (f"https://acct.blob.core.windows.net/c?sv=2021&sig={ENCODED}", {ENCODED, SIG}),
        ("Bearer eyJhbGci.eyJzdWIi.c2ln", {"eyJhbGci.eyJzdWIi.c2ln"}),
        (
            '{"private_key": "-----BEGIN\\nMIIEabcd", "a": {"client_secret": "s3cret-of-the-test"}, "id": "123456"}',
            {"-----BEGIN\nMIIEabcd", "s3cret-of-the-test"},
        ),
    ],
)
def test_secret_parts_of_a_composite_login_are_secrets(value: str, parts: set[str]) -> None:
    found = set(secret_parts(value))
    assert found == {value, *parts}


@pytest.mark.parametrize(
    "value",
    [
        "a plain password",
        "pass;word=with&signs=",
        "AccountName=acct;AccountKey=;sig=",
        "key=short",
        "password=different",
        "correct horse token of-the-battery-and-staple",
        "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY=",
        "{not JSON",
        pytest.param('{"a":' * 5000, id="deep JSON"),
        "",
    ],
)
def test_value_without_parts_is_the_only_secret(value: str) -> None:
    assert secret_parts(value) == (value,)

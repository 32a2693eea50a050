"""Secrets are masked in every encoding, and fixed values of the report are not changed."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

import pytest

from model_gate.access.redaction import MASK, Redactor

SECRETS = ["s3cret-w0rd", "p/w:1@x y", "qu'ote\"d\\", "ünïcödé", "a+b=c&d", "%41%42", "\udcff\udcfe bytes"]


def forms(secret: str) -> list[str]:
    raw = secret.encode("utf-8", "surrogateescape")
    return [
        secret,
        quote(raw),
        quote(raw, safe=""),
        quote_plus(raw),
        repr(secret)[1:-1],
        json.dumps(secret)[1:-1],
        base64.b64encode(raw).decode(),
    ]


@pytest.mark.parametrize("secret", SECRETS)
def test_secret_is_masked_in_every_encoding(secret: str) -> None:
    redactor = Redactor([secret])
    for form in forms(secret):
        assert redactor.text(f"before{form}after") == f"before{MASK}after"


def test_longer_of_two_overlapping_secrets_is_masked_whole() -> None:
    assert Redactor(["word", "wordier"]).text("wordier word") == f"{MASK} {MASK}"


@pytest.mark.parametrize(
    "text, masked",
    [
        ("https://ann:pw@example.com/x", "https://***@example.com/x"),
        ("at http://t0ken@example.com:5000.", "at http://***@example.com:5000."),
        ("postgresql+psycopg2://a:b@db/x", "postgresql+psycopg2://***@db/x"),
        ("https://a:p@w@example.com", "https://***@example.com"),
        ("two http://a:b@x and http://c:d@y", "two http://***@x and http://***@y"),
        ("HTTPConnectionPool(host='x'): 'http://a:b@x/'", "HTTPConnectionPool(host='x'): 'http://***@x/'"),
    ],
)
def test_user_info_of_any_uri_is_masked(text: str, masked: str) -> None:
    assert Redactor().text(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "https://example.com/a@b",
        "models:/Wine@champion",
        "models://profile@databricks/Wine/1",
        "ann@example.com",
        "s3://bucket/key",
        "",
    ],
)
def test_text_without_secrets_is_unchanged(text: str) -> None:
    assert Redactor().text(text) == text


def test_redaction_of_data_masks_texts_but_not_keys_and_numbers() -> None:
    data = {"pass": ["pass", {"x": "a pass"}, 1, None, True], "y": ("pass",)}
    assert Redactor(["pass"]).data(data) == {"pass": [MASK, {"x": f"a {MASK}"}, 1, None, True], "y": [MASK]}


@pytest.mark.parametrize("word", ["equal", "error", "content", "file", "directory", "identical", "check", "diff", "a1"])
def test_password_equal_to_a_fixed_value_does_not_change_the_report(word: str) -> None:
    data = {"status": "equal", "kind": "content", "left_type": "file", "right_type": "directory", "hash": "a1" * 32}
    data |= {"command": "check", "require": "identical", "type": "error"}
    assert Redactor([word]).data(data) == data


def test_empty_secret_masks_nothing() -> None:
    assert Redactor(["", ""]).text("text") == "text"

"""The secret `databricks-profiles`: no part of it is printed, whatever its text."""

from __future__ import annotations

import pytest

from model_gate.access.databrickscfg import parse_profiles
from model_gate.action.profiles import secrets_in
from model_gate.errors import InputError

SECRET = "dapi-0123456789"


@pytest.mark.parametrize("separator", ["\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"])
@pytest.mark.parametrize("field", ["client_secret", "token"])
def test_secret_after_an_unusual_line_separator_is_rejected_and_masked(field: str, separator: str) -> None:
    text = f"[prod]\nhost = https://h.example.com{separator}{field}={SECRET}\nauth_type = pat\n"
    with pytest.raises(InputError) as caught:
        parse_profiles(text, "profiles")
    assert "line 2: a control character" in caught.value.message
    assert SECRET not in caught.value.message + caught.value.remedy
    assert SECRET in secrets_in(text)


@pytest.mark.parametrize(
    "text", [f"[prod]\n{SECRET}==\n{SECRET}==\n", f"[prod]\n{SECRET}: 1\n{SECRET.upper()}: 2\n", f"[p]\n{SECRET}\n"]
)
def test_error_does_not_repeat_an_unknown_field_name(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_profiles(text, "profiles")
    assert SECRET not in (caught.value.message + caught.value.remedy).lower()


def test_error_repeats_a_known_field_name() -> None:
    with pytest.raises(InputError, match="'host' is given twice, first on line 2"):
        parse_profiles("[prod]\nhost = a\nhost = b\n", "profiles")


@pytest.mark.parametrize(
    "text",
    [
        f"[__settings__]\ntoken = {SECRET}\n[prod]\nhost = https://h.example.com\n",
        f"[prod]\nhost = https://h.example.com\n  token={SECRET}\n",
        f"[prod]\nhost = https://h.example.com\ntoken = a\n  {SECRET}\n",
    ],
)
def test_secret_outside_of_a_login_field_is_masked(text: str) -> None:
    assert SECRET in secrets_in(text)


def test_host_and_auth_type_of_a_profile_are_not_masked() -> None:
    text = "# a: note\n[prod]\nhost = https://h.example.com\nauth_type = pat\ntoken = dapi\n"
    assert secrets_in(text) == ("dapi",)

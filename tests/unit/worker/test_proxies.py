"""The address of a proxy is found in the variables, without any part of its login."""

from __future__ import annotations

import pytest

from model_gate.access.environments import secrets_of
from model_gate.errors import InputError
from model_gate.worker.proxies import Proxy, proxy_error, proxy_of, require_proxy

PASSWORD = "secret-of-the-proxy"
ADDRESSES = {
    f"http://ann:{PASSWORD}@proxy:3128": "proxy:3128",
    f"ann:{PASSWORD}@proxy:3128/": "proxy:3128",
    "http://[::1]:3128": "[::1]:3128",
    f"http://ann:2024/{PASSWORD}@proxy:3128": "",
    f"http://token#{PASSWORD}@proxy:3128": "",
    f"http://ann:pa@ss/{PASSWORD}@proxy": "",
    f"http://{PASSWORD}": PASSWORD,
}


@pytest.mark.parametrize("value, host", ADDRESSES.items())
def test_host_of_a_proxy_has_no_part_of_a_login(value: str, host: str) -> None:
    assert Proxy("HTTPS_PROXY", value).host == host


@pytest.mark.parametrize("value", [value for value, host in ADDRESSES.items() if host == ""])
def test_address_whose_login_is_ambiguous_is_malformed_and_not_shown(value: str) -> None:
    with pytest.raises(InputError) as raised:
        require_proxy("https://host", {"HTTPS_PROXY": value})
    error = proxy_error("the server", Proxy("HTTPS_PROXY", value), "refuses connections")
    shown = f"{raised.value.message} {raised.value.remedy} {error.message} {error.remedy}"
    assert [part for part in (PASSWORD, "2024", "token", "pa@ss") if part in shown] == []


@pytest.mark.parametrize("value", [value for value in ADDRESSES if "@" in value])
def test_login_of_a_proxy_is_a_secret_whatever_signs_it_has(value: str) -> None:
    assert any(PASSWORD in secret for secret in secrets_of({"HTTPS_PROXY": value}))


def test_proxy_that_no_proxy_excludes_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"HTTPS_PROXY": "http://proxy:3128"}
    assert proxy_of("https://host.example", environment) is not None
    monkeypatch.setenv("NO_PROXY", "host.example")
    assert proxy_of("https://host.example", environment) is None

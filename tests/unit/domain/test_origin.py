"""Origins of URLs, and the declared store endpoints."""

from __future__ import annotations

import pytest

from model_gate.domain.origin import Origin, StoreEndpoint, origin_of, parse_store_endpoints
from model_gate.errors import InputError

SECRET = "endpoint-secret-1"


@pytest.mark.parametrize(
    "url, expected",
    [
        ("https://MLflow.Example.com/a?b", "https://mlflow.example.com"),
        ("https://mlflow.example.com:443", "https://mlflow.example.com"),
        ("http://mlflow.example.com:443", "http://mlflow.example.com:443"),
        ("HTTP://mlflow_server:5000/x", "http://mlflow_server:5000"),
        ("https://[0:0::1]:8443/x", "https://[::1]:8443"),
        ("hdfs://namenode:8020/x", "hdfs://namenode:8020"),
        ("viewfs://cluster/x", "viewfs://cluster"),
    ],
)
def test_origin_of_a_url_is_normalized(url: str, expected: str) -> None:
    assert str(origin_of(url)) == expected


@pytest.mark.parametrize(
    "url",
    [
        "https://user@example.com",
        "https://a@b@example.com",
        "https://example.com\\@evil.example",
        "https://example.com\\.evil.example",
        "https://example.com.",
        "https://example..com",
        "https://example.com:",
        "https://example.com:x",
        "https://example.com:65536",
        "https://exa%6Dple.com",
        "https://ｅxample.com",
        "https://example。com",
        "https://exa\tmple.com",
        " https://example.com",
        "https://example.com\n",
        "https:///example.com",
        "https:/example.com",
        "//example.com",
        "https://[::1%25lo]",
        "https://[::g]",
        "https://-example.com",
        "",
    ],
)
def test_url_whose_host_is_ambiguous_has_no_origin(url: str) -> None:
    assert origin_of(url) is None


def test_path_and_decoded_login_of_a_store_endpoint_are_read() -> None:
    text = f"https://minio.example.com:9000/ , http://ann:{SECRET}%40%2C@files.example.com/mlflow/,"
    assert parse_store_endpoints(text) == (
        StoreEndpoint(Origin("https", "minio.example.com", 9000)),
        StoreEndpoint(Origin("http", "files.example.com", 80), "/mlflow", "ann", f"{SECRET}@,"),
    )
    assert SECRET not in repr(parse_store_endpoints(text))


@pytest.mark.parametrize(
    "text", [f"https://ann:{SECRET}@", f"ann:{SECRET}@host", f"https://h/?sig={SECRET}", f"https://{SECRET}@host"]
)
def test_error_for_a_malformed_store_endpoint_does_not_quote_it(text: str) -> None:
    with pytest.raises(InputError) as raised:
        parse_store_endpoints(f"https://host,{text}")
    assert "Entry 2 of MODEL_GATE_STORE_ENDPOINTS" in raised.value.message
    assert SECRET not in raised.value.message + raised.value.remedy

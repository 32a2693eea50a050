"""The URL of an object is signed for the host and the region with which its bucket is listed."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from model_gate.worker.stores.s3 import S3Bucket, shared_client


def sign(monkeypatch: pytest.MonkeyPatch, region: str, **variables: str) -> tuple[str, str]:
    """Return the start of the signed URL of an object, and the region for which it is signed."""
    login = {"AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": region}
    for name, value in (login | variables).items():
        monkeypatch.setenv(name, value)
    shared_client.cache_clear()
    url = S3Bucket.from_environment("models").sign("m/a").url
    return url.partition("?")[0], parse_qs(urlsplit(url).query)["X-Amz-Credential"][0].split("/")[2]


@pytest.mark.parametrize(
    "region, host",
    [
        ("us-east-1", "models.s3.amazonaws.com"),
        ("eu-west-1", "models.s3.eu-west-1.amazonaws.com"),
        ("af-south-1", "models.s3.af-south-1.amazonaws.com"),
        ("cn-north-1", "models.s3.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_url_of_an_object_names_the_host_of_the_region(monkeypatch: pytest.MonkeyPatch, region: str, host: str) -> None:
    assert sign(monkeypatch, region) == (f"https://{host}/m/a", region)


def test_url_of_an_object_has_the_form_of_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    url = sign(monkeypatch, "af-south-1", MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE="path")
    assert url == ("https://s3.af-south-1.amazonaws.com/models/m/a", "af-south-1")


def test_url_of_an_object_names_the_host_of_another_store(monkeypatch: pytest.MonkeyPatch) -> None:
    url = sign(monkeypatch, "eu-west-1", MLFLOW_S3_ENDPOINT_URL="http://127.0.0.1:9000")
    assert url == ("http://127.0.0.1:9000/models/m/a", "eu-west-1")

"""Which locations and presigned URLs of a tracking server a worker may read."""

from __future__ import annotations

import pytest

from model_gate.domain.origin import parse_store_endpoints
from model_gate.errors import AccessError, ModelError
from model_gate.worker.origins import (
    LocationPolicy,
    is_public,
    require_login_server,
    require_presigned,
    server_uri,
)

SERVER = "https://mlflow.example.com"
DECLARED = parse_store_endpoints(
    "https://minio.example.com:9000,http://127.0.0.1:9000,https://files.example.com/mlflow,http://plain.example.com:5001,"
    "https://acct.dfs.internal.example,hdfs://namenode:8020"
)
R2 = "0123456789abcdef.r2.cloudflarestorage.com"


@pytest.mark.parametrize(
    "uri",
    [
        "mlflow-artifacts:/1/m",
        "mlflow-artifacts://mlflow.example.com/1/m",
        "mlflow-artifacts://MLflow.example.com:443/1/m",
        f"{SERVER}/api/2.0/mlflow-artifacts/artifacts/1/m",
        "HTTPS://mlflow.example.com:443/api/2.0/mlflow-artifacts/artifacts/1/m",
        "s3://bucket/models/my model",
        "s3://Old_Bucket.with.dots/x",
        "gs://bucket/models/é",
        f"r2://bucket@{R2}/m",
        "r2://bucket@0123456789abcdef.eu.r2.cloudflarestorage.com/m",
        "wasbs://c@acct.blob.core.windows.net/m",
        "wasb://$root@acct.blob.core.chinacloudapi.cn/m",
        "abfss://fs@acct.dfs.core.usgovcloudapi.net/m",
        "abfss://fs@acct.z12.dfs.storage.azure.net/m",
        "abfss://fs@acct.dfs.internal.example/m",
        "abfss://fs@acct.dfs.internal.example:443/m",
        "hdfs://namenode:8020/m",
    ],
)
def test_location_on_the_tracking_server_or_in_a_known_store_is_readable(uri: str) -> None:
    assert LocationPolicy(SERVER, DECLARED).require_readable(uri) is None


@pytest.mark.parametrize(
    "uri, url",
    [
        ("mlflow-artifacts://files.example.com/1/m", "https://files.example.com/mlflow{}/1/m"),
        ("mlflow-artifacts://plain.example.com:5001/1/m", "http://plain.example.com:5001{}/1/m"),
        ("http://plain.example.com:5001{}/1/m", "http://plain.example.com:5001{}/1/m"),
    ],
)
@pytest.mark.parametrize("tracking_uri", [SERVER, "sqlite:///mlflow.db", "databricks"])
def test_declared_artifact_server_is_read_at_its_own_url(tracking_uri: str, uri: str, url: str) -> None:
    path = "/api/2.0/mlflow-artifacts/artifacts"
    endpoint = LocationPolicy(tracking_uri, DECLARED).require_readable(uri.format(path))
    assert endpoint is not None
    assert server_uri(uri.format(path), endpoint) == url.format(path)


HOSTILE = [
    # A store of the attacker, with a name that begins, ends or looks like one of the cloud's.
    "abfss://fs@acct.attacker.example/m",
    "abfss://fs@acct.dfs.core.windows.net.evil.example/m",
    "abfss://fs@acct.dfs.core.windows.net:443/m",
    "abfss://fs@acct.dfs.core.windows.net:8443/m",
    "abfss://fs@acct.dfs.core.windows.net./m",
    "abfss://fs@ACCT.dfs.core.windows.net/m",
    "abfss://fs@acct.evil.dfs.core.windows.net/m",
    "abfss://fs@evil.example/acct.dfs.core.windows.net",
    "abfss://fs@evil.example#.dfs.core.windows.net/m",
    "abfss://fs@evil.example?.dfs.core.windows.net/m",
    "abfss://fs@evil.example\\.dfs.core.windows.net/m",
    "abfss://fs@evil.example%2f.dfs.core.windows.net/m",
    "abfss://fs@a.b@acct.dfs.core.windows.net/m",
    "abfss://fs@acct.dfs.core.windows.net@evil.example/m",
    "abfss://fs@acct.dfs.core.windows。net/m",
    "abfss://fs@acct.blob.core.windows.net/m",
    "abfss://acct.dfs.core.windows.net/m",
    "abfss:/m",
    "wasbs://c@localhost:1\\.blob.core.windows.net/m",
    "wasbs://c@localhost:1/.blob.core.windows.net/m",
    "wasbs://c@127.0.0.1:1#.blob.core.windows.net/m",
    "wasbs://c@acct.blob.core.windows.net.evil.example/m",
    "wasbs://c@aa.blob.core.windows.net/m",
    "r2://bucket@evil.example/m",
    f"r2://bucket@{R2}.evil.example/m",
    f"r2://bucket@evil.example@{R2}/m",
    f"r2://bucket@{R2}:8443/m",
    f"r2://bucket@evil.{R2}/m",
    f"r2://{R2}/m",
    "s3://bucket@evil.example/m",
    "s3://evil.example:8443/m",
    "s3://evil.example\\/m",
    "s3:///m",
    "gs://evil@bucket/m",
    "gs://b%2f/m",
    "hdfs://namenode:9000/m",
    "hdfs:///m",
    "viewfs://namenode:8020/m",
    # The tracking server's host with another scheme or port, or hidden in another host.
    "http://mlflow.example.com/api/2.0/mlflow-artifacts/artifacts/1/m",
    "http://mlflow.example.com:443/api/2.0/mlflow-artifacts/artifacts/1/m",
    "https://mlflow.example.com:8443/api/2.0/mlflow-artifacts/artifacts/1/m",
    "https://mlflow.example.com./api/2.0/mlflow-artifacts/artifacts/1/m",
    "https://mlflow.example.com.evil.example/api/2.0/mlflow-artifacts/artifacts/1/m",
    "https://mlflow.example.com@evil.example/api/2.0/mlflow-artifacts/artifacts/1/m",
    "https://evil.example@mlflow.example.com/api/2.0/mlflow-artifacts/artifacts/1/m",
    "https://evil.example\\@mlflow.example.com/api/2.0/mlflow-artifacts/artifacts/1/m",
    "https://[::1]/api/2.0/mlflow-artifacts/artifacts/1/m",
    "https://evil.example\t.mlflow.example.com/m",
    "https:evil.example/m",
    "https:///evil.example/m",
    "mlflow-artifacts://mlflow.example.com:80/1/m",
    "mlflow-artifacts://5000/1/m",
    "mlflow-artifacts://evil.example/1/m",
    "mlflow-artifacts://a:b@mlflow.example.com/1/m",
    "mlflow-artifacts://evil.example\\@mlflow.example.com/1/m",
    # URL parsers remove the control character, which makes a host of a path.
    "mlflow-artifacts:\t//evil.example/1/m",
    "mlflow-artifacts:/\n/evil.example/1/m",
    "s3://bucket/m\r",
    "\thttps://mlflow.example.com/m",
    " https://mlflow.example.com/m",
    "ftp://files.example.com/m",
    "file:///etc",
    "models:/m-1",
    "m",
    "",
]


@pytest.mark.parametrize("uri", HOSTILE)
def test_location_outside_the_tracking_server_and_known_stores_is_rejected(uri: str) -> None:
    with pytest.raises(ModelError) as raised:
        LocationPolicy(SERVER, DECLARED).require_readable(uri)
    assert raised.value.remedy


def test_store_is_readable_only_if_exactly_its_origin_is_declared() -> None:
    uri = "abfss://fs@acct.dfs.internal.example:8443/m"
    with pytest.raises(ModelError) as raised:
        LocationPolicy(SERVER, DECLARED).require_readable(uri)
    assert "MODEL_GATE_STORE_ENDPOINTS=https://acct.dfs.internal.example:8443" in raised.value.remedy
    declared = parse_store_endpoints("https://acct.dfs.internal.example:8443")
    assert LocationPolicy(SERVER, declared).require_readable(uri) is None


@pytest.mark.parametrize("tracking_uri", ["sqlite:///mlflow.db", "databricks"])
def test_proxied_artifacts_are_rejected_without_an_http_tracking_server(tracking_uri: str) -> None:
    with pytest.raises(ModelError, match="only a running tracking server can read"):
        LocationPolicy(tracking_uri).require_readable("mlflow-artifacts:/1/m")
    with pytest.raises(ModelError, match="not declared"):
        LocationPolicy(tracking_uri).require_readable("https://mlflow.example.com/m")


@pytest.mark.parametrize(
    "uri, vendor",
    [
        ("arn:aws:sagemaker:us-east-1:123456789012:mlflow-tracking-server/t", "Amazon SageMaker"),
        ("azureml://subscriptions/1/resourceGroups/2", "Azure Machine Learning"),
    ],
)
def test_error_for_a_location_that_needs_a_vendor_plugin_names_the_vendor(uri: str, vendor: str) -> None:
    with pytest.raises(ModelError, match=f"needs the MLflow plugin of {vendor}"):
        LocationPolicy(SERVER).require_readable(uri)


@pytest.mark.parametrize(
    "url, must_be_public",
    [
        ("https://bucket.s3.eu-west-1.amazonaws.com/k?X-Amz-Signature=1", False),
        ("https://my.bucket.s3.amazonaws.com/k", False),
        ("https://s3.dualstack.us-east-1.amazonaws.com/b/k", False),
        ("https://s3.cn-north-1.amazonaws.com.cn/b/k", False),
        ("https://acct.blob.core.windows.net/c/k?sig=1", False),
        ("https://acct.dfs.core.windows.net/c/k?sig=1", False),
        ("https://storage.googleapis.com/b/k", False),
        (f"https://bucket.{R2}/k", False),
        ("https://minio.example.com:9000/b/k", False),
        ("http://127.0.0.1:9000/b/k", False),
        ("https://store.example.com/k", True),
        ("https://s3.amazonaws.com.evil.example/k", True),
        ("https://acct.blob.core.windows.net.evil.example/k", True),
        ("https://8.8.8.8/k", True),
    ],
)
def test_presigned_url_of_a_store_is_allowed(url: str, must_be_public: bool) -> None:
    headers = ["Range", "x-amz-date", "X-MS-Blob-Type", "x-goog-hash", "Content-Type", "User-Agent"]
    assert require_presigned(url, headers, DECLARED) is must_be_public


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/iam",
        "https://169.254.169.254/latest/meta-data/iam",
        "http://store.example.com/k",
        "http://bucket.s3.amazonaws.com/k",
        "https://127.0.0.1/k",
        "https://127.1/k",
        "https://2130706433/k",
        "https://0x7f.0.0.1/k",
        "https://0x7f000001/k",
        "https://10.0.0.1/k",
        "https://[::1]/k",
        "https://[::ffff:169.254.169.254]/k",
        "https://[64:ff9b::7f00:1]/k",
        "https://localhost/k",
        "https://a.localhost/k",
        "https://metadata.google.internal/k",
        "https://metadata/k",
        "http://minio.example.com:9000/b/k",
        "http://127.0.0.1:9001/b/k",
        "https://ann:pw@store.example.com/k",
        "https://store.example.com@127.0.0.1/k",
        "https://127.0.0.1\\.s3.amazonaws.com/k",
        "https://127.0.0.1:1#.s3.amazonaws.com/k",
        "https://store.example.com./k",
        "ftp://store.example.com/k",
        "file:///etc/passwd",
        "//store.example.com/k",
    ],
)
def test_unsafe_presigned_url_is_rejected_without_showing_its_query(url: str) -> None:
    with pytest.raises(ModelError) as raised:
        require_presigned(f"{url}?secret-part", [], DECLARED)
    assert "secret-part" not in raised.value.message + raised.value.remedy


@pytest.mark.parametrize(
    "name",
    [
        "Metadata-Flavor",
        "X-Google-Metadata-Request",
        "Metadata",
        "X-aws-ec2-metadata-token",
        "Authorization",
        "Cookie",
        "Host",
        "Proxy-Authorization",
        "X-Forwarded-Host",
        "x-amz-",
        "x_amz_date",
        "X-Vault-Token",
    ],
)
@pytest.mark.parametrize("url", ["https://bucket.s3.amazonaws.com/k", "http://127.0.0.1:9000/k"])
def test_presigned_url_with_a_header_that_no_store_needs_is_rejected(url: str, name: str) -> None:
    with pytest.raises(ModelError, match="which no store needs") as raised:
        require_presigned(url, ["Range", name], DECLARED)
    assert name in raised.value.message


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "::",
        "fe80::1%eth0",
        "fd00::1",
        "::ffff:10.0.0.1",
        "2002:7f00:1::",
        "64:ff9b::a00:1",
        "ff0e::1",
    ],
)
def test_address_of_this_machine_or_its_network_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_address_on_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "token_url",
    [
        "https://dbc-1.cloud.databricks.com/oidc/v1/token",
        "https://accounts.cloud.databricks.com/oidc/accounts/1/v1/token",
    ],
)
def test_databricks_login_may_be_sent_to_the_workspace_and_its_account_server(token_url: str) -> None:
    require_login_server("https://dbc-1.cloud.databricks.com", token_url)


@pytest.mark.parametrize(
    "token_url",
    [
        "http://dbc-1.cloud.databricks.com/oidc/v1/token",
        "https://dbc-2.cloud.databricks.com/oidc/v1/token",
        "https://accounts.cloud.databricks.com.evil.example/token",
        "https://accounts.cloud.databricks.com:8443/token",
        "http://accounts.cloud.databricks.com/token",
        "https://evil.example/token",
        "None",
    ],
)
def test_databricks_login_is_not_sent_to_another_server(token_url: str) -> None:
    with pytest.raises(AccessError, match="sends logins to"):
        require_login_server("https://dbc-1.cloud.databricks.com", token_url)

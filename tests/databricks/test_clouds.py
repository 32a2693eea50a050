"""Logins with Microsoft Entra, and downloads from Azure and Google stores with credentials from Unity Catalog."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import pytest

from model_gate.errors import UnreachableError
from model_gate.sources.tracking_server import TrackingServerClient
from tests.databricks.clouds import Bucket, DataLake, Entra
from tests.databricks.emulator.messages import Response
from tests.databricks.https_proxy import HttpsProxy, Site, forward_to
from tests.databricks.workspaces import WINE, Blueprint, EmulatedWorkspace, Result, Workspaces, changed, read_files

pytestmark = pytest.mark.xdist_group("databricks_clouds")  # the workspaces start once

TENANT, CLIENT, OTHER_CLIENT = (f"{digit * 8}-0000-4000-8000-{digit * 12}" for digit in "123")
SECRET, OTHER_SECRET, KEY = "entra-secret-one-0123", "entra-secret-two-0123", "entra-key-0123456789"
DATABRICKS = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d"
ENTRA, CHINA = "login.microsoftonline.com", "login.chinacloudapi.cn"
ONE, TWO = "adb-1.2.azuredatabricks.net", "adb-3.4.databricks.azure.cn"
LAKE, GOOGLE = "wine.dfs.core.windows.net", "storage.googleapis.com"
# A store that redirects every request to another host.
REDIRECTED, ELSEWHERE = "redirected.dfs.core.windows.net", "https://elsewhere.example"
SIGNATURE, GOOGLE_TOKEN = "sas+signature/0123=", "ya29.vended-token-0123456789"
BLANK = changed(data__blank_dot_txt=b"\n\n", data__ok_dot_txt=b"200 OK", data__nothing=b"")
STORED = {f"models/1/{path}": content for path, content in BLANK.items()}


def fill(blueprint: Blueprint, client: str, files: dict[str, bytes]) -> Blueprint:
    """Add a model to a workspace that accepts one Entra service principal and gives out credentials for two stores."""
    blueprint.data |= {"tokens": [], "entra_key": KEY, "service_principals": {client: ""}}
    source = blueprint.run("0a" * 16, files)
    blueprint.version("registry", "wine", "1", files, source=source, run_id="0a" * 16)
    location = "abfss://ml@wine.dfs.core.windows.net/models/1"
    blueprint.version("catalog", "ml.prod.azure", "1", {}, source=source, storage="azure", storage_location=location)
    location = f"abfss://ml@{REDIRECTED}/models/1"
    blueprint.version("catalog", "ml.prod.away", "1", {}, source=source, storage="azure", storage_location=location)
    location = "gs://ml-prod/models/1"
    blueprint.version("catalog", "ml.prod.gcp", "1", {}, source=source, storage="gcp", storage_location=location)
    sas = urlencode({"sv": "2024-11-04", "sr": "d", "sig": SIGNATURE})
    blueprint.settings(cloud="AZURE", uc_storage="azure", azure=sas, gcp=GOOGLE_TOKEN)
    return blueprint


@pytest.fixture(scope="module")
def workspaces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspaces]:
    directory = tmp_path_factory.mktemp("clouds")
    with (
        EmulatedWorkspace(fill(Blueprint(directory / "one", "none"), CLIENT, WINE)) as one,
        EmulatedWorkspace(fill(Blueprint(directory / "two", "none"), OTHER_CLIENT, WINE)) as two,
        EmulatedWorkspace(Blueprint(directory / "trap", "dapi-trap-0123456789")) as trap,
    ):
        result = Workspaces(directory, {"one": one, "two": two}, trap)
        login = {"host": f"https://{ONE}", "azure_tenant_id": TENANT}
        other = {"host": f"https://{TWO}", "azure_tenant_id": TENANT}
        result.write_profiles(
            {
                "one": {**login, "azure_client_id": CLIENT, "azure_client_secret": SECRET},
                "two": {**other, "azure_client_id": OTHER_CLIENT, "azure_client_secret": OTHER_SECRET},
                "wrong": {**login, "azure_client_id": CLIENT, "azure_client_secret": "not-the-secret"},
            }
        )
        for host, secret in ((ENTRA, SECRET), (CHINA, OTHER_SECRET), (LAKE, SIGNATURE), (GOOGLE, GOOGLE_TOKEN)):
            result.declare(f"https://{host}", secret)
        result.declare(f"https://{ENTRA}", "not-the-secret")
        result.declare(f"https://{REDIRECTED}", SIGNATURE)
        # The stores of presigned URLs.
        result.declare(one.url)
        result.declare(two.url)
        yield result
        assert not trap.requests


@pytest.fixture(scope="module")
def proxy(workspaces: Workspaces) -> Iterator[HttpsProxy]:
    sites: dict[str, Site] = {
        ONE: forward_to(workspaces["one"].url),
        TWO: forward_to(workspaces["two"].url),
        ENTRA: Entra(TENANT, {CLIENT: SECRET}, KEY),
        CHINA: Entra(TENANT, {OTHER_CLIENT: OTHER_SECRET}, KEY),
        LAKE: DataLake("ml", STORED, SIGNATURE),
        REDIRECTED: lambda _: Response(307, b"", {"Location": f"{ELSEWHERE}/x"}),
        GOOGLE: Bucket("ml-prod", STORED, GOOGLE_TOKEN),
    }
    with HttpsProxy(workspaces.directory, sites) as started:
        yield started
        assert not started.refused_hosts, "an unexpected host was contacted"


@pytest.fixture
def environment(workspaces: Workspaces, proxy: HttpsProxy) -> dict[str, str]:
    proxy.requests.clear()
    return {**workspaces.environment, **proxy.environment}


def require_no_secret(result: Result) -> None:
    text = str(result.report) + result.output
    for secret in (SECRET, OTHER_SECRET, "eyJ-access-", "not-the-secret", SIGNATURE, GOOGLE_TOKEN):
        assert secret not in text


def test_entra_login_request_goes_to_the_cloud_of_its_workspace(
    workspaces: Workspaces, proxy: HttpsProxy, environment: dict[str, str]
) -> None:
    version = {"model": "wine", "version_or_stage": "1"}
    result = workspaces.compare(
        {"host": "databricks://one", **version}, {"host": "databricks://two", **version}, environment=environment
    )
    assert result.report["status"] == "equal", result.output
    for host, client, secret in ((ENTRA, CLIENT, SECRET), (CHINA, OTHER_CLIENT, OTHER_SECRET)):
        (login,) = proxy.requests_to(host)
        form = dict(parse_qsl(login.body.decode()))
        assert login.path == f"/{TENANT}/oauth2/token"
        assert (form["client_id"], form["client_secret"], form["resource"]) == (client, secret, DATABRICKS)
        assert "authorization" not in login.headers
    for host, name in ((ONE, "one"), (TWO, "two")):
        tokens = {each.headers["authorization"] for each in proxy.requests_to(host) if "authorization" in each.headers}
        (token,) = tokens
        assert token.startswith("Bearer eyJ-access-entra-")
        assert {each["authorization"] for each in result.requests[name]} == {token, ""}
    require_no_secret(result)


def test_error_for_a_wrong_entra_secret_names_the_profile_fields(
    workspaces: Workspaces, proxy: HttpsProxy, environment: dict[str, str]
) -> None:
    result = workspaces.check("databricks://wrong", "wine", "1", environment=environment)
    assert result.report["error"]["type"] == "AccessError"
    assert "by azure-client-secret failed: " in result.error
    assert "AADSTS7000215" in result.error
    assert "Check azure_client_id, azure_client_secret and azure_tenant_id" in result.error
    assert not [each for each in proxy.requests_to(ONE) if "authorization" in each.headers]
    require_no_secret(result)


@pytest.fixture(scope="module")
def catalog(workspaces: Workspaces, proxy: HttpsProxy) -> Iterator[TrackingServerClient]:
    with workspaces.client(
        "databricks-uc://one", "ml.prod.azure", {**workspaces.environment, **proxy.environment}
    ) as started:
        yield started


@pytest.mark.parametrize("name, hosts", [("azure", (LAKE,)), ("gcp", (GOOGLE,))])
def test_catalog_model_is_downloaded_with_temporary_store_credentials(
    catalog: TrackingServerClient,
    proxy: HttpsProxy,
    environment: dict[str, str],
    tmp_path: Path,
    name: str,
    hosts: list[str],
) -> None:
    assert read_files(catalog, f"models:/ml.prod.{name}/1", tmp_path / "model") == BLANK
    assert {each.host for each in proxy.requests} <= {ONE, ENTRA, *hosts}
    for host in hosts:
        assert proxy.requests_to(host)
        for request in proxy.requests_to(host):
            # The store never receives the workspace's token.
            assert "eyJ-access-" not in str(request)
    assert not [each for each in proxy.requests if each.host in hosts and each.status in {401, 403}]
    vended = [each for each in proxy.requests_to(ONE) if each.path.endswith("generate-temporary-credentials")]
    assert len(vended) == 1


def test_redirect_of_an_azure_store_to_another_origin_is_not_followed(
    catalog: TrackingServerClient, proxy: HttpsProxy
) -> None:
    with pytest.raises(UnreachableError, match=f"redirects a request to {ELSEWHERE}"):
        catalog.list("models:/ml.prod.away/1", lambda _: None)
    assert proxy.requests_to(REDIRECTED)
    assert proxy.refused_hosts == []

"""Hosts whose names are built into clients: Microsoft Entra's, and those of the stores that a catalog lends keys of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import pytest

from model_gate.sources.tracking_server import TrackingServerClient
from tests.databricks.clouds import Bucket, DataLake, Entra
from tests.databricks.internet import Internet, Site, forward
from tests.databricks.workspaces import WINE, Bench, Blueprint, Emulated, Result, changed, read

TENANT, CLIENT, OTHER_CLIENT = (f"{digit * 8}-0000-4000-8000-{digit * 12}" for digit in "123")
SECRET, OTHER_SECRET, KEY = "entra-secret-one-0123", "entra-secret-two-0123", "entra-key-0123456789"
DATABRICKS = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d"
ENTRA, CHINA = "login.microsoftonline.com", "login.chinacloudapi.cn"
ONE, TWO = "adb-1.2.azuredatabricks.net", "adb-3.4.databricks.azure.cn"
LAKE, LAKE_BLOBS, GOOGLE = "wine.dfs.core.windows.net", "wine.blob.core.windows.net", "storage.googleapis.com"
SIGNATURE, GOOGLE_TOKEN = "sas+signature/0123=", "ya29.lent-token-0123456789"
BLANK = changed(data__blank_dot_txt=b"\n\n", data__ok_dot_txt=b"200 OK", data__nothing=b"")
STORED = {f"models/1/{path}": content for path, content in BLANK.items()}


def azure(blueprint: Blueprint, client: str, files: dict[str, bytes]) -> Blueprint:
    """A workspace that takes nobody but one service principal of Microsoft Entra, and lends keys of two stores."""
    blueprint.data |= {"tokens": [], "entra_key": KEY, "service_principals": {client: ""}}
    source = blueprint.run("0a" * 16, files)
    blueprint.version("registry", "wine", "1", files, source=source, run_id="0a" * 16)
    location = "abfss://ml@wine.dfs.core.windows.net/models/1"
    blueprint.version("catalog", "ml.prod.azure", "1", {}, source=source, storage="azure", storage_location=location)
    location = "gs://ml-prod/models/1"
    blueprint.version("catalog", "ml.prod.gcp", "1", {}, source=source, storage="gcp", storage_location=location)
    sas = urlencode({"sv": "2024-11-04", "sr": "d", "sig": SIGNATURE})
    blueprint.settings(cloud="AZURE", uc_storage="azure", azure=sas, gcp=GOOGLE_TOKEN)
    return blueprint


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    directory = tmp_path_factory.mktemp("clouds")
    with (
        Emulated(azure(Blueprint(directory / "one", "none"), CLIENT, WINE)) as one,
        Emulated(azure(Blueprint(directory / "two", "none"), OTHER_CLIENT, WINE)) as two,
        Emulated(Blueprint(directory / "trap", "dapi-trap-0123456789")) as wrong,
    ):
        bench = Bench(directory, {"one": one, "two": two}, wrong)
        login = {"host": f"https://{ONE}", "azure_tenant_id": TENANT}
        other = {"host": f"https://{TWO}", "azure_tenant_id": TENANT}
        bench.write_profiles(
            {
                "one": {**login, "azure_client_id": CLIENT, "azure_client_secret": SECRET},
                "two": {**other, "azure_client_id": OTHER_CLIENT, "azure_client_secret": OTHER_SECRET},
                "wrong": {**login, "azure_client_id": CLIENT, "azure_client_secret": "not-the-secret"},
            }
        )
        yield bench
        assert not wrong.requests


@pytest.fixture(scope="module")
def internet(bench: Bench) -> Iterator[Internet]:
    lake = DataLake("ml", STORED, SIGNATURE)
    sites: dict[str, Site] = {
        ONE: forward(bench.workspaces["one"].url),
        TWO: forward(bench.workspaces["two"].url),
        ENTRA: Entra(TENANT, {CLIENT: SECRET}, KEY),
        CHINA: Entra(TENANT, {OTHER_CLIENT: OTHER_SECRET}, KEY),
        LAKE: lake,
        LAKE_BLOBS: lake,
        GOOGLE: Bucket("ml-prod", STORED, GOOGLE_TOKEN),
    }
    with Internet(bench.directory, sites) as found:
        yield found
        assert not found.refused, "a host was asked that nobody named"


@pytest.fixture
def environment(bench: Bench, internet: Internet) -> dict[str, str]:
    internet.asked.clear()
    return {**bench.environment, **internet.environment}


def require_quiet(result: Result) -> None:
    told = str(result.report) + result.output
    for secret in (SECRET, OTHER_SECRET, "eyJ-access-", "not-the-secret", SIGNATURE, GOOGLE_TOKEN):
        assert secret not in told


def test_each_service_principal_of_entra_logs_in_at_the_cloud_of_its_workspace(
    bench: Bench, internet: Internet, environment: dict[str, str]
) -> None:
    asked = {"model": "wine", "version_or_stage": "1"}
    result = bench.compare(
        {"host": "databricks://one", **asked}, {"host": "databricks://two", **asked}, environment=environment
    )
    assert result.report["status"] == "equal", result.output
    for host, client, secret in ((ENTRA, CLIENT, SECRET), (CHINA, OTHER_CLIENT, OTHER_SECRET)):
        (login,) = internet.of(host)
        form = dict(parse_qsl(login.body.decode()))
        assert login.path == f"/{TENANT}/oauth2/token"
        assert (form["client_id"], form["client_secret"], form["resource"]) == (client, secret, DATABRICKS)
        assert "authorization" not in login.headers
    for host, name in ((ONE, "one"), (TWO, "two")):
        tokens = {each.headers["authorization"] for each in internet.of(host) if "authorization" in each.headers}
        (token,) = tokens
        assert token.startswith("Bearer eyJ-access-entra-")
        assert {each["authorization"] for each in result.asked[name]} == {token, ""}
    require_quiet(result)


def test_a_wrong_secret_of_entra_is_an_error_that_names_the_fields(
    bench: Bench, internet: Internet, environment: dict[str, str]
) -> None:
    result = bench.check("databricks://wrong", "wine", "1", environment=environment)
    assert result.report["error"]["type"] == "AccessError"
    assert "by azure-client-secret failed: " in result.error
    assert "AADSTS7000215" in result.error
    assert "Check azure_client_id, azure_client_secret and azure_tenant_id" in result.error
    assert not [each for each in internet.of(ONE) if "authorization" in each.headers]
    require_quiet(result)


@pytest.fixture(scope="module")
def catalog(bench: Bench, internet: Internet) -> Iterator[TrackingServerClient]:
    with bench.side("databricks-uc://one", "ml.prod.azure", {**bench.environment, **internet.environment}) as started:
        yield started


@pytest.mark.parametrize("name, hosts", [("azure", (LAKE, LAKE_BLOBS)), ("gcp", (GOOGLE,))])
def test_a_catalog_model_is_read_from_the_store_with_what_the_catalog_lends(
    catalog: TrackingServerClient,
    internet: Internet,
    environment: dict[str, str],
    tmp_path: Path,
    name: str,
    hosts: list[str],
) -> None:
    assert read(catalog, f"models:/ml.prod.{name}/1", tmp_path / "model") == BLANK
    assert {each.host for each in internet.asked} <= {ONE, ENTRA, *hosts}
    for host in hosts:
        assert internet.of(host)
        for request in internet.of(host):
            # The workspace's own token stays with the workspace.
            assert "eyJ-access-" not in str(request)
    assert not [each for each in internet.asked if each.host in hosts and each.status in {401, 403}]
    lent = [each for each in internet.of(ONE) if each.path.endswith("generate-temporary-credentials")]
    assert len(lent) == 1

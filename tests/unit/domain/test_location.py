"""Keys of locations, and readers of tracking servers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.utils.file_utils import local_file_uri_to_path

from model_gate.access.hosts import parse_host
from model_gate.domain.host import Host, HostKind, RegistryKind, WorkspaceLogin
from model_gate.domain.location import Location, other_machine, path_in_uri

S3 = Location("s3://bucket/model", "server 1")
LOCAL = Location("file:./model", "server 1", local_path=Path("/srv/model"))


@pytest.mark.parametrize(
    "left, right",
    [
        (S3, Location("s3://bucket/model", "server 2")),
        (S3, Location("s3://bucket/model//", "server 1")),
        (Location("models:/m/1", "server 1"), Location("models:/m/1/", "server 1")),
        (S3, Location("s3://bucket/Model", "server 1")),
        (Location("models:/m/1", "server 1", "workspace"), Location("models:/m/1", "server 1", "unity-catalog")),
        (LOCAL, replace(LOCAL, reader="server 2")),
        (LOCAL, replace(LOCAL, reader="")),
        (LOCAL, replace(LOCAL, local_path=Path("/srv/other"))),
        (LOCAL, Location("/srv/model", "server 1")),
    ],
)
def test_locations_on_different_servers_or_with_different_uris_have_different_keys(
    left: Location, right: Location
) -> None:
    assert left.key != right.key


@pytest.mark.parametrize(
    "location, place",
    [
        (Location("mlflow-artifacts:/1/m", "key", "http://host:5000"), "mlflow-artifacts:/1/m on http://host:5000"),
        (Location("mlflow-artifacts:///1/m", "key", "http://host:5000"), "mlflow-artifacts:///1/m on http://host:5000"),
        (Location("mlflow-artifacts://other/1/m", "key", "http://host:5000"), "mlflow-artifacts://other/1/m"),
        (Location("http://host:5000/api/m", "key", "http://host:5000"), "http://host:5000/api/m"),
        (S3, "s3://bucket/model"),
        (LOCAL, "file:./model"),
    ],
)
def test_place_of_a_model_has_its_server_once(location: Location, place: str) -> None:
    assert location.place == place


@pytest.mark.parametrize("left, right", [(S3, replace(S3)), (LOCAL, replace(LOCAL, uri="/srv/model"))])
def test_equal_locations_have_equal_keys(left: Location, right: Location) -> None:
    assert left.key == right.key


WORKSPACE = Host(
    HostKind.DATABRICKS, "databricks://test", "databricks", workspace=WorkspaceLogin("https://x", (("token", "a"),))
)


def with_login(host: Host, registry: RegistryKind | None = None, **fields: str) -> Host:
    assert host.workspace is not None
    login = tuple(fields.items()) or host.workspace.fields
    return replace(host, workspace=replace(host.workspace, registry=registry, fields=login))


@pytest.mark.parametrize(
    "left, right",
    [
        (parse_host("http://ann:a@example.com"), parse_host("http://bob:a@example.com")),
        (parse_host("http://ann:a@example.com"), parse_host("http://ann:b@example.com")),
        (parse_host("http://ann:a@example.com"), parse_host("http://example.com")),
        (parse_host("http://example.com"), parse_host("https://example.com")),
        (parse_host("http://example.com/a"), parse_host("http://example.com/b")),
        (parse_host("postgresql://ann:a@h/db"), parse_host("postgresql://bob:a@h/db")),
        (WORKSPACE, with_login(WORKSPACE, token="b")),
    ],
)
def test_hosts_with_different_addresses_or_logins_have_different_reader_identities(left: Host, right: Host) -> None:
    assert left.reader != right.reader


@pytest.mark.parametrize(
    "left, right",
    [
        (parse_host("http://ann:a@example.com"), parse_host("http://ann:a@EXAMPLE.com:80/")),
        (
            Host(HostKind.DATABASE, "sqlite:////srv/a.db", "sqlite:///a.db"),
            Host(HostKind.DATABASE, "sqlite:////srv/a.db", "sqlite:////srv/a.db"),
        ),
        (WORKSPACE, with_login(WORKSPACE, RegistryKind.UNITY_CATALOG)),
        (WORKSPACE, replace(with_login(WORKSPACE, RegistryKind.WORKSPACE), address="databricks-uc://test")),
    ],
)
def test_two_spellings_of_a_host_with_the_same_login_have_the_same_reader_identity(left: Host, right: Host) -> None:
    assert left.reader == right.reader


@pytest.mark.parametrize(
    "uri, machine",
    [
        ("file://nas/model", "nas"),
        ("file://nas:80", "nas:80"),
        ("file://[x/model", "[x"),
        ("file:///model", ""),
        ("file:/model", ""),
        ("file:model", ""),
        ("file://localhost/model", ""),
        ("file://./model", ""),
        ("/model", ""),
        ("//nas/model", ""),
        ("s3://bucket/model", ""),
    ],
)
def test_machine_name_is_read_from_a_file_uri_of_a_remote_machine(uri: str, machine: str) -> None:
    assert other_machine(uri) == machine


@pytest.mark.parametrize(
    "uri",
    ["/srv/model", "srv/a%20b", "./a", "file:///srv/a%20b", "file:/srv/a", "file:a?b", "file:///a#b", "file://./a"],
)
def test_local_path_of_a_uri_equals_the_path_that_mlflow_reads(uri: str) -> None:
    assert path_in_uri(uri) == local_file_uri_to_path(uri)  # type: ignore[no-untyped-call]  # MLflow has no types here

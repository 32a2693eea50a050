"""Options and arguments: what is missing or contradictory is told, and what is left open has its default."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_gate.domain.host import RegistryKind
from model_gate.domain.location import is_local_uri
from model_gate.domain.verdict import Require
from model_gate.errors import ConfigError, InputError
from model_gate.inputs.options import VersionOptions, check_request, compare_request, diff_request
from model_gate.sources.directory import local_path

HOST = "http://example.com"
SERVER = "{host: http://example.com, model: Wine, version_or_stage: 1}"
GOOD = f"tracking_server_1: {SERVER}\ntracking_server_2: {SERVER}\n"


@pytest.fixture(autouse=True)
def no_default_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def config(tmp_path: Path, more: str = "") -> Path:
    file = tmp_path / "compare.yaml"
    file.write_text(GOOD + more)
    return file


@pytest.mark.parametrize(
    "model, version, option", [("", "1", "--model"), (" ", "1", "--model"), ("M", "", "--version-or-stage")]
)
def test_a_missing_option_is_named(model: str, version: str, option: str) -> None:
    with pytest.raises(InputError, match=f"{option} is missing") as caught:
        check_request(VersionOptions(model, version, HOST), None, None)
    assert caught.value.remedy


def test_without_a_host_the_environment_names_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="--host is missing, and MLFLOW_TRACKING_URI is not set"):
        check_request(VersionOptions("M", "1"), None, None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ann:pw@example.org/")
    host = check_request(VersionOptions("M", "1"), None, None).version.host
    assert (host.address, host.username) == ("http://example.org", "ann")
    assert check_request(VersionOptions("M", "1", HOST), None, None).version.host.address == HOST


def test_a_bad_default_server_is_named_as_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "ftp://example.org")
    with pytest.raises(InputError, match=r"^MLFLOW_TRACKING_URI 'ftp://example\.org' is not the URI"):
        check_request(VersionOptions("M", "1"), None, None)


def test_blanks_around_host_and_version_are_removed() -> None:
    request = check_request(VersionOptions("M", " Staging ", f" {HOST} ", None, "./model.pkl"), None, None).version
    assert (request.model, request.version_or_stage, request.native_model) == ("M", "Staging", "model.pkl")
    assert request.host.address == HOST


@pytest.mark.parametrize("name", ["M ", " M", "M\t", "M\n", "\u00a0M"])
def test_blanks_in_names_are_kept(name: str) -> None:
    request = check_request(VersionOptions(name, "1", HOST, None, f"data/{name}"), None, None).version
    assert (request.model, request.native_model) == (name, f"data/{name}")


def test_a_native_model_that_leaves_the_model_is_refused() -> None:
    with pytest.raises(InputError, match="is not a path inside the MLflow model"):
        check_request(VersionOptions("M", "1", HOST, None, "../x"), None, None)


@pytest.mark.parametrize(
    "model, asked, kind",
    [
        ("wine", None, RegistryKind.WORKSPACE),
        ("ml.prod.wine", None, RegistryKind.UNITY_CATALOG),
        ("ml.prod.wine", RegistryKind.WORKSPACE, RegistryKind.WORKSPACE),
        ("ml.prod.wine", RegistryKind.UNITY_CATALOG, RegistryKind.UNITY_CATALOG),
    ],
)
def test_a_check_takes_the_registry_that_is_asked_for_and_else_the_one_that_the_name_fits(
    monkeypatch: pytest.MonkeyPatch, model: str, asked: RegistryKind | None, kind: RegistryKind
) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", "https://w.example.com")
    monkeypatch.setenv("DATABRICKS_TOKEN", "dapi")
    workspace = check_request(VersionOptions(model, "1", "databricks", asked), None, None).version.host.workspace
    assert workspace is not None
    assert workspace.registry is kind


@pytest.mark.parametrize(
    "uri, kind",
    [
        ("models:/m-0a1b", RegistryKind.WORKSPACE),
        ("models:/m-wine.prod.model/1", RegistryKind.UNITY_CATALOG),
        ("models:/m-wine.prod.model@champion", RegistryKind.UNITY_CATALOG),
    ],
)
def test_registered_model_whose_name_looks_like_a_logged_model_selects_the_registry(
    monkeypatch: pytest.MonkeyPatch, uri: str, kind: RegistryKind
) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", "https://w.example.com")
    monkeypatch.setenv("DATABRICKS_TOKEN", "dapi")
    host = diff_request(uri, "directory", "databricks", "", None, None).left_host
    assert host is not None
    assert host.workspace is not None
    assert host.workspace.registry is kind


def test_a_registry_is_for_databricks_only() -> None:
    with pytest.raises(InputError, match="only a Databricks host") as caught:
        check_request(VersionOptions("M", "1", HOST, RegistryKind.WORKSPACE), None, None)
    assert caught.value.remedy == "Leave it out."


def test_identical_is_required_unless_something_else_is_said(tmp_path: Path) -> None:
    assert check_request(VersionOptions("M", "1", HOST), None, None).options.require is Require.IDENTICAL
    assert check_request(VersionOptions("M", "1", HOST), Require.EQUIVALENT, None).options.require is Require.EQUIVALENT
    file = config(tmp_path, "require: equivalent\n")
    assert compare_request(file, None, None, None, None).options.require is Require.EQUIVALENT
    assert compare_request(file, None, None, Require.IDENTICAL, None).options.require is Require.IDENTICAL


def test_a_compare_needs_a_config_file() -> None:
    with pytest.raises(InputError, match="--config-file is missing"):
        compare_request(None, None, None, None, None)


@pytest.mark.parametrize(
    "said, more, expected",
    [
        ((None, None), "", (True, True)),
        ((None, False), "", (True, False)),
        ((False, None), "", (False, True)),
        ((None, None), "compare_run_models: false\n", (False, True)),
        ((True, False), "compare_run_models: false\ncompare_reg_models: true\n", (True, False)),
        ((None, True), "compare_reg_models: no\n", (True, True)),
    ],
)
def test_the_command_line_wins_over_the_config_file(
    said: tuple[bool | None, bool | None], more: str, expected: tuple[bool, bool], tmp_path: Path
) -> None:
    request = compare_request(config(tmp_path, more), *said, None, None)
    assert (request.compare_run_models, request.compare_reg_models) == expected


@pytest.mark.parametrize(
    "said, more",
    [
        ((False, False), ""),
        ((False, None), "compare_reg_models: false\n"),
        ((None, None), "compare_run_models: false\ncompare_reg_models: false\n"),
    ],
)
def test_nothing_to_compare_is_an_error(said: tuple[bool | None, bool | None], more: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to compare") as caught:
        compare_request(config(tmp_path, more), *said, None, None)
    assert "--compare-run-models" in caught.value.remedy


def test_a_bad_config_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        compare_request(tmp_path / "nothing", None, None, None, None)


@pytest.mark.parametrize("left, right, side", [("", "b", "left"), ("a", " ", "right")])
def test_an_empty_side_is_told(left: str, right: str, side: str) -> None:
    with pytest.raises(InputError, match=f"The {side} side is empty"):
        diff_request(left, right, "", "", None, None)


def test_a_uri_needs_a_server_and_a_directory_none() -> None:
    with pytest.raises(InputError, match="--right-host is missing"):
        diff_request("a", "models:/M/1", "", "", None, None)
    request = diff_request("a", "models:/M/1", "", HOST, None, None)
    assert request.left_host is None
    assert request.right_host is not None
    assert request.right_host.address == HOST


@pytest.mark.parametrize(
    "text, expected",
    [
        ("model", True),
        ("./model", True),
        ("/srv/a:/b", True),
        ("./a:/b", True),
        ("../a:/b", True),
        ("a:b", True),
        ("file:///srv/model", True),
        ("file:/srv/model", True),
        ("models:/M/1", False),
        ("runs:/abc/model", False),
        ("mlflow-artifacts:/1/m", False),
        ("s3://bucket/model", False),
        ("https://example.com/x", False),
    ],
)
def test_a_path_is_told_from_a_uri(text: str, expected: bool) -> None:
    assert is_local_uri(text) is expected


@pytest.mark.parametrize(
    "form", ["{}", "file://{}", "file:{}", "file://localhost{}", "{}/", "{}/../my model", "file://{}/"]
)
def test_all_ways_to_name_a_directory_lead_to_it(form: str, tmp_path: Path) -> None:
    directory = tmp_path / "my model"
    directory.mkdir()
    name = str(directory).replace(" ", "%20") if form.startswith("file:") else str(directory)
    assert local_path(form.format(name)) == directory.resolve()


def test_a_link_to_a_directory_is_that_directory(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    assert local_path(str(tmp_path / "link")) == tmp_path.resolve()

"""Options that are not given have defaults, and missing or contradictory options are errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from model_gate.domain.host import RegistryKind
from model_gate.domain.location import is_local_uri
from model_gate.domain.request import CheckRequest, CompareRequest, DiffRequest, VersionRequest
from model_gate.domain.verdict import Require
from model_gate.errors import ConfigError, InputError
from model_gate.inputs.options import (
    CommonOptions,
    CompareOptions,
    DiffOptions,
    VersionOptions,
    check_request,
    compare_request,
    diff_request,
)
from model_gate.sources.directory import local_path

HOST = "http://example.com"
LOGIN = {"DATABRICKS_HOST": "https://w.example.com", "DATABRICKS_TOKEN": "dapi"}
SERVER = "{host: http://example.com, model: Wine, version_or_stage: 1}"
GOOD = f"tracking_server_1: {SERVER}\ntracking_server_2: {SERVER}\n"


def config(tmp_path: Path, more: str = "") -> Path:
    file = tmp_path / "compare.yaml"
    file.write_text(GOOD + more)
    return file


def check(*options: Any, require: Require | None = None, default_host: str = "") -> CheckRequest:
    return check_request(
        VersionOptions(*options), CommonOptions(require), LOGIN | {"MLFLOW_TRACKING_URI": default_host}
    )


def version(*options: Any, default_host: str = "") -> VersionRequest:
    return check(*options, default_host=default_host).version


def compare(
    file: Path | None, run_models: bool | None = None, reg_models: bool | None = None, require: Require | None = None
) -> CompareRequest:
    return compare_request(
        () if file is None else (file,), CompareOptions(run_models, reg_models), CommonOptions(require), {}
    )


def diff(left: str, right: str, left_host: str = "", right_host: str = "") -> DiffRequest:
    return diff_request(DiffOptions(left, right, left_host, right_host), CommonOptions(), {})


@pytest.mark.parametrize(
    "model, version_or_stage, option", [("", "1", "--model"), (" ", "1", "--model"), ("M", "", "--version-or-stage")]
)
def test_error_names_a_missing_option(model: str, version_or_stage: str, option: str) -> None:
    with pytest.raises(InputError, match=f"{option} is missing") as caught:
        check(model, version_or_stage, HOST)
    assert caught.value.remedy


def test_host_defaults_to_the_tracking_uri_variable_in_the_environment() -> None:
    with pytest.raises(InputError, match="--host is missing, and MLFLOW_TRACKING_URI is not set"):
        check("M", "1")
    default = "http://ann:pw@example.org/"
    host = version("M", "1", default_host=default).host
    assert (host.address, host.username) == ("http://example.org", "ann")
    assert version("M", "1", HOST, default_host=default).host.address == HOST


def test_error_for_an_invalid_default_host_names_its_environment_variable() -> None:
    with pytest.raises(InputError, match=r"^MLFLOW_TRACKING_URI 'ftp://example\.org' is not the URI"):
        check("M", "1", default_host="ftp://example.org")


def test_blanks_around_host_and_version_are_removed() -> None:
    request = version("M", " Staging ", f" {HOST} ", None, "./model.pkl")
    assert (request.model, request.version_or_stage, request.native_model) == ("M", "Staging", "model.pkl")
    assert request.host.address == HOST


@pytest.mark.parametrize("name", ["M ", " M", "M\t", "M\n", "\u00a0M"])
def test_blanks_around_model_names_are_not_removed(name: str) -> None:
    request = version(name, "1", HOST, None, f"data/{name}")
    assert (request.model, request.native_model) == (name, f"data/{name}")


def test_native_model_outside_the_model_is_rejected() -> None:
    with pytest.raises(InputError, match="is not a path inside the MLflow model"):
        check("M", "1", HOST, None, "../x")


@pytest.mark.parametrize(
    "model, option, registry",
    [
        ("wine", None, RegistryKind.WORKSPACE),
        ("ml.prod.wine", None, RegistryKind.UNITY_CATALOG),
        ("ml.prod.wine", RegistryKind.WORKSPACE, RegistryKind.WORKSPACE),
        ("ml.prod.wine", RegistryKind.UNITY_CATALOG, RegistryKind.UNITY_CATALOG),
    ],
)
def test_registry_option_overrides_the_registry_implied_by_the_model_name(
    model: str, option: RegistryKind | None, registry: RegistryKind
) -> None:
    workspace = version(model, "1", "databricks", option).host.workspace
    assert workspace is not None
    assert workspace.registry is registry


@pytest.mark.parametrize(
    "uri, kind",
    [
        ("models:/m-0a1b", RegistryKind.WORKSPACE),
        ("models:/m-wine.prod.model/1", RegistryKind.UNITY_CATALOG),
        ("models:/m-wine.prod.model@champion", RegistryKind.UNITY_CATALOG),
    ],
)
def test_three_part_name_that_looks_like_a_logged_model_selects_unity_catalog(uri: str, kind: RegistryKind) -> None:
    login = {"DATABRICKS_HOST": "https://w.example.com", "DATABRICKS_TOKEN": "dapi"}
    host = diff_request(DiffOptions(uri, "directory", "databricks", ""), CommonOptions(), login).left_host
    assert host is not None
    assert host.workspace is not None
    assert host.workspace.registry is kind


def test_registry_option_is_rejected_for_a_host_other_than_databricks() -> None:
    with pytest.raises(InputError, match="only a Databricks host") as caught:
        check("M", "1", HOST, RegistryKind.WORKSPACE)
    assert caught.value.remedy == "Leave it out."


def test_require_option_overrides_the_compare_file_and_the_default(tmp_path: Path) -> None:
    assert check("M", "1", HOST).options.require is Require.IDENTICAL
    assert check("M", "1", HOST, require=Require.EQUIVALENT).options.require is Require.EQUIVALENT
    file = config(tmp_path, "require: equivalent\n")
    assert compare(file).options.require is Require.EQUIVALENT
    assert compare(file, require=Require.IDENTICAL).options.require is Require.IDENTICAL


def test_compare_command_requires_a_config_file() -> None:
    with pytest.raises(InputError, match="No compare file is named"):
        compare(None)


def test_two_compare_files_are_rejected(tmp_path: Path) -> None:
    files = (tmp_path / "one.yaml", tmp_path / "two.yaml")
    with pytest.raises(InputError, match=r"Two compare files are named: .*one\.yaml and .*two\.yaml"):
        compare_request(files, CompareOptions(), CommonOptions(), {})


@pytest.mark.parametrize(
    "options, more, expected",
    [
        ((None, None), "", (True, True)),
        ((None, False), "", (True, False)),
        ((False, None), "", (False, True)),
        ((None, None), "compare_run_models: false\n", (False, True)),
        ((True, False), "compare_run_models: false\ncompare_reg_models: true\n", (True, False)),
        ((None, True), "compare_reg_models: no\n", (True, True)),
    ],
)
def test_command_line_options_override_the_config_file(
    options: tuple[bool | None, bool | None], more: str, expected: tuple[bool, bool], tmp_path: Path
) -> None:
    request = compare(config(tmp_path, more), *options)
    assert (request.compare_run_models, request.compare_reg_models) == expected


@pytest.mark.parametrize(
    "options, more",
    [
        ((False, False), ""),
        ((False, None), "compare_reg_models: false\n"),
        ((None, None), "compare_run_models: false\ncompare_reg_models: false\n"),
    ],
)
def test_disabling_both_comparisons_is_an_error(
    options: tuple[bool | None, bool | None], more: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="nothing to compare") as caught:
        compare(config(tmp_path, more), *options)
    assert "--compare-run-models" in caught.value.remedy


def test_config_file_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="There is no compare file"):
        compare(tmp_path / "nothing")


@pytest.mark.parametrize("left, right, argument", [("", "b", "LEFT"), ("a", " ", "RIGHT")])
def test_error_for_an_empty_argument_names_the_argument(left: str, right: str, argument: str) -> None:
    with pytest.raises(InputError, match=f"The argument {argument} is empty"):
        diff(left, right)


def test_host_is_required_for_an_artifact_uri_but_not_for_a_path() -> None:
    with pytest.raises(InputError, match="--right-host is missing"):
        diff("a", "models:/M/1")
    request = diff("a", "models:/M/1", right_host=HOST)
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
def test_local_path_is_distinguished_from_uri(text: str, expected: bool) -> None:
    assert is_local_uri(text) is expected


@pytest.mark.parametrize(
    "form", ["{}", "file://{}", "file:{}", "file://localhost{}", "{}/", "{}/../my model", "file://{}/"]
)
def test_different_spellings_of_a_directory_give_the_same_path(form: str, tmp_path: Path) -> None:
    directory = tmp_path / "my model"
    directory.mkdir()
    name = str(directory).replace(" ", "%20") if form.startswith("file:") else str(directory)
    assert local_path(form.format(name)) == directory.resolve()


def test_link_to_a_directory_is_resolved(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    assert local_path(str(tmp_path / "link")) == tmp_path.resolve()


PROFILES = "\n".join(
    f"[{name}]\nhost = https://{host}.example.com\ntoken = {host}"
    for name, host in (("a", "a"), ("same", "a"), ("b", "b"))
)


@pytest.mark.parametrize("half", ["left", "right"])
@pytest.mark.parametrize("host", ["databricks://b", "http://example.com"])
@pytest.mark.parametrize("uri", ["models://a@databricks/wine/1", "runs://a@databricks/1/wine", "dbfs://a@databricks/x"])
def test_host_that_contradicts_the_databricks_profile_in_the_model_uri_is_an_error(
    uri: str, host: str, half: str, tmp_path: Path
) -> None:
    (tmp_path / ".databrickscfg").write_text(PROFILES)
    models = DiffOptions(uri, "directory", host) if half == "left" else DiffOptions("directory", uri, "", host)
    with pytest.raises(InputError) as caught:
        diff_request(models, CommonOptions(), {"HOME": str(tmp_path)})
    assert f"{half.upper()} names the server databricks://a, but --{half}-host names {host}." in caught.value.message


@pytest.mark.parametrize("host", ["", "databricks://a", "databricks://same"])
def test_host_that_repeats_the_databricks_profile_in_the_model_uri_is_accepted(host: str, tmp_path: Path) -> None:
    (tmp_path / ".databrickscfg").write_text(PROFILES)
    models = DiffOptions("models://a@databricks/wine/1", "directory", host)
    request = diff_request(models, CommonOptions(), {"HOME": str(tmp_path)})
    assert request.left_host is not None
    assert request.left_host.workspace is not None
    assert request.left_host.workspace.url == "https://a.example.com"


@pytest.mark.parametrize("seconds", ["0.5", "inf", "nan", "-1"])
def test_time_limit_is_a_finite_number_of_at_least_one_second(seconds: str) -> None:
    with pytest.raises(InputError, match=rf"--timeout is {seconds}, but must be a number of seconds, 1 or more"):
        check_request(VersionOptions("Wine", "1", HOST), CommonOptions(timeout=float(seconds)), {})

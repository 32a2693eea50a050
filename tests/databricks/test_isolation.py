"""Each workspace receives only its own token, whatever the environment contains."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databricks.workspaces import WINE, Blueprint, EmulatedWorkspace, Workspaces, changed, read_files

pytestmark = pytest.mark.xdist_group("databricks_isolation")  # the workspaces start once

OTHER = changed(model_dot_pkl=WINE["model.pkl"][:-1] + b"?")


def fill(blueprint: Blueprint, files: dict[str, bytes]) -> Blueprint:
    run = blueprint.run("0a" * 16, files)
    logged = blueprint.logged_model("m-" + "1b" * 16, files)
    blueprint.version("registry", "wine", "1", files, source=run, run_id="0a" * 16)
    blueprint.version("registry", "logged", "1", files, source=logged)
    blueprint.version("catalog", "ml.prod.wine", "1", files, source=run, run_id="0a" * 16)
    blueprint.version("registry", "empty", "1", {}, source="dbfs:/nothing")
    blueprint.data["dbfs"] = "dbfs"
    (blueprint.directory / "dbfs" / "nothing").mkdir(parents=True)
    return blueprint


@pytest.fixture(scope="module")
def workspaces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspaces]:
    """Run workspaces with the same model names. `one` and `two` differ in one file, and `trap` is equal to `two`."""
    directory = tmp_path_factory.mktemp("isolation")
    with (
        EmulatedWorkspace(fill(Blueprint(directory / "one", "dapi-one-0123456789"), WINE)) as one,
        EmulatedWorkspace(fill(Blueprint(directory / "two", "dapi-two-0123456789"), OTHER)) as two,
        EmulatedWorkspace(fill(Blueprint(directory / "trap", "dapi-trap-0123456789"), OTHER)) as trap,
    ):
        yield Workspaces(directory, {"one": one, "two": two}, trap)


def version(profile: str, model: str) -> dict[str, str]:
    return {"host": f"databricks://{profile}", "model": model, "version_or_stage": "1"}


@pytest.mark.parametrize("model", ["wine", "logged", "ml.prod.wine"])
def test_environment_variables_do_not_redirect_requests_to_another_workspace(
    workspaces: Workspaces, model: str
) -> None:
    # The models would be equal if both were read from one workspace, or the first from the workspace `trap`.
    result = workspaces.compare(version("one", model), version("two", model))
    assert result.report["comparison_summary"] == {"run_model": False, "reg_model": False}, result.output
    assert not result.requests["trap"]
    for name, other in (("one", "two"), ("two", "one")):
        tokens = {each["authorization"] for each in result.requests[name]}
        assert f"Bearer {workspaces[name].token}" in tokens
        assert f"Bearer {workspaces[other].token}" not in tokens
        run_artifacts = [
            each for each in result.requests[name] if "/WorkspaceInternal/Mlflow/Artifacts/" in each["path"]
        ]
        assert run_artifacts, "run artifacts must be read from the workspace of the profile"


def test_profile_works_without_tokens_in_the_environment(workspaces: Workspaces) -> None:
    environment = {name: value for name, value in workspaces.environment.items() if "TOKEN" not in name}
    result = workspaces.compare(version("one", "wine"), version("two", "wine"), environment=environment)
    assert result.report["status"] == "different"
    assert not result.requests["trap"]


def test_host_without_a_profile_uses_the_host_and_token_environment_variables(workspaces: Workspaces) -> None:
    two = workspaces["two"]
    environment = {
        **{
            name: value
            for name, value in workspaces.environment.items()
            if not name.startswith(("DATABRICKS_C", "ARM_"))
        },
        "DATABRICKS_CONFIG_FILE": str(workspaces.config_file),
        "DATABRICKS_HOST": two.url,
        "DATABRICKS_TOKEN": two.token,
    }
    result = workspaces.compare(
        version("one", "wine"), {**version("two", "wine"), "host": "databricks"}, environment=environment
    )
    assert result.report["status"] == "different", result.output
    assert result.report["model_versions"]["tracking_server_2"]["host"] == "databricks"
    assert result.requests["two"]
    assert not result.requests["trap"]


def test_comparing_two_empty_models_is_an_error(workspaces: Workspaces) -> None:
    result = workspaces.compare(version("one", "empty"), version("two", "empty"))
    assert result.code == 2
    assert result.report["error"]["type"] == "ModelError"
    assert "empty or missing" in result.error


@pytest.mark.parametrize("model", ["wine", "logged", "ml.prod.wine"])
def test_download_adds_no_file_to_the_model(workspaces: Workspaces, tmp_path: Path, model: str) -> None:
    # MLflow adds a file `registered_model_meta` to models that it downloads by registry or run URI.
    command = ("check", "--host", "databricks://one", "--model", model, "--version-or-stage", "1")
    result = workspaces.run(*command, "--download-dir", str(tmp_path / "kept"))
    assert result.report["status"] == "equal", result.output
    assert result.report["comparison"]["reg_model"]["files"] == len(WINE)
    for role in ("run_model", "reg_model"):
        kept = tmp_path / "kept" / role
        files = {each.relative_to(kept).as_posix(): each for each in kept.rglob("*") if each.is_file()}
        assert {name: each.read_bytes() for name, each in files.items()} == WINE


def test_netrc_file_is_ignored(workspaces: Workspaces, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".netrc").write_text("default login netrc-user password netrc-password\n", "utf-8")
    (home / ".netrc").chmod(0o600)
    before = len(workspaces["one"].requests)
    with workspaces.client("databricks://one", "wine", home=home) as client:
        assert client.resolve("wine", "1").version == "1"
        assert read_files(client, "models:/wine/1", tmp_path / "model") == WINE
    sent = {each["authorization"] for each in workspaces["one"].requests[before:]}
    assert sent == {f"Bearer {workspaces['one'].token}", ""}


def test_diff_command_uses_the_profile_in_a_model_uri(workspaces: Workspaces) -> None:
    result = workspaces.run("diff", "models://one@databricks/wine/1", "models://two@databricks/ml.prod.wine/1")
    assert result.report["status"] == "different", result.output
    assert result.paths("one", "list-artifacts")
    assert result.paths("two", "/Models/ml/prod/wine/1")
    assert not result.requests["trap"]


def test_unknown_profile_is_an_error_before_any_request(workspaces: Workspaces) -> None:
    result = workspaces.check("databricks://oen", "wine", "1")
    assert result.report["error"]["type"] == "InputError"
    assert "Did you mean 'one'?" in result.error
    assert not any(result.requests.values())

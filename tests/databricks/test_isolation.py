"""Which workspace is asked with which token, when everything around it says something else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databricks.workspaces import WINE, Bench, Blueprint, Emulated, changed, read

OTHER = changed(model_dot_pkl=WINE["model.pkl"][:-1] + b"?")


def holding(blueprint: Blueprint, files: dict[str, bytes]) -> Blueprint:
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
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The same names everywhere; one file differs between the two, and the trap equals the second."""
    directory = tmp_path_factory.mktemp("isolation")
    with (
        Emulated(holding(Blueprint(directory / "one", "dapi-one-0123456789"), WINE)) as one,
        Emulated(holding(Blueprint(directory / "two", "dapi-two-0123456789"), OTHER)) as two,
        Emulated(holding(Blueprint(directory / "trap", "dapi-trap-0123456789"), OTHER)) as wrong,
    ):
        yield Bench(directory, {"one": one, "two": two}, wrong)


def asked(profile: str, model: str) -> dict[str, str]:
    return {"host": f"databricks://{profile}", "model": model, "version_or_stage": "1"}


@pytest.mark.parametrize("model", ["wine", "logged", "ml.prod.wine"])
def test_two_workspaces_are_two_whatever_the_environment_names(pair: Bench, model: str) -> None:
    # Were both sides read at one of them, or at the trap, they would be equal.
    result = pair.compare(asked("one", model), asked("two", model))
    assert result.report["comparison_summary"] == {"run_model": False, "reg_model": False}, result.output
    assert not result.asked["trap"]
    for name, other in (("one", "two"), ("two", "one")):
        tokens = {each["authorization"] for each in result.asked[name]}
        assert f"Bearer {pair.workspaces[name].token}" in tokens
        assert f"Bearer {pair.workspaces[other].token}" not in tokens
        run_artifacts = [each for each in result.asked[name] if "/WorkspaceInternal/Mlflow/Artifacts/" in each["path"]]
        assert run_artifacts, "run artifacts were read where their profile says"


def test_a_host_without_its_token_in_the_environment_draws_no_token_to_it(pair: Bench) -> None:
    environment = {name: value for name, value in pair.environment.items() if "TOKEN" not in name}
    result = pair.compare(asked("one", "wine"), asked("two", "wine"), environment=environment)
    assert result.report["status"] == "different"
    assert not result.asked["trap"]


def test_the_host_without_a_profile_takes_the_pair_in_the_environment(pair: Bench) -> None:
    two = pair.workspaces["two"]
    environment = {
        **{name: value for name, value in pair.environment.items() if not name.startswith(("DATABRICKS_C", "ARM_"))},
        "DATABRICKS_CONFIG_FILE": str(pair.config_file),
        "DATABRICKS_HOST": two.url,
        "DATABRICKS_TOKEN": two.token,
    }
    result = pair.compare(asked("one", "wine"), {**asked("two", "wine"), "host": "databricks"}, environment=environment)
    assert result.report["status"] == "different", result.output
    assert result.report["model_versions"]["tracking_server_2"]["host"] == "databricks"
    assert result.asked["two"]
    assert not result.asked["trap"]


def test_two_empty_models_are_an_error_and_never_equal(pair: Bench) -> None:
    result = pair.compare(asked("one", "empty"), asked("two", "empty"))
    assert result.code == 2
    assert result.report["error"]["type"] == "ModelError"
    assert "empty or missing" in result.error


@pytest.mark.parametrize("model", ["wine", "logged", "ml.prod.wine"])
def test_a_model_gains_no_file_by_being_downloaded(pair: Bench, tmp_path: Path, model: str) -> None:
    # MLflow writes `registered_model_meta` into what it downloads by a model's name or a run's.
    asked = ("check", "--host", "databricks://one", "--model", model, "--version-or-stage", "1")
    result = pair.gate(*asked, "--download-dir", str(tmp_path / "kept"))
    assert result.report["status"] == "equal", result.output
    assert result.report["comparison"]["reg_model"]["files"] == len(WINE)
    for role in ("run_model", "reg_model"):
        kept = tmp_path / "kept" / role
        found = {each.relative_to(kept).as_posix(): each for each in kept.rglob("*") if each.is_file()}
        assert {name: each.read_bytes() for name, each in found.items()} == WINE


def test_a_netrc_is_not_read_wherever_it_is(pair: Bench, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".netrc").write_text("default login netrc-user password netrc-password\n", "utf-8")
    (home / ".netrc").chmod(0o600)
    before = len(pair.workspaces["one"].requests)
    with pair.side("databricks://one", "wine", home=home) as side:
        assert side.resolve("wine", "1").version == "1"
        assert read(side, "models:/wine/1", tmp_path / "model") == WINE
    used = {each["authorization"] for each in pair.workspaces["one"].requests[before:]}
    assert used == {f"Bearer {pair.workspaces['one'].token}", ""}


def test_diff_takes_the_profile_from_the_uri(pair: Bench) -> None:
    result = pair.gate("diff", "models://one@databricks/wine/1", "models://two@databricks/ml.prod.wine/1")
    assert result.report["status"] == "different", result.output
    assert result.paths("one", "list-artifacts")
    assert result.paths("two", "/Models/ml/prod/wine/1")
    assert not result.asked["trap"]


def test_a_profile_that_is_not_there_is_an_error_before_anything_is_asked(pair: Bench) -> None:
    result = pair.check("databricks://oen", "wine", "1")
    assert result.report["error"]["type"] == "InputError"
    assert "Did you mean 'one'?" in result.error
    assert not any(result.asked.values())

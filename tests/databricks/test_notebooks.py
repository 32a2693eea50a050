"""The notebooks run with a fake `dbutils` against emulated workspaces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from model_gate.notebook import run_gate
from tests.databricks.workspaces import WINE, Blueprint, EmulatedWorkspace, Workspaces, changed
from tests.support.paths import ROOT

pytestmark = pytest.mark.xdist_group("databricks_notebooks")  # the workspaces start once

NOTEBOOKS = ROOT / "notebooks"


class NotebookExitError(Exception):
    """Raised by `dbutils.notebook.exit`, with the exit value."""


class Widgets:
    """Notebook widgets; `filled` overrides their defaults."""

    def __init__(self, filled: Mapping[str, str]) -> None:
        self._filled = filled
        self._values: dict[str, str] = {}

    def text(self, name: str, default: str, label: str = "") -> None:
        self._values[name] = self._filled.get(name, default)

    def dropdown(self, name: str, default: str, choices: list[str], label: str = "") -> None:
        self._values[name] = self._filled.get(name, default)
        assert self._values[name] in choices

    def get(self, name: str) -> str:
        return self._values[name]


def dbutils(workspace: EmulatedWorkspace, filled: Mapping[str, str], secrets: Mapping[tuple[str, str], str]) -> Any:
    """Return a fake `dbutils` of a workspace."""

    def exit_notebook(value: str) -> None:
        raise NotebookExitError(value)

    def option(value: str) -> Any:
        return SimpleNamespace(get=lambda: value)

    context = SimpleNamespace(apiUrl=lambda: option(workspace.url), apiToken=lambda: option(workspace.token))
    inner = SimpleNamespace(notebook=lambda: SimpleNamespace(getContext=lambda: context))
    return SimpleNamespace(
        widgets=Widgets(filled),
        notebook=SimpleNamespace(entry_point=SimpleNamespace(getDbutils=lambda: inner), exit=exit_notebook),
        secrets=SimpleNamespace(get=lambda scope, key: secrets[scope, key]),
    )


def run(
    name: str, workspace: EmulatedWorkspace, filled: Mapping[str, str], secrets: Mapping[tuple[str, str], str]
) -> str:
    """Run a notebook and return its exit value or error message."""
    source = (NOTEBOOKS / name).read_text("utf-8")
    assert source.startswith("# Databricks notebook source\n")
    with pytest.raises((NotebookExitError, RuntimeError)) as caught:
        exec(compile(source, name, "exec"), {"dbutils": dbutils(workspace, filled, secrets)})  # noqa: S102
    return str(caught.value)


@pytest.fixture(scope="module")
def workspaces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspaces]:
    directory = tmp_path_factory.mktemp("notebooks")
    other = changed(model_dot_pkl=b"another")
    blueprints = []
    for name, files in (("here", WINE), ("there", other), ("trap", other)):
        blueprint = Blueprint(directory / name, f"dapi-{name}-0123456789")
        source = blueprint.run("0a" * 16, files)
        blueprint.version("registry", "wine", "1", files, source=source, run_id="0a" * 16)
        for number in ("1", "2"):
            blueprint.version("registry", "twins", number, files, source=source, run_id="0a" * 16)
        blueprint.version("registry", "changed", "1", other, source=source, run_id="0a" * 16)
        blueprints.append(blueprint)
    with (
        EmulatedWorkspace(blueprints[0]) as here,
        EmulatedWorkspace(blueprints[1]) as there,
        EmulatedWorkspace(blueprints[2]) as trap,
    ):
        result = Workspaces(directory, {"here": here, "there": there}, trap)
        for workspace in (here, there):
            result.declare(workspace.url, workspace.token)
        yield result
        assert not trap.requests


@pytest.fixture(autouse=True)
def misleading_environment(workspaces: Workspaces, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in workspaces.environment.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("model, exit_value", [("wine", "equal"), ("changed", "Model Gate: different")])
def test_check_notebook_uses_the_login_of_its_workspace(
    workspaces: Workspaces, model: str, exit_value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("check_model_version.py", workspaces["here"], {"1 model": model}, {}) == exit_value
    output = capsys.readouterr().out
    assert f"{model} version 1 on databricks" in output
    assert workspaces["here"].token not in output


def test_compare_notebook_reads_the_second_workspace_with_a_profile_from_a_secret(
    workspaces: Workspaces, capsys: pytest.CaptureFixture[str]
) -> None:
    filled = {"1 model": "wine", "2 model": "wine", "2 host": "databricks://prod", "3 profiles": "ci/profiles"}
    there = workspaces["there"]
    secrets = {("ci", "profiles"): f"[prod]\nhost = {there.url}\ntoken = {there.token}\n"}
    before = len(there.requests)
    assert run("compare_model_versions.py", workspaces["here"], filled, secrets) == "Model Gate: different"
    assert len(there.requests) > before
    output = capsys.readouterr().out
    assert "model.pkl" in output
    assert there.token not in output


def test_compare_notebook_compares_versions_of_its_own_workspace(workspaces: Workspaces) -> None:
    filled = {"1 model": "wine", "2 model": "changed", "5 compare_reg_models": "no"}
    assert run("compare_model_versions.py", workspaces["here"], filled, {}) == "equal"


def seal(workspace: EmulatedWorkspace, model: str, file: Path) -> None:
    """Seal version 1 of a model, as an approver does."""
    arguments = ["seal", "--host=databricks", f"--model={model}", "--version-or-stage=1", f"--output={file}"]
    assert run_gate(dbutils(workspace, {}, {}), arguments).passed


def test_approval_notebook_accepts_only_the_version_of_the_approved_seal(
    workspaces: Workspaces, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = workspaces["here"]
    filled = {"model_version": "1", "seal": f"{tmp_path}/{{model_name}}.json"}
    for model in ("wine", "changed"):
        seal(here, model, tmp_path / f"{model}.json")
    assert run("verify_approved.py", here, filled | {"model_name": "wine"}, {}) == "equal"
    # The seal of another model, and another seal of this model.
    other = filled | {"model_name": "wine", "seal": str(tmp_path / "changed.json")}
    assert run("verify_approved.py", here, other, {}) == "Model Gate: error"
    text = (tmp_path / "wine.json").read_text().replace('"name": "MLmodel"', '"name": "MLmodel2"')
    (tmp_path / "wine.json").write_text(text)
    assert run("verify_approved.py", here, filled | {"model_name": "wine"}, {}) == "Model Gate: error"
    assert here.token not in capsys.readouterr().out


def test_approval_notebook_rejects_the_seal_of_another_version_with_the_same_files(
    workspaces: Workspaces, tmp_path: Path
) -> None:
    here = workspaces["here"]
    seal(here, "twins", tmp_path / "twins.json")
    filled = {"model_name": "twins", "seal": str(tmp_path / "twins.json")}
    assert run("verify_approved.py", here, filled | {"model_version": "1"}, {}) == "equal"
    message = run("verify_approved.py", here, filled | {"model_version": "2"}, {})
    assert message == "Model Gate: the seal is of version 1, not of version 2"


@pytest.mark.parametrize(
    "name, version, message",
    [
        ("wine", "latest", "model_version must be a number: 'latest'"),
        ("wine", "@champion", "model_version must be a number: '@champion'"),
        ("wine", "", "model_version must be a number: ''"),
        ("../wine", "1", "model_name must not have a slash: '../wine'"),
    ],
)
def test_approval_notebook_reads_only_a_fixed_version_and_a_seal_beside_others(
    workspaces: Workspaces, name: str, version: str, message: str
) -> None:
    before = len(workspaces["here"].requests)
    filled = {"model_name": name, "model_version": version}
    assert run("verify_approved.py", workspaces["here"], filled, {}) == f"Model Gate: {message}"
    assert len(workspaces["here"].requests) == before

"""The notebooks' own source, run with a stand-in for `dbutils`, against an emulated workspace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from tests.databricks.workspaces import WINE, Bench, Blueprint, Emulated, changed
from tests.support.paths import ROOT

NOTEBOOKS = ROOT / "notebooks"


class LeftError(Exception):
    """The notebook ended with a value."""


class Widgets:
    """Widgets that someone filled in, beside their defaults."""

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


def dbutils(workspace: Emulated, filled: Mapping[str, str], secrets: Mapping[tuple[str, str], str]) -> Any:
    """What a notebook of that workspace finds."""

    def leave(value: str) -> None:
        raise LeftError(value)

    def option(value: str) -> Any:
        return SimpleNamespace(get=lambda: value)

    context = SimpleNamespace(apiUrl=lambda: option(workspace.url), apiToken=lambda: option(workspace.token))
    inner = SimpleNamespace(notebook=lambda: SimpleNamespace(getContext=lambda: context))
    return SimpleNamespace(
        widgets=Widgets(filled),
        notebook=SimpleNamespace(entry_point=SimpleNamespace(getDbutils=lambda: inner), exit=leave),
        secrets=SimpleNamespace(get=lambda scope, key: secrets[scope, key]),
    )


def run(name: str, workspace: Emulated, filled: Mapping[str, str], secrets: Mapping[tuple[str, str], str]) -> str:
    """What the notebook ends with."""
    source = (NOTEBOOKS / name).read_text("utf-8")
    assert source.startswith("# Databricks notebook source\n")
    with pytest.raises((LeftError, RuntimeError)) as caught:
        exec(compile(source, name, "exec"), {"dbutils": dbutils(workspace, filled, secrets)})  # noqa: S102
    return str(caught.value)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    directory = tmp_path_factory.mktemp("notebooks")
    other = changed(model_dot_pkl=b"another")
    blueprints = []
    for name, files in (("here", WINE), ("there", other), ("trap", other)):
        blueprint = Blueprint(directory / name, f"dapi-{name}-0123456789")
        source = blueprint.run("0a" * 16, files)
        blueprint.version("registry", "wine", "1", files, source=source, run_id="0a" * 16)
        blueprint.version("registry", "changed", "1", other, source=source, run_id="0a" * 16)
        blueprints.append(blueprint)
    with Emulated(blueprints[0]) as here, Emulated(blueprints[1]) as there, Emulated(blueprints[2]) as trap:
        yield Bench(directory, {"here": here, "there": there}, trap)
        assert not trap.requests


@pytest.fixture(autouse=True)
def misleading(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in bench.environment.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("model, ends", [("wine", "equal"), ("changed", "Model Gate: different")])
def test_the_check_notebook_reads_with_its_own_login(
    bench: Bench, model: str, ends: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("check_model_version.py", bench.workspaces["here"], {"1 model": model}, {}) == ends
    said = capsys.readouterr().out
    assert f"{model} version 1 on databricks" in said
    assert bench.workspaces["here"].token not in said


def test_the_compare_notebook_reads_another_workspace_by_a_secret(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    filled = {"1 model": "wine", "2 model": "wine", "2 host": "databricks://prod", "3 profiles": "ci/profiles"}
    there = bench.workspaces["there"]
    secrets = {("ci", "profiles"): f"[prod]\nhost = {there.url}\ntoken = {there.token}\n"}
    asked = len(there.requests)
    assert run("compare_model_versions.py", bench.workspaces["here"], filled, secrets) == "Model Gate: different"
    assert len(there.requests) > asked
    said = capsys.readouterr().out
    assert "model.pkl" in said
    assert there.token not in said


def test_the_compare_notebook_compares_two_versions_of_its_own_workspace(bench: Bench) -> None:
    filled = {"1 model": "wine", "2 model": "changed", "5 compare_reg_models": "no"}
    assert run("compare_model_versions.py", bench.workspaces["here"], filled, {}) == "equal"

"""The Databricks asset bundle of the audit fits its notebook, and has secrets by reference only."""

from __future__ import annotations

import re
from typing import Any

import yaml

from tests.support.paths import ROOT

_BUNDLE = ROOT / "examples/databricks-audit/databricks.yml"
_WIDGET = re.compile(r'dbutils\.widgets\.\w+\("([^"]+)", ')
_LOGIN = re.compile(r"TOKEN|PASSWORD|SECRET|KEY")


def bundle() -> Any:
    return yaml.safe_load(_BUNDLE.read_text())


def task() -> Any:
    [found] = bundle()["resources"]["jobs"]["audit"]["tasks"]
    return found


def test_parameters_of_the_bundle_are_widgets_of_the_notebook() -> None:
    path = task()["notebook_task"]["notebook_path"]
    notebook = (ROOT / "notebooks" / path.removeprefix("./")).read_text()
    widgets = _WIDGET.findall(notebook)
    assert len(widgets) == 4
    assert set(task()["notebook_task"]["base_parameters"]) <= set(widgets)
    assert all(f'widgets.get("{widget}")' in notebook for widget in widgets)


def test_cluster_of_the_task_is_defined_and_reads_logins_from_a_secret_scope() -> None:
    [cluster] = bundle()["resources"]["jobs"]["audit"]["job_clusters"]
    assert task()["job_cluster_key"] == cluster["job_cluster_key"]
    variables = cluster["new_cluster"]["spark_env_vars"]
    logins = {name: value for name, value in variables.items() if _LOGIN.search(name)}
    assert logins
    assert all(re.fullmatch(r"\{\{secrets/[\w-]+/[\w-]+\}\}", value) for value in logins.values())
    assert all(f"{name.partition('_')[0]}_MLFLOW_TRACKING_URI" in variables for name in logins)


def test_variables_of_the_bundle_are_defined() -> None:
    used = set(re.findall(r"\$\{var\.(\w+)\}", _BUNDLE.read_text()))
    assert used == set(bundle()["variables"])

"""Gates are sent to executors without credentials, and are the same gates there."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from model_gate.access.environments import secrets_of
from model_gate.access.redaction import Redactor
from model_gate.domain.gates import Gate
from model_gate.errors import InputError
from model_gate.inputs.gates_file import parse_gates
from model_gate.inputs.options import CommonOptions
from model_gate.reporting.rows import row_names
from model_gate.runs.gate_run import secrets_of_entries
from model_gate.runs.row_digest import row_digest
from model_gate.spark.partition import PartitionOptions, run_partition
from model_gate.spark.planned_gate import PlannedGate, Servers, plan_gate, read_gate
from tests.support.seals import write_seal

PASSWORD = "pass-word-of-production"
ENVIRONMENT = {
    "STAGING_MLFLOW_TRACKING_URI": "https://staging.example.com",
    "PROD_MLFLOW_TRACKING_URI": "https://ann:in-the-address@production.example.com/",
    "PROD_AWS_SECRET_ACCESS_KEY": "key-of-the-store",
    "STAGING_MLFLOW_TRACKING_USERNAME": "ann",
    "STAGING_MLFLOW_TRACKING_PASSWORD": PASSWORD,
    "WORK_MLFLOW_TRACKING_URI": "databricks",
    "WORK_DATABRICKS_HOST": "https://workspace.example.com",
    "WORK_DATABRICKS_TOKEN": "dapi-of-the-test",
    "MLFLOW_TRACKING_URI": "http://127.0.0.1:5000",
    "MLFLOW_TRACKING_TOKEN": "token-of-the-default",
}
SECRETS = (PASSWORD, "in-the-address", "key-of-the-store", "dapi-of-the-test", "token-of-the-default")
VERSION = "server: prod, model: Wine, version_or_stage: 1"
ENTRIES = {
    "named": f"{{check: {{{VERSION}}}}}",
    "address": "{check: {host: 'https://staging.example.com/', model: Wine, version_or_stage: '@champion'}}",
    "another spelling": "{check: {host: 'http://localhost:5000', model: Wine, version_or_stage: latest}}",
    "not declared": "{check: {host: 'https://other.example.com', model: Wine, version_or_stage: 3}}",
    "workspace": "{check: {server: work, model: a.b.c, version_or_stage: 3, native_model: data/model}}",
    "registry": "{check: {server: work, model: a.b.c, version_or_stage: 3, registry: workspace}}",
    "seal": f"{{check: {{{VERSION}}}, seal: seals/wine.json, require: equivalent, ignore: ['*.md', 'notes/**']}}",
    "pair": "{tracking_server_1: {server: staging, model: Größe, version_or_stage: 2}, compare_run_models: false,"
    f" tracking_server_2: {{{VERSION}}}}}",
    "sealed side": f"{{tracking_server_1: {{{VERSION}, native_model: model.pkl}},"
    " tracking_server_2: {seal: seals/wine.json, native_model: model.pkl}}",
}
OPTIONS = PartitionOptions("audit", 2, allow_local_artifacts=False)


@pytest.fixture(autouse=True)
def seals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_seal(tmp_path / "seals/wine.json")


def gate_of(entry: str, environment: Mapping[str, str] = ENVIRONMENT, name: str = "wine") -> Gate:
    common = CommonOptions(fail_fast=True)
    [found] = parse_gates([("gates.yaml", f"gates:\n  {name}: {entry}\n")], common, environment).entries
    assert isinstance(found, Gate)
    return found


def planned(gate: Gate, environment: Mapping[str, str] = ENVIRONMENT) -> PlannedGate:
    redactor = Redactor((*secrets_of(environment), *secrets_of_entries([gate])))
    [name] = row_names([gate], redactor)
    return plan_gate(name, gate, Servers(environment), redactor)


def error_on_executor(plan: PlannedGate, environment: Mapping[str, str]) -> str:
    [row] = run_partition([plan], OPTIONS, environment)
    assert row.name == plan.name
    assert (str(row.status), row.passed, row.equivalent, row.digest) == ("error", False, None, "")
    return row.reason


@pytest.mark.parametrize("name", ENTRIES)
def test_gate_is_the_same_on_an_executor(name: str) -> None:
    gate = gate_of(ENTRIES[name])
    assert gate.error is None, gate.error
    plan = planned(gate)
    found = read_gate(plan, Servers(ENVIRONMENT))
    assert found == gate
    assert found.request is not None
    assert gate.request is not None
    assert found.request.config == gate.request.config
    assert row_digest(found, {}) == row_digest(gate, {})


@pytest.mark.parametrize("name", ENTRIES)
def test_planned_gate_has_no_credentials(name: str) -> None:
    plan = planned(gate_of(ENTRIES[name]))
    text = plan.data + (plan.seal or b"").decode()
    assert [secret for secret in SECRETS if secret in text] == []


def test_gate_gets_the_login_of_the_executor() -> None:
    plan = planned(gate_of(ENTRIES["named"]))
    uri = "https://bob:of-the-executor@production.example.com"
    found = read_gate(plan, Servers({"PROD_MLFLOW_TRACKING_URI": uri}))
    assert found.request is not None
    assert [(host.username, host.password) for host in found.request.hosts] == [("bob", "of-the-executor")]


@pytest.mark.parametrize(
    "host", ["https://ann:s3cret-login@other.example.com", "postgresql://ann:s3cret-login@db.example.com/mlflow"]
)
def test_login_in_a_gates_file_is_not_sent_to_executors(host: str) -> None:
    plan = planned(gate_of(f"{{check: {{host: '{host}', model: Wine, version_or_stage: 1}}}}"))
    assert "s3cret" not in plan.data
    assert "is written in the gates file" in error_on_executor(plan, ENVIRONMENT)


def test_other_login_than_that_of_the_declared_server_is_not_sent_to_executors() -> None:
    host = "https://ann:s3cret-login@staging.example.com"
    plan = planned(gate_of(f"{{check: {{host: '{host}', model: Wine, version_or_stage: 1}}}}"))
    assert "s3cret" not in plan.data
    assert "is written in the gates file" in error_on_executor(plan, ENVIRONMENT)


@pytest.mark.parametrize(
    "environment, reason",
    [
        ({}, "There is no server 'prod'"),
        ({"PROD_MLFLOW_TRACKING_URI": "https://other.example.com"}, "is https://other.example.com on the executor"),
        ({"PROD_MLFLOW_TRACKING_URI": "production"}, "PROD_MLFLOW_TRACKING_URI"),
        ({f"{name}_MLFLOW_TRACKING_URI": "https://a.example.com" for name in ("PROD", "prod")}, "both declare"),
    ],
    ids=["missing", "another", "invalid", "twice"],
)
def test_other_server_on_an_executor_is_an_error(environment: Mapping[str, str], reason: str) -> None:
    found = error_on_executor(planned(gate_of(ENTRIES["named"])), environment)
    assert found.startswith("On an executor of the cluster: ")
    assert reason in found


def test_other_workspace_on_an_executor_is_an_error() -> None:
    plan = planned(gate_of(ENTRIES["workspace"]))
    environment = ENVIRONMENT | {"WORK_DATABRICKS_HOST": "https://another.example.com"}
    assert "https://another.example.com on the executor" in error_on_executor(plan, environment)


@pytest.mark.parametrize("field", ["model", "version_or_stage", "name"])
def test_gate_with_a_secret_in_its_texts_is_not_sent_to_executors(field: str) -> None:
    values = {"model": "Wine", "version_or_stage": "1", "name": "wine"} | {field: PASSWORD}
    entry = f"{{check: {{server: prod, model: {values['model']}, version_or_stage: {values['version_or_stage']}}}}}"
    plan = planned(gate_of(entry, name=values["name"]))
    assert PASSWORD not in plan.data + plan.name
    assert "contains a secret" in error_on_executor(plan, ENVIRONMENT)


def test_seal_with_a_secret_in_a_path_is_not_sent_to_executors(tmp_path: Path) -> None:
    write_seal(tmp_path / "seals/wine.json", files={"MLmodel": b"", PASSWORD: b""})
    plan = planned(gate_of(ENTRIES["seal"]))
    assert plan.seal is None
    assert "contains a secret" in error_on_executor(plan, ENVIRONMENT)


def test_error_of_an_entry_is_the_error_of_its_row_without_secrets() -> None:
    gate = gate_of("{check: {server: nowhere, model: Wine, version_or_stage: 1}}")
    assert gate.error is not None
    gate = replace(gate, error=InputError(f"{gate.error.message} {PASSWORD}", "Correct it."))
    plan = planned(gate)
    assert PASSWORD not in plan.data
    assert error_on_executor(plan, {}).startswith("gates.yaml, line 2")


def test_damaged_plan_is_an_error_of_its_gate_alone() -> None:
    plan = planned(gate_of(ENTRIES["named"]))
    data = json.loads(plan.data)
    data["request"]["versions"] = {}
    rows = {
        row.name: row.reason
        for row in run_partition([replace(plan, data=json.dumps(data)), replace(plan, name="other")], OPTIONS, {})
    }
    assert rows.keys() == {"wine", "other"}
    assert "There is no server 'prod'" in rows["other"]


def test_import_of_the_package_does_not_import_spark() -> None:
    program = "import sys, model_gate.spark; sys.exit('pyspark' in sys.modules or 'pyarrow' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)

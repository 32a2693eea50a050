"""Each example workflow logs in to every tracking server that its compare file names."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from model_gate.action import profiles
from model_gate.action.inputs import Inputs
from model_gate.domain.gates import AgainstServer, Selection
from model_gate.inputs.gates_file import parse_gates
from model_gate.inputs.options import CommonOptions
from tests.support.action_outcomes import HOSTILE
from tests.support.commandline import jq_directory
from tests.support.paths import ROOT
from tests.support.seals import write_seal

# A comment in the example has the compare file.
_ENTRY = re.compile(r"^#\s+(tracking_server_[12]: \{.*\})$", re.MULTILINE)
EXAMPLES = [file for file in sorted((ROOT / "examples").glob("*.yml")) if _ENTRY.search(file.read_text())]
SECRET = "value-of-a-secret"
PROFILE = f"[test]\nhost = https://dbc.example.com\ntoken = {SECRET}\n"


def test_each_kind_of_example_is_tested() -> None:
    names = {
        "databricks-to-mlflow.yml",
        "pull-request.yml",
        "sealed-promotion.yml",
        "two-aws-accounts.yml",
        "two-servers.yml",
    }
    assert {file.name for file in EXAMPLES} >= names


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda file: file.name)
def test_example_logs_in_to_each_server_that_its_compare_file_names(
    example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = example.read_text()
    (step,) = (
        step
        for job in yaml.safe_load(text)["jobs"].values()
        for step in job["steps"]
        if step.get("uses", "").startswith("model-gate/")
    )
    inputs = {f"INPUT_{name.upper()}": str(value) for name, value in step["with"].items()}
    variables = {name: re.sub(r"\$\{\{.*?\}\}", SECRET, str(value)) for name, value in step.get("env", {}).items()}
    if "INPUT_DATABRICKS-PROFILES" in inputs:
        (tmp_path / "profiles").write_text(PROFILE)
        variables[profiles.VARIABLE] = str(tmp_path / "profiles")
    (tmp_path / inputs["INPUT_CONFIG-FILE"]).write_text("\n".join(_ENTRY.findall(text)))
    write_seal(tmp_path / "seals" / "Sklearn_Wine.json", "Sklearn_Wine")
    monkeypatch.chdir(tmp_path)
    request = Inputs({**variables, **inputs, "GITHUB_WORKSPACE": str(tmp_path)}).request()
    assert [host.address for host in request.hosts if SECRET not in host.secrets] == []


def test_example_of_many_gates_logs_in_to_each_server_of_its_gates_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "examples" / "gates.yml").read_text()
    (step,) = (step for step in yaml.safe_load(text)["jobs"]["gates"]["steps"] if step.get("id") == "gates")
    gates_file = "\n".join(
        re.findall(r"^#   ( *[\w{].*)$", text.split("gates.yaml in the repository:")[1], re.MULTILINE)
    )
    variables = {name: re.sub(r"\$\{\{.*?\}\}", SECRET, value) for name, value in step["env"].items()}
    write_seal(tmp_path / "seals/churn.json", "Churn")
    monkeypatch.chdir(tmp_path)
    assert list(yaml.safe_load(gates_file)["gates"]) == ["wine", "churn"]
    assert_all_log_in(gates_file, variables)


def test_audit_of_a_registry_logs_in_to_both_servers() -> None:
    audit = yaml.safe_load((ROOT / "examples" / "registry-audit.yml").read_text())["jobs"]["audit"]
    names = [f"{server}_MLFLOW_TRACKING_{name}" for server in ("STAGING", "PROD") for name in ("URI", "TOKEN")]
    text = (ROOT / "examples" / "registry-audit.yml").read_text()
    assert [name for name in names if name not in text] == []
    values = {name: f"https://{name[:4]}.example.com" if name.endswith("URI") else SECRET for name in names}
    assert_all_log_in(audit["with"]["config"], values)


def assert_all_log_in(gates_file: str, variables: dict[str, str]) -> None:
    """Verify that each server of a gates file is declared, and gets the secret."""
    content = parse_gates([("gates.yaml", gates_file)], CommonOptions(declared_hosts_only=True), variables)
    assert content.entries
    for entry in content.entries:
        if isinstance(entry, Selection):
            assert isinstance(entry.against, AgainstServer)
            hosts = [entry.host, entry.against.host]
        else:
            assert entry.request is not None, entry.error
            hosts = list(entry.request.hosts)
        assert [host.address for host in hosts if SECRET not in host.secrets] == []


@pytest.mark.parametrize("name", ["gates.yml", "registry-audit.yml"])
def test_workflow_of_many_gates_starts_whatever_a_pull_request_changes(name: str) -> None:
    events = yaml.safe_load((ROOT / "examples" / name).read_text())[True]
    # A required check whose workflow does not start stays pending.
    assert "paths" not in str(events)
    assert name != "gates.yml" or set(events) == {"pull_request", "merge_group"}


COMMENT = "<!-- model-gate workflow 7 -->"
GH = """#!/bin/sh
echo "$*" >> calls
case "$*" in
  *repos/team/models/pulls*) echo '[{"number": 5, "head": {"sha": "c0ffee"}}]' ;;
  *--paginate*) cat comments.json ;;
esac
"""


@pytest.mark.parametrize(
    "headline, comments, expected",
    [
        ("## All 2 gates passed", [], "--method POST repos/team/models/issues/5/comments"),
        ("## All 2 gates passed", [(1, "<!-- model-gate workflow 8 -->"), (2, COMMENT)], "comments/2 "),
        ("## 0 gates concern this change", [(2, COMMENT)], "comments/2 "),
        ("## 0 gates concern this change", [(1, "<!-- model-gate workflow 8 -->")], ""),
    ],
    ids=["no comment yet", "a comment of each workflow", "nothing changed any more", "nothing changed"],
)
def test_comment_workflow_keeps_one_comment_for_each_workflow(
    headline: str, comments: list[tuple[int, str]], expected: str, tmp_path: Path
) -> None:
    (tmp_path / "artifact").mkdir()
    (tmp_path / "artifact/model-gate-report.md").write_text(f"<!-- model-gate summary -->\n{headline}\n")
    bodies = [{"id": key, "body": body, "user": {"login": "github-actions[bot]"}} for key, body in comments]
    (tmp_path / "comments.json").write_text(json.dumps(bodies))
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs/gh").write_text(GH)
    (tmp_path / "programs/gh").chmod(0o755)
    (script,) = scripts_of("comment.yml")
    variables = {"REPOSITORY": "team/models", "RUN": "1", "BRANCH": "a:b", "COMMIT": "c0ffee", "MARKER": COMMENT}
    run_script(script, tmp_path, **variables)
    written = [line for line in (tmp_path / "calls").read_text().splitlines() if "body=@comment.md" in line]
    assert len(written) == bool(expected)
    assert all(expected in line for line in written)
    assert (tmp_path / "comment.md").read_text().startswith(f"{COMMENT}\n<!-- model-gate summary -->\n{headline}")


@pytest.mark.parametrize("name", ["attested-promotion.yml", "signed-seal.yml"])
def test_job_that_signs_reads_no_model_and_job_that_reads_a_model_cannot_sign(name: str) -> None:
    jobs = yaml.safe_load((ROOT / "examples" / name).read_text())["jobs"].values()
    signers = [job for job in jobs if job["permissions"].get("id-token") == "write"]
    readers = [job for job in jobs if any(step.get("uses", "").startswith("model-gate/") for step in job["steps"])]
    assert (len(signers), len(readers)) == (1, 1)
    assert signers != readers
    assert "secrets." not in str(signers)


@pytest.mark.parametrize(
    "name, command, model, named",
    [
        ("approve.yml", "seal", "Wine", "3"),
        ("nightly.yml", "verify", "Wine", "@champion"),
        ("promote.yml", "verify", "Sklearn_Wine", "3"),
    ],
)
def test_example_with_a_seal_has_inputs_that_fit_its_command(
    name: str, command: str, model: str, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = yaml.safe_load((ROOT / "examples" / name).read_text())["jobs"].values()
    ((job, step),) = (
        (job, step) for job in jobs for step in job["steps"] if step.get("uses", "").startswith("model-gate/")
    )
    file = "seals/wine.json"
    values = {"version": "3", "file": file, "temp": str(tmp_path), "model": "Wine", "seal_model": "Wine"}
    expression = re.compile(r"\$\{\{ [\w.-]*?(\w+) \}\}")
    inputs = {
        f"INPUT_{key.upper()}": expression.sub(lambda match: values[match[1]], str(value))
        for key, value in step["with"].items()
    }
    write_seal(tmp_path / file, "Wine")
    write_seal(tmp_path / "seals" / "Sklearn_Wine_Tested.json", "Sklearn_Wine_Tested")
    monkeypatch.chdir(tmp_path)
    variables = {"RUNNER_TEMP": str(tmp_path), **job.get("env", {}), **step.get("env", {})}
    request = Inputs({**variables, **inputs, "GITHUB_WORKSPACE": str(tmp_path)}).request()
    assert request.command == command
    (version,) = request.versions.values()
    assert (version.model, version.version_or_stage) == (model, named)
    assert all(host.secrets for host in request.hosts)


def run_step(script: str, directory: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the script of a step as GitHub does. What it adds to the step's outputs is in the file `outputs`."""
    (directory / "outputs").touch()
    path = os.pathsep.join([str(jq_directory(directory)), str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=directory,
        env={**os.environ, "PATH": path, "GITHUB_OUTPUT": str(directory / "outputs"), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def run_script(script: str, directory: Path, **variables: str) -> str:
    """Run the script of a step, and return what it adds to the step's outputs."""
    run_step(script, directory, **variables)
    return (directory / "outputs").read_text()


def scripts_of(name: str) -> list[str]:
    jobs = yaml.safe_load((ROOT / "examples" / name).read_text())["jobs"].values()
    return [step["run"] for job in jobs for step in job["steps"] if "run" in step]


@pytest.mark.parametrize("text", [*HOSTILE, "Wine\nsubject-digest=sha256:00"])
def test_name_in_a_promotion_statement_sets_no_output_of_the_job_that_signs(text: str, tmp_path: Path) -> None:
    statement = {"predicateType": text, "subject": [{"name": text}], "predicate": {"model": text}}
    (tmp_path / "promotion.intoto.json").write_text(json.dumps(statement))
    (script,) = scripts_of("attested-promotion.yml")
    assert run_script(script, tmp_path) == ""
    assert list(json.loads((tmp_path / "predicate.json").read_text())) == ["model"]


@pytest.mark.parametrize(
    "version, outputs", [("3", "version=3\n"), ("3\npassed=true", ""), ("3\r\npassed=true", "")], ids=repr
)
def test_version_that_a_server_returns_sets_one_output_of_the_promotion(
    version: str, outputs: str, tmp_path: Path
) -> None:
    (tmp_path / "mlflow.py").write_text(
        f"""class MlflowClient:
    def copy_model_version(self, source, name):
        self.version = {version!r}
        return self
"""
    )
    (script,) = [script for script in scripts_of("promote.yml") if "GITHUB_OUTPUT" in script]
    assert run_script(script, tmp_path, PYTHONPATH=str(tmp_path), TESTED="2") == outputs


def listed(directory: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the script that lists the seals for the jobs of nightly.yml."""
    (script,) = scripts_of("nightly.yml")
    return run_step(script, directory, **{"PRODUCTION_NAMES": "{}", "RUNNER_TEMP": str(directory), **variables})


def test_nightly_workflow_lists_each_seal_with_the_name_of_its_model_in_production(tmp_path: Path) -> None:
    write_seal(tmp_path / "seals" / "wine.json", "Wine")
    write_seal(tmp_path / "seals" / "team a" / "b.json", "Tested")
    assert listed(tmp_path, PRODUCTION_NAMES='{"Tested": "Churn"}').returncode == 0
    name, _, value = (tmp_path / "outputs").read_text().partition("=")
    assert (name, value.count("\n")) == ("seals", 1)
    assert sorted(json.loads(value), key=lambda entry: str(entry["model"])) == [
        {"file": "seals/team a/b.json", "seal_model": "Tested", "model": "Churn"},
        {"file": "seals/wine.json", "seal_model": "Wine", "model": "Wine"},
    ]


def test_nightly_workflow_rejects_what_it_cannot_verify(tmp_path: Path) -> None:
    none = listed(tmp_path)
    write_seal(tmp_path / "seals" / "directory.json", "")
    unnamed = listed(tmp_path)
    for number in range(256):
        (tmp_path / "seals" / f"{number}.json").touch()
    many = listed(tmp_path)
    assert (none.returncode, unnamed.returncode, many.returncode) == (1, 1, 1)
    assert none.stdout.startswith("::error::There are 0 seals in seals/")
    assert unnamed.stdout.startswith("::error::seals/directory.json names no registered model")
    assert many.stdout.startswith("::error::There are 257 seals in seals/")
    assert (tmp_path / "outputs").read_text() == ""


@pytest.mark.parametrize(
    "model, exit_code",
    [("Sklearn_Wine", 0), ("prod.ml.wine", 0), ("../wine", 1), ("a/b", 1), (".hidden", 1)],
)
def test_approval_workflow_rejects_a_model_whose_seal_would_be_elsewhere(
    model: str, exit_code: int, tmp_path: Path
) -> None:
    script, _ = scripts_of("approve.yml")
    completed = run_step(script, tmp_path, MODEL=model)
    assert completed.returncode == exit_code
    assert completed.stdout.startswith("::error::") == bool(exit_code)

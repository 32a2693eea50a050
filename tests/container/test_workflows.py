"""Tests of the action in workflows, which `act` runs against a real tracking server."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.container.engine import WORKFLOWS, Act, Run, export
from tests.container.registry import HOSTILE_MODEL, HOSTILE_NAMES, PASSWORD, USERNAME, Registry

# The long timeout is for the first test, which builds the images.
pytestmark = [pytest.mark.container, pytest.mark.timeout(900)]

SECRETS = {"USERNAME": USERNAME, "PASSWORD": PASSWORD}
TOKEN = "dapi0123456789-token-of-a-profile"


def config(host: str, model: str, left: int, right: int) -> str:
    versions = {
        f"tracking_server_{number}": {"host": host, "model": model, "version_or_stage": str(version)}
        for number, version in ((1, left), (2, right))
    }
    return json.dumps(versions, indent=2)


@pytest.fixture(scope="module")
def verdicts(act: Act, server: Registry) -> Run:
    host = server.local
    return act.run(
        "verdicts",
        variables={"REGISTRY": host, "NOT_MASKED_BY_THE_RUNNER": TOKEN},
        secrets=SECRETS,
        files={
            "promotion.yaml": config(host, "Wine", 1, 2),
            "worse.yaml": config(host, "Wine", 1, 3),
            "again.yaml": config(host, "Wine", 1, 4),
            "hostile.yaml": config(host, HOSTILE_MODEL, 1, 2),
            "leaked/typing.py": "raise SystemExit(1)\n",
        },
    )


@pytest.fixture(scope="module")
def steps(verdicts: Run) -> dict[str, Any]:
    file = verdicts.workspace / "steps.json"
    assert file.exists(), verdicts.output[-6000:]
    content: dict[str, Any] = json.loads(file.read_text())
    return content


def annotations_of(run: Run, step: str) -> list[tuple[str, str, str]]:
    """Return the level, the file and the message of each annotation that a step printed."""
    annotations = run.commands(step, "error", "warning", "notice")
    # act drops a title that contains "=".
    assert all(annotation.properties.get("title", "Model Gate").startswith("Model Gate") for annotation in annotations)
    return [(annotation.command, annotation.properties.get("file", ""), annotation.data) for annotation in annotations]


def summary_of(run: Run, step: str) -> str:
    (summary,) = run.commands(step, "summary")
    return summary.data


def test_check_of_models_at_the_same_location_is_equal_and_writes_a_warning(
    verdicts: Run, steps: dict[str, Any]
) -> None:
    assert steps["same"]["outcome"] == "success"
    expected = {
        "status": "equal",
        "equals": "true",
        "equivalent": "true",
        "passed": "true",
        "run-model-equals": "",
        "reg-model-equals": "",
        "same-location": "true",
        "differences": "0",
        "report-file": "reports/same.json",
    }
    assert expected.items() <= steps["same"]["outputs"].items()
    assert json.loads((verdicts.workspace / "reports/same.json").read_text())["comparison"]["same_location"] is True
    ((level, _, message),) = annotations_of(verdicts, "same location")
    assert level == "warning"
    assert message.startswith("EQUAL, nothing compared: one location.")


def test_equal_models_pass_despite_environment_variables_of_earlier_steps(verdicts: Run, steps: dict[str, Any]) -> None:
    assert steps["equal"]["outcome"] == "success", verdicts.log_of("equal")
    outputs = steps["equal"]["outputs"]
    assert outputs["status"] == "equal"
    assert (outputs["run-model-equals"], outputs["reg-model-equals"]) == ("true", "true")
    assert annotations_of(verdicts, "equal") == []
    assert summary_of(verdicts, "equal").startswith("## ✅ Wine&#58; ")
    kept = verdicts.workspace / "models/run_model/server_2"
    assert (kept / "MLmodel").exists()


def test_step_with_different_models_fails_and_writes_an_annotation(verdicts: Run, steps: dict[str, Any]) -> None:
    assert steps["different"]["outcome"] == "failure"
    outputs = steps["different"]["outputs"]
    assert (outputs["status"], outputs["equals"], outputs["passed"]) == ("different", "false", "false")
    assert (outputs["run-model-equals"], outputs["reg-model-equals"], outputs["differences"]) == ("false", "", "2")
    ((level, _, message),) = annotations_of(verdicts, "different")
    assert level == "error"
    assert re.search(r"The run models of \S+ v\d+ and \S+ v\d+ are different \(2 of \d+ files differ\): ", message)
    assert "model.pkl: " in message
    assert "MLmodel: " in message
    assert "mlflow.other" in summary_of(verdicts, "different")


def test_difference_is_a_warning_if_the_input_fail_on_difference_is_false(verdicts: Run, steps: dict[str, Any]) -> None:
    assert steps["warning"]["outcome"] == "success"
    assert (steps["warning"]["outputs"]["status"], steps["warning"]["outputs"]["passed"]) == ("different", "false")
    ((level, file, message),) = annotations_of(verdicts, "warning")
    assert (level, file) == ("warning", "worse.yaml")
    assert " files differ): model.pkl: 1 of " in message
    assert "; MLmodel: loader_module " in message
    assert "The registry models are different too (the same location as the run models). Predictions: " in message


def test_equivalent_models_pass_if_the_input_require_is_equivalent(verdicts: Run, steps: dict[str, Any]) -> None:
    assert steps["equivalent"]["outcome"] == "success"
    outputs = steps["equivalent"]["outputs"]
    assert (outputs["status"], outputs["equals"], outputs["equivalent"]) == ("different", "false", "true")
    assert outputs["passed"] == "true"


def test_error_fails_the_step_and_sets_outputs(verdicts: Run, steps: dict[str, Any]) -> None:
    assert steps["missing"]["outcome"] == "failure"
    outputs = steps["missing"]["outputs"]
    assert outputs["status"] == "error"
    assert outputs["passed"] == "false"
    assert (outputs["equals"], outputs["equivalent"], outputs["differences"]) == ("", "", "")
    ((level, _, message),) = annotations_of(verdicts, "missing")
    assert level == "error"
    assert "99" in message
    assert "⛔" in summary_of(verdicts, "missing")


def test_contradictory_inputs_are_an_error(verdicts: Run, steps: dict[str, Any]) -> None:
    assert steps["contradictory"]["outcome"] == "failure"
    assert steps["contradictory"]["outputs"]["status"] == "error"
    ((level, file, message),) = annotations_of(verdicts, "contradictory")
    assert (level, file) == ("error", "promotion.yaml")
    assert "'config-file' is not for check" in message
    assert "command: compare" in message


def test_token_of_a_profile_is_masked_and_absent_from_the_log(verdicts: Run, steps: dict[str, Any]) -> None:
    assert steps["profiles"]["outcome"] == "failure"
    assert steps["profiles"]["outputs"]["status"] == "error"
    assert TOKEN in {command.data for command in verdicts.commands("profiles", "add-mask")}
    assert TOKEN not in verdicts.log


def test_hostile_file_names_do_not_become_workflow_commands_or_html(verdicts: Run, steps: dict[str, Any]) -> None:
    assert steps["hostile"]["outcome"] == "failure"
    outputs = steps["hostile"]["outputs"]
    # The text files MLmodel and notes.txt differ too.
    assert outputs["differences"] == str(len(HOSTILE_NAMES) + 2)
    ((level, file, _),) = annotations_of(verdicts, "hostile")
    # In a workflow command, act reads the properties up to the last `::`, but GitHub's runner up to the first.
    assert (level, file.partition("::")[0]) == ("error", "hostile.yaml")
    # act writes the summary into its log, and GitHub does not.
    log = [message.text for message in verdicts.messages if message.step == "hostile" and message.command != "summary"]
    assert not any("##[" in text for text in log)
    summary = summary_of(verdicts, "hostile")
    assert "<img" not in summary
    assert "&#60;img src&#61;x&#62;" in summary


def test_workflow_leaves_only_reports_and_no_secret(verdicts: Run) -> None:
    output = "\n".join(line for line in verdicts.output.splitlines() if '"command":"add-mask"' not in line)
    assert PASSWORD not in output
    assert TOKEN not in output
    files = [line.rsplit(" ", 1) for line in (verdicts.workspace / "files.txt").read_text().splitlines()]
    owner = str(verdicts.workspace.stat().st_uid)
    assert [name for name, user in files if user != owner] == []
    prefixes = ("leaked", "models", "reports", "files.txt", "steps.json", "model-gate-report.md")
    remaining = {name for name, _ in files if name and not name.startswith(prefixes)}
    assert remaining == {
        "promotion.yaml",
        "worse.yaml",
        "again.yaml",
        "hostile.yaml",
        "model-gate-report.json",
    }
    for name in ("model-gate-report.json", "reports/same.json"):
        text = (verdicts.workspace / name).read_text()
        assert PASSWORD not in text
        assert TOKEN not in text


def test_action_run_from_a_checkout_can_connect_to_a_service_container_by_name(
    act: Act, server: Registry, gateway: str, tmp_path: Path
) -> None:
    workspace = export(tmp_path / "checkout")
    shutil.copy(WORKFLOWS / "service.yml", workspace / ".github/workflows/service.yml")
    (workspace / "promotion.yaml").write_text(config("http://registry:5000", "Wine", 1, 2))
    run = act.run_in(workspace, "service", {"TARGET": f"{gateway}:{server.port}"}, SECRETS)
    assert run.code == 0, run.output[-6000:]


def test_reusable_workflow_runs_in_another_repository(act: Act, server: Registry) -> None:
    run = act.run(
        "reusable",
        variables={"REGISTRY": server.local},
        secrets=SECRETS,
        files={"worse.yaml": config(server.local, "Wine", 1, 3)},
    )
    assert run.code == 0, run.output[-6000:]
    assert "artifact model-gate-report: different" in run.log
    assert "status=different equals=false" in run.log

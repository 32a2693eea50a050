"""Steps about many gates, whose gates are errors by themselves, so that no server is needed."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from model_gate.access.redaction import Redactor
from model_gate.action.inputs import Inputs
from model_gate.action.plan_reporter import WorkflowPlanReporter
from model_gate.action.run_reporter import WorkflowRunReporter
from model_gate.action.run_step import run_many_step
from model_gate.action.step_files import StepFiles
from model_gate.errors import InputError
from model_gate.reporting.plan_reporter import PlanResult
from model_gate.reporting.rows import totals_of
from model_gate.reporting.run_reporter import RunResult
from tests.support import commandline
from tests.support.action_outcomes import check, comparison, difference
from tests.support.rows import again, error_row, gate, row

# The seals are missing, so each gate is an error that needs no server.
GATES = """\
gates:
  wine: {check: {host: "https://mlflow.example.com", model: Wine, version_or_stage: 1}, seal: seals/wine.json}
  beer: {check: {host: "https://mlflow.example.com", model: Beer, version_or_stage: 1}, seal: seals/beer.json}
"""
OTHERS = GATES.replace("wine", "ale").replace("beer", "stout")


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a gates file."""
    for name in [name for name in os.environ if "MLFLOW" in name or name.startswith("GITHUB_")]:
        monkeypatch.delenv(name)
    (tmp_path / "work" / "gates").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    Path("gates/a.yaml").write_text(GATES)
    Path("gates/b.yaml").write_text(OTHERS)
    return tmp_path / "work"


def step(command: str, **values: str) -> int:
    """Run a step, and return its exit code."""
    values = {"allow_hosts": "https://mlflow.example.com"} | values if command != "merge" else values
    named = {f"INPUT_{name.replace('_', '-').upper()}": value for name, value in values.items()}
    inputs = Inputs({"INPUT_COMMAND": command, "GITHUB_WORKSPACE": str(Path.cwd()), **named})
    return run_many_step(inputs, step_files(), None, lambda: None, ())


def step_files() -> StepFiles:
    return StepFiles({"GITHUB_OUTPUT": "../output", "GITHUB_STEP_SUMMARY": "../summary"})


def outputs() -> dict[str, str]:
    """Return the outputs of the step. Later values replace earlier ones."""
    text = Path("../output").read_text()
    return {name: value for name, _, value in re.findall(r"^(.+?)<<(end-\w+)\n(.*)\n\2$", text, re.MULTILINE)}


def test_run_step_has_outputs_a_report_a_summary_and_annotations(capfd: pytest.CaptureFixture[str]) -> None:
    assert step("run", config_file="gates/a.yaml\ngates/b.yaml") == 2
    found = outputs()
    assert (found["status"], found["passed"], found["equals"]) == ("error", "false", "")
    assert list(json.loads(found["gates"])) == ["wine", "beer", "ale", "stout"]
    assert json.loads(Path(found["report-file"]).read_text())["counts"]["error"] == 4
    assert "4 of 4 gates could not be decided" in Path("../summary").read_text()
    log = capfd.readouterr().out
    assert "::error title=Model Gate,file=gates/a.yaml,line=2::wine: " in log
    assert "::error title=Model Gate,file=gates/b.yaml,line=3::stout: " in log


@pytest.mark.parametrize("name", ["report-file", "junit-file", "page-file", "badge-file"])
@pytest.mark.parametrize("path", ["gates/b.yaml", "./gates/../gates/b.yaml", "plan.json"])
def test_output_of_a_run_never_replaces_what_the_run_reads(name: str, path: str) -> None:
    assert step("plan", config_file="gates/a.yaml\ngates/b.yaml", shards="2", plan_file="plan.json") == 0
    plan = Path("plan.json").read_text()
    values = {"config_file": "gates/a.yaml\ngates/b.yaml", "shard": "1/2", "plan_file": "plan.json"}
    assert step("run", **values, **{name: path}) == 2
    assert outputs()["status"] == "error"
    assert outputs()["gates"] == "{}"
    assert (Path("gates/b.yaml").read_text(), Path("plan.json").read_text()) == (OTHERS, plan)


@pytest.mark.parametrize("path", ["gates/b.yaml", "gates/../gates/a.yaml"])
def test_plan_never_replaces_a_gates_file(path: str) -> None:
    assert step("plan", config_file="gates/a.yaml\ngates/b.yaml", plan_file=path) == 2
    assert outputs()["matrix"] == ""
    assert (Path("gates/a.yaml").read_text(), Path("gates/b.yaml").read_text()) == (GATES, OTHERS)


@pytest.mark.parametrize("rows", ["model-gate-report.rows.jsonl", ".", "gates\n."])
def test_merge_never_replaces_the_rows_that_it_reads(rows: str) -> None:
    assert step("run", config_file="gates/a.yaml") == 2
    before = Path("model-gate-report.rows.jsonl").read_bytes()
    assert step("merge", rows=rows) == 2
    assert Path("model-gate-report.rows.jsonl").read_bytes() == before
    assert outputs()["gates"] == "{}"
    assert step("merge", rows=rows, report_file="merged/report.json") == 2
    assert list(json.loads(outputs()["gates"])) == ["wine", "beer"]


def test_merge_of_a_directory_never_replaces_the_rows_of_a_shard() -> None:
    assert step("run", config_file="gates/a.yaml", shard="1/2") == 2
    assert step("run", config_file="gates/a.yaml", shard="2/2", report_file="2.json") == 2
    before = Path("model-gate-report.rows.jsonl").read_bytes()
    assert step("merge", rows=".") == 2
    assert Path("model-gate-report.rows.jsonl").read_bytes() == before
    assert outputs()["gates"] == "{}"


def test_merge_does_not_read_its_own_rows() -> None:
    assert step("run", config_file="gates/a.yaml", report_file="shards/1.json") == 2
    for _ in range(2):
        assert step("merge", rows=".") == 2
    assert list(json.loads(outputs()["gates"])) == ["wine", "beer"]
    assert "error" not in json.loads(Path("model-gate-report.json").read_text())


def test_rows_outside_the_workspace_are_rejected(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert step("merge", rows=f"{tmp_path}/others") == 2
    assert "which is outside the workspace" in capfd.readouterr().out


def test_plan_step_has_a_matrix_and_a_plan() -> None:
    assert step("plan", config_file="gates/a.yaml", shards="2", plan_file="plan.json") == 0
    matrix = json.loads(outputs()["matrix"])["include"]
    assert [(each["shard"], each["gates"]) for each in matrix] == [("1/2", 1), ("2/2", 1)]
    assert (outputs()["plan-file"], outputs()["passed"]) == ("plan.json", "true")
    for each in matrix:
        number = each["shard"][0]
        values = {"shard": each["shard"], "plan_file": "plan.json", "report_file": f"shards/{number}.json"}
        assert step("run", config_file="gates/a.yaml", **values) == 2
        assert len(json.loads(outputs()["gates"])) == 1
    assert step("merge", rows="shards") == 2
    assert list(json.loads(outputs()["gates"])) == ["wine", "beer"]


def test_plan_without_a_shard_is_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    assert step("plan", config_file="gates/a.yaml", plan_file="plan.json") == 0
    assert step("run", config_file="gates/a.yaml", plan_file="plan.json") == 2
    assert "lan-file is given without shard. Name the shard too, as in 2/3." in capfd.readouterr().out


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("jobs", "9999", "The input 'jobs' is '9999', which is not a whole number from 1 to 64."),
        ("jobs", "fast", "The input 'jobs' is 'fast', which is not a whole number from 1 to 64."),
        ("jobs", "0", "The input 'jobs' is '0', which is not a whole number from 1 to 64."),
        ("jobs", "65", "The input 'jobs' is '65', which is not a whole number from 1 to 64."),
        ("jobs", "²", "The input 'jobs' is '²', which is not a whole number from 1 to 64."),
        ("shards", "257", "The input 'shards' is '257', which is not a whole number from 1 to 256."),
        ("timeout", "soon", "The input 'timeout' is 'soon', but must be a number of seconds, 1 or more."),
    ],
)
def test_number_that_is_not_valid_is_an_error(
    name: str, value: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert step("plan", config_file="gates/a.yaml", **{name: value}) == 2
    assert message in capfd.readouterr().out


def test_time_limit_of_a_merge_is_checked(capfd: pytest.CaptureFixture[str]) -> None:
    assert step("merge", rows=".", timeout="soon") == 2
    assert "The input 'timeout' is 'soon'" in capfd.readouterr().out


def test_largest_numbers_are_valid() -> None:
    assert step("plan", config_file="gates/a.yaml", jobs="64", shards="256", timeout="100000") == 0


def test_inline_gates_cannot_be_compared_with_a_revision(capfd: pytest.CaptureFixture[str]) -> None:
    assert step("run", config=GATES, changed_since="origin/main") == 2
    assert "The input 'changed-since' is set, but the gates are in the input 'config'" in capfd.readouterr().out
    assert step("run", config=GATES, changed_since="none") == 2
    assert list(json.loads(outputs()["gates"])) == ["wine", "beer"]


def test_remedy_of_a_missing_repository_is_to_run_all_gates(capfd: pytest.CaptureFixture[str]) -> None:
    assert step("run", config_file="gates/a.yaml", changed_since="origin/main") == 2
    log = capfd.readouterr().out
    assert "Or set changed-since: none to run all gates." in log
    assert "leave out" not in log


@pytest.mark.parametrize("event", ["push", "schedule", "pull_request_review", ""])
def test_event_without_a_base_runs_all_gates(event: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("../event.json").write_text(json.dumps({"before": "a" * 40, "after": "b" * 40}))
    monkeypatch.setenv("GITHUB_EVENT_NAME", event)
    monkeypatch.setenv("GITHUB_EVENT_PATH", "../event.json")
    assert step("run", config_file="gates/a.yaml") == 2
    assert list(json.loads(outputs()["gates"])) == ["wine", "beer"]


def test_plan_ends_at_its_time_limit(workspace: Path) -> None:
    # In less than a second, no worker has started.
    gates = "gates: {wine: {check: {host: 'http://127.0.0.1:9', model: Wine, version_or_stage: 1}}}"
    environment = {
        "GITHUB_WORKSPACE": str(workspace),
        "GITHUB_OUTPUT": "../output",
        "INPUT_COMMAND": "plan",
        "INPUT_CONFIG": gates,
        "INPUT_TIMEOUT": "1",
    }
    completed = commandline.run("action", cwd=workspace, environment=environment)
    assert completed.returncode == 2, completed
    assert "::error title=Model Gate::The gate did not end within 1 s." in completed.stdout
    assert (outputs()["passed"], outputs()["matrix"]) == ("false", "")


class TestRunReporter:
    """The reporter, with the results of gates that no gate had to run for."""

    EQUAL = row(check(comparison()), gate("wine", file="gates.yml"))
    DIFFERENT = row(check(comparison(difference("model.pkl"))), gate("churn", line=7, file="gates.yml"))
    ERROR = error_row(gate("fraud", line=9, file="gates.yml"))

    def show(self, result: RunResult, *, fails_on_difference: bool = True) -> None:
        WorkflowRunReporter(step_files(), fails_on_difference=fails_on_difference).show_run(result)

    def test_first_annotations_are_of_the_worst_gates(self, capfd: pytest.CaptureFixture[str]) -> None:
        rows = [self.EQUAL, *[self.DIFFERENT] * 20, self.ERROR]
        self.show(RunResult(totals_of(rows), again(rows), None, Redactor()))
        lines = [line for line in capfd.readouterr().out.splitlines() if line.startswith("::error")]
        assert ["fraud" in line for line in lines] == [False, True, *[False] * 7]
        assert all("churn" in line for line in lines[2:])

    def test_gates_that_compared_nothing_are_a_warning(self, capfd: pytest.CaptureFixture[str]) -> None:
        rows = [self.EQUAL, row(check(comparison(same=True)), gate("same"))]
        self.show(RunResult(totals_of(rows), again(rows), None, Redactor()))
        message = "All 2 gates passed, 1 compared nothing: one location."
        assert f"::warning title=Model Gate::{message}\n" in capfd.readouterr().out

    def test_difference_is_a_warning_if_it_does_not_fail_the_step(self, capfd: pytest.CaptureFixture[str]) -> None:
        rows = [self.EQUAL, self.DIFFERENT]
        self.show(RunResult(totals_of(rows), again(rows), None, Redactor()), fails_on_difference=False)
        log = capfd.readouterr().out
        assert "::warning title=Model Gate::1 of 2 gates differs." in log
        assert "::warning title=Model Gate,file=gates.yml,line=7::churn: " in log
        assert "::error" not in log

    @pytest.mark.parametrize("is_verbose", [False, True])
    def test_details_of_an_error_are_logged_only_on_request(
        self, is_verbose: bool, capfd: pytest.CaptureFixture[str]
    ) -> None:
        error = InputError("No.", detail="Traceback of topsecret")
        totals = totals_of([], error=error)
        self.show(RunResult(totals, again([]), None, Redactor(["topsecret"]), is_verbose))
        log = capfd.readouterr().out
        assert ("::group::Error details\nTraceback of ***\n::endgroup::" in log) is is_verbose
        assert "topsecret" not in log


class TestPlanReporter:
    """The reporter of a plan."""

    def test_secrets_of_hosts_are_in_no_notice_and_no_error(self, capfd: pytest.CaptureFixture[str]) -> None:
        reporter = WorkflowPlanReporter(step_files(), is_verbose=False)
        redactor = Redactor(["topsecret"])
        reporter.show_plan(PlanResult({"include": []}, notices=("The host topsecret is old.",)), redactor)
        reporter.show_error(InputError("The host topsecret is unknown.", detail="more"), redactor)
        log = capfd.readouterr().out
        assert "The host *** is old." in log
        assert "::error title=Model Gate::The host *** is unknown." in log
        assert "topsecret" not in log
        assert "more" not in log

    def test_details_of_an_error_are_logged_on_request(self, capfd: pytest.CaptureFixture[str]) -> None:
        reporter = WorkflowPlanReporter(step_files(), is_verbose=True)
        reporter.show_error(InputError("No.", detail="Traceback"), Redactor())
        assert "::group::Error details\nTraceback\n::endgroup::" in capfd.readouterr().out

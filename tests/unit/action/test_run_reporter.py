"""What the steps of a split run present on the page of the workflow: the shards nearly nothing, and their merge all."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from model_gate.action.run_reporter import WorkflowRunReporter
from model_gate.action.step_files import StepFiles
from model_gate.domain.gates import GateRow
from model_gate.errors import InputError
from model_gate.reporting.run_progress import RunProgress
from model_gate.runs.command import Run, RunCommand, run_many
from model_gate.runs.merge import Merge
from model_gate.runs.roster import Roster, RosterGate
from model_gate.runs.rows_file import RowsFile
from model_gate.runs.shards import Shard
from tests.support.action_outcomes import check, comparison, difference
from tests.support.rows import error_row, gate, row

NAMES = ("wine", "churn", "fraud")
GATES = tuple(RosterGate(name, "gates.yml", 2) for name in NAMES)
NOW = datetime.now(UTC).isoformat(timespec="seconds")
EQUAL = row(check(comparison()), gate("wine"))
DIFFERENT = row(check(comparison(difference("model.pkl"))), gate("churn"))
ERROR = error_row(gate("fraud"))


@dataclass(frozen=True)
class Rows:
    """The work of a run whose rows are known, and which then ends with an error, if there is one."""

    roster: Roster
    rows: tuple[GateRow, ...]
    error: InputError | None = None

    def execute(self, run: Run, progress: RunProgress) -> None:
        run.notices = ("The base of the change is not known.",)
        run.begin(self.roster)
        for each in self.rows:
            run.rows.add(each)
            progress.end(each)
        if self.error is not None:
            raise self.error


@dataclass(frozen=True)
class Step:
    """A step that has ended: its exit code, its outputs, its summary and its log."""

    code: int
    outputs: dict[str, str]
    summary: str
    log: str


class Steps:
    """Runs steps in a workspace."""

    def __init__(self, directory: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.directory = directory
        self._capfd = capfd

    def run(self, work: Rows | Merge, *, is_shard: bool = False) -> Step:
        files = {name: self.directory / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for file in files.values():
            file.write_text("")
        reporter = WorkflowRunReporter(
            StepFiles({name: str(path) for name, path in files.items()}), fails_on_difference=True, is_shard=is_shard
        )
        self._capfd.readouterr()
        code = run_many(RunCommand({}, self.directory / "report.json"), work, reporter)
        output, summary = (file.read_text() for file in files.values())
        outputs = dict(re.findall(r"^([a-z0-9-]+)<<.*\n(.*)$", output, re.MULTILINE))
        return Step(code, outputs, summary, self._capfd.readouterr().out)

    def rows_file(self, name: str, roster: Roster | None, *rows: GateRow) -> Path:
        """Write the rows of a shard. Without a roster, the shard ended before it knew its gates."""
        path = self.directory / name
        with RowsFile(path) as file:
            if roster is not None:
                file.begin(roster)
            for each in rows:
                file.add(each)
        return path


@pytest.fixture
def steps(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Steps:
    monkeypatch.chdir(tmp_path)
    return Steps(tmp_path, capfd)


def test_shard_writes_no_summary_and_annotates_no_gate(steps: Steps) -> None:
    work = Rows(Roster(Shard(1, 2), GATES, NAMES), (EQUAL, DIFFERENT, ERROR))
    whole, shard = steps.run(work), steps.run(work, is_shard=True)
    assert "could not be decided" in whole.summary
    assert all(f"::{level} " in whole.log for level in ("error", "notice"))
    assert shard.summary == ""
    assert not any(f"::{level} " in shard.log for level in ("error", "warning", "notice"))
    # The log, the outputs and the exit code have the verdict nevertheless.
    assert "churn" in shard.log
    assert (shard.code, shard.outputs["passed"]) == (2, "false")


def test_error_of_a_shard_itself_is_one_annotation(steps: Steps) -> None:
    error = InputError("The registry cannot be searched.", "Check the server.")
    shard = steps.run(Rows(Roster(Shard(1, 2), GATES, NAMES), (EQUAL, DIFFERENT), error), is_shard=True)
    (annotation,) = (line for line in shard.log.splitlines() if line.startswith("::error "))
    assert "The registry cannot be searched. Check the server." in annotation
    assert shard.summary == ""


def test_shard_that_did_not_know_its_gates_is_missing_and_hides_no_result_of_the_others(steps: Steps) -> None:
    files = [
        steps.rows_file("1.rows.jsonl", Roster(Shard(1, 2), GATES, NAMES[:1], time=NOW), EQUAL),
        steps.rows_file("2.rows.jsonl", None),
    ]
    merged = steps.run(Merge(lambda: files))
    assert merged.code == 2
    assert "There is no result of the shard 2/2." in merged.summary
    assert "2 of 3 gates could not be decided" in merged.summary
    assert '"wine":{"status":"equal","passed":true' in merged.outputs["gates"]


def test_merge_without_any_result_names_the_jobs_that_say_why(steps: Steps) -> None:
    merged = steps.run(Merge(list))
    assert (merged.code, merged.outputs["status"]) == (2, "error")
    assert "see the jobs of the plan and of the shards" in merged.summary


def test_annotation_of_a_gate_has_one_full_stop_after_its_error(steps: Steps) -> None:
    step = steps.run(Rows(Roster(Shard(1, 1), GATES, NAMES), (EQUAL, DIFFERENT, ERROR)))
    assert "fraud: There is no model 'Wine'. Check its name." in step.log

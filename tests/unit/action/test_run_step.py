"""A step about many gates changes none of the files that it reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from model_gate.action.inputs import Inputs
from model_gate.action.run_step import run_many_step
from model_gate.action.step_files import StepFiles
from model_gate.runs.roster import Roster, RosterGate
from model_gate.runs.rows_file import RowsFile
from model_gate.runs.shards import Shard

GATES = json.dumps(
    {"gates": {"wine": {"check": {"host": "http://127.0.0.1:9", "model": "Wine", "version_or_stage": 1}}}}
)


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text(GATES.replace("wine", name[0]))
    with RowsFile(tmp_path / "1.rows.jsonl") as rows:
        rows.begin(Roster(Shard(1, 2), (RosterGate("wine"),), ("wine",)))
    return tmp_path


@pytest.mark.parametrize(
    "inputs, file",
    [
        ({"command": "run", "config-file": "a.json\nb.json", "report-file": "b.json"}, "b.json"),
        ({"command": "run", "config-file": "a.json", "plan-file": "b.json", "page-file": "b.json"}, "b.json"),
        ({"command": "merge", "rows": ".", "report-file": "1.json"}, "1.rows.jsonl"),
    ],
    ids=["the second gates file", "the plan", "the rows of a shard"],
)
def test_output_at_the_path_of_an_input_is_an_error_and_leaves_the_input(
    inputs: dict[str, str], file: str, workspace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = (workspace / file).read_bytes()
    values = {f"INPUT_{name.upper()}": value for name, value in inputs.items()}
    step = Inputs({**values, "GITHUB_WORKSPACE": str(workspace)})
    assert run_many_step(step, StepFiles({}), None, lambda: None, ()) == 2
    assert (workspace / file).read_bytes() == before
    assert "would change an input" in capfd.readouterr().out

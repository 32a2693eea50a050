"""Runs of many gates on two real servers: they find exactly what differs, also in shards and after an interruption."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support import commandline
from tests.support.many_versions import ManyVersions
from tests.support.recording_proxy import RecordingProxy
from tests.support.servers import Servers

pytestmark = pytest.mark.xdist_group("many-gates")

MANY = ManyVersions.of("Audited-", int(os.environ.get("MODEL_GATE_MANY_VERSIONS", "16")))
ENTRY = "all"
Reports = dict[str, Any]


@pytest.fixture(scope="module")
def many(servers: Servers) -> ManyVersions:
    """Return the models, which are registered on both servers."""
    MANY.register(servers.staging, servers.production)
    return MANY


@pytest.fixture
def directory(tmp_path: Path, many: ManyVersions) -> Path:
    """Return a directory with a gates file that selects all models."""
    entry = {
        "select": {"server": "staging", "models": f"{many.prefix}*"},
        "against": {"server": "prod"},
    }
    (tmp_path / "gates.yaml").write_text(json.dumps({"gates": {ENTRY: entry}}))
    return tmp_path


@pytest.fixture
def environment(servers: Servers) -> dict[str, str]:
    return {
        f"{name}_MLFLOW_TRACKING_{variable}": value
        for name, server in (("STAGING", servers.staging), ("PROD", servers.production))
        for variable, value in (("URI", server.url), ("USERNAME", server.username), ("PASSWORD", server.password))
    }


def run(directory: Path, environment: dict[str, str], *options: str, name: str = "report", code: int = 2) -> Reports:
    """Run all gates, and return the report."""
    arguments = ("run", "gates.yaml", "--report-file", f"{name}.json", *options)
    result = commandline.run(*arguments, cwd=directory, environment=environment, timeout=600)
    assert result.returncode == code, result
    text = (directory / f"{name}.json").read_text()
    assert not [name for name, value in environment.items() if name.endswith("PASSWORD") and value in text]
    report: Reports = json.loads(text)
    return report


def results(report: Reports) -> dict[str, tuple[Any, ...]]:
    """Return what a run found of each gate, without times."""
    return {
        gate["name"]: (
            gate["status"],
            gate["passed"],
            gate["equivalent"],
            gate["reason"],
            _without_times(gate["report"]),
        )
        for gate in report["gates"]
    }


def _without_times(report: Reports) -> Reports:
    # The paths of scratch directories are random.
    text = json.dumps({key: value for key, value in report.items() if key != "system"})
    found: Reports = json.loads(_scratch_removed(text))
    return found


def _scratch_removed(text: str) -> str:
    return re.sub(r"model-gate-[A-Za-z0-9_]+", "model-gate-scratch", text)


def test_run_finds_exactly_what_differs(directory: Path, environment: dict[str, str], many: ManyVersions) -> None:
    report = run(directory, environment)
    by_status: dict[str, set[str]] = {}
    for gate in report["gates"]:
        by_status.setdefault(gate["status"], set()).add(gate["name"])
    number = "/1"
    assert by_status["different"] == {f"{ENTRY}/{many.name(each)}{number}" for each in (many.flipped, many.cut)}
    assert by_status["error"] == {f"{ENTRY}/{many.name(each)}{number}" for each in (many.missing, many.extra)}
    assert len(by_status["equal"]) == many.count - 3
    assert report["counts"]["gates"] == many.count + 1
    assert [gate["name"] for gate in report["gates"]] == sorted(gate["name"] for gate in report["gates"])


@pytest.mark.parametrize("jobs", ["1", "7"])
def test_number_of_jobs_does_not_change_the_report(directory: Path, environment: dict[str, str], jobs: str) -> None:
    assert results(run(directory, environment, "--jobs", jobs)) == results(run(directory, environment, name="other"))


def test_merged_shards_are_the_whole_run(directory: Path, environment: dict[str, str]) -> None:
    whole = run(directory, environment)
    for index in (3, 1, 2):
        arguments = ("run", "gates.yaml", "--shard", f"{index}/3", "--report-file", f"shards/{index}.json")
        commandline.run(*arguments, cwd=directory, environment=environment, timeout=600)
    merged = commandline.run("merge", "shards", "--report-file", "merged.json", cwd=directory)
    assert merged.returncode == 2, merged
    report = json.loads((directory / "merged.json").read_text())
    assert results(report) == results(whole)
    assert report["counts"] == whole["counts"]


def test_planned_shards_are_the_whole_run(directory: Path, environment: dict[str, str]) -> None:
    planned = commandline.run(
        *("plan", "gates.yaml", "--shards", "2", "--plan-file", "plan.json"), cwd=directory, environment=environment
    )
    matrix = json.loads(planned.stdout)["include"]
    assert [each["shard"] for each in matrix] == ["1/2", "2/2"]
    assert all(each["bytes"] > 0 for each in matrix), matrix
    for each in matrix:
        arguments = ("run", "gates.yaml", "--plan-file", "plan.json", "--shard", each["shard"])
        report_file = f"shards/{each['shard'][0]}.json"
        commandline.run(*arguments, "--report-file", report_file, cwd=directory, environment=environment)
    commandline.run("merge", "shards", "--report-file", "merged.json", cwd=directory)
    report = json.loads((directory / "merged.json").read_text())
    assert results(report) == results(run(directory, environment))


def test_missing_shard_is_an_error_of_the_run_and_of_its_gates(directory: Path, environment: dict[str, str]) -> None:
    arguments = ("run", "gates.yaml", "--shard", "1/2", "--report-file", "shards/1.json")
    commandline.run(*arguments, cwd=directory, environment=environment)
    merged = commandline.run("merge", "shards", "--report-file", "merged.json", cwd=directory)
    report = json.loads((directory / "merged.json").read_text())
    assert (merged.returncode, report["status"], report["passed"]) == (2, "error", False)
    assert "2/2" in report["error"]["message"]
    lost = [gate for gate in report["gates"] if "2/2" in gate["reason"]]
    assert len(lost) == len(report["gates"]) // 2
    assert {gate["status"] for gate in lost} == {"error"}


def test_killed_run_is_resumed_without_asking_for_finished_gates_again(
    directory: Path, environment: dict[str, str], many: ManyVersions
) -> None:
    whole = run(directory, environment, name="whole")
    with RecordingProxy() as proxy:
        variables = environment | proxy.environment
        finished = _killed_run(directory, variables)
        proxy.take()
        report = run(directory, variables, "--resume")
        requests = Counter(name for request in proxy.take() for name in set(_models_in(bytes(request.content))))
    assert results(report) == results(whole)
    assert 0 < len(finished) < many.count
    assert {name for name in finished if requests[name]} == set()
    compared = {many.name(number) for number in range(many.count)} - {many.name(many.missing)}
    assert {name for name in compared - finished if not requests[name]} == set()


def _killed_run(directory: Path, environment: dict[str, str]) -> set[str]:
    """Kill a run when some of its gates have ended, and return the names of the models of those."""
    process = _started(directory, environment)
    _await_rows(directory, process, random.randrange(4, 12))
    process.send_signal(signal.SIGKILL)
    process.wait()
    rows = directory / "report.rows.jsonl"
    kept = [json.loads(line) for line in rows.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
    return {row["name"].split("/")[1] for row in kept if row.get("status") in {"equal", "different"}}


def _models_in(request: bytes) -> list[str]:
    return re.findall(rf"{MANY.prefix}[0-9]{{4}}", request.decode(errors="replace"))


def test_terminated_run_reports_the_gates_that_have_ended_and_leaves_nothing_behind(
    directory: Path, environment: dict[str, str], many: ManyVersions
) -> None:
    scratch = directory / "scratch"
    scratch.mkdir()
    process = _started(directory, environment | {"TMPDIR": str(scratch)})
    _await_rows(directory, process, 5)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    assert process.wait(timeout=30) == 128 + signal.SIGTERM
    report = json.loads((directory / "report.json").read_text())
    assert (report["status"], report["passed"], report["error"]["type"]) == ("error", False, "StoppedError")
    assert 0 < len(report["gates"]) < many.count
    assert report["counts"]["unfinished"] == many.count + 1 - len(report["gates"])
    assert list(scratch.iterdir()) == []
    assert [worker for worker in workers if worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE] == []


def test_run_of_many_gates_imports_mlflow_once(directory: Path, environment: dict[str, str]) -> None:
    process = _started(directory, environment)
    started: set[int] = set()
    while process.poll() is None:
        with suppress(psutil.NoSuchProcess):
            started |= {child.pid for child in psutil.Process(process.pid).children()}
        time.sleep(0.02)
    # The second worker is a fork of the first.
    assert len(started) == 1


def test_gates_of_a_run_send_no_more_requests_than_one_by_one(
    tmp_path: Path, environment: dict[str, str], many: ManyVersions
) -> None:
    names = [many.name(number) for number in (0, 1, 2)]
    sides = {
        name: {
            f"tracking_server_{number}": {"server": server, "model": name, "version_or_stage": "1"}
            for number, server in enumerate(("staging", "prod"), 1)
        }
        for name in names
    }
    (tmp_path / "gates.yaml").write_text(json.dumps({"gates": sides}))
    (tmp_path / "one.yaml").write_text(json.dumps(sides[names[0]]))
    with RecordingProxy() as proxy:
        variables = environment | proxy.environment
        commandline.run("compare", "one.yaml", cwd=tmp_path, environment=variables)
        one = len(proxy.take())
        assert run(tmp_path, variables, code=0)["counts"]["equal"] == len(names)
        assert len(proxy.take()) <= one * len(names)


def _started(directory: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [commandline.BIN / "model-gate", "run", "gates.yaml", "--report-file", "report.json", "--jobs", "1"],
        cwd=directory,
        env=commandline.clean_environment() | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _await_rows(directory: Path, process: subprocess.Popen[bytes], lines: int) -> None:
    """Wait until the file of the rows has so many lines, or the run ends."""
    rows = directory / "report.rows.jsonl"
    while process.poll() is None and (not rows.exists() or rows.read_bytes().count(b"\n") < lines):
        time.sleep(0.01)

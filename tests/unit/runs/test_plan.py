"""Plans of shards: what their listings do after an error and after a signal, and how a plan is shown and written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, cast

import pytest

from model_gate.access.declared import Declarations
from model_gate.domain.gates import Entry, Gate
from model_gate.domain.request import CheckRequest, VersionRequest
from model_gate.errors import InputError, UnreachableError
from model_gate.gate import Shared
from model_gate.reporting.plan_reporter import TerminalPlanReporter
from model_gate.reporting.run_files import PlanFile
from model_gate.runs.gate_list import GateList
from model_gate.runs.plan import Plan, make_plan, part_of, plan_text, read_plan
from model_gate.runs.plan_command import PlanCommand, run_plan
from model_gate.signals import Interrupted
from model_gate.sources.server_pool import ServerPool

HOST = Declarations({}).option("https://mlflow.example.com", "--host")
NAMES = ["a", "b", "c"]


class Servers:
    """Stands in for the clients of servers."""

    allow_local_artifacts = False

    def __init__(self, clients: Callable[[], NoReturn]) -> None:
        self._clients = clients
        self.is_closed = threading.Event()

    def clients(self, _: Sequence[object]) -> NoReturn:
        self._clients()

    def close(self) -> None:
        self.is_closed.set()

    @property
    def shared(self) -> Shared:
        return Shared(cast("ServerPool", self))


def gate(name: str) -> Gate:
    request = CheckRequest(VersionRequest(HOST, name, "1"))
    return Gate(name, Entry(name, "gates.yaml", 1, ""), request)


@pytest.mark.parametrize("error", [OSError("no process"), UnreachableError("no answer"), ZeroDivisionError("defect")])
def test_gate_that_cannot_be_listed_has_no_bytes(error: Exception) -> None:
    def fail() -> NoReturn:
        raise error

    plan = make_plan({name: gate(name) for name in NAMES}, 2, Servers(fail).shared, 2)
    assert plan.sizes == dict.fromkeys(NAMES, 0)
    assert sorted(name for part in plan.parts for name in part) == NAMES


def test_signal_ends_the_workers_and_the_listings_that_have_not_begun() -> None:
    begun: list[int] = []

    def wait() -> NoReturn:
        begun.append(1)
        assert servers.is_closed.wait(30)
        raise UnreachableError("the worker has ended")

    class Gates(dict[str, Gate]):
        """The signal arrives after all listings were submitted."""

        def __iter__(self) -> Any:
            raise Interrupted(2)

    servers = Servers(wait)
    with pytest.raises(Interrupted):
        make_plan(Gates({str(number): gate(str(number)) for number in range(100)}), 2, servers.shared, 1)
    assert servers.is_closed.is_set()
    assert len(begun) == 1


def test_written_plan_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plan = Plan((("a", "c"), ("b",)), {"a": 1, "b": 2, "c": 3})
    PlanFile(Path("plan.json")).write(plan_text(plan))
    assert read_plan(Path("plan.json")) == plan
    assert part_of(NAMES, "1/2", Path("plan.json")).names == ("a", "c")


def test_part_without_a_plan_has_every_nth_gate() -> None:
    assert part_of(NAMES, "2/2", None).names == ("b",)
    assert part_of(NAMES, "", None).names == tuple(NAMES)


def test_plan_without_a_shard_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--plan-file is given without --shard"):
        part_of(NAMES, "", tmp_path / "plan.json")


def test_notices_of_a_plan_are_printed_without_secrets(capfd: pytest.CaptureFixture[str]) -> None:
    command = PlanCommand(lambda: GateList((), notices=("topsecret is old.",)), 1, 1, secrets=("topsecret",))
    assert run_plan(command, TerminalPlanReporter(is_verbose=False)) == 0
    output = capfd.readouterr()
    assert output.err == "warning: *** is old.\n"
    assert output.out == '{"include":[{"shard":"1/1","number":1,"gates":0,"bytes":0}]}\n'


@pytest.mark.parametrize("is_verbose", [False, True])
def test_defect_in_a_plan_is_an_error_without_secrets(is_verbose: bool, capfd: pytest.CaptureFixture[str]) -> None:
    def load() -> NoReturn:
        raise ZeroDivisionError("topsecret")

    command = PlanCommand(load, 1, 1, secrets=("topsecret",))
    assert run_plan(command, TerminalPlanReporter(is_verbose=is_verbose)) == 2
    errors = capfd.readouterr().err
    assert "ZeroDivisionError: ***" in errors
    assert ("Traceback" in errors) is is_verbose
    assert "topsecret" not in errors

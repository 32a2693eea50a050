"""The list of gates that a run has."""

from __future__ import annotations

from model_gate.inputs.gates_file import parse_gates
from model_gate.inputs.options import CommonOptions
from model_gate.runs.gate_list import gate_list


def test_each_undeclared_server_of_gates_and_selections_is_named_once() -> None:
    text = """
    gates:
      check: {check: {host: "https://a.example.com", model: Wine, version_or_stage: 1}}
      again: {check: {host: "https://a.example.com", model: Wine, version_or_stage: 2}}
      select: {select: {host: "https://b.example.com", models: "*"}, against: run_model}
    """
    notices = gate_list(parse_gates([("gates.yaml", text)], CommonOptions(), {})).notices
    assert [notice.partition(",")[0] for notice in notices] == [
        "The gates file names https://a.example.com",
        "The gates file names https://b.example.com",
    ]

"""The list of gates that a run has."""

from __future__ import annotations

import pytest

from model_gate.domain.gates import Gate
from model_gate.errors import InputError
from model_gate.inputs.gates_file import parse_gates
from model_gate.inputs.options import CommonOptions
from model_gate.runs.gate_list import chosen, gate_list


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


def test_misspelled_name_in_only_gets_a_suggestion() -> None:
    check = '{check: {host: "https://a.example.com", model: Wine, version_or_stage: 1}}'
    file = parse_gates([("gates.yaml", f"gates: {{wine: {check}, churn: {check}}}")], CommonOptions(), {})
    for only, remedy in ((["wien"], "Did you mean wine?"), (["wien", "churn"], "Did you mean wine?")):
        listed = gate_list(file, only)
        with pytest.raises(InputError, match="--only names wien, which is no gate") as caught:
            chosen([entry for entry in listed.entries if isinstance(entry, Gate)], listed)
        assert caught.value.remedy == remedy
    listed = gate_list(file, ["unlike"])
    with pytest.raises(InputError) as caught:
        chosen([], listed)
    assert caught.value.remedy == "Name one of churn, wine. Globs have no meaning here."

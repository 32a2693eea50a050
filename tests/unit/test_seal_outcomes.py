"""Outcomes with a seal in the report, the terminal text, and the outputs and summary of the action."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_gate import gate
from model_gate.access.redaction import Redactor
from model_gate.action.annotations import annotations_for
from model_gate.action.inputs import Inputs
from model_gate.action.outputs import outputs_of
from model_gate.action.summary import summary
from model_gate.comparison.progress import NoProgress
from model_gate.domain.request import CheckRequest, SealRequest, VerifyRequest
from model_gate.domain.result import Outcome
from model_gate.domain.verdict import Status, exit_code
from model_gate.errors import InputError
from model_gate.inputs.options import CommonOptions, SealOptions, VersionOptions, seal_request, verify_request
from model_gate.reporting.report import build_report, validate_report
from model_gate.reporting.system import system_facts
from model_gate.reporting.terminal import verdict_text
from tests.support.seals import FILES, write_seal

NOTHING = VersionOptions("", "")
HOST = "https://mlflow.example.com"


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "model"
    root.mkdir()
    for path, content in FILES.items():
        (root / path).write_bytes(content)
    return root


def texts(outcome: Outcome) -> tuple[str, str, dict[str, str]]:
    """Return terminal text, summary and outputs of an outcome, after its report is validated."""
    redactor = Redactor()
    if outcome.request is None:
        raise AssertionError
    validate_report(build_report(outcome.request.command, outcome, {}, redactor, system_facts()))
    return verdict_text(outcome, None), summary(outcome, "r.json", redactor), outputs_of(outcome, "r.json", redactor)


def sealed(model: Path) -> Outcome:
    return gate.run(seal_request(NOTHING, str(model), Path("s.json"), CommonOptions(), {}), {}, NoProgress())


def verified(model: Path) -> Outcome:
    seal = write_seal(Path("wine.json"), "Wine")
    return gate.run(verify_request(NOTHING, str(model), SealOptions(seal), CommonOptions(), {}), {}, NoProgress())


def test_sealed_model_counts_as_passed_and_not_as_equal(model: Path) -> None:
    outcome = sealed(model)
    assert (outcome.status, outcome.equals, outcome.passed) == (Status.SEALED, None, True)
    assert exit_code(outcome.status, passed=outcome.passed) == 0
    text, markdown, outputs = texts(outcome)
    assert outcome.seal is not None
    assert "SEALED: s.json" in text
    assert "EQUAL" not in text
    assert outcome.seal.statement.root in text
    assert "The model is sealed" in markdown
    assert (outputs["status"], outputs["equals"], outputs["passed"]) == ("sealed", "", "true")
    assert (outputs["seal-file"], outputs["seal-digest"]) == ("s.json", outcome.seal.statement.root)
    assert annotations_for(outcome, config_file="", fails_on_difference=True) == []


def test_failed_seal_is_an_error(model: Path) -> None:
    for file in model.iterdir():
        file.unlink()
    outcome = sealed(model)
    assert (outcome.status, outcome.passed, outcome.seal) == (Status.ERROR, False, None)
    assert outputs_of(outcome, "", Redactor())["seal-digest"] == ""


def test_verified_model_is_equal(model: Path) -> None:
    text, markdown, outputs = texts(verified(model))
    assert text.endswith("EQUAL")
    assert "seal wine.json of Wine version 1" in text
    assert "seal wine.json of Wine version 1" in markdown
    assert (outputs["status"], outputs["equals"], outputs["differences"]) == ("equal", "true", "0")


def test_changed_model_is_different_from_its_seal(model: Path) -> None:
    (model / "model.pkl").write_bytes(b"modem")
    outcome = verified(model)
    assert (outcome.status, outcome.passed) == (Status.DIFFERENT, False)
    text, markdown, outputs = texts(outcome)
    assert "model.pkl: other bytes, sha256 " in text
    assert "The model is not what was sealed" in markdown
    assert (outputs["status"], outputs["differences"]) == ("different", "1")
    (annotation,) = annotations_for(outcome, config_file="", fails_on_difference=True)
    assert "model.pkl" in annotation.message


def inputs(tmp_path: Path, **values: str) -> Inputs:
    named = {f"INPUT_{name.replace('_', '-').upper()}": value for name, value in values.items()}
    return Inputs({"GITHUB_WORKSPACE": str(tmp_path), "MLFLOW_TRACKING_URI": HOST, **named})


def test_inputs_of_the_action_select_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_seal(tmp_path / "wine.json", "Wine")
    version = {"model": "Wine", "version_or_stage": "1"}
    seal = inputs(tmp_path, command="seal", output="seals/a.json", **version).request()
    assert isinstance(seal, SealRequest)
    assert seal.output == Path("seals/a.json")
    verify = inputs(tmp_path, command="verify", seal="wine.json", **version).request()
    assert isinstance(verify, VerifyRequest)
    assert verify.hosts[0].address == HOST
    check = inputs(tmp_path, seal="wine.json", **version).request()
    assert isinstance(check, CheckRequest)
    assert check.seal is not None
    local = inputs(tmp_path, command="verify", seal="wine.json", uri="./model").request()
    assert local.hosts == ()


@pytest.mark.parametrize(
    "values, message",
    [
        ({"command": "seal", "uri": "m", "output": "../seal.json"}, "outside the workspace"),
        ({"command": "verify", "uri": "m", "seal": "/etc/passwd"}, "outside the workspace"),
        ({"command": "verify", "uri": "m"}, "'seal' is not set"),
        ({"command": "seal", "seal": "wine.json", "uri": "m"}, "'seal' is not for seal"),
        ({"command": "verify", "seal": "wine.json"}, "'model' is not set"),
        ({"command": "compare", "config": "{}", "seal": "wine.json"}, "'seal' is not for compare"),
        ({"command": "diff"}, "'command' is 'diff'"),
    ],
)
def test_inputs_of_the_action_that_a_seal_cannot_use_are_an_error(
    tmp_path: Path, values: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        inputs(tmp_path, **values).request()

"""Outcomes with a seal in the report, the terminal text, and the outputs and summary of the action."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from model_gate import gate
from model_gate.access.redaction import Redactor
from model_gate.action.annotations import annotations_for
from model_gate.action.inputs import Inputs
from model_gate.action.outputs import WrittenFiles, outputs_of
from model_gate.action.reporter import WorkflowReporter
from model_gate.action.step import run_step
from model_gate.action.step_files import StepFiles
from model_gate.action.summary import summary
from model_gate.comparison.progress import NoProgress
from model_gate.domain.request import CheckRequest, Request, SealRequest, VerifyRequest
from model_gate.domain.result import Outcome
from model_gate.domain.roles import CommandName, ComparisonName, VersionRole
from model_gate.domain.seal import parse_seal
from model_gate.domain.verdict import Status, exit_code
from model_gate.errors import InputError, ModelError, SealError
from model_gate.inputs.compare_file import parse_config
from model_gate.inputs.options import (
    CommonOptions,
    CompareOptions,
    SealOptions,
    VersionOptions,
    check_request,
    compare_config_request,
    compare_request,
    seal_request,
    verify_request,
)
from model_gate.reporting.naming import open_question
from model_gate.reporting.output_files import SealFile
from model_gate.reporting.report import build_report, validate_report
from model_gate.reporting.system import system_facts
from model_gate.reporting.terminal import verdict_text
from model_gate.runner import Command, run_command
from tests.support.action_outcomes import comparison, resolved
from tests.support.faulty_server import MODEL, FaultyServer
from tests.support.reports import Json, read_report
from tests.support.seals import FILES, seal_of, write_seal

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
    return (
        verdict_text(outcome, None),
        summary(outcome, "r.json", redactor),
        outputs_of(outcome, WrittenFiles(), redactor),
    )


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
    assert outputs["seal-digest"] == outcome.seal.statement.root
    assert annotations_for(outcome, config_file="", fails_on_difference=True) == []


def test_failed_seal_is_an_error(model: Path) -> None:
    for file in model.iterdir():
        file.unlink()
    outcome = sealed(model)
    assert (outcome.status, outcome.passed, outcome.seal) == (Status.ERROR, False, None)
    assert isinstance(outcome.error, ModelError)
    assert outcome.error.message.startswith("There are no files at ")
    assert outputs_of(outcome, WrittenFiles(), Redactor())["seal-digest"] == ""


def test_verified_model_is_equal(model: Path) -> None:
    text, markdown, outputs = texts(verified(model))
    assert text.endswith("EQUAL")
    assert "unsigned seal wine.json of 'Wine' version '1'" in text
    assert "unsigned seal wine.json of 'Wine' version '1'" in markdown
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


@pytest.mark.parametrize("path", ["MLmodel", "model.pkl"])
def test_missing_file_of_a_sealed_model_is_a_difference_also_if_it_is_mlmodel(model: Path, path: str) -> None:
    with FaultyServer() as server:
        server.add("Wine", {name: content for name, content in FILES.items() if name != path})
        seal = write_seal(Path("wine.json"), "Wine")
        version = VersionOptions("Wine", "1", server.url)
        config = parse_config(
            "tracking_server_1: {seal: wine.json}\n"
            f"tracking_server_2: {{host: {server.url}, model: Wine, version_or_stage: 1}}",
            "c",
            {},
        )
        requests: list[Request] = [
            verify_request(version, "", SealOptions(seal), CommonOptions(), {}),
            check_request(version, CommonOptions(), {}, SealOptions(seal)),
            check_request(version, CommonOptions(fail_on_same_location=True), {}, SealOptions(seal)),
            compare_config_request(config, CompareOptions(), CommonOptions()),
        ]
        for request in requests:
            outcome = gate.run(request, os.environ, NoProgress())
            assert (outcome.status, outcome.passed) == (Status.DIFFERENT, False), outcome.error
            (difference,) = list(outcome.comparisons.values())[-1].differences
            assert (difference.path, str(difference.kind)) == (path, "only_left")
        other = "model.pkl" if path == "MLmodel" else "MLmodel"
        native = VersionOptions("Wine", "1", server.url, native_model=other)
        request = verify_request(native, "", SealOptions(seal), CommonOptions(), {})
        outcome = gate.run(request, os.environ, NoProgress())
        assert outcome.status is Status.EQUAL, outcome.error
        (comparison,) = outcome.comparisons.values()
        assert comparison.rest is not None
        assert [each.path for each in comparison.rest.differences] == [path]


def test_one_location_is_an_error_of_a_check_only_without_a_seal(model: Path) -> None:
    seal = write_seal(Path("wine.json"), "Wine")
    with FaultyServer() as server:
        server.add("Wine", FILES)
        version, common = VersionOptions("Wine", "1", server.url), CommonOptions(fail_on_same_location=True)
        with_seal = gate.run(check_request(version, common, {}, SealOptions(seal)), os.environ, NoProgress())
        alone = gate.run(check_request(version, common, {}), os.environ, NoProgress())
    assert with_seal.status is Status.EQUAL, with_seal.error
    assert (alone.status, alone.error and alone.error.type) == (Status.ERROR, "ModelError")


def test_seal_of_a_models_uri_has_the_name_and_the_number_of_the_version(model: Path) -> None:
    with FaultyServer() as server:
        server.add("Wine", FILES)
        host = VersionOptions("", "", server.url)
        request = seal_request(host, "models:/Wine/1", Path("s.json"), CommonOptions(), {})
        outcome = gate.run(request, os.environ, NoProgress())
    assert outcome.seal is not None, outcome.error
    assert outcome.seal.facts is not None
    facts = outcome.seal.facts
    assert (outcome.seal.statement.name, facts.registered_model, facts.model_version) == ("Wine", "Wine", "1")
    assert facts.tracking_server == server.url


def test_error_of_a_check_with_a_seal_names_the_seal_as_not_decided(model: Path) -> None:
    seal = write_seal(Path("wine.json"), "Wine")
    request = check_request(VersionOptions("Wine", "1", HOST), CommonOptions(), {}, SealOptions(seal))
    outcome = Outcome(request, error=InputError("m", "r"))
    assert open_question(outcome).endswith("equals the model that its run logged and the seal wine.json")


@pytest.mark.parametrize(
    "command, name, value",
    [
        ("seal", "fail_on_difference", "false"),
        ("seal", "fail_fast", "true"),
        ("seal", "fail_on_same_location", "true"),
        ("seal", "allow_hosts", HOST),
        ("verify", "fail_on_same_location", "true"),
        ("verify", "allow_hosts", HOST),
        ("check", "allow_hosts", HOST),
    ],
)
def test_input_that_the_command_does_not_use_is_an_error_unless_it_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, name: str, value: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_seal(Path("wine.json"), "Wine")
    given = {"command": command, "model": "Wine", "version_or_stage": "1"}
    given |= {"seal": "wine.json"} if command == "verify" else {}
    defaults = {"fail_on_difference": "true", "fail_fast": "false", "fail_on_same_location": "false"}
    assert inputs(tmp_path, **given, **defaults).request().hosts
    with pytest.raises(InputError, match=f"The input {name.replace('_', '-')!r} is not for {command}"):
        inputs(tmp_path, **given, **{name: value}).request()


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
        ({"command": "seal", "uri": "/etc"}, "'uri' names /etc, which is outside the workspace"),
        ({"command": "seal", "uri": "file:///etc"}, "'uri' names file:///etc, which is outside the workspace"),
        ({"command": "seal", "uri": "file:/etc"}, "outside the workspace"),
        ({"command": "verify", "uri": "model/../../other", "seal": "s.json"}, "outside the workspace"),
        ({"command": "seal", "seal": "wine.json", "uri": "m"}, "'seal' is not for seal"),
        ({"command": "verify", "seal": "wine.json"}, "'model' is not set"),
        ({"command": "compare", "config": "{}", "seal": "wine.json"}, "'seal' is not for compare"),
        ({"command": "diff"}, "'command' is 'diff'"),
    ],
)
def test_invalid_inputs_of_seal_and_verify_are_rejected(tmp_path: Path, values: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        inputs(tmp_path, **values).request()


def test_seal_whose_name_contains_a_secret_is_not_written(model: Path) -> None:
    seal = seal_of(FILES, "Wine_hunter22")
    file = SealFile(model.parent / "s.json")
    for secret in ("hunter22", "Wine_hunter22"):
        with pytest.raises(SealError, match="contains a secret"), file.staged(seal, Redactor([secret])):
            raise AssertionError
    assert os.listdir(model.parent) == ["model"]
    with file.staged(seal, Redactor(["other-secret"])) as put:
        put()
    assert parse_seal((model.parent / "s.json").read_bytes(), "s.json").registered_model == "Wine_hunter22"


@pytest.mark.parametrize("path", ["key-hunter22.txt", "hunter22/model.pkl", "key-hunter22.txt.d/a"])
def test_seal_whose_path_contains_a_secret_is_not_written(path: str, tmp_path: Path) -> None:
    seal = seal_of({**FILES, path: b"content"})
    file = SealFile(tmp_path / "s.json")
    redactor = Redactor(["hunter22"])
    with pytest.raises(SealError, match="path of a file contains a secret") as caught, file.staged(seal, redactor):
        raise AssertionError
    assert "hunter22" not in caught.value.message
    assert os.listdir(tmp_path) == []


def test_short_secret_that_is_a_path_by_chance_does_not_stop_a_seal(tmp_path: Path) -> None:
    with SealFile(tmp_path / "s.json").staged(seal_of({**FILES, "model": b"content"}), Redactor(["model"])) as put:
        put()
    assert os.listdir(tmp_path) == ["s.json"]


@pytest.mark.parametrize("change", ["not: [valid", "tracking_server_1: {seal: report.json}", "edited seal"])
def test_invalid_compare_never_replaces_the_seal_that_it_names(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    seal = write_seal(Path("report.json"), "Wine")
    if change == "edited seal":
        seal.write_bytes(seal.read_bytes().replace(b"Wine", b"Beer"))
        change = f"""tracking_server_1: {{seal: report.json}}
tracking_server_2: {{host: {HOST}, model: Wine, version_or_stage: 1}}"""
    before = seal.read_bytes()
    Path("p.yaml").write_text(change)
    files = (Path("p.yaml"),)
    command = Command(
        CommandName.COMPARE,
        {},
        lambda: compare_request(files, CompareOptions(), CommonOptions(), {}),
        Path("report.json"),
        inputs=files,
    )
    assert run_command(command) == 2
    assert seal.read_bytes() == before


def test_seal_of_a_valid_compare_is_not_replaced_by_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    seal = write_seal(Path("report.json"), "Wine")
    before = seal.read_bytes()
    text = f"""tracking_server_1: {{seal: report.json}}
tracking_server_2: {{host: {HOST}, model: Wine, version_or_stage: 1}}"""
    request = compare_config_request(parse_config(text, "c", {}), CompareOptions(), CommonOptions())

    def fail(*_: object) -> NoReturn:
        raise AssertionError("the gate must not start")

    assert run_command(Command(CommandName.COMPARE, {}, lambda: request, Path("report.json")), run_gate=fail) == 2
    assert seal.read_bytes() == before


def run_seal(model: Path, during_gate: Callable[[], None]) -> tuple[int, Json | None]:
    """Run `seal` with the output `s.json`, and return the exit code and the report. It calls a function in the gate."""
    request = seal_request(NOTHING, str(model), Path("s.json"), CommonOptions(), {})

    def run_gate(*arguments: Any) -> Outcome:
        outcome = gate.run(*arguments)
        during_gate()
        return outcome

    code = run_command(Command(CommandName.SEAL, {}, lambda: request, Path("report.json")), run_gate=run_gate)
    return code, read_report(Path("report.json"), code) if Path("report.json").is_file() else None


def test_seal_and_report_in_one_file_are_an_error_that_keeps_the_old_seal(
    model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_seal(Path("report.json"), "Old")
    old = Path("report.json").read_bytes()
    for output in (Path("report.json"), model.parent / "report.json", Path("x/../report.json")):
        request = seal_request(NOTHING, str(model), output, CommonOptions(), {})
        assert run_command(Command(CommandName.SEAL, {}, lambda: request, Path("report.json"))) == 2  # noqa: B023
        assert "--output and --report-file name the same file" in capfd.readouterr().err
        assert Path("report.json").read_bytes() == old


def test_seal_is_not_written_if_the_report_cannot_be_written(model: Path) -> None:
    write_seal(Path("s.json"), "Old")
    code, report = run_seal(model, Path("report.json").mkdir)
    assert (code, report) == (2, None)
    assert parse_seal(Path("s.json").read_bytes(), "s.json").registered_model == "Old"
    Path("report.json").rmdir()
    code, report = run_seal(model, lambda: None)
    assert (code, report and report["status"]) == (0, "sealed")
    assert parse_seal(Path("s.json").read_bytes(), "s.json").registered_model == ""
    assert sorted(os.listdir()) == ["model", "report.json", "s.json"]


def test_report_does_not_say_that_the_model_is_sealed_if_the_seal_cannot_be_written(model: Path) -> None:
    code, report = run_seal(model, Path("s.json").mkdir)
    assert code == 2
    assert report is not None
    assert (report["status"], report["error"]["type"], report.get("seal")) == ("error", "StorageError", None)
    assert sorted(os.listdir()) == ["model", "report.json", "s.json"]


def outputs_of_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **values: str) -> dict[str, str]:
    """Run a step of the action in the working directory, and return the outputs of the last write."""
    named = {f"INPUT_{name.replace('_', '-').upper()}": value for name, value in values.items()}
    outputs = tmp_path / "outputs.txt"
    for name, value in {"GITHUB_WORKSPACE": str(Path.cwd()), "GITHUB_OUTPUT": str(outputs), **named}.items():
        monkeypatch.setenv(name, value)
    run_step()
    return outputs_in(outputs)


def outputs_in(file: Path) -> dict[str, str]:
    """Return the last value of each output in a file that the runner reads."""
    entries = re.findall(r"^([\w-]+)<<(end-\w+)\n(.*?)\n\2$", file.read_text(), re.MULTILINE | re.DOTALL)
    return {name: value for name, _, value in entries}


def test_outputs_name_only_files_that_the_step_has_written(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = outputs_of_step(tmp_path, monkeypatch, command="seal", uri="model", output="seals/s.json")
    root = parse_seal(Path("seals/s.json").read_bytes(), "").statement.root
    assert (sealed["status"], sealed["seal-file"], sealed["seal-digest"]) == ("sealed", "seals/s.json", root)
    values = {"command": "verify", "uri": "model", "seal": "seals/s.json"}
    verified = outputs_of_step(tmp_path, monkeypatch, **values, statement_file="statement.json")
    assert (verified["status"], verified["seal-file"], verified["seal-digest"]) == ("equal", "", root)
    assert (verified["statement-file"], verified["subject-digest"]) == ("statement.json", f"sha256:{root}")
    (model / "model.pkl").write_bytes(b"modem")
    changed = outputs_of_step(tmp_path, monkeypatch, **values, statement_file="statement.json")
    assert (changed["status"], changed["statement-file"], changed["seal-digest"]) == ("different", "", root)


def test_failed_statement_leaves_no_output_about_the_seal(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = CommonOptions(writes_statement=True)
    request = verify_request(NOTHING, str(model), SealOptions(write_seal(Path("wine.json"))), common, {})

    def run_gate(*arguments: Any) -> Outcome:
        outcome = gate.run(*arguments)
        assert outcome.passed
        Path("statement.json").mkdir()
        return outcome

    outputs = tmp_path / "outputs.txt"
    reporter = WorkflowReporter(Inputs({}), StepFiles({"GITHUB_OUTPUT": str(outputs)}))
    command = Command(
        CommandName.VERIFY, {}, lambda: request, Path("report.json"), statement_file=Path("statement.json")
    )
    assert run_command(command, reporter, run_gate=run_gate) == 2
    written = outputs_in(outputs)
    assert (written["status"], written["report-file"]) == ("error", "report.json")
    assert {written[name] for name in ("seal-file", "seal-digest", "statement-file", "subject-digest")} == {""}


@pytest.mark.parametrize("is_seal_left", [True, False])
@pytest.mark.usefixtures("model")
def test_outputs_of_a_compare_with_a_seal_are_numbered_by_side(is_seal_left: bool) -> None:
    server, sealed = "{host: https://h.example.com, model: Wine, version_or_stage: 3}", "{seal: wine.json, model: W0}"
    left, right = (sealed, server) if is_seal_left else (server, sealed)
    write_seal(Path("wine.json"), "W0")
    config = parse_config(f"tracking_server_1: {left}\ntracking_server_2: {right}", "c", {})
    request = compare_config_request(config, CompareOptions(), CommonOptions())
    role = VersionRole.TRACKING_SERVER_2 if is_seal_left else VersionRole.TRACKING_SERVER_1
    outcome = Outcome(request, {role: resolved("Wine", "3")}, {ComparisonName.REG_MODELS: comparison()})
    outputs = outputs_of(outcome, WrittenFiles(), Redactor())
    number, other = ("2", "1") if is_seal_left else ("1", "2")
    assert [outputs[f"{name}-{number}"] for name in ("model", "version", "run")] == ["Wine", "3", "f" * 32]
    assert {outputs[f"{name}-{other}"] for name in ("model", "version", "run")} == {""}
    # The two sides have two names.
    assert (outputs["model"], outputs["version"]) == ("", "")


def test_outputs_of_a_sealed_version_name_it(model: Path) -> None:
    with FaultyServer() as server:
        server.add("Wine", MODEL)
        request = seal_request(VersionOptions("Wine", "1", server.url), "", Path("s.json"), CommonOptions(), {})
        outcome = gate.run(request, os.environ, NoProgress())
    outputs = outputs_of(outcome, WrittenFiles(), Redactor())
    assert (outputs["status"], outputs["model"], outputs["version"]) == ("sealed", "Wine", "1")

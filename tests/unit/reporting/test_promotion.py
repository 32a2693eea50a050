from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from model_gate.access.redaction import Redactor
from model_gate.domain.ignore import checked_ignore
from model_gate.domain.location import Location
from model_gate.domain.request import ConfigFile, DiffRequest, GateOptions
from model_gate.domain.result import Comparison, Outcome
from model_gate.domain.roles import CommandName, ComparisonName, VersionRole
from model_gate.domain.seal import Seal, SealFacts
from model_gate.domain.verdict import Require
from model_gate.domain.wording import printable
from model_gate.errors import InternalError, ModelError
from model_gate.formats.model_signing import Resource, Statement, root_digest
from model_gate.reporting.promotion import build_statement, subject_digest
from model_gate.reporting.report import build_report
from model_gate.reporting.system import system_facts
from model_gate.runner import Command, run_command
from tests.support.action_outcomes import HOSTILE
from tests.support.outcomes import IDENTITY, check_outcome, compare_outcome, comparison, diff_outcome
from tests.support.paths import SCHEMAS
from tests.support.reports import Json, read_report
from tests.support.seals import root_of

# The order of the paths by code point is `a-b`, `a/b`. By the parts of the path it would be `a/b`, `a-b`.
FILES = {"MLmodel": b"run_id: " + b"1a" * 16 + b"\n", "a-b": b"first", "a/b": b"second", "a/\u00e9": b"third"}
LEFT, RIGHT = "1" * 64, "2" * 64
WORKFLOW = {
    "GITHUB_SERVER_URL": "https://github.example.com",
    "GITHUB_REPOSITORY": "ml/models",
    "GITHUB_RUN_ID": "42",
    "GITHUB_RUN_ATTEMPT": "3",
    "GITHUB_SHA": "c0ffee",
    "GITHUB_REF": "refs/heads/main",
    "GITHUB_WORKFLOW_REF": "ml/models/.github/workflows/gate.yml@refs/heads/main",
}


def make_model(directory: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        file = directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def diff(directory: Path, left: Mapping[str, bytes], right: Mapping[str, bytes], **options: Any) -> tuple[int, Json]:
    """Diff two directories with a statement file, and return the exit code and the report."""
    for name, files in (("left", left), ("right", right)):
        make_model(directory / name, files)
    request = DiffRequest(
        str(directory / "left"), str(directory / "right"), options=GateOptions(writes_statement=True, **options)
    )
    command = Command(
        CommandName.DIFF, {}, lambda: request, directory / "report.json", statement_file=directory / "statement.json"
    )
    exit_code = run_command(command)
    return exit_code, read_report(directory / "report.json", exit_code)


def read_statement(directory: Path) -> Json:
    statement: Json = json.loads((directory / "statement.json").read_text("utf-8"))
    require_valid(statement)
    return statement


def require_valid(statement: Json) -> None:
    schema = json.loads((SCHEMAS / "promotion.schema.json").read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema, format_checker=FormatChecker()).validate(statement)


def with_roots(compared: Comparison, **changes: Any) -> Comparison:
    left, right = replace(compared.left, root=LEFT), replace(compared.right, root=RIGHT)
    return replace(compared, left=left, right=right, **changes)


def state(outcome: Outcome, environment: Mapping[str, str] | None = None, redactor: Redactor | None = None) -> Json:
    redactor = redactor or Redactor(())
    assert outcome.request is not None
    report = build_report(outcome.request.command, outcome, {}, redactor, system_facts())
    statement = build_statement(outcome, report, "3" * 64, redactor, environment or {})
    require_valid(statement)
    return statement


def test_statement_has_the_roots_of_the_specification_and_the_digest_of_the_report(tmp_path: Path) -> None:
    exit_code, _ = diff(tmp_path, FILES, FILES)
    statement = read_statement(tmp_path)
    assert exit_code == 0
    assert statement["subject"] == [{"name": "right", "digest": {"sha256": root_of(FILES)}}]
    predicate = statement["predicate"]
    assert (
        predicate["report"]["digest"]["sha256"] == hashlib.sha256((tmp_path / "report.json").read_bytes()).hexdigest()
    )
    assert predicate["comparisons"]["comparison"]["left"]["root"]["sha256"] == root_of(FILES)
    assert (predicate["status"], predicate["require"]) == ("equal", "identical")


def test_equivalent_models_are_stated_as_different_with_both_roots(tmp_path: Path) -> None:
    right = FILES | {"MLmodel": b"run_id: " + b"2b" * 16 + b"\n"}
    exit_code, _ = diff(tmp_path, FILES, right, require=Require.EQUIVALENT)
    statement = read_statement(tmp_path)
    predicate, compared = statement["predicate"], statement["predicate"]["comparisons"]["comparison"]
    assert exit_code == 0
    assert (predicate["status"], predicate["equals"], predicate["equivalent"]) == ("different", False, True)
    assert (compared["equals"], compared["differences"]) == (False, 1)
    assert (compared["left"]["root"]["sha256"], compared["right"]["root"]["sha256"]) == (root_of(FILES), root_of(right))
    assert statement["subject"][0]["digest"]["sha256"] == root_of(right)


def test_gate_that_does_not_pass_leaves_no_statement(tmp_path: Path) -> None:
    assert diff(tmp_path, FILES, FILES)[0] == 0
    assert (tmp_path / "statement.json").exists()
    assert diff(tmp_path, FILES, FILES | {"a-b": b"other"})[0] == 1
    assert not (tmp_path / "statement.json").exists()


def test_error_before_the_gate_removes_the_statement_of_an_earlier_gate(tmp_path: Path) -> None:
    assert diff(tmp_path, FILES, FILES)[0] == 0
    (tmp_path / "right" / "fifo").unlink(missing_ok=True)
    os.mkfifo(tmp_path / "right" / "fifo")
    assert diff(tmp_path, FILES, FILES)[0] == 2
    assert not (tmp_path / "statement.json").exists()


def test_one_location_cannot_be_stated(tmp_path: Path) -> None:
    make_model(tmp_path / "model", FILES)
    model = str(tmp_path / "model")
    request = DiffRequest(model, model, options=GateOptions(writes_statement=True))
    command = Command(
        CommandName.DIFF, {}, lambda: request, tmp_path / "report.json", statement_file=tmp_path / "statement.json"
    )
    exit_code = run_command(command)
    error = read_report(tmp_path / "report.json", exit_code)["error"]
    assert (exit_code, error["type"]) == (2, "ModelError")
    assert "nothing to state" in error["message"]
    assert "--statement" in error["remedy"]
    assert not (tmp_path / "statement.json").exists()


def test_ignored_paths_are_stated_and_covered_by_the_roots(tmp_path: Path) -> None:
    right = FILES | {"notes.txt": b"only here"}
    exit_code, _ = diff(tmp_path, FILES, right, ignore=checked_ignore(["notes.txt", "unmatched"]))
    statement = read_statement(tmp_path)
    compared = statement["predicate"]["comparisons"]["comparison"]
    assert exit_code == 0
    assert statement["predicate"]["status"] == "equal"
    assert compared["is_whole_model"] is False
    assert compared["not_decided"]["ignore"] == ["notes.txt", "unmatched"]
    assert compared["not_decided"]["ignored_paths_that_differ"] == 1
    assert statement["subject"][0]["digest"]["sha256"] == root_of(right) != root_of(FILES)


def test_whole_models_have_nothing_that_did_not_decide(tmp_path: Path) -> None:
    diff(tmp_path, FILES, FILES)
    compared = read_statement(tmp_path)["predicate"]["comparisons"]["comparison"]
    assert (compared["is_whole_model"], compared["not_decided"]) == (True, None)


def test_native_model_is_stated() -> None:
    outcome = check_outcome(native_model="model.pkl")
    outcome = replace(
        outcome, comparisons={name: with_roots(compared) for name, compared in outcome.comparisons.items()}
    )
    compared = state(outcome)["predicate"]["comparisons"]["comparison"]
    assert compared["is_whole_model"] is False
    assert compared["not_decided"]["native_model"] == "model.pkl"
    assert compared["not_decided"]["rest_of_model_equals"] is False


def test_file_name_that_is_not_utf8_cannot_be_stated(tmp_path: Path) -> None:
    files = FILES | {os.fsdecode(b"\xff"): b""}
    exit_code, report = diff(tmp_path, files, files)
    assert (exit_code, report["error"]["type"]) == (2, "ModelError")
    assert "not UTF-8" in report["error"]["message"]
    assert not (tmp_path / "statement.json").exists()


def test_model_without_a_root_cannot_be_stated() -> None:
    with pytest.raises(ModelError, match="a file was not read"):
        state(check_outcome())


def test_subject_is_the_registry_model_of_the_second_version() -> None:
    run, registry = with_roots(comparison()), with_roots(comparison(left="registry"))
    registry = replace(registry, right=replace(registry.right, root="4" * 64))
    statement = state(compare_outcome(run, registry))
    assert statement["subject"] == [{"name": "models:/Wine_Imported/7", "digest": {"sha256": "4" * 64}}]
    assert subject_digest(statement) == "sha256:" + "4" * 64
    versions = statement["predicate"]["model_versions"]
    assert [version["name"] for version in versions] == ["Wine", "Wine_Imported"]
    assert [version["host"] for version in versions] == ["http://example.com", "https://example.org"]


@pytest.mark.parametrize("text", HOSTILE)
def test_name_of_the_subject_is_one_line_without_control_characters(text: str) -> None:
    compared = with_roots(comparison())
    outcome = compare_outcome(compared, compared)
    named = replace(outcome.versions[VersionRole.TRACKING_SERVER_2], name=text, version=text)
    seal = Seal(text, Statement("wine", RIGHT, {}))
    located = replace(compared, right=replace(compared.right, location=Location(text)))
    sealed = replace(compared, right=replace(compared.right, seal=seal))
    for each in (
        replace(outcome, versions={**outcome.versions, VersionRole.TRACKING_SERVER_2: named}),
        replace(outcome, comparisons={ComparisonName.REG_MODELS: sealed}),
        replace(diff_outcome(), comparisons={ComparisonName.COMPARISON: located}),
    ):
        name = state(each)["subject"][0]["name"]
        assert printable(text) in name
        assert name == printable(name)


def test_subject_of_a_seal_is_its_file_and_never_the_text_of_the_seal() -> None:
    compared = with_roots(comparison())
    facts = SealFacts("0", "2026-01-31T18:00:00+00:00", "m", registered_model="Wine", model_version="99")
    seal = Seal("seals/wine.json", Statement("models:/Fraud_Detection/99", RIGHT, {}), facts)
    sealed = replace(compared, right=replace(compared.right, seal=seal))
    outcome = replace(compare_outcome(compared, compared), comparisons={ComparisonName.REG_MODELS: sealed})
    assert state(outcome)["subject"][0]["name"] == "seal:seals/wine.json"


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_of_a_seal_and_of_a_server_are_stated_on_one_line(text: str) -> None:
    compared = with_roots(comparison())
    facts = SealFacts("0", "2026-01-31T18:00:00+00:00", "m", registered_model=text, model_version=text)
    seal = Seal("s.json", Statement("wine", LEFT, {}), facts)
    outcome = compare_outcome(compared, compared)
    named = replace(
        outcome.versions[VersionRole.TRACKING_SERVER_2], name=text, version=text, aliases=(text,), source=text
    )
    outcome = replace(
        outcome,
        versions={**outcome.versions, VersionRole.TRACKING_SERVER_2: named},
        comparisons={ComparisonName.REG_MODELS: replace(compared, left=replace(compared.left, seal=seal))},
    )
    predicate = state(outcome)["predicate"]
    stated = predicate["comparisons"][ComparisonName.REG_MODELS]["left"]["seal"]
    version = predicate["model_versions"][-1]
    assert {stated["model"], stated["version"]} == {printable(text)}
    assert {version["name"], version["version"], version["source"], *version["aliases"]} == {printable(text)}


@pytest.mark.parametrize(
    "secret",
    ["github", "in-toto", "Statement", "promotion", "sha256", "filecmp", "identical", LEFT[:8]],
)
def test_password_that_is_a_part_of_the_format_changes_no_constant(secret: str) -> None:
    outcome = compare_outcome(with_roots(comparison()), with_roots(comparison()))
    environment = WORKFLOW | {"MODEL_GATE_IMAGE_DIGEST": "sha256:" + LEFT}
    plain = state(outcome, environment)
    redacted = state(outcome, environment, Redactor([secret]))
    assert {redacted[name] == plain[name] for name in ("_type", "predicateType")} == {True}
    assert redacted["subject"][0]["digest"] == plain["subject"][0]["digest"]
    assert redacted["predicate"]["tool"]["image_digest"] == "sha256:" + LEFT
    assert redacted["predicate"]["comparisons"] == plain["predicate"]["comparisons"]


def test_config_run_and_image_are_stated() -> None:
    outcome = compare_outcome(with_roots(comparison()), with_roots(comparison()))
    assert outcome.request is not None
    outcome = replace(outcome, request=replace(outcome.request, config=ConfigFile("gate.yaml", "5" * 64)))
    predicate = state(outcome, WORKFLOW | {"MODEL_GATE_IMAGE_DIGEST": "sha256:" + "6" * 64})["predicate"]
    assert predicate["config"] == {"name": "gate.yaml", "digest": {"sha256": "5" * 64}}
    assert predicate["tool"]["image_digest"] == "sha256:" + "6" * 64
    assert predicate["run"] == {
        "url": "https://github.example.com/ml/models/actions/runs/42/attempts/3",
        "repository": "ml/models",
        "commit": "c0ffee",
        "ref": "refs/heads/main",
        "workflow": "ml/models/.github/workflows/gate.yml@refs/heads/main",
    }


def test_facts_that_are_not_known_are_null() -> None:
    outcome = compare_outcome(with_roots(comparison()), with_roots(comparison()))
    predicate = state(outcome, {"MODEL_GATE_IMAGE_DIGEST": "latest", "GITHUB_RUN_ID": "42"})["predicate"]
    assert (predicate["config"], predicate["run"], predicate["tool"]["image_digest"]) == (None, None, None)


def test_statement_has_no_secret() -> None:
    outcome = compare_outcome(with_roots(comparison()), with_roots(comparison(left="s3cret-word")))
    text = json.dumps(state(outcome, redactor=Redactor(("s3cret-word",))))
    assert "s3cret-word" not in text
    assert "***" in text


def test_statement_that_breaks_its_schema_is_not_written() -> None:
    broken = with_roots(comparison())
    broken = replace(broken, right=replace(broken.right, root="short"))
    with pytest.raises(InternalError, match="does not fit its own schema"):
        state(compare_outcome(broken, broken))


def test_equivalent_models_do_not_pass_without_the_requirement() -> None:
    outcome = compare_outcome(with_roots(comparison(IDENTITY)), with_roots(comparison()))
    with pytest.raises(AssertionError, match="only a gate that passed"):
        state(outcome)


def test_statement_never_replaces_a_link_an_input_or_the_report(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make_model(tmp_path / "left", FILES)
    make_model(tmp_path / "right", FILES)
    (tmp_path / "link").symlink_to(tmp_path / "left" / "MLmodel")
    request = DiffRequest(str(tmp_path / "left"), str(tmp_path / "right"), options=GateOptions(writes_statement=True))
    for path, message in (
        ("link", "is a symbolic link"),
        ("left/statement.json", "promotion statement file"),
        ("report.json", "are both"),
    ):
        command = Command(
            CommandName.DIFF, {}, lambda: request, tmp_path / "report.json", statement_file=tmp_path / path
        )
        assert run_command(command) == 2
        assert message in capfd.readouterr().err
    assert (tmp_path / "left" / "MLmodel").read_bytes() == FILES["MLmodel"]
    assert not (tmp_path / "left" / "statement.json").exists()


def test_seal_in_the_place_of_the_statement_is_not_removed(tmp_path: Path) -> None:
    seal = b'{\n  "_type": "https://in-toto.io/Statement/v1"'
    (tmp_path / "statement.json").write_bytes(seal)
    assert diff(tmp_path, FILES, FILES | {"a-b": b"other"})[0] == 1
    assert (tmp_path / "statement.json").read_bytes() == seal


def test_seal_in_the_order_of_the_reference_tool_is_stated_with_its_own_root(tmp_path: Path) -> None:
    make_model(tmp_path, {"MLmodel": b"m", "data/a": b"a", "data.txt": b"t"})
    resources = {
        path: Resource(hashlib.sha256((tmp_path / path).read_bytes()).hexdigest())
        for path in ("MLmodel", "data/a", "data.txt")
    }
    seal = Seal("seal.json", Statement("wine", root_digest(resources.values()), resources))
    compared = with_roots(comparison())
    outcome = compare_outcome(replace(compared, left=replace(compared.left, seal=seal)), compared)
    stated = next(iter(state(outcome)["predicate"]["comparisons"].values()))
    assert stated["left"]["seal"]["root"] == {"sha256": seal.statement.root}
    assert stated["left"]["seal"]["root"] != stated["left"]["root"]
    assert stated["right"]["seal"] is None

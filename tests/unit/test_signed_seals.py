"""Seals of real models are what the tool `model_signing` verifies, and `verify` accepts only their signer."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model_gate.domain.roles import CommandName
from model_gate.formats.model_signing import PREDICATE_TYPE, STATEMENT_TYPE
from model_gate.inputs.options import (
    CommonOptions,
    SealOptions,
    SignatureOptions,
    VersionOptions,
    seal_request,
    verify_request,
)
from model_gate.runner import Command, run_command
from tests.support.reports import Json, read_report
from tests.support.saved_models import MODELS, change_one_byte
from tests.support.signed_models import KeyFiles
from tests.support.signing_spec import payload, validate
from tests.support.sigstore_instance import WORKFLOW, SigstoreInstance

pytestmark = pytest.mark.xdist_group("saved_models")  # the models are saved once

NO_VERSION = VersionOptions("", "")


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> KeyFiles:
    return KeyFiles.make(tmp_path_factory.mktemp("approver"))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with each model and its seal."""
    directory = tmp_path_factory.mktemp("models")
    for name, make in MODELS.items():
        make(directory / name, directory)
        request = seal_request(NO_VERSION, str(directory / name), directory / f"{name}.json", CommonOptions(), {})
        command = Command(CommandName.SEAL, {}, lambda request=request: request, directory / "report.json")  # type: ignore[misc]
        assert run_command(command) == 0
    return directory


@pytest.fixture
def model(models: Path, tmp_path: Path) -> Path:
    """Return a copy of a model, which the test may change. Its seal is beside it, with the suffix `.json`."""
    shutil.copy(models / "directory flavor.json", tmp_path / "model.json")
    return Path(shutil.copytree(models / "directory flavor", tmp_path / "model"))


def verify(model: Path, seal: Path | None, **signature: Any) -> tuple[int, Json]:
    """Verify a directory with a seal and its bundle, and return the exit code and the report."""
    report = model.parent / "report.json"
    sealed = SealOptions(seal, signature=SignatureOptions(**signature))
    command = Command(
        CommandName.VERIFY,
        {},
        lambda: verify_request(NO_VERSION, str(model), sealed, CommonOptions(), {}),
        report,
        sealed.signature.files,
    )
    exit_code = run_command(command)
    return exit_code, read_report(report, exit_code)


def require_error(result: tuple[int, Json], message: str, kind: str = "SignatureError") -> None:
    exit_code, report = result
    assert (exit_code, report["status"], report["equals"]) == (2, "error", None)
    assert report["error"]["type"] == kind
    assert message in report["error"]["message"], report["error"]
    assert report["error"]["remedy"]


@pytest.mark.parametrize("name", MODELS)
def test_signed_seal_of_a_real_model_verifies_with_the_tool_until_a_byte_changes(
    models: Path, name: str, key: KeyFiles, tmp_path: Path
) -> None:
    model = Path(shutil.copytree(models / name, tmp_path / "model"))
    seal = Path(shutil.copy(models / f"{name}.json", tmp_path / "seal.json"))
    bundle = key.sign_file(seal)
    statement = json.loads(seal.read_bytes())
    validate(statement, "statement")
    validate(statement["predicate"], "predicate")
    validate(json.loads(bundle.read_bytes()), "bundle")
    key.verify_model(model, bundle)
    exit_code, report = verify(model, seal, bundle=bundle, public_key=key.public)
    assert (exit_code, report["status"], report["seal"]["signer"]) == (0, "equal", f"the key {key.public}")

    changed = max((file for file in model.rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)
    change_one_byte(changed)
    with pytest.raises(ValueError, match="Hash mismatch"):
        key.verify_model(model, bundle)
    exit_code, report = verify(model, seal, bundle=bundle, public_key=key.public)
    assert (exit_code, report["status"]) == (1, "different")
    (difference,) = report["seal_comparison"]["differences"]
    assert difference["path"] == str(changed.relative_to(model))


def test_directory_that_the_tool_signed_verifies_without_a_seal(model: Path, key: KeyFiles) -> None:
    bundle = model.parent / "model.sig"
    key.sign_model(model, bundle)
    names = [each["name"] for each in json.loads(payload(json.loads(bundle.read_bytes())))["predicate"]["resources"]]
    assert names != sorted(names)
    assert verify(model, None, bundle=bundle, public_key=key.public)[0] == 0
    change_one_byte(model / "data" / "data" / "part-1")
    exit_code, report = verify(model, None, bundle=bundle, public_key=key.public)
    assert (exit_code, report["seal_comparison"]["differences_count"]) == (1, 1)


def test_bundle_of_another_seal_is_an_error(model: Path, models: Path, key: KeyFiles) -> None:
    other = Path(shutil.copy(models / "sklearn.json", model.parent / "other.json"))
    bundle = key.sign_file(other)
    seal = model.with_suffix(".json")
    require_error(verify(model, seal, bundle=bundle, public_key=key.public), "another statement than the seal")
    tool = model.parent / "tool.sig"
    key.sign_model(model, tool)
    # The tool signs the same files, but not what the seal says about their origin.
    require_error(verify(model, seal, bundle=tool, public_key=key.public), "another statement than the seal")


def test_edited_seal_is_an_error_although_its_bundle_is_valid(model: Path, key: KeyFiles) -> None:
    seal = model.with_suffix(".json")
    bundle = key.sign_file(seal)
    change_one_byte(model / "data" / "data" / "part-1")
    edited = json.loads(seal.read_bytes())
    for resource in edited["predicate"]["resources"]:
        resource.pop("annotations")
    seal.write_text(json.dumps(edited))
    require_error(verify(model, seal, bundle=bundle, public_key=key.public), "edited", "SealError")


@pytest.mark.parametrize(
    "edit, message",
    [
        (lambda statement: statement["predicate"]["resources"][0].update(algorithm="sha1"), "is not sha256"),
        (lambda statement: statement["predicate"]["serialization"].update(hash_type="md5"), "hash_type"),
        (lambda statement: statement["predicate"].update(resources=[]), "there are no files"),
        (lambda statement: statement.update(predicateType="https://example.com/scan"), "its predicate type is"),
        (lambda statement: statement.update(_type="https://in-toto.io/Statement/v0.1"), "its type is not"),
    ],
    ids=["algorithm", "hash type", "no files", "predicate", "type"],
)
def test_signed_statement_that_is_no_seal_is_an_error(
    model: Path, key: KeyFiles, edit: Callable[[Json], None], message: str
) -> None:
    statement = json.loads(model.with_suffix(".json").read_bytes())
    statement["subject"][0].pop("annotations")
    edit(statement)
    bundle = model.parent / "bundle.json"
    bundle.write_text(json.dumps(key.sign(json.dumps(statement).encode())))
    is_seal = (statement["_type"], statement["predicateType"]) == (STATEMENT_TYPE, PREDICATE_TYPE)
    kind = "SealError" if is_seal else "SignatureError"
    require_error(verify(model, None, bundle=bundle, public_key=key.public), message, kind)


def test_foreign_key_is_an_error(model: Path, key: KeyFiles, tmp_path_factory: pytest.TempPathFactory) -> None:
    foreign = KeyFiles.make(tmp_path_factory.mktemp("foreign"))
    seal = model.with_suffix(".json")
    bundle = key.sign_file(seal)
    require_error(verify(model, seal, bundle=bundle, public_key=foreign.public), "no valid signature of the key")


def test_seal_that_a_workflow_signed_verifies_by_its_identity_only(model: Path) -> None:
    instance = SigstoreInstance()
    seal, root, bundle = (model.with_suffix(suffix) for suffix in (".json", ".root.json", ".sigstore.json"))
    root.write_text(json.dumps(instance.trusted_root()))
    bundle.write_text(json.dumps(instance.bundle(seal.read_bytes(), WORKFLOW)))
    signer = {"bundle": bundle, "identity": WORKFLOW.uri, "issuer": WORKFLOW.issuer, "trust_config": root}
    exit_code, report = verify(model, seal, **signer)
    assert (exit_code, report["seal"]["signer"]) == (0, f"{WORKFLOW.uri} ({WORKFLOW.issuer})")
    other = WORKFLOW.uri.replace("refs/heads/main", "refs/pull/1/merge")
    require_error(verify(model, seal, **(signer | {"identity": other})), "is not valid")
    change_one_byte(model / "MLmodel")
    assert verify(model, seal, **signer)[0] == 1


def test_provenance_of_the_seals_file_verifies(model: Path) -> None:
    instance = SigstoreInstance()
    seal, root, bundle = (model.with_suffix(suffix) for suffix in (".json", ".root.json", ".sigstore.json"))
    root.write_text(json.dumps(instance.trusted_root()))
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": seal.name, "digest": {"sha256": hashlib.sha256(seal.read_bytes()).hexdigest()}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {},
    }
    bundle.write_text(json.dumps(instance.bundle(json.dumps(statement).encode(), WORKFLOW)))
    signer = {"bundle": bundle, "identity": WORKFLOW.uri, "issuer": WORKFLOW.issuer, "trust_config": root}
    assert verify(model, seal, **signer)[0] == 0
    seal.write_bytes(seal.read_bytes() + b"\n")
    require_error(verify(model, seal, **signer), "provenance of another file")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"public_key": Path("key.pub")}, "--public-key is given without --bundle"),
        ({"identity": "a"}, "--identity is given without --bundle"),
        ({"bundle": Path("bundle.json")}, "--identity is missing"),
        ({"bundle": Path("bundle.json"), "identity": "a"}, "--issuer is missing"),
        ({"bundle": Path("bundle.json"), "identity": " ", "issuer": "b"}, "--identity is missing"),
        (
            {"bundle": Path("bundle.json"), "public_key": Path("key.pub"), "identity": "a", "issuer": "b"},
            "--public-key cannot be combined with",
        ),
        (
            {"bundle": Path("bundle.json"), "public_key": Path("key.pub"), "trust_config": Path("root.json")},
            "--public-key cannot be combined with",
        ),
    ],
    ids=["key", "identity", "bundle", "issuer", "blank", "two signers", "key and trust configuration"],
)
def test_options_that_do_not_name_one_signer_of_one_bundle_are_errors(
    model: Path, options: dict[str, Any], message: str
) -> None:
    require_error(verify(model, model.with_suffix(".json"), **options), message, "InputError")

"""Seals in compare files and in options."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from model_gate.domain.host import RegistryKind
from model_gate.domain.request import VersionRequest
from model_gate.domain.seal import SealedVersion
from model_gate.errors import ConfigError, InputError, ModelGateError, SealError
from model_gate.formats.document_kinds import PROMOTION_TYPE
from model_gate.formats.model_signing import MAX_STATEMENT_BYTES
from model_gate.inputs.compare_file import CompareConfig, parse_config
from model_gate.inputs.options import (
    CommonOptions,
    CompareOptions,
    SealOptions,
    SignatureOptions,
    VersionOptions,
    check_request,
    compare_config_request,
    seal_request,
    verify_request,
)
from tests.support.seals import write_seal

HOST = "https://mlflow.example.com"
SERVER = f"tracking_server_2: {{host: {HOST}, model: Wine, version_or_stage: 1}}\n"
VERSION = VersionOptions("Wine", "1", HOST)


@pytest.fixture(autouse=True)
def seal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_seal(tmp_path / "seals" / "wine.json", "Wine")


def _config(entry: str, other: str = SERVER) -> CompareConfig:
    return parse_config(f"tracking_server_1: {{{entry}}}\n{other}", "c", {})


def test_seal_stands_for_a_version_in_a_compare_file() -> None:
    config = _config("seal: seals/wine.json")
    assert isinstance(config.tracking_server_1, SealedVersion)
    assert isinstance(config.tracking_server_2, VersionRequest)
    request = compare_config_request(config, CompareOptions(), CommonOptions())
    assert [host.address for host in request.hosts] == [HOST]
    assert (request.compare_run_models, request.compare_reg_models) == (False, True)
    assert compare_config_request(config, CompareOptions(True, None), CommonOptions()).compare_run_models


@pytest.mark.parametrize("path", ["/etc/passwd", "../seal.json", "seals/../../x", "seals/.."])
def test_seal_in_a_compare_file_does_not_leave_the_working_directory(path: str) -> None:
    with pytest.raises(ConfigError, match=r"line 1, tracking_server_1\.seal: .* is (not a path beneath|an absolute)"):
        _config(f"seal: {path}")


def test_seal_in_a_compare_file_is_not_read_through_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "link.json").symlink_to("seals/wine.json")
    with pytest.raises(SealError, match="cannot be read"):
        _config("seal: link.json")


@pytest.mark.parametrize(
    "key", ["host: https://a.example.com", "server: prod", "version_or_stage: 1", "registry: workspace"]
)
def test_server_beside_a_seal_is_an_error(key: str) -> None:
    with pytest.raises(ConfigError, match="in the place of a server"):
        _config(f"seal: seals/wine.json, {key}")


def test_two_seals_are_an_error() -> None:
    with pytest.raises(ConfigError, match="both sides are seals"):
        _config("seal: seals/wine.json", "tracking_server_2: {seal: seals/wine.json}")


def test_seal_of_a_renamed_model_needs_its_name_beside_it() -> None:
    other = SERVER.replace("Wine", "Wine_Imported")
    with pytest.raises(SealError, match="is of 'Wine', not of 'Wine_Imported'"):
        _config("seal: seals/wine.json", other)
    assert _config("seal: seals/wine.json, model: Wine", other).has_seal
    with pytest.raises(SealError, match="is of 'Wine', not of 'Churn'"):
        _config("seal: seals/wine.json, model: Churn", other)


def test_native_model_beside_a_seal_is_given_for_both_sides_or_neither() -> None:
    with pytest.raises(ConfigError, match="for the other server only"):
        _config("seal: seals/wine.json, native_model: model.pkl")


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 100_000], ids=["empty", "object", "deep"])
def test_file_that_is_no_seal_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "seal.json").write_bytes(content)
    with pytest.raises(SealError, match=r"seal.json is not a valid seal"):
        check_request(VERSION, CommonOptions(), {}, SealOptions(Path("seal.json")))


def test_endless_seal_is_an_error_after_its_limit(tmp_path: Path) -> None:
    with (tmp_path / "seal.json").open("wb") as file:
        file.truncate(100 * MAX_STATEMENT_BYTES)
    with pytest.raises(SealError, match="limit"):
        check_request(VERSION, CommonOptions(), {}, SealOptions(Path("seal.json")))


@pytest.mark.parametrize("path", [Path("missing"), Path("seals"), Path("/dev/zero")], ids=str)
def test_seal_that_cannot_be_read_is_an_error(path: Path) -> None:
    with pytest.raises(SealError, match="cannot be read") as caught:
        check_request(VERSION, CommonOptions(), {}, SealOptions(path))
    assert caught.value.remedy


def test_seal_must_be_of_the_named_model_or_else_of_the_registered_model(seal: Path) -> None:
    other = VersionOptions("Churn", "1", HOST)
    named = SealOptions(seal, "Wine")
    assert verify_request(other, "", named, CommonOptions(), {}).seal.registered_model == "Wine"
    assert check_request(other, CommonOptions(), {}, named).seal
    assert verify_request(VersionOptions("", ""), "model", named, CommonOptions(), {}).seal.registered_model == "Wine"
    for version, uri, name in (
        (other, "", ""),
        (other, "", "Churn"),
        (VERSION, "", "Churn"),
        (VersionOptions("", ""), "model", "Churn"),
    ):
        with pytest.raises(SealError, match="is of 'Wine', not of 'Churn'") as caught:
            verify_request(version, uri, SealOptions(seal, name), CommonOptions(), {})
        assert "--seal-model" in caught.value.remedy
        if not uri:
            with pytest.raises(SealError, match="is of 'Wine', not of 'Churn'"):
                check_request(version, CommonOptions(), {}, SealOptions(seal, name))


@pytest.mark.parametrize("version", ["/1", "/latest", "@champion", "/Production", "/1/"])
def test_seal_of_another_model_is_an_error_for_a_uri_that_names_the_model(seal: Path, version: str) -> None:
    def verify(uri: str, name: str = "") -> object:
        options = VersionOptions("", "", HOST)
        return verify_request(options, uri, SealOptions(seal, name), CommonOptions(), {})

    assert verify(f"models:/Wine{version}")
    with pytest.raises(SealError, match="is of 'Wine', not of 'Wine_Prod'") as caught:
        verify(f"models:/Wine_Prod{version}")
    assert "--seal-model Wine." in caught.value.remedy
    assert verify(f"models:/Wine_Prod{version}", "Wine")
    # These URIs name no registered model.
    for uri in ("models:/m-1", "runs:/1/Wine_Prod", "./models:/Wine_Prod/1"):
        assert verify(uri)


def test_remedy_for_a_seal_of_no_registered_model_names_its_subject(tmp_path: Path) -> None:
    seal = write_seal(tmp_path / "directory.json", "")
    with pytest.raises(SealError) as caught:
        verify_request(VERSION, "", SealOptions(seal), CommonOptions(), {})
    assert "--seal-model model." in caught.value.remedy


@pytest.mark.parametrize("option", ["seal", "bundle", "public_key"])
def test_remedy_for_a_missing_file_names_the_working_directory(seal: Path, option: str) -> None:
    files = {"seal": seal, "bundle": seal, "public_key": seal} | {option: Path("missing.json")}
    signature = SignatureOptions(files["bundle"], files["public_key"])
    if option == "public_key":
        Path("bundle.json").write_text(
            json.dumps({"payload": "", "payloadType": "application/vnd.in-toto+json", "signatures": [{"sig": ""}]})
        )
        signature = SignatureOptions(Path("bundle.json"), files["public_key"])
    elif option == "seal":
        signature = SignatureOptions()
    with pytest.raises(ModelGateError, match=r"missing\.json cannot be read: No such file") as caught:
        verify_request(VERSION, "", SealOptions(files["seal"], signature=signature), CommonOptions(), {})
    assert caught.value.remedy.startswith("Check the path.")
    assert str(Path.cwd()) in caught.value.remedy


@pytest.mark.parametrize(
    "path, remedy",
    [
        ("seals/win.json", "Did you mean seals/wine.json?"),
        ("seals/churn.json", "Check the path."),
        ("missing/wine.json", "Check the path."),
    ],
)
def test_misspelled_path_of_a_seal_gets_a_suggestion(path: str, remedy: str) -> None:
    with pytest.raises(SealError) as caught:
        check_request(VERSION, CommonOptions(), {}, SealOptions(Path(path)))
    assert caught.value.remedy.startswith(remedy)


def test_compare_with_a_seal_and_no_registry_models_says_what_is_on_by_default() -> None:
    config = _config("seal: seals/wine.json")
    with pytest.raises(InputError, match="with a seal, run models are off by default") as caught:
        compare_config_request(config, CompareOptions(None, False), CommonOptions())
    assert "--compare-run-models" in caught.value.remedy
    with pytest.raises(InputError, match="both switched off"):
        compare_config_request(config, CompareOptions(False, False), CommonOptions())


def test_seal_without_a_registered_model_has_the_name_of_its_subject(tmp_path: Path) -> None:
    # `write_seal` calls the subject "model" if there is no registered model.
    seal = write_seal(tmp_path / "directory.json", "")
    with pytest.raises(SealError, match=r"is of no registered model \(its subject is 'model'\), not of 'Wine'"):
        verify_request(VERSION, "", SealOptions(seal), CommonOptions(), {})
    with pytest.raises(SealError, match="is of 'model', not of 'Wine'"):
        verify_request(VERSION, "", SealOptions(seal, "Wine"), CommonOptions(), {})
    assert verify_request(VERSION, "", SealOptions(seal, "model"), CommonOptions(), {}).seal.facts
    assert _config("seal: directory.json, model: model").has_seal
    with pytest.raises(SealError, match="is of no registered model"):
        _config("seal: directory.json")


@pytest.mark.parametrize(
    "version, option",
    [
        (VersionOptions("", "", native_model="model.pkl"), "--native-model"),
        (VersionOptions("", "", registry=RegistryKind.WORKSPACE), "--registry"),
    ],
    ids=["native model", "registry"],
)
def test_option_of_a_version_beside_a_uri_is_an_error_that_names_it(
    seal: Path, version: VersionOptions, option: str
) -> None:
    with pytest.raises(InputError, match=f"{option} is only for a version .* named by the URI 'model'") as caught:
        verify_request(version, "model", SealOptions(seal), CommonOptions(), {})
    assert f"Leave out {option}" in caught.value.remedy


@pytest.mark.parametrize(
    "document, kind, remedy",
    [
        ({"schema_version": "1.0", "command": "seal", "status": "sealed"}, "a report of Model Gate", "--output"),
        ({"dsseEnvelope": {}}, "a bundle with a signature", "--bundle"),
        ({"payload": "", "payloadType": "", "signatures": []}, "a bundle with a signature", "--bundle"),
        ({"messageSignature": {}}, "a bundle with a signature of a file, not of a statement", "--bundle"),
        ({"predicateType": PROMOTION_TYPE}, "a promotion statement", "--output"),
    ],
    ids=["report", "bundle", "envelope", "signature of a file", "promotion"],
)
def test_document_in_the_place_of_a_seal_is_named(
    tmp_path: Path, document: dict[str, object], kind: str, remedy: str
) -> None:
    (tmp_path / "other.json").write_text(json.dumps(document))
    key = tmp_path / "key.pub"
    for options in (
        SealOptions(Path("other.json")),
        SealOptions(Path("other.json"), signature=SignatureOptions(Path("other.json"), key)),
    ):
        with pytest.raises(SealError, match=f"^other.json is {kind}, not a seal.$") as caught:
            verify_request(VersionOptions("", ""), "model", options, CommonOptions(), {})
        assert remedy in caught.value.remedy
    with pytest.raises(SealError, match=f"^other.json is {kind}, not a seal.$"):
        _config("seal: other.json")


def test_name_of_a_sealed_model_without_a_seal_is_an_error() -> None:
    with pytest.raises(InputError, match="--seal-model is given without --seal"):
        check_request(VERSION, CommonOptions(), {}, SealOptions(None, "Wine"))


def test_model_to_seal_or_verify_is_named_in_one_way(seal: Path) -> None:
    nothing = VersionOptions("", "")
    with pytest.raises(InputError, match="named twice, by the URI 'model' and by --model"):
        seal_request(VERSION, "model", Path("s"), CommonOptions(), {})
    for uri in ("", " "):
        with pytest.raises(InputError, match="No model is named") as caught:
            seal_request(nothing, uri, Path("s"), CommonOptions(), {})
        assert "./model" in caught.value.remedy
    with pytest.raises(InputError, match="--version-or-stage is missing"):
        seal_request(VersionOptions("Wine", ""), "", Path("s"), CommonOptions(), {})
    with pytest.raises(InputError, match="--seal is missing"):
        verify_request(nothing, "model", SealOptions(), CommonOptions(), {})
    assert verify_request(nothing, "model", SealOptions(seal), CommonOptions(), {}).hosts == ()

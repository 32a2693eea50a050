"""A selection becomes one gate for each selected version, and an error for each version without a counterpart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_gate.access.hosts import parse_host
from model_gate.domain.gates import AgainstRunModel, AgainstSeals, AgainstServer, Entry, Gate, Selection
from model_gate.domain.host import Host, RegistryKind, WorkspaceLogin
from model_gate.domain.request import CheckRequest, CompareRequest, ConfigFile, GateOptions
from model_gate.domain.seal import SealedVersion
from model_gate.domain.version import SelectedVersion
from model_gate.errors import AccessError, InputError, ModelGateError, NotFoundError, UnreachableError
from model_gate.formats.glob import Glob
from model_gate.selection import expand, registry_host
from tests.support.seals import write_seal

_PROD = parse_host("http://prod.example.com")
_STAGING = parse_host("http://staging.example.com")
_ENTRY = Entry("all", "gates.yaml", 7, "0")
_DOWN = UnreachableError("Down.", "Up.")
Version = tuple[str, str] | SelectedVersion


class _Registries:
    """Registries by address. The search ignores versions, stages and tags, and records its calls."""

    def __init__(self, versions: Mapping[Host, Sequence[Version] | ModelGateError]) -> None:
        self._versions = {host.address: found for host, found in versions.items()}
        self.calls: list[tuple[str, str, str, Mapping[str, str]]] = []

    def search(self, host: Host, models: str, version_or_stage: str, tags: Mapping[str, str]) -> list[SelectedVersion]:
        self.calls.append((host.address, models, version_or_stage, tags))
        found = self._versions[host.address]
        if isinstance(found, ModelGateError):
            raise found
        versions = [each if isinstance(each, SelectedVersion) else SelectedVersion(*each) for each in found]
        matching = [version for version in versions if Glob(models).matches(version.model)]
        if not matching:
            raise NotFoundError(f"No registered model matches {models!r}.", "Similar names: 'near'.")
        return sorted(matching, key=lambda version: (version.model, version.version))


def _selection(
    against: AgainstServer | AgainstSeals | AgainstRunModel, models: str = "*", choice: str = "@champion", **more: Any
) -> Selection:
    return Selection(_ENTRY, _PROD, models, choice, against, **more)


def _expand(
    selection: Selection, prod: Sequence[Version] | ModelGateError, staging: Sequence[Version] | ModelGateError = ()
) -> dict[str, Gate]:
    gates = expand(selection, _Registries({_PROD: prod, _STAGING: staging}).search)
    assert len({gate.name for gate in gates}) == len(gates)
    assert all((gate.request is None) == (gate.error is not None) for gate in gates)
    return {gate.name: gate for gate in gates}


def _error(gate: Gate) -> str:
    assert gate.error is not None
    assert gate.error.remedy
    return f"{gate.error.type}: {gate.error.message} {gate.error.remedy}"


def _pair(gate: Gate) -> list[tuple[str, str, str]]:
    assert isinstance(gate.request, CompareRequest), gate.error
    return [(each.host.address, each.model, each.version_or_stage) for each in gate.request.versions.values()]


def test_each_selected_version_is_compared_with_its_renamed_counterpart_by_number() -> None:
    against = AgainstServer(_STAGING, (("prod.*", "staging.*"),))
    options = GateOptions(fail_fast=True)
    selection = _selection(against, "prod.*", compare_run_models=False, options=options)
    gates = _expand(selection, [("prod.a", "3"), ("prod.b", "1")], [("staging.a", "9"), ("staging.b", "2")])
    assert list(gates) == ["all/prod.a", "all/prod.b"]
    assert _pair(gates["all/prod.a"]) == [(_PROD.address, "prod.a", "3"), (_STAGING.address, "staging.a", "9")]
    request = gates["all/prod.a"].request
    assert isinstance(request, CompareRequest)
    assert (request.compare_run_models, request.compare_reg_models, request.options) == (False, True, options)


def test_gates_of_a_selection_compare_only_run_models_if_it_says_so_and_name_its_file() -> None:
    file = ConfigFile("gates.yaml", "0" * 64)
    selection = _selection(AgainstServer(_STAGING), compare_reg_models=False, config=file)
    request = _expand(selection, [("a", "1")], [("a", "1")])["all/a"].request
    assert isinstance(request, CompareRequest)
    assert (request.compare_run_models, request.compare_reg_models, request.config) == (True, False, file)


@pytest.mark.parametrize(
    "choice, other, expected", [("@champion", "", "@champion"), ("@champion", "Production", "Production"), ("", "", "")]
)
def test_other_server_is_searched_by_the_renamed_glob(choice: str, other: str, expected: str) -> None:
    registries = _Registries({_PROD: [("prod.a", "1")], _STAGING: [("staging.a", "1")]})
    against = AgainstServer(_STAGING, (("prod.*", "staging.*"),), other)
    expand(_selection(against, "prod.a*", choice, tags={"team": "risk"}), registries.search)
    assert registries.calls == [
        (_PROD.address, "prod.a*", choice, {"team": "risk"}),
        (_STAGING.address, "staging.a*", expected, {}),
    ]


def test_missing_and_extra_models_are_errors_that_name_both() -> None:
    against = AgainstServer(_STAGING, (("prod.*", "staging.*"),))
    prod, staging = [("prod.a", "1"), ("prod.b", "1")], [("staging.b", "1"), ("staging.c", "4")]
    gates = _expand(_selection(against, "prod.*"), prod, staging)
    assert list(gates) == ["all/prod.a", "all/prod.b", "all/prod.c"]
    assert "NotFoundError: 'prod.a' version 1 on http://prod.example.com has no counter" in _error(gates["all/prod.a"])
    assert "'staging.a' with @champion is missing there" in _error(gates["all/prod.a"])
    assert "'staging.c' version 4 on http://staging.example.com has no counterpart" in _error(gates["all/prod.c"])
    assert "'prod.c' with @champion is missing there" in _error(gates["all/prod.c"])
    assert gates["all/prod.b"].request


def test_every_version_is_compared_with_the_same_number() -> None:
    prod, staging = [("a", "1"), ("a", "2"), ("a", "10"), ("b", "1")], [("a", "2"), ("a", "3"), ("a", "10")]
    gates = _expand(_selection(AgainstServer(_STAGING), choice=""), prod, staging)
    assert list(gates) == ["all/a/1", "all/a/2", "all/a/3", "all/a/10", "all/b/1"]
    assert [name for name, gate in gates.items() if gate.request] == ["all/a/2", "all/a/10"]
    assert "'a' version 1 is missing there" in _error(gates["all/a/1"])
    assert "'a' version 3 is missing there" in _error(gates["all/a/3"])


def test_every_version_is_compared_with_the_version_of_an_alias() -> None:
    against = AgainstServer(_STAGING, (), "@champion")
    gates = _expand(_selection(against, choice=""), [("a", "1"), ("a", "2")], [("a", "7"), ("b", "1")])
    assert [_pair(gates[name])[1][2] for name in ("all/a/1", "all/a/2")] == ["7", "7"]
    assert "'b' version 1 on http://staging.example.com has no counterpart" in _error(gates["all/b"])


def test_model_on_the_other_server_that_the_selection_does_not_cover_is_not_extra() -> None:
    against = AgainstServer(_STAGING, (("prod.*", "*"),))
    gates = _expand(_selection(against, "prod.a*"), [("prod.a", "1")], [("a", "1"), ("b", "1"), ("prod.ab", "1")])
    assert list(gates) == ["all/prod.a"]


def test_untagged_model_on_the_other_server_is_not_extra() -> None:
    selection = _selection(AgainstServer(_STAGING), tags={"team": "risk"})
    assert list(_expand(selection, [("a", "1")], [("a", "1"), ("b", "1")])) == ["all/a"]


def test_two_models_with_one_new_name_are_errors() -> None:
    against = AgainstServer(_STAGING, (("a.*", "x.*"), ("b.*", "x.*")))
    gates = _expand(_selection(against), [("a.m", "1"), ("b.m", "1"), ("b.n", "1")], [("x.m", "1"), ("x.n", "1")])
    assert "`rename` leads from 'a.m' and from another selected model to 'x.m'" in _error(gates["all/a.m"])
    assert "InputError: `rename` leads from 'b.m'" in _error(gates["all/b.m"])
    assert gates["all/b.n"].request


def test_version_is_not_compared_with_itself() -> None:
    gates = _expand(_selection(AgainstServer(_PROD)), [("a", "1")])
    assert "'a' version 1 would be compared with itself" in _error(gates["all/a"])


@pytest.mark.parametrize("choice", ["@champion", ""])
@pytest.mark.parametrize("is_source", [True, False])
def test_model_that_cannot_be_read_hides_no_other(choice: str, is_source: bool) -> None:
    closed: list[Version] = [SelectedVersion("a", "", problem="no grant."), ("b", "1")]
    both: list[Version] = [("a", "1"), ("b", "1")]
    prod, staging = (closed, both) if is_source else (both, closed)
    gates = _expand(_selection(AgainstServer(_STAGING), choice=choice), prod, staging)
    assert len(gates) == 2
    failed, compared = gates.values()
    assert compared.request
    assert "AccessError: The versions of 'a' on http://" in _error(failed)
    assert "cannot be read: no grant. Give the login permission" in _error(failed)


@pytest.mark.parametrize(
    "prod, staging, texts",
    [
        ((), [("a", "1")], ["NotFoundError: select", "No registered model matches '*'"]),
        ((), (), ["NotFoundError: select", "Similar names: 'near'"]),
        ([("a", "1")], _DOWN, ["UnreachableError: against (http://staging.example.com): Down."]),
        (AccessError("No.", "Login."), _DOWN, ["select (http://prod", "against (http://staging"]),
        (InputError("Stage.", "Alias."), [("a", "1")], ["InputError: select", "Stage. Alias."]),
    ],
    ids=["nothing selected", "both empty", "other server fails", "both fail", "first fails"],
)
def test_failed_search_is_the_only_gate_of_the_entry(
    prod: Sequence[Version] | ModelGateError, staging: Sequence[Version] | ModelGateError, texts: list[str]
) -> None:
    gates = _expand(_selection(AgainstServer(_STAGING)), prod, staging)
    assert list(gates) == ["all"]
    assert [text for text in texts if text not in _error(gates["all"])] == []


def test_each_model_is_missing_on_an_empty_server() -> None:
    gates = _expand(_selection(AgainstServer(_STAGING)), [("a", "1"), ("b", "1")])
    assert list(gates) == ["all/a", "all/b"]
    assert "'b' with @champion is missing there. Similar names: 'near'." in _error(gates["all/b"])


def test_invalid_rename_is_the_error_of_the_entry() -> None:
    gates = _expand(_selection(AgainstServer(_STAGING, (("prod.*", "staging"),))), [("prod.a", "1")])
    assert "'prod.*' has 1 wildcard" in _error(gates["all"])


def test_empty_result_of_a_search_is_an_error() -> None:
    (gate,) = expand(_selection(AgainstRunModel()), lambda *_: ())
    assert "'*' selects no version" in _error(gate)


def test_names_that_look_the_same_are_an_error_of_the_entry() -> None:
    gates = _expand(_selection(AgainstRunModel()), [("a\u200b", "1"), ("a\\u200b", "1")])
    assert "Two gates would have the name all/a\\u200b" in _error(gates["all"])


def test_each_version_is_compared_with_its_run_model() -> None:
    gates = _expand(_selection(AgainstRunModel(), choice=""), [("a", "1"), ("a", "2"), ("b", "1")])
    assert list(gates) == ["all/a/1", "all/a/2", "all/b/1"]
    request = gates["all/a/2"].request
    assert isinstance(request, CheckRequest)
    assert (request.version.model, request.version.version_or_stage) == ("a", "2")
    assert request.seal is None


def _workspace(kind: RegistryKind | None = None) -> Host:
    return replace(_PROD, workspace=WorkspaceLogin("https://w.example.com", (), registry=kind))


@pytest.mark.parametrize(
    "kind, models, expected",
    [
        (None, "prod.*", "unity-catalog"),
        (None, "wine*", "workspace"),
        (RegistryKind.WORKSPACE, "a.b.*", "workspace"),
        (RegistryKind.UNITY_CATALOG, "*", "unity-catalog"),
    ],
)
def test_glob_with_a_dot_is_searched_in_unity_catalog(kind: RegistryKind | None, models: str, expected: str) -> None:
    workspace = registry_host(_workspace(kind), models).workspace
    assert workspace is not None
    assert workspace.registry == expected
    assert registry_host(_PROD, models) is _PROD


def _sealed(path: str, versions: Sequence[Version], choice: str = "@champion", models: str = "*") -> dict[str, Gate]:
    return _expand(_selection(AgainstSeals(path), models, choice), versions)


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_version_is_compared_with_its_seal(directory: Path) -> None:
    write_seal(directory / "seals/a.json", "a")
    write_seal(directory / "seals/b.json", "b")
    gates = _sealed("seals/{model}.json", [("a", "3"), ("b", "1"), ("c", "1")])
    assert list(gates) == ["all/a", "all/b", "all/c"]
    request = gates["all/a"].request
    assert isinstance(request, CompareRequest)
    assert isinstance(request.tracking_server_1, SealedVersion)
    assert request.tracking_server_1.seal.file == "seals/a.json"
    assert not request.compare_run_models
    (version,) = request.versions.values()
    assert (version.model, version.version_or_stage) == ("a", "3")
    assert "SealError: The seal seals/c.json cannot be read" in _error(gates["all/c"])


def test_seal_of_another_model_is_an_error(directory: Path) -> None:
    write_seal(directory / "seals/a.json", "b")
    (gate,) = _sealed("seals/{model}.json", [("a", "3")]).values()
    assert "SealError: The seal seals/a.json is of 'b', not of 'a'." in _error(gate)


def test_seal_without_a_selected_model_is_an_error(directory: Path) -> None:
    for model in ("ml.a", "ml.b", "other.c"):
        write_seal(directory / f"seals/{model}.json", model)
    (directory / "seals/readme.txt").write_text("ml.d.json")
    gates = _sealed("seals/{model}.json", [("ml.a", "3")], models="ml.*")
    assert list(gates) == ["all/ml.a", "all/ml.b"]
    assert "The seal seals/ml.b.json has no counterpart on http://prod.example.com: 'ml.b' with @champion is" in _error(
        gates["all/ml.b"]
    )


def test_seals_of_other_versions_are_extra_only_if_every_version_is_selected(directory: Path) -> None:
    for model, version in (("a", "1"), ("a", "2"), ("b", "1"), ("b", "2")):
        write_seal(directory / f"seals/{model}/{model}-{version}.json", model)
    path = "seals/{model}/{model}-{version}.json"
    assert list(_sealed(path, [("a", "2")])) == ["all/a", "all/b"]
    gates = _sealed(path, [("a", "2")], choice="")
    assert list(gates) == ["all/a/2", "all/a/1", "all/b/1", "all/b/2"]
    assert [name for name, gate in gates.items() if gate.request] == ["all/a/2"]


def test_untagged_model_with_a_seal_is_not_extra(directory: Path) -> None:
    write_seal(directory / "seals/a.json", "a")
    write_seal(directory / "seals/b.json", "b")
    selection = _selection(AgainstSeals("seals/{model}.json"), tags={"team": "risk"})
    assert list(_expand(selection, [("a", "1")])) == ["all/a"]


@pytest.mark.parametrize("model", ["../secret", "..", "/etc/passwd", "a\\b", "a\0b"])
def test_model_name_does_not_lead_out_of_the_directory_of_the_seals(directory: Path, model: str) -> None:
    write_seal(directory / "secret.json", model)
    (gate,) = _sealed("seals/{model}.json", [(model, "1")], models="**").values()
    assert "SealError: The name " in _error(gate)
    assert "cannot be a part of the path of a seal" in _error(gate)


def test_path_of_seals_without_the_model_is_an_error(directory: Path) -> None:
    assert "does not name the model" in _error(_sealed("seals/all.json", [("a", "1")])["all"])


def test_directory_of_seals_that_does_not_exist_is_an_error_of_each_model(directory: Path) -> None:
    gates = _sealed("seals/{model}.json", [("a", "1"), ("b", "1")])
    assert ["SealError: " in _error(gate) for gate in gates.values()] == [True, True]


_MODELS = st.sets(st.sampled_from(["prod.a", "prod.b", "prod.c", "dev.a", "staging.a"]), max_size=5)


@given(_MODELS, st.sets(st.sampled_from(["staging.a", "staging.b", "staging.d", "dev.a", "prod.a"]), max_size=5))
def test_each_model_on_either_server_has_exactly_one_gate(prod: set[str], staging: set[str]) -> None:
    against = AgainstServer(_STAGING, (("prod.*", "staging.*"),))
    gates = _expand(_selection(against), [(name, "1") for name in prod], [(name, "1") for name in staging])
    if not prod:
        assert list(gates) == ["all"]
        return
    renamed = {name: name.replace("prod.", "staging.") for name in prod}
    compared = {name for name, gate in gates.items() if gate.request}
    collisions = {name for name in prod if list(renamed.values()).count(renamed[name]) > 1}
    assert compared == {f"all/{name}" for name in prod - collisions if renamed[name] in staging}
    assert {f"all/{name}" for name in prod} <= gates.keys()
    # "prod.a" on the other server has no name on the selected server: it would be "staging.a" there.
    assert len(gates) == len(prod) + len(staging - set(renamed.values()) - {"prod.a"})

"""Gates files are read as gates and selections, and the trouble of one entry is an error of this entry alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from model_gate.domain.gates import AgainstRunModel, AgainstSeals, AgainstServer, Gate, Selection
from model_gate.domain.host import RegistryKind
from model_gate.domain.request import CheckRequest, CompareRequest
from model_gate.domain.verdict import Require
from model_gate.errors import ConfigError, InputError, ModelGateError, SealError
from model_gate.formats.json_schema import load_schema
from model_gate.formats.strict_yaml import MAX_BYTES
from model_gate.inputs.compare_file import parse_config
from model_gate.inputs.gate_entry import MAX_ENTRIES
from model_gate.inputs.gates_file import GatesFile, parse_gates, read_gates
from model_gate.inputs.options import CommonOptions, CompareOptions
from tests.support.paths import ROOT
from tests.support.seals import write_seal

ENVIRONMENT = {
    "STAGING_MLFLOW_TRACKING_URI": "https://staging.example.com",
    "PROD_MLFLOW_TRACKING_URI": "https://production.example.com",
    "WORK_MLFLOW_TRACKING_URI": "databricks",
    "WORK_DATABRICKS_HOST": "https://workspace.example.com",
    "WORK_DATABRICKS_TOKEN": "dapi-of-the-test",
}
NO_OPTIONS = CommonOptions()
NO_MODELS = CompareOptions()
VERSION = "{server: prod, model: Wine, version_or_stage: 1}"
OTHER = "{server: staging, model: Wine, version_or_stage: '@candidate'}"
PAIR = f"tracking_server_1: {OTHER}, tracking_server_2: {VERSION}"
SELECT = "{server: prod, models: 'prod.*', version_or_stage: '@champion', tags: {team: risk}}"
CHECK = f"{{check: {VERSION}}}"


def parse(
    text: str,
    common: CommonOptions = NO_OPTIONS,
    models: CompareOptions = NO_MODELS,
) -> GatesFile:
    return parse_gates([("gates.yaml", text)], common, ENVIRONMENT, models)


def read_entry(
    entry: str,
    common: CommonOptions = NO_OPTIONS,
    models: CompareOptions = NO_MODELS,
    defaults: str = "{}",
) -> Gate | Selection:
    [found] = parse(f"gates:\n  wine: {entry}\ndefaults: {defaults}\n", common, models).entries
    return found


def check_of(entry: Gate | Selection) -> CheckRequest:
    assert isinstance(entry, Gate)
    assert isinstance(entry.request, CheckRequest)
    return entry.request


def compare_of(entry: Gate | Selection) -> CompareRequest:
    assert isinstance(entry, Gate)
    assert isinstance(entry.request, CompareRequest)
    return entry.request


def selection_of(against: str, **options: str) -> Selection:
    others = "".join(f", {key}: {value}" for key, value in options.items())
    found = read_entry(f"{{select: {SELECT}, against: {against}{others}}}")
    assert isinstance(found, Selection), found.error
    return found


def error_of(entry: str, common: CommonOptions = NO_OPTIONS) -> ModelGateError:
    """Return the error of an entry, after a check that another entry of the same file has none."""
    file = parse(f"gates:\n  bad: {entry}\n  good: {CHECK}\n", common)
    bad, good = file.entries
    assert isinstance(bad, Gate)
    assert isinstance(good, Gate)
    assert (bad.name, bad.request, good.error) == ("bad", None, None)
    assert good.request is not None
    assert bad.error is not None
    return bad.error


@pytest.fixture
def seals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the directory of seals in the working directory, with the seals of Wine and of Churn."""
    monkeypatch.chdir(tmp_path)
    write_seal(tmp_path / "seals" / "wine.json", "Wine")
    write_seal(tmp_path / "seals" / "churn.json", "Churn")
    return tmp_path / "seals"


def test_entry_of_two_versions_is_the_request_of_its_compare_file() -> None:
    compare = PAIR.replace(", tracking", "\ntracking") + "\nrequire: equivalent\nignore: [a]\ncompare_run_models: no\n"
    config = parse_config(compare, "c", ENVIRONMENT)
    request = compare_of(read_entry(f"{{{PAIR}, require: equivalent, ignore: [a], compare_run_models: no}}"))
    assert (request.tracking_server_1, request.tracking_server_2) == config.versions
    assert (request.compare_run_models, request.compare_reg_models) == (False, True)
    assert (request.options.require, request.options.ignore.patterns) == (Require.EQUIVALENT, ("a",))
    assert request.config is not None
    assert request.config.name == "gates.yaml"


def test_compare_file_is_a_gate_with_the_name_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "wine.yaml").write_text(PAIR.replace(", tracking", "\ntracking"))
    (tmp_path / "gates.yaml").write_text(f"gates:\n  churn: {CHECK}\n")
    file = read_gates([tmp_path / "wine.yaml", tmp_path / "gates.yaml"], NO_OPTIONS, ENVIRONMENT)
    wine, churn = file.entries
    assert isinstance(wine, Gate)
    assert isinstance(churn, Gate)
    assert (wine.name, wine.entry.file, wine.entry.line) == ("wine", str(tmp_path / "wine.yaml"), 1)
    assert (churn.name, churn.entry.file, churn.entry.line) == ("churn", str(tmp_path / "gates.yaml"), 2)
    assert [name for name, _ in file.files] == [str(tmp_path / "wine.yaml"), str(tmp_path / "gates.yaml")]
    assert compare_of(wine).versions


def test_check_entry_is_the_request_of_a_check(seals: Path) -> None:
    request = check_of(read_entry(f"{{check: {VERSION}, seal: seals/wine.json, require: equivalent}}"))
    assert (request.version.host.server, request.version.model, request.version.version_or_stage) == (
        "prod",
        "Wine",
        "1",
    )
    assert request.seal is not None
    assert request.seal.registered_model == "Wine"
    assert request.options.require is Require.EQUIVALENT
    assert check_of(read_entry(CHECK)).seal is None


def test_seal_of_another_model_is_accepted_if_the_entry_names_the_model(seals: Path) -> None:
    assert check_of(read_entry(f"{{check: {VERSION}, seal: seals/churn.json, seal_model: Churn}}")).seal is not None


def test_entries_that_name_the_same_seal_share_it(seals: Path) -> None:
    entry = f"{{check: {VERSION}, seal: seals/wine.json}}"
    first, second = map(check_of, parse(f"gates:\n  a: {entry}\n  b: {entry}\n").entries)
    assert first.seal is second.seal


def test_selection_against_a_server_has_every_key() -> None:
    found = selection_of(
        "{server: staging, rename: {'prod.*': 'staging.*', Wine: Beer}, version_or_stage: latest}",
        require="equivalent",
        ignore="[a]",
        compare_reg_models="no",
    )
    assert (found.entry.name, found.entry.line, found.host.server) == ("wine", 2, "prod")
    assert (found.models, found.version_or_stage, found.tags) == ("prod.*", "@champion", {"team": "risk"})
    assert isinstance(found.against, AgainstServer)
    assert found.against.rename == (("prod.*", "staging.*"), ("Wine", "Beer"))
    assert (found.against.host.server, found.against.version_or_stage) == ("staging", "latest")
    assert (found.compare_run_models, found.compare_reg_models) == (True, False)
    assert (found.options.require, found.options.ignore.patterns) == (Require.EQUIVALENT, ("a",))
    assert found.config is not None
    assert found.config.name == "gates.yaml"


def test_selection_without_a_version_is_of_every_version() -> None:
    found = read_entry("{select: {server: prod, models: '*'}, against: {server: staging}}")
    assert isinstance(found, Selection)
    assert isinstance(found.against, AgainstServer)
    assert (found.version_or_stage, found.against.version_or_stage, found.tags) == ("", "", {})


def test_selection_against_seals_or_run_models_is_read() -> None:
    assert selection_of("{seals: 'seals/{model}/{version}.json'}").against == AgainstSeals(
        "seals/{model}/{version}.json"
    )
    assert selection_of("run_model").against == AgainstRunModel()


@pytest.mark.parametrize("registry", [None, *RegistryKind])
def test_registry_of_a_workspace_is_what_the_entry_names(registry: RegistryKind | None) -> None:
    named = f", registry: {registry}" if registry else ""
    found = read_entry(f"{{select: {{server: work, models: 'a*'{named}}}, against: {{server: work{named}}}}}")
    assert isinstance(found, Selection), found.error
    assert isinstance(found.against, AgainstServer)
    for host in (found.host, found.against.host):
        assert host.workspace is not None
        assert host.workspace.registry is registry


def test_option_of_an_entry_wins_over_the_default_and_the_command_line_over_both() -> None:
    defaults = "{require: equivalent, ignore: [a], compare_run_models: no}"
    by_default = compare_of(read_entry(f"{{{PAIR}}}", defaults=defaults))
    own = f"{{{PAIR}, require: identical, ignore: [b], compare_run_models: yes}}"
    by_entry = compare_of(read_entry(own, defaults=defaults))
    by_option = compare_of(
        read_entry(own, CommonOptions(Require.EQUIVALENT), CompareOptions(compare_run_models=False), defaults)
    )
    assert [
        (request.options.require, request.options.ignore.patterns, request.compare_run_models)
        for request in (by_default, by_entry, by_option)
    ] == [
        (Require.EQUIVALENT, ("a",), False),
        (Require.IDENTICAL, ("b",), True),
        (Require.EQUIVALENT, ("b",), False),
    ]


def test_options_of_the_command_line_win_in_checks_and_selections() -> None:
    strict = CommonOptions(Require.EQUIVALENT)
    assert (
        check_of(read_entry(f"{{check: {VERSION}, require: identical}}", strict)).options.require is Require.EQUIVALENT
    )
    entry = f"{{select: {SELECT}, against: {{server: staging}}, require: identical}}"
    found = read_entry(entry, strict, CompareOptions(compare_run_models=False))
    assert isinstance(found, Selection)
    assert (found.options.require, found.compare_run_models) == (Require.EQUIVALENT, False)


def test_default_about_run_models_does_not_reach_a_check() -> None:
    assert check_of(read_entry(CHECK, defaults="{compare_run_models: no, compare_reg_models: no}")).seal is None


@pytest.mark.parametrize(
    "entry, message",
    [
        ("{check: {server: prd, model: Wine, version_or_stage: 1}}", "bad.check.server: There is no server 'prd'"),
        ("{check: {host: 'ftp://x', model: Wine, version_or_stage: 1}}", "bad.check.host: "),
        (
            "{check: {host: prod, model: Wine, version_or_stage: 1}}",
            "bad.check.host: host is 'prod', which is",
        ),
        ("{check: {server: prod, model: Wine, version_or_stage: v3}}", "bad.check.version_or_stage: 'v3' is not"),
        (CHECK.replace("1}", "1, native_model: ../x}"), "bad.check.native_model: "),
        (CHECK.replace("1}", "1, registry: workspace}"), "bad.check.registry: "),
        (CHECK.replace("1}", "1}, seal: ../wine.json"), "bad.seal: ../wine.json is not a path beneath"),
        (CHECK.replace("1}", "1}, seal: /etc/wine.json"), "bad.seal: /etc/wine.json is an absolute path"),
        (f"{{{PAIR}, compare_run_models: no, compare_reg_models: no}}", "gates.bad: There is nothing to compare"),
        (f"{{{PAIR.replace('1}', '1, native_model: a}')}}}", "native_model is given for the other server only"),
        (f"{{select: {SELECT.replace('prod.*', '[]')}, against: run_model}}", "bad.select.models: '[]' is not a glob"),
        (f"{{select: {SELECT.replace('@champion', '7')}, against: run_model}}", "7 is the number of one version"),
        (f"{{select: {SELECT}, against: {{server: prd}}}}", "bad.against.server: There is no server 'prd'"),
        (f"{{select: {SELECT}, against: {{server: staging, registry: workspace}}}}", "bad.against.registry: "),
        (f"{{select: {SELECT}, against: {{server: staging, version_or_stage: v1}}}}", "against.version_or_stage: 'v1'"),
        (f"{{select: {SELECT}, against: {{server: staging, rename: {{'a*': b}}}}}}", "has 1 wildcard, and 'b' has 0"),
        (f"{{select: {SELECT}, against: {{server: staging, rename: {{'a?': 'b?'}}}}}}", "with * as its only"),
        (f"{{select: {SELECT}, against: {{seals: '../{{model}}.json'}}}}", "is not a path beneath the working"),
        (f"{{select: {SELECT}, against: {{seals: '/{{model}}.json'}}}}", "is an absolute path"),
        (f"{{select: {SELECT}, against: {{seals: '{{model}}{{stage}}'}}}}", "braces around another word"),
        (f"{{select: {SELECT}, against: {{seals: '{{model}}}}'}}}}", "braces around another word"),
    ],
)
def test_trouble_of_one_entry_is_the_error_of_this_entry_alone(entry: str, message: str) -> None:
    error = error_of(entry)
    assert isinstance(error, ConfigError)
    assert error.message.startswith("gates.yaml, line 2, gates.bad")
    assert message in error.message
    assert error.remedy


def test_missing_edited_or_foreign_seal_is_the_error_of_its_entry_alone(seals: Path) -> None:
    (seals / "edited.json").write_text((seals / "wine.json").read_text().replace("model.pkl", "model.pkx", 1))
    for name, message in (("none", "cannot be read"), ("edited", "is not a valid seal"), ("churn", "is of 'Churn'")):
        for entry in (
            f"{{check: {VERSION}, seal: seals/{name}.json}}",
            f"{{tracking_server_1: {{seal: seals/{name}.json}}, tracking_server_2: {VERSION}}}",
        ):
            error = error_of(entry)
            assert isinstance(error, SealError)
            assert message in error.message
            assert error.remedy
    error = error_of(f"{{check: {VERSION}, seal: seals/wine.json, seal_model: Churn}}")
    assert "is of 'Wine', not of 'Churn'" in error.message


@pytest.mark.parametrize(
    "entry",
    [
        "{check: {host: 'https://new.example.com', model: Wine, version_or_stage: 1}}",
        f"{{{PAIR.replace('server: prod', 'host: https://new.example.com')}}}",
        "{select: {host: 'https://new.example.com', models: '*'}, against: run_model}",
        f"{{select: {SELECT}, against: {{host: 'https://new.example.com'}}}}",
    ],
)
def test_undeclared_server_is_an_error_of_its_entry_if_servers_must_be_declared(entry: str) -> None:
    error = error_of(entry, CommonOptions(declared_hosts_only=True))
    assert "The gates file names the tracking server https://new.example.com, which is not declared" in error.message
    found = read_entry(entry)
    notices = found.notices if isinstance(found, Selection) else found.request and found.request.notices
    assert notices
    assert "The gates file names https://new.example.com, which is not declared" in notices[0]
    assert isinstance(read_entry(entry, CommonOptions(allow_hosts="https://new.example.com")), type(found))


def test_server_in_a_text_of_the_workflow_counts_as_declared() -> None:
    text = "gates: {a: {check: {host: 'https://new.example.com', model: Wine, version_or_stage: 1}}}"
    common = CommonOptions(declared_hosts_only=True)
    [gate] = parse_gates([("The input", text)], common, ENVIRONMENT, is_declaration=True).entries
    assert check_of(gate).version.host.is_declared


def test_malformed_declaration_or_option_is_an_error_of_the_whole_run() -> None:
    text = [("gates.yaml", f"gates: {{a: {CHECK}}}")]
    with pytest.raises(InputError, match="1PROD_MLFLOW_TRACKING_URI declares no server"):
        parse_gates(text, CommonOptions(), {"1PROD_MLFLOW_TRACKING_URI": "https://example.com"})
    with pytest.raises(InputError, match="--timeout"):
        parse_gates(text, CommonOptions(timeout=0), ENVIRONMENT)


def test_names_are_unique_over_all_files() -> None:
    texts = [("a.yaml", f"gates:\n  wine: {CHECK}\n"), ("b.yaml", f"gates:\n  beer: {CHECK}\n  wine: {CHECK}\n")]
    with pytest.raises(ConfigError) as caught:
        parse_gates(texts, NO_OPTIONS, ENVIRONMENT)
    assert caught.value.message == "b.yaml, line 3: the name 'wine' is given twice, first in a.yaml, line 2."
    pair = PAIR.replace(", tracking", "\ntracking")
    with pytest.raises(
        ConfigError, match=r"b/wine\.yaml, line 1: the name 'wine' is given twice, first in a/wine\.yaml"
    ):
        parse_gates([("a/wine.yaml", pair), ("b/wine.yaml", pair)], NO_OPTIONS, ENVIRONMENT)


def test_number_of_entries_is_limited_over_all_files() -> None:
    pair = PAIR.replace(", tracking", "\ntracking")
    many = "gates:\n" + "".join(f"  a{index}: {{}}\n" for index in range(MAX_ENTRIES))
    with pytest.raises(ConfigError, match=r"b\.yaml, line 1, gates: there are 10,001 entries, and 10,000 are allowed"):
        parse_gates([("a.yaml", pair), ("b.yaml", many)], NO_OPTIONS, ENVIRONMENT)


def test_no_file_and_the_same_file_twice_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No gates file is named"):
        read_gates([], NO_OPTIONS, ENVIRONMENT)
    file = tmp_path / "gates.yaml"
    file.write_text(f"gates: {{a: {CHECK}}}")
    with pytest.raises(InputError, match="is named twice"):
        read_gates([file, tmp_path / "." / "gates.yaml"], NO_OPTIONS, ENVIRONMENT)


def test_gates_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "gates.yaml").touch()
    for path, message, remedy in (
        (tmp_path / "gate.yaml", "There is no gates file", "Did you mean"),
        (tmp_path / "*.yaml", "There is no gates file", "Name each file: patterns are not expanded."),
        (tmp_path, "directory", "Check the path"),
    ):
        with pytest.raises(ConfigError) as caught:
            read_gates([path], NO_OPTIONS, ENVIRONMENT)
        assert message in caught.value.message
        assert remedy in caught.value.remedy
    with (tmp_path / "large.yaml").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(ConfigError, match=f"larger than {MAX_BYTES:,} bytes"):
        read_gates([tmp_path / "large.yaml"], NO_OPTIONS, ENVIRONMENT)


def test_gates_file_as_a_compare_file_is_an_error_that_names_the_command() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(f"gates:\n  wine: {CHECK}\n", "gates.yaml", ENVIRONMENT)
    assert caught.value.message == "gates.yaml, line 1, gates: gates.yaml is a gates file, with the gates of a run."
    assert caught.value.remedy == "Run its gates: model-gate run --config-file gates.yaml."


def test_compare_file_with_many_models_is_an_error_that_names_the_gates_file() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(f"models: [a, b]\n{PAIR.replace(', tracking', chr(10) + 'tracking')}", "c", ENVIRONMENT)
    assert "write a gates file (model-gate run) with an entry for each pair" in caught.value.remedy


def test_example_of_the_documentation_is_read_without_an_error(seals: Path) -> None:
    page = (ROOT / "docs" / "run.md").read_text("utf-8")
    example = page.partition("```yaml\n")[2].partition("```")[0]
    entries = parse(example).entries
    assert [entry.entry.name for entry in entries] == ["wine", "churn", "all", "sealed", "own"]
    assert not [entry.error for entry in entries if isinstance(entry, Gate) and entry.error]
    Draft202012Validator(load_schema("gates.schema.json")).validate(yaml.safe_load(example))

"""The step's inputs are converted to a request, and are the same in the manifest, the code and the documentation."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from model_gate.action.inputs import INPUTS, Inputs, with_input_names
from model_gate.action.outputs import OUTPUTS
from model_gate.action.profiles import require_profiles, secrets_in
from model_gate.domain.request import CheckRequest, CompareRequest, VerifyRequest
from model_gate.domain.verdict import Require
from model_gate.errors import ConfigError, InputError, SignatureError
from tests.support.paths import ROOT
from tests.support.seals import write_seal
from tests.support.signed_models import KeyFiles

HOST = "https://mlflow.example.com"
CONFIG = f"""
tracking_server_1: {{host: {HOST}, model: Wine, version_or_stage: 1}}
tracking_server_2: {{host: {HOST}, model: Wine, version_or_stage: 2}}
"""


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def inputs(**values: str) -> Inputs:
    named = {f"INPUT_{name.replace('_', '-').upper()}": value for name, value in values.items()}
    declared = {name: value for name, value in os.environ.items() if name.endswith("MLFLOW_TRACKING_URI")}
    return Inputs({**named, **declared, "GITHUB_WORKSPACE": str(Path.cwd())})


def manifest() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
    return content


def documented(heading: str) -> list[str]:
    """Return the names in the first column of the table that follows a heading in docs/action.md."""
    text = (ROOT / "docs/action.md").read_text()
    section = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `([a-z0-9-]+)` \|", section, re.MULTILINE)


def test_action_manifest_code_and_documentation_list_the_same_inputs() -> None:
    names = [item.name for item in INPUTS]
    assert list(manifest()["inputs"]) == names
    assert documented("Inputs") == names


def test_action_manifest_code_and_documentation_list_the_same_outputs() -> None:
    assert list(manifest()["outputs"]) == list(OUTPUTS)
    assert documented("Outputs") == list(OUTPUTS)


def test_reusable_workflow_passes_only_inputs_of_the_action() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/gate.yml").read_text())
    step = next(step for step in workflow["jobs"]["gate"]["steps"] if step.get("id") == "gate")
    assert set(step["with"]) <= {item.name for item in INPUTS}
    workflow_inputs = set(workflow[True]["workflow_call"]["inputs"])
    # The workflow passes `host` as MLFLOW_TRACKING_URI, so that its secrets are used for that server only.
    assert workflow_inputs - {"artifact-name", "host"} == set(step["with"]) - {"databricks-profiles", "credentials"}
    assert {"status", "equals"} <= set(workflow[True]["workflow_call"]["outputs"])


def test_reusable_workflow_passes_each_secret_to_the_action() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/gate.yml").read_text())
    step = next(step for step in workflow["jobs"]["gate"]["steps"] if step.get("id") == "gate")
    secrets = workflow[True]["workflow_call"]["secrets"]
    passed = {name.lower().replace("_", "-"): value for name, value in (step["env"] | step["with"]).items()}
    assert {name: passed.get(name) for name in secrets} == {name: f"${{{{ secrets.{name} }}}}" for name in secrets}


def gates_workflow() -> dict[Any, Any]:
    content: dict[Any, Any] = yaml.safe_load((ROOT / ".github/workflows/gates.yml").read_text())
    return content


def step_of(workflow: dict[Any, Any], job: str) -> dict[str, Any]:
    """Return the step of a job that calls the action."""
    (step,) = (step for step in workflow["jobs"][job]["steps"] if step.get("uses", "").startswith("model-gate/"))
    return dict(step)


@pytest.mark.parametrize("job, command", [("plan", "plan"), ("shards", "run"), ("merge", "merge")])
def test_job_of_the_workflow_with_shards_sets_all_inputs_of_its_command(job: str, command: str) -> None:
    workflow = gates_workflow()
    values = step_of(workflow, job)["with"]
    assert values["command"] == command
    known = {item.name for item in INPUTS if item.is_for(command)}
    assert values.keys() <= known
    # Neither rows nor reports need a path of the caller, and rows hold no secret.
    inner = {"command", "download-dir", "report-file", "plan-file", "rows", "shard", "junit-file", "page-file"}
    unused = {"timeout", "allow-local-artifacts", "credentials", "databricks-profiles"} if command == "merge" else set()
    assert known - inner - unused - {"badge-file"} <= values.keys()


def test_workflow_with_shards_uses_each_of_its_inputs_and_secrets() -> None:
    workflow = gates_workflow()
    jobs = str(workflow["jobs"])
    called = workflow[True]["workflow_call"]
    names = [f"inputs.{name}" for name in called["inputs"]] + [f"secrets.{name}" for name in called["secrets"]]
    assert [name for name in names if f"{name} }}}}" not in jobs] == []
    # The plan and the shards read the same models, each with all secrets.
    for job in ("plan", "shards"):
        assert [name for name in called["secrets"] if f"secrets.{name} }}}}" not in str(step_of(workflow, job))] == []


def test_verdict_of_the_workflow_with_shards_runs_whatever_happened_and_needs_every_shard() -> None:
    merge = gates_workflow()["jobs"]["merge"]
    # A required check that is skipped counts as passed.
    assert merge["if"] == "${{ always() }}"
    assert set(merge["needs"]) == {"plan", "shards"}
    assert all("needs.shards.result == 'success'" in merge["outputs"][name] for name in ("status", "passed"))
    assert merge["permissions"] == {}
    assert gates_workflow()["jobs"]["shards"]["strategy"]["fail-fast"] is False


def test_action_manifest_and_code_have_the_same_default_values() -> None:
    defaults = {name: entry["default"] for name, entry in manifest()["inputs"].items() if "default" in entry}
    named = inputs(**{name.replace("-", "_"): value for name, value in defaults.items()})
    unset = inputs()
    assert named.report_file == unset.report_file
    assert named.fails_on_difference == unset.fails_on_difference
    assert named.is_verbose == unset.is_verbose


@pytest.mark.parametrize(
    "values",
    [
        {"command": "check", "model": "Wine", "version_or_stage": "1", "host": HOST},
        {"command": "compare", "config": CONFIG},
        {"command": "seal", "model": "Wine", "version_or_stage": "1", "host": HOST},
        {"command": "verify", "model": "Wine", "version_or_stage": "1", "host": HOST, "seal": "seal.json"},
    ],
    ids=lambda values: values["command"],
)
def test_each_command_accepts_the_default_values_of_the_action_manifest(
    values: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_seal(tmp_path / "seal.json")
    # The runner passes the default of each input, whatever the command.
    defaults = {name: entry["default"] for name, entry in manifest()["inputs"].items() if "default" in entry}
    named = {name.replace("-", "_"): value for name, value in defaults.items()}
    assert inputs(**named | values).request() == inputs(**values).request()


def test_white_space_around_inputs_of_a_check_is_removed() -> None:
    request = inputs(
        model="Wine", version_or_stage="\t@champion\n", host=f" {HOST} ", native_model="model.pkl"
    ).request()
    assert isinstance(request, CheckRequest)
    assert (request.version.model, request.version.version_or_stage) == ("Wine", "@champion")
    assert request.version.native_model == "model.pkl"
    assert request.version.host.address == HOST


@pytest.mark.parametrize("name", ["Wine ", " Wine", "Wine\n"])
def test_white_space_around_model_names_is_not_removed(name: str) -> None:
    request = inputs(model=name, version_or_stage="1", host=HOST, native_model=name).request()
    assert isinstance(request, CheckRequest)
    assert (request.version.model, request.version.native_model) == (name, name)


def test_blank_model_input_is_reported_as_not_set() -> None:
    with pytest.raises(InputError, match="'model' is not set"):
        inputs(model=" \n", version_or_stage="1", host=HOST).request()


@pytest.mark.parametrize("value", ["true", "True", "TRUE"])
def test_boolean_input_accepts_three_spellings_of_true(value: str) -> None:
    request = inputs(config=CONFIG, compare_run_models=value, compare_reg_models="False").request()
    assert isinstance(request, CompareRequest)
    assert (request.compare_run_models, request.compare_reg_models) == (True, False)


@pytest.mark.parametrize("name", ["verbose", "fail_on_difference", "compare_run_models"])
@pytest.mark.parametrize("value", ["yes", "1", "tRUE", "on"])
def test_invalid_boolean_is_an_error_that_names_the_input(name: str, value: str) -> None:
    with pytest.raises(InputError, match=name.replace("_", "-")):
        inputs(config=CONFIG, **{name: value}).request()


def test_invalid_value_of_fail_on_difference_is_read_as_true() -> None:
    assert inputs(fail_on_difference="nope").fails_on_difference
    assert not inputs(fail_on_difference="false").fails_on_difference


def test_config_file_and_equal_inline_config_give_equal_requests(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An inline config declares its hosts; the hosts of a file must be declared.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", HOST)
    (workspace / "promotion.yaml").write_text(CONFIG)
    from_file = inputs(config_file="promotion.yaml", require="equivalent").request()
    inline = inputs(config=CONFIG, require="equivalent").request()
    assert from_file == inline
    assert inline.options.require is Require.EQUIVALENT


@pytest.mark.parametrize(
    "values, message",
    [
        ({"model": "Wine"}, "'version-or-stage' is not set"),
        ({"version_or_stage": "1"}, "'model' is not set"),
        ({"model": "Wine", "version_or_stage": "1"}, "'host' is not set"),
        ({"model": "Wine", "version_or_stage": "1", "host": "ftp://x"}, "The input 'host' 'ftp://x'"),
        ({"command": "diff"}, "'command' is 'diff'"),
        ({"command": "compare"}, "Neither 'config-file' nor 'config' is set"),
        ({"command": "check", "config": CONFIG}, "'config' is not for check"),
        ({"command": "compare", "config": CONFIG, "model": "Wine"}, "'model' is not for compare"),
        ({"config": CONFIG, "config_file": "a.yaml"}, "'config' and 'config-file' are both set"),
        ({"config_file": "../a.yaml"}, "'config-file' names ../a.yaml, which is outside the workspace"),
        ({"config": CONFIG, "report_file": "/etc/report.json"}, "'report-file' names /etc/report.json"),
        ({"config": CONFIG, "download_dir": ".."}, "'download-dir' names .."),
        ({"config": CONFIG, "require": "same"}, "'require' is 'same'"),
        ({"config": CONFIG, "registry": "workspace"}, "'registry' is not for compare"),
        ({"model": "Wine", "version_or_stage": "1", "host": HOST, "registry": "uc"}, "'registry' is 'uc'"),
        ({"model": "Wine", "version_or_stage": "1", "host": HOST, "registry": "workspace"}, "only a Databricks host"),
        ({"model": "Wine", "version_or_stage": "1", "host": HOST, "native_model": "../x"}, "native model '../x'"),
        ({"config": CONFIG, "compare_run_models": "false", "compare_reg_models": "false"}, "nothing to compare"),
    ],
)
def test_error_names_the_contradictory_or_invalid_input(values: dict[str, str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        inputs(**values).request()
    assert message in caught.value.message
    assert caught.value.remedy
    assert "--" not in caught.value.message + caught.value.remedy


def test_error_for_an_undeclared_server_in_a_config_file_suggests_allow_hosts(
    workspace: Path,
) -> None:
    (workspace / "promotion.yaml").write_text(CONFIG)
    with pytest.raises(InputError) as caught:
        inputs(config_file="promotion.yaml").request()
    assert f"names the tracking server {HOST}, which is not declared" in caught.value.message
    assert f"allow-hosts {HOST}" in caught.value.remedy
    assert "--" not in caught.value.message + caught.value.remedy


def test_server_that_matches_allow_hosts_is_accepted_but_not_declared(workspace: Path) -> None:
    (workspace / "promotion.yaml").write_text(CONFIG)
    request = inputs(config_file="promotion.yaml", allow_hosts="https://*.example.com").request()
    assert [host.is_declared for host in request.hosts] == [False, False]
    assert request.notices == ()


def test_host_in_the_inline_config_or_the_host_input_is_a_declared_server() -> None:
    assert all(host.is_declared for host in inputs(config=CONFIG).request().hosts)
    assert all(host.is_declared for host in inputs(model="Wine", version_or_stage="1", host=HOST).request().hosts)


def test_host_input_accepts_the_name_of_a_declared_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROD_MLFLOW_TRACKING_URI", HOST)
    (host,) = inputs(model="Wine", version_or_stage="1", host="server:prod").request().hosts
    assert (host.server, host.address) == ("prod", HOST)


def test_error_for_an_unknown_input_suggests_a_similar_name() -> None:
    with pytest.raises(InputError) as caught:
        Inputs({"INPUT_VERSION_OR_STAGE": "1"}).request()
    assert caught.value.message == "Unknown input 'version_or_stage'."
    assert "version-or-stage" in caught.value.remedy


def test_inputs_that_the_runner_adds_are_accepted() -> None:
    assert isinstance(inputs(config=CONFIG, args="action", entrypoint="x").request(), CompareRequest)


def test_error_in_an_inline_config_names_the_line() -> None:
    with pytest.raises(ConfigError) as caught:
        inputs(config=CONFIG.strip().replace("version_or_stage: 2", "version: 2")).request()
    assert caught.value.message.startswith("The input 'config', line 2")


def test_symlink_to_a_path_outside_the_workspace_is_rejected(
    workspace: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (workspace / "link").symlink_to(outside)
    with pytest.raises(InputError, match="outside the workspace"):
        inputs(config_file="link/a.yaml").request()
    assert inputs(report_file="link/report.json").report_file == Path("model-gate-report.json")


def test_path_in_the_temporary_directory_of_the_runner_is_accepted(tmp_path_factory: pytest.TempPathFactory) -> None:
    temporary = tmp_path_factory.mktemp("temporary")
    values = Inputs({"INPUT_REPORT-FILE": f"{temporary}/report.json", "RUNNER_TEMP": str(temporary)})
    assert values.report_file == temporary.resolve() / "report.json"


@pytest.mark.parametrize("name", ["report-file", "download-dir", "config-file"])
def test_checked_in_link_into_the_temporary_directory_of_the_runner_is_rejected(tmp_path: Path, name: str) -> None:
    workspace, temporary = tmp_path / "workspace", tmp_path / "temporary"
    workspace.mkdir()
    temporary.mkdir()
    (workspace / "link").symlink_to(temporary / "victim")
    values = Inputs(
        {f"INPUT_{name.upper()}": "link", "GITHUB_WORKSPACE": str(workspace), "RUNNER_TEMP": str(temporary)}
    )
    with pytest.raises(InputError, match="outside the workspace"):
        values.request()


@pytest.mark.parametrize(
    "text, expected",
    [
        ("--host is missing", "host is missing"),
        ("see --require equivalent)", "see require: equivalent)"),
        ("leave --download-dir out", "leave download-dir out"),
        ("--no-compare-run-models", "compare-run-models"),
        ("a--host and mlflow server --serve-artifacts", "a--host and mlflow server --serve-artifacts"),
    ],
)
def test_command_line_options_in_messages_become_names_of_action_inputs(text: str, expected: str) -> None:
    assert with_input_names(text) == expected


PROFILES = """
; a comment
[prod]
host = https://dbc.example.com
token: dapi-one
[ci]
host=https://dbc.example.com
client_id = 4711
client_secret = two=2
  and more
azure_client_secret=three
anything = four
"""


def test_every_line_of_a_multi_line_profile_secret_is_masked() -> None:
    assert secrets_in(PROFILES) == ("dapi-one", "two=2", "and more", "three", "four")
    require_profiles(PROFILES)


def test_every_line_of_unparsable_profiles_is_masked() -> None:
    assert secrets_in("dapi-just-a-token\nand another") == ("dapi-just-a-token", "and another")


@pytest.mark.parametrize(
    "text", ["dapi-just-a-token", "[a]\ntoken\n", "[a]\ntoken = dapi-x\ntoken = dapi-y", "[a]\n[a]\n", "# nothing"]
)
def test_error_for_invalid_databricks_profiles_does_not_quote_them(text: str) -> None:
    with pytest.raises(InputError) as caught:
        require_profiles(text)
    assert "'databricks-profiles'" in caught.value.message
    assert "dapi" not in caught.value.message + caught.value.remedy
    assert caught.value.__cause__ is None


def test_signature_of_a_seal_is_checked_for_the_inputs_of_a_step(workspace: Path) -> None:
    write_seal(workspace / "seal.json")
    key, _ = (KeyFiles.make(make_directory(workspace / name)) for name in ("key", "foreign"))
    key.sign_file(workspace / "seal.json")
    step = {
        "command": "verify",
        "model": "Wine",
        "version_or_stage": "1",
        "host": HOST,
        "seal": "seal.json",
        "bundle": "seal.sigstore.json",
    }
    request = inputs(**step, public_key="key/key.pub").request()
    assert isinstance(request, VerifyRequest)
    assert request.seal.signer == "the key key/key.pub"
    with pytest.raises(SignatureError, match=r"no valid signature of the key foreign/key\.pub"):
        inputs(**step, public_key="foreign/key.pub").request()
    with pytest.raises(InputError, match="issuer is missing") as caught:
        inputs(**step, identity="ann@example.com").request()
    assert "--" not in caught.value.message


def test_paths_of_the_signature_are_in_the_workspace(workspace: Path) -> None:
    for name in ("bundle", "public_key", "trust_config", "statement_file"):
        with pytest.raises(InputError, match="outside the workspace"):
            inputs(command="verify", model="Wine", version_or_stage="1", host=HOST, **{name: "/etc/passwd"}).request()


def test_messages_name_the_input_statement_file() -> None:
    assert with_input_names("leave out --statement.") == "leave out statement-file."


def make_directory(path: Path) -> Path:
    path.mkdir()
    return path


def test_misspelled_command_gets_a_suggestion() -> None:
    with pytest.raises(InputError, match="The input 'command' is 'comapre'") as caught:
        inputs(command="comapre").request()
    assert caught.value.remedy == "Did you mean 'compare'?"
    with pytest.raises(InputError) as caught:
        inputs(command="unlike").request()
    assert caught.value.remedy.startswith("Set it to check, compare, ")

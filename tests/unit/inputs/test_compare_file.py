"""Valid compare files are accepted, and all others are rejected with an error that names the problem."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from model_gate.domain.verdict import Require
from model_gate.errors import ConfigError, InputError
from model_gate.formats.strict_yaml import MAX_BYTES
from model_gate.inputs.compare_file import parse_config, read_config
from model_gate.inputs.version_entry import checked_native_model
from tests.support.commandline import run
from tests.support.paths import SCHEMAS
from tests.support.reports import read_report
from tests.support.seals import write_seal

SERVER = "{host: http://example.com, model: Wine, version_or_stage: 1}"
GOOD = f"tracking_server_1: {SERVER}\ntracking_server_2: {SERVER}\n"
DECLARED = {
    "STAGING_MLFLOW_TRACKING_URI": "https://staging.example.com",
    "PROD_MLFLOW_TRACKING_URI": "https://production.example.com",
    "PROD_MLFLOW_TRACKING_TOKEN": "s3cret",
}
SCHEMA = json.loads((SCHEMAS / "config.schema.json").read_text("utf-8"))


def rejection(text: str) -> ConfigError:
    """Return the error for a compare file with this text."""
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "compare.yaml", {})
    return caught.value


def file_rejection(path: Path) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read_config(path, {})
    return caught.value


def test_every_key_of_the_compare_file_is_read() -> None:
    config = parse_config(
        """
        tracking_server_1:
          host: http://ann:s3cret@staging.example.com:5000/
          model: Sklearn_Wine
          version_or_stage: staging
          native_model: ./data//model/
        tracking_server_2:
          host: https://production.example.com
          model: Sklearn Wine
          version_or_stage: "@champion"
          native_model: model.pkl
        compare_run_models: yes
        compare_reg_models: false
        require: equivalent
        """,
        "compare.yaml",
        {},
    )
    first, second = config.versions
    assert (first.host.address, first.host.username, first.host.password) == (
        "http://staging.example.com:5000",
        "ann",
        "s3cret",
    )
    assert (first.model, first.version_or_stage, first.native_model) == ("Sklearn_Wine", "staging", "data/model")
    assert (second.model, second.version_or_stage, second.native_model) == ("Sklearn Wine", "@champion", "model.pkl")
    assert (config.compare_run_models, config.compare_reg_models) == (True, False)
    assert config.require is Require.EQUIVALENT


def test_missing_optional_keys_of_the_compare_file_are_none() -> None:
    config = parse_config(GOOD, "compare.yaml", {})
    assert (config.compare_run_models, config.compare_reg_models, config.require) == (None, None, None)
    assert config.tracking_server_1.native_model == ""


@pytest.mark.parametrize(
    "ignore, item", [("model.pkl", "- model.pkl"), ('"*.log"', '- "*.log"'), ("notes/**", "- notes/**")]
)
def test_error_for_an_ignore_pattern_outside_a_list_shows_how_to_write_a_list(ignore: str, item: str) -> None:
    error = rejection(GOOD + f"ignore: {ignore}\n")
    assert "line 3, ignore: it is text" in error.message
    assert error.remedy == f"Write a list, with one pattern on each line: {item}"


@pytest.mark.parametrize("text", [GOOD, GOOD.replace("{", "\n  ").replace("}", "").replace(", ", "\n  ")])
def test_error_for_an_unquoted_alias_says_to_quote_it(text: str) -> None:
    error = rejection(text.replace("version_or_stage: 1", "version_or_stage: @champion-2", 1))
    assert "a value cannot begin with '@' unless it is quoted" in error.message
    assert error.remedy == 'Quote the alias: "@champion-2".'


@pytest.mark.parametrize("value", ["*wine", "`wine", "%wine"])
def test_error_for_a_value_that_begins_with_a_special_character_says_to_quote_it(value: str) -> None:
    error = rejection(GOOD.replace("model: Wine", f"model: {value}", 1))
    assert f"line 1: a value cannot begin with {value[0]!r}" in error.message
    assert error.remedy == f'Quote the value: "{value}".'


@pytest.mark.parametrize(
    "key, value",
    [("host", "'${HOST}'"), ("host", "'https://${USER}:${PASSWORD}@example.com'"), ("model", "'${{ inputs.model }}'")],
)
def test_error_for_a_variable_says_that_variables_are_not_replaced(key: str, value: str) -> None:
    error = rejection(GOOD.replace({"host": "http://example.com", "model": "Wine"}[key], value, 1))
    assert f"line 1, tracking_server_1.{key}: " in error.message
    assert "is not replaced by its value" in error.message
    assert error.remedy.startswith("Write the")


@pytest.mark.parametrize("key", ["models", "model", "hosts"])
def test_error_for_a_key_outside_its_server_says_where_it_belongs(key: str) -> None:
    error = rejection(f"{key}:\n  - Wine\n{GOOD}")
    assert f"line 1, {key}: the key {key!r} is not known" in error.message
    belongs = f"the key {key.removesuffix('s')!r} belongs below tracking_server_1 and below tracking_server_2."
    assert error.remedy.startswith(f"Remove it: {belongs}")


@pytest.mark.parametrize("word", ["no", "on", "True"])
def test_error_for_a_name_that_yaml_reads_as_a_boolean_says_to_quote_it(word: str) -> None:
    error = rejection(GOOD.replace("model: Wine", f"model: {word}", 1))
    assert f"line 1, tracking_server_1.model: YAML reads {word!r} as" in error.message
    assert error.remedy == f'Quote it: model: "{word}".'


@pytest.mark.parametrize(
    "text, remedy",
    [
        ("staging", "Write server: staging instead of host: staging."),
        ("Staging", "Write server: Staging instead of host: Staging."),
        ("server:staging", "Write server: staging instead of host: server:staging."),
    ],
)
def test_error_for_the_name_of_a_declared_server_as_host_says_to_write_server(text: str, remedy: str) -> None:
    declared = {"STAGING_MLFLOW_TRACKING_URI": "https://staging.example.com"}
    with pytest.raises(ConfigError, match="which is the name of a server and not an address") as raised:
        parse_config(GOOD.replace("http://example.com", text, 1), "c", declared)
    assert raised.value.remedy == remedy


def test_error_for_an_address_as_server_says_to_write_host() -> None:
    error = rejection(GOOD.replace("host: http://example.com", "server: http://example.com", 1))
    assert error.remedy == "Write it as host instead of server."


@pytest.mark.parametrize("name", ["TOKEN", "USERNAME", "PASSWORD"])
def test_error_for_a_server_whose_login_is_set_without_an_address_names_both_variables(name: str) -> None:
    text = GOOD.replace("host: http://example.com", "server: prod", 1)
    with pytest.raises(ConfigError) as raised:
        parse_config(text, "c", {f"PROD_MLFLOW_TRACKING_{name}": "secret-of-the-test"})
    assert f"PROD_MLFLOW_TRACKING_{name} is set, but PROD_MLFLOW_TRACKING_URI is not" in raised.value.message
    assert "secret-of-the-test" not in raised.value.message + raised.value.remedy


@pytest.mark.parametrize(
    "name, remedy",
    [("v3", "Write 3."), ("3.0", "Write 3: "), ("'models:/Wine/3'", "Write 3."), ("'models:/Wine@best'", "@best")],
)
def test_error_for_another_form_of_a_version_says_how_to_write_it(name: str, remedy: str) -> None:
    error = rejection(GOOD.replace("version_or_stage: 1", f"version_or_stage: {name}", 1))
    assert "line 1, tracking_server_1.version_or_stage: " in error.message
    assert remedy in error.remedy


def test_old_key_names_of_the_servers_are_accepted() -> None:
    assert parse_config(GOOD.replace("_1:", "_01:").replace("_2:", "_02:"), "c", {}) == parse_config(GOOD, "c", {})


@pytest.mark.parametrize("version", ["010", "1_000", "0x1F", "7", "1e3", "2026-01-02", "12:30:45", ".5", "+1"])
def test_version_in_the_compare_file_is_read_as_unchanged_text(version: str) -> None:
    config = parse_config(GOOD.replace("version_or_stage: 1", f"version_or_stage: {version}", 1), "c", {})
    assert config.versions[0].version_or_stage == version


def test_byte_order_mark_and_windows_line_ends_in_a_compare_file_are_accepted(tmp_path: Path) -> None:
    file = tmp_path / "compare.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert read_config(file, {}) == parse_config(GOOD, "c", {})


def test_error_for_a_missing_compare_file_contains_its_path(tmp_path: Path) -> None:
    error = file_rejection(tmp_path / "nothing.yaml")
    assert str(tmp_path / "nothing.yaml") in error.message
    assert "There is no compare file" in error.message
    # The directory is empty, so the repository may not be checked out.
    assert "actions/checkout" in error.remedy


@pytest.mark.parametrize(
    "name, remedy",
    [
        ("promotion.yml", "Did you mean promotion.yaml?"),
        ("promotions/wine.yaml", "There is no directory"),
        ("*.yaml", "Name one file: patterns are not expanded."),
        ("unlike", "Check the path."),
    ],
)
def test_error_for_a_missing_compare_file_says_what_to_name(
    name: str, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "promotion.yaml").touch()
    monkeypatch.chdir(tmp_path)
    assert file_rejection(Path(name)).remedy.startswith(remedy)


def test_file_with_only_the_suffix_in_common_is_not_suggested(tmp_path: Path) -> None:
    (tmp_path / "p9i.yaml").touch()
    assert file_rejection(tmp_path / "promotion.yaml").remedy.startswith("Check the path.")


def test_directory_as_compare_file_is_rejected(tmp_path: Path) -> None:
    assert "directory" in file_rejection(tmp_path).message


# A memory limit protects the machine if Model Gate reads a whole file.
LIMITED = ("bash", "-c", 'ulimit -v 2000000; exec "$@"', "bash")


def test_compare_file_above_the_size_limit_is_rejected(tmp_path: Path) -> None:
    with (tmp_path / "large.yaml").open("wb") as file:
        file.truncate(2**40)
    done = run("compare", "--config-file", tmp_path / "large.yaml", cwd=tmp_path, before=LIMITED)
    error = read_report(tmp_path / "model-gate-report.json", done.returncode)["error"]
    assert (error["type"], f"{MAX_BYTES:,}" in error["message"]) == ("ConfigError", True)


def test_endless_compare_file_is_rejected(tmp_path: Path) -> None:
    done = run("compare", "--config-file", "/dev/zero", cwd=tmp_path, before=LIMITED)
    error = read_report(tmp_path / "model-gate-report.json", done.returncode)["error"]
    assert (error["type"], "Not a regular file" in error["message"]) == ("ConfigError", True)


def test_fifo_as_compare_file_is_rejected(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert "Not a regular file" in file_rejection(tmp_path / "fifo").message


@pytest.mark.parametrize("text", ["", "\n\n", "# a comment only\n", "---\n"])
def test_empty_compare_file_is_rejected(text: str) -> None:
    error = rejection(text)
    assert "is empty" in error.message or "is not a mapping" in error.message
    assert error.remedy


@pytest.mark.parametrize("text", ["just text", "- a list", "7", "[1, 2]", "null"])
def test_yaml_document_that_is_not_a_mapping_is_rejected(text: str) -> None:
    assert "is not a mapping" in rejection(text).message


def test_error_for_invalid_yaml_has_the_line_number() -> None:
    error = rejection("tracking_server_1:\n  host: [http://example.com\n  model: Wine\n")
    assert "this is not YAML" in error.message
    assert "compare.yaml, line 3" in error.message


def test_error_for_a_tab_has_the_line_number() -> None:
    for text in ("tracking_server_1:\n\thost: x\n", "tracking_server_1:\n  \thost: x\n", "a: {\n\tb: c\n}\n\td: e"):
        error = rejection(text)
        assert "the line has a tab, which YAML does not allow here" in error.message
        assert error.message.startswith(("compare.yaml, line 2", "compare.yaml, line 4"))


@pytest.mark.parametrize(
    "content, line",
    [(b"a: \xff\n", 1), (GOOD.encode() + b"# caf\xe9\n", 3), ("a: b\n".encode("utf-16"), 1)],
)
def test_error_for_a_compare_file_that_is_not_utf8_has_the_line_number(
    content: bytes, line: int, tmp_path: Path
) -> None:
    file = tmp_path / "compare.yaml"
    file.write_bytes(content)
    error = file_rejection(file)
    assert f"line {line}: the file is not UTF-8" in error.message
    assert "UTF-8" in error.remedy


def test_control_characters_in_the_compare_file_are_rejected() -> None:
    assert "cannot be read as YAML" in rejection("a: \0\n").message


def test_error_for_a_duplicate_key_has_both_line_numbers() -> None:
    error = rejection(f"tracking_server_1:\n  host: a\n  model: b\n  host: c\ntracking_server_2: {SERVER}\n")
    assert "line 4: the key 'host' is given twice, first on line 2" in error.message
    assert "Remove one of them" in error.remedy


def test_duplicate_key_in_a_single_line_is_rejected() -> None:
    assert "given twice" in rejection(GOOD.replace("model: Wine", "model: Wine, model: Beer", 1)).message


def test_old_server_key_that_is_given_twice_is_rejected() -> None:
    error = rejection(f"tracking_server_01: {SERVER}\n\ntracking_server_01: {SERVER}\n")
    assert "line 3: the key 'tracking_server_01' is given twice, first on line 1" in error.message
    assert "Rename the key on line 3 to tracking_server_2" in error.remedy


@pytest.mark.parametrize("number", ["1", "2"])
def test_old_and_new_key_for_the_same_server_are_rejected(number: str) -> None:
    error = rejection(f"{GOOD}tracking_server_0{number}: {SERVER}\n")
    assert f"line 3: 'tracking_server_0{number}' duplicates 'tracking_server_{number}' on line {number}" in (
        error.message
    )


@pytest.mark.parametrize(
    "text, where, near",
    [
        (GOOD.replace("model:", "modle:", 1), "line 1, tracking_server_1.modle", "'model'"),
        (GOOD.replace("version_or_stage:", "version:", 1), "line 1, tracking_server_1.version", "'version_or_stage'"),
        (GOOD + "compare_runs_models: no\n", "line 3, compare_runs_models", "'compare_run_models'"),
        (GOOD + "tracking_server_3: {}\n", "line 3, tracking_server_3", "'tracking_server_"),
    ],
)
def test_error_for_a_misspelled_key_has_its_line_and_the_nearest_valid_key(text: str, where: str, near: str) -> None:
    error = rejection(text)
    assert where in error.message
    assert "is not known" in error.message
    assert error.remedy.startswith("Did you mean ")
    assert near in error.remedy


def test_error_for_a_key_unlike_any_valid_key_lists_all_valid_keys() -> None:
    assert "host, model, version_or_stage, native_model" in rejection(GOOD.replace("{", "{zzz: 1, ", 1)).remedy


@pytest.mark.parametrize("key", ["tracking_server_1", "tracking_server_2"])
def test_error_for_a_missing_server_section_names_the_section(key: str) -> None:
    lines = [line for line in GOOD.splitlines() if not line.startswith(key)]
    assert f"the key {key!r} is missing" in rejection("\n".join(lines)).message


@pytest.mark.parametrize("key", ["host", "model", "version_or_stage"])
def test_error_for_a_missing_key_names_the_key_and_its_server(key: str) -> None:
    fields = {"host": "http://example.com", "model": "Wine", "version_or_stage": 1}
    del fields[key]
    error = rejection(GOOD.splitlines()[0] + "\n" + yaml.safe_dump({"tracking_server_2": fields}))
    assert f"compare.yaml, line 2, tracking_server_2: the key {key!r} is missing" in error.message


@pytest.mark.parametrize("key", ["host", "model", "version_or_stage"])
@pytest.mark.parametrize("null", ["", "null", "~"])
def test_error_for_a_key_without_a_value_has_the_line_number(key: str, null: str) -> None:
    fields = {"host": "http://example.com", "model": "Wine", "version_or_stage": "1"} | {key: null}
    block = "".join(f"  {name}: {value}\n" for name, value in fields.items())
    error = rejection(f"tracking_server_1:\n{block}tracking_server_2: {SERVER}\n")
    line = 2 + list(fields).index(key)
    assert f"line {line}, tracking_server_1.{key}: it has no value" in error.message


@pytest.mark.parametrize("key", ["host", "model", "version_or_stage"])
def test_empty_text_as_a_value_is_rejected(key: str) -> None:
    fields = {"host": "http://example.com", "model": "Wine", "version_or_stage": "1"} | {key: ""}
    error = rejection(f"tracking_server_1: {json.dumps(fields)}\ntracking_server_2: {SERVER}\n")
    assert f"line 1, tracking_server_1.{key}: it is empty" in error.message


@pytest.mark.parametrize("value, kind", [("[secret]", "a list"), ("{user: secret}", "a mapping")])
def test_error_for_a_wrong_type_does_not_repeat_the_value(value: str, kind: str) -> None:
    error = rejection(GOOD.replace("http://example.com", value, 1))
    assert f"line 1, tracking_server_1.host: it is {kind}" in error.message
    assert "secret" not in error.message


def test_server_that_is_not_a_mapping_is_rejected() -> None:
    assert "line 1, tracking_server_1: it is text" in rejection(GOOD.replace(SERVER, "http://example.com", 1)).message


def test_error_for_an_invalid_require_value_lists_the_valid_values() -> None:
    error = rejection(GOOD + "require: same\n")
    assert "line 3, require: 'same' is not one of identical, equivalent" in error.message


@pytest.mark.parametrize("native", ["null", "''", ".", "./"])
def test_null_or_empty_native_model_key_has_the_effect_of_a_missing_key(native: str) -> None:
    text = GOOD.replace("version_or_stage: 1", f"version_or_stage: 1, native_model: {native}", 1)
    assert parse_config(text, "c", {}) == parse_config(GOOD, "c", {})


@pytest.mark.parametrize("unset", ["", ", native_model: null", ", native_model: ./"])
@pytest.mark.parametrize("first", [True, False])
def test_native_model_for_only_one_server_is_rejected(unset: str, first: bool) -> None:
    lines = [
        f"tracking_server_1: {SERVER[:-1]}, native_model: model.pkl}}",
        f"tracking_server_2: {SERVER[:-1]}{unset}}}",
    ]
    if not first:
        lines = [lines[1].replace("_2", "_1", 1), lines[0].replace("_1", "_2", 1)]
    error = rejection("\n".join(lines))
    missing = 2 if first else 1
    assert f"line {missing}, tracking_server_{missing}: native_model is given for the other server only" in (
        error.message
    )


@pytest.mark.parametrize("native", ["../secrets", "/etc/passwd", "data/../../x", "..", '"a\\0b"', "a/.."])
def test_native_model_outside_the_model_is_rejected(native: str) -> None:
    text = GOOD.replace("version_or_stage: 1", f"version_or_stage: 1, native_model: {native}")
    error = rejection(text)
    assert "line 1, tracking_server_1.native_model" in error.message
    assert "is not a path inside the MLflow model" in error.message


@pytest.mark.parametrize("path, plain", [("a/b", "a/b"), ("./a//b/", "a/b"), ("..a", "..a"), ("", ""), (".", "")])
def test_native_model_path_is_normalized(path: str, plain: str) -> None:
    assert checked_native_model(path) == plain


def test_native_model_path_with_parent_directory_is_rejected() -> None:
    with pytest.raises(InputError):
        checked_native_model("a/../b")


@pytest.mark.parametrize(
    "host, problem",
    [
        ("ftp://example.com", "is not the URI of a tracking server"),
        ("example.com", "is not the URI of a tracking server"),
        ("http://", "names no host"),
        ("http://example.com:port", "malformed"),
        ("databricks://profile", "Databricks"),
        ("sqlite:///nothing-here.db", "cannot be read"),
    ],
)
def test_error_for_an_unusable_host_has_the_line_number(host: str, problem: str) -> None:
    error = rejection(GOOD.replace("http://example.com", f"'{host}'", 1))
    assert "line 1, tracking_server_1.host" in error.message
    assert problem in error.message
    assert error.remedy


@pytest.mark.parametrize(
    "host, model, field",
    [("databricks-uc", "Wine", "model"), ("http://example.com", "Wine", "registry"), ("ftp://x", "Wine", "host")],
)
def test_error_for_an_invalid_server_section_names_the_invalid_key(host: str, model: str, field: str) -> None:
    login = {"DATABRICKS_HOST": "https://w.example.com", "DATABRICKS_TOKEN": "dapi"}
    server = f"{{host: '{host}', model: {model}, version_or_stage: 1, registry: unity-catalog}}"
    with pytest.raises(ConfigError, match=f"^c, line 1, tracking_server_1.{field}: "):
        parse_config(GOOD.replace(SERVER, server, 1), "c", login)


def test_error_does_not_repeat_a_password_in_a_malformed_host() -> None:
    error = rejection(GOOD.replace("http://example.com", "'http://ann:s3/cr3t@example.com'", 1))
    assert "s3" not in error.message + error.remedy


def _chain(levels: int) -> str:
    """Return YAML in which aliases nest lists this many `levels` deep, although no brackets are nested."""
    return "\n".join(["a0: &a0 [x]", *(f"a{level}: &a{level} [*a{level - 1}]" for level in range(1, levels))])


def _bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        _chain(600),
        _bomb(12),
        _bomb(12) + "\n? *a11\n: x",
        GOOD.replace("Wine", "*a11", 1) + _bomb(12),
        f"{_bomb(12)}\n{GOOD}".replace("Wine", "*a11", 1),
        "a: &a [*a]",
        "&a {*a : 1}",
        "<<: &a {<<: *a}",
    ],
)
def test_yaml_alias_bomb_is_rejected_in_bounded_time(text: str) -> None:
    started = time.monotonic()
    error = rejection(text)
    assert time.monotonic() - started < 20
    assert len(error.message) < 300


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "? " * 100_000, "a: [" * 1_000])
def test_deeply_nested_yaml_is_rejected(text: str) -> None:
    rejection(text)


def test_key_that_is_not_text_is_rejected() -> None:
    assert "line 2 is not plain text" in rejection("a: 1\n? [b, c]\n: 2\n").message


def test_second_yaml_document_in_the_compare_file_is_rejected() -> None:
    assert "not YAML" in rejection(f"{GOOD}---\n{GOOD}").message


def test_yaml_tag_in_the_compare_file_runs_no_code() -> None:
    marker = "/tmp/model-gate-was-tricked"  # noqa: S108  # it must never exist
    rejection(f"!!python/object/apply:os.system ['touch {marker}']")
    assert not os.path.exists(marker)


def test_compare_file_schema_is_valid_and_accepts_its_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_seal(tmp_path / "seals" / "wine-12.json", "Sklearn_Wine")
    Draft202012Validator.check_schema(SCHEMA)
    for example in SCHEMA["examples"]:
        Draft202012Validator(SCHEMA).validate(example)
        parse_config(json.dumps(example), "example", DECLARED)


def test_every_key_of_the_schema_has_a_title_and_a_description() -> None:
    for where in (SCHEMA, SCHEMA["$defs"]["tracking_server"]):
        for name, key in where["properties"].items():
            assert key["title"], name
            assert key["description"], name


@pytest.mark.parametrize(
    "text", [GOOD, GOOD.replace("_1:", "_01:").replace("_2:", "_02:"), GOOD + "require: equivalent"]
)
def test_schema_accepts_every_compare_file_that_the_parser_accepts(text: str) -> None:
    Draft202012Validator(SCHEMA).validate(yaml.safe_load(text))


@pytest.mark.parametrize(
    "text", [GOOD + "x: 1", GOOD.splitlines()[0], GOOD.replace("model:", "m:"), GOOD + "tracking_server_01: {}"]
)
def test_schema_rejects_compare_files_that_the_parser_rejects(text: str) -> None:
    rejection(text)
    assert not Draft202012Validator(SCHEMA).is_valid(yaml.safe_load(text))


def test_server_key_in_the_compare_file_selects_a_declared_server() -> None:
    text = GOOD.replace("host: http://example.com", "server: PROD", 1)
    first = parse_config(text, "c", DECLARED).versions[0].host
    assert (first.server, first.address) == ("prod", "https://production.example.com")
    assert dict(first.variables) == {"MLFLOW_TRACKING_TOKEN": "s3cret"}


def test_error_for_an_unknown_server_lists_the_declared_servers_and_the_variable_to_set() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(GOOD.replace("host: http://example.com", "server: prd", 1), "c", DECLARED)
    assert caught.value.message == (
        "c, line 1, tracking_server_1.server: There is no server 'prd': no variable declares it."
    )
    assert caught.value.remedy == (
        "Did you mean 'prod'? To declare 'prd', set PRD_MLFLOW_TRACKING_URI to its address."
        " Declared now: prod, staging."
    )


def test_error_for_a_server_with_an_empty_address_variable_names_the_variable() -> None:
    with pytest.raises(ConfigError, match="PROD_MLFLOW_TRACKING_URI is empty"):
        parse_config(GOOD.replace("host: http://example.com", "server: prod", 1), "c", {"PROD_MLFLOW_TRACKING_URI": ""})


def test_server_section_with_both_or_neither_of_host_and_server_is_rejected() -> None:
    both = rejection(GOOD.replace("{", "{server: prod, ", 1))
    assert both.message == (
        "compare.yaml, line 1, tracking_server_1.server: the server is named twice, by host and by server."
    )
    neither = rejection(GOOD.replace("host: http://example.com, ", "", 1))
    assert "line 1, tracking_server_1: the key 'host' is missing" in neither.message
    assert "server: prod" in neither.remedy
    for text in (GOOD.replace("{", "{server: prod, ", 1), GOOD.replace("host: http://example.com, ", "", 1)):
        assert not Draft202012Validator(SCHEMA).is_valid(yaml.safe_load(text))


def test_error_for_a_host_that_two_declared_servers_share_names_both() -> None:
    declared = DECLARED | {"QA_MLFLOW_TRACKING_URI": "https://PRODUCTION.example.com:443/"}
    with pytest.raises(ConfigError) as caught:
        parse_config(GOOD.replace("http://example.com", "https://production.example.com", 1), "c", declared)
    assert "the server 'prod'" in caught.value.message
    assert "the server 'qa'" in caught.value.message
    assert "server: " in caught.value.remedy

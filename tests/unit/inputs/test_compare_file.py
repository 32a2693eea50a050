"""The compare file: what is taken, and with which sentence everything else is refused."""

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
from model_gate.inputs.compare_file import checked_native_model, parse_config, read_config
from tests.support.commandline import run
from tests.support.paths import SCHEMAS
from tests.support.reports import read_report

SERVER = "{host: http://example.com, model: Wine, version_or_stage: 1}"
GOOD = f"tracking_server_1: {SERVER}\ntracking_server_2: {SERVER}\n"
SCHEMA = json.loads((SCHEMAS / "config.schema.json").read_text("utf-8"))


def refusal(text: str) -> ConfigError:
    """The error that this text ends with."""
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "compare.yaml", {})
    return caught.value


def file_refusal(path: Path) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read_config(path, {})
    return caught.value


def test_a_full_config_is_taken_as_it_is_written() -> None:
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
    first, second = config.tracking_server_1, config.tracking_server_2
    assert (first.host.address, first.host.username, first.host.password) == (
        "http://staging.example.com:5000",
        "ann",
        "s3cret",
    )
    assert (first.model, first.version_or_stage, first.native_model) == ("Sklearn_Wine", "staging", "data/model")
    assert (second.model, second.version_or_stage, second.native_model) == ("Sklearn Wine", "@champion", "model.pkl")
    assert (config.compare_run_models, config.compare_reg_models) == (True, False)
    assert config.require is Require.EQUIVALENT


def test_what_is_left_out_stays_open() -> None:
    config = parse_config(GOOD, "compare.yaml", {})
    assert (config.compare_run_models, config.compare_reg_models, config.require) == (None, None, None)
    assert config.tracking_server_1.native_model == ""


def test_the_historical_spelling_means_the_same() -> None:
    assert parse_config(GOOD.replace("_1:", "_01:").replace("_2:", "_02:"), "c", {}) == parse_config(GOOD, "c", {})


@pytest.mark.parametrize("version", ["010", "1_000", "0x1F", "7", "1e3", "2026-01-02", "12:30:45", ".5", "+1"])
def test_a_version_stays_as_it_is_written(version: str) -> None:
    config = parse_config(GOOD.replace("version_or_stage: 1", f"version_or_stage: {version}", 1), "c", {})
    assert config.tracking_server_1.version_or_stage == version


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "compare.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert read_config(file, {}) == parse_config(GOOD, "c", {})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    error = file_refusal(tmp_path / "nothing.yaml")
    assert str(tmp_path / "nothing.yaml") in error.message
    assert "No such file" in error.message
    assert error.remedy


def test_a_directory_is_no_config(tmp_path: Path) -> None:
    assert "directory" in file_refusal(tmp_path).message


def test_a_file_without_end_is_refused(tmp_path: Path) -> None:
    # Little memory, so that this test cannot take the machine's.
    little = ("bash", "-c", 'ulimit -v 2000000; exec "$@"', "bash")
    done = run("compare", "--config-file", "/dev/zero", cwd=tmp_path, before=little)
    error = read_report(tmp_path / "model-gate-report.json", done.returncode)["error"]
    assert (error["type"], f"{MAX_BYTES:,}" in error["message"]) == ("ConfigError", True)


@pytest.mark.parametrize("text", ["", "\n\n", "# a comment only\n", "---\n"])
def test_an_empty_file_is_called_empty(text: str) -> None:
    error = refusal(text)
    assert "is empty" in error.message or "is not a mapping" in error.message
    assert error.remedy


@pytest.mark.parametrize("text", ["just text", "- a list", "7", "[1, 2]", "null"])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    assert "is not a mapping" in refusal(text).message


def test_what_is_no_yaml_is_told_with_its_line() -> None:
    error = refusal("tracking_server_1:\n  host: [http://example.com\n  model: Wine\n")
    assert "this is not YAML" in error.message
    assert "compare.yaml, line 3" in error.message


def test_a_tab_is_told_with_its_line() -> None:
    assert "compare.yaml, line 2: this is not YAML" in refusal("tracking_server_1:\n\thost: x\n").message


@pytest.mark.parametrize(
    "content, line",
    [(b"a: \xff\n", 1), (GOOD.encode() + b"# caf\xe9\n", 3), ("a: b\n".encode("utf-16"), 1)],
)
def test_a_file_that_is_not_utf8_is_told_with_its_line(content: bytes, line: int, tmp_path: Path) -> None:
    file = tmp_path / "compare.yaml"
    file.write_bytes(content)
    error = file_refusal(file)
    assert f"line {line}: the file is not UTF-8" in error.message
    assert "UTF-8" in error.remedy


def test_control_characters_are_refused() -> None:
    assert "cannot be read as YAML" in refusal("a: \0\n").message


def test_a_key_given_twice_names_both_lines() -> None:
    error = refusal(f"tracking_server_1:\n  host: a\n  model: b\n  host: c\ntracking_server_2: {SERVER}\n")
    assert "line 4: the key 'host' is given twice, first on line 2" in error.message
    assert "Remove one of them" in error.remedy


def test_a_key_given_twice_in_one_line_is_refused() -> None:
    assert "given twice" in refusal(GOOD.replace("model: Wine", "model: Wine, model: Beer", 1)).message


def test_the_historical_example_with_its_first_server_twice_is_refused() -> None:
    error = refusal(f"tracking_server_01: {SERVER}\n\ntracking_server_01: {SERVER}\n")
    assert "line 3: the key 'tracking_server_01' is given twice, first on line 1" in error.message
    assert "tracking_server_1 and tracking_server_2" in error.remedy


@pytest.mark.parametrize("number", ["1", "2"])
def test_both_spellings_of_one_server_are_refused(number: str) -> None:
    error = refusal(f"{GOOD}tracking_server_0{number}: {SERVER}\n")
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
def test_an_unknown_key_is_told_with_its_line_and_the_nearest_known_one(text: str, where: str, near: str) -> None:
    error = refusal(text)
    assert where in error.message
    assert "is not known" in error.message
    assert error.remedy.startswith("Did you mean ")
    assert near in error.remedy


def test_an_unknown_key_that_is_like_no_other_gets_the_whole_list() -> None:
    assert "host, model, version_or_stage, native_model" in refusal(GOOD.replace("{", "{zzz: 1, ", 1)).remedy


@pytest.mark.parametrize("key", ["tracking_server_1", "tracking_server_2"])
def test_a_missing_server_is_named(key: str) -> None:
    lines = [line for line in GOOD.splitlines() if not line.startswith(key)]
    assert f"the key {key!r} is missing" in refusal("\n".join(lines)).message


@pytest.mark.parametrize("key", ["host", "model", "version_or_stage"])
def test_a_missing_key_is_named_with_its_server(key: str) -> None:
    fields = {"host": "http://example.com", "model": "Wine", "version_or_stage": 1}
    del fields[key]
    error = refusal(GOOD.splitlines()[0] + "\n" + yaml.safe_dump({"tracking_server_2": fields}))
    assert f"compare.yaml, line 2, tracking_server_2: the key {key!r} is missing" in error.message


@pytest.mark.parametrize("key", ["host", "model", "version_or_stage"])
@pytest.mark.parametrize("null", ["", "null", "~"])
def test_a_key_without_a_value_is_named(key: str, null: str) -> None:
    fields = {"host": "http://example.com", "model": "Wine", "version_or_stage": "1"} | {key: null}
    block = "".join(f"  {name}: {value}\n" for name, value in fields.items())
    error = refusal(f"tracking_server_1:\n{block}tracking_server_2: {SERVER}\n")
    line = 2 + list(fields).index(key)
    assert f"line {line}, tracking_server_1.{key}: it has no value" in error.message


@pytest.mark.parametrize("key", ["host", "model", "version_or_stage"])
def test_an_empty_text_is_no_value(key: str) -> None:
    fields = {"host": "http://example.com", "model": "Wine", "version_or_stage": "1"} | {key: ""}
    error = refusal(f"tracking_server_1: {json.dumps(fields)}\ntracking_server_2: {SERVER}\n")
    assert f"line 1, tracking_server_1.{key}: it is empty" in error.message


@pytest.mark.parametrize(
    "value, what", [("[secret]", "a list"), ("{user: secret}", "a mapping"), ("yes", "true or false")]
)
def test_a_value_of_a_wrong_kind_is_told_without_repeating_it(value: str, what: str) -> None:
    error = refusal(GOOD.replace("http://example.com", value, 1))
    assert f"line 1, tracking_server_1.host: it is {what}" in error.message
    assert "secret" not in error.message


def test_a_server_that_is_no_mapping_is_refused() -> None:
    assert "line 1, tracking_server_1: it is text" in refusal(GOOD.replace(SERVER, "http://example.com", 1)).message


def test_an_unknown_requirement_gets_the_known_ones() -> None:
    error = refusal(GOOD + "require: same\n")
    assert "line 3, require: 'same' is not one of identical, equivalent" in error.message


@pytest.mark.parametrize("native", ["null", "''", ".", "./"])
def test_no_native_model_may_be_written_in_several_ways(native: str) -> None:
    text = GOOD.replace("version_or_stage: 1", f"version_or_stage: 1, native_model: {native}", 1)
    assert parse_config(text, "c", {}) == parse_config(GOOD, "c", {})


@pytest.mark.parametrize("other", ["", ", native_model: null", ", native_model: ./"])
@pytest.mark.parametrize("first", [True, False])
def test_a_native_model_on_one_side_only_is_refused(other: str, first: bool) -> None:
    lines = [
        f"tracking_server_1: {SERVER[:-1]}, native_model: model.pkl}}",
        f"tracking_server_2: {SERVER[:-1]}{other}}}",
    ]
    if not first:
        lines = [lines[1].replace("_2", "_1", 1), lines[0].replace("_1", "_2", 1)]
    error = refusal("\n".join(lines))
    lacking = 2 if first else 1
    assert f"line {lacking}, tracking_server_{lacking}: native_model is given for the other server only" in (
        error.message
    )


@pytest.mark.parametrize("native", ["../secrets", "/etc/passwd", "data/../../x", "..", '"a\\0b"', "a/.."])
def test_a_native_model_that_leaves_the_model_is_refused(native: str) -> None:
    text = GOOD.replace("version_or_stage: 1", f"version_or_stage: 1, native_model: {native}")
    error = refusal(text)
    assert "line 1, tracking_server_1.native_model" in error.message
    assert "is not a path inside the MLflow model" in error.message


@pytest.mark.parametrize("path, plain", [("a/b", "a/b"), ("./a//b/", "a/b"), ("..a", "..a"), ("", ""), (".", "")])
def test_a_native_model_is_freed_of_superfluous_parts(path: str, plain: str) -> None:
    assert checked_native_model(path) == plain


def test_a_native_model_is_not_stripped_of_dots_that_matter() -> None:
    with pytest.raises(InputError):
        checked_native_model("a/../b")


@pytest.mark.parametrize(
    "host, what",
    [
        ("ftp://example.com", "is not the URI of a tracking server"),
        ("example.com", "is not the URI of a tracking server"),
        ("http://", "names no host"),
        ("http://example.com:port", "malformed"),
        ("databricks://profile", "Databricks"),
        ("sqlite:///nothing-here.db", "cannot be read"),
    ],
)
def test_a_host_that_cannot_be_used_is_told_with_its_line(host: str, what: str) -> None:
    error = refusal(GOOD.replace("http://example.com", f"'{host}'", 1))
    assert "line 1, tracking_server_1.host" in error.message
    assert what in error.message
    assert error.remedy


def test_a_password_in_a_malformed_host_is_not_repeated() -> None:
    error = refusal(GOOD.replace("http://example.com", "'http://ann:s3/cr3t@example.com'", 1))
    assert "s3" not in error.message + error.remedy


def _chain(levels: int) -> str:
    """Lists in lists, without a line that shows it."""
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
def test_an_alias_bomb_is_refused_at_once(text: str) -> None:
    started = time.monotonic()
    error = refusal(text)
    assert time.monotonic() - started < 20
    assert len(error.message) < 300


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "? " * 100_000, "a: [" * 1_000])
def test_endless_nesting_is_refused(text: str) -> None:
    refusal(text)


def test_a_key_that_is_no_text_is_refused() -> None:
    assert "line 2 is not plain text" in refusal("a: 1\n? [b, c]\n: 2\n").message


def test_more_than_one_document_is_refused() -> None:
    assert "not YAML" in refusal(f"{GOOD}---\n{GOOD}").message


def test_no_tag_makes_an_object() -> None:
    marker = "/tmp/model-gate-was-tricked"  # noqa: S108  # it must never exist
    refusal(f"!!python/object/apply:os.system ['touch {marker}']")
    assert not os.path.exists(marker)


def test_the_schema_is_one_and_its_examples_fit_it() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    for example in SCHEMA["examples"]:
        Draft202012Validator(SCHEMA).validate(example)
        parse_config(json.dumps(example), "example", {})


def test_every_key_of_the_schema_is_explained() -> None:
    for where in (SCHEMA, SCHEMA["$defs"]["tracking_server"]):
        for name, key in where["properties"].items():
            assert key["title"], name
            assert key["description"], name


@pytest.mark.parametrize(
    "text", [GOOD, GOOD.replace("_1:", "_01:").replace("_2:", "_02:"), GOOD + "require: equivalent"]
)
def test_an_editor_accepts_what_is_accepted(text: str) -> None:
    Draft202012Validator(SCHEMA).validate(yaml.safe_load(text))


@pytest.mark.parametrize(
    "text", [GOOD + "x: 1", GOOD.splitlines()[0], GOOD.replace("model:", "m:"), GOOD + "tracking_server_01: {}"]
)
def test_an_editor_refuses_what_is_refused(text: str) -> None:
    refusal(text)
    assert not Draft202012Validator(SCHEMA).is_valid(yaml.safe_load(text))

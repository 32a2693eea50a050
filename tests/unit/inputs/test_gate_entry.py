"""The form of a gates file: what is accepted, the error for each mistake, and the digests of the entries."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from model_gate.errors import ConfigError
from model_gate.inputs.gate_entry import MAX_ENTRIES, entry_digests
from tests.support.paths import SCHEMAS

VERSION = "{server: prod, model: Wine, version_or_stage: 1}"
PAIR = f"tracking_server_1: {VERSION}, tracking_server_2: {VERSION}"
SELECT = '{server: prod, models: "prod.*"}'
CHECK = f"gates:\n  wine: {{check: {VERSION}}}\n"
SCHEMA = json.loads((SCHEMAS / "gates.schema.json").read_text("utf-8"))
CONFIG_SCHEMA = json.loads((SCHEMAS / "config.schema.json").read_text("utf-8"))

ENTRIES = {
    "wine": {
        "tracking_server_1": {"server": "staging", "model": "Wine", "version_or_stage": "@candidate"},
        "tracking_server_2": {"server": "prod", "model": "Wine", "version_or_stage": "12"},
        "compare_run_models": False,
    },
    "churn": {
        "check": {"server": "prod", "model": "Churn", "version_or_stage": "Production", "native_model": "model.pkl"},
        "seal": "seals/churn.json",
        "seal_model": "Churn",
        "ignore": ["*.md"],
    },
    "all": {
        "select": {"server": "prod", "models": "prod.ml.*", "version_or_stage": "@champion", "tags": {"team": "risk"}},
        "against": {"server": "staging", "rename": {"prod.ml.*": "staging.ml.*"}, "version_or_stage": "latest"},
        "compare_reg_models": True,
    },
    "seals": {
        "select": {"server": "prod", "models": "*", "registry": "workspace"},
        "against": {"seals": "seals/{model}/{version}.json"},
        "require": "equivalent",
    },
    "own": {"select": {"host": "https://mlflow.example.com", "models": "*"}, "against": "run_model"},
}


def text_of(entries: object, **others: object) -> str:
    return yaml.safe_dump({"gates": entries, **others}, sort_keys=False)


def digests(text: str) -> dict[str, str]:
    return {name: digest for name, (digest, _) in entry_digests(text, "gates.yaml").items()}


def digest(entry: str, defaults: str = "{}") -> str:
    return digests(f"gates:\n  wine: {entry}\ndefaults: {defaults}\n")["wine"]


def rejection(text: str) -> ConfigError:
    """Return the error for a gates file with this text."""
    with pytest.raises(ConfigError) as caught:
        entry_digests(text, "gates.yaml")
    return caught.value


def entry_rejection(entry: str) -> ConfigError:
    return rejection(f"gates:\n  wine: {entry}\n")


def test_each_kind_of_entry_is_accepted_by_the_parser_and_by_the_schema() -> None:
    defaults = {"require": "equivalent", "ignore": ["notes/**"], "compare_run_models": True, "compare_reg_models": True}
    text = text_of(ENTRIES, defaults=defaults)
    assert list(digests(text)) == list(ENTRIES)
    Draft202012Validator(SCHEMA).validate(yaml.safe_load(text))


def test_entries_have_the_lines_of_their_names() -> None:
    text = f"# a comment\ngates:\n\n  a:\n    check: {VERSION}\n  b: {{check: {VERSION}}}\n"
    assert {name: line for name, (_, line) in entry_digests(text, "gates.yaml").items()} == {"a": 4, "b": 6}


def test_compare_file_is_one_entry_with_the_name_of_the_file() -> None:
    text = f"tracking_server_01: {VERSION}\ntracking_server_2: {VERSION}\n"
    assert {name: line for name, (_, line) in entry_digests(text, "gates/wine.v2.yaml").items()} == {"wine.v2": 1}
    assert list(entry_digests(text, "my wine.yaml")) == ["my-wine"]
    assert list(entry_digests(text, "…")) == ["compare"]
    [(found, _)] = entry_digests(text, "wine.yaml").values()
    assert found == digest(f"{{{PAIR}}}")


@pytest.mark.parametrize(
    "entry",
    [
        # the order of keys, quotes, comments and the layout
        "{version_or_stage: '12', model: \"Wine\", server: prod}",
        "\n      server: prod  # the promoted version\n      model: Wine\n      version_or_stage: 12",
        "{server: prod, model: Wine, version_or_stage: 12, native_model: null}",
        "{server: prod, model: Wine, version_or_stage: 12, native_model: ''}",
    ],
)
def test_entry_that_is_only_written_in_another_way_has_the_same_digest(entry: str) -> None:
    first = digest("{check: {server: prod, model: Wine, version_or_stage: 12}, ignore: []}")
    assert digest(f"{{check: {entry}}}" if entry.startswith("{") else f"\n    check: {entry}") == first


def test_old_and_new_key_of_a_server_have_the_same_digest() -> None:
    assert digest(f"{{{PAIR}}}") == digest(f"{{{PAIR}}}".replace("_1:", "_01:").replace("_2:", "_02:"))


def test_words_for_true_have_the_same_digest() -> None:
    assert len({digest(f"{{{PAIR}, compare_run_models: {word}}}") for word in ("yes", "true", "on")}) == 1


def test_name_of_the_file_and_of_the_entry_do_not_change_the_digest() -> None:
    assert entry_digests(CHECK, "a.yaml")["wine"] == entry_digests(CHECK.replace("wine:", "beer:"), "b.yaml")["beer"]


@pytest.mark.parametrize(
    "old, new",
    [
        ("Wine", "Beer"),
        ("version_or_stage: 1", "version_or_stage: 2"),
        ("version_or_stage: 1", "version_or_stage: 01"),
        ("server: prod", "host: prod"),
        ("version_or_stage: 1}", "version_or_stage: 1}, require: equivalent"),
        ("version_or_stage: 1}", "version_or_stage: 1}, ignore: [a]"),
        ("version_or_stage: 1}", "version_or_stage: 1, native_model: model.pkl}"),
        ("version_or_stage: 1}", "version_or_stage: 1}, seal: seals/wine.json"),
    ],
)
def test_entry_that_asks_for_something_else_has_another_digest(old: str, new: str) -> None:
    entry = f"{{check: {VERSION}}}"
    assert digest(entry) != digest(entry.replace(old, new, 1))


def test_order_of_the_renaming_globs_changes_the_digest() -> None:
    """The first glob that matches is used."""
    globs = ["{'a*': 'x*', '*': 'y*'}", "{'*': 'y*', 'a*': 'x*'}"]
    assert len({digest(f"{{select: {SELECT}, against: {{server: b, rename: {glob}}}}}") for glob in globs}) == 2


def test_defaults_change_the_digest_of_the_entries_that_they_reach() -> None:
    plain, runs, lenient = (
        digests(text_of(ENTRIES, defaults=defaults))
        for defaults in ({}, {"compare_run_models": True}, {"require": "equivalent"})
    )
    assert {name for name in plain if plain[name] != runs[name]} == {"all"}
    assert {name for name in plain if plain[name] != lenient[name]} == {"wine", "churn", "all", "own"}


def test_default_and_own_option_with_the_same_value_have_the_same_digest() -> None:
    assert digest(f"{{check: {VERSION}}}", "{require: equivalent}") == digest(
        f"{{check: {VERSION}, require: equivalent}}"
    )
    assert digest(f"{{check: {VERSION}, ignore: []}}", "{ignore: [a]}") == digest(f"{{check: {VERSION}}}")


TEXTS = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)


@settings(max_examples=20, deadline=None)
@given(st.dictionaries(TEXTS, st.tuples(TEXTS, TEXTS, st.booleans()), min_size=1, max_size=5), st.booleans())
def test_layout_and_order_of_a_random_file_do_not_change_its_digests(
    rows: dict[str, tuple[str, str, bool]], flow: bool
) -> None:
    entries = {
        name: {
            "check": {"server": "prod", "model": model, "version_or_stage": version},
            "require": "equivalent" if lenient else "identical",
        }
        for name, (model, version, lenient) in rows.items()
    }
    swapped = {name: dict(reversed(entry.items())) for name, entry in reversed(entries.items())}
    first = digests(text_of(entries))
    assert digests(yaml.safe_dump({"gates": swapped}, default_flow_style=flow, default_style='"')) == first
    distinct = {(model, version, lenient) for model, version, lenient in rows.values()}
    assert len(set(first.values())) == len(distinct)


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "gates.yaml is empty."),
        ("[]", "gates.yaml is not a mapping of keys."),
        ("gates:", "line 1, gates: it has no value."),
        ("gates: {}", "line 1, gates: it is empty."),
        ("gates: [a]", "line 1, gates: it is a list."),
        ("gates:\n- name: wine\n", "line 1, gates: it is a list."),
        ("gates: text", "line 1, gates: it is text."),
        ("gates: yes", "line 1, gates: it is true or false."),
        ("defaults: {}", "gates.yaml: the key 'gates' is missing."),
        (f"{CHECK}defaults:", "line 3, defaults: the defaults are not a mapping."),
        (f"{CHECK}defaults: [a]", "line 3, defaults: the defaults are not a mapping."),
        (f"{CHECK}defaults: {{require: same}}", "line 3, defaults.require: 'same' is not one of"),
        (f"{CHECK}defaults: {{ignore: [MLmodel]}}", "line 3, defaults.ignore: The pattern 'MLmodel' would ignore"),
        (f"{CHECK}{CHECK}", "line 3: the key 'gates' is given twice, first on line 1."),
        (f"{CHECK}  wine: {{}}", "line 3: the key 'wine' is given twice, first on line 2."),
        (f"tracking_server_1: {VERSION}", "gates.yaml: the key 'tracking_server_2' is missing."),
        ("gates: {a: {check: @x}}", "line 1: a value cannot begin with '@' unless it is quoted."),
        ("gates:\n\ta: b", "line 2: the line has a tab"),
    ],
)
def test_error_for_a_malformed_file_has_the_place_and_the_reason(text: str, message: str) -> None:
    error = rejection(text)
    assert message in error.message
    assert error.message.startswith("gates.yaml")
    assert error.remedy


@pytest.mark.parametrize(
    "entry, message, remedy",
    [
        ("", "the entry is not a mapping", "Write tracking_server_1 and tracking_server_2"),
        ("[1]", "the entry is not a mapping", "Write tracking_server_1"),
        ("{}", "the entry names nothing to check or to compare", "Write tracking_server_1"),
        ("{require: identical}", "the entry names nothing to check or to compare", "Write tracking_server_1"),
        (f"{{select: {SELECT}}}", "the key 'against' is missing", "Name the other side: against:"),
        ("{against: run_model}", "the key 'select' is missing", "Name the versions: select:"),
        ("{seal: seals/wine.json}", "the key 'check' is missing", "Name the version: check:"),
        (f"{{check: {VERSION}, seal_model: Wine}}", "the key 'seal' is missing", "Name the seal: seal:"),
        (f"{{tracking_server_1: {VERSION}}}", "the key 'tracking_server_2' is missing", "Write the file as in"),
        ("{check: }", "wine.check: it has no value", "Name the version"),
        ("{check: [1]}", "wine.check: it is a list", "Name the version"),
        ("{check: {server: prod, model: Wine}}", "the key 'version_or_stage' is missing", "Add it, with a version"),
        ("{check: {model: Wine, version_or_stage: 1}}", "the key 'host' is missing", "Name the server by its address"),
        (
            f"{{check: {VERSION}, ignore: '*.md'}}",
            "ignore: it is text",
            'Write a list, with one pattern on each line: - "',
        ),
        (
            f"{{check: {VERSION}, ignore: [/a]}}",
            "ignore: The pattern '/a' is not a path inside",
            "Give a glob relative",
        ),
        ("{select: prod.*, against: run_model}", "wine.select: it is text", "Name the versions"),
        (
            "{select: {server: a, models: [a, b]}, against: run_model}",
            "models: it is a list",
            "Write an entry for each",
        ),
        ("{select: {server: a, models: a, tags: x}, against: run_model}", "tags: it is text", "tags: {team: risk}"),
        ("{select: {server: a, models: a, tags: {b: }}, against: run_model}", "tags.b: it has no value", "Write the"),
        ("{select: {server: a, models: a, tags: {b: no}}, against: run_model}", "YAML reads 'no' as false", 'b: "no"'),
        ("{select: {server: a, models: no}, against: run_model}", "YAML reads 'no' as false", 'Quote it: models: "no"'),
        ("{select: {server: a}, against: run_model}", "the key 'models' is missing", "Add it."),
        (
            f"{{select: {{server: a, models: {'a' * 1001}}}, against: run_model}}",
            "longer than 1,000 characters",
            "glob",
        ),
        (f"{{select: {SELECT}, against: runmodel}}", "wine.against: the text is not run_model", "against: run_model"),
        (f"{{select: {SELECT}, against: [a]}}", "wine.against: it is a list", "Name the other side"),
        (f"{{select: {SELECT}, against: }}", "wine.against: it has no value", "Name the other side"),
        (f"{{select: {SELECT}, against: {{server: b, rename: [a]}}}}", "rename: it is a list", "Write a mapping"),
        (f"{{select: {SELECT}, against: {{rename: {{a: b}}}}}}", "the key 'host' is missing", "Name the server by"),
        (f"{{select: {SELECT}, against: {{seals: s/x.json}}}}", "no place for the name of the model", "{model}.json"),
        (f"{{select: {SELECT}, against: {{seals: [a]}}}}", "seals: it is a list", "Write the path of the seals"),
        (f"{{select: {SELECT}, against: {{seals: '{{model}}', server: a}}}}", "server has no meaning", "Remove it"),
        (f"{{select: {SELECT}, against: run_model, compare_run_models: no}}", "has no meaning here", "Remove it"),
        (
            f"{{select: {SELECT}, against: {{seals: '{{model}}'}}, compare_reg_models: no}}",
            "has no meaning",
            "Remove it",
        ),
    ],
)
def test_error_for_a_malformed_entry_has_its_place_and_a_remedy(entry: str, message: str, remedy: str) -> None:
    error = entry_rejection(entry)
    assert error.message.startswith("gates.yaml, line 2, gates.wine")
    assert message in error.message
    assert remedy in error.remedy


@pytest.mark.parametrize(
    "entry, other",
    [
        (f"{{check: {VERSION}, {PAIR}}}", "'tracking_server_1'"),
        (f"{{check: {VERSION}, tracking_server_02: {VERSION}}}", "'tracking_server_2'"),
        (f"{{check: {VERSION}, against: run_model}}", "'check'"),
        (f"{{{PAIR}, select: {SELECT}}}", "'tracking_server_1'"),
    ],
)
def test_entry_of_two_kinds_is_rejected(entry: str, other: str) -> None:
    error = entry_rejection(entry)
    assert other in error.message
    assert "can have one of them only" in error.message
    assert error.remedy == "Write an entry for each."


@pytest.mark.parametrize(
    "text, key, remedy",
    [
        ("gate: {}", "gate", "Did you mean 'gates'?"),
        ("tracking_server1: {}", "tracking_server1", "Did you mean 'tracking_server_1'?"),
        (f"{CHECK}default: {{}}", "default", "Did you mean 'defaults'?"),
        (f"{CHECK}require: equivalent", "require", "Write it below defaults, for all entries, or in an entry"),
        (f"{CHECK}tracking_server_1: {VERSION}", "tracking_server_1", "Write it in an entry below gates"),
        (f"{CHECK}defaults: {{requires: a}}", "requires", "Did you mean 'require'?"),
        (f"{CHECK}defaults: {{zzz: a}}", "zzz", "Known here: require, ignore, compare_run_models, compare_reg_models."),
        ("gates: {a: {chek: 1}}", "chek", "Did you mean 'check'?"),
        ("gates: {a: {server: prod, model: Wine}}", "server", "Write it below check or below select or below against."),
        ("gates: {a: {models: [b, c]}}", "models", "Write it below select."),
        (CHECK.replace("1}", "1, require: identical}"), "require", "Write it in the entry, beside check."),
        (CHECK.replace("1}", "1}, registry: x"), "registry", "Write it below check."),
        (CHECK.replace("1}", "1}, <<: x"), "<<", "Merge keys are not supported."),
        (CHECK.replace("model:", "modle:"), "modle", "Did you mean 'model'?"),
        (CHECK.replace("1}", "1, seal: s.json}"), "seal", "Write it in the entry, beside check."),
        (f"gates: {{a: {{{PAIR}, model: Wine}}}}", "model", "write an entry for each pair."),
        (f"gates: {{a: {{{PAIR}, requier: identical}}}}", "requier", "Did you mean 'require'?"),
        (f"gates: {{a: {{select: {SELECT}, against: {{sever: a}}}}}}", "sever", "Did you mean 'server'?"),
        (f"gates: {{a: {{select: {SELECT}, against: {{seal: a}}}}}}", "seal", "Write it in the entry, beside against."),
    ],
)
def test_error_for_an_unknown_key_says_what_is_meant(text: str, key: str, remedy: str) -> None:
    error = rejection(text)
    assert f"the key {key!r} is not known" in error.message
    assert remedy in error.remedy


@pytest.mark.parametrize(
    "name, reason",
    [
        ("prod/wine", "ENTRY/MODEL, with a slash, is the name of a gate of a selection"),
        ("'my wine'", "'my wine' is not the name of an entry"),
        ("-x", "'-x' is not the name of an entry"),
        (".x", "'.x' is not the name of an entry"),
        ("café", "is not the name of an entry"),
        ('"a\\nb"', "is not the name of an entry"),
        ('""', "'' is not the name of an entry"),
        ("a" * 101, "it has more than 100 characters"),
        ("<<", "'<<' is not the name of an entry"),
    ],
)
def test_name_of_an_entry_with_other_characters_is_rejected(name: str, reason: str) -> None:
    error = rejection(CHECK.replace("wine", name))
    assert error.message.startswith("gates.yaml, line 2, gates: ")
    assert reason in error.message
    assert "\n" not in error.message
    assert error.remedy
    assert not Draft202012Validator(SCHEMA).is_valid(yaml.safe_load(CHECK.replace("wine", name)))


@pytest.mark.parametrize("name", ["12", "Wine_1.2-x", "a" * 100, "yes", "_a"])
def test_name_of_letters_digits_and_marks_is_accepted(name: str) -> None:
    assert list(digests(CHECK.replace("wine", name))) == [name]


@pytest.mark.parametrize(
    "entry, key",
    [
        ("{check: {server: '${{ vars.SERVER }}', model: Wine, version_or_stage: 1}}", "check.server"),
        (f"{{check: {VERSION}, seal: $SEAL}}", "seal"),
        ("{select: {server: prod, models: '${MODELS}'}, against: run_model}", "select.models"),
        (f"{{select: {SELECT}, against: $AGAINST}}", "against"),
        (f"{{select: {SELECT}, against: {{seals: '${{DIR}}/{{model}}.json'}}}}", "against.seals"),
        (f"{{select: {SELECT}, against: {{server: b, rename: {{a: '{{{{ x }}}}'}}}}}}", "against.rename.a"),
    ],
)
def test_variable_in_an_entry_is_rejected(entry: str, key: str) -> None:
    error = entry_rejection(entry)
    assert f"line 2, gates.wine.{key}: " in error.message
    assert "is not replaced by its value: a gates file has no variables" in error.message


def test_error_for_an_unquoted_path_of_seals_says_to_quote_it() -> None:
    error = entry_rejection(f"{{select: {SELECT}, against: {{seals: seals/{{model}}.json}}}}")
    assert error.message == "gates.yaml, line 2: a value with braces must be quoted."
    assert error.remedy == 'Quote the path: "seals/{model}.json".'


@pytest.mark.parametrize("key", ["against", "select", "check"])
def test_error_does_not_repeat_a_password_in_a_misplaced_address(key: str) -> None:
    entry = {"select": {"server": "prod", "models": "*"}, "against": "run_model"} if key != "check" else {}
    error = rejection(text_of({"wine": entry | {key: "https://ann:s3cret@example.com"}}))
    assert "s3cret" not in error.message + error.remedy


def test_file_with_too_many_entries_is_rejected() -> None:
    lines = "".join(f"  a{index}: {{}}\n" for index in range(MAX_ENTRIES + 1))
    error = rejection(f"gates:\n{lines}")
    assert error.message.startswith("gates.yaml, line 1, gates: there are 10,001 entries, and 10,000 are allowed")


def test_aliases_in_a_gates_file_are_expanded_within_a_limit() -> None:
    assert len(digests(f"gates:\n  a: {{check: &v {VERSION}}}\n  b: {{check: *v}}\n")) == 2
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 12)
    )
    assert "its aliases expand without end" in rejection(bomb + CHECK).message


def test_gates_schema_is_valid_and_accepts_its_examples() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    for example in SCHEMA["examples"]:
        Draft202012Validator(SCHEMA).validate(example)
        assert list(digests(json.dumps(example))) == list(example["gates"])


def test_every_key_of_the_gates_schema_has_a_title_and_a_description() -> None:
    for definition in (SCHEMA, *SCHEMA["$defs"].values()):
        assert definition["title"]
        for name, key in definition.get("properties", {}).items():
            assert key["title"], name
            assert key["description"], name


def test_gates_schema_has_the_keys_of_the_compare_file() -> None:
    """An editor completes a file from one schema without a reference to another."""
    assert SCHEMA["$defs"]["tracking_server"] == CONFIG_SCHEMA["$defs"]["tracking_server"]
    for key in ("properties", "allOf", "additionalProperties"):
        assert SCHEMA["$defs"]["compare"][key] == CONFIG_SCHEMA[key]


@pytest.mark.parametrize(
    "text",
    [
        "gates: {}",
        f"{CHECK}x: 1",
        "gates: {a: {}}",
        CHECK.replace("1}", "1, seal: a}"),
        CHECK.replace("1}", "1}, seal_model: a"),
        f"gates: {{a: {{check: {VERSION}, {PAIR}}}}}",
        f"gates: {{a: {{select: {SELECT}}}}}",
        f"gates: {{a: {{select: {SELECT}, against: models}}}}",
        f"gates: {{a: {{select: {SELECT}, against: {{seals: a}}}}}}",
        f"{CHECK}defaults: {{a: b}}",
    ],
)
def test_gates_schema_rejects_files_that_the_parser_rejects(text: str) -> None:
    rejection(text)
    assert not Draft202012Validator(SCHEMA).is_valid(yaml.safe_load(text))

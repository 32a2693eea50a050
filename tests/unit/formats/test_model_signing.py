"""Tests of statements of OpenSSF Model Signing: what is written, and what is rejected."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from model_gate.domain.wording import printable
from model_gate.formats.model_signing import (
    MAX_RESOURCES,
    MAX_STATEMENT_BYTES,
    Resource,
    StatementError,
    make_statement,
    read_statement,
    root_digest,
    statement_bytes,
)
from tests.support.signing_spec import payload, validate, vectors

_A, _B, _C = ("aa" * 32, "bb" * 32, "cc" * 32)
_FILES = {"data/model.pkl": Resource(_A, 10), "MLmodel": Resource(_B, 20), "data.txt": Resource(_C, 0)}
_FACTS = {"model_gate": {"registered_model": "wine", "note": "naïve"}}


def _data(annotations: dict[str, Any] | None = None) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(statement_bytes(make_statement("wine", _FILES, annotations)))
    return data


def _read(data: object) -> None:
    read_statement(json.dumps(data).encode())


def test_statement_matches_schema_of_specification() -> None:
    validate(_data(_FACTS), "statement")
    validate(_data(), "statement")


def test_written_statement_reads_back_equal() -> None:
    statement = make_statement("wine", _FILES, _FACTS, allow_symlinks=True)
    assert read_statement(statement_bytes(statement)) == statement
    assert statement_bytes(read_statement(statement_bytes(statement))) == statement_bytes(statement)


def test_files_are_sorted_by_code_point() -> None:
    # The parts of the paths sort otherwise ("data" before "data.txt"), and so do UTF-16 code units.
    names = ["data/model.pkl", "data.txt", "\U00010000", "\uffff", "Z", "a"]
    statement = make_statement("wine", {name: Resource(_A) for name in names})
    assert list(statement.resources) == ["Z", "a", "data.txt", "data/model.pkl", "\uffff", "\U00010000"]


def test_root_is_sha256_of_raw_digests_in_order() -> None:
    root = hashlib.sha256(b"\xbb" * 32 + b"\xcc" * 32 + b"\xaa" * 32).hexdigest()
    assert make_statement("wine", _FILES).root == root
    assert root_digest([]) == hashlib.sha256().hexdigest()


def test_file_order_of_reference_tool_is_read() -> None:
    data = _data()
    resources = data["predicate"]["resources"]
    data["predicate"]["resources"] = sorted(resources, key=lambda resource: resource["name"].split("/"))
    assert data["predicate"]["resources"] != resources
    digests = "".join(resource["digest"] for resource in data["predicate"]["resources"])
    data["subject"][0]["digest"]["sha256"] = hashlib.sha256(bytes.fromhex(digests)).hexdigest()
    assert dict(read_statement(json.dumps(data).encode()).resources) == _FILES


def test_valid_vectors_of_specification_are_read() -> None:
    for bundle in vectors("valid").values():
        assert "signme-1" in read_statement(payload(bundle)).resources


def test_vector_with_foreign_predicate_type_is_rejected() -> None:
    for bundle in vectors("invalid-payload").values():
        with pytest.raises(StatementError, match="predicateType"):
            read_statement(payload(bundle))


def test_unknown_field_of_resource_is_ignored() -> None:
    data = _data()
    data["predicate"]["resources"][0]["mediaType"] = "text/plain"
    _read(data)


def _replace(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Return a function that sets the value at a path such as `subject/0/name`."""

    def change(data: Any) -> None:
        *parents, key = [int(part) if part.isdigit() else part for part in path.split("/")]
        for parent in parents:
            data = data[parent]
        data[key] = value

    return change


def _rename(name: str) -> Callable[[dict[str, Any]], None]:
    """Return a function that makes a file the only one, and gives it another name."""

    def change(data: dict[str, Any]) -> None:
        resource = {**data["predicate"]["resources"][0], "name": name}
        data["predicate"]["resources"] = [resource]
        data["subject"][0]["digest"]["sha256"] = root_digest([Resource(resource["digest"])])

    return change


_BROKEN: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (_replace("_type", "https://in-toto.io/Statement/v0.1"), "_type"),
    (_replace("predicateType", "https://model_signing/Digests/v0.1"), "predicateType"),
    (_replace("predicateType", ["https://model_signing/signature/v1.0"]), "predicateType"),
    (_replace("extra", 1), "unknown field 'extra'"),
    (_replace("predicate/extra", 1), "unknown field 'extra'"),
    (_replace("predicate/serialization/shard_size", 1), "unknown field 'shard_size'"),
    (_replace("predicate/serialization/method", "shards"), "method"),
    (_replace("predicate/serialization/hash_type", "blake2b"), "hash_type"),
    (_replace("predicate/serialization/allow_symlinks", "false"), "allow_symlinks"),
    (_replace("predicate/serialization/ignore_paths", [1]), "ignore_paths"),
    (_replace("predicate/serialization", {}), "no field 'method'"),
    (_replace("predicate/resources", []), "no files"),
    (_replace("predicate/resources", {}), "not a list"),
    (_replace("predicate/resources/0", "MLmodel"), "not an object"),
    (_replace("predicate/resources/0/name", None), "not a string"),
    (_replace("predicate/resources/0/algorithm", "blake2b"), "not sha256"),
    (_replace("predicate/resources/0/algorithm", "SHA256"), "not sha256"),
    (_replace("predicate/resources/0/digest", "AA" * 32), "lower-case hex"),
    (_replace("predicate/resources/0/digest", "aa" * 31), "lower-case hex"),
    (_replace("predicate/resources/0/digest", "aa" * 32 + "\n"), "lower-case hex"),
    (_replace("predicate/resources/0/digest", _A), "does not match the digests"),
    (_replace("predicate/resources/0/annotations/size", -1), "number of bytes"),
    (_replace("predicate/resources/0/annotations/size", True), "number of bytes"),
    (_replace("predicate/resources/0/annotations/size", "20"), "number of bytes"),
    (_replace("predicate/resources/0/name", "zzz"), "not sorted"),
    (_replace("predicate/resources/1/name", "MLmodel"), "appears twice"),
    (lambda data: data["predicate"]["resources"].pop(), "does not match the digests"),
    (
        lambda data: data["predicate"]["resources"].append({"name": "z", "digest": _A, "algorithm": "sha256"}),
        "match",
    ),
    (lambda data: data["predicate"]["resources"].reverse(), "not sorted"),
    (_replace("subject", []), "one entry"),
    (lambda data: data["subject"].append(data["subject"][0]), "one entry"),
    (_replace("subject/0/name", ""), "is empty"),
    (_replace("subject/0/digest/sha256", _A), "does not match the digests"),
    (_replace("subject/0/digest", {}), "no field 'sha256'"),
    (_replace("subject/0/digest/sha512", "aa" * 64), "unknown field 'sha512'"),
    (_replace("subject/0/annotations", []), "not an object"),
]


@pytest.mark.parametrize("number", range(len(_BROKEN)), ids=lambda number: f"{number}-{_BROKEN[number][1]}")
def test_statement_that_breaks_format_is_rejected(number: int) -> None:
    change, message = _BROKEN[number]
    data = _data()
    change(data)
    with pytest.raises(StatementError, match=message):
        _read(data)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/passwd",
        "../MLmodel",
        "a/../b",
        "a/..",
        "..",
        ".",
        "./a",
        "a/./b",
        "a//b",
        "a/",
        "a\\b",
        "..\\b",
        "a\0b",
    ],
)
def test_name_that_is_no_path_of_a_file_is_rejected(name: str) -> None:
    data = _data()
    _rename(name)(data)
    with pytest.raises(StatementError, match="not a relative path"):
        _read(data)
    with pytest.raises(StatementError, match="not a relative path"):
        make_statement("wine", {name: Resource(_A), "MLmodel": Resource(_B)})


@pytest.mark.parametrize("name", ["a.b", "..a", "a..", ".git/config", "a\nb", "é", "e\u0301", "C:/a"])
def test_unusual_name_of_a_file_is_kept(name: str) -> None:
    data = _data()
    _rename(name)(data)
    assert list(read_statement(json.dumps(data).encode()).resources) == [name]
    statement = make_statement("wine", {name: Resource(_A)})
    assert read_statement(statement_bytes(statement)) == statement


def test_name_that_is_not_utf8_is_rejected() -> None:
    data = _data()
    _rename("caf\udce9")(data)
    with pytest.raises(StatementError, match="not UTF-8"):
        _read(data)
    with pytest.raises(StatementError, match="not UTF-8"):
        make_statement("wine", {"caf\udce9": Resource(_A)})


def test_path_that_is_a_file_and_a_directory_is_rejected() -> None:
    with pytest.raises(StatementError, match="a file and a directory"):
        make_statement("wine", {"a": Resource(_A), "a/b/c": Resource(_B)})


_NOT_STRICT = {
    "empty": (b"", "not JSON"),
    "list": (b"[]", "not an object"),
    "latin-1": (b"\xff{}", "not UTF-8"),
    "nan": (b'{"_type": NaN}', "NaN"),
    "duplicate": (b'{"a": {"b": 1, "b": 1}}', "'b' appears twice"),
    "number": (b'{"a": %s}' % (b"9" * 5000), "number that is too large"),
    "deep": (b"[" * 200_000, "nested too deeply"),
    "101 levels": (b"[" * 101 + b"]" * 101, "nested too deeply"),
    "100 levels": (b"[" * 100 + b"]" * 100, "is not an object"),
    "unknown field of 1 MB": (
        b'{"%b": 1, "_type": 1, "subject": 1, "predicateType": 1, "predicate": 1}' % (b"A" * 2**20),
        r"unknown field 'A{200}'$",
    ),
    "large": (b" " * (MAX_STATEMENT_BYTES + 1), "limit"),
    "wide": (b"," * (10 * MAX_RESOURCES + 1), "too many values"),
    "two": (b"{}{}", "not JSON"),
}


@pytest.mark.parametrize("case", _NOT_STRICT)
def test_content_that_is_not_strict_json_is_rejected(case: str) -> None:
    content, message = _NOT_STRICT[case]
    with pytest.raises(StatementError, match=message):
        read_statement(content)


def test_duplicate_key_in_valid_statement_is_rejected() -> None:
    content = statement_bytes(make_statement("wine", _FILES))
    with pytest.raises(StatementError, match="'digest' appears twice"):
        read_statement(content.replace(b'"digest": "', b'"digest": "x", "digest": "', 1))


_EDITED: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    # The root covers none of these.
    (_replace("subject/0/name", "other"), "was edited"),
    (_replace("subject/0/annotations/model_gate/registered_model", "other"), "was edited"),
    (_replace("predicate/resources/0/name", "MLmodem"), "was edited"),
    (_replace("predicate/resources/0/annotations/size", 21), "was edited"),
    (_replace("predicate/serialization/allow_symlinks", True), "was edited"),
    (lambda data: data["subject"][0]["annotations"].pop("statement_sha256"), "is missing"),
]


@pytest.mark.parametrize("number", range(len(_EDITED)))
def test_edited_statement_of_model_gate_is_rejected(number: int) -> None:
    change, message = _EDITED[number]
    data = _data(_FACTS)
    change(data)
    with pytest.raises(StatementError, match=message):
        _read(data)


def test_white_space_and_key_order_do_not_matter() -> None:
    data = json.loads(json.dumps(_data(_FACTS), sort_keys=True))
    assert read_statement(json.dumps(data).encode()) == make_statement("wine", _FILES, _FACTS)


def test_too_many_files_are_rejected() -> None:
    with pytest.raises(StatementError, match="limit of 500,000"):
        make_statement("wine", dict.fromkeys(map(str, range(MAX_RESOURCES + 1)), Resource(_A)))


def test_statement_without_name_is_rejected() -> None:
    with pytest.raises(StatementError, match="is empty"):
        make_statement("", _FILES)


def test_duplicate_key_among_many_is_found_in_linear_time() -> None:
    keys = "".join(f'"{number}":0,' for number in range(200_000))
    started = time.monotonic()
    with pytest.raises(StatementError, match="'x' appears twice"):
        read_statement(f'{{{keys}"x":0,"x":0}}'.encode())
    assert time.monotonic() - started < 60


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1" + "0" * 400 + ".0"])
def test_infinite_number_is_rejected(number: str) -> None:
    text = statement_bytes(make_statement("wine", _FILES, {"a": 5.5})).decode()
    with pytest.raises(StatementError, match="number that is too large"):
        read_statement(text.replace("5.5", number).encode())


@pytest.mark.parametrize("size", [2**63, 10**400, -1])
def test_size_that_no_file_has_is_rejected(size: int) -> None:
    data = _data()
    data["predicate"]["resources"][0]["annotations"]["size"] = size
    with pytest.raises(StatementError, match="not a number of bytes"):
        _read(data)


def test_levels_of_a_path_are_bounded() -> None:
    make_statement("wine", {"a/" * 250 + "b": Resource(_A)})
    with pytest.raises(StatementError, match="more than 250 levels"):
        make_statement("wine", {"a/" * 251 + "b": Resource(_A)})


def test_byte_that_is_not_utf8_is_shown() -> None:
    with pytest.raises(StatementError) as raised:
        make_statement("wine", {"a\udcff": Resource(_A)})
    assert printable(str(raised.value)) == r"the path 'a\xff' is not UTF-8"

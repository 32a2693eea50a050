"""What a seal says, and which seals and models are rejected."""

from __future__ import annotations

import re

import pytest

from model_gate.domain.seal import SealFacts, make_seal, parse_seal, require_sealable
from model_gate.errors import SealError
from model_gate.formats.model_signing import Resource, make_statement, statement_bytes
from tests.support.seals import FILES, seal_of

TIME = "2026-01-31T18:00:00+00:00"


def test_seal_of_another_or_of_no_registered_model_is_an_error() -> None:
    seal_of(FILES, "Wine").require_registered_model("Wine", "")
    with pytest.raises(SealError, match=r"is of 'Wine', not of 'wine'"):
        seal_of(FILES, "Wine").require_registered_model("wine", "")
    with pytest.raises(SealError, match="is of no registered model"):
        seal_of(FILES, "").require_registered_model("Wine", "")


@pytest.mark.parametrize(
    "sealed, wanted, escaped",
    [
        ("Caf\u00e9", "Cafe\u0301", [r"'Caf\xe9'", r"'Cafe\u0301'"]),
        ("Win\u0435", "Wine", [r"'Win\u0435'"]),
        ("\uff37ine", "Wine", [r"'\uff37ine'"]),
    ],
    ids=["normalization", "cyrillic", "width"],
)
def test_names_that_look_alike_are_shown_with_their_code_points(sealed: str, wanted: str, escaped: list[str]) -> None:
    seal = seal_of(FILES, sealed)
    for require in (seal.require_registered_model, seal.require_model_name):
        with pytest.raises(SealError) as caught:
            require(wanted, "")
        assert all(f"({name})" in caught.value.message for name in escaped)


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"model_gate_version": "0", "sealed_at": "t", "uri": "u", "extra": "x"},
        {"model_gate_version": "0", "sealed_at": "t", "uri": 1},
        {"model_gate_version": "0", "sealed_at": "t", "uri": "u", "aliases": "a"},
        {"model_gate_version": "0", "sealed_at": f"{TIME}), signed by the key k (", "uri": "u"},
        {"model_gate_version": "0", "sealed_at": TIME, "uri": "u" * 4_097},
        {"model_gate_version": "0", "sealed_at": TIME, "uri": "u", "aliases": ["a" * 2_000] * 3},
    ],
    ids=["missing", "unknown", "number", "no-list", "time", "long", "long-list"],
)
def test_facts_that_model_gate_does_not_write_are_an_error(facts: dict[str, object]) -> None:
    statement = make_statement("wine", {"MLmodel": Resource("00" * 32)}, {"model_gate": facts})
    with pytest.raises(SealError, match=r"model_gate|sealed_at"):
        parse_seal(statement_bytes(statement), "s")


def test_long_name_cannot_be_read_or_sealed() -> None:
    resources = {"MLmodel": Resource("00" * 32)}
    with pytest.raises(SealError, match="more than 4,096 characters"):
        parse_seal(statement_bytes(make_statement("n" * 4_097, resources)), "s")
    with pytest.raises(SealError, match="more than 4,096 characters"):
        make_seal("s", "m", resources, SealFacts("0", TIME, "m", source="s" * 4_097))


@pytest.mark.parametrize("uri", ["https://h/a?X-Amz-Signature=x", "s3://b/a#x-secret", "mlflow-artifacts:/a?sig=x"])
def test_seal_has_no_query_and_no_fragment_of_a_uri(uri: str) -> None:
    facts = SealFacts("0", TIME, uri, source=uri, tracking_server=uri)
    content = statement_bytes(make_seal("s", "m", {"MLmodel": Resource("00" * 32)}, facts).statement)
    assert uri.encode() not in content
    read = parse_seal(content, "s").facts
    assert read is not None
    assert {read.uri, read.source, read.tracking_server} == {re.split("[?#]", uri)[0]}


@pytest.mark.parametrize(
    "paths, remedy",
    [
        ([], "Name a model that has files"),
        (["a\\b"], "has no backslash"),
        (["caf\udce9"], "Name the file in UTF-8"),
        (["d/" * 251 + "a"], "fewer directories"),
        (["a", "a/b"], "Remove the file or the directory"),
        (["a" * 16_385], "Shorten the path"),
        (list(map(str, range(500_001))), "fewer files"),
    ],
    ids=["no files", "backslash", "utf-8", "levels", "file and directory", "long", "many"],
)
def test_each_reason_why_a_model_cannot_be_sealed_has_its_own_remedy(paths: list[str], remedy: str) -> None:
    with pytest.raises(SealError, match=r"^The model cannot be sealed: ") as before:
        require_sealable(paths)
    assert remedy in before.value.remedy
    resource = Resource("00" * 32)
    with pytest.raises(SealError) as after:
        make_seal("s", "m", dict.fromkeys(paths, resource), SealFacts("0", TIME, "m"))
    assert (after.value.message, after.value.remedy) == (before.value.message, before.value.remedy)


def test_remedy_for_a_long_fact_names_the_fact() -> None:
    with pytest.raises(SealError, match="source in the annotation model_gate has more than") as caught:
        make_seal("s", "m", {"MLmodel": Resource("00" * 32)}, SealFacts("0", TIME, "m", source="s" * 4_097))
    assert caught.value.remedy == "Shorten the source of the model version."

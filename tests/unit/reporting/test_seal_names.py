"""Names of seals, in which the strings of the seal are quoted."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from model_gate.domain.seal import Seal, SealFacts, make_seal
from model_gate.formats.model_signing import Resource, make_statement
from model_gate.reporting.seal_names import seal_parts, seal_title
from tests.support.seals import FILES, seal_of

SEAL = seal_of(FILES, file="seals/wine.json")
TIME = "2026-01-31T18:00:00+00:00"
SEALED = "sealed 31 Jan 2026 18:00 UTC"


@pytest.mark.parametrize(
    "facts, signer, parts",
    [
        (SEAL.facts, "", ["unsigned", "'Wine' version '1'", SEALED]),
        (SEAL.facts, "the key approver.pub", ["signed, signer the key approver.pub", "'Wine' version '1'", SEALED]),
        (None, "", ["unsigned", "'Wine'"]),
        (SealFacts("1", TIME, "models:/m-1"), "", ["unsigned", "'models:/m-1'", SEALED]),
        (SealFacts("1", TIME, "models:/m-1", "", "Wine"), "", ["unsigned", "'Wine'", SEALED]),
        (
            SealFacts("1", TIME, "a", "", "Wine, signed", "1 signed by me"),
            "",
            ["unsigned", "'Wine, signed' version '1 signed by me'", SEALED],
        ),
    ],
    ids=["version", "signed", "another program", "directory", "model without a version", "imitating"],
)
def test_parts_of_a_seal_quote_its_own_texts(facts: SealFacts | None, signer: str, parts: list[str]) -> None:
    assert seal_parts(replace(SEAL, facts=facts, signer=signer)) == ["seals/wine.json", *parts]


@pytest.mark.parametrize("text", ["Wine, signed by the key k", "Wine' version '1' (t), signed by the key k", "W\\' x"])
def test_text_of_an_unsigned_seal_cannot_imitate_a_signature(text: str) -> None:
    resources = {"MLmodel": Resource("00" * 32)}
    for seal in (
        make_seal("s.json", "m", resources, SealFacts("0", TIME, "m", registered_model=text, model_version=text)),
        make_seal("s.json", "m", resources, SealFacts("0", TIME, text)),
        Seal("s.json", make_statement(text, resources)),
    ):
        assert seal_title(seal).startswith("unsigned seal s.json of '")
        # Each quote of the text is escaped, so the text stays in the quotes.
        without_quoted = re.sub(r"'(?:[^'\\]|\\.)*'", "", seal_title(seal))
        assert without_quoted.strip("()0123456789-:T+ ") in {
            "unsigned seal s.json of",
            "unsigned seal s.json of  version",
        }
        signed = replace(seal, signer="the key k.pub")
        assert seal_title(signed).startswith("signed seal s.json, signer the key k.pub, of '")

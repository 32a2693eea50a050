"""Seals name themselves in short parts, in which the texts of the seal are quoted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from model_gate.domain.seal import SealFacts
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
    assert replace(SEAL, facts=facts, signer=signer).parts == ["seals/wine.json", *parts]

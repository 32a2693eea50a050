"""The number of a version in a listing is a number, or an error."""

from __future__ import annotations

import pytest

from model_gate.errors import UnreachableError
from model_gate.worker.names import MAX_VERSION, listed_number


@pytest.mark.parametrize("version, number", [("7", 7), (8, 8), (str(MAX_VERSION), MAX_VERSION)])
def test_listed_version_is_read_as_a_number(version: object, number: int) -> None:
    assert listed_number(version) == number


@pytest.mark.parametrize("version", ["²", "٣", "", "v1", "-1", "1_0", None, "9" * 5_000, "a\n"])
def test_listed_version_that_is_no_number_is_an_error(version: object) -> None:
    with pytest.raises(UnreachableError, match="which is not a number") as raised:
        listed_number(version)
    assert raised.value.message.isprintable()
    assert len(raised.value.message) < 120

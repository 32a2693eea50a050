"""docs/flavors.md has the flavors and situations of `make flavors`, which is too slow to run in CI."""

from __future__ import annotations

from tests.flavors.flavors import CHANGED, FLAVORS, SITUATIONS
from tests.flavors.page import PAGE, verdicts_of

COMMITTED = verdicts_of(PAGE.read_text("utf-8"))


def test_page_has_a_verdict_for_each_flavor_and_situation() -> None:
    assert list(COMMITTED) == [(flavor.title, situation) for flavor in FLAVORS for situation in SITUATIONS]


def test_page_calls_every_changed_model_different() -> None:
    assert {verdict for (_, situation), verdict in COMMITTED.items() if situation == CHANGED} <= {
        "different",
        r"different \*",
    }

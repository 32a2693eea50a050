"""Log models of each flavor and compare the verdicts with docs/flavors.md."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.flavors.flavors import CHANGED, FLAVORS, LOADED, Flavor
from tests.flavors.page import PAGE, cell, render, verdicts_of
from tests.flavors.savings import Servers
from tests.flavors.verdicts import Verdict, verdicts

# The timeout covers the fixtures too: MLflow and its libraries are imported.
pytestmark = [pytest.mark.flavors, pytest.mark.timeout(1800)]

Results = dict[Flavor, list[Verdict]]


@pytest.fixture(scope="session")
def results(pytestconfig: pytest.Config) -> Iterator[Results]:
    """Yield a dictionary for the results. With --write-page, write the page when it has all flavors."""
    collected: Results = {}
    yield collected
    if len(collected) == len(FLAVORS) and pytestconfig.getoption("--write-page"):
        PAGE.write_text(render([verdict for flavor in FLAVORS for verdict in collected[flavor]]), "utf-8")


@pytest.fixture(scope="session")
def savings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    processes = Servers(tmp_path_factory.mktemp("flavors"))
    yield processes
    processes.close()


@pytest.fixture(scope="module", params=FLAVORS, ids=lambda flavor: flavor.title)
def result(request: pytest.FixtureRequest, savings: Servers, results: Results) -> list[Verdict]:
    flavor: Flavor = request.param
    results[flavor] = verdicts(savings, flavor)
    return results[flavor]


@pytest.fixture(scope="session")
def committed() -> dict[tuple[str, str], str]:
    return verdicts_of(PAGE.read_text("utf-8"))


def test_equal_and_equivalent_models_predict_the_same(result: list[Verdict]) -> None:
    assert [v.situation for v in result if v.verdict in {"equal", "equivalent"} and not v.is_same_prediction] == []


def test_changed_model_is_different(result: list[Verdict]) -> None:
    assert [verdict.verdict for verdict in result if verdict.situation == CHANGED] == ["different"]


def test_model_gate_has_advice_for_every_different_model_that_was_not_loaded(result: list[Verdict]) -> None:
    without_advice = [verdict.situation for verdict in result if verdict.needs_advice and not verdict.advice]
    assert without_advice in ([], [LOADED])


def test_page_has_the_verdicts(result: list[Verdict], committed: dict[tuple[str, str], str]) -> None:
    actual = {(verdict.flavor.title, verdict.situation): cell(verdict) for verdict in result}
    assert actual == {key: text for key, text in committed.items() if key[0] == result[0].flavor.title}

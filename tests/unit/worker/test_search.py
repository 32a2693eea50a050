"""A search in the registry of an MLflow server is complete, or an error."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import mlflow
import pytest

from model_gate.domain.limits import Limits
from model_gate.errors import InputError, ModelGateError, NotFoundError, TransferError
from model_gate.worker.search import ServerSearch
from tests.support.faulty_server import Call, FaultyServer

_MODELS = "registered-models/search"
_VERSIONS = "model-versions/search"


@dataclass
class _Registry:
    """A registry with many models, which an MLflow server sends in pages of the requested size."""

    names: list[str]
    is_filtering: bool = True
    lost_versions: tuple[str, ...] = ()
    filters: list[str] = field(default_factory=list)

    def send_models(self, call: Call) -> None:
        models = [
            {
                "name": name,
                "aliases": [{"alias": "champion", "version": "1"}],
                "latest_versions": [{"name": name, "version": "2", "current_stage": "Production"}],
            }
            for name in self._found(call)
        ]
        self._send(call, "registered_models", models)

    def send_versions(self, call: Call) -> None:
        versions = [
            {"name": name, "version": number, "tags": [{"key": "team", "value": "risk"}] if number == "1" else []}
            for name in self._found(call)
            for number in ("1", "2")
            if f"{name}/{number}" not in self.lost_versions
        ]
        self._send(call, "model_versions", versions)

    def _found(self, call: Call) -> list[str]:
        query = call.request.query.get("filter", [""])[0]
        self.filters.append(query)
        match = re.match(r"name (LIKE|=) '([^'%]*)%?'", query)
        if match is None or not self.is_filtering:
            return self.names
        return [name for name in self.names if (name == match[2] if match[1] == "=" else name.startswith(match[2]))]

    def _send(self, call: Call, name: str, entries: list[Any]) -> None:
        start = int(call.request.query.get("page_token", ["0"])[0])
        stop = start + int(call.request.query["max_results"][0])
        call.send_json({name: entries[start:stop]} | ({"next_page_token": str(stop)} if stop < len(entries) else {}))


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as started:
        yield started


def _serve(server: FaultyServer, registry: _Registry) -> _Registry:
    server.faults[_MODELS] = registry.send_models
    server.faults[_VERSIONS] = registry.send_versions
    return registry


def _search(server: FaultyServer, **limits: Any) -> ServerSearch:
    return ServerSearch(mlflow.MlflowClient(server.url, server.url), limits=replace(Limits(), **limits))


_NAMES = [f"prod.model-{number:03}" for number in range(500)]


def test_500_models_are_found_on_three_pages(server: FaultyServer) -> None:
    _serve(server, _Registry([*_NAMES, *(f"staging.{number}" for number in range(100))]))
    found = _search(server, search_page=200).search("prod.*", "@champion", {})
    assert [version.model for version in found] == _NAMES
    assert {(version.version, version.aliases) for version in found} == {("1", ("champion",))}
    assert len(server.requests) == 3


def test_every_version_of_500_models_is_found(server: FaultyServer) -> None:
    _serve(server, _Registry(_NAMES))
    found = _search(server, search_page=400).search("prod.*", "", {})
    assert [(version.model, version.version) for version in found] == [(name, v) for name in _NAMES for v in ("1", "2")]
    assert len(server.requests) == 2 + 3


def test_glob_decides_even_if_the_server_does_not_filter(server: FaultyServer) -> None:
    _serve(server, _Registry(["prod.a", "prodXb", "Prod.c", "prod.d"], is_filtering=False))
    assert [version.model for version in _search(server).search("prod.*", "latest", {})] == ["prod.a", "prod.d"]


@pytest.mark.parametrize(
    "glob, query",
    [
        ("prod.*", "name LIKE 'prod.%'"),
        ("prod.model-001", "name = 'prod.model-001'"),
        ("prod.model[-]00?", "name LIKE 'prod.model-00%'"),
        ("prod.mod'el*", "name LIKE 'prod.mod%'"),
        ("größe*", "name LIKE 'gr%'"),
        ("100%*", "name LIKE '100%'"),
        ("*", ""),
    ],
)
def test_server_filters_by_the_prefix_of_the_glob(server: FaultyServer, glob: str, query: str) -> None:
    registry = _serve(server, _Registry(["prod.model-001", "prod.mod'el", "größe", "100%"]))
    _search(server).search(glob, "latest", {})
    assert registry.filters[0].partition(" AND ")[0].startswith(query or "tag.")


@pytest.mark.parametrize("tags, expected", [({"team": "risk"}, ["1"]), ({"team": "other"}, []), ({}, ["2"])])
def test_version_without_the_tags_is_not_selected(
    server: FaultyServer, tags: dict[str, str], expected: list[str]
) -> None:
    _serve(server, _Registry(["Wine"]))
    search = _search(server)
    choice = "latest" if not tags else "champion"
    if expected:
        assert [version.version for version in search.search("Wine", choice, tags)] == expected
    else:
        with pytest.raises(NotFoundError, match="has no version with the alias @champion with team=other"):
            search.search("Wine", choice, tags)


@pytest.mark.parametrize(
    "version_or_stage, tags", [("", {}), ("2", {}), ("latest", {"team": "risk"})], ids=["every", "number", "tags"]
)
def test_cut_list_of_versions_is_an_error(server: FaultyServer, version_or_stage: str, tags: dict[str, str]) -> None:
    _serve(server, _Registry(_NAMES, lost_versions=("prod.model-007/2",)))
    with pytest.raises(TransferError, match=r"names version 2 of 'prod\.model-007', but its list of versions lacks it"):
        _search(server).search("prod.*", version_or_stage, tags)


@pytest.mark.parametrize(
    "pages, text",
    [
        ((["a"], ["b"], "1"), "repeats a page"),
        ((["a"], ["a"], ""), "lists the registered model 'a' twice"),
        ((["a", "a"], [], ""), "lists the registered model 'a' twice"),
    ],
    ids=["token", "name on two pages", "name on one page"],
)
def test_faulty_page_is_an_error(server: FaultyServer, pages: tuple[list[str], list[str], str], text: str) -> None:
    first, second, token = pages

    def send(call: Call) -> None:
        is_first = "page_token" not in call.request.query
        models = [{"name": name} for name in (first if is_first else second)]
        call.send_json({"registered_models": models, "next_page_token": "1" if is_first else token})

    server.faults[_MODELS] = send
    with pytest.raises(TransferError, match=text):
        _search(server).search("*", "latest", {})


@pytest.mark.parametrize(
    "limits, text",
    [
        ({"search_models": 499}, "more than 499 registered models"),
        ({"search_pages": 2, "search_page": 100}, "more than 2 pages"),
        ({"search_versions": 999}, "more than 999 model versions"),
    ],
    ids=["models", "pages", "versions"],
)
def test_search_ends_at_its_limits(server: FaultyServer, limits: dict[str, Any], text: str) -> None:
    _serve(server, _Registry(_NAMES))
    with pytest.raises(TransferError, match=text):
        _search(server, **limits).search("*", "", {})


@pytest.mark.parametrize("version_or_stage", ["@", "none", "99999999999", "9" * 5_000])
def test_text_that_selects_no_version_is_an_error(server: FaultyServer, version_or_stage: str) -> None:
    with pytest.raises(InputError, match="selects no version"):
        _search(server).search("*", version_or_stage, {})
    assert not server.requests


@pytest.mark.parametrize(
    "models, version_or_stage, text",
    [
        ("prid.*", "latest", "No registered model matches 'prid.*'. Correct the glob. Similar names: 'prod.model-000'"),
        ("qqq", "latest", "No name is similar. This server has 500 registered models, such as 'prod.model-000'"),
        (
            "prod.*",
            "@chamipon",
            "none has a version with the alias @chamipon. These models have @champion, Pro",
        ),
        ("prod.*", "Staging", "none has a version in stage Staging. These models have @champion, Production."),
        ("prod.*", "7", "none has a version 7."),
    ],
)
def test_error_for_an_empty_selection_names_what_exists(
    server: FaultyServer, models: str, version_or_stage: str, text: str
) -> None:
    _serve(server, _Registry(_NAMES))
    with pytest.raises(NotFoundError) as raised:
        _search(server).search(models, version_or_stage, {})
    assert text in f"{raised.value.message} {raised.value.remedy}"


def test_cut_page_is_an_error(server: FaultyServer) -> None:
    server.faults[_MODELS] = lambda call: call.send(b'{"registered_models": [{"name": "wine"}, {"na')
    with pytest.raises((mlflow.MlflowException, ModelGateError)):
        _search(server).search("*", "latest", {})

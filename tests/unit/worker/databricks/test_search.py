"""A search in a registry of a workspace that sends faulty pages is an error, never a shorter list."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import mlflow
import pytest

from model_gate.domain.limits import Limits
from model_gate.errors import ModelGateError, TransferError, UnreachableError
from model_gate.worker.databricks.search import CatalogSearch, WorkspaceSearch
from tests.support.faulty_server import Call, FaultyServer

_CATALOG = "/api/2.1/unity-catalog/models"
_REGISTRY = "registered-models/search"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    with FaultyServer() as started:
        monkeypatch.setenv("DATABRICKS_HOST", started.url)
        monkeypatch.setenv("DATABRICKS_TOKEN", "dapi-test")
        yield started


def _catalog(limits: Limits = Limits()) -> CatalogSearch:  # noqa: B008  # frozen
    return CatalogSearch(mlflow.MlflowClient("databricks", "databricks-uc"), limits=limits)


def _workspace(limits: Limits = Limits()) -> WorkspaceSearch:  # noqa: B008  # frozen
    return WorkspaceSearch(mlflow.MlflowClient("databricks", "databricks"), lambda *_: None, limits=limits)


def _models(*names: str, **more: Any) -> dict[str, Any]:
    return {"registered_models": [{"full_name": name, "browse_only": True} for name in names], **more}


def _pages(server: FaultyServer, path: str, *pages: Any) -> None:
    """Send these pages in order. The token of each page is its position."""

    def send(call: Call) -> None:
        call.send_json(pages[int(call.request.query.get("page_token", ["0"])[0])])

    server.faults[path] = send


def test_empty_page_before_others_does_not_end_the_listing(server: FaultyServer) -> None:
    first, last = _models("a.b.c", next_page_token="2"), _models("a.b.d")
    _pages(server, _CATALOG, {"next_page_token": "1"}, first, {"next_page_token": "3"}, last)
    assert [version.model for version in _catalog().search("a.b.*", "latest", {})] == ["a.b.c", "a.b.d"]


@pytest.mark.parametrize(
    "pages, text",
    [
        ((_models("a.b.c", next_page_token="1"), _models("a.b.d", next_page_token="1")), "repeats a page"),
        ((_models("a.b.c", next_page_token="1"), _models("a.b.c")), "lists the registered model 'a.b.c' twice"),
        (({"registered_models": {"a": 1}},), "in a form that is not known"),
        (({"registered_models": [{"name": "c"}]},), "in a form that is not known"),
        ((_models("a.b.c", next_page_token=1),), "in a form that is not known"),
    ],
    ids=["token", "name", "object", "no full name", "number as token"],
)
def test_faulty_page_of_the_catalog_is_an_error(server: FaultyServer, pages: tuple[Any, ...], text: str) -> None:
    _pages(server, _CATALOG, *pages)
    with pytest.raises(TransferError, match=text):
        _catalog().search("a.b.*", "latest", {})


@pytest.mark.parametrize(
    "limits, kind",
    [
        (replace(Limits(), search_pages=2), TransferError),
        (replace(Limits(), search_models=2), TransferError),
        (replace(Limits(), search_seconds=-1), UnreachableError),
    ],
    ids=["pages", "models", "seconds"],
)
def test_search_ends_at_its_limits(server: FaultyServer, limits: Limits, kind: type[ModelGateError]) -> None:
    _pages(server, _CATALOG, *(_models(f"a.b.m{number}", next_page_token=str(number + 1)) for number in range(9)), {})
    with pytest.raises(kind):
        _catalog(limits).search("a.b.*", "latest", {})
    assert len([request for request in server.requests if request.path == _CATALOG]) < 4


def test_cut_page_of_the_workspace_registry_is_an_error(server: FaultyServer) -> None:
    server.faults[_REGISTRY] = lambda call: call.send(b'{"registered_models": [{"name": "wine"}, {"na')
    with pytest.raises(mlflow.MlflowException):
        _workspace().search("*", "Production", {})


def test_listing_of_versions_without_the_latest_is_an_error(server: FaultyServer) -> None:
    latest = [{"name": "wine", "version": "7", "current_stage": "Production"}]
    _pages(server, _REGISTRY, {"registered_models": [{"name": "wine", "latest_versions": latest}]})
    _pages(server, "model-versions/search", {"model_versions": [{"name": "wine", "version": "6"}]})
    with pytest.raises(TransferError, match="names version 7 of 'wine', but its list of versions lacks it"):
        _workspace().search("*", "", {})


def test_repeated_page_of_versions_is_an_error(server: FaultyServer) -> None:
    _pages(server, _REGISTRY, {"registered_models": [{"name": "wine"}]})
    page = {"model_versions": [{"name": "wine", "version": "1"}], "next_page_token": "1"}
    again = {"model_versions": [{"name": "wine", "version": "2"}], "next_page_token": "1"}
    _pages(server, "model-versions/search", page, again)
    with pytest.raises(TransferError, match="repeats a page of its model versions"):
        _workspace().search("*", "latest", {})

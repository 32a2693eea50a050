"""The listing of one directory of a workspace's registry ends, however many pages the workspace sends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import pytest

from model_gate.domain.host import RegistryKind
from model_gate.domain.limits import Limits
from model_gate.errors import ModelError
from model_gate.worker.databricks.artifacts import DatabricksArtifactReader
from tests.support.faulty_server import Call, FaultyServer

# A listing that goes on beyond its limits ends here.
_LAST_PAGE = 100


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    """A workspace that lists one file on each page."""
    numbers = count()

    def list_page(call: Call) -> None:
        number = next(numbers)
        page = {"files": [{"path": f"file-{number}", "is_dir": False, "file_size": 1}]}
        call.send_json(page | ({"next_page_token": f"page-{number}"} if number < _LAST_PAGE else {}))

    with FaultyServer(faults={"list-artifacts": list_page}) as started:
        monkeypatch.setenv("DATABRICKS_HOST", started.url)
        monkeypatch.setenv("DATABRICKS_TOKEN", "dapi-test")
        yield started


@pytest.mark.parametrize(
    "limits",
    [replace(Limits(), listing_pages=5), replace(Limits(), listing_files=5)],
    ids=["pages", "files"],
)
def test_listing_of_a_directory_ends_at_its_limits(server: FaultyServer, limits: Limits) -> None:
    reader = DatabricksArtifactReader(RegistryKind.WORKSPACE, (), limits=limits)
    with pytest.raises(ModelError, match="The listing of the model does not end"):
        reader.list("models:/wine/1", lambda _: None)
    assert len([request for request in server.requests if "list-artifacts" in request.path]) < 10

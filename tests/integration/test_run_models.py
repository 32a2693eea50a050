"""A `runs:/` or `models:/` URI leads to the model that MLflow loads, or to an error that says why it does not."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from model_gate.access.hosts import find_host, parse_host
from model_gate.errors import InputError, ModelError, ModelGateError, NotFoundError
from model_gate.sources.tracking_server import TrackingServerClient
from tests.support.faulty_server import MODEL, FaultyServer
from tests.support.gates import GateResult, check, compare, run, version
from tests.support.paths import SUPPORT
from tests.support.servers import Server, Servers, environment


@dataclass(frozen=True)
class Place:
    """A tracking server with the models of `run_models.py`.

    Attributes:
        host: URI of the tracking server.
        server: The server; None for a database.
        seeds: What `run_models.py` printed.
        client: Client of the tracking server's worker.
    """

    host: str
    server: Server | None
    seeds: dict[str, Any]
    client: TrackingServerClient

    def uri(self, name: str) -> str:
        return str(self.seeds["uris"][name])

    def logged_model(self, name: str) -> str:
        return f"models:/{self.seeds['ids'][name]}"

    def content(self, uri: str) -> str:
        """Return the MLmodel file at a physical URI."""
        directory = Path(uri) if self.server is None else self.server.stored(uri)
        return (directory / "MLmodel").read_text()

    def diff(self, directory: Path, left: str, right: str) -> GateResult:
        return run(directory, "diff", left, right, environment={"MLFLOW_TRACKING_URI": self.host})

    def failure(self, kind: type[ModelGateError], uri: str) -> str:
        """Return message and remedy of the error for a URI."""
        with pytest.raises(kind) as caught:
            self.client.locate(uri)
        assert type(caught.value) is kind
        return f"{caught.value.message} {caught.value.remedy}"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    directory = tmp_path_factory.mktemp("runs")
    completed = subprocess.run(
        [sys.executable, str(SUPPORT / "run_models.py"), str(directory)],
        env=environment(),
        stdout=subprocess.PIPE,
        check=True,
    )
    result: dict[str, Any] = json.loads(completed.stdout.splitlines()[-1])
    return result


# The database is filled once, and the worker of each place starts once.
GROUPS = {place: pytest.mark.xdist_group(f"run_models_{place}") for place in ("database", "server")}


@pytest.fixture(scope="module", params=[pytest.param(place, marks=mark) for place, mark in GROUPS.items()])
def place(
    request: pytest.FixtureRequest, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    if request.param == "server":
        host, server, seeds = servers.staging.host, servers.staging, servers.seeds["run_models"]
    else:
        seeds = request.getfixturevalue("database")
        host, server = seeds["host"], None
    with TrackingServerClient(parse_host(host), os.environ, tmp_path_factory.mktemp("home")) as client:
        yield Place(host, server, seeds, client)


NAMES = ["one", "one/", "one/inner", "artifacts", "artifacts/inner", "blank", "deleted", "linked"]


@pytest.mark.parametrize("name", NAMES)
def test_run_uri_leads_to_the_model_that_mlflow_loads(place: Place, name: str) -> None:
    assert place.seeds["loaded"][name] != ""
    assert place.content(place.client.locate(place.uri(name)).uri) == place.seeds["loaded"][name]


@pytest.mark.parametrize("name", ["two", "two/inner"])
def test_name_shared_by_two_logged_models_is_ambiguous(place: Place, name: str) -> None:
    message = place.failure(ModelError, place.uri(name))
    candidates = [place.logged_model("first"), place.logged_model("second")]
    for text in (f"{place.uri(name)} is ambiguous", "2 logged models named 'model'", *candidates):
        assert text in message
    assert f"Name one of them by its ID, as in {candidates[0]}." in message
    assert len(re.findall(r"\(ready, created 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\)", message)) == 2
    # MLflow loads one of them without a warning.
    assert place.seeds["loaded"]["two"] == "second: {}\n"


@pytest.mark.parametrize("model", ["first", "second"])
def test_ambiguous_name_is_an_error_of_a_diff_with_each_candidate(tmp_path: Path, place: Place, model: str) -> None:
    result = place.diff(tmp_path, place.uri("two"), place.logged_model(model))
    result.require_error("ModelError", f"{place.uri('two')} is ambiguous", "2 logged models named 'model'")


@pytest.mark.parametrize("name, model", [("both", "both"), ("both/inner", "both"), ("file", "file")])
def test_name_shared_by_a_logged_model_and_run_artifacts_is_ambiguous(place: Place, name: str, model: str) -> None:
    message = place.failure(ModelError, place.uri(name))
    assert "is ambiguous: the run has both a logged model 'model'" in message
    assert f"Name one of them: {place.logged_model(model)}" in message


@pytest.mark.parametrize("name", ["pending", "failed"])
def test_logged_model_that_is_not_ready_is_an_error(place: Place, name: str) -> None:
    assert f"is not ready: its status is {name.upper()}" in place.failure(ModelError, place.uri(name))


@pytest.mark.parametrize("suffix", ["#old", "?version=1", "/../model", "/./inner", "//inner"])
def test_run_uri_with_a_path_that_mlflow_would_change_is_an_error(place: Place, suffix: str) -> None:
    assert "runs:/" in place.failure(ModelError, place.uri("one") + suffix)


@pytest.mark.parametrize("name", ["it's", "x' OR name = 'model", '"', "%6dodel", "MODEL", "model "])
def test_logged_model_is_found_only_by_its_exact_name(place: Place, name: str) -> None:
    uri = place.uri("one").removesuffix("model") + name
    # Without a logged model of this name, the run's artifacts remain.
    assert place.client.locate(uri).uri.endswith(f"/artifacts/{name}")


@pytest.fixture(scope="module")
def relative(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A database with a run and a logged model of the same name, and the ID of the run."""
    file = tmp_path_factory.mktemp("relative") / "mlflow.db"
    client = MlflowClient(f"sqlite:///{file}")
    run_id = client.create_run(client.create_experiment("relative", "/unused")).info.run_id
    client.create_logged_model(client.get_run(run_id).info.experiment_id, "model", run_id)
    return file, run_id


@pytest.mark.xdist_group("run_models_relative")  # the database is made once
@pytest.mark.parametrize(
    "artifact_root, working_directory",
    [("art/1", "elsewhere"), ("art/1", "host"), ("./art/1", "."), ("file:art/1", "elsewhere"), ("art/%31", ".")],
)
def test_relative_run_artifacts_are_found_from_every_working_directory(
    tmp_path: Path,
    relative: tuple[Path, str],
    monkeypatch: pytest.MonkeyPatch,
    working_directory: str,
    artifact_root: str,
) -> None:
    file, run_id = relative
    for directory in ("host", "elsewhere/art/1/artifacts", "host/art/1/model"):
        (tmp_path / directory).mkdir(parents=True, exist_ok=True)
    uri = f"sqlite:///{tmp_path}/host/mlflow.db"
    shutil.copy(file, tmp_path / "host" / "mlflow.db")
    with closing(sqlite3.connect(tmp_path / "host" / "mlflow.db")) as connection, connection:
        connection.execute("UPDATE runs SET artifact_uri = ?", (artifact_root,))
    monkeypatch.chdir(tmp_path / working_directory)
    with TrackingServerClient(find_host(uri, {}), os.environ, tmp_path / "home") as worker:  # noqa: SIM117
        with pytest.raises(ModelError, match="is ambiguous: the run has both"):
            worker.locate(f"runs:/{run_id}/model")


def test_relative_run_artifacts_of_a_server_are_not_looked_up_in_the_working_directory(tmp_path: Path) -> None:
    run_info = {"run_id": "1", "experiment_id": "1", "artifact_uri": "./art", "lifecycle_stage": "active"}
    model = {"model_id": "m-1", "name": "model", "source_run_id": "1", "artifact_uri": "mlflow-artifacts:/1/m-1"}
    server = FaultyServer(
        faults={
            "runs/get": lambda call: call.send_json({"run": {"info": run_info, "data": {}}}),
            "logged-models/search": lambda call: call.send_json({"models": [{"info": model, "data": {}}]}),
        },
    )
    with server:
        host = parse_host(server.url)
        with TrackingServerClient(host, os.environ, tmp_path, allow_local_artifacts=True) as client:  # noqa: SIM117
            with pytest.raises(ModelError, match="relative to its own working directory, which is unknown here"):
                client.locate("runs:/1/model")


@GROUPS["database"]
def test_all_pages_of_the_search_for_logged_models_are_read(database: dict[str, Any], tmp_path: Path) -> None:
    crowded = database["crowded"]
    with (
        TrackingServerClient(parse_host(database["host"]), os.environ, tmp_path) as client,
        pytest.raises(ModelError) as caught,
    ):
        client.locate(crowded["uri"])
    assert all(model_id in caught.value.message for model_id in crowded["ids"])


def test_run_uri_leads_to_run_artifacts_on_a_server_without_logged_models(tmp_path: Path, servers: Servers) -> None:
    uri = f"runs:/{servers.seeds['old_run']}/model"
    result = run(tmp_path, "diff", servers.seeds["wine"], uri, environment={"MLFLOW_TRACKING_URI": servers.old.host})
    assert (result.exit_code, result.status) == (0, "equal"), result


@pytest.mark.parametrize("address, reason", [("127.0.0.2", "on its own machine"), ("127.0.0.1", "on this machine")])
@pytest.mark.parametrize("name", ["passwd", "no-such-file"])
def test_local_artifacts_that_an_http_server_names_are_not_looked_up(
    tmp_path: Path, name: str, address: str, reason: str
) -> None:
    run_info = {"run_id": "1", "experiment_id": "1", "artifact_uri": "file:///etc", "lifecycle_stage": "active"}
    model = {"model_id": "m-1", "name": name, "source_run_id": "1", "artifact_uri": "mlflow-artifacts:/1/m-1"}
    server = FaultyServer(
        address=address,
        faults={
            "runs/get": lambda call: call.send_json({"run": {"info": run_info, "data": {}}}),
            "logged-models/search": lambda call: call.send_json({"models": [{"info": model, "data": {}}]}),
        },
    )
    with server, TrackingServerClient(parse_host(server.url), os.environ, tmp_path) as client:  # noqa: SIM117
        with pytest.raises(ModelError, match=f"at file:///etc, .*{reason}"):
            client.locate(f"runs:/1/{name}")


def test_host_in_a_run_uri_is_an_error(place: Place) -> None:
    uri = place.uri("one").replace("runs:/", "runs://")
    assert "names a host" in place.failure(NotFoundError, uri)


def test_error_for_a_version_with_an_ambiguous_run_uri_lists_the_candidates(tmp_path: Path, place: Place) -> None:
    result = check(tmp_path, place.host, "Two Models")
    candidates = [place.logged_model("first"), place.logged_model("second")]
    result.require_error("ModelError", place.uri("two"), "2 logged models named 'model'", *candidates)
    assert f"Name one of them by its ID, as in {candidates[0]}." in result.report["error"]["remedy"]


def test_registry_models_are_compared_although_a_run_uri_is_ambiguous(tmp_path: Path, place: Place) -> None:
    entries = version(place.host, "Two Models"), version(place.host, "Fresh")
    result = compare(tmp_path, *entries, "--no-compare-run-models")
    assert (result.exit_code, result.status) == (0, "equal"), result


@pytest.mark.parametrize(
    "name, hops",
    [
        ("Behind Ready", [("models:/Hop/1", "Hop", "1")]),
        ("Behind Slash", [("models:/Hop/1/", "Hop", "1")]),
        ("Behind Latest", [("models:/Fresh/latest", "Fresh", "2")]),
        ("Behind Alias", [("models:/Fresh@best", "Fresh", "1")]),
    ],
)
def test_report_lists_the_versions_that_a_source_leads_through(
    tmp_path: Path, place: Place, name: str, hops: list[tuple[str, str, str]]
) -> None:
    result = check(tmp_path, place.host, name)
    assert (result.exit_code, result.status) == (0, "equal"), result
    resolved = result.report["model_version"]["resolved"]
    *versions, logged_model = resolved["run_model_hops"]
    assert versions == [{"uri": uri, "name": model, "version": n, "status": "READY"} for uri, model, n in hops]
    expected = place.logged_model("first" if name == "Behind Alias" else "one")
    model_id = expected.removeprefix("models:/")
    assert logged_model == {"uri": expected, "model_id": model_id, "status": "READY"}
    assert resolved["reg_model_hops"] == resolved["run_model_hops"]
    content = "first: {}\n" if name == "Behind Alias" else "one: {}\n"
    assert place.content(resolved["run_model_uri"]) == content
    assert result.report["comparison"]["run_model"]["uri"] == resolved["run_model_uri"]


def test_report_names_the_run_and_the_logged_model_that_a_source_leads_through(tmp_path: Path, place: Place) -> None:
    result = check(tmp_path, place.host, "Behind Run")
    run_id, model_id = place.uri("one").split("/")[1], place.seeds["ids"]["one"]
    hop = {"uri": place.uri("one/inner"), "status": "READY", "model_id": model_id, "run_id": run_id}
    assert result.report["model_version"]["resolved"]["run_model_hops"] == [{**hop, "lifecycle_stage": "active"}]
    assert place.content(result.report["model_version"]["resolved"]["run_model_uri"]) == "one inner: {}\n"


def test_model_of_a_deleted_run_is_read_and_reported_as_deleted(tmp_path: Path, place: Place) -> None:
    result = compare(
        tmp_path, version(place.host, "Deleted Run"), version(place.host, "Hop"), "--no-compare-reg-models"
    )
    assert result.status == "different", result
    resolved = result.report["model_versions"]["tracking_server_1"]["resolved"]
    assert [hop["lifecycle_stage"] for hop in resolved["run_model_hops"]] == ["deleted"]
    assert resolved["run"]["lifecycle_stage"] == "active"
    assert place.content(resolved["run_model_uri"]) == "deleted: {}\n"


@pytest.mark.parametrize(
    "name, texts",
    [
        ("Behind Failed", ["Version 2 of 'Hop', which models:/Hop/2 names,", "FAILED_REGISTRATION"]),
        ("Behind Pending", ["Version 3 of 'Hop', which models:/Hop/3 names,", "PENDING_REGISTRATION"]),
        ("Twice Behind Failed", ["Version 2 of 'Hop', which models:/Hop/2 names,", "FAILED_REGISTRATION"]),
        ("Behind Missing", ["There is no version 9 of 'Fresh'"]),
        ("Behind Encoded", ["There is no registered model 'Behind%20Ready'"]),
        ("Behind None", ["'None' names no version of 'Fresh'"]),
        ("Behind Host", ["models://Fresh/1 names a host"]),
        ("Own Source", ["form a loop at version 1 of 'Own Source'"]),
        ("Loop A", ["form a loop at version 1 of 'Loop "]),
    ],
)
def test_version_whose_source_leads_to_no_usable_model_is_an_error(place: Place, name: str, texts: list[str]) -> None:
    version = place.client.resolve(name, "1")
    assert version.run_model_uri == ""
    assert all(text in version.run_model_reason for text in texts)
    with pytest.raises(ModelGateError) as caught:
        place.client.locate(f"models:/{name}/1")
    assert all(text in caught.value.message for text in texts)


def test_source_that_leads_to_no_usable_model_is_an_error_of_the_gate(tmp_path: Path, place: Place) -> None:
    result = check(tmp_path, place.host, "Behind Failed")
    result.require_error("ModelError", "The run model of 'Behind Failed' version 1", "FAILED_REGISTRATION")


def test_chain_of_more_than_16_sources_is_an_error(tmp_path: Path) -> None:
    sources = {("Chain", str(number)): f"models:/Chain/{number + 1}" for number in range(1, 18)}
    with FaultyServer(sources=sources) as server:
        server.add("Chain", MODEL, "18")
        with TrackingServerClient(parse_host(server.url), os.environ, tmp_path) as client:
            assert len(client.resolve("Chain", "2").run_model_hops) == 16
            assert client.resolve("Chain", "2").run_model_uri == "mlflow-artifacts:/Chain/18"
            longest = client.resolve("Chain", "1")
    assert "leads through more than 16 sources" in longest.run_model_reason
    assert longest.run_model_uri == ""


def test_source_that_names_a_version_without_a_source_is_an_error(tmp_path: Path) -> None:
    sources = {("Copy", "1"): "models:/Bare/1", ("Bare", "1"): ""}
    with FaultyServer(sources=sources) as server:
        result = check(tmp_path, server.url, "Copy")
    result.require_error("ModelError", "Version 1 of 'Bare', which models:/Bare/1 names, has no source")


def test_version_with_models_at_two_locations_is_ambiguous_in_a_diff(place: Place) -> None:
    message = place.failure(ModelError, "models:/Split/1")
    assert "is ambiguous: the source of version 1 of 'Split' is at" in message


@pytest.mark.parametrize(
    "uri", ["models:/At@Sign@best", "models:/At@Sign/1", "models:/m-wine/1", "models:/m-wine@best"]
)
def test_registered_model_with_a_name_like_an_alias_or_logged_model_is_found(place: Place, uri: str) -> None:
    assert place.content(place.client.locate(uri).uri) == "one: {}\n"


def test_model_names_that_differ_only_in_a_trailing_blank_are_different(tmp_path: Path, place: Place) -> None:
    entries = version(place.host, "Blank"), version(place.host, "Blank ")
    assert compare(tmp_path, *entries).status == "different"
    assert place.client.resolve("Blank ", "1").name == "Blank "
    with pytest.raises(NotFoundError, match="no registered model 'Hop '") as caught:
        place.client.resolve("Hop ", "1")
    assert "Blanks at the ends of a name count" in caught.value.remedy
    assert "'Hop'" in caught.value.remedy
    assert place.content(place.client.locate("models:/Blank /1").uri) == "first: {}\n"


HUGE = {
    "ten digits": ("2147483648", "There is no version 2147483648 of 'Hop'"),
    "20 digits": ("9" * 20, f"There is no version {'9' * 20} of 'Hop'"),
    "5,000 digits": ("7" * 5_000, "There is no version 77777777777777777777… (5,000 digits) of 'Hop'"),
    "zeros first": ("0" * 5_000 + "4", "There is no version 4 of 'Hop'"),
    "zero": ("000", "There is no version 0 of 'Hop'"),
}


@pytest.mark.parametrize("case", HUGE)
def test_error_for_a_nonexistent_version_number_lists_the_existing_versions(place: Place, case: str) -> None:
    number, message = HUGE[case]
    assert message in place.failure(NotFoundError, f"models:/Hop/{number}")
    with pytest.raises(NotFoundError) as caught:
        place.client.resolve("Hop", number)
    assert message in caught.value.message
    assert "Available: versions 3, 2, 1" in caught.value.remedy


def test_nonexistent_version_number_is_an_error_of_the_gate(tmp_path: Path, place: Place) -> None:
    number, message = HUGE["5,000 digits"]
    result = compare(tmp_path, version(place.host, "Hop"), version(place.host, "Hop", number))
    result.require_error("NotFoundError", message, "Available: versions 3, 2, 1")


def test_leading_zeros_of_a_version_number_are_ignored(place: Place) -> None:
    assert place.client.resolve("Hop", "0" * 5_000 + "1").version == "1"


@pytest.mark.parametrize("stage", ["None", "none", " NONE "])
def test_stage_none_selects_no_version(place: Place, stage: str) -> None:
    with pytest.raises(InputError) as caught:
        place.client.resolve("Fresh", stage)
    assert f"{stage.strip()!r} names no version of 'Fresh'" in caught.value.message
    assert "versions 2, 1" in caught.value.remedy
    assert "@best (1)" in caught.value.remedy


@pytest.mark.parametrize("text", ["@", " @ "])
def test_empty_alias_names_no_version(place: Place, text: str) -> None:
    with pytest.raises(InputError, match="'@' names no version of 'Fresh'"):
        place.client.resolve("Fresh", text)

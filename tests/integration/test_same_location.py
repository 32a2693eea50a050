"""Two models have the same location only if the same login on the same server reads both, or this machine does."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import pytest
from mlflow import MlflowClient

from tests.support.faulty_server import MODEL, Call, Fault, FaultyServer
from tests.support.gates import GateResult, check, compare, run, version
from tests.support.zoo.tree import Tree, make_tree

pytestmark = pytest.mark.xdist_group("same_location")  # the database is filled once

CHANGED = MODEL | {"model.pkl": MODEL["model.pkl"][:-1] + b"?"}


def make_model(directory: Path, files: Mapping[str, bytes] = MODEL) -> None:
    """Write a model to a new directory."""
    tree: Tree = dict(files.items())
    make_tree(directory, tree)


ALLOW = "--allow-local-artifacts"


def require_compared(result: GateResult, status: str, comparison: str = "run_model_comparison") -> None:
    """Assert the verdict, and that it is based on the bytes of all files."""
    assert result.status == status, result
    compared = result.report[comparison]
    assert compared["same_location"] is False
    assert (compared["compared"], compared["not_compared"]) == (len(MODEL), 0)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database whose model `Wine` has one version for each source of SOURCES."""
    file = tmp_path_factory.mktemp("database") / "mlflow.db"
    client = MlflowClient(f"sqlite:///{file}")
    client.create_registered_model("Wine")
    for source in SOURCES:
        client.create_model_version("Wine", source)
    return file


SOURCES = ("./mlruns/model", "mlruns/model", "file:./mlruns/model", "file:mlruns/model", "mlruns/../mlruns/mod%65l")


def make_host(directory: Path, database: Path, model: Mapping[str, bytes]) -> str:
    """Copy the database into a directory with this model at its relative sources, and return the URI of the copy."""
    make_model(directory / "mlruns" / "model", model)
    shutil.copy(database, directory / "mlflow.db")
    return f"sqlite:///{directory}/mlflow.db"


# The equal pair shows that the changed file alone makes the other pairs different.
@pytest.mark.parametrize("number, is_changed", [(1, False), *((number, True) for number in range(1, len(SOURCES) + 1))])
def test_relative_model_source_is_resolved_against_the_directory_of_its_database(
    tmp_path: Path, database: Path, number: int, is_changed: bool
) -> None:
    left = make_host(tmp_path / "left", database, MODEL)
    right = make_host(tmp_path / "right", database, CHANGED if is_changed else MODEL)
    # The same text relative to the working directory is another model.
    make_tree(tmp_path / "mlruns" / "model", {"MLmodel": b"run_id: 1\n"})
    result = compare(tmp_path, version(left, "Wine", str(number)), version(right, "Wine", str(number)))
    require_compared(result, "different" if is_changed else "equal")
    for name, half in (("left", "tracking_server_1"), ("right", "tracking_server_2")):
        assert result.report["run_model_comparison"][half]["path"] == str(tmp_path / name / "mlruns/model")


def test_download_directory_inside_a_model_of_a_registry_is_rejected(tmp_path: Path, database: Path) -> None:
    host = make_host(tmp_path / "host", database, MODEL)
    for directory in ("host/mlruns/model/kept", "host/mlruns/model/a/b"):
        result = check(tmp_path, host, "Wine", "1", "--download-dir", tmp_path / directory)
        result.require_error("StorageError", "would change an input", "Name another --download-dir.")
    model = tmp_path / "host/mlruns/model"
    assert {str(file.relative_to(model)) for file in model.rglob("*") if file.is_file()} == set(MODEL)
    assert not (model / "kept").exists()
    assert not (model / "a").exists()
    assert check(tmp_path, host, "Wine", "1", "--download-dir", tmp_path / "host" / "kept").status == "equal"


def test_report_names_no_kept_file_that_does_not_exist_if_both_models_are_one_location(
    tmp_path: Path, database: Path
) -> None:
    host = make_host(tmp_path / "host", database, MODEL)
    for options in ((), ("--download-dir", tmp_path / "kept")):
        compared = check(tmp_path, host, "Wine", "1", *options).report["comparison"]
        paths = [compared[model]["local_path"] for model in ("run_model", "reg_model")]
        assert [path["kept"] for path in paths] == [Path(path["path"]).exists() for path in paths]


def test_two_spellings_of_a_relative_model_source_have_the_same_location(tmp_path: Path, database: Path) -> None:
    host = make_host(tmp_path / "host", database, MODEL)
    result = compare(tmp_path, version(host, "Wine", "1"), version(host, "Wine", "5"))
    assert result.status == "equal", result
    assert result.report["run_model_comparison"]["same_location"] is True


def test_two_spellings_of_a_database_uri_lead_to_the_same_location(tmp_path: Path, database: Path) -> None:
    host = make_host(tmp_path / "host", database, MODEL)
    result = compare(tmp_path, version(host, "Wine"), version("sqlite:///host/mlflow.db", "Wine"))
    assert result.status == "equal", result
    assert result.report["run_model_comparison"]["same_location"] is True


def test_relative_source_in_a_file_store_is_resolved_against_its_parent_directory(tmp_path: Path) -> None:
    make_model(tmp_path / "host" / "mlruns" / "model")
    versions: Tree = {
        "mlruns/models/Wine/meta.yaml": b"name: Wine\ncreation_timestamp: 1\nlast_updated_timestamp: 1\n",
        "mlruns/models/Wine/version-1/meta.yaml": (
            b"name: Wine\nversion: 1\ncurrent_stage: None\ncreation_timestamp: 1\nlast_updated_timestamp: 1\n"
            b"source: ./mlruns/model\nstatus: READY\nrun_id: ''\nrun_link: ''\nuser_id: ''\ndescription: ''\n"
            b"status_message: ''\nstorage_location: ./mlruns/model\n"
        ),
    }
    make_tree(tmp_path / "host", versions)
    environment = {"MLFLOW_ALLOW_FILE_STORE": "true"}
    result = check(tmp_path, f"file://{tmp_path}/host/mlruns", "Wine", environment=environment)
    assert result.status == "equal", result
    assert result.report["comparison"]["run_model"]["local_path"]["path"] == str(tmp_path / "host/mlruns/model")


@pytest.mark.parametrize("prefix", ["", "file://", "file:"])
def test_local_path_that_an_http_server_names_is_read_only_if_the_user_allows_it(tmp_path: Path, prefix: str) -> None:
    make_model(tmp_path / "model")
    with FaultyServer() as server:
        server.sources["Wine", "1"] = f"{prefix}{tmp_path}/model"
        # Both models are at one location, so nothing would be read. It is an error all the same.
        refused = check(tmp_path, server.url, "Wine")
        allowed = check(tmp_path, server.url, "Wine", "1", ALLOW)
    refused.require_error("ModelError", f"{tmp_path}/model, a path on this machine", ALLOW)
    assert allowed.status == "equal", allowed


@pytest.mark.parametrize("source", ["./mlruns/model", "mlruns/model", "file:./mlruns/model", "file:mlruns/model"])
def test_relative_model_source_on_an_http_server_is_an_error(tmp_path: Path, source: str) -> None:
    make_model(tmp_path / "mlruns" / "model")
    with FaultyServer() as server:
        server.sources["Wine", "1"] = source
        result = check(tmp_path, server.url, "Wine", "1", ALLOW)
    result.require_error("ModelError", source, "working directory", "absolute artifact root")


@pytest.mark.parametrize("machines", [("nas", "nas"), ("nas", "other")])
def test_file_uri_that_names_a_remote_machine_is_an_error(tmp_path: Path, machines: tuple[str, str]) -> None:
    make_model(tmp_path / "model")
    with FaultyServer() as server:
        server.sources["Wine", "1"], server.downloads["Wine", "1"] = (
            f"file://{machine}{tmp_path}/model" for machine in machines
        )
        result = check(tmp_path, server.url, "Wine")
    result.require_error("ModelError", "on the machine nas")
    result = run(tmp_path, "diff", f"file://nas{tmp_path}/model", tmp_path / "model")
    result.require_error("InputError", "LEFT", "the machine nas")


def test_local_path_with_a_null_byte_is_an_error(tmp_path: Path) -> None:
    with FaultyServer() as server:
        server.sources["Wine", "1"] = "/srv/model%00"
        result = check(tmp_path, server.url, "Wine", "1", ALLOW)
    result.require_error("ModelError", "is not a path")


@pytest.mark.parametrize("prefix", ["", "file://", "file:"])
def test_same_local_path_on_two_servers_is_not_one_location(tmp_path: Path, prefix: str) -> None:
    make_model(tmp_path / "model")
    with FaultyServer() as left, FaultyServer() as right:
        left.sources["Wine", "1"] = right.sources["Wine", "1"] = f"{prefix}{tmp_path}/model"
        result = compare(tmp_path, version(left.url, "Wine"), version(right.url, "Wine"), ALLOW)
        require_compared(result, "equal")
        result = check(tmp_path, left.url, "Wine", "1", ALLOW)
    assert (result.status, result.report["comparison"]["same_location"]) == ("equal", True), result


def test_same_path_from_a_server_and_from_the_user_is_not_one_location(tmp_path: Path) -> None:
    make_model(tmp_path / "model")
    with FaultyServer() as server:
        server.sources["Wine", "1"] = str(tmp_path / "model")
        environment = {"MLFLOW_TRACKING_URI": server.url}
        result = run(tmp_path, "diff", tmp_path / "model", "models:/Wine/1", ALLOW, environment=environment)
    require_compared(result, "equal", "comparison")


@pytest.mark.parametrize("is_changed", [False, True])
def test_models_on_the_same_server_with_different_logins_have_different_locations(
    tmp_path: Path, is_changed: bool
) -> None:
    def fetch(call: Call) -> None:
        is_bob = call.request.authorization != call.server.requests[0].authorization
        call.send(CHANGED["model.pkl"] if is_bob and is_changed else MODEL["model.pkl"])

    with FaultyServer() as server:
        server.add("Wine", MODEL)
        server.faults["/model.pkl"] = fetch
        hosts = [server.url.replace("://", f"://{user}:{quote('guest-pass-word-1')}@") for user in ("ada", "bob")]
        result = compare(tmp_path, version(hosts[0], "Wine"), version(hosts[1], "Wine"))
        require_compared(result, "different" if is_changed else "equal")
        assert sorted(set(server.fetched)) == sorted(f"Wine/1/{path}" for path in MODEL)
        assert len(server.fetched) == 2 * len(MODEL)


def bucket(files: Mapping[str, bytes]) -> Fault:
    """Return a fault that responds as the S3 bucket `bucket`, which has these files in `model/`."""

    def respond(call: Call) -> None:
        path = call.request.path.removeprefix("/bucket").removeprefix("/model/")
        if path in files:
            call.send(files[path], content_type="application/octet-stream", etag='"1"')
            return
        entries = "".join(
            f"<Contents><Key>model/{name}</Key><Size>{len(content)}</Size></Contents>"
            for name, content in files.items()
        )
        xml = f"<ListBucketResult><Name>bucket</Name><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>"
        call.send(xml.encode(), content_type="application/xml")

    return respond


@pytest.mark.parametrize("is_changed", [False, True])
def test_same_bucket_name_at_two_store_endpoints_is_not_one_location(tmp_path: Path, is_changed: bool) -> None:
    files = {name: content for name, content in MODEL.items() if "/" not in name}
    other = {name: (CHANGED if is_changed else MODEL)[name] for name in files}
    stores = {
        "A": FaultyServer(faults={"/bucket": bucket(files)}),
        "B": FaultyServer(faults={"/bucket": bucket(other)}),
    }
    with FaultyServer() as server, stores["A"], stores["B"]:
        server.sources["Wine", "1"] = "s3://bucket/model"
        environment: dict[str, str] = {}
        for name, store in stores.items():
            environment |= {
                f"{name}_MLFLOW_TRACKING_URI": server.url,
                f"{name}_MLFLOW_S3_ENDPOINT_URL": store.url,
                f"{name}_AWS_ACCESS_KEY_ID": "key",
                f"{name}_AWS_SECRET_ACCESS_KEY": "secret-of-the-test",
                f"{name}_AWS_DEFAULT_REGION": "us-east-1",
            }
        versions = [{"server": name, "model": "Wine", "version_or_stage": "1"} for name in ("a", "b")]
        result = compare(tmp_path, versions[0], versions[1], environment=environment)
    assert result.status == ("different" if is_changed else "equal"), result
    compared = result.report["run_model_comparison"]
    assert (compared["same_location"], compared["compared"]) == (False, len(files))


def test_models_at_two_addresses_of_the_same_server_have_different_locations(tmp_path: Path) -> None:
    with FaultyServer() as server:
        server.add("Wine", MODEL)
        other = server.url.replace("127.0.0.1", "localhost")
        result = compare(tmp_path, version(server.url, "Wine"), version(other, "Wine"))
        require_compared(result, "equal")


def test_version_compared_with_itself_has_the_same_location_on_both_sides(tmp_path: Path) -> None:
    with FaultyServer() as server:
        server.add("Wine", MODEL)
        result = compare(tmp_path, version(server.url, "Wine"), version(f"{server.url}/", "Wine"))
        assert result.status == "equal", result
        assert result.report["run_model_comparison"]["same_location"] is True
        assert result.report["reg_model_comparison"]["same_location"] is True
        assert server.fetched == []


def test_verdict_of_a_version_compared_with_itself_says_that_nothing_was_compared(tmp_path: Path) -> None:
    with FaultyServer() as server:
        server.add("Wine", MODEL)
        result = compare(tmp_path, version(server.url, "Wine"), version(server.url, "Wine"))
        assert (result.status, result.exit_code) == ("equal", 0), result
        assert "\nEQUAL, nothing compared: one location\n" in result.stdout


def test_fail_on_same_location_makes_a_comparison_of_a_model_with_itself_an_error(tmp_path: Path) -> None:
    with FaultyServer() as server:
        server.add("Wine", MODEL)
        server.add("Wine", CHANGED, "2")
        for result in (
            check(tmp_path, server.url, "Wine", "1", "--fail-on-same-location"),
            compare(tmp_path, version(server.url, "Wine"), version(server.url, "Wine"), "--fail-on-same-location"),
        ):
            result.require_error("ModelError", "So there are not two models to compare", "--fail-on-same-location")
        assert server.fetched == []
        assert result.report["model_versions"]["tracking_server_2"]["resolved"]["version"] == "1"


def test_fail_on_same_location_makes_a_diff_of_a_directory_with_itself_an_error(tmp_path: Path) -> None:
    make_model(tmp_path / "model")
    (tmp_path / "link").symlink_to("model")
    result = run(tmp_path, "diff", tmp_path / "model", tmp_path / "link", "--fail-on-same-location")
    result.require_error("ModelError", "The two models are the same files", "--fail-on-same-location")


def test_fail_on_same_location_applies_if_only_the_registry_models_are_one_location(tmp_path: Path) -> None:
    with FaultyServer() as server:
        server.add("Wine", MODEL)
        server.add("Wine", CHANGED, "2")
        server.downloads["Wine", "2"] = server.sources["Wine", "1"]
        versions = (version(server.url, "Wine", "1"), version(server.url, "Wine", "2"))
        result = compare(tmp_path, *versions, "--fail-on-same-location")
        result.require_error("ModelError", "The two registry models are the same files")
        result = compare(tmp_path, *versions, "--fail-on-same-location", "--no-compare-reg-models")
        require_compared(result, "different")
        result = compare(tmp_path, *versions)
        assert result.report["reg_model_comparison"]["same_location"] is True
        assert "nothing compared" not in result.stdout


def test_fail_on_same_location_accepts_models_at_two_locations(tmp_path: Path) -> None:
    make_model(tmp_path / "left")
    make_model(tmp_path / "right")
    result = run(tmp_path, "diff", tmp_path / "left", tmp_path / "right", "--fail-on-same-location")
    require_compared(result, "equal", "comparison")


def test_model_is_fetched_once_if_run_and_registry_model_have_the_same_location(tmp_path: Path) -> None:
    with FaultyServer() as left, FaultyServer() as right:
        left.add("Wine", MODEL)
        right.add("Wine", CHANGED)
        result = compare(tmp_path, version(left.url, "Wine"), version(right.url, "Wine"))
        assert result.report["comparison_summary"] == {"run_model": False, "reg_model": False}
        for server in (left, right):
            assert sorted(server.fetched) == sorted(f"Wine/1/{path}" for path in MODEL)

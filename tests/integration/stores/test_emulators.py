"""Models are read from real programs that emulate the object stores of three clouds.

s3rver stands for S3, azurite for Azure Blob Storage, and fake-gcs-server for Google Cloud Storage. docs/performance.md
has a table of their faults.
"""

from __future__ import annotations

import html
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import commandline
from tests.support.emulated_bucket import mark_directory, upload
from tests.support.emulators import BUCKET, Emulator, emulator
from tests.support.forwarder import Trigger, forward
from tests.support.gates import GateResult, check, compare, run, version
from tests.support.paths import SUPPORT
from tests.support.reports import Json
from tests.support.servers import environment
from tests.support.unproxied_server import unproxied_server
from tests.support.zoo.tree import Tree, make_tree

MIB = 1024**2
FILES = {"MLmodel": b"flavors: {}\n", "model.pkl": bytes(range(256)), "data/part-0": b"0,1,2\n"}
CHANGED = FILES | {"model.pkl": FILES["model.pkl"][:-1] + b"!"}
# Names that clients and stores encode in different ways.
NAMES = ("a#b", "a%41", "aA", "a+b c", "a b+c", "q?x=1&y;z", "a%2Fb", "a%23b", "~é", "ü/é", "data/deep/日本")


@dataclass(frozen=True)
class Store:
    """An emulated store of a cloud."""

    emulator: Emulator

    def add(self, root: str, files: Mapping[str, bytes | Path]) -> str:
        """Put a model into the store, and return its location."""
        upload(self.emulator, {f"{root}/{path}": content for path, content in files.items()})
        return self.emulator.location(root)

    def diff(self, directory: Path, left: str, right: str, variables: Mapping[str, str] | None = None) -> GateResult:
        """Run `model-gate diff` on two locations, without a tracking server."""
        result = run(directory, "diff", left, right, environment=variables or self.emulator.variables())
        assert self.emulator.key not in result.stdout + result.stderr + json.dumps(result.report)
        return result


# One pytest worker starts the emulator of a cloud once.
S3, AZURE, GOOGLE = (
    pytest.param(cloud, marks=pytest.mark.xdist_group(f"emulator_{cloud}")) for cloud in ("s3", "azure", "google")
)


@pytest.fixture(scope="module", params=[S3, AZURE, GOOGLE])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    # pytest would keep the files of three sessions.
    with tempfile.TemporaryDirectory() as directory, emulator(request.param, Path(directory)) as started:
        yield Store(started)


def differences(result: GateResult) -> dict[str, Json]:
    """Return the differences in the report, by path."""
    assert (result.exit_code, result.status) == (1, "different"), result
    comparison = result.report["comparison"]
    return {difference["path"]: difference for difference in comparison["differences"]}


def test_two_models_with_the_same_bytes_are_equal(store: Store, tmp_path: Path) -> None:
    files = FILES | {name: name.encode() for name in NAMES} | {"empty": b""}
    left, right = (store.add(root, files) for root in ("equal/m 1+%41", "equal/ü"))
    # Another model, whose keys begin with the same text.
    store.add("equal/üb", CHANGED)
    result = store.diff(tmp_path, left, right)
    assert (result.exit_code, result.status) == (0, "equal"), result
    comparison = result.report["comparison"]
    assert (comparison["compared"], comparison["same_location"]) == (len(files), False)
    for side in ("left", "right"):
        assert (comparison[side]["files"], comparison[side]["size"]) == (len(files), sum(map(len, files.values())))


def test_changed_missing_and_added_files_are_found_whatever_their_names(store: Store, tmp_path: Path) -> None:
    changed, missing, added = NAMES[0::3], NAMES[1::3], NAMES[2::3]
    left = store.add("names/left", FILES | dict.fromkeys(changed, b"1") | dict.fromkeys(missing, b"1"))
    right = store.add("names/right", FILES | dict.fromkeys(changed, b"2") | dict.fromkeys(added, b"1"))
    found = {path: difference["kind"] for path, difference in differences(store.diff(tmp_path, left, right)).items()}
    expected = (
        dict.fromkeys(changed, "content") | dict.fromkeys(missing, "only_left") | dict.fromkeys(added, "only_right")
    )
    assert found == expected


def file_that_ends_with(byte: bytes, file: Path, size: int) -> Path:
    """Write a file of zeros with another last byte."""
    with file.open("wb") as stream:
        stream.seek(size - 1)
        stream.write(byte)
    return file


def test_file_with_another_last_byte_differs_at_its_offset(store: Store, tmp_path: Path) -> None:
    # Files of more than 256 MiB are compared in windows.
    sizes = {"small.bin": 3 * MIB + 1, "large.bin": 257 * MIB}

    def add(side: str, last: bytes) -> str:
        files = {name: file_that_ends_with(last, tmp_path / f"{side}-{name}", size) for name, size in sizes.items()}
        return store.add(f"large/{side}", {**FILES, **files})

    found = differences(store.diff(tmp_path, add("left", b"\0"), add("right", b"!")))
    assert {path: difference["offset"] for path, difference in found.items()} == {
        name: size - 1 for name, size in sizes.items()
    }


# fake-gcs-server does not keep an object whose name ends with a slash.
@pytest.mark.parametrize("store", [S3, AZURE], indirect=True)
def test_empty_object_that_stands_for_a_directory_is_no_file(store: Store, tmp_path: Path) -> None:
    left, right = (store.add(f"markers/{side}", FILES) for side in ("left", "right"))
    for path in ("", "data/", "void/"):
        mark_directory(store.emulator, f"markers/right/{path}")
    result = store.diff(tmp_path, left, right)
    assert result.status == "equal", result
    assert result.report["comparison"]["compared"] == len(FILES)


# A page of S3 has 1,000 objects, and a page of Azure 5,000. fake-gcs-server sends all objects on one page.
@pytest.mark.parametrize(
    "store, count",
    [pytest.param("s3", 1_001, marks=S3.marks), pytest.param("azure", 5_001, marks=AZURE.marks)],
    indirect=["store"],
)
def test_model_with_more_objects_than_one_page_of_a_listing_is_complete(
    store: Store, tmp_path: Path, count: int
) -> None:
    many = {f"{number:05}": b"" for number in range(count)}
    left, right = store.add("pages/left", many), store.add("pages/right", {"00000": b""})
    comparison = store.diff(tmp_path, left, right).report["comparison"]
    assert (comparison["left"]["files"], comparison["right"]["files"]) == (count, 1)
    assert comparison["compared"] == count


def test_location_without_objects_is_an_error(store: Store, tmp_path: Path) -> None:
    right = store.add("present", FILES)
    missing = store.emulator.location("prese")
    store.diff(tmp_path, missing, right).require_error("ModelError", f"There are no files at {missing}")


def test_missing_bucket_is_an_error_that_names_it(store: Store, tmp_path: Path) -> None:
    right = store.add("present", FILES)
    missing = right.replace(BUCKET, "nothing", 1)
    store.diff(tmp_path, missing, right).require_error("NotFoundError", "nothing", "404")


def test_object_that_is_replaced_after_it_was_listed_is_an_error(store: Store, tmp_path: Path) -> None:
    left, right = store.add("replaced/left", FILES), store.add("replaced/right", FILES)

    def replace() -> None:
        store.add("replaced/right", {"model.pkl": FILES["model.pkl"] + b"!"})

    with forward(store.emulator.url, Trigger(rb"right(?:/|%2F)model.pkl", replace)) as url:
        result = store.diff(tmp_path, left, right, store.emulator.variables(url))
    result.require_error("TransferError", "model.pkl", "was listed with 256")


SECRET = "kN7wQx3vT9bLr5mZ"


def with_wrong_login(store: Store) -> dict[str, str]:
    """Return the variables of the store with another login, whose secret is SECRET."""
    variables = store.emulator.variables()
    if store.emulator.cloud == "s3":
        # s3rver rejects unknown keys, but does not verify signatures.
        return variables | {"AWS_ACCESS_KEY_ID": "AKIAUNKNOWN", "AWS_SECRET_ACCESS_KEY": SECRET}
    name = "AZURE_STORAGE_CONNECTION_STRING"
    # The key of an account is base64, which SECRET is too.
    return variables | {name: variables[name].replace(store.emulator.key, SECRET)}


def parts_of_the_secret(*texts: str) -> list[str]:
    """Return all parts of SECRET with six characters that are in the texts."""
    parts = [SECRET[start : start + 6] for start in range(len(SECRET) - 5)]
    return [part for part in parts if any(part in text for text in texts)]


# fake-gcs-server checks no login.
@pytest.mark.parametrize("store", [S3, AZURE], indirect=True)
def test_rejected_login_is_an_error_that_names_the_store_and_no_part_of_the_secret(
    store: Store, tmp_path: Path
) -> None:
    left, right = store.add("login/left", FILES), store.add("login/right", FILES)
    result = store.diff(tmp_path, left, right, with_wrong_login(store))
    address = store.emulator.url.removeprefix("http://")
    result.require_error("AccessError", f"The store {address}", BUCKET, "403")
    assert parts_of_the_secret(result.stdout, result.stderr, (tmp_path / "report.json").read_text()) == []


@dataclass(frozen=True)
class Registry:
    """A tracking server whose artifacts are in a store.

    Attributes:
        url: Its address.
        store: The store.
        artifact: Location of version 1 of the model `Wine`, which MLflow's client has uploaded. Version 2 is an equal
            copy in the same store, and version 3 a changed one.
    """

    url: str
    store: Store
    artifact: str

    @property
    def variables(self) -> dict[str, str]:
        """The variables that declare the server, with the login to its store."""
        return {"MLFLOW_TRACKING_URI": self.url, **self.store.emulator.variables()}


@pytest.fixture(scope="module")
def registry(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    directory = tmp_path_factory.mktemp("registry")
    tree: Tree = dict(FILES.items())
    make_tree(directory / "model", tree)
    copies = [store.add("copies/equal", FILES), store.add("copies/changed", CHANGED)]
    with unproxied_server(directory, store.emulator.location("mlflow")) as url:
        logged = subprocess.run(
            [sys.executable, str(SUPPORT / "log_directory.py"), str(directory / "model"), "Wine", *copies],
            env=environment(MLFLOW_TRACKING_URI=url, **store.emulator.variables()),
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        yield Registry(url, store, logged.stdout)


def test_version_in_a_store_that_the_server_does_not_proxy_equals_its_registry_model(
    registry: Registry, tmp_path: Path
) -> None:
    result = check(tmp_path, registry.url, "Wine", "1", environment=registry.variables)
    assert (result.exit_code, result.status) == (0, "equal"), result
    comparison = result.report["comparison"]
    assert comparison["same_location"] is True
    assert comparison["reg_model"]["uri"] == registry.artifact
    assert registry.artifact.startswith(registry.store.emulator.location("mlflow/"))


def test_version_that_mlflow_uploaded_to_a_store_equals_its_copy_and_differs_from_a_changed_one(
    registry: Registry, tmp_path: Path
) -> None:
    first, equal, changed = (version(registry.url, "Wine", str(number)) for number in (1, 2, 3))
    result = compare(tmp_path, first, equal, environment=registry.variables)
    assert (result.exit_code, result.status) == (0, "equal"), result
    comparison = result.report["run_model_comparison"]
    assert (comparison["same_location"], comparison["compared"]) == (False, len(FILES))
    result = compare(tmp_path, first, changed, environment=registry.variables)
    assert (result.exit_code, result.status) == (1, "different"), result
    (difference,) = result.report["run_model_comparison"]["differences"]
    assert (difference["path"], difference["offset"]) == ("model.pkl", len(FILES["model.pkl"]) - 1)


# fake-gcs-server checks no login.
@pytest.mark.parametrize("store", [S3, AZURE], indirect=True)
def test_summary_of_a_rejected_login_to_a_store_has_no_part_of_the_secret(registry: Registry, tmp_path: Path) -> None:
    config = {f"tracking_server_{side}": version(registry.url, "Wine", str(side)) for side in (1, 2)}
    inputs = {"command": "compare", "config": json.dumps(config), "verbose": "true"}
    variables = {name: str(tmp_path / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    variables |= {f"INPUT_{name.upper()}": value for name, value in inputs.items()}
    variables |= registry.variables | with_wrong_login(registry.store)
    completed = commandline.run("action", cwd=tmp_path, environment=variables)
    assert completed.returncode == 2, completed
    files = {file.name: file.read_text("utf-8") for file in tmp_path.iterdir()}
    # The summary has escaped characters, and marks where a line may break.
    summary = html.unescape(files["GITHUB_STEP_SUMMARY"].replace("<wbr>", ""))
    assert f"The store {registry.store.emulator.url.removeprefix('http://')}" in summary
    # The runner reads the masks and does not log them.
    log = [line for line in completed.stdout.splitlines() if not line.startswith("::add-mask::")]
    assert parts_of_the_secret(*log, completed.stderr, summary, *files.values()) == []

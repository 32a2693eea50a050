"""Paths that a compare file ignores: they do not decide, and are never passed over in silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from model_gate.comparison.model_pair import SelectedModel, SelectedPair
from model_gate.comparison.models import compare_models
from model_gate.comparison.progress import NoProgress
from model_gate.domain.ignore import checked_ignore
from model_gate.domain.location import Location
from model_gate.domain.model import Listing
from model_gate.domain.pairing import pair_files
from model_gate.domain.result import Comparison
from model_gate.errors import ConfigError, InputError
from model_gate.inputs.compare_file import parse_config
from model_gate.sources.model_source import DirectorySource
from model_gate.sources.storage import Storage
from tests.support.explained import diff, tell
from tests.support.logged_models import LoggedModels


@pytest.mark.parametrize(
    "pattern, paths, others",
    [
        ("README.md", ["README.md"], ["a/README.md", "README.mdx", "readme.md"]),
        ("*.md", ["a.md", ".md"], ["a/b.md", "a.mdx"]),
        ("**/*.md", ["a.md", "a/b.md", "a/b/c.md"], ["a.txt"]),
        ("notes/**", ["notes/a", "notes/a/b"], ["notes", "a/notes/b"]),
        ("notes/*", ["notes/a"], ["notes/a/b"]),
        ("a?c", ["abc"], ["a/c", "ac"]),
        ("part-[0-9]", ["part-1"], ["part-a", "part-10"]),
        ("part-[!0-9]", ["part-a"], ["part-1", "part-/"]),
        ("a+b (1).txt", ["a+b (1).txt"], ["aab (1).txt"]),
        ("größe", ["größe"], ["gro\u0308ße"]),
        ("a[", ["a["], ["a"]),
    ],
)
def test_globs_fit_whole_paths(pattern: str, paths: list[str], others: list[str]) -> None:
    ignore = checked_ignore([pattern])
    assert [path for path in (*paths, *others) if ignore.pattern_for(path)] == paths


@pytest.mark.parametrize("pattern", ["", "/a", "../a", "a/../b", "a/", "./a", "a//b"])
def test_what_is_no_path_in_the_model_is_refused(pattern: str) -> None:
    with pytest.raises(InputError, match="is not a path inside"):
        checked_ignore([pattern])


@pytest.mark.parametrize("pattern", ["MLmodel", "*", "**", "ML*", "**/MLmodel", "[A-Z]Lmodel"])
def test_mlmodel_cannot_be_ignored(pattern: str) -> None:
    with pytest.raises(InputError, match="would ignore MLmodel"):
        checked_ignore([pattern])


@pytest.mark.parametrize("ignore, text", [("'*'", "would ignore MLmodel"), ("7", "it is text")])
def test_the_line_of_a_pattern_that_cannot_be_is_told(ignore: str, text: str) -> None:
    side = "{host: 'http://localhost:1', model: m, version_or_stage: 1}"
    with pytest.raises(ConfigError) as raised:
        parse_config(
            f"tracking_server_1: {side}\ntracking_server_2: {side}\nignore: [{ignore}]\n".replace("[7]", "7"), "c"
        )
    assert raised.value.message.startswith("c, line 3, ignore")
    assert text in raised.value.message


BASE = {"MLmodel": "run_id: 1\n", "model.bin": "weights", "README.md": "read", "notes/a.txt": "a"}


def compare(directory: Path, changed: dict[str, str], ignore: list[str], native_model: str = "") -> Comparison:
    """Compare the base with a model that has these files too, or others in their place."""
    with Storage(None) as storage:
        sides = []
        for name, files in (("left", BASE), ("right", BASE | changed)):
            root = directory / name
            for path, content in files.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(content)
            artifacts = DirectorySource(root, Location(str(root), local_path=root), name, storage)
            sides.append(SelectedModel(artifacts, native_model))
        return compare_models([SelectedPair(sides[0], sides[1])], NoProgress(), checked_ignore(ignore))[0]


def test_what_is_not_ignored_decides(tmp_path: Path) -> None:
    found = compare(tmp_path, {"README.md": "written", "model.bin": "WEIGHTS"}, ["*.md"])
    assert (found.equals, found.equivalent) == (False, False)
    assert [each.path for each in found.differences] == ["model.bin"]
    assert [(each.path, each.equals) for each in found.ignored] == [("README.md", False)]


def test_what_is_ignored_does_not_make_the_rest_go_uncompared(tmp_path: Path) -> None:
    left, right = (Listing({"MLmodel": 1, "a.md": size, "model.bin": 9}) for size in (1, 2))
    pairing = pair_files(left, right)
    assert pairing.is_decided
    assert not pairing.ignoring(checked_ignore(["*.md"])).is_decided


def test_a_directory_in_place_of_an_ignored_file_does_not_decide(tmp_path: Path) -> None:
    left, right = Listing({"MLmodel": 1, "extra": 1}), Listing({"MLmodel": 1, "extra/a": 1})
    assert pair_files(left, right).is_decided
    assert not pair_files(left, right).ignoring(checked_ignore(["extra"])).is_decided


def test_ignoring_all_of_the_native_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is nothing to compare"):
        compare(tmp_path, {}, ["*.bin"], native_model="model.bin")


def test_beside_the_native_model_ignored_paths_are_listed_too(tmp_path: Path) -> None:
    found = compare(tmp_path, {"README.md": "written"}, ["*.md"], native_model="model.bin")
    assert found.rest is not None
    assert (found.equals, found.rest.equals, found.rest.differences) == (True, True, ())
    assert [each.path for each in found.ignored] == ["README.md"]


def register(client: MlflowClient, directory: Path, files: dict[str, str]) -> int:
    """Register these files as a version of the model `m`."""
    run = client.create_run(client.create_experiment(directory.name, artifact_location=str(directory)))
    for path, content in files.items():
        client.log_text(run.info.run_id, content, f"model/{path}")
    return int(client.create_model_version("m", f"{run.info.artifact_uri}/model", run.info.run_id).version)


@pytest.mark.xdist_group("logged_models")
def test_ignored_paths_are_listed_in_report_and_verdict_with_what_is_known_of_them(
    logged: LoggedModels, tmp_path: Path
) -> None:
    uri = logged.first.host
    client = MlflowClient(uri)
    client.create_registered_model("m")
    changed = {"README.md": "written", "notes/b.txt": "b"}
    config: dict[str, Any] = {"compare_reg_models": False, "ignore": ["*.md", "notes/**", "gone/**"]}
    for number, files in ((1, BASE), (2, BASE | changed)):
        version = register(client, tmp_path / f"model_{number}", files)
        config[f"tracking_server_{number}"] = {"host": uri, "model": "m", "version_or_stage": version}
    (tmp_path / "compare.yaml").write_text(json.dumps(config))

    told = tell(tmp_path, "compare", "--config-file", tmp_path / "compare.yaml")

    assert (told.exit_code, told.report["status"]) == (0, "equal"), told.text
    comparison = told.report["run_model_comparison"]
    assert comparison["ignored"] == {
        "patterns": ["*.md", "notes/**", "gone/**"],
        "count": 3,
        "differing": 2,
        "paths": [
            {"path": "README.md", "pattern": "*.md", "equals": False},
            {"path": "notes/a.txt", "pattern": "notes/**", "equals": True},
            {"path": "notes/b.txt", "pattern": "notes/**", "equals": False},
        ],
    }
    assert (comparison["compared"], comparison["differences"]) == (2, [])
    # The digests are of all files, so that nobody takes the two for the same.
    assert comparison["tracking_server_1"]["hash"] != comparison["tracking_server_2"]["hash"]
    assert "EQUAL (3 paths ignored, 2 known to differ)" in told.text
    for line in ("ignored: README.md (differs)", "ignored: notes/a.txt (the same)", "ignored: nothing by gone/**"):
        assert line in told.text


def test_without_patterns_nothing_is_said_of_ignored_paths(tmp_path: Path) -> None:
    for side in ("left", "right"):
        (tmp_path / side).mkdir()
        (tmp_path / side / "MLmodel").write_text("run_id: 1\n")
    told = diff(tmp_path, tmp_path / "left", tmp_path / "right")
    assert "ignored" not in told.comparison
    assert "ignored" not in told.text

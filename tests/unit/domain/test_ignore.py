"""Paths that a compare file ignores do not affect the verdict, and every output lists them."""

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
from tests.support.explained import diff, run_command
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
        ("**.log", ["a.log", "a/b.log"], ["a.txt"]),
        ("a\\b", ["a\\b"], ["ab"]),
    ],
)
def test_ignore_glob_must_match_a_whole_path(pattern: str, paths: list[str], others: list[str]) -> None:
    ignore = checked_ignore([pattern])
    assert [path for path in (*paths, *others) if ignore.pattern_for(path)] == paths


@pytest.mark.parametrize("pattern", ["", "/a", "../a", "a/../b", "a/", "./a", "a//b"])
def test_ignore_glob_for_paths_outside_the_model_is_rejected(pattern: str) -> None:
    with pytest.raises(InputError, match="is not a path inside"):
        checked_ignore([pattern])


@pytest.mark.parametrize("pattern", ["MLmodel", "*", "**", "ML*", "**/MLmodel", "[A-Z]Lmodel"])
def test_ignore_glob_that_matches_the_mlmodel_file_is_rejected(pattern: str) -> None:
    with pytest.raises(InputError, match="would ignore MLmodel"):
        checked_ignore([pattern])


@pytest.mark.parametrize("ignore, problem", [("'*'", "would ignore MLmodel"), ("7", "it is text")])
def test_error_for_an_invalid_ignore_key_names_the_line_of_the_key(ignore: str, problem: str) -> None:
    server = "{host: 'http://localhost:1', model: m, version_or_stage: 1}"
    with pytest.raises(ConfigError) as raised:
        parse_config(
            f"tracking_server_1: {server}\ntracking_server_2: {server}\nignore: [{ignore}]\n".replace("[7]", "7"),
            "c",
            {},
        )
    assert raised.value.message.startswith("c, line 3, ignore")
    assert problem in raised.value.message


def test_error_for_an_invalid_glob_in_a_list_names_the_line_of_the_glob() -> None:
    server = "{host: 'http://localhost:1', model: m, version_or_stage: 1}"
    text = f"tracking_server_1: {server}\ntracking_server_2: {server}\nignore:\n  - a.md\n  - b.md\n  - /b\n"
    with pytest.raises(ConfigError, match=r"^c, line 6, ignore: The pattern '/b'"):
        parse_config(text, "c", {})


@pytest.mark.parametrize("pattern", ["[z-a]", "[!]", "[]", "a[9-0]b", "notes/[!]x"])
def test_malformed_glob_is_an_error_of_the_user_that_names_its_line(pattern: str) -> None:
    with pytest.raises(InputError, match="is not a glob") as raised:
        checked_ignore([pattern])
    assert repr(pattern) in raised.value.message
    assert raised.value.remedy
    server = "{host: 'http://localhost:1', model: m, version_or_stage: 1}"
    text = f"tracking_server_1: {server}\ntracking_server_2: {server}\nignore:\n  - a.md\n  - '{pattern}'\n"
    with pytest.raises(ConfigError, match=r"^c, line 5, ignore: The pattern .* is not a glob"):
        parse_config(text, "c", {})


def test_gate_with_a_malformed_glob_ends_in_an_error_of_its_compare_file(tmp_path: Path) -> None:
    server = {"host": "http://127.0.0.1:1", "model": "m", "version_or_stage": 1}
    config = {"tracking_server_1": server, "tracking_server_2": server, "ignore": ["[z-a]"]}
    (tmp_path / "compare.yaml").write_text(json.dumps(config))
    result = run_command(tmp_path, "compare", "--config-file", tmp_path / "compare.yaml")
    assert (result.exit_code, result.report["error"]["type"]) == (2, "ConfigError"), result.text
    assert "is not a glob" in result.report["error"]["message"]


BASE = {"MLmodel": "run_id: 1\n", "model.bin": "weights", "README.md": "read", "notes/a.txt": "a"}


def compare(directory: Path, changed: dict[str, str], ignore: list[str], native_model: str = "") -> Comparison:
    """Return the comparison of the base model with a copy to which the files in `changed` are written."""
    with Storage(None) as storage:
        models = []
        for name, files in (("left", BASE), ("right", BASE | changed)):
            root = directory / name
            for path, content in files.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(content)
            artifacts = DirectorySource(root, Location(str(root), local_path=root), name, storage)
            models.append(SelectedModel(artifacts, native_model))
        return compare_models([SelectedPair(models[0], models[1])], NoProgress(), checked_ignore(ignore))[0]


def test_differing_file_that_matches_no_ignore_glob_makes_the_models_different(tmp_path: Path) -> None:
    comparison = compare(tmp_path, {"README.md": "written", "model.bin": "WEIGHTS"}, ["*.md"])
    assert (comparison.equals, comparison.equivalent) == (False, False)
    assert [difference.path for difference in comparison.differences] == ["model.bin"]
    assert [(ignored.path, ignored.equals) for ignored in comparison.ignored] == [("README.md", False)]


def test_only_globs_that_match_no_path_are_listed_as_unmatched(tmp_path: Path) -> None:
    comparison = compare(tmp_path, {"added.md": "new"}, ["*.md", "README*", "added.*", "gone/**"])
    assert {ignored.pattern for ignored in comparison.ignored} == {"*.md"}
    assert comparison.unmatched_ignore == ("gone/**",)


def test_ignored_files_are_not_counted_as_compared(tmp_path: Path) -> None:
    comparison = compare(tmp_path, {"README.md": "written"}, ["*.md"])
    assert (comparison.compared, comparison.compared_bytes) == (3, len("run_id: 1\n" + "weights" + "a"))


def compare_file_with_directory(directory: Path, file: str, file_below: str, ignore: list[str]) -> Comparison:
    """Return the comparison of a model with `file` and a model with `file_below`, a file in a directory of its name."""
    for name, path in (("left", file), ("right", file_below)):
        (directory / name / path).parent.mkdir(parents=True)
        (directory / name / path).write_text("x")
        (directory / name / "MLmodel").write_text("run_id: 1\n")
    with Storage(None) as storage:
        left, right = (
            SelectedModel(DirectorySource(root, Location(str(root), local_path=root), root.name, storage))
            for root in (directory / "left", directory / "right")
        )
        return compare_models([SelectedPair(left, right)], NoProgress(), checked_ignore(ignore))[0]


@pytest.mark.parametrize("ignore, compared", [(["log", "log/**"], 1), ([], 2)])
def test_ignored_path_with_two_types_is_not_counted_as_compared(
    tmp_path: Path, ignore: list[str], compared: int
) -> None:
    comparison = compare_file_with_directory(tmp_path, "log", "log/x", ignore)
    assert (comparison.compared, comparison.equals) == (compared, bool(ignore))


def test_ignored_difference_in_size_does_not_change_the_verdict(tmp_path: Path) -> None:
    left, right = (Listing({"MLmodel": 1, "a.md": size, "model.bin": 9}) for size in (1, 2))
    pairing = pair_files(left, right)
    assert pairing.is_proven_not_equivalent
    assert not pairing.ignoring(checked_ignore(["*.md"])).is_proven_not_equivalent


FILE = {"MLmodel": 1, "train.log": 1}
DIRECTORY = {"MLmodel": 1, "train.log/evil.py": 1}
NESTED = {"MLmodel": 1, "train.log/a.log": 1, "train.log/b/evil.py": 1}


@pytest.mark.parametrize(
    "file, directory, ignore",
    [
        (FILE, DIRECTORY, ["*.log"]),
        (FILE, DIRECTORY, ["train.log"]),
        (FILE, DIRECTORY, ["train.log/**"]),
        (FILE, DIRECTORY, ["**/*.log", "*.py"]),
        (FILE, NESTED, ["**/*.log"]),
        (FILE, NESTED, ["train.log", "train.log/*"]),
        ({"MLmodel": 1, "a/x.log": 1}, {"MLmodel": 1, "a/x.log/b/evil.py": 1}, ["**/*.log"]),
    ],
)
@pytest.mark.parametrize("is_reversed", [False, True])
def test_directory_replacing_an_ignored_file_is_a_difference_if_it_has_unignored_files(
    file: dict[str, int], directory: dict[str, int], ignore: list[str], is_reversed: bool
) -> None:
    left, right = (directory, file) if is_reversed else (file, directory)
    pairing = pair_files(Listing(left), Listing(right)).ignoring(checked_ignore(ignore))
    assert pairing.is_proven_not_equivalent
    assert [difference.ignored_by for difference in pairing.type_differences] == [""]


@pytest.mark.parametrize(
    "file, directory, ignore",
    [
        (FILE, DIRECTORY, ["train.log", "train.log/**"]),
        (FILE, DIRECTORY, ["**.log", "**/*.py"]),
        (FILE, DIRECTORY, ["train**"]),
        (FILE, NESTED, ["train.log**"]),
        (FILE, NESTED, ["**/*.log", "train.log/b/**"]),
    ],
)
@pytest.mark.parametrize("is_reversed", [False, True])
def test_directory_replacing_a_file_is_no_difference_if_all_files_are_ignored(
    file: dict[str, int], directory: dict[str, int], ignore: list[str], is_reversed: bool
) -> None:
    left, right = (directory, file) if is_reversed else (file, directory)
    pairing = pair_files(Listing(left), Listing(right))
    assert pairing.is_proven_not_equivalent
    assert not pairing.ignoring(checked_ignore(ignore)).is_proven_not_equivalent


@pytest.mark.parametrize("is_reversed", [False, True])
@pytest.mark.parametrize("ignore", [["*.log"], ["*.log", "data/x"], ["data/**"], ["data/**", "*.bin"]])
def test_directory_replacing_an_ignored_native_model_is_a_difference(ignore: list[str], is_reversed: bool) -> None:
    models = [(Listing({"MLmodel": 1, "model.log": 1}), "model.log"), (Listing({"MLmodel": 1, "data/y": 1}), "data")]
    (left, left_native), (right, right_native) = reversed(models) if is_reversed else models
    pairing = pair_files(left, right, left_native, right_native).ignoring(checked_ignore(ignore))
    assert [difference.ignored_by for difference in pairing.type_differences] == [""]
    assert pairing.decides


@pytest.mark.parametrize("ignore, decides", [(["*.log"], True), (["*.bin"], True), (["*.bin", "*.log"], False)])
def test_native_models_with_different_names_are_ignored_only_if_globs_match_both(
    ignore: list[str], decides: bool
) -> None:
    left, right = Listing({"MLmodel": 1, "model.log": 1}), Listing({"MLmodel": 1, "model.bin": 1})
    assert pair_files(left, right, "model.log", "model.bin").ignoring(checked_ignore(ignore)).decides is decides


def test_unignored_file_in_a_directory_replacing_an_ignored_file_is_a_difference(tmp_path: Path) -> None:
    comparison = compare_file_with_directory(tmp_path, "train.log", "train.log/evil.py", ["*.log"])
    assert not comparison.equals
    assert [difference.path for difference in comparison.differences] == ["train.log"]
    assert comparison.ignored == ()


def test_ignoring_the_whole_native_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is nothing to compare"):
        compare(tmp_path, {}, ["*.bin"], native_model="model.bin")


def test_ignored_paths_outside_the_native_model_are_listed_as_ignored(tmp_path: Path) -> None:
    comparison = compare(tmp_path, {"README.md": "written"}, ["*.md"], native_model="model.bin")
    assert comparison.rest is not None
    assert (comparison.equals, comparison.rest.equals, comparison.rest.differences) == (True, True, ())
    assert [ignored.path for ignored in comparison.ignored] == ["README.md"]


def register(client: MlflowClient, directory: Path, files: dict[str, str]) -> int:
    """Register these files as a version of the model `m`, and return its number."""
    run = client.create_run(client.create_experiment(directory.name, artifact_location=str(directory)))
    for path, content in files.items():
        client.log_text(run.info.run_id, content, f"model/{path}")
    return int(client.create_model_version("m", f"{run.info.artifact_uri}/model", run.info.run_id).version)


@pytest.mark.xdist_group("logged_models")
def test_report_and_terminal_list_ignored_paths_and_whether_they_differ(logged: LoggedModels, tmp_path: Path) -> None:
    uri = logged.first.host
    client = MlflowClient(uri)
    client.create_registered_model("m")
    changed = {"README.md": "written", "notes/b.txt": "b"}
    config: dict[str, Any] = {"compare_reg_models": False, "ignore": ["*.md", "notes/**", "gone/**"]}
    for number, files in ((1, BASE), (2, BASE | changed)):
        version = register(client, tmp_path / f"model_{number}", files)
        config[f"tracking_server_{number}"] = {"host": uri, "model": "m", "version_or_stage": version}
    (tmp_path / "compare.yaml").write_text(json.dumps(config))

    result = run_command(tmp_path, "compare", "--config-file", tmp_path / "compare.yaml")

    assert (result.exit_code, result.report["status"]) == (0, "equal"), result.text
    comparison = result.report["run_model_comparison"]
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
    # The digests cover all files, ignored ones included.
    assert comparison["tracking_server_1"]["hash"] != comparison["tracking_server_2"]["hash"]
    assert "\nEQUAL, except 3 ignored files (2 of them differ)\n" in result.text
    assert "run models: equal, except 3 ignored files (2 of them differ); 2 files, 17 bytes\n" in result.text
    for line in ("ignored: README.md (differs)", "ignored: notes/a.txt (the same)", "ignored: gone/** matches no file"):
        assert line in result.text


def test_output_does_not_mention_ignored_paths_if_there_are_no_globs(tmp_path: Path) -> None:
    for name in ("left", "right"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "MLmodel").write_text("run_id: 1\n")
    result = diff(tmp_path, tmp_path / "left", tmp_path / "right")
    assert "ignored" not in result.comparison
    assert "ignored" not in result.text

"""Properties that hold for random directory trees, compare files, secrets and names."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from model_gate import gate
from model_gate.access.redaction import Redactor
from model_gate.comparison.progress import NoProgress
from model_gate.domain.paths import sorted_paths
from model_gate.domain.request import DiffRequest, GateOptions
from model_gate.domain.result import Outcome
from model_gate.domain.roles import CommandName
from model_gate.errors import ConfigError, ModelError
from model_gate.inputs.compare_file import CompareConfig, parse_config, read_config
from model_gate.reporting.report import build_report
from model_gate.reporting.system import system_facts
from tests.support.commandline import run
from tests.support.oracle import truth_of
from tests.support.reports import Json, differences_of, read_report, require_valid

SOME = settings(deadline=None, max_examples=50, suppress_health_check=list(HealthCheck))
MANY = settings(SOME, max_examples=300)
FEW = settings(SOME, max_examples=8)

Tree = dict[bytes, bytes]
# There are few names and contents, so that two random trees often have some in common.
NAMES = st.sampled_from([b"MLmodel", b"a", b"A", b"a.b", b"b", b".git", b"tags", b"\xff", "é".encode(), b"-r", b"x\ny"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(b"/".join)
CONTENTS = st.one_of(
    st.sampled_from([b"", b"0", b"1", b"run_id: 1\n", b"run_id: 2\n", b"\0" * 8192, b"\0" * 8191 + b"1", b"[" * 200]),
    st.binary(max_size=40),
)


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    tree: Tree = {}
    for path, content in draw(st.dictionaries(PATHS, CONTENTS, max_size=8)).items():
        _put(tree, path, content)
    return tree


@st.composite
def edited(draw: st.DrawFn) -> tuple[Tree, Tree]:
    """Return a tree before and after random edits. The trees can be equal, if later edits undo earlier ones."""
    tree = draw(trees())
    after = dict(tree)
    for edit in draw(st.lists(st.sampled_from(EDITS), max_size=3)):
        edit(draw, after)
    return tree, after


def _put(tree: Tree, path: bytes, content: bytes) -> None:
    """Add a file to a tree, and remove the files and directories that are in the way."""
    for existing in list(tree):
        if path.startswith(existing + b"/") or existing.startswith(path + b"/"):
            del tree[existing]
    tree[path] = content


def _add(draw: st.DrawFn, tree: Tree) -> None:
    _put(tree, draw(PATHS), draw(CONTENTS))


def _remove(draw: st.DrawFn, tree: Tree) -> None:
    if tree:
        del tree[draw(st.sampled_from(sorted(tree)))]


def _change_a_byte(draw: st.DrawFn, tree: Tree) -> None:
    paths = sorted(path for path, content in tree.items() if content)
    if paths:
        path = draw(st.sampled_from(paths))
        content = bytearray(tree[path])
        content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
        tree[path] = bytes(content)


def _rename(draw: st.DrawFn, tree: Tree) -> None:
    if tree:
        _put(tree, draw(PATHS), tree.pop(draw(st.sampled_from(sorted(tree)))))


def _truncate(draw: st.DrawFn, tree: Tree) -> None:
    if tree:
        path = draw(st.sampled_from(sorted(tree)))
        tree[path] = tree[path][: draw(st.integers(0, len(tree[path])))]


def _file_to_directory(draw: st.DrawFn, tree: Tree) -> None:
    if tree:
        path = draw(st.sampled_from(sorted(tree)))
        tree[path + b"/" + draw(NAMES)] = tree.pop(path)


EDITS: list[Callable[[st.DrawFn, Tree], None]] = [
    _add,
    _remove,
    _change_a_byte,
    _rename,
    _truncate,
    _file_to_directory,
]


@contextmanager
def directories_of(*trees: Tree) -> Iterator[list[Path]]:
    """Create the trees as temporary directories. All files have the same modification time."""
    with tempfile.TemporaryDirectory() as scratch:
        roots = [Path(scratch) / str(index) for index in range(len(trees))]
        for root, tree in zip(roots, trees, strict=True):
            root.mkdir()
            for path, content in tree.items():
                _write(root / os.fsdecode(path), content)
        yield roots


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    os.utime(file, ns=(1, 1))


def diff_report(left: Path, right: Path, download_dir: Path | None = None) -> Json:
    """Run `diff` on two directories in this process, and return the report."""
    request = DiffRequest(str(left), str(right), options=GateOptions(download_dir=download_dir))
    report = build_report(CommandName.DIFF, gate.run(request, {}, NoProgress()), {}, Redactor(), system_facts())
    require_valid(report)
    return report


def require_correct(report: Json, left: Path, right: Path) -> None:
    """Assert that a report has the verdict and the differences that the oracle finds in the two directories."""
    truth = truth_of(left, right)
    assert report["status"] == truth.status, report
    if truth.status != "error":
        assert differences_of(report["comparison"]) == truth.differences


@given(trees(), trees())
@SOME
def test_verdict_of_two_random_directory_trees_is_correct(left: Tree, right: Tree) -> None:
    with directories_of(left, right) as (left_root, right_root):
        require_correct(diff_report(left_root, right_root), left_root, right_root)


@given(edited())
@SOME
def test_verdict_of_a_random_directory_tree_and_its_edited_copy_is_correct(pair: tuple[Tree, Tree]) -> None:
    before, after = pair
    with directories_of(before, after) as (left, right):
        report = diff_report(left, right)
        require_correct(report, left, right)
        assert (report["status"] == "equal") == (before == after and bool(before))


@given(edited())
@SOME
def test_option_download_directory_does_not_change_the_verdict(pair: tuple[Tree, Tree]) -> None:
    with directories_of(*pair) as (left, right):
        kept = left.parent / "kept"
        report = diff_report(left, right, kept)
        require_correct(report, left, right)
        # A directory that is a file in the other model is not copied.
        if report["status"] != "error" and all(
            entry["kind"] != "type" for entry in report["comparison"]["differences"]
        ):
            require_correct(report, kept / "left", kept / "right")


@given(trees(), st.data())
@SOME
def test_changed_file_with_unchanged_size_and_time_makes_the_models_different(tree: Tree, data: st.DataObject) -> None:
    tree = {path: content for path, content in tree.items() if content} or {b"a": b"1"}
    path = data.draw(st.sampled_from(sorted(tree)))
    with directories_of(tree, tree) as (left, right):
        assert diff_report(left, right)["status"] == "equal"
        file = right / os.fsdecode(path)
        before = file.stat()
        _write(file, bytes(byte ^ 1 for byte in tree[path]))
        assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
        differences = differences_of(diff_report(left, right)["comparison"])
        assert differences == {(path, "content", 0)}
        _write(file, tree[path])
        assert diff_report(left, right)["status"] == "equal"


@given(edited(), st.integers(0, 2**33))
@SOME
def test_file_times_permissions_and_empty_directories_do_not_change_the_verdict(
    pair: tuple[Tree, Tree], time: int
) -> None:
    with directories_of(*pair) as (left, right):
        before = diff_report(left, right)
        for file in right.rglob("*"):
            os.utime(file, (time, time))
            if file.is_file():
                file.chmod(0o640)
        (right / "an empty directory" / "in another").mkdir(parents=True)
        after = diff_report(left, right)
        assert after["status"] == before["status"]
        if "comparison" in before:
            assert after["comparison"]["differences"] == before["comparison"]["differences"]


@given(
    trees(),
    st.lists(
        st.tuples(
            PATHS, st.lists(st.sampled_from([b"..", b"a", b"b", b"A", b"tags", b"MLmodel"]), min_size=1, max_size=3)
        ),
        max_size=4,
    ),
)
@SOME
def test_verdict_of_directory_trees_with_links_is_correct(tree: Tree, links: list[tuple[bytes, list[bytes]]]) -> None:
    with directories_of(tree, tree) as (left, right):
        for path, target in links:
            link = left / os.fsdecode(path)
            try:
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(os.fsdecode(b"/".join(target)))
            except OSError:
                continue
        require_correct(diff_report(left, right), left, right)
        require_correct(diff_report(right, left), right, left)
        shutil.rmtree(right)
        shutil.copytree(left, right, symlinks=True)
        report = diff_report(left, right)
        require_correct(report, left, right)
        assert report["status"] in {"equal", "error"}


@given(st.binary(max_size=400))
@MANY
def test_random_bytes_as_compare_file_are_accepted_or_a_config_error(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "compare.yaml"
        file.write_bytes(content)
        _require_config_or_error(lambda: read_config(file, {}))


# Tokens of YAML and of compare files.
TOKENS = st.sampled_from(
    [
        *("tracking_server_1", "tracking_server_2", "tracking_server_01", "host", "model", "version_or_stage"),
        *("native_model", "compare_run_models", "require", "http://example.com", "Wine", "1", "010", "0x1F", "1_000"),
        *(": ", ":", "\n", "\n  ", "\n    ", "- ", "? ", "{", "}", "[", "]", ",", "|", ">", "'", '"', "#", "%", "@"),
        *("&a ", "*a", "!!str ", "!!binary ", "!!python/object:os.system ", "!x ", "<<", "~", "null", "yes", "---\n"),
        *(
            "...\n",
            "%YAML 1.1\n",
            "\t",
            "\0",
            "\ufeff",
            "\x85",
            "\u2028",
            "\\",
            "\\x41",
            "2001-01-01",
            ".inf",
            "=",
            " ",
        ),
    ]
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(TOKENS, max_size=30).map("".join))
@example("? [a]\n: b")
@example("&a {*a : b}")
@example("? {a: b}\n: c\n? {a: b}\n: d")
@example("!!python/object/apply:os.system [true]")
@example("tracking_server_1: &a {host: *a}\n")
@example("? tracking_server_1\n\n  tracking_server_1")
@MANY
def test_random_yaml_tokens_as_compare_file_are_accepted_or_a_config_error(text: str) -> None:
    _require_config_or_error(lambda: parse_config(text, "compare.yaml", {}))


@given(st.sampled_from(["host", "model", "version_or_stage", "native_model", "unknown"]), VALUES)
@MANY
def test_any_value_in_a_compare_file_is_accepted_or_a_config_error(key: str, value: object) -> None:
    server = {"host": "http://example.com", "model": "M", "version_or_stage": 1}
    config = {"tracking_server_1": {**server, key: value}, "tracking_server_2": server}
    # YAML includes JSON.
    _require_config_or_error(lambda: parse_config(json.dumps(config), "compare.yaml", {}))


def _require_config_or_error(read: Callable[[], CompareConfig]) -> None:
    error: ConfigError | None = None
    try:
        read()
    except ConfigError as caught:
        error = caught
    if error is not None:
        assert error.message.endswith("."), error.message
        assert "\n" not in error.message, error.message
        assert len(error.message) < 1_000, error.message
        assert error.remedy


@given(st.one_of(st.binary(max_size=200), st.lists(TOKENS, max_size=30).map(lambda tokens: "".join(tokens).encode())))
@FEW
def test_command_line_reports_a_config_error_for_random_compare_files(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "compare.yaml"
        file.write_bytes(content)
        process = run("compare", "--config-file", file, "--report-file", Path(scratch) / "report.json", "--verbose")
        report = read_report(Path(scratch) / "report.json", process.returncode)
        assert report["error"]["type"] == "ConfigError", report["error"]
        assert process.stderr.startswith("error: ")
        assert "Traceback" not in process.stdout + process.stderr


# The secrets do not contain `*`, because the mask consists of it.
SECRETS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="*"), min_size=8, max_size=24)


@given(SECRETS, st.text(max_size=10), st.text(max_size=10))
@example("pass/word#1?", "", "")
@example("quote'\"quote", "", "")
@example("ünïcödé pässwörd", "", "")
@MANY
def test_secret_is_masked_in_a_report(secret: str, before: str, after: str) -> None:
    assume(secret.strip() == secret and secret not in before + after)
    forms = [
        secret,
        quote(secret),
        quote(secret, safe=""),
        repr(secret)[1:-1],
        f"http://user:{quote(secret, safe='')}@h",
    ]
    error = ModelError(f"{before}{secret}{after}", " ".join(before + form + after for form in forms))
    options: Json = {"host": f"http://user:{secret}@example.com/x", "model": forms[1], "report_file": f"/{secret}/r"}
    report = build_report(CommandName.CHECK, Outcome(None, error=error), options, Redactor([secret]), system_facts())
    require_valid(report)
    # Other parts of the report hold fixed words, such as `identical`, that may equal a secret by chance.
    for text in _texts([report["options"], report["error"]["message"], report["error"]["remedy"]]):
        for form in forms:
            assert form not in text


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _texts(list(value.values()))
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=20))
@example("pa/ss@word:1")
@example("12/ab@cd#ef")
@example("'\"<>{}[]")
@FEW
def test_password_in_an_invalid_host_is_not_revealed(password: str) -> None:
    assume("*" not in password)
    host = f"https://user:{password}@mlflow.example.com:port"
    with tempfile.TemporaryDirectory() as scratch:
        report_file = Path(scratch) / "report.json"
        process = run("check", f"--host={host}", "--model=M", "--version-or-stage=1", f"--report-file={report_file}")
        report = read_report(report_file, process.returncode)
        assert report["status"] == "error"
        assert password not in process.stdout + process.stderr
        assert all(password not in text for text in _texts(report))


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "? " * 50_000, "&a [" * 9_999],
    # pytest hands the id to every process that the test starts.
    ids=["list", "mapping", "block list", "key", "anchor"],
)
def test_deeply_nested_compare_file_is_a_config_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "compare.yaml").write_text(text)
    process = run("compare", "--config-file", "compare.yaml", cwd=tmp_path, timeout=30)
    report = read_report(tmp_path / "model-gate-report.json", process.returncode)
    assert report["error"]["type"] == "ConfigError"


@given(st.lists(st.binary(max_size=6) | st.text("ab/~\x7f\u0080ÿ\uffff𐀀", max_size=6).map(os.fsencode)))
def test_paths_are_sorted_by_their_bytes(names: list[bytes]) -> None:
    paths = [os.fsdecode(name) for name in names]
    assert [os.fsencode(path) for path in sorted_paths(paths)] == sorted(names)


@given(st.lists(st.text("ab/~ ", max_size=6)))
def test_ascii_paths_are_sorted_by_their_bytes(paths: list[str]) -> None:
    assert sorted_paths(paths) == sorted(paths, key=os.fsencode)

"""What must hold whatever the trees, the edits, the config files and the secrets are."""

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
from model_gate.domain.request import Common, DiffRequest
from model_gate.domain.result import Outcome
from model_gate.errors import ConfigError, ModelError
from model_gate.inputs.compare_file import CompareConfig, parse_config, read_config
from model_gate.reporting.report import build_report
from tests.support.commandline import run
from tests.support.oracle import truth_of
from tests.support.reports import Json, differences_of, read_report, require_valid

SOME = settings(deadline=None, max_examples=50, suppress_health_check=list(HealthCheck))
MANY = settings(SOME, max_examples=300)
FEW = settings(SOME, max_examples=8)

Tree = dict[bytes, bytes]
# Few names and few contents, so that the same ones meet on both sides.
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
    """A tree, and the same after some edits, which may undo each other."""
    tree = draw(trees())
    after = dict(tree)
    for edit in draw(st.lists(st.sampled_from(EDITS), max_size=3)):
        edit(draw, after)
    return tree, after


def _put(tree: Tree, path: bytes, content: bytes) -> None:
    """Put a file into the tree; what is in its way is replaced."""
    for other in list(tree):
        if path.startswith(other + b"/") or other.startswith(path + b"/"):
            del tree[other]
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
def made(*trees: Tree) -> Iterator[list[Path]]:
    """The trees as directories, gone afterwards. All files have one time, as if they came out of one archive."""
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


def judged(left: Path, right: Path, download_dir: Path | None = None) -> Json:
    """The report of a diff in this process."""
    request = DiffRequest(str(left), str(right), None, None, Common(download_dir=download_dir))
    report = build_report("diff", gate.run(request, {}, NoProgress()), {}, Redactor())
    require_valid(report)
    return report


def require_true(report: Json, left: Path, right: Path) -> None:
    """Fail unless the report says what the oracle says."""
    truth = truth_of(left, right)
    assert report["status"] == truth.status, report
    if truth.status != "error":
        assert differences_of(report["comparison"]) == truth.differences


@given(trees(), trees())
@SOME
def test_any_two_trees_are_judged_as_they_are(left: Tree, right: Tree) -> None:
    with made(left, right) as (left_root, right_root):
        require_true(judged(left_root, right_root), left_root, right_root)


@given(edited())
@SOME
def test_an_edited_tree_is_judged_as_it_is(pair: tuple[Tree, Tree]) -> None:
    before, after = pair
    with made(before, after) as (left, right):
        report = judged(left, right)
        require_true(report, left, right)
        assert (report["status"] == "equal") == (before == after and bool(before))


@given(edited())
@SOME
def test_a_copy_that_is_kept_does_not_change_the_verdict(pair: tuple[Tree, Tree]) -> None:
    with made(*pair) as (left, right):
        kept = left.parent / "kept"
        report = judged(left, right, kept)
        require_true(report, left, right)
        # What is below a directory that is a file on the other side is not needed, and so not copied.
        if report["status"] != "error" and all(each["kind"] != "type" for each in report["comparison"]["differences"]):
            require_true(report, kept / "left", kept / "right")


@given(trees(), st.data())
@SOME
def test_a_file_rewritten_with_its_size_and_time_is_seen(tree: Tree, data: st.DataObject) -> None:
    tree = {path: content for path, content in tree.items() if content} or {b"a": b"1"}
    path = data.draw(st.sampled_from(sorted(tree)))
    with made(tree, tree) as (left, right):
        assert judged(left, right)["status"] == "equal"
        file = right / os.fsdecode(path)
        before = file.stat()
        _write(file, bytes(byte ^ 1 for byte in tree[path]))
        assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
        found = differences_of(judged(left, right)["comparison"])
        assert found == {(path, "content", 0)}
        _write(file, tree[path])
        assert judged(left, right)["status"] == "equal"


@given(edited(), st.integers(0, 2**33))
@SOME
def test_times_modes_and_empty_directories_do_not_count(pair: tuple[Tree, Tree], time: int) -> None:
    with made(*pair) as (left, right):
        before = judged(left, right)
        for file in right.rglob("*"):
            os.utime(file, (time, time))
            if file.is_file():
                file.chmod(0o640)
        (right / "an empty directory" / "in another").mkdir(parents=True)
        after = judged(left, right)
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
def test_trees_with_any_links_are_judged_as_they_are(tree: Tree, links: list[tuple[bytes, list[bytes]]]) -> None:
    with made(tree, tree) as (left, right):
        for path, target in links:
            link = left / os.fsdecode(path)
            try:
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(os.fsdecode(b"/".join(target)))
            except OSError:
                continue
        require_true(judged(left, right), left, right)
        require_true(judged(right, left), right, left)
        shutil.rmtree(right)
        shutil.copytree(left, right, symlinks=True)
        report = judged(left, right)
        require_true(report, left, right)
        assert report["status"] in {"equal", "error"}


@given(st.binary(max_size=400))
@MANY
def test_random_bytes_are_a_config_or_a_config_error(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "compare.yaml"
        file.write_bytes(content)
        _require_config_or_error(lambda: read_config(file, {}))


# What YAML is made of, and what a compare file is made of.
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
def test_near_yaml_is_a_config_or_a_config_error(text: str) -> None:
    _require_config_or_error(lambda: parse_config(text, "compare.yaml", {}))


@given(st.sampled_from(["host", "model", "version_or_stage", "native_model", "unknown"]), VALUES)
@MANY
def test_any_value_in_a_config_is_taken_or_a_config_error(key: str, value: object) -> None:
    server = {"host": "http://example.com", "model": "M", "version_or_stage": 1}
    config = {"tracking_server_1": {**server, key: value}, "tracking_server_2": server}
    # JSON is YAML.
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
def test_the_command_line_ends_with_a_sentence_for_any_config(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "compare.yaml"
        file.write_bytes(content)
        done = run("compare", "--config-file", file, "--report-file", Path(scratch) / "report.json", "--verbose")
        report = read_report(Path(scratch) / "report.json", done.returncode)
        assert report["error"]["type"] == "ConfigError", report["error"]
        assert done.stderr.startswith("error: ")
        assert "Traceback" not in done.stdout + done.stderr


# Long enough to be one, and without what the mask itself is made of.
SECRETS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="*"), min_size=8, max_size=24)


@given(SECRETS, st.text(max_size=10), st.text(max_size=10))
@example("pass/word#1?", "", "")
@example("quote'\"quote", "", "")
@example("ünïcödé pässwörd", "", "")
@MANY
def test_a_secret_never_survives_in_a_report(secret: str, before: str, after: str) -> None:
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
    report = build_report("check", Outcome(None, error=error), options, Redactor([secret]))
    require_valid(report)
    # Elsewhere are the report's own words, such as `identical`, which a secret may be too.
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
def test_a_host_that_cannot_be_understood_does_not_give_its_password_away(password: str) -> None:
    assume("*" not in password)
    host = f"https://user:{password}@mlflow.example.com:port"
    with tempfile.TemporaryDirectory() as scratch:
        report_file = Path(scratch) / "report.json"
        done = run("check", f"--host={host}", "--model=M", "--version-or-stage=1", f"--report-file={report_file}")
        report = read_report(report_file, done.returncode)
        assert report["status"] == "error"
        assert password not in done.stdout + done.stderr
        assert all(password not in text for text in _texts(report))


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "? " * 50_000, "&a [" * 9_999])
def test_endless_nesting_does_not_end_the_process(text: str, tmp_path: Path) -> None:
    (tmp_path / "compare.yaml").write_text(text)
    done = run("compare", "--config-file", "compare.yaml", cwd=tmp_path, timeout=30)
    report = read_report(tmp_path / "model-gate-report.json", done.returncode)
    assert report["error"]["type"] == "ConfigError"


@given(st.lists(st.binary(max_size=6) | st.text("ab/~\x7f\u0080ÿ\uffff𐀀", max_size=6).map(os.fsencode)))
def test_paths_are_in_the_order_of_their_bytes(names: list[bytes]) -> None:
    paths = [os.fsdecode(name) for name in names]
    assert [os.fsencode(path) for path in sorted_paths(paths)] == sorted(names)


@given(st.lists(st.text("ab/~ ", max_size=6)))
def test_so_are_those_in_ascii(paths: list[str]) -> None:
    assert sorted_paths(paths) == sorted(paths, key=os.fsencode)

"""Pairs of directory trees, grouped by the property that they test."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.zoo.tree import (
    EmptyDirectory,
    Entry,
    Fifo,
    FileWithMode,
    FileWithTime,
    HardLink,
    Link,
    Socket,
    Sparse,
    Tree,
    make_tree,
)


@dataclass(frozen=True)
class ExpectedDifference:
    """A difference that Model Gate must find. The offset is None unless the kind is `content`."""

    path: str | bytes
    kind: str
    offset: int | None = None


@dataclass(frozen=True)
class Pair:
    """Two trees and the correct result of their comparison.

    Attributes:
        name: Test id: the status and the property.
        left: The left tree; bytes for a file instead of a directory, None for a path that does not exist.
        right: The right tree, in the same form.
        status: The verdict `equal` or `different`, or `error`.
        differences: All differences, or None if the test takes them from the oracle.
        is_equivalent: Whether the trees differ only in what MLflow changes when it saves the same model again.
        is_unreadable: Whether the error occurs only in a process that cannot read every file. Root can read every file.
    """

    name: str
    left: Tree | bytes | None
    right: Tree | bytes | None
    status: str
    differences: tuple[ExpectedDifference, ...] | None = None
    is_equivalent: bool = False
    is_unreadable: bool = False

    def make(self, directory: Path) -> tuple[Path, Path]:
        """Create both trees in an empty directory, and return their paths."""
        left, right = directory / "left", directory / "right"
        for path, tree in ((left, self.left), (right, self.right)):
            if isinstance(tree, bytes):
                path.write_bytes(tree)
            elif tree is not None:
                make_tree(path, tree)
        return left, right


MLMODEL = (
    b"artifact_path: model\n"
    b"flavors:\n"
    b"  python_function:\n"
    b"    loader_module: mlflow.sklearn\n"
    b"    model_path: model.pkl\n"
    b"    python_version: 3.11.7\n"
    b"mlflow_version: 3.17.2\n"
    b"model_id: m-3f1c2a\n"
    b"run_id: 0a1b2c3d4e5f\n"
    b"utc_time_created: '2026-01-02 03:04:05.678901'\n"
)
PICKLE = bytes(range(256)) * 8
SKLEARN: Tree = {
    "MLmodel": MLMODEL,
    "conda.yaml": b"name: mlflow-env\ndependencies:\n- python=3.11.7\n- pip:\n  - scikit-learn==1.7.2\n",
    "model.pkl": PICKLE,
    "requirements.txt": b"mlflow==3.17.2\nscikit-learn==1.7.2\n",
}
SPARKML: Tree = {
    "MLmodel": MLMODEL.replace(b"mlflow.sklearn", b"mlflow.spark"),
    "sparkml/metadata/.part-00000.crc": b"crc\0\0\0\2\0",
    "sparkml/metadata/_SUCCESS": b"",
    "sparkml/metadata/._SUCCESS.crc": b"crc\0\0\0\0\0",
    "sparkml/metadata/part-00000": b'{"class":"org.apache.spark.ml.PipelineModel"}\n',
    "sparkml/stages/0_VectorAssembler_5a8d/metadata/part-00000": b'{"paramMap":{}}\n',
    "sparkml/stages/0_VectorAssembler_5a8d/metadata/_SUCCESS": b"",
    "sparkml/stages/1_DecisionTree_77c1/data/part-00000-1c4e.snappy.parquet": b"PAR1" + PICKLE + b"PAR1",
    "sparkml/stages/1_DecisionTree_77c1/data/.part-00000-1c4e.snappy.parquet.crc": b"crc\0" + PICKLE[:16],
    "sparkml/stages/1_DecisionTree_77c1/data/_SUCCESS": b"",
}
TENSORFLOW: Tree = {
    "MLmodel": MLMODEL.replace(b"mlflow.sklearn", b"mlflow.tensorflow"),
    "data/keras_module.txt": b"tensorflow.keras",
    "data/model/assets": EmptyDirectory(),
    "data/model/fingerprint.pb": b"\x08\xd5\x9f",
    "data/model/keras_metadata.pb": b"\x12\x05layer" * 40,
    "data/model/saved_model.pb": b"\x08\x01\x12" + PICKLE,
    "data/model/variables/variables.data-00000-of-00001": PICKLE * 40,
    "data/model/variables/variables.index": b"\0\0\2" * 30,
    "data/save_format.txt": b"tf",
}
# A path of 1,000 levels: short enough for Linux, too deep for recursive Python code.
DEEP = "d/" * 1_000
# A content that is larger than every chunk size of Model Gate.
MANY_CHUNKS = bytes(range(251)) * 12_800
YEAR_2020 = 1_577_836_800_000_000_000
# Names that filecmp.dircmp ignores by default.
IGNORED = ("RCS", "CVS", "tags", ".git", ".hg", ".bzr", "_darcs", "__pycache__")
NFC, NFD = (unicodedata.normalize(form, "modèle") for form in ("NFC", "NFD"))
ODD_NAMES: Tree = {
    "a name with spaces": b"1",
    " leading and trailing ": b"2",
    "two\nlines": b"3",
    "carriage\rreturn and\ttab": b"4",
    "back\\slash": b"5",
    "back\\nslash": b"6",
    "--report-file": b"7",
    "-r": b"8",
    "*?[a-z]": b"9",
    "$(true) `true` ;'\"": b"10",
    NFC: b"11",
    NFD: b"12",
    b"bytes \xff\xfe that are not UTF-8": b"13",
    b"\xc3": b"14",
    "\x1b[31mred\x1b[0m": b"15",
    "right-to-left \u202e": b"16",
    "::error::a workflow command": b"17",
    "name.": b"18",
    "...": b"19",
}


def pairs() -> Iterator[Pair]:
    """Yield all pairs. Their names are distinct."""
    yield from _equal()
    yield from _equal_with_links()
    yield from _different_contents()
    yield from _different_texts()
    yield from _different_names()
    yield from _different_types()
    yield from _different_with_links()
    yield from _not_models()
    yield from _bad_links()
    yield from _unreadable()


def _with(tree: Tree, changes: Tree) -> Tree:
    return {**tree, **changes}


def _without(tree: Tree, path: str) -> Tree:
    return {name: entry for name, entry in tree.items() if name != path}


def _many(number: int) -> Tree:
    return {f"shards/{index % 20:02}/part-{index:05}": f"{index}\n".encode() for index in range(number)}


def _equal() -> Iterator[Pair]:
    for name, tree in (("sklearn", SKLEARN), ("sparkml", SPARKML), ("tensorflow", TENSORFLOW)):
        yield Pair(f"equal-{name}", tree, tree, "equal", ())
    yield Pair("equal-odd-names", _with(SKLEARN, ODD_NAMES), _with(SKLEARN, ODD_NAMES), "equal", ())
    yield Pair("equal-no-MLmodel", {"model.pkl": PICKLE}, {"model.pkl": PICKLE}, "equal", ())
    yield Pair("equal-only-zero-byte-files", {"a": b"", "b/c": b""}, {"a": b"", "b/c": b""}, "equal", ())
    yield Pair("equal-many-chunks", {"big": MANY_CHUNKS}, {"big": MANY_CHUNKS}, "equal", ())
    yield Pair("equal-many-files", _many(600), _many(600), "equal", ())
    yield Pair("equal-1000-levels", {DEEP + "f": b"1"}, {DEEP + "f": b"1"}, "equal", ())
    yield Pair(
        "equal-sparse",
        {"f": Sparse(1 << 23, {99: b"1"})},
        {"f": b"\0" * 99 + b"1" + b"\0" * ((1 << 23) - 100)},
        "equal",
        (),
    )
    yield Pair("equal-hard-links", {"a": PICKLE, "b": HardLink("a")}, {"a": PICKLE, "b": PICKLE}, "equal", ())
    yield Pair(
        "equal-except-modes", {"f": FileWithMode(PICKLE, 0o755)}, {"f": FileWithMode(PICKLE, 0o440)}, "equal", ()
    )
    yield Pair(
        "equal-except-times", {"f": FileWithTime(PICKLE, YEAR_2020)}, {"f": FileWithTime(PICKLE, 1)}, "equal", ()
    )
    yield Pair(
        "equal-except-empty-directories",
        _with(SKLEARN, {"e/e": EmptyDirectory(), "x": EmptyDirectory()}),
        SKLEARN,
        "equal",
        (),
    )
    ignored: Tree = {f"{name}/{name}": b"1" for name in IGNORED}
    yield Pair("equal-names-dircmp-ignores", ignored, ignored, "equal", ())


def _equal_with_links() -> Iterator[Pair]:
    copies: Tree = {"model.pkl": PICKLE, "data/a": b"1", "data/b/c": b"2"}
    yield Pair("equal-link-to-file", _with(copies, {"l": Link("model.pkl")}), _with(copies, {"l": PICKLE}), "equal", ())
    yield Pair(
        "equal-absolute-link", _with(copies, {"l": Link("@/model.pkl")}), _with(copies, {"l": PICKLE}), "equal", ()
    )
    yield Pair(
        "equal-link-to-directory",
        _with(copies, {"l": Link("data")}),
        _with(copies, {"l/a": b"1", "l/b/c": b"2"}),
        "equal",
        (),
    )
    yield Pair(
        "equal-link-upwards",
        _with(copies, {"data/b/l": Link("../../model.pkl")}),
        _with(copies, {"data/b/l": PICKLE}),
        "equal",
        (),
    )
    chain: Tree = {"l1": Link("l2"), "l2": Link("data/l3"), "data/l3": Link("b/c")}
    yield Pair("equal-chain-of-links", _with(copies, chain), _with(copies, dict.fromkeys(chain, b"2")), "equal", ())
    linked_twice: Tree = {"l1": Link("data"), "l2": Link("data/b")}
    yield Pair(
        "equal-directory-linked-twice",
        _with(copies, linked_twice),
        _with(copies, {"l1/a": b"1", "l1/b/c": b"2", "l2/c": b"2"}),
        "equal",
        (),
    )
    nested: Tree = {"x/l": Link("../y"), "y/l": Link("../data/b"), "y/f": b"3"}
    flat: Tree = {"x/l/f": b"3", "x/l/l/c": b"2", "y/l/c": b"2", "y/f": b"3"}
    yield Pair("equal-links-in-linked-directories", _with(copies, nested), _with(copies, flat), "equal", ())


def _different_contents() -> Iterator[Pair]:
    def content(name: str, left: Entry, right: Entry, offset: int) -> Pair:
        path = "data/model/f.bin"
        return Pair(
            f"different-{name}",
            {path: left, "g": b"1"},
            {path: right, "g": b"1"},
            "different",
            (ExpectedDifference(path, "content", offset),),
        )

    yield content("first-byte", b"A" + PICKLE, b"B" + PICKLE, 0)
    yield content("one-byte", PICKLE, PICKLE[:1_000] + b"?" + PICKLE[1_001:], 1_000)
    yield content("same-size-and-time", FileWithTime(b"weights 1", YEAR_2020), FileWithTime(b"weights 2", YEAR_2020), 8)
    yield content("last-byte-of-many-chunks", MANY_CHUNKS + b"\0", MANY_CHUNKS + b"\1", len(MANY_CHUNKS))
    for size in (8 * 1024, 1024 * 1024):
        zeros = b"\0" * size
        yield content(f"first-byte-of-chunk-{size}", zeros + b"a" + zeros, zeros + b"b" + zeros, size)
        yield content(f"last-byte-of-chunk-{size}", zeros[1:] + b"a" + zeros, zeros[1:] + b"b" + zeros, size - 1)
        yield content(f"prefix-of-chunk-{size}", zeros, zeros + b"\0", size)
    yield content("prefix", PICKLE[:777], PICKLE, 777)
    yield content("empty-file", b"", PICKLE, 0)
    yield content("sparse", Sparse(1 << 23), Sparse(1 << 23, {(1 << 23) - 1: b"1"}), (1 << 23) - 1)
    yield Pair(
        "different-1000-levels-down",
        {DEEP + "f": b"1"},
        {DEEP + "f": b"2"},
        "different",
        (ExpectedDifference(DEEP + "f", "content", 0),),
    )
    deep = "sparkml/stages/1_DecisionTree_77c1/data/_SUCCESS"
    yield Pair(
        "different-deep-in-sparkml",
        SPARKML,
        _with(SPARKML, {deep: b"\n"}),
        "different",
        (ExpectedDifference(deep, "content", 0),),
    )
    crc = "sparkml/metadata/.part-00000.crc"
    yield Pair(
        "different-hidden-crc",
        SPARKML,
        _with(SPARKML, {crc: b"crc\0\0\0\2\1"}),
        "different",
        (ExpectedDifference(crc, "content", 7),),
    )
    left: Tree = {**{f"{name}/f": b"2" for name in IGNORED}, **{f"code/{name}": b"12" for name in IGNORED}}
    right: Tree = {**{f"{name}/f": b"3" for name in IGNORED}, **{f"code/{name}": b"13" for name in IGNORED}}
    yield Pair(
        "different-below-names-dircmp-ignores",
        _with(SKLEARN, left),
        _with(SKLEARN, right),
        "different",
        tuple(ExpectedDifference(f"{name}/f", "content", 0) for name in IGNORED)
        + tuple(ExpectedDifference(f"code/{name}", "content", 1) for name in IGNORED),
    )
    yield Pair(
        "different-swapped-names",
        {"a": b"x1", "b": b"x2"},
        {"a": b"x2", "b": b"x1"},
        "different",
        (ExpectedDifference("a", "content", 1), ExpectedDifference("b", "content", 1)),
    )
    yield Pair(
        "different-bytes-moved-to-the-next-file",
        {"a": b"xy", "b": b""},
        {"a": b"x", "b": b"y"},
        "different",
        (ExpectedDifference("a", "content", 1), ExpectedDifference("b", "content", 0)),
    )
    yield Pair(
        "different-one-of-many",
        _many(600),
        _with(_many(600), {"shards/19/part-00599": b"598\n"}),
        "different",
        (ExpectedDifference("shards/19/part-00599", "content", 2),),
    )


def _different_texts() -> Iterator[Pair]:
    def mlmodel(name: str, left: bytes, right: bytes, *, is_equivalent: bool = False) -> Pair:
        return Pair(
            f"different-{name}",
            _with(SKLEARN, {"MLmodel": left}),
            _with(SKLEARN, {"MLmodel": right}),
            "different",
            is_equivalent=is_equivalent,
        )

    yield mlmodel("run-id", MLMODEL, MLMODEL.replace(b"0a1b2c3d4e5f", b"ffffffffffff"), is_equivalent=True)
    yield mlmodel("loader-module", MLMODEL, MLMODEL.replace(b"mlflow.sklearn", b"mlflow.xgboost"))
    yield mlmodel("run-id-of-a-flavor", MLMODEL + b"custom:\n  run_id: a\n", MLMODEL + b"custom:\n  run_id: b\n")
    bomb = b"a: &a [x, x, x, x, x, x, x, x, x]\n" + b"".join(
        b"%c: &%c [%s]\n" % (letter, letter, b", ".join([b"*%c" % (letter - 1)] * 9))
        for letter in range(ord("b"), ord("k"))
    )
    yield mlmodel("alias-bomb", bomb, bomb + b"run_id: 1\n")
    yield mlmodel("bomb-as-a-key", bomb + b"? *j\n: 1\n", bomb + b"? *j\n: 2\n")
    yield mlmodel("endless-nesting", b"[" * 100_000, b"[" * 100_001)
    yield mlmodel("anchor-in-itself", b"&a {*a : 1, run_id: 1}", b"&a {*a : 1, run_id: 2}")
    yield mlmodel("MLmodel-not-utf8", MLMODEL + b"\xff", MLMODEL + b"\xfe")
    yield mlmodel("MLmodel-empty", MLMODEL, b"")
    text = SKLEARN["requirements.txt"]
    if not isinstance(text, bytes):
        raise TypeError(text)
    for name, other, offset in (
        ("line-ends", text.replace(b"\n", b"\r\n"), 14),
        ("no-last-line-end", text[:-1], len(text) - 1),
        ("byte-order-mark", b"\xef\xbb\xbf" + text, 0),
    ):
        yield Pair(
            f"different-{name}",
            SKLEARN,
            _with(SKLEARN, {"requirements.txt": other}),
            "different",
            (ExpectedDifference("requirements.txt", "content", offset),),
        )
    meta = "registered_model_meta"
    yield Pair(
        "different-registered-model-meta",
        _with(SKLEARN, {meta: b"model_name: M\n"}),
        SKLEARN,
        "different",
        (ExpectedDifference(meta, "only_left"),),
        is_equivalent=True,
    )
    yield Pair(
        "different-registered-model-meta-below",
        _with(SKLEARN, {f"code/{meta}": b"1"}),
        SKLEARN,
        "different",
        (ExpectedDifference(f"code/{meta}", "only_left"),),
    )


def _different_names() -> Iterator[Pair]:
    def renamed(name: str, left: str | bytes, right: str | bytes) -> Pair:
        differences = (ExpectedDifference(left, "only_left"), ExpectedDifference(right, "only_right"))
        return Pair(
            f"different-{name}", _with(SKLEARN, {left: b"1"}), _with(SKLEARN, {right: b"1"}), "different", differences
        )

    yield renamed("case-of-a-name", "data/Model.bin", "data/model.bin")
    yield renamed("unicode-normal-form", f"data/{NFC}", f"data/{NFD}")
    yield renamed("bytes-of-a-name", b"data/\xff", b"data/\xfe")
    yield renamed("newline-in-a-name", "data/a\nb", "data/a b")
    yield renamed("escape-in-a-name", "data/a\\nb", "data/a\nb")
    yield renamed("blank-at-the-end-of-a-name", "data/a", "data/a ")
    yield renamed("name-is-a-prefix", "data/part-1", "data/part-10")
    yield renamed("moved-to-another-directory", "data/1/f", "data/2/f")
    yield Pair(
        "different-missing-file",
        SKLEARN,
        _without(SKLEARN, "conda.yaml"),
        "different",
        (ExpectedDifference("conda.yaml", "only_left"),),
    )
    success = "sparkml/stages/1_DecisionTree_77c1/data/_SUCCESS"
    yield Pair(
        "different-missing-zero-byte-file",
        _without(SPARKML, success),
        SPARKML,
        "different",
        (ExpectedDifference(success, "only_right"),),
    )
    yield Pair(
        "different-nothing-in-common",
        {"a": b"1"},
        {"b": b"1"},
        "different",
        (ExpectedDifference("a", "only_left"), ExpectedDifference("b", "only_right")),
    )
    yield Pair("different-more-than-report-limit", _with(_many(1_050), {"f": b"1"}), {"f": b"1"}, "different")


def _different_types() -> Iterator[Pair]:
    yield Pair(
        "different-file-against-directory",
        {"f": b"1", "m": b"file"},
        {"f": b"1", "m/a": b"1", "m/b/c": b"2"},
        "different",
        (ExpectedDifference("m", "type"),),
    )
    yield Pair(
        "different-deep-directory-against-file",
        {"x/y/z/f": b"1", "g": b"1"},
        {"x/y": b"1", "g": b"1"},
        "different",
        (ExpectedDifference("x/y", "type"),),
    )
    yield Pair(
        "different-file-against-empty-directory",
        {"f": b"1", "m": b"2"},
        {"f": b"1", "m": EmptyDirectory()},
        "different",
        (ExpectedDifference("m", "only_left"),),
    )
    yield Pair(
        "different-file-beside-a-directory-of-nearly-its-name",
        {"m": b"1", "m-2/f": b"1", "m.d/f": b"2"},
        {"m/f": b"1", "m-2/f": b"1", "m.d/f": b"2"},
        "different",
        (ExpectedDifference("m", "type"),),
    )


def _different_with_links() -> Iterator[Pair]:
    files: Tree = {"a": b"1", "b": b"2", "d1/f": b"1", "d2/f": b"2"}
    yield Pair(
        "different-link-to-another-file",
        _with(files, {"l": Link("a")}),
        _with(files, {"l": Link("b")}),
        "different",
        (ExpectedDifference("l", "content", 0),),
    )
    yield Pair(
        "different-link-to-another-directory",
        _with(files, {"l": Link("d1")}),
        _with(files, {"l": Link("d2")}),
        "different",
        (ExpectedDifference("l/f", "content", 0),),
    )
    yield Pair(
        "different-link-to-file-against-link-to-directory",
        _with(files, {"l": Link("a")}),
        _with(files, {"l": Link("d1")}),
        "different",
        (ExpectedDifference("l", "type"),),
    )
    yield Pair(
        "different-link-against-its-own-text",
        _with(files, {"l": Link("d1/f")}),
        _with(files, {"l": b"d1/f"}),
        "different",
        (ExpectedDifference("l", "content", 0),),
    )


def _not_models() -> Iterator[Pair]:
    empty: Tree = {"e": EmptyDirectory(), "e2/e": EmptyDirectory()}
    yield Pair("error-both-empty", {}, {}, "error")
    yield Pair("error-one-empty", {}, SKLEARN, "error")
    yield Pair("error-only-empty-directories", empty, empty, "error")
    yield Pair("error-one-missing", None, SKLEARN, "error")
    yield Pair("error-both-missing", None, None, "error")
    yield Pair("error-one-is-a-file", b"1", SKLEARN, "error")
    yield Pair("error-both-are-files", b"1", b"1", "error")
    yield Pair("error-fifo", _with(SKLEARN, {"data/f": Fifo()}), SKLEARN, "error")
    yield Pair("error-same-fifo", _with(SKLEARN, {"data/f": Fifo()}), _with(SKLEARN, {"data/f": Fifo()}), "error")
    yield Pair("error-socket", _with(SKLEARN, {"data/s": Socket()}), SKLEARN, "error")
    yield Pair("error-same-socket", _with(SKLEARN, {"data/s": Socket()}), _with(SKLEARN, {"data/s": Socket()}), "error")
    yield Pair("error-path-longer-than-can-be-opened", {DEEP * 3 + "f": b"1"}, {DEEP * 3 + "f": b"1"}, "error")


def _bad_links() -> Iterator[Pair]:
    def links(name: str, bad: Tree) -> Iterator[Pair]:
        yield Pair(f"error-{name}", _with(SKLEARN, bad), SKLEARN, "error")
        yield Pair(f"error-same-{name}", _with(SKLEARN, bad), _with(SKLEARN, bad), "error")

    yield from links("dangling-link", {"data/l": Link("nothing")})
    yield from links("link-to-itself", {"l": Link("l")})
    yield from links("links-to-each-other", {"a/l": Link("../b/l"), "b/l": Link("../a/l")})
    yield from links("link-to-the-model", {"data/l": Link("..")})
    yield from links("link-to-its-directory", {"data/sub/l": Link(".")})
    yield from links(
        "directories-linked-to-each-other", {"a/f": b"1", "a/l": Link("../b"), "b/f": b"2", "b/l": Link("../a")}
    )
    yield from links("link-to-a-directory-above-it", {"a/b/c/l": Link("../../../a/b")})
    yield from links("link-that-leaves", {"l": Link("/etc/passwd")})
    yield from links("directory-link-that-leaves", {"l": Link("/usr/share")})
    yield from links("link-to-a-device", {"l": Link("/dev/null")})
    yield Pair(
        "error-link-into-the-other-model",
        _with(SKLEARN, {"l": Link("../right/model.pkl")}),
        _with(SKLEARN, {"l": PICKLE}),
        "error",
    )
    yield Pair(
        "error-link-through-a-directory-of-nearly-its-name",
        {"f": b"1", "l": Link("../left-2/f")},
        {"f": b"1", "l": b"1"},
        "error",
    )


def _unreadable() -> Iterator[Pair]:
    sealed: Tree = _with(SKLEARN, {"data/f": FileWithMode(b"1", 0)})
    yield Pair("error-unreadable-file", sealed, _with(SKLEARN, {"data/f": b"1"}), "error", is_unreadable=True)
    yield Pair("error-both-unreadable", sealed, sealed, "error", is_unreadable=True)
    yield Pair("error-unreadable-file-only-in-left", sealed, SKLEARN, "error", is_unreadable=True)
    yield Pair(
        "error-unreadable-directory",
        _with(SKLEARN, {"data/d": EmptyDirectory(0)}),
        SKLEARN,
        "error",
        is_unreadable=True,
    )

"""A seal of a directory: what is hashed, and what counts as a difference."""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import psutil
import pytest

from model_gate.comparison.file_comparison import FileComparison
from model_gate.comparison.model_pair import SelectedModel
from model_gate.comparison.progress import NoProgress
from model_gate.comparison.small_files.comparer import process_count
from model_gate.domain.ignore import checked_ignore
from model_gate.domain.location import Location
from model_gate.domain.result import Comparison
from model_gate.domain.seal import Seal, SealedVersion, SealFacts, make_seal, parse_seal
from model_gate.domain.windows import Windows
from model_gate.errors import InternalError, ModelError, TransferError
from model_gate.explanation import Explainer
from model_gate.formats.model_signing import Resource, statement_bytes
from model_gate.sealing.digest_process import PROGRAM
from model_gate.sealing.hashing import hash_files
from model_gate.sealing.seals import SealedPair, seal_model, verify_model
from model_gate.sources.model_source import DirectorySource
from model_gate.sources.storage import Storage
from tests.support.explained import safetensors, zipped
from tests.support.seals import FILES, root_of, seal_of

TIME = "2026-01-31T18:00:00+00:00"
FACTS = SealFacts("0", TIME, "m", registered_model="Wine", aliases=("a", "b"))


@pytest.fixture
def storage() -> Iterator[Storage]:
    with Storage(None) as storage:
        yield storage


def write(root: Path, files: dict[str, bytes]) -> Path:
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return root


def source_of(root: Path, storage: Storage) -> DirectorySource:
    return DirectorySource(root, Location(str(root), local_path=root), "model", storage)


def model_of(root: Path, storage: Storage, native_model: str = "", *, mlmodel: bool = False) -> SelectedModel:
    return SelectedModel(source_of(root, storage), native_model, mlmodel)


def verified(model: SelectedModel, seal: Seal, *, is_seal_left: bool = True, ignore: str = "") -> Comparison:
    sealed = SealedVersion(seal, model.native_model)
    patterns = checked_ignore([ignore] if ignore else [])
    return verify_model(SealedPair(sealed, model, is_seal_left), NoProgress(), patterns)


def found(comparison: Comparison) -> list[tuple[str, str, int | None, int | None]]:
    return [(each.path, str(each.kind), each.left_size, each.right_size) for each in comparison.differences]


def test_seal_has_digest_and_size_of_every_file(tmp_path: Path, storage: Storage) -> None:
    # The top-level names that model_signing leaves out are sealed too.
    files = {**FILES, ".gitattributes": b"*", ".git/config": b"", "sub/a/b": b"x" * 2_000_000}
    seal = seal_model(model_of(write(tmp_path, files), storage), Path("s"), "wine", FACTS, NoProgress())
    assert seal.files == {
        path: Resource(hashlib.sha256(content).hexdigest(), len(content)) for path, content in files.items()
    }
    assert parse_seal(statement_bytes(seal.statement), "s") == seal


def test_seal_says_whether_model_has_symbolic_links(tmp_path: Path, storage: Storage) -> None:
    model = model_of(write(tmp_path, FILES), storage)
    assert not seal_model(model, Path("s"), "wine", FACTS, NoProgress()).statement.allow_symlinks
    (tmp_path / "link").symlink_to("MLmodel")
    seal = seal_model(model_of(tmp_path, storage), Path("s"), "wine", FACTS, NoProgress())
    assert seal.statement.allow_symlinks
    assert seal.files["link"] == seal.files["MLmodel"]


@pytest.mark.parametrize("is_seal_left", [True, False])
def test_each_kind_of_difference_is_found(tmp_path: Path, storage: Storage, is_seal_left: bool) -> None:
    seal = seal_of({**FILES, "longer": b"12", "gone": b"123", "changed": b"1234"})
    model = model_of(write(tmp_path, {**FILES, "longer": b"1", "changed": b"123x", "new": b""}), storage)
    comparison = verified(model, seal, is_seal_left=is_seal_left)
    expected = [
        ("changed", "content", 4, 4),
        ("gone", "only_left", 3, None),
        ("longer", "content", 2, 1),
        ("new", "only_right", None, 0),
    ]
    if not is_seal_left:
        kinds = {"only_left": "only_right", "only_right": "only_left", "content": "content"}
        expected = [(path, kinds[kind], right, left) for path, kind, left, right in expected]
    assert found(comparison) == expected
    assert (comparison.equals, comparison.equivalent, comparison.is_by_digest) == (False, False, True)


@pytest.mark.parametrize("is_seal_left", [True, False])
def test_same_files_are_equal_to_their_seal(tmp_path: Path, storage: Storage, is_seal_left: bool) -> None:
    comparison = verified(model_of(write(tmp_path, FILES), storage), seal_of(FILES), is_seal_left=is_seal_left)
    assert (comparison.equals, comparison.compared, comparison.not_compared) == (True, 2, ())
    assert comparison.left.digest == comparison.right.digest is not None


@pytest.mark.parametrize("content", [b"model_name: Wine\n", b"exec: evil\n"], ids=["of-mlflow", "other"])
def test_file_that_mlflow_may_have_added_is_not_equivalent_to_a_seal(
    tmp_path: Path, storage: Storage, content: bytes
) -> None:
    model = model_of(write(tmp_path, {**FILES, "registered_model_meta": content}), storage)
    comparison = verified(model, seal_of(FILES))
    assert (comparison.equals, comparison.equivalent) == (False, False)


def test_seal_without_sizes_is_verified_by_its_digests(tmp_path: Path, storage: Storage) -> None:
    resources = {path: resource._replace(size=None) for path, resource in seal_of(FILES).files.items()}
    seal = make_seal("s", "wine", {**resources, "gone": Resource("00" * 32)}, FACTS)
    comparison = verified(model_of(write(tmp_path, {**FILES, "model.pkl": b"longer"}), storage), seal)
    assert found(comparison) == [("gone", "only_left", None, None), ("model.pkl", "content", None, 6)]
    assert comparison.left.size is None


def test_ignored_path_of_seal_is_not_ignored_by_verification(tmp_path: Path, storage: Storage) -> None:
    text = statement_bytes(seal_of(FILES, "").statement).decode()
    # A statement of another program has no checksum.
    start, end = text.index(',\n      "annotations"'), text.index('\n    }\n  ],\n  "predicateType"')
    text = (text[:start] + text[end:]).replace('"ignore_paths": []', '"ignore_paths": ["cache"]')
    seal = parse_seal(text.encode(), "s")
    assert (seal.facts, seal.statement.ignore_paths) == (None, ("cache",))
    comparison = verified(model_of(write(tmp_path, {**FILES, "cache/x": b""}), storage), seal)
    assert found(comparison) == [("cache/x", "only_right", None, 0)]


def test_only_native_model_decides(tmp_path: Path, storage: Storage) -> None:
    seal = seal_of({**FILES, "requirements.txt": b"a"})
    model = model_of(write(tmp_path, {**FILES, "requirements.txt": b"b"}), storage, "model.pkl")
    comparison = verified(model, seal)
    assert comparison.equals
    assert comparison.rest is not None
    assert [each.path for each in comparison.rest.differences] == ["requirements.txt"]


def test_ignored_path_does_not_decide(tmp_path: Path, storage: Storage) -> None:
    model = model_of(write(tmp_path, {**FILES, "notes/a": b"b"}), storage)
    comparison = verified(model, seal_of({**FILES, "notes/a": b"a"}), ignore="notes/**")
    assert comparison.equals
    assert [ignored.equals for ignored in comparison.ignored] == [False]


def test_seal_without_mlmodel_file_is_an_error_for_an_mlflow_model(tmp_path: Path, storage: Storage) -> None:
    model = model_of(write(tmp_path, FILES), storage, mlmodel=True)
    with pytest.raises(ModelError, match="no MLmodel file"):
        verified(model, seal_of({"model.pkl": b""}))


def test_listing_alone_ends_fail_fast_verification(tmp_path: Path, storage: Storage) -> None:
    model = model_of(write(tmp_path, {**FILES, "new": b""}), storage)
    sealed = SealedPair(SealedVersion(seal_of(FILES)), model)
    comparison = verify_model(sealed, NoProgress(), is_enough=lambda compared: compared.difference is not None)
    assert (found(comparison), comparison.not_compared) == ([("new", "only_right", None, 0)], ("MLmodel", "model.pkl"))


def test_fail_fast_verification_stops_at_first_other_digest(tmp_path: Path, storage: Storage) -> None:
    files = {f"{number:03}": b"a" for number in range(100)}
    model = model_of(write(tmp_path, dict.fromkeys(files, b"b")), storage)
    hashed: list[FileComparison] = []

    def is_enough(compared: FileComparison) -> bool:
        hashed.append(compared)
        return True

    comparison = verify_model(SealedPair(SealedVersion(seal_of(files)), model), NoProgress(), is_enough=is_enough)
    assert (len(hashed), len(comparison.differences), len(comparison.not_compared)) == (1, 1, 99)
    assert not comparison.equals


def test_many_small_files_are_hashed_in_processes(tmp_path: Path, storage: Storage) -> None:
    files = {f"{number % 50}/{number}": b"%d" % number for number in range(4100)}
    source = source_of(write(tmp_path, files), storage)
    sizes = dict(source.list(lambda _: None).files)
    expected = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
    programs: list[list[str]] = []

    def is_enough(*_: str) -> bool:
        if not programs:
            programs.extend(process.cmdline() for process in psutil.Process().children())
        return False

    assert hash_files(source, sizes, NoProgress(), is_enough) == expected
    hashing = [program for program in programs if program[-1] == PROGRAM[-1]]
    assert len(hashing) == process_count([("", "", 0)] * len(files))


@pytest.mark.parametrize("count", [1, 4100], ids=["in this process", "in processes"])
def test_file_that_changed_since_the_listing_is_an_error(tmp_path: Path, storage: Storage, count: int) -> None:
    source = source_of(write(tmp_path, {f"{number % 50}/{number}": b"a" for number in range(count)}), storage)
    sizes = dict(source.list(lambda _: None).files)
    (tmp_path / "0" / "0").write_bytes(b"longer")
    with pytest.raises(TransferError, match="has 6 bytes, but was listed with 1"):
        hash_files(source, sizes, NoProgress())


def _npy(shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(shape))
    return buffer.getvalue()


@pytest.mark.parametrize("sealed", ["same-size", "other-size", "missing"])
@pytest.mark.parametrize(
    "path, content, expected",
    [
        ("sub.pkl", pickle.dumps([1], 4), "a pickle of protocol 4"),
        ("m.keras", zipped({"a": b"1", "b": b"2"}), "a zip archive with 2 members"),
        ("w.npy", _npy((2, 3)), "an npy array of float64 2 × 3"),
        ("w.safetensors", safetensors({"a": ("F32", [1], bytes(4))}), "a safetensors file with 1 tensor"),
        ("code/predict.py", b"pass\n", "text"),
        ("model.bin", b"\x00\x01", ""),
        ("cut.zip", zipped({"a": b"1"})[:-9], ""),
        ("w.safetensors", b"\x01" * 9 + b"\x00", ""),
    ],
    ids=["pickle", "zip", "npy", "safetensors", "text", "binary", "cut-zip", "no-safetensors"],
)
def test_differing_file_of_model_is_described(
    tmp_path: Path, storage: Storage, path: str, content: bytes, expected: str, sealed: str
) -> None:
    other = {"same-size": b"~" * len(content), "other-size": content + b"~", "missing": b""}[sealed]
    model = model_of(write(tmp_path, {**FILES, path: content}), storage)
    comparison = verified(model, seal_of({**FILES, path: other} if other else FILES))
    (difference,) = comparison.differences
    summary = "" if difference.explanation is None else difference.explanation.summary
    if not other:
        assert summary == expected
    else:
        before, after = (hashlib.sha256(each).hexdigest()[:12] for each in (other, content))
        ending = f"; the model's file is {expected}" if expected else ""
        assert summary == f"other bytes, sha256 {before}… → {after}…{ending}"
    # The model has a hash, because every file of it was read.
    assert comparison.right.digest is not None


def test_description_of_mlmodel_names_its_run_and_logged_model(tmp_path: Path, storage: Storage) -> None:
    content = b"flavors: {}\nrun_id: r1\nmodel_id: m-1\n"
    comparison = verified(model_of(write(tmp_path, {**FILES, "MLmodel": content}), storage), seal_of(FILES))
    (difference,) = comparison.differences
    assert difference.explanation is not None
    expected = "; the model's file is an MLmodel file with run_id r1 and model_id m-1"
    assert difference.explanation.summary.endswith(expected)


def test_fail_fast_reads_no_file_only_to_describe_it(tmp_path: Path, storage: Storage) -> None:
    model = model_of(write(tmp_path, {**FILES, "new": b"text"}), storage)
    pair = SealedPair(SealedVersion(seal_of(FILES)), model)
    (difference,) = verify_model(pair, NoProgress(), is_enough=lambda _: False).differences
    assert difference.explanation is None


def decides(compared: FileComparison) -> bool:
    return compared.difference is not None and compared.pair.decides


@pytest.mark.parametrize("is_seal_left", [True, False])
@pytest.mark.parametrize("is_enough", [None, decides], ids=["all", "fail-fast"])
@pytest.mark.parametrize("native_model, ignore", [("", "notes/**"), ("model.pkl", ""), ("model.pkl", "notes/**")])
def test_roots_of_a_passed_verification_cover_files_that_do_not_decide(
    tmp_path: Path,
    storage: Storage,
    native_model: str,
    ignore: str,
    is_enough: Callable[[FileComparison], bool] | None,
    is_seal_left: bool,
) -> None:
    # The large file is more than is read to describe differences.
    sealed = {**FILES, "notes/size": b"a", "notes/missing": b"b", "notes/large": b"", "notes/bytes": b"c"}
    files = {**FILES, "notes/size": b"aa", "notes/new": b"b", "notes/large": bytes(65 * 1024**2), "notes/bytes": b"d"}
    model = model_of(write(tmp_path, files), storage, native_model)
    pair = SealedPair(SealedVersion(seal_of(sealed), native_model), model, is_seal_left)
    patterns = checked_ignore([ignore] if ignore else [])
    comparison = verify_model(pair, NoProgress(), patterns, is_enough, has_roots=True)
    roots = (root_of(sealed), root_of(files)) if is_seal_left else (root_of(files), root_of(sealed))
    assert comparison.equals
    assert (comparison.left.root, comparison.right.root) == roots


def test_verification_that_the_sizes_decide_reads_no_large_file_for_its_root(tmp_path: Path, storage: Storage) -> None:
    model = model_of(write(tmp_path, {**FILES, "large": bytes(65 * 1024**2)}), storage)
    comparison = verify_model(SealedPair(SealedVersion(seal_of(FILES)), model), NoProgress(), has_roots=True)
    assert (comparison.equals, comparison.right.root) == (False, None)


def test_large_file_of_server_is_described_after_its_windows(tmp_path: Path) -> None:
    content = safetensors({"a": ("F32", [1000], bytes(4000))})
    (tmp_path / "m").mkdir()
    write(tmp_path / "m", {"w.safetensors": content})
    windows = Windows(threshold_bytes=2000, window_bytes=1000, scratch_bytes=8000, first_bytes=2000)
    described: list[str] = []
    with Storage(None) as storage:
        source = _Remote(tmp_path / "m", Location("m", local_path=tmp_path / "m"), "model", storage)
        assert windows.is_large(len(content))
        hash_files(
            source,
            {"w.safetensors": len(content)},
            NoProgress(),
            windows=windows,
            inspect=lambda path, _, file: described.append(Explainer().describe(path, file)),
        )
    assert described == ["a safetensors file with 1 tensor"]


def test_fail_fast_verification_of_a_server_fetches_no_large_file_after_a_difference(
    tmp_path: Path, storage: Storage
) -> None:
    files = {"large.safetensors": bytes(4000), "MLmodel": b"changed"}
    windows = Windows(threshold_bytes=2000, window_bytes=1000, scratch_bytes=8000, first_bytes=2000)
    source = _Remote(write(tmp_path, files), Location("m", local_path=tmp_path), "model", storage)
    sizes = {path: len(content) for path, content in files.items()}
    assert windows.is_large(sizes["large.safetensors"])
    hashed = hash_files(source, sizes, NoProgress(), lambda path, _: path == "MLmodel", windows)
    assert list(hashed) == ["MLmodel"]


class _Remote(DirectorySource):
    """A directory whose large files are read window by window, as those of a tracking server."""

    @property
    def is_local(self) -> bool:
        """False, as for a tracking server."""
        return False

    def local_file(self, path: str) -> str:
        """Return "", as for a file of a tracking server."""
        return ""


class _Forgetful(_Remote):
    """A source that forgets one of the files that it fetches."""

    def begin_fetch(self, sizes: Mapping[str, int], on_bytes: Callable[[int], None]) -> Future[dict[str, str]]:
        """Fetch the files, but return no path of `model.pkl`."""
        files = super().begin_fetch(sizes, on_bytes).result()
        fetch: Future[dict[str, str]] = Future()
        fetch.set_result({path: file for path, file in files.items() if path != "model.pkl"})
        return fetch


def test_file_without_a_digest_is_an_error_and_never_left_out(tmp_path: Path, storage: Storage) -> None:
    write(tmp_path, FILES)
    source = _Forgetful(tmp_path, Location("m", local_path=tmp_path), "model", storage)
    model = SelectedModel(source, "", False)
    with pytest.raises(InternalError, match=r"No digest was computed of model\.pkl"):
        seal_model(model, Path("s"), "wine", FACTS, NoProgress())
    with pytest.raises(InternalError, match=r"No digest was computed of model\.pkl"):
        verified(model, seal_of(FILES))

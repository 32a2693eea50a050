"""Comparison processes find equal pairs of small files. A faulty process never makes different files equal."""

from __future__ import annotations

import filecmp
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from model_gate.comparison.digest import file_digest
from model_gate.comparison.file_comparison import FileComparison
from model_gate.comparison.model_pair import ListedModel, ModelPair
from model_gate.comparison.progress import NoProgress
from model_gate.comparison.scheduler import compare_files
from model_gate.comparison.small_files.common import SmallFiles, common_small_files
from model_gate.comparison.small_files.comparer import BATCH_PAIRS, SmallFileComparer, process_count, start_comparer
from model_gate.comparison.small_files.equality import SmallPair, digest_if_equal, digests_if_equal
from model_gate.comparison.small_files.process import PROGRAM
from model_gate.domain.location import Location
from model_gate.domain.model import Listing
from model_gate.domain.pairing import pair_files
from model_gate.errors import ModelGateError
from model_gate.sources.directory import list_directory
from model_gate.sources.model_source import DirectorySource
from model_gate.sources.storage import Storage
from tests.support.commandline import await_idle, clean_environment
from tests.support.reports import Json, read_report
from tests.support.twins import two_files

pytestmark = pytest.mark.xdist_group("small_files")  # the trees of many files are made once

# Comparison processes are started for this number of pairs.
MANY = 4100
Comparers = Callable[[Sequence[SmallPair]], SmallFileComparer]
BATCH = BATCH_PAIRS
CHUNKS = (8 * 1024, 64 * 1024, 512 * 1024)


def open_descriptors() -> list[str]:
    return sorted(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("size", [0, 1, *(chunk + shift for chunk in CHUNKS for shift in (-1, 0, 1))])
def test_digest_of_equal_files_is_the_sha256_of_their_bytes(size: int, tmp_path: Path) -> None:
    left, right = two_files(tmp_path, os.urandom(size), b"")
    Path(right).write_bytes(Path(left).read_bytes())
    before = open_descriptors()
    assert digest_if_equal(left, right, size) == file_digest(right)
    assert open_descriptors() == before


@pytest.mark.parametrize("offset", [0, *(chunk + shift for chunk in CHUNKS for shift in (-1, 0, 1))])
def test_no_digest_is_returned_for_files_that_differ_in_one_byte(offset: int, tmp_path: Path) -> None:
    left = bytes(CHUNKS[-1] + 2)
    paths = two_files(tmp_path, left, left[:offset] + b"1" + left[offset + 1 :])
    before = open_descriptors()
    assert digest_if_equal(*paths, len(left)) is None
    assert open_descriptors() == before


@pytest.mark.parametrize(
    "left, right, listed", [(b"same", b"same", 3), (b"same", b"same", 5), (b"same", b"samer", 4), (b"same", b"sam", 4)]
)
def test_no_digest_is_returned_for_files_of_another_size_than_listed(
    left: bytes, right: bytes, listed: int, tmp_path: Path
) -> None:
    paths = two_files(tmp_path, left, right)
    before = open_descriptors()
    assert digest_if_equal(*paths, listed) is None
    assert open_descriptors() == before


def test_no_digest_is_returned_if_a_file_is_missing_or_is_a_directory(tmp_path: Path) -> None:
    left, right = two_files(tmp_path, b"same", b"same")
    before = open_descriptors()
    assert digest_if_equal(left, str(tmp_path / "gone"), 4) is None
    assert digest_if_equal(str(tmp_path / "gone"), right, 4) is None
    assert digest_if_equal(left, str(tmp_path), 4) is None
    assert digest_if_equal(str(tmp_path), right, 4) is None
    assert open_descriptors() == before


def test_no_digest_is_returned_for_an_outdated_result_in_the_filecmp_cache(tmp_path: Path) -> None:
    left, right = two_files(tmp_path, b"1", b"1")
    assert digest_if_equal(left, right, 1)
    Path(right).write_bytes(b"2")
    os.utime(right, ns=(1, 1))
    assert digest_if_equal(left, right, 1) is None


def pairs_of(directory: Path, *contents: tuple[bytes, bytes, int]) -> list[SmallPair]:
    """Make a pair of files for each tuple of left content, right content and listed size."""
    pairs: list[SmallPair] = []
    for number, (left, right, size) in enumerate(contents):
        (directory / str(number)).mkdir()
        pairs.append((*two_files(directory / str(number), left, right), size))
    return pairs


LARGER = b"x" * 20_000


@pytest.mark.parametrize(
    "contents, are_equal",
    [
        ([(b"a", b"a", 1), (b"", b"", 0), (b"bc", b"bc", 2)], [True, True, True]),
        ([(b"a", b"a", 1), (b"b", b"c", 1), (b"d", b"d", 1)], [True, False, True]),
        # The concatenated left files equal the concatenated right files.
        ([(b"ab", b"a", 2), (b"c", b"bc", 1)], [False, False]),
        ([(b"ab", b"a", 1), (b"c", b"bc", 2)], [False, False]),
        ([(b"a", b"b", 1), (b"b", b"a", 1)], [False, False]),
        ([(b"ab", b"ab", 1), (b"c", b"c", 2)], [False, False]),
        ([(b"ab", b"ab", 3), (b"c", b"c", 1)], [False, True]),
        ([(LARGER, LARGER, len(LARGER)), (b"a", b"a", 1)], [True, True]),
        ([(LARGER, LARGER[:-1] + b"y", len(LARGER)), (b"a", b"a", 1)], [False, True]),
        ([(LARGER, LARGER, len(LARGER)), (b"a", b"b", 1)], [True, False]),
        ([], []),
    ],
)
def test_batch_returns_digests_only_for_pairs_of_equal_files(
    contents: list[tuple[bytes, bytes, int]], are_equal: list[bool], tmp_path: Path
) -> None:
    pairs = pairs_of(tmp_path, *contents)
    before = open_descriptors()
    digests = digests_if_equal(pairs)
    assert open_descriptors() == before
    assert digests == [digest_if_equal(*pair) for pair in pairs]
    assert [digest is not None for digest in digests] == are_equal


def test_missing_file_in_a_batch_does_not_affect_the_digests_of_other_pairs(tmp_path: Path) -> None:
    pairs = pairs_of(tmp_path, (b"a", b"a", 1), (b"b", b"b", 1))
    Path(pairs[0][1]).unlink()
    before = open_descriptors()
    assert [digest is not None for digest in digests_if_equal(pairs)] == [False, True]
    assert open_descriptors() == before


@pytest.mark.skipif(sys.platform != "linux", reason="other platforms compare one pair at a time")
def test_one_call_of_filecmp_compares_a_whole_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = pairs_of(tmp_path, *[(b"%d" % number, b"%d" % number, 1) for number in range(10)])
    calls: list[bool] = []
    may_be_equal = True

    def compare(left: int, right: int, *, shallow: bool) -> bool:
        calls.append(shallow)
        return filecmp_cmp(left, right, shallow=shallow) and may_be_equal  # type: ignore[arg-type]  # descriptors

    filecmp_cmp = filecmp.cmp
    monkeypatch.setattr(filecmp, "cmp", compare)
    assert all(digests_if_equal(pairs))
    assert calls == [False]
    may_be_equal = False
    assert not any(digests_if_equal(pairs))


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two equal trees, `left` and `right`, of many small files, some with unusual names."""
    root = tmp_path_factory.mktemp("trees")
    for tree in (os.fsencode(root / "left"), os.fsencode(root / "right")):
        os.mkdir(tree)
        for number in range(MANY):
            suffix = (b"", b"\xff\xfe", "ü🎈".encode(), b'\\"\n')[number % 4]
            with open(tree + b"/%05d" % number + suffix, "wb") as file:
                file.write(b"%d" % number * (number % 7))
    return root


def pairs_in(trees: Path) -> list[SmallPair]:
    """Return the pair of files at each path of the two trees."""
    files = sorted(list_directory(trees / "left").files.items())
    return [(f"{trees}/left/{path}", f"{trees}/right/{path}", size) for path, size in files]


def digests_of(
    pairs: Sequence[SmallPair],
    processes: int,
    program: Sequence[str] = PROGRAM,
    compare: Callable[[str, str, int], str | None] = digest_if_equal,
) -> list[str | None]:
    with SmallFileComparer(pairs, processes, program, compare) as comparer:
        return [comparer.digest(number) for number in range(len(pairs))]


def unequal(digests: Sequence[str | None]) -> list[int]:
    """Return the indexes of the pairs without a digest."""
    return [number for number, digest in enumerate(digests) if digest is None]


@contextmanager
def changed(pair: SmallPair) -> Iterator[None]:
    """Change one byte of the right file of a pair during the block, and restore the file afterwards."""
    file = Path(pair[1])
    content = file.read_bytes()
    assert content
    file.write_bytes(content[:-1] + b"x")
    try:
        yield
    finally:
        file.write_bytes(content)


def test_digests_do_not_depend_on_the_number_of_processes(trees: Path) -> None:
    pairs = pairs_in(trees)
    digests = digests_of(pairs, 2)
    assert digests == digests_of(pairs, 0) == digests_of(pairs, 3)
    assert digests == [file_digest(left) for left, _, _ in pairs]


@pytest.mark.parametrize("position", [1, BATCH - 1, BATCH + 1, 2 * BATCH + 2, 1500, MANY - 1])
def test_changed_file_is_found_at_any_position_in_the_list(trees: Path, position: int) -> None:
    pairs = pairs_in(trees)
    with changed(pairs[position]):
        digests = digests_of(pairs, 2)
    assert unequal(digests) == [position]


def refuse(left: str, right: str, size: int) -> str | None:
    raise AssertionError(f"{left} of {size} bytes was compared in this process with {right}")


def test_comparison_processes_compare_all_pairs(trees: Path) -> None:
    assert None not in digests_of(pairs_in(trees), 2, compare=refuse)


def test_digest_of_an_earlier_batch_is_correct(trees: Path) -> None:
    pairs = pairs_in(trees)
    with changed(pairs[1]), SmallFileComparer(pairs, 2) as comparer:
        digests = [comparer.digest(number) for number in (MANY - 1, 1, 0)]
    assert digests == [file_digest(pairs[-1][0]), None, file_digest(pairs[0][0])]


@pytest.mark.parametrize("seconds", [0.0, 1.0], ids=["at once", "later"])
def test_gate_may_send_all_requests_before_it_reads_a_response(trees: Path, seconds: float) -> None:
    pairs = pairs_in(trees) * 20
    with SmallFileComparer(pairs, 2, compare=refuse) as comparer:
        time.sleep(seconds)
        assert comparer.digest(len(pairs) - 1) == file_digest(pairs[-1][0])


def test_digests_of_some_pairs_are_correct_if_the_remaining_pairs_are_skipped(trees: Path) -> None:
    pairs = pairs_in(trees)
    numbers = [0, 5, BATCH, 3 * BATCH + 1, 12 * BATCH, MANY - 1]
    with SmallFileComparer(pairs, 2) as comparer:
        digests = [comparer.digest(number) for number in numbers]
    assert digests == [digest_if_equal(*pairs[number]) for number in numbers]


RESPONSES = {
    "dies at once": "raise SystemExit",
    "dies after some": "json.dump([number, ['0' * 64] * 0], out); raise SystemExit",
    "closes its output": "os.close(1); continue",
    "no JSON": "print('equal')",
    "null": "print('null')",
    "another batch": "print(json.dumps([number + 1, digests]))",
    "too few": "print(json.dumps([number, digests[1:]]))",
    "too many": "print(json.dumps([number, digests + digests[:1]]))",
    "booleans": "print(json.dumps([number, [True] * len(pairs)]))",
    "no digests": "print(json.dumps([number, ['equal'] * len(pairs)]))",
    "too long digests": "print(json.dumps([number, [digest + '0' for digest in digests]]))",
    "a string": "print(json.dumps([number, '0' * len(pairs)]))",
    "endless nesting": "print('[' * 200_000)",
    "malformed once": "print(json.dumps([number, digests]) if number > 1 else 'null')",
    "half a line": "print(json.dumps([number, digests]), end='', flush=True); raise SystemExit",
}
FAULTY_PROCESS = """
import json, os, sys
for line in sys.stdin:
    number, pairs = json.loads(line)
    digests = ["0" * 64] * len(pairs)
    out = sys.stdout
    {response}
    sys.stdout.flush()
"""


def faulty_program(response: str) -> list[str]:
    return [sys.executable, "-c", FAULTY_PROCESS.format(response=response)]


@pytest.mark.parametrize("response", RESPONSES.values(), ids=list(RESPONSES))
def test_malformed_response_of_a_comparison_process_is_rejected(trees: Path, response: str) -> None:
    pairs = pairs_in(trees)[: 5 * BATCH]
    with changed(pairs[333]):
        digests = digests_of(pairs, 2, faulty_program(response))
        assert digests == digests_of(pairs, 0)
    assert unequal(digests) == [333]


def test_well_formed_response_is_accepted_even_if_its_digests_are_wrong(trees: Path) -> None:
    # This proves that the test of malformed responses would fail if responses were not checked.
    program = faulty_program("print(json.dumps([number, digests]))")
    assert set(digests_of(pairs_in(trees), 2, program)) == {"0" * 64}


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "model_gate.comparison.small_files" in child.cmdline()]


@pytest.mark.parametrize("victims", [1, 2])
def test_killed_comparison_process_does_not_change_the_digests(trees: Path, victims: int) -> None:
    pairs = pairs_in(trees)
    with changed(pairs[2000]), SmallFileComparer(pairs, 2) as comparer:
        digests = [comparer.digest(number) for number in range(2 * BATCH)]
        assert len(children()) == 2
        for victim in children()[:victims]:
            victim.kill()
        digests += [comparer.digest(number) for number in range(2 * BATCH, MANY)]
        expected = digests_of(pairs, 0)
    assert digests == expected
    assert expected[2000] is None


def test_comparer_ends_its_processes_on_exit(trees: Path) -> None:
    pairs = pairs_in(trees)
    with SmallFileComparer(pairs, 3) as comparer:
        assert comparer.digest(0)
        started = children()
        assert len(started) == 3
    with pytest.raises(KeyError), SmallFileComparer(pairs, 2):  # noqa: PT012  # the exit of the block is under test
        started += children()
        raise KeyError
    assert len(started) == 5
    assert not any(child.is_running() for child in started)


def test_all_pairs_are_compared_if_no_process_can_be_started(trees: Path) -> None:
    assert None not in digests_of(pairs_in(trees), 2, [str(trees / "missing")])


def test_process_count_depends_on_pair_count_processor_count_and_filename_encoding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pair = ("left", "right", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    assert process_count([pair] * 100_000) == 2
    assert process_count([pair] * 1000) == 0
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    assert process_count([pair] * 100_000) == 0
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(1000)))
    assert process_count([pair] * 100_000) < 20
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "iso8859-1")
    assert process_count([pair] * 100_000) == 0


def list_trees(trees: Path) -> tuple[Listing, Listing]:
    return list_directory(trees / "left"), list_directory(trees / "right")


def compare_trees(
    trees: Path,
    start_comparer: Comparers = start_comparer,
    *,
    listings: tuple[Listing, Listing] | None = None,
    settled_by: str = "",
) -> dict[str, FileComparison]:
    """Compare both trees, and return the file comparisons by path. The verdict is final after the file `settled_by`."""
    with Storage(None) as storage:
        left, right = (
            ListedModel(DirectorySource(trees / name, Location(name, local_path=trees / name), name, storage), listing)
            for name, listing in zip(("left", "right"), listings or list_trees(trees), strict=True)
        )
        pair = ModelPair(left, right, pair_files(left.listing, right.listing))
        common = common_small_files(left, right)
        with start_comparer(common) as comparer:
            small_files = SmallFiles.of(common, comparer)
            files = compare_files([pair], NoProgress(), lambda file: file.pair.path == settled_by, small_files)[pair]
    return {file.pair.path: file for file in files}


@pytest.fixture(params=[2, 0], ids=["two processes", "no process"])
def fixed_comparer(request: pytest.FixtureRequest) -> Comparers:
    """A function that returns a comparer with two comparison processes, or with none."""
    return lambda pairs: SmallFileComparer(pairs, request.param)


def test_native_models_with_different_names_are_not_compared_by_their_common_paths(tmp_path: Path) -> None:
    for tree, contents in (("left", (b"1", b"2")), ("right", (b"1", b"3"))):
        for name, content in zip("ab", contents, strict=True):
            (tmp_path / tree / name).mkdir(parents=True)
            (tmp_path / tree / name / "file").write_bytes(content)
    with Storage(None) as storage:
        left, right = (
            ListedModel(
                DirectorySource(root, Location(root.name, local_path=root), "", storage), list_directory(root), at
            )
            for root, at in ((tmp_path / "left", "a"), (tmp_path / "right", "b"))
        )
        common = common_small_files(left, right)
        assert list(common.paths) == ["a/file", "b/file"]
        pair = ModelPair(left, right, pair_files(left.listing, right.listing, "a", "b"))
        with start_comparer(common) as comparer:
            files = compare_files([pair], NoProgress(), small_files=SmallFiles.of(common, comparer))[pair]
    assert [file.difference is None for file in files if file.pair.is_native] == [False]


def test_missing_file_is_an_error(trees: Path, fixed_comparer: Comparers) -> None:
    listings = list_trees(trees)
    (trees / "right" / "01500").rename(trees / "moved")
    try:
        with pytest.raises(ModelGateError) as caught:
            compare_trees(trees, fixed_comparer, listings=listings)
    finally:
        (trees / "moved").rename(trees / "right" / "01500")
    assert caught.value.message == "Cannot read 01500 of right: No such file or directory."


@pytest.mark.parametrize("changed_tree", ["left", "right"])
def test_file_whose_size_has_changed_is_an_error(trees: Path, changed_tree: str, fixed_comparer: Comparers) -> None:
    file = trees / changed_tree / "01500"
    content = file.read_bytes()
    listings = list_trees(trees)
    file.write_bytes(content + b"x")
    try:
        with pytest.raises(ModelGateError, match=r"01500 of .* has 9 bytes, but was listed with 8"):
            compare_trees(trees, fixed_comparer, listings=listings)
    finally:
        file.write_bytes(content)


def test_no_file_is_compared_after_the_verdict_is_final(trees: Path, fixed_comparer: Comparers) -> None:
    files = compare_trees(trees, fixed_comparer, settled_by="01504")
    order = sorted(files, key=lambda path: (-(files[path].pair.left_size or 0), os.fsencode(path)))
    last = order.index("01504")
    assert [files[path].is_compared for path in order] == [number <= last for number in range(MANY)]


# A program that runs the command line of Model Gate on a simulated number of processors, its first argument.
ON_PROCESSORS = """
import os, sys
count = int(sys.argv.pop(1))
os.sched_getaffinity = lambda _: set(range(count))
from model_gate.__main__ import main
main()
"""


def start_diff(trees: Path, directory: Path, *options: str, processors: int) -> subprocess.Popen[str]:
    """Start a diff of both trees, which writes `report.json` into `directory`."""
    arguments: list[str | Path] = ["diff", trees / "left", trees / "right", "--report-file", "report.json", *options]
    return subprocess.Popen(
        [sys.executable, "-c", ON_PROCESSORS, str(processors), *arguments],
        cwd=directory,
        env=clean_environment() | {"MLFLOW_TRACKING_TOKEN": "secret"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def diff(trees: Path, directory: Path, *options: str, processors: int) -> Json:
    """Run a diff of both trees, and return its report without the fields that differ in each run."""
    directory.mkdir()
    process = start_diff(trees, directory, *options, processors=processors)
    process.communicate(timeout=60)
    report = read_report(directory / "report.json", process.returncode)
    del report["system"]
    comparable: Json = json.loads(json.dumps(report).replace(str(directory), ""))
    return comparable


# With a download directory, no comparison process runs: `common_small_files` then returns no file.
@pytest.mark.parametrize("options", [[], ["--fail-fast"]], ids=["all", "first"])
def test_report_does_not_depend_on_the_number_of_processors(trees: Path, tmp_path: Path, options: list[str]) -> None:
    pairs = pairs_in(trees)
    with changed(pairs[2000]), changed(pairs[1234]), changed(pairs[78]):
        one = diff(trees, tmp_path / "one", *options, processors=1)
        several = diff(trees, tmp_path / "several", *options, processors=2)
    assert one == several
    assert one["comparison"]["differences_count"] == (1 if options == ["--fail-fast"] else 3)


@contextmanager
def paused_diff(trees: Path, directory: Path) -> Iterator[tuple[subprocess.Popen[str], list[psutil.Process]]]:
    """Start a diff of both trees, suspend its two comparison processes, and yield the diff and these processes."""
    gate = start_diff(trees, directory, processors=2)
    suspended: list[psutil.Process] = []
    try:
        while len(suspended) < 2:
            assert gate.poll() is None
            for process in psutil.Process(gate.pid).children():
                # A child that still has the gate's command line must run: the gate waits for its start.
                if process not in suspended and process.cmdline()[1:] == list(PROGRAM[1:]):
                    process.suspend()
                    suspended.append(process)
        await_idle(gate.pid)
        yield gate, suspended
    finally:
        gate.kill()
        gate.communicate()
        for process in suspended:
            if process.is_running():
                process.kill()


@pytest.mark.parametrize("number, exit_code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_gate_leaves_no_comparison_process(
    trees: Path, tmp_path: Path, number: signal.Signals, exit_code: int
) -> None:
    with paused_diff(trees, tmp_path) as (gate, suspended):
        # On Ctrl-C, a terminal sends the signal to the whole process group.
        os.killpg(gate.pid, number)
        stopped = time.monotonic()
        gate.communicate(timeout=20)
        assert time.monotonic() - stopped < 5
        assert gate.returncode == exit_code
        assert psutil.wait_procs(suspended, timeout=5)[1] == []
    assert json.loads((tmp_path / "report.json").read_text())["status"] == "error"


def test_comparison_processes_end_if_their_gate_is_killed(trees: Path, tmp_path: Path) -> None:
    with paused_diff(trees, tmp_path) as (gate, suspended):
        gate.kill()
        gate.wait()
        for process in suspended:
            process.resume()
        assert psutil.wait_procs(suspended, timeout=5)[1] == []


def test_comparison_process_receives_no_credential(trees: Path, tmp_path: Path) -> None:
    with paused_diff(trees, tmp_path) as (gate, suspended):
        assert "secret" in str(psutil.Process(gate.pid).environ())
        assert not any("secret" in str(process.environ()) for process in suspended)


def test_comparison_process_has_its_own_process_session(trees: Path, tmp_path: Path) -> None:
    with paused_diff(trees, tmp_path) as (_, suspended):
        assert [os.getsid(process.pid) for process in suspended] == [process.pid for process in suspended]


@pytest.mark.parametrize("times", [0, 50], ids=["idle", "busy"])
def test_comparison_process_ends_when_its_standard_input_ends(trees: Path, times: int) -> None:
    with subprocess.Popen(PROGRAM, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        try:
            if times:
                process.stdin.write(json.dumps([0, pairs_in(trees) * times]).encode() + b"\n")
            process.stdin.close()
            assert process.wait(timeout=5) == 0
        finally:
            process.kill()


def test_comparison_processes_are_started_only_for_many_files(trees: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    def start_for_more_files(pairs: Sequence[SmallPair]) -> SmallFileComparer:
        return SmallFileComparer(pairs, process_count(pairs, min_pairs=MANY + 1))

    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    with pytest.raises(AssertionError, match="a process was started"):
        compare_trees(trees)
    assert len(compare_trees(trees, start_for_more_files)) == MANY

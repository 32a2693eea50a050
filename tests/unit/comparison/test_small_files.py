"""Pairs of small files, judged by several processes: whatever these do, files that differ are never equal."""

from __future__ import annotations

import filecmp
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from model_gate.comparison.digest import file_digest
from model_gate.comparison.file_comparison import FileComparison
from model_gate.comparison.progress import NoProgress
from model_gate.comparison.scheduler import ModelPair, compare_files
from model_gate.comparison.small_files import processes
from model_gate.comparison.small_files.equality import SmallPair, digest_if_equal, digests_if_equal
from model_gate.comparison.small_files.processes import SmallFileComparer, process_count
from model_gate.domain.location import Location
from model_gate.domain.pairing import pair_files
from model_gate.errors import ModelGateError
from model_gate.sources.directory import list_directory
from model_gate.sources.model_source import DirectorySource
from model_gate.sources.storage import Storage
from tests.support.commandline import await_idle, clean_environment
from tests.support.reports import Json, read_report
from tests.support.twins import two_files

MANY = 4100
BATCH = processes._BATCH
CHUNKS = (8 * 1024, 64 * 1024, 512 * 1024)


def open_descriptors() -> list[str]:
    return sorted(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("size", [0, 1, *(chunk + shift for chunk in CHUNKS for shift in (-1, 0, 1))])
def test_equal_files_have_the_digest_of_their_bytes(size: int, tmp_path: Path) -> None:
    left, right = two_files(tmp_path, os.urandom(size), b"")
    Path(right).write_bytes(Path(left).read_bytes())
    before = open_descriptors()
    assert digest_if_equal(left, right, size) == file_digest(right)
    assert open_descriptors() == before


@pytest.mark.parametrize("offset", [0, *(chunk + shift for chunk in CHUNKS for shift in (-1, 0, 1))])
def test_one_byte_is_enough_for_a_closer_look(offset: int, tmp_path: Path) -> None:
    left = bytes(CHUNKS[-1] + 2)
    paths = two_files(tmp_path, left, left[:offset] + b"1" + left[offset + 1 :])
    before = open_descriptors()
    assert digest_if_equal(*paths, len(left)) is None
    assert open_descriptors() == before


@pytest.mark.parametrize(
    "left, right, listed", [(b"same", b"same", 3), (b"same", b"same", 5), (b"same", b"samer", 4), (b"same", b"sam", 4)]
)
def test_so_is_a_size_that_was_not_listed(left: bytes, right: bytes, listed: int, tmp_path: Path) -> None:
    paths = two_files(tmp_path, left, right)
    before = open_descriptors()
    assert digest_if_equal(*paths, listed) is None
    assert open_descriptors() == before


def test_so_is_a_file_that_is_gone_or_none(tmp_path: Path) -> None:
    left, right = two_files(tmp_path, b"same", b"same")
    before = open_descriptors()
    assert digest_if_equal(left, str(tmp_path / "gone"), 4) is None
    assert digest_if_equal(str(tmp_path / "gone"), right, 4) is None
    assert digest_if_equal(left, str(tmp_path), 4) is None
    assert digest_if_equal(str(tmp_path), right, 4) is None
    assert open_descriptors() == before


def test_a_stale_answer_of_filecmp_is_not_taken(tmp_path: Path) -> None:
    left, right = two_files(tmp_path, b"1", b"1")
    assert digest_if_equal(left, right, 1)
    Path(right).write_bytes(b"2")
    os.utime(right, ns=(1, 1))
    assert digest_if_equal(left, right, 1) is None


def pairs_of(directory: Path, *contents: tuple[bytes, bytes, int]) -> list[SmallPair]:
    """Questions about files with these contents on the left and on the right, said to have this size."""
    questions: list[SmallPair] = []
    for number, (left, right, size) in enumerate(contents):
        (directory / str(number)).mkdir()
        questions.append((*two_files(directory / str(number), left, right), size))
    return questions


LARGER = b"x" * 20_000


@pytest.mark.parametrize(
    "contents, answers",
    [
        ([(b"a", b"a", 1), (b"", b"", 0), (b"bc", b"bc", 2)], [True, True, True]),
        ([(b"a", b"a", 1), (b"b", b"c", 1), (b"d", b"d", 1)], [True, False, True]),
        # End to end, the left files have the bytes of the right ones.
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
def test_many_are_found_equal_together_only_if_each_pair_is(
    contents: list[tuple[bytes, bytes, int]], answers: list[bool], tmp_path: Path
) -> None:
    questions = pairs_of(tmp_path, *contents)
    before = open_descriptors()
    found = digests_if_equal(questions)
    assert open_descriptors() == before
    assert found == [question and digest_if_equal(*question) for question in questions]
    assert [digest is not None for digest in found] == answers


def test_what_is_no_question_stays_none_among_others(tmp_path: Path) -> None:
    first, second = pairs_of(tmp_path, (b"a", b"a", 1), (b"b", b"b", 1))
    found = digests_if_equal([None, first, None, second])
    assert [digest is not None for digest in found] == [False, True, False, True]


def test_one_that_is_gone_takes_nothing_from_the_others(tmp_path: Path) -> None:
    questions = pairs_of(tmp_path, (b"a", b"a", 1), (b"b", b"b", 1))
    assert questions[0] is not None
    Path(questions[0][1]).unlink()
    before = open_descriptors()
    assert [digest is not None for digest in digests_if_equal(questions)] == [False, True]
    assert open_descriptors() == before


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere they are compared one by one")
def test_filecmp_is_called_once_for_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    questions = pairs_of(tmp_path, *[(b"%d" % number, b"%d" % number, 1) for number in range(10)])
    calls: list[bool] = []
    says_so = True

    def compare(left: int, right: int, *, shallow: bool) -> bool:
        calls.append(shallow)
        return filecmp_cmp(left, right, shallow=shallow) and says_so  # type: ignore[arg-type]  # open() takes numbers

    filecmp_cmp = filecmp.cmp
    monkeypatch.setattr(filecmp, "cmp", compare)
    assert all(digests_if_equal(questions))
    assert calls == [False]
    # It, and nothing else, says that they are equal.
    says_so = False
    assert not any(digests_if_equal(questions))


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`left` and `right`, equal, of many small files with odd names among them."""
    root = tmp_path_factory.mktemp("trees")
    for side in (os.fsencode(root / "left"), os.fsencode(root / "right")):
        os.mkdir(side)
        for number in range(MANY):
            odd = (b"", b"\xff\xfe", "ü🎈".encode(), b'\\"\n')[number % 4]
            with open(side + b"/%05d" % number + odd, "wb") as file:
                file.write(b"%d" % number * (number % 7))
    return root


def questions_of(trees: Path) -> list[SmallPair]:
    files = sorted(list_directory(trees / "left").files.items())
    return [(f"{trees}/left/{path}", f"{trees}/right/{path}", size) for path, size in files]


def digests(questions: list[SmallPair], count: int) -> list[str | None]:
    with SmallFileComparer(questions, count) as equality:
        return [equality.digest(number) for number in range(len(questions))]


@contextmanager
def changed(question: SmallPair) -> Iterator[None]:
    """One byte of the right file is another for a while."""
    assert question is not None
    file = Path(question[1])
    content = file.read_bytes()
    assert content
    file.write_bytes(content[:-1] + b"x")
    try:
        yield
    finally:
        file.write_bytes(content)


def test_several_processes_find_what_one_finds(trees: Path) -> None:
    questions = questions_of(trees)
    found = digests(questions, 2)
    assert found == digests(questions, 0) == digests(questions, 3)
    assert found == [question and file_digest(question[0]) for question in questions]


@pytest.mark.parametrize("place", [1, BATCH - 1, BATCH + 1, 2 * BATCH + 2, 1500, MANY - 1])
def test_one_byte_is_found_wherever_it_is(trees: Path, place: int) -> None:
    questions = questions_of(trees)
    with changed(questions[place]):
        found = digests(questions, 2)
    assert [number for number, digest in enumerate(found) if digest is None] == [place]


def test_what_may_not_be_looked_at_is_not(trees: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    questions = [None if number % 3 else question for number, question in enumerate(questions_of(trees))]
    # Nor does it end a process, whose work would be left to this one.
    monkeypatch.setattr(processes, "digest_if_equal", None)
    assert [digest is None for digest in digests(questions, 2)] == [question is None for question in questions]


def test_some_may_be_left_out(trees: Path) -> None:
    questions = questions_of(trees)
    wanted = [0, 5, BATCH, 3 * BATCH + 1, 12 * BATCH, MANY - 1]
    with SmallFileComparer(questions, 2) as equality:
        found = [equality.digest(number) for number in wanted]
    assert found == [digests(questions[number : number + 1], 0)[0] for number in wanted]


ANSWERS = {
    "dies at once": "raise SystemExit",
    "dies after some": "json.dump([number, ['0' * 64] * 0], out); raise SystemExit",
    "is silent": "os.close(1); continue",
    "no JSON": "print('equal')",
    "no answer": "print('null')",
    "another batch": "print(json.dumps([number + 1, digests]))",
    "too few": "print(json.dumps([number, digests[1:]]))",
    "too many": "print(json.dumps([number, digests + digests[:1]]))",
    "yes": "print(json.dumps([number, [True] * len(pairs)]))",
    "words": "print(json.dumps([number, ['equal'] * len(pairs)]))",
    "almost digests": "print(json.dumps([number, [each + '0' for each in digests]]))",
    "one text": "print(json.dumps([number, '0' * len(pairs)]))",
    "endless nesting": "print('[' * 200_000)",
    "wrong once": "print(json.dumps([number, digests]) if number > 1 else 'null')",
    "half a line": "print(json.dumps([number, digests]), end='', flush=True); raise SystemExit",
}
LIAR = """
import json, os, sys
for line in sys.stdin:
    number, pairs = json.loads(line)
    digests = ["0" * 64] * len(pairs)
    out = sys.stdout
    {answer}
    sys.stdout.flush()
"""


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=list(ANSWERS))
def test_who_does_not_answer_as_asked_is_not_believed(
    trees: Path, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_PROGRAM", [sys.executable, "-c", LIAR.format(answer=answer)])
    questions = questions_of(trees)[: 5 * BATCH]
    with changed(questions[333]):
        found = digests(questions, 2)
        assert found == digests(questions, 0)
    assert [number for number, digest in enumerate(found) if digest is None] == [333]


def test_such_a_liar_would_be_believed_if_it_kept_to_the_form(trees: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # So that the test above is known to fail where an answer is not looked at.
    answer = "print(json.dumps([number, digests]))"
    monkeypatch.setattr(processes, "_PROGRAM", [sys.executable, "-c", LIAR.format(answer=answer)])
    assert set(digests(questions_of(trees), 2)) == {"0" * 64}


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "model_gate.comparison.small_files" in child.cmdline()]


@pytest.mark.parametrize("victims", [1, 2])
def test_processes_that_are_killed_in_the_middle_change_nothing(trees: Path, victims: int) -> None:
    questions = questions_of(trees)
    with changed(questions[2000]), SmallFileComparer(questions, 2) as equality:
        found = [equality.digest(number) for number in range(2 * BATCH)]
        assert len(children()) == 2
        for victim in children()[:victims]:
            victim.kill()
        found += [equality.digest(number) for number in range(2 * BATCH, MANY)]
        expected = digests(questions, 0)
    assert found == expected
    assert expected[2000] is None


def test_none_is_left_whatever_the_end(trees: Path) -> None:
    questions = questions_of(trees)
    with SmallFileComparer(questions, 3) as equality:
        assert equality.digest(0)
        begun = children()
        assert len(begun) == 3
    with pytest.raises(KeyError), SmallFileComparer(questions, 2):  # noqa: PT012  # the end of the block is what is tested
        begun += children()
        raise KeyError
    assert len(begun) == 5
    assert not any(child.is_running() for child in begun)


def test_where_the_system_has_no_process_to_spare_none_is_needed(trees: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_PROGRAM", [str(trees / "missing")])
    questions = questions_of(trees)
    assert None not in digests(questions, 2)


def test_processes_are_started_only_where_they_are_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    question = ("left", "right", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    assert process_count([question] * 100_000) == 2
    assert process_count([question] * 1000) == 0
    assert process_count([question] * 1000 + [None] * 100_000) == 0
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    assert process_count([question] * 100_000) == 0
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(1000)))
    assert process_count([question] * 100_000) < 20
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "iso8859-1")
    assert process_count([question] * 100_000) == 0


def judged(trees: Path, spoil: str = "", *, settles: str = "") -> dict[str, FileComparison]:
    """The judgements of both trees, of which the right one's file `spoil` is gone once they are listed."""
    left, right = list_directory(trees / "left"), list_directory(trees / "right")
    match = ModelPair("left", "right", pair_files(left, right))
    with Storage(None) as storage:
        artifacts = {
            name: DirectorySource(trees / name, Location(name, local_path=trees / name), name, storage)
            for name in ("left", "right")
        }
        if spoil:
            (trees / "right" / spoil).rename(trees / "spoiled")
        try:
            (found,) = compare_files([match], artifacts, NoProgress(), lambda each: each.pair.path == settles)
        finally:
            if spoil:
                (trees / "spoiled").rename(trees / "right" / spoil)
    return {judgement.pair.path: judgement for judgement in found}


@pytest.fixture(params=["in processes", "here"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where pairs are compared."""
    count = 2 if request.param == "in processes" else 0
    monkeypatch.setattr("model_gate.comparison.scheduler.process_count", lambda _: count)
    return str(request.param)


@pytest.mark.usefixtures("place")
def test_a_file_that_vanishes_is_told(trees: Path) -> None:
    with pytest.raises(ModelGateError) as caught:
        judged(trees, "01500")
    assert caught.value.message == "Cannot read 01500 of right: No such file or directory."


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("side", ["left", "right"])
def test_so_is_one_that_has_another_size_meanwhile(trees: Path, side: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = trees / side / "01500"
    content = file.read_bytes()
    listed = {name: list_directory(trees / name) for name in ("left", "right")}
    monkeypatch.setitem(globals(), "list_directory", lambda root: listed[root.name])
    file.write_bytes(content + b"x")
    try:
        with pytest.raises(ModelGateError, match=r"01500 of .* has 9 bytes, but was listed with 8"):
            judged(trees)
    finally:
        file.write_bytes(content)


@pytest.mark.usefixtures("place")
def test_after_what_is_enough_nothing_more_is_compared(trees: Path) -> None:
    found = judged(trees, settles="01504")
    order = sorted(found, key=lambda path: (-(found[path].pair.left_size or 0), os.fsencode(path)))
    last = order.index("01504")
    assert [found[path].is_compared for path in order] == [number <= last for number in range(MANY)]


# The command line, on as many processors as its first argument says, be there one or many.
ON = """
import os, sys
count = int(sys.argv.pop(1))
os.sched_getaffinity = lambda _: set(range(count))
from model_gate.__main__ import main
main()
"""


def begin(trees: Path, directory: Path, *options: str, processors: int) -> subprocess.Popen[str]:
    """A diff of both trees, which writes its report into the directory."""
    arguments: list[str | Path] = ["diff", trees / "left", trees / "right", "--report-file", "report.json", *options]
    return subprocess.Popen(
        [sys.executable, "-c", ON, str(processors), *arguments],
        cwd=directory,
        env=clean_environment() | {"MLFLOW_TRACKING_TOKEN": "secret"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def diff(trees: Path, directory: Path, *options: str, processors: int) -> Json:
    """The report of a diff, without what another run would tell otherwise."""
    directory.mkdir()
    process = begin(trees, directory, *options, processors=processors)
    process.communicate(timeout=60)
    report = read_report(directory / "report.json", process.returncode)
    del report["system"]
    without: Json = json.loads(json.dumps(report).replace(str(directory), ""))
    return without


@pytest.mark.parametrize("options", [[], ["--fail-fast"], ["--download-dir", "kept"]], ids=["all", "first", "kept"])
def test_one_processor_and_several_write_the_same_report(trees: Path, tmp_path: Path, options: list[str]) -> None:
    questions = questions_of(trees)
    with changed(questions[2000]), changed(questions[1234]), changed(questions[78]):
        one = diff(trees, tmp_path / "one", *options, processors=1)
        several = diff(trees, tmp_path / "several", *options, processors=2)
    assert one == several
    assert one["comparison"]["differences_count"] == (1 if options == ["--fail-fast"] else 3)


@contextmanager
def held(trees: Path, directory: Path) -> Iterator[tuple[subprocess.Popen[str], list[psutil.Process]]]:
    """A diff of both trees that waits, since its two processes are stopped."""
    process = begin(trees, directory, processors=2)
    begun: list[psutil.Process] = []
    try:
        while len(begun) < 2:
            assert process.poll() is None
            for each in psutil.Process(process.pid).children():
                # Not before it is what it will be: until then, the gate cannot go on.
                if each not in begun and each.cmdline()[1:] == processes._PROGRAM[1:]:
                    each.suspend()
                    begun.append(each)
        await_idle(process.pid)
        yield process, begun
    finally:
        process.kill()
        process.communicate()
        for each in begun:
            if each.is_running():
                each.kill()


@pytest.mark.parametrize("number, exit_code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_gate_leaves_no_process(trees: Path, tmp_path: Path, number: signal.Signals, exit_code: int) -> None:
    with held(trees, tmp_path) as (gate, begun):
        # As a terminal sends it: to the whole group.
        os.killpg(gate.pid, number)
        stopped = time.monotonic()
        gate.communicate(timeout=20)
        assert time.monotonic() - stopped < 5
        assert gate.returncode == exit_code
        assert psutil.wait_procs(begun, timeout=5)[1] == []
    assert json.loads((tmp_path / "report.json").read_text())["status"] == "error"


def test_no_process_outlives_a_gate_that_is_killed(trees: Path, tmp_path: Path) -> None:
    with held(trees, tmp_path) as (gate, begun):
        gate.kill()
        gate.wait()
        for each in begun:
            each.resume()
        assert psutil.wait_procs(begun, timeout=5)[1] == []


def test_a_process_is_given_no_credential(trees: Path, tmp_path: Path) -> None:
    with held(trees, tmp_path) as (gate, begun):
        assert "secret" in str(psutil.Process(gate.pid).environ())
        assert not any("secret" in str(each.environ()) for each in begun)


def test_a_process_is_in_a_session_of_its_own(trees: Path, tmp_path: Path) -> None:
    with held(trees, tmp_path) as (_, begun):
        assert [os.getsid(each.pid) for each in begun] == [each.pid for each in begun]


@pytest.mark.parametrize("times", [0, 50], ids=["idle", "busy"])
def test_a_process_ends_when_nobody_asks_any_more(trees: Path, times: int) -> None:
    with subprocess.Popen(processes._PROGRAM, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        try:
            if times:
                process.stdin.write(json.dumps([0, questions_of(trees) * times]).encode() + b"\n")
            process.stdin.close()
            assert process.wait(timeout=5) == 0
        finally:
            process.kill()


def test_few_files_start_no_process(trees: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(processes, "_Process", refuse)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    with pytest.raises(AssertionError, match="a process was started"):
        judged(trees)
    monkeypatch.setattr(processes, "_PAIRS_WORTH_PROCESSES", MANY + 1)
    assert len(judged(trees)) == MANY

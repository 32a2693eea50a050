"""Hostile and broken files: bounded time and memory, nothing executed, and the verdict stands."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from model_gate.explanation import Explainer, kinds
from model_gate.explanation.content import ContentPair
from model_gate.explanation.kinds import FILE_KINDS, FileKind
from tests.support.explained import diff, explain, safetensors, zipped

_MIB = 1024 * 1024


@cache
def zip_bomb(seed: int) -> bytes:
    """An archive of some hundred kilobytes that unpacks to 300 MB."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("seed", str(seed))
        for index in range(3):
            with archive.open(f"data/{index}", "w") as member:
                for _ in range(100):
                    member.write(bytes(_MIB))
    return target.getvalue()


def small_bomb(seed: int) -> bytes:
    """One that says of its member that it is small."""
    data = zipped({"schema.json": bytes(_MIB) * 32, "seed": str(seed).encode()}, method=zipfile.ZIP_DEFLATED)
    return data.replace(struct.pack("<I", 32 * _MIB), struct.pack("<I", 100))


def overlapping(seed: int) -> bytes:
    """Many members that share the same packed bytes."""
    data = zipped({"a": bytes([seed]) * _MIB}, method=zipfile.ZIP_DEFLATED)
    start, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    entry = data[start:end]
    entries = b"".join(entry[:-1] + bytes([65 + index]) for index in range(50))
    tail = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 50, 50, len(entries), start, 0)
    return data[:start] + entries + tail


def huge_directory(seed: int) -> bytes:
    """An end record that speaks of a directory of gigabytes."""
    return b"PK\x03\x04" + bytes(40) + struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 9, 9, 2**31 + seed, 0, 0)


def yaml_bomb(seed: int) -> bytes:
    lines = [f"run_id: {seed}", "a0: &a0 [x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 12)]
    return "\n".join(lines).encode()


def recursive_yaml(seed: int) -> bytes:
    return f"run_id: {seed}\na: &a [*a]\n".encode()


def long_keys(seed: int) -> bytes:
    """Paths that would take gigabytes if each were written out."""
    return f"{'k' * 500_000}: [{', '.join([str(seed)] * 100_000)}]\n".encode()


def deep_lists(seed: int) -> bytes:
    return b"[" * 100_000 + str(seed).encode() + b"]" * 100_000


def deep_mappings(seed: int) -> bytes:
    return b'{"a":' * 100_000 + str(seed).encode() + b"}" * 100_000


def deep_items(seed: int) -> bytes:
    return b"- " * 100_000 + str(seed).encode()


def tensor_of_10_gb(seed: int) -> bytes:
    header = {"w": {"dtype": "F32", "shape": [2_500_000_000 + seed], "data_offsets": [0, 10_000_000_000 + 4 * seed]}}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text


def header_of_gigabytes(seed: int) -> bytes:
    return struct.pack("<Q", 2**40 + seed) + b"{}"


def impossible_shape(seed: int) -> bytes:
    return safetensors({"w": ("F32", [2**62, 2**62, seed], bytes(4))})


def npy_of_10_gb(seed: int) -> bytes:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({2_500_000_000 + seed},)}}".encode()
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header


def npy_with_code(seed: int) -> bytes:
    header = f"{{'descr': __import__('os').system('touch executed'), 'shape': ({seed},)}}".encode()
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header


def npy_nested(seed: int) -> bytes:
    header = b"(" * 9_000 + str(seed).encode()
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header


class Exploit:
    """Touches a file when it is unpickled."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch executed # {self.seed}",)


def exploit(seed: int) -> bytes:
    return pickle.dumps(Exploit(seed))


def truncated_pickle(seed: int) -> bytes:
    return pickle.dumps(list(range(seed, seed + 1_000)))[:-100]


def pickle_of_gigabytes(seed: int) -> bytes:
    """One that announces a value much longer than the file."""
    return b"\x80\x04\x8e" + struct.pack("<Q", 2**40 + seed) + b"x"


def many_opcodes(seed: int) -> bytes:
    return b"\x80\x04" + b"N0" * 2_000_000 + b"K" + bytes([seed]) + b"."


def memo_of_texts(seed: int) -> bytes:
    """Long texts, each remembered."""
    text = b"X" + struct.pack("<I", 60_000) + b"a" * 60_000
    return b"\x80\x04" + (text + b"\x94") * 400 + b"K" + bytes([seed]) + b"."


def long_number(seed: int) -> bytes:
    return b"\x80\x04" + b"\x8b" + struct.pack("<i", 60_000) + b"\x7f" * 60_000 + b"K" + bytes([seed]) + b"."


def long_line(seed: int) -> bytes:
    return b"\x80\x04I" + b"1" * 1_000_000 + str(seed).encode() + b"\n."


def unlike_lines(seed: int) -> bytes:
    """What line diffs are slow for."""
    return "\n".join(str((number * 7_919 + seed) % 31) for number in range(990)).encode()


def requirement_for_regular_expressions(seed: int) -> bytes:
    return b"a" + b"-" * 900_000 + str(seed).encode()


HOSTILE: list[tuple[str, Callable[[int], bytes]]] = [
    ("model.pt", zip_bomb),
    ("model.skops", small_bomb),
    ("model.pt", overlapping),
    ("model.pt", huge_directory),
    ("MLmodel", yaml_bomb),
    ("conda.yaml", yaml_bomb),
    ("MLmodel", recursive_yaml),
    ("a.yaml", long_keys),
    ("a.yaml", deep_lists),
    ("a.yaml", deep_items),
    ("a.json", deep_lists),
    ("a.json", deep_mappings),
    ("m.safetensors", tensor_of_10_gb),
    ("m.safetensors", header_of_gigabytes),
    ("m.safetensors", impossible_shape),
    ("a.npy", npy_of_10_gb),
    ("a.npy", npy_with_code),
    ("a.npy", npy_nested),
    ("model.pkl", truncated_pickle),
    ("model.pkl", pickle_of_gigabytes),
    ("requirements.txt", requirement_for_regular_expressions),
    ("model.pkl", long_line),
]
HEAVY: list[tuple[str, Callable[[int], bytes]]] = [
    ("model.pkl", exploit),
    ("model.pkl", many_opcodes),
    ("model.pkl", memo_of_texts),
    ("model.pkl", long_number),
    ("a.txt", unlike_lines),
]


def _name(value: object) -> str:
    return getattr(value, "__qualname__", str(value))


@pytest.mark.parametrize("name, make", HOSTILE, ids=_name)
def test_a_hostile_file_could_not_be_explained_and_is_different_all_the_same(
    name: str, make: Callable[[int], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    started = time.process_time()
    found = explain(tmp_path, name, make(1), make(2))
    assert time.process_time() - started < 10
    assert found.note.startswith("could not be explained as"), found
    assert found.rewrite_reason == ""
    assert found.summary
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("name, make", HEAVY, ids=_name)
def test_what_is_heavy_is_explained_in_bounds(
    name: str, make: Callable[[int], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    started = time.process_time()
    found = explain(tmp_path, name, make(1), make(2))
    assert time.process_time() - started < 10
    assert (found.note, found.rewrite_reason) == ("", "")
    assert found.summary
    assert not (tmp_path / "executed").exists()


def test_what_a_pickle_would_execute_is_named(tmp_path: Path) -> None:
    found = explain(tmp_path, "model.pkl", pickle.dumps([1]), exploit(1))
    assert "posix.system" in found.summary


_LIMITED = """
import resource, sys
from model_gate.explanation import Explainer
resource.setrlimit(resource.RLIMIT_AS, (1_500_000_000, 1_500_000_000))
found = Explainer().explain(*sys.argv[1:])
# Not ru_maxrss, which begins with that of the process that started this one.
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(int(peak.split()[1]) // 1024, found.rewrite_reason, sep="|")
"""


@pytest.mark.parametrize(
    "name, make",
    [
        ("model.pt", zip_bomb),
        ("model.skops", small_bomb),
        ("MLmodel", yaml_bomb),
        ("a.yaml", long_keys),
        ("model.pkl", memo_of_texts),
        ("model.pkl", pickle_of_gigabytes),
        ("m.safetensors", header_of_gigabytes),
    ],
    ids=_name,
)
def test_a_hostile_file_does_not_take_much_memory(name: str, make: Callable[[int], bytes], tmp_path: Path) -> None:
    for seed in (1, 2):
        (tmp_path / str(seed)).write_bytes(make(seed))
    ended = subprocess.run(
        [sys.executable, "-c", _LIMITED, name, tmp_path / "1", tmp_path / "2"],
        check=True,
        capture_output=True,
        text=True,
        timeout=100,
    )
    mebibytes, identity = ended.stdout.strip().split("|")
    assert (int(mebibytes) < 300, identity) == (True, "")


def sparse(file: Path, size: int, last: bytes) -> str:
    """A file that is all hole but for its last byte."""
    with file.open("wb") as stream:
        stream.truncate(size - 1)
        stream.seek(0, os.SEEK_END)
        stream.write(last)
    return str(file)


def test_two_sparse_files_of_2_gb_are_explained(tmp_path: Path) -> None:
    size = 2 * 1024**3
    paths = sparse(tmp_path / "left", size, b"\1"), sparse(tmp_path / "right", size, b"\2")
    assert Explainer().explain("weights.bin", *paths).summary == "1 of 2,147,483,648 bytes differ"


def test_two_sparse_files_are_different(tmp_path: Path) -> None:
    for side, last in (("left", b"\1"), ("right", b"\2")):
        (tmp_path / side).mkdir()
        (tmp_path / side / "MLmodel").write_text("run_id: 1\n")
        sparse(tmp_path / side / "weights.bin", 128 * _MIB, last)
    told = diff(tmp_path, tmp_path / "left", tmp_path / "right")
    assert (told.exit_code, told.verdict) == (1, "different"), told.text
    assert told.difference("weights.bin")["explanation"]["summary"] == "1 of 134,217,728 bytes differ"


def test_the_verdict_and_the_report_stand_with_hostile_files(tmp_path: Path) -> None:
    # The last one of each name.
    made = {name: make for name, make in HOSTILE if make is not zip_bomb}
    for seed, side in ((1, "left"), (2, "right")):
        (tmp_path / side).mkdir()
        (tmp_path / side / "MLmodel").write_text(f"run_id: {seed}\n")
        for name, make in made.items():
            if name != "MLmodel":
                (tmp_path / side / name).write_bytes(make(seed))
    told = diff(tmp_path, tmp_path / "left", tmp_path / "right", "--require", "equivalent")
    assert (told.exit_code, told.verdict) == (1, "different"), told.text
    assert {each["path"] for each in told.comparison["differences"]} == {*made, "MLmodel"}
    notes = [each["explanation"].get("note", "") for each in told.comparison["differences"]]
    assert sum(note.startswith("could not be explained") for note in notes) == len(made) - 1
    assert "could not be explained" in told.text


def test_a_defect_of_an_explainer_is_no_error_of_the_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(pair: ContentPair) -> None:
        raise MemoryError(pair.path)

    broken = FileKind("broken", lambda _: True, fail)
    monkeypatch.setattr(kinds, "FILE_KINDS", (broken, *FILE_KINDS))
    found = explain(tmp_path, "a.txt", b"a", b"b")
    assert found.note == "could not be explained as broken: MemoryError"
    assert found.kind == "text"


def test_files_that_are_gone_are_no_error_either(tmp_path: Path) -> None:
    found = Explainer().explain("a.txt", str(tmp_path / "gone"), str(tmp_path / "too"))
    assert found.note == "could not be explained: FileNotFoundError"


def test_once_the_time_is_used_up_only_what_may_be_equivalent_is_explained(tmp_path: Path) -> None:
    for name in ("left", "right"):
        (tmp_path / name).write_text(f"run_id: {name}\n")
    paths = str(tmp_path / "left"), str(tmp_path / "right")
    explaining = Explainer(seconds=0)
    assert explaining.explain("a.yaml", *paths).note == "too much time went into other files"
    assert explaining.explain("MLmodel", *paths).rewrite_reason == "only run_id differs"

"""Hostile and damaged files: time and memory are bounded, nothing is executed, and the verdict is unchanged."""

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
from itertools import count
from pathlib import Path

import pytest

from model_gate.explanation import Explainer
from model_gate.explanation.content import Content, ContentPair
from model_gate.explanation.kinds import FILE_KINDS, FileKind, explain_pair
from tests.support.explained import diff, explain, safetensors, zipped
from tests.support.twins import two_files

_MIB = 1024 * 1024


def doubled_tuples(seed: int) -> bytes:
    """Return a PyTorch archive whose pickle has a tuple with 2 ** 60,000 members, by references."""
    pickled = b"\x80\x02N" + b"q\x00h\x00\x86" * 60_000 + b"."
    return zipped({"m/data.pkl": pickled, "m/data/0": str(seed).encode()})


def deep_bytecode(seed: int) -> bytes:
    """Return a compiled file of Python 3.11 with tuples in tuples."""
    return struct.pack("<HHIII", 3495, 0x0A0D, 0, seed, 1) + b"c" + bytes(20) + b")\x01" * 100_000


def long_bytecode(seed: int) -> bytes:
    """Return a compiled file of Python 3.11 that declares a tuple of four billion items."""
    return struct.pack("<HHIII", 3495, 0x0A0D, 0, seed, 1) + b"c" + bytes(20) + b"(\xff\xff\xff\xff" + b"N" * 1_000_000


@cache
def zip_bomb(seed: int) -> bytes:
    """Return an archive of a few hundred kilobytes that unpacks to 300 MB."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("seed", str(seed))
        for index in range(3):
            with archive.open(f"data/{index}", "w") as member:
                for _ in range(100):
                    member.write(bytes(_MIB))
    return target.getvalue()


def disguised_zip_bomb(seed: int) -> bytes:
    """Return an archive with a member of 32 MiB that declares a size of 100 bytes."""
    data = zipped({"schema.json": bytes(_MIB) * 32, "seed": str(seed).encode()}, method=zipfile.ZIP_DEFLATED)
    return data.replace(struct.pack("<I", 32 * _MIB), struct.pack("<I", 100))


def overlapping_members(seed: int) -> bytes:
    """Return an archive with 50 members that share the same compressed bytes."""
    data = zipped({"a": bytes([seed]) * _MIB}, method=zipfile.ZIP_DEFLATED)
    start, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    entry = data[start:end]
    entries = b"".join(entry[:-1] + bytes([65 + index]) for index in range(50))
    tail = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 50, 50, len(entries), start, 0)
    return data[:start] + entries + tail


def huge_directory(seed: int) -> bytes:
    """Return an archive whose end record declares a directory of 2 GiB."""
    return b"PK\x03\x04" + bytes(40) + struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 9, 9, 2**31 + seed, 0, 0)


def yaml_bomb(seed: int) -> bytes:
    lines = [f"run_id: {seed}", "a0: &a0 [x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 12)]
    return "\n".join(lines).encode()


def recursive_yaml(seed: int) -> bytes:
    return f"run_id: {seed}\na: &a [*a]\n".encode()


def long_keys(seed: int) -> bytes:
    """Return YAML whose paths would take 50 GB as text."""
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
    """Creates a file when it is unpickled."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch executed # {self.seed}",)


def exploit(seed: int) -> bytes:
    return pickle.dumps(Exploit(seed))


def truncated_pickle(seed: int) -> bytes:
    return pickle.dumps(list(range(seed, seed + 1_000)))[:-100]


def pickle_of_gigabytes(seed: int) -> bytes:
    """Return a pickle that declares a value of 1 TiB."""
    return b"\x80\x04\x8e" + struct.pack("<Q", 2**40 + seed) + b"x"


def many_opcodes(seed: int) -> bytes:
    return b"\x80\x04" + b"N0" * 2_000_000 + b"K" + bytes([seed]) + b"."


def long_texts_in_memo(seed: int) -> bytes:
    """Return a pickle with 400 long texts in its memo."""
    text = b"X" + struct.pack("<I", 60_000) + b"a" * 60_000
    return b"\x80\x04" + (text + b"\x94") * 400 + b"K" + bytes([seed]) + b"."


def long_number(seed: int) -> bytes:
    return b"\x80\x04" + b"\x8b" + struct.pack("<i", 60_000) + b"\x7f" * 60_000 + b"K" + bytes([seed]) + b"."


def long_line(seed: int) -> bytes:
    return b"\x80\x04I" + b"1" * 1_000_000 + str(seed).encode() + b"\n."


def repetitive_lines(seed: int) -> bytes:
    """Return a text on which difflib is slow: many lines, few of them distinct."""
    return "\n".join(str((number * 7_919 + seed) % 31) for number in range(990)).encode()


def long_requirement(seed: int) -> bytes:
    return b"a" + b"-" * 900_000 + str(seed).encode()


HOSTILE: list[tuple[str, Callable[[int], bytes]]] = [
    ("model.pt", zip_bomb),
    ("model.skops", disguised_zip_bomb),
    ("model.pt", overlapping_members),
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
    ("__pycache__/m.cpython-311.pyc", deep_bytecode),
    ("__pycache__/m.cpython-311.pyc", long_bytecode),
    ("requirements.txt", long_requirement),
    ("model.pkl", long_line),
]
EXPENSIVE: list[tuple[str, Callable[[int], bytes]]] = [
    ("model.pkl", exploit),
    ("model.pkl", many_opcodes),
    ("model.pkl", long_texts_in_memo),
    ("model.pkl", long_number),
    ("a.txt", repetitive_lines),
    ("m.pt", doubled_tuples),
]


def _name(value: object) -> str:
    return getattr(value, "__qualname__", str(value))


@pytest.mark.parametrize("name, make", HOSTILE, ids=_name)
def test_pair_of_hostile_files_is_different_and_its_explanation_has_a_note(
    name: str, make: Callable[[int], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    started = time.process_time()
    explanation = explain(tmp_path, name, make(1), make(2))
    assert time.process_time() - started < 10
    assert explanation.note.startswith("could not be explained as"), explanation
    assert explanation.rewrite_reason == ""
    assert explanation.summary
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("name, make", EXPENSIVE, ids=_name)
def test_expensive_file_is_explained_in_bounded_time(
    name: str, make: Callable[[int], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    started = time.process_time()
    explanation = explain(tmp_path, name, make(1), make(2))
    assert time.process_time() - started < 10
    assert (explanation.note, explanation.rewrite_reason) == ("", "")
    assert explanation.summary
    assert not (tmp_path / "executed").exists()


def test_explanation_names_the_function_that_a_pickle_would_call(tmp_path: Path) -> None:
    explanation = explain(tmp_path, "model.pkl", pickle.dumps([1]), exploit(1))
    assert "posix.system" in explanation.summary


_EXPLAIN_WITH_MEMORY_LIMIT = """
import resource, sys
from model_gate.explanation import Explainer
resource.setrlimit(resource.RLIMIT_AS, (1_500_000_000, 1_500_000_000))
explanation = Explainer().explain(*sys.argv[1:])
# VmHWM is used because ru_maxrss includes the memory of the parent before exec.
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(int(peak.split()[1]) // 1024, explanation.rewrite_reason, sep="|")
"""


@pytest.mark.parametrize(
    "name, make",
    [
        ("model.pt", zip_bomb),
        ("model.skops", disguised_zip_bomb),
        ("MLmodel", yaml_bomb),
        ("a.yaml", long_keys),
        ("model.pkl", long_texts_in_memo),
        ("model.pkl", pickle_of_gigabytes),
        ("m.safetensors", header_of_gigabytes),
    ],
    ids=_name,
)
def test_hostile_file_is_explained_in_bounded_memory(name: str, make: Callable[[int], bytes], tmp_path: Path) -> None:
    for seed in (1, 2):
        (tmp_path / str(seed)).write_bytes(make(seed))
    process = subprocess.run(
        [sys.executable, "-c", _EXPLAIN_WITH_MEMORY_LIMIT, name, tmp_path / "1", tmp_path / "2"],
        check=True,
        capture_output=True,
        text=True,
        timeout=100,
    )
    mebibytes, rewrite_reason = process.stdout.strip().split("|")
    assert (int(mebibytes) < 300, rewrite_reason) == (True, "")


def write_sparse(file: Path, size: int, last: bytes) -> str:
    """Write a sparse file whose only data is the last byte, and return its path."""
    with file.open("wb") as stream:
        stream.truncate(size - 1)
        stream.seek(0, os.SEEK_END)
        stream.write(last)
    return str(file)


def test_sparse_files_of_2_gib_are_explained(tmp_path: Path) -> None:
    size = 2 * 1024**3
    paths = write_sparse(tmp_path / "left", size, b"\1"), write_sparse(tmp_path / "right", size, b"\2")
    assert Explainer().explain("weights.bin", *paths).summary == "1 of 2,147,483,648 bytes differ"


def test_sparse_files_with_one_differing_byte_are_different(tmp_path: Path) -> None:
    for half, last in (("left", b"\1"), ("right", b"\2")):
        (tmp_path / half).mkdir()
        (tmp_path / half / "MLmodel").write_text("run_id: 1\n")
        write_sparse(tmp_path / half / "weights.bin", 128 * _MIB, last)
    result = diff(tmp_path, tmp_path / "left", tmp_path / "right")
    assert (result.exit_code, result.verdict) == (1, "different"), result.text
    assert result.difference("weights.bin")["explanation"]["summary"] == "1 of 134,217,728 bytes differ"


def test_models_with_hostile_files_get_a_verdict_and_a_report(tmp_path: Path) -> None:
    # Of several files with the same name, the last one is used.
    makers = {name: make for name, make in HOSTILE if make is not zip_bomb}
    for seed, half in ((1, "left"), (2, "right")):
        (tmp_path / half).mkdir()
        (tmp_path / half / "MLmodel").write_text(f"run_id: {seed}\n")
        for name, make in makers.items():
            if name != "MLmodel":
                (tmp_path / half / name).parent.mkdir(exist_ok=True)
                (tmp_path / half / name).write_bytes(make(seed))
    result = diff(tmp_path, tmp_path / "left", tmp_path / "right", "--require", "equivalent")
    assert (result.exit_code, result.verdict) == (1, "different"), result.text
    assert {entry["path"] for entry in result.comparison["differences"]} == {*makers, "MLmodel"}
    notes = [entry["explanation"].get("note", "") for entry in result.comparison["differences"]]
    assert sum(note.startswith("could not be explained") for note in notes) == len(makers) - 1
    assert "could not be explained" in result.text


def test_file_is_explained_as_the_next_kind_if_the_first_kind_fails() -> None:
    def fail(pair: ContentPair) -> None:
        raise MemoryError(pair.path)

    broken = FileKind("broken", lambda _: True, fail)
    pair = ContentPair("a.txt", Content.of_bytes(b"a"), Content.of_bytes(b"b"))
    explanation = explain_pair(pair, kinds=(broken, *FILE_KINDS))
    assert explanation.note == "could not be explained as broken: MemoryError"
    assert explanation.kind == "text"


def test_explanation_of_missing_files_has_a_note(tmp_path: Path) -> None:
    explanation = Explainer().explain("a.txt", str(tmp_path / "missing"), str(tmp_path / "missing too"))
    assert explanation.note == "could not be explained: FileNotFoundError"


def test_only_files_that_mlflow_may_rewrite_are_explained_after_the_time_budget(tmp_path: Path) -> None:
    paths = two_files(tmp_path, b"run_id: left\n", b"run_id: right\n")
    explainer = Explainer(seconds=0)
    assert explainer.explain("a.yaml", *paths).note == "too much time went into other files"
    assert explainer.explain("MLmodel", *paths).rewrite_reason == "only run_id differs"


def test_time_budget_is_shared_by_all_explanations(tmp_path: Path) -> None:
    # Each reading of the clock is 4 seconds after the previous one, so each explanation takes 4 seconds.
    readings = count(step=4.0)
    explainer = Explainer(seconds=6.0, clock=lambda: next(readings))
    paths = two_files(tmp_path, b"left\n", b"right\n")
    notes = [explainer.explain("a.txt", *paths).note for _ in range(3)]
    assert notes == ["", "", "too much time went into other files"]

"""Differences that are rewrites, and similar ones that are not."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.explained import diff, explain, field_of, zipped

CODE = "flavors:\n  python_function:\n    loader_module: mlflow.pyfunc.model\n    model_code_path: {}\n"
FLAVORS = "flavors: {{python_function: {{loader_module: mlflow.sklearn}}}}\nmetadata: {}\n"


@pytest.mark.parametrize("other", ["/databricks/other/program.py", "program.py", "/home/ann/my project/program.py"])
def test_mlmodel_files_with_code_paths_in_different_directories_are_equivalent(other: str, tmp_path: Path) -> None:
    left, right = (CODE.format(path).encode() for path in ("/home/ann/program.py", other))
    explanation = explain(tmp_path, "MLmodel", left, right)
    assert explanation.rewrite_reason == "only flavors.python_function.model_code_path differs"
    assert "is compared" in field_of(explanation, "flavors.python_function.model_code_path").rewrite_reason


@pytest.mark.parametrize(
    "left, right",
    [
        ("/home/ann/program.py", "/home/ann/other.py"),
        ("/home/ann/program.py", "/home/ann/program.py/"),
        ("/home/ann/", "/home/bob/"),
        ("/home/ann/program.py", "C:\\ann\\program.py"),
        ("C:\\ann\\program.py", "C:\\bob\\program.py"),
        ("/home/ann/program.py", "[/home/ann/program.py]"),
        ("/home/ann/1", "1"),
        ("a/program.py", "a/Program.py"),
    ],
)
def test_mlmodel_files_with_unusual_or_different_code_file_names_are_not_equivalent(
    left: str, right: str, tmp_path: Path
) -> None:
    explanation = explain(tmp_path, "MLmodel", CODE.format(left).encode(), CODE.format(right).encode())
    assert explanation.rewrite_reason == ""


def test_mlmodel_files_with_different_code_paths_outside_a_flavor_are_not_equivalent(tmp_path: Path) -> None:
    for text in ("metadata: {{model_code_path: {}/p.py}}\n", "model_code_path: {}/p.py\n"):
        explanation = explain(tmp_path, "MLmodel", text.format("/a").encode(), text.format("/b").encode())
        assert explanation.rewrite_reason == ""


def test_changed_program_of_a_model_from_code_makes_models_different(tmp_path: Path) -> None:
    for name, limit in (("left", 3), ("right", 4), ("same", 3)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "MLmodel").write_text(CODE.format(f"/{name}/program.py"))
        (tmp_path / name / "program.py").write_text(f"LIMIT = {limit}\n")
    assert diff(tmp_path, tmp_path / "left", tmp_path / "same").verdict == "equivalent"
    assert diff(tmp_path, tmp_path / "left", tmp_path / "right").verdict == "different"


@pytest.mark.parametrize(
    "left, right",
    [
        ("{1: a}", "{'1': a}"),
        ("{true: a}", "{'true': a}"),
        ("{null: a}", "{'null': a}"),
        ("{1: a}", "{1.0: a}"),
        ("{<<: {a: 1}}", "{'<<': {a: 1}}"),
        ("{1: a}", "{'!int 1': a}"),
        ("{'!a': 1}", "{'!!a': 1}"),
        ("!!set {a: null}", "{a: null}"),
        ("!!omap [a: 1]", "[a: 1]"),
        ("!!pairs [a: 1]", "[a: 1]"),
        ("!!python/tuple [a]", "[a]"),
        ("!!python/object/apply:os.getcwd []", "[]"),
        ("!mine {a: 1}", "{a: 1}"),
        ("1", "1.0"),
        ("1", "true"),
        ("1", "'1'"),
        ("1", "0x1"),
        ("null", "'null'"),
        ("null", "'~'"),
        (".nan", "'.nan'"),
        ("2026-01-01", "'2026-01-01'"),
        ("!!binary YQ==", "YQ=="),
        ("yes", "'yes'"),
        ("[a, b]", "[b, a]"),
        ("{a: 1, a: 2}", "{a: 2, a: 1}"),
        ("a\n--- {}", "a\n--- {b: 1}"),
    ],
)
def test_similar_mlmodel_values_of_different_types_are_not_equivalent(left: str, right: str, tmp_path: Path) -> None:
    explanation = explain(tmp_path, "MLmodel", FLAVORS.format(left).encode(), FLAVORS.format(right).encode())
    assert explanation.rewrite_reason == "", explanation


@pytest.mark.parametrize(
    "left, right", [("{a: &x [1], b: *x}", "{a: [1], b: [1]}"), ("'a'", '"a"'), ("{a: 1, b: 2}", "{b: 2, a: 1}")]
)
def test_mlmodel_values_in_another_notation_differ_only_in_layout(left: str, right: str, tmp_path: Path) -> None:
    explanation = explain(tmp_path, "MLmodel", FLAVORS.format(left).encode(), FLAVORS.format(right).encode())
    assert explanation.rewrite_reason == "only its layout differs"


@pytest.mark.parametrize("field", ["run_id", "model_size_bytes", "artifact_path"])
def test_mlmodel_files_with_a_mapping_as_run_id_or_size_are_not_equivalent(field: str, tmp_path: Path) -> None:
    explanation = explain(tmp_path, "MLmodel", f"{field}: a\n".encode(), f"{field}: {{loader_module: a}}\n".encode())
    assert explanation.rewrite_reason == ""
    explanation = explain(tmp_path, "MLmodel", f"{field}: {{a: 1}}\n".encode(), f"{field}: {{a: 2}}\n".encode())
    assert explanation.rewrite_reason == ""


def test_mlmodel_files_that_are_not_utf_8_are_not_equivalent(tmp_path: Path) -> None:
    explanation = explain(tmp_path, "MLmodel", b"run_id: '\xff'\n", b"run_id: '\xfe'\n")
    assert explanation.rewrite_reason == ""


META = "model_name: wine\nmodel_version: '{}'\n"


def model(directory: Path, files: dict[str, str]) -> Path:
    for path, content in ({"MLmodel": "run_id: '1'\n"} | files).items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(content)
    return directory


@pytest.mark.parametrize(
    "left, right, verdict",
    [
        ({"registered_model_meta": META.format(1)}, {}, "equivalent"),
        ({"registered_model_meta": META.format(1)}, {"registered_model_meta": META.format(2)}, "equivalent"),
        ({"registered_model_meta": "import os\n"}, {}, "different"),
        (
            {"registered_model_meta": META.format(1)},
            {"registered_model_meta": META.format(1) + "code: x\n"},
            "different",
        ),
        ({"registered_model_meta": "model_name: {a: 1}\n"}, {}, "different"),
        ({"registered_model_meta": "model_name: 2026-01-01\n"}, {}, "different"),
        ({"registered_model_meta": "model_name: !!python/name:os.system ''\n"}, {}, "different"),
        ({"registered_model_meta": META.format(1)}, {"registered_model_meta": "model_version: true\n"}, "different"),
        ({"registered_model_meta/data": "x"}, {}, "different"),
        ({"registered_model_meta": META.format(1)}, {"registered_model_meta/data": "x"}, "different"),
        ({"data/registered_model_meta": META.format(1)}, {}, "different"),
    ],
)
def test_different_registered_model_meta_files_are_equivalent_only_with_usual_fields(
    left: dict[str, str], right: dict[str, str], verdict: str, tmp_path: Path
) -> None:
    result = diff(tmp_path, model(tmp_path / "left", left), model(tmp_path / "right", right))
    assert result.verdict == verdict, result.text


MEMBERS = {"model/data.pkl": b"\x80\x02N.", "model/data/0": b"weights!", "model/data/1": b"WEIGHTS!"}


def directory_start(data: bytes) -> int:
    return data.index(b"PK\x01\x02")


def end_record_start(data: bytes) -> int:
    return data.rindex(b"PK\x05\x06")


def with_zip64_end(data: bytes, directory: bytes, start: int, *, short: tuple[int, int, int] | None = None) -> bytes:
    """Return an archive with a 64-bit end record for a directory.

    `short` holds entries, bytes and offset of the directory in the 32-bit end record.
    """
    count = directory.count(b"PK\x01\x02")
    record = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, len(directory), start)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, len(data), 1)
    entries, length, begin = short or (0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
    last = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, entries, entries, length, begin, 0)
    return data + record + locator + last


def swapped(directory: bytes) -> bytes:
    """Return a directory with the names of two members exchanged."""
    first, second = b"model/data/0", b"model/data/1"
    return directory.replace(first, b"?" * 12).replace(second, first).replace(b"?" * 12, second)


def with_honest_zip64_end(data: bytes) -> bytes:
    start, end = directory_start(data), end_record_start(data)
    return with_zip64_end(data[:end], data[start:end], start)


def two_directories(data: bytes) -> bytes:
    """Return an archive with two directories: one that the locator points to, and one right before the end records."""
    directory = data[directory_start(data) : end_record_start(data)]
    count = directory.count(b"PK\x01\x02")
    hidden = swapped(directory)
    body = data[: directory_start(data)]
    start = len(body)
    hidden_record = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, len(hidden), start)
    record_start = start + len(hidden)
    body += hidden + hidden_record
    record = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, len(directory), len(body))
    body += directory + record
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, record_start, 1)
    return body + locator + struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, count, count, 0, 0, 0)


def two_ends(data: bytes) -> bytes:
    """Return an archive whose 32-bit and 64-bit end records point to different directories."""
    start = directory_start(data)
    directory = data[start : end_record_start(data)]
    body = data[:start] + swapped(directory)
    return with_zip64_end(body + directory, directory, len(body), short=(3, len(directory), start))


def fewer_members(data: bytes) -> bytes:
    """Return an archive whose end record declares two members and whose directory has three."""
    end = end_record_start(data)
    return data[: end + 8] + struct.pack("<HH", 2, 2) + data[end + 12 :]


def second_disk(data: bytes) -> bytes:
    end = end_record_start(data)
    return data[: end + 4] + struct.pack("<HH", 1, 1) + data[end + 8 :]


def other_name_in_header(data: bytes) -> bytes:
    """Return an archive in which the headers of two members have each other's names."""
    start = directory_start(data)
    return swapped(data[:start]) + data[start:]


def other_method_in_header(data: bytes) -> bytes:
    return data[:8] + struct.pack("<H", 8) + data[10:]


def other_size_in_header(data: bytes) -> bytes:
    return data[:18] + struct.pack("<II", 3, 3) + data[26:]


def encrypted(data: bytes) -> bytes:
    start = directory_start(data)
    return data[:6] + b"\1" + data[7 : start + 8] + b"\1" + data[start + 9 :]


def null_in_name(data: bytes) -> bytes:
    return data.replace(b"model/data/1", b"model/data\x001")


def name_of_unknown_encoding(data: bytes) -> bytes:
    return data.replace(b"model/data/1", b"model/data/\x82")


def two_sizes(data: bytes) -> bytes:
    """Return an archive with an uncompressed member whose compressed size differs from its size."""
    start = directory_start(data)
    return data[:22] + struct.pack("<I", 2) + data[26 : start + 24] + struct.pack("<I", 2) + data[start + 28 :]


FORGED = [
    two_directories,
    two_ends,
    fewer_members,
    second_disk,
    other_name_in_header,
    other_method_in_header,
    other_size_in_header,
    encrypted,
    null_in_name,
    name_of_unknown_encoding,
    two_sizes,
]


@pytest.mark.parametrize("forge", FORGED, ids=lambda forge: forge.__name__)
def test_archives_that_zip_libraries_interpret_differently_are_not_equivalent(
    forge: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    data = zipped(MEMBERS)
    forged = forge(data)
    assert forged != data
    assert explain(tmp_path, "model.pt", data, forged).rewrite_reason == ""
    # Two ambiguous archives may differ in the part that only some readers see.
    assert explain(tmp_path, "model.pt", forged, forge(zipped(MEMBERS, year=2026))).rewrite_reason == ""


def test_zip64_archive_is_equivalent_to_a_plain_archive_of_the_same_members(tmp_path: Path) -> None:
    data = zipped(MEMBERS)
    assert zipfile.ZipFile(io.BytesIO(with_honest_zip64_end(data))).namelist() == list(MEMBERS)
    assert explain(tmp_path, "model.pt", data, with_honest_zip64_end(data)).rewrite_reason


def test_pytorch_archives_that_start_with_different_directories_are_not_equivalent(tmp_path: Path) -> None:
    members = {"a/data.pkl": b"1", "b/data.pkl": b"2"}
    explanation = explain(tmp_path, "model.pt", zipped(members), zipped(dict(reversed(members.items()))))
    assert explanation.rewrite_reason == ""
    assert field_of(explanation, "(first directory)").meaning


def skops(schema: object) -> bytes:
    return zipped({"schema.json": json.dumps(schema).encode()})


def node(address: float, **content: object) -> dict[str, object]:
    return {"__loader__": "DictNode", "__id__": address, "content": content}


@pytest.mark.parametrize(
    "left, right",
    [
        (node(1, a="x", b="y"), node(1, b="y", a="x")),
        # As numbers, 5 and 5.0 would be one address.
        ([node(5), node(5.0)], [node(5), node(6)]),
        ([node(5), node(5)], [node(5), node(6)]),
    ],
    ids=["key order", "float address", "shared object"],
)
def test_skops_files_that_load_different_values_are_not_equivalent(left: object, right: object, tmp_path: Path) -> None:
    explanation = explain(tmp_path, "model.skops", skops({"a": left}), skops({"a": right}))
    assert explanation.rewrite_reason == "", explanation
    assert explain(tmp_path, "model.skops", skops({"a": right}), skops({"a": right}) + b"").rewrite_reason

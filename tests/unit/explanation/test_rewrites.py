"""What must not be taken for the same model, however much it looks like it."""

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
def test_a_program_that_lay_elsewhere_when_it_was_logged_is_the_same(other: str, tmp_path: Path) -> None:
    left, right = (CODE.format(path).encode() for path in ("/home/ann/program.py", other))
    found = explain(tmp_path, "MLmodel", left, right)
    assert found.rewrite_reason == "only flavors.python_function.model_code_path differs"
    assert "is compared" in field_of(found, "flavors.python_function.model_code_path").rewrite_reason


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
def test_a_program_of_another_name_is_another(left: str, right: str, tmp_path: Path) -> None:
    found = explain(tmp_path, "MLmodel", CODE.format(left).encode(), CODE.format(right).encode())
    assert found.rewrite_reason == ""


def test_a_place_of_that_name_elsewhere_in_mlmodel_is_no_identity(tmp_path: Path) -> None:
    for text in ("metadata: {{model_code_path: {}/p.py}}\n", "model_code_path: {}/p.py\n"):
        found = explain(tmp_path, "MLmodel", text.format("/a").encode(), text.format("/b").encode())
        assert found.rewrite_reason == ""


def test_the_program_itself_is_compared(tmp_path: Path) -> None:
    for side, limit in (("left", 3), ("right", 4), ("same", 3)):
        (tmp_path / side).mkdir()
        (tmp_path / side / "MLmodel").write_text(CODE.format(f"/{side}/program.py"))
        (tmp_path / side / "program.py").write_text(f"LIMIT = {limit}\n")
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
def test_values_that_only_look_alike_are_not_equivalent(left: str, right: str, tmp_path: Path) -> None:
    found = explain(tmp_path, "MLmodel", FLAVORS.format(left).encode(), FLAVORS.format(right).encode())
    assert found.rewrite_reason == "", found


@pytest.mark.parametrize(
    "left, right", [("{a: &x [1], b: *x}", "{a: [1], b: [1]}"), ("'a'", '"a"'), ("{a: 1, b: 2}", "{b: 2, a: 1}")]
)
def test_another_way_to_write_the_same_is_layout(left: str, right: str, tmp_path: Path) -> None:
    found = explain(tmp_path, "MLmodel", FLAVORS.format(left).encode(), FLAVORS.format(right).encode())
    assert found.rewrite_reason == "only its layout differs"


@pytest.mark.parametrize("field", ["run_id", "model_size_bytes", "artifact_path"])
def test_an_identity_field_that_holds_more_than_a_value_is_none(field: str, tmp_path: Path) -> None:
    found = explain(tmp_path, "MLmodel", f"{field}: a\n".encode(), f"{field}: {{loader_module: a}}\n".encode())
    assert found.rewrite_reason == ""
    found = explain(tmp_path, "MLmodel", f"{field}: {{a: 1}}\n".encode(), f"{field}: {{a: 2}}\n".encode())
    assert found.rewrite_reason == ""


def test_mlmodel_that_is_no_utf_8_is_not_equivalent(tmp_path: Path) -> None:
    found = explain(tmp_path, "MLmodel", b"run_id: '\xff'\n", b"run_id: '\xfe'\n")
    assert found.rewrite_reason == ""


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
        ({"registered_model_meta/data": "x"}, {}, "different"),
        ({"registered_model_meta": META.format(1)}, {"registered_model_meta/data": "x"}, "different"),
        ({"data/registered_model_meta": META.format(1)}, {}, "different"),
    ],
)
def test_only_what_mlflow_writes_into_a_download_is_left_out(
    left: dict[str, str], right: dict[str, str], verdict: str, tmp_path: Path
) -> None:
    told = diff(tmp_path, model(tmp_path / "left", left), model(tmp_path / "right", right))
    assert told.verdict == verdict, told.text


MEMBERS = {"model/data.pkl": b"\x80\x02N.", "model/data/0": b"weights!", "model/data/1": b"WEIGHTS!"}


def central(data: bytes) -> int:
    return data.index(b"PK\x01\x02")


def end(data: bytes) -> int:
    return data.rindex(b"PK\x05\x06")


def with_long_end(data: bytes, directory: bytes, start: int, *, short: tuple[int, int, int] | None = None) -> bytes:
    """An archive with a 64-bit end for this directory; `short` is what the other end says."""
    count = directory.count(b"PK\x01\x02")
    record = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, len(directory), start)
    place = len(data)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, place, 1)
    entries, length, begin = short or (0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
    last = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, entries, entries, length, begin, 0)
    return data + record + locator + last


def swapped(directory: bytes) -> bytes:
    """The directory with the names of two members exchanged."""
    one, other = b"model/data/0", b"model/data/1"
    return directory.replace(one, b"?" * 12).replace(other, one).replace(b"?" * 12, other)


def plain_long(data: bytes) -> bytes:
    return with_long_end(data[: end(data)], data[central(data) : end(data)], central(data))


def two_directories(data: bytes) -> bytes:
    """A second directory that only the locator leads to, as some readers go; the first lies where others look."""
    directory = data[central(data) : end(data)]
    count = directory.count(b"PK\x01\x02")
    hidden = swapped(directory)
    body = data[: central(data)]
    start = len(body)
    hidden_record = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, len(hidden), start)
    place = start + len(hidden)
    body += hidden + hidden_record
    own = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, len(directory), len(body))
    body += directory + own
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, place, 1)
    return body + locator + struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, count, count, 0, 0, 0)


def two_ends(data: bytes) -> bytes:
    """The end with 32 bits names another directory than the one with 64."""
    directory = data[central(data) : end(data)]
    body = data[: central(data)] + swapped(directory)
    return with_long_end(body + directory, directory, len(body), short=(3, len(directory), central(data)))


def fewer_members(data: bytes) -> bytes:
    """The end says that there are two members, and the directory has three."""
    place = end(data)
    return data[: place + 8] + struct.pack("<HH", 2, 2) + data[place + 12 :]


def another_part(data: bytes) -> bytes:
    place = end(data)
    return data[: place + 4] + struct.pack("<HH", 1, 1) + data[place + 8 :]


def another_name_inside(data: bytes) -> bytes:
    """Members whose own headers have each other's names."""
    return swapped(data[: central(data)]) + data[central(data) :]


def another_method_inside(data: bytes) -> bytes:
    return data[:8] + struct.pack("<H", 8) + data[10:]


def another_size_inside(data: bytes) -> bytes:
    return data[:18] + struct.pack("<II", 3, 3) + data[26:]


def encrypted(data: bytes) -> bytes:
    place = central(data)
    return data[:6] + b"\1" + data[7 : place + 8] + b"\1" + data[place + 9 :]


def null_in_a_name(data: bytes) -> bytes:
    return data.replace(b"model/data/1", b"model/data\x001")


def name_in_no_encoding(data: bytes) -> bytes:
    return data.replace(b"model/data/1", b"model/data/\x82")


def two_sizes(data: bytes) -> bytes:
    """A member that is not packed, and yet has another size when it is."""
    place = central(data)
    return data[:22] + struct.pack("<I", 2) + data[26 : place + 24] + struct.pack("<I", 2) + data[place + 28 :]


FORGED = [
    two_directories,
    two_ends,
    fewer_members,
    another_part,
    another_name_inside,
    another_method_inside,
    another_size_inside,
    encrypted,
    null_in_a_name,
    name_in_no_encoding,
    two_sizes,
]


@pytest.mark.parametrize("forge", FORGED, ids=lambda forge: forge.__name__)
def test_an_archive_that_two_readers_read_differently_is_not_equivalent(
    forge: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    data = zipped(MEMBERS)
    forged = forge(data)
    assert forged != data
    assert explain(tmp_path, "model.pt", data, forged).rewrite_reason == ""
    # Nor are two of them: the part that only some readers see may be what differs.
    assert explain(tmp_path, "model.pt", forged, forge(zipped(MEMBERS, year=2026))).rewrite_reason == ""


def test_an_honest_archive_with_a_long_end_is_read(tmp_path: Path) -> None:
    data = zipped(MEMBERS)
    assert zipfile.ZipFile(io.BytesIO(plain_long(data))).namelist() == list(MEMBERS)
    assert explain(tmp_path, "model.pt", data, plain_long(data)).rewrite_reason


def test_another_first_directory_is_another_model_to_pytorch(tmp_path: Path) -> None:
    both = {"a/data.pkl": b"1", "b/data.pkl": b"2"}
    found = explain(tmp_path, "model.pt", zipped(both), zipped(dict(reversed(both.items()))))
    assert found.rewrite_reason == ""
    assert field_of(found, "(first directory)").meaning


def skops(schema: object) -> bytes:
    return zipped({"schema.json": json.dumps(schema).encode()})


def node(address: float, **content: object) -> dict[str, object]:
    return {"__loader__": "DictNode", "__id__": address, "content": content}


@pytest.mark.parametrize(
    "left, right",
    [
        (node(1, a="x", b="y"), node(1, b="y", a="x")),
        # The first two are one object to whom it is a number.
        ([node(5), node(5.0)], [node(5), node(6)]),
        ([node(5), node(5)], [node(5), node(6)]),
    ],
    ids=["order", "number", "shared"],
)
def test_what_skops_would_load_differently_is_not_equivalent(left: object, right: object, tmp_path: Path) -> None:
    found = explain(tmp_path, "model.skops", skops({"a": left}), skops({"a": right}))
    assert found.rewrite_reason == "", found
    assert explain(tmp_path, "model.skops", skops({"a": left}), skops({"a": left}) + b"").rewrite_reason

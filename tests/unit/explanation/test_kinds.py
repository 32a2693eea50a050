"""Explanations of differences, by kind of file."""

from __future__ import annotations

import io
import json
import pickle
import pickletools
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.lib import format as npy_format

from model_gate.domain.difference import ENVIRONMENT_SETTING
from model_gate.explanation.kinds import FILE_KINDS
from tests.support.explained import explain, field_of, safetensors
from tests.support.paths import ROOT

MLMODEL: dict[str, Any] = {
    "run_id": "1",
    "utc_time_created": "2026-01-01",
    "mlflow_version": "3.17.2",
    "flavors": {"sklearn": {"sklearn_version": "1.5.2"}, "python_function": {"python_version": "3.11.7"}},
    "signature": {
        "inputs": json.dumps([{"name": "age", "type": "long", "required": True}]),
        "outputs": json.dumps([{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}]),
    },
}


def changed(**fields: object) -> bytes:
    return yaml.safe_dump(MLMODEL | fields).encode()


@pytest.mark.parametrize(
    "other, field, meaning, summary",
    [
        (
            changed(mlflow_version="3.18.0"),
            "mlflow_version",
            "logged by another version of MLflow",
            "mlflow_version 3.17.2 → 3.18.0",
        ),
        (
            changed(flavors={**MLMODEL["flavors"], "sklearn": {"sklearn_version": "1.6.0"}}),
            "flavors.sklearn.sklearn_version",
            "logged with another version of the library",
            "sklearn_version 1.5.2 → 1.6.0",
        ),
        (
            changed(
                signature={**MLMODEL["signature"], "inputs": '[{"name": "age", "type": "double", "required": true}]'}
            ),
            "signature.inputs.age",
            "what the model takes or gives changed",
            "signature changed (inputs.age long → double)",
        ),
        (
            changed(signature={**MLMODEL["signature"], "inputs": "[]"}),
            "signature.inputs.age",
            "what the model takes or gives changed",
            "signature changed (inputs.age removed (was long))",
        ),
        (
            changed(signature=None),
            "signature",
            "what the model takes or gives changed",
            "signature changed",
        ),
        (changed(metadata={"owner": "ann"}), "metadata", "its author's own notes", "metadata added ({1 key})"),
    ],
)
def test_explanation_states_the_meaning_of_a_changed_mlmodel_field(
    other: bytes, field: str, meaning: str, summary: str, tmp_path: Path
) -> None:
    explanation = explain(tmp_path, "MLmodel", changed(), other)
    assert explanation.rewrite_reason == ""
    assert field_of(explanation, field).meaning == meaning
    assert explanation.summary == summary


@pytest.mark.parametrize(
    "other, rewrite_reason",
    [
        (changed(run_id="2"), "only run_id differs"),
        (changed(run_id="2", model_size_bytes=7), "only run_id, model_size_bytes differ"),
        (b"# layout\n" + changed(), "only its layout differs"),
        (changed(run_id="2", note="x"), ""),
        # Only top-level fields are rewritten.
        (changed(flavors={**MLMODEL["flavors"], "run_id": "2"}), ""),
        (changed(mlflow_version=3.17), ""),
    ],
)
def test_mlmodel_files_are_equivalent_only_if_mlflow_rewrites_every_changed_field(
    other: bytes, rewrite_reason: str, tmp_path: Path
) -> None:
    assert explain(tmp_path, "MLmodel", changed(), other).rewrite_reason == rewrite_reason


@pytest.mark.parametrize(
    "left, right, summary",
    [
        ("channels: [a]", "channels: [b]", "channels a → b"),
        ("channels: [a, b]", "channels: [b, a]", "channels a, b → b, a"),
        ("variables: {A: 1}", "variables: {A: 2}", "variables A: 1 → A: 2"),
    ],
)
def test_settings_of_an_environment_are_no_packages(left: str, right: str, summary: str, tmp_path: Path) -> None:
    explanation = explain(tmp_path, "conda.yaml", left.encode(), right.encode())
    assert explanation.summary == summary
    assert [field.meaning for field in explanation.fields] == [ENVIRONMENT_SETTING]


@pytest.mark.parametrize(
    "left, right, summary",
    [
        ("[a=1=py_0]", "[a=1=py_1]", "a 1=py_0 → 1=py_1"),
        ("[a=1]", "[a==1]", "a 1 → ==1"),
        ("[a==1]", "[pip: [a==1]]", "a (conda) removed (was ==1), a (pip) added (1)"),
    ],
)
def test_build_source_and_exactness_of_a_package_of_conda_are_changes(
    left: str, right: str, summary: str, tmp_path: Path
) -> None:
    left, right = (f"dependencies: {packages}" for packages in (left, right))
    explanation = explain(tmp_path, "conda.yaml", left.encode(), right.encode())
    assert explanation.summary == summary
    assert [field.meaning for field in explanation.fields if field.meaning] == []


def test_long_constraints_are_compared_before_they_are_shortened(tmp_path: Path) -> None:
    left, right = (f"a==1 --hash=sha256:{'0' * 200}{digit}\n".encode() for digit in "12")
    assert explain(tmp_path, "requirements.txt", left, right).fields


def test_changed_type_of_an_mlmodel_value_is_a_difference(tmp_path: Path) -> None:
    explanation = explain(tmp_path, "MLmodel", b"a: 1\n", b"a: '1'\n")
    assert explanation.rewrite_reason == ""
    assert explanation.fields


@pytest.mark.parametrize(
    "left, right, summary",
    [
        ("scikit-learn==1.5.2\n", "scikit-learn==1.6.0\n", "scikit-learn 1.5.2 → 1.6.0"),
        ("Scikit_Learn==1.5.2\n", "scikit-learn==1.6.0\n", "scikit-learn 1.5.2 → 1.6.0"),
        ("a==1\n", "a==1\nb>=2,<3\n", "b added (<3,>=2)"),
        ("a==1\nb\n", "a==1\n", "b removed (was (any))"),
        ("a[x]==1\n", "a[x,y]==1\n", "a [x] 1 → [x,y] 1"),
        ("a==1\n", "a==1 ; python_version < '3.12'\n", 'a 1 → 1 ; python_version < "3.12"'),
        ("a==1 # why\n", "a==1\n", "the same packages, only their order, comments or layout differ"),
        (
            "--extra-index-url https://example.com\n",
            "a\n",
            "--extra-index-url https://example.com removed (was listed), a added ((any))",
        ),
    ],
)
def test_requirements_are_explained_package_by_package(left: str, right: str, summary: str, tmp_path: Path) -> None:
    explanation = explain(tmp_path, "requirements.txt", left.encode(), right.encode())
    assert (explanation.kind, explanation.summary, explanation.rewrite_reason) == ("packages", summary, "")


def test_conda_environment_is_explained_package_by_package(tmp_path: Path) -> None:
    def conda(python: str, scikit_learn: str) -> bytes:
        pip = {"pip": ["mlflow==3.17.2", f"scikit-learn=={scikit_learn}"]}
        return yaml.safe_dump({"name": "e", "dependencies": [f"python={python}", "pip<=23", pip]}).encode()

    explanation = explain(tmp_path, "conda.yaml", conda("3.11.7", "1.5"), conda("3.12.1", "1.6"))
    assert explanation.summary == "python 3.11.7 → 3.12.1, scikit-learn 1.5 → 1.6"


def test_python_environment_is_explained_package_by_package(tmp_path: Path) -> None:
    left = b"python: 3.11.7\nbuild_dependencies:\n- pip==23.0\ndependencies:\n- -r requirements.txt\n"
    explanation = explain(
        tmp_path, "python_env.yaml", left, left.replace(b"23.0", b"24.0").replace(b"3.11.7", b"3.12.1")
    )
    assert explanation.summary == "python 3.11.7 → 3.12.1, to build: pip 23.0 → 24.0"


@pytest.mark.parametrize(
    "name, left, right, fields",
    [
        ("a.json", '{"a": {"b": [1, 2]}}', '{"a": {"b": [1, 3]}}', [("a.b[1]", "2", "3")]),
        ("a.json", '{"a": 1}', '{"a": true}', [("a", "1", "true")]),
        ("a.json", '{"a": 1}', '{"a": 1.0}', [("a", "1", "1.0")]),
        ("a.json", '{"a": 1}', '{"b": 1}', [("a", "1", None), ("b", None, "1")]),
        ("a.json", '{"a": null}', "{}", [("a", "null", None)]),
        ("a.yaml", "a: {b: [1, 2]}", "a: {b: [1, 3]}", [("a.b[1]", "2", "3")]),
        ("a.yml", "a: 1", "a: '1'", [("a", "1", "1")]),
        ("a.yaml", "a: [1]", "a: {}", [("a", "[1 item]", "{0 keys}")]),
    ],
)
def test_json_and_yaml_files_are_explained_value_by_value(
    name: str, left: str, right: str, fields: list[tuple[str, str | None, str | None]], tmp_path: Path
) -> None:
    explanation = explain(tmp_path, name, left.encode(), right.encode())
    assert [(change.field, change.left, change.right) for change in explanation.fields] == fields
    assert explanation.rewrite_reason == ""


def test_json_files_with_equal_values_are_explained_as_a_change_of_layout(tmp_path: Path) -> None:
    explanation = explain(tmp_path, "a.json", b'{"a": 1, "b": 2}', b'{"b": 2,\n "a": 1}')
    assert explanation.summary == "only its layout or the order of its keys differs"


def test_text_is_explained_line_by_line(tmp_path: Path) -> None:
    explanation = explain(tmp_path, "code/train.py", b"a\nb\nc\n", b"a\nB\nc\nd\n")
    assert explanation.lines == ("@@ -2 +2 @@", "-b", "+B", "@@ -3,0 +4 @@", "+d")
    assert explanation.summary == "2 lines added, 1 line removed"


def test_text_file_without_a_suffix_is_explained_as_text(tmp_path: Path) -> None:
    assert explain(tmp_path, "LICENSE", b"a\n", b"b\n").kind == "text"


def test_explanation_says_that_only_line_ends_differ(tmp_path: Path) -> None:
    assert explain(tmp_path, "a.py", b"a\nb\n", b"a\r\nb\r\n").summary == "only its line ends differ"


def floats(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


def test_explanation_counts_one_changed_weight(tmp_path: Path) -> None:
    other = {"bias": ("F32", [1], floats(0))}
    left = safetensors({"w": ("F32", [2, 2], floats(1, 2, 3, 4)), **other})
    right = safetensors({"w": ("F32", [2, 2], floats(1, 2, 3.5, 4)), **other})
    explanation = explain(tmp_path, "model.safetensors", left, right)
    assert explanation.summary == "w: 1 of 4 elements changed, largest difference 0.5"
    assert [change.field for change in explanation.fields] == ["w"]


@pytest.mark.parametrize(
    "right, summary",
    [
        ({"w": ("F16", [2, 2], bytes(8))}, "w: float32 2 × 2 → float16 2 × 2"),
        ({"w": ("F32", [4], bytes(16))}, "w: float32 2 × 2 → float32 4"),
        ({"v": ("F32", [1], bytes(4))}, "w: removed (was float32 2 × 2), and 1 more tensor"),
        ({"w": ("F32", [2, 2], bytes(16)), "v": ("F32", [1], bytes(4))}, "v: added (float32 1)"),
    ],
)
def test_explanation_names_added_removed_and_reshaped_tensors(
    right: dict[str, tuple[str, list[int], bytes]], summary: str, tmp_path: Path
) -> None:
    left = safetensors({"w": ("F32", [2, 2], bytes(16))})
    assert explain(tmp_path, "m.safetensors", left, safetensors(right)).summary == summary


@pytest.mark.parametrize(
    "kind, left, right, largest",
    [
        ("F64", struct.pack("<d", 1.0), struct.pack("<d", 3.0), ", largest difference 2"),
        ("F16", struct.pack("<e", 1.0), struct.pack("<e", 1.5), ", largest difference 0.5"),
        # A bfloat16 is the upper half of a 32-bit float.
        ("BF16", floats(1.0)[2:], floats(1.5)[2:], ", largest difference 0.5"),
        ("I64", struct.pack("<q", -5), struct.pack("<q", 5), ", largest difference 10"),
        ("U8", b"\0", b"\xff", ", largest difference 255"),
        ("BOOL", b"\0", b"\1", ""),
        ("F32", floats(float("nan")), floats(1.0), ""),
        ("F32", floats(float("inf")), floats(1.0), ""),
        ("F4", b"\0", b"\1", ""),
    ],
)
def test_largest_difference_of_a_tensor_depends_on_its_element_type(
    kind: str, left: bytes, right: bytes, largest: str, tmp_path: Path
) -> None:
    explanation = explain(
        tmp_path, "m.safetensors", safetensors({"w": (kind, [1], left)}), safetensors({"w": (kind, [1], right)})
    )
    assert explanation.summary == f"w: 1 of 1 elements changed{largest}"


def test_reordered_tensors_are_explained_as_the_same_but_are_not_equivalent(tmp_path: Path) -> None:
    tensors = {"a": ("F32", [1], floats(1)), "b": ("F32", [1], floats(2))}
    explanation = explain(tmp_path, "m.safetensors", safetensors(tensors), safetensors(dict(reversed(tensors.items()))))
    assert explanation.summary == "the same tensors, only their order in the file differs"
    assert explanation.rewrite_reason == ""


def test_explanation_counts_changed_weights_that_are_far_apart(tmp_path: Path) -> None:
    left = np.zeros(1_000_000, dtype="<f4")
    right = left.copy()
    right[[0, 123_456, 999_999]] = [1.0, -2.0, 0.25]
    files = (safetensors({"w": ("F32", [1_000_000], array.tobytes())}) for array in (left, right))
    assert explain(tmp_path, "m.safetensors", *files).summary == (
        "w: 3 of 1,000,000 elements changed, largest difference 2"
    )


def npy(array: Any) -> bytes:
    target = io.BytesIO()
    np.save(target, array)
    return target.getvalue()


@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f2", "<i4", ">i2", "|u1"])
def test_explanation_counts_the_changed_elements_of_an_npy_file(dtype: str, tmp_path: Path) -> None:
    explanation = explain(tmp_path, "a.npy", npy(np.array([1, 2, 3], dtype)), npy(np.array([1, 2, 7], dtype)))
    assert explanation.summary == "1 of 3 elements changed, largest difference 4"


@pytest.mark.parametrize(
    "left, right, summary",
    [
        (np.zeros(2), np.zeros(3), "float64 2 → float64 3"),
        (np.zeros(2, "f4"), np.zeros(2, "f8"), "float32 2 → float64 2"),
        (np.zeros((2, 3)), np.asfortranarray(np.zeros((2, 3))), "float64 2 × 3 → float64 2 × 3, column by column"),
        (np.array(["ab"]), np.array(["cd"]), "1 of 1 elements changed"),
        (np.array([1j]), np.array([2j]), "1 of 1 elements changed"),
    ],
)
def test_explanation_names_differing_types_and_shapes_of_npy_files(
    left: object, right: object, summary: str, tmp_path: Path
) -> None:
    assert explain(tmp_path, "a.npy", npy(left), npy(right)).summary == summary


def test_npy_header_of_every_version_is_read(tmp_path: Path) -> None:
    for version in ((1, 0), (2, 0), (3, 0)):
        files = []
        for value in (1.0, 2.0):
            target = io.BytesIO()
            npy_format.write_array(target, np.array([value]), version=version)
            files.append(target.getvalue())
        assert explain(tmp_path, "a.npy", *files).summary.startswith("1 of 1 elements changed"), version


def test_objects_in_npy_are_never_unpickled(tmp_path: Path) -> None:
    def npy_of(value: object) -> bytes:
        target = io.BytesIO()
        np.save(target, np.array([value], dtype=object), allow_pickle=True)
        return target.getvalue()

    explanation = explain(tmp_path, "a.npy", npy_of("a"), npy_of("b"))
    assert "objects" in explanation.note
    assert "bytes differ" in explanation.summary


def test_explanation_names_the_first_differing_opcode_of_a_pickle(tmp_path: Path) -> None:
    left, right = (pickle.dumps({"rate": rate, "rest": list(range(100))}) for rate in (0.1, 0.2))
    explanation = explain(tmp_path, "model.pkl", left, right)
    change = field_of(explanation, "first differing opcode")
    assert change.left is not None
    assert change.left.startswith("BINFLOAT 0.1 at byte ")
    assert change.right is not None
    assert change.right.startswith("BINFLOAT 0.2 at byte ")
    position = int(change.left.rpartition(" ")[2])
    assert [offset for opcode, _, offset in pickletools.genops(left) if opcode.name == "BINFLOAT"] == [position]
    assert (
        explanation.summary
        == f"{sum(byte != other for byte, other in zip(left, right, strict=True))} of {len(left)} bytes differ, "
        "rate 0.1 → 0.2"
    )


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_explanation_names_a_class_that_only_one_pickle_refers_to(protocol: int, tmp_path: Path) -> None:
    left, right = (pickle.dumps([value], protocol) for value in (io.BytesIO, struct.Struct))
    explanation = explain(tmp_path, "model.pkl", left, right)
    changes = {(change.left, change.right) for change in explanation.fields if change.field == "global"}
    assert changes == {("_io.BytesIO", None), (None, "_struct.Struct")}
    assert "globals +_struct.Struct, −_io.BytesIO" in explanation.summary


def test_class_reference_through_the_memo_of_a_pickle_is_resolved(tmp_path: Path) -> None:
    # Both classes are in one module, so the pickle loads the second module name from the memo.
    left, right = pickle.dumps([io.BytesIO, io.StringIO], 4), pickle.dumps([io.BytesIO, io.BytesIO, 1], 4)
    explanation = explain(tmp_path, "model.pkl", left, right)
    assert [change.left for change in explanation.fields if change.field == "global"] == ["_io.StringIO"]


def test_explanation_names_both_protocols_of_two_pickles(tmp_path: Path) -> None:
    explanation = explain(tmp_path, "model.pkl", pickle.dumps([1], 4), pickle.dumps([1], 2))
    assert (field_of(explanation, "protocol").left, field_of(explanation, "protocol").right) == ("4", "2")


def test_pickle_with_long_values_is_scanned_to_its_end(tmp_path: Path) -> None:
    left, right = (pickle.dumps([bytes(300_000), bytearray(200_000), "ä" * 90_000, last]) for last in (1.0, 2.0))
    explanation = explain(tmp_path, "model.pkl", left, right)
    assert explanation.note == ""
    assert str(field_of(explanation, "first differing opcode").left).startswith("BINFLOAT 1.0")


@pytest.mark.parametrize(
    "left, right, summary",
    [
        (bytes(48_112), bytes(48_108) + b"1234", "4 of 48,112 bytes differ"),
        (bytes(10), bytes(12), "10 → 12 bytes"),
        (bytes(100), b"1" * 100, "100 of 100 bytes differ (100 %)"),
    ],
)
def test_file_of_an_unsupported_kind_is_explained_by_its_bytes(
    left: bytes, right: bytes, summary: str, tmp_path: Path
) -> None:
    explanation = explain(tmp_path, "weights.bin", left, right)
    assert (explanation.kind, explanation.summary, explanation.note) == ("bytes", summary, "")


def test_every_file_kind_is_documented_and_registered_once() -> None:
    kinds = [kind.kind for kind in FILE_KINDS]
    assert len(set(kinds)) == len(kinds)
    assert kinds[-1] == "bytes", "the kind that explains any pair comes last"
    page = (ROOT / "docs" / "explanations.md").read_text("utf-8")
    for kind in kinds:
        assert f"| {kind} |" in page, f"docs/explanations.md does not describe {kind}"

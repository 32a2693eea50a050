"""Random pairs of MLmodel files: if a pair is equivalent, MLflow loads the same model from both."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.models import Model

from tests.fuzz.pairs import Answers

pytestmark = [pytest.mark.fuzz, pytest.mark.timeout(0)]

IDENTITY = {"run_id", "model_id", "model_uuid", "artifact_path", "utc_time_created", "model_size_bytes"}

# Each list has notations that are equal, or that some YAML library could take for equal.
ALIKE = [
    ["yes", "true", "True", "on", "'yes'", "!!bool yes", "y"],
    ["1", "0x1", "0b1", "01", "+1", "1.0", "'1'", "!!int 1", "!!int '1'", "true", "1_", "1:0", "0o1"],
    ["''", '""', "!", "! ''", "", "null", "~", "!!null ''", "!!str", "!!str ''", "'~'", "|\n    "],
    ["2026-01-01", "'2026-01-01'", "2026-1-1", "!!timestamp 2026-01-01", "2026-99-99", "2026-01-01 00:00:00"],
    ["2026-01-01T00:00:00Z", "2026-01-01 00:00:00", "2026-01-01T01:00:00+01:00", "2026-01-01t00:00:00.0Z"],
    [".nan", ".NaN", "'.nan'", ".inf", "+.inf", "-.inf", "!!float nan"],
    ["0.0", "-0.0", "0", "-0", "0.", ".0", "1e-400", "1.0e-400", "!!float 0"],
    [
        "a",
        "'a'",
        '"a"',
        '"\\x61"',
        "|\n    a",
        "|-\n    a",
        ">-\n    a",
        "!!str a",
        "! a",
        "a # b",
        "&x a",
        "\ta",
        "a\t",
    ],
    ["'a b'", "a b", "a  b", "'a\n    b'", "a\n    b", '"a\\\n    \\ b"', "a\tb", '"a\u2028b"', '"a\\Lb"', '"a\x85b"'],
    ["!!binary YQ==", "!!binary YR==", "!!binary 'YQ='", "YQ==", "!!binary YQ==YQ=="],
    [
        "{a: 1, b: 2}",
        "{b: 2, a: 1}",
        "{a: 1,b: 2}",
        "{a: 1, ? b : 2}",
        "{'a': 1, \"b\": 2}",
        "{a:1, b: 2}",
        "{a:\t1, b: 2}",
    ],
    ["{1: a, 0x1: b}", "{0x1: b, 1: a}", "{1: a, true: b}", "{true: b, 1: a}", "{1: b}", "{1.0: b}", "{yes: b}"],
    ["{<<: {a: 1}, a: 2}", "{a: 2}", "{a: 2, <<: {a: 1}}", "{'<<': {a: 1}, a: 2}", "{<<: [{a: 2}, {a: 1}]}"],
    [
        "[a, b]",
        "[a, b,]",
        "- a\n  - b",
        "['a', b]",
        "[a b]",
        "[b, a]",
        "[a,\n\n  b]",
        "!!seq [a, b]",
        "!!python/tuple [a, b]",
    ],
    ["!!set {a, b}", "{a, b}", "{a: , b: }", "{a: null, b: ~}", "!!omap [a: 1]", "[a: 1]", "!!pairs [a: 1]"],
    ["&x [*x]", "[&x a, *x]", "[a, a]", "[&x a, *y]", "[&x {<<: *x}]"],
    ["!!python/name:os.system ''", "!!python/object/apply:os.getcwd []", "!!int abc", "!mine a", "=", "{=: a}"],
    ["é", '"\\u00e9"', '"\\xe9"', "e\u0301", "\ufeffé", "\u2028", "\x85"],
]
KEYS = [
    "a",
    "b",
    "'a'",
    "metadata",
    "signature",
    "1",
    "0x1",
    "true",
    "yes",
    "null",
    "~",
    "<<",
    "=",
    "!!str a",
    "self",
    "? a\n",
    "2026-01-01",
]
TEXTS = [
    "a",
    "'1'",
    "1",
    "null",
    "b",
    "true",
    "2026-01-01",
    "2026-01-01 00:00:00",
    "[a]",
    "''",
    "!",
    "!!binary YQ==",
    "1.5",
]
FLAVORS = ["python_function", "langchain", "sklearn", "'python_function'", "llama_index", "1", "!!binary YQ=="]
PATHS = [
    "/a/p.py",
    "/b/p.py",
    "p.py",
    "'/a/p.py'",
    "/a/q.py",
    "/a/",
    "/b/",
    "1",
    "a/1",
    "null",
    "!!binary YQ/YQ==",
    "[a]",
]
# Fields that MLflow writes in random order or does not read, with values that it may also read or order otherwise.
UNREAD = [
    (
        "lightgbm",
        "skops_trusted_types: ",
        ["[a, b]", "[b, a]", "['a', b]", "[a, a, b]", "[1, a]", "'a, b'", "[a, [b]]"],
    ),
    ("sklearn", "skops_trusted_types: ", ["[a, b]", "[b, a]"]),
    ("sentence_transformers", "source_model_name: ", ["a", "/b", "null", "1"]),
    ("transformers", "model_binary: model\n    source_model_name: ", ["/a", "/b", "a", "1", "null"]),
    ("transformers", "source_model_name: ", ["/a", "/b", "a"]),
    ("transformers", "model_binary: model\n    inference_task: x\n    source_model_name: ", ["/a", "/b"]),
    ("python_function", "artifacts: {a: {path: p, uri: ", ["/a}}", "/b}}", "1}}", "null}}", "/a, path2: 1}}"]),
    ("python_function", "artifacts: {a: {uri: x, path: ", ["a}}", "b}}", "'a'}}"]),
]
LOADERS = [
    "mlflow.pyfunc.model",
    "mlflow.pyfunc.model",
    "mlflow.pyfunc.loaders.chat_agent",
    "m",
    "'mlflow.pyfunc.model'",
]
SIGNATURE = """\
signature:
  inputs: '[{"type": "double", "name": "x", "required": true}]'
  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}]'
  params: null
"""
# Inserted, removed or exchanged at random places.
PIECES = [
    *" \t\n\r:#-?!&*'\"|>%@`{}[],~\\",
    "\r\n",
    "\x85",
    "\u2028",
    "\ufeff",
    "\x00",
    "...\n",
    "---\n",
    "%YAML 1.1\n---\n",
    "!!",
    "<<: ",
    "\n  ",
]


@st.composite
def lines(draw: st.DrawFn) -> tuple[str, str]:
    """Return the text of one field in the left file and in the right file."""
    kind = draw(st.sampled_from(["identity", "alike", "alike", "path", "unread", "signature", "version"]))
    if kind == "identity":
        field = draw(st.sampled_from(sorted(IDENTITY)))
        usual = "'x'" if field != "model_size_bytes" else "5"
        left, right = (draw(st.sampled_from([usual] * 4 * len(TEXTS) + TEXTS)) for _ in range(2))
        halves = [f"{field}: {left}\n", f"{field}: {right}\n"]
        return draw(st.sampled_from([(halves[0], halves[1]), (halves[0], ""), ("", halves[1])]))
    if kind == "path":
        flavor = draw(st.sampled_from(FLAVORS))
        left, right = (draw(st.sampled_from(PATHS)) for _ in range(2))
        text = f"flavors:\n  {flavor}:\n    loader_module: m\n    model_code_path: "
        return f"{text}{left}\n", f"{text}{right}\n"
    if kind == "unread":
        flavor, field, values = draw(st.sampled_from(UNREAD))
        left, right = (draw(st.sampled_from(values)) for _ in range(2))
        text = f"flavors:\n  {flavor}:\n    loader_module: {draw(st.sampled_from(LOADERS))}\n    {field}"
        return f"{text}{left}\n", f"{text}{right}\n"
    if kind == "signature":
        return SIGNATURE, SIGNATURE
    if kind == "version":
        return "mlflow_version: 3.17.2\n", "mlflow_version: '3.17.2'\n"
    key = draw(st.sampled_from(["metadata", *"abcdefgh"] * 8 + KEYS))
    group = draw(st.sampled_from(ALIKE))
    left = draw(st.sampled_from(group))
    right = left if draw(st.sampled_from([True] * 4 + [False])) else draw(st.sampled_from(group))
    separator = draw(st.sampled_from([": ", ": ", ": ", ":\n  ", ":\t", " : "]))
    return f"{key}{separator}{left}\n", f"{key}{separator}{right}\n"


@st.composite
def pairs(draw: st.DrawFn) -> tuple[bytes, bytes]:
    # Equal names would make most pairs invalid. Other notations of one name remain.
    fields = draw(
        st.lists(lines(), min_size=1, max_size=5, unique_by=lambda halves: max(halves).partition(":")[0].strip())
    )
    left, right = ("".join(half) for half in zip(*fields, strict=True))
    if draw(st.sampled_from([False, False, False, True])):
        right = "".join(line for _, line in draw(st.permutations(fields)))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 1, 2]))):
        piece, length = draw(st.sampled_from(PIECES)), draw(st.integers(0, 2))
        place = draw(st.integers(0, max(len(left), len(right))))
        is_in = draw(st.sampled_from(["left", "right", "both"]))
        if is_in != "right":
            left = left[:place] + piece + left[place + length :]
        if is_in != "left":
            right = right[:place] + piece + right[place + length :]
    return left.encode(), right.encode()


def typed(value: Any) -> Any:
    """Return a value in a form that is equal only for equal types and values, whatever the order of keys."""
    if isinstance(value, dict):
        return "dict", sorted(((repr(key), typed(item)) for key, item in value.items()), key=repr)
    if isinstance(value, list):
        return "list", [typed(item) for item in value]
    return type(value).__name__, repr(value)


def loaded(text: bytes) -> Any:
    """Return the model that MLflow loads, without the fields that MLflow rewrites, such as the run ID."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "MLmodel")
        file.write_bytes(text)
        with file.open() as stream:
            fields = yaml.safe_load(stream)
        assert isinstance(fields, dict), fields
        try:
            model = Model.load(str(file)).to_dict()
        except Exception as error:  # noqa: BLE001  # such as a signature that MLflow does not know
            return type(error)
    model = {name: value for name, value in model.items() if name not in IDENTITY}
    for flavor in ("python_function", "langchain"):
        fields = model["flavors"].get(flavor) if isinstance(model.get("flavors"), dict) else None
        if isinstance(fields, dict) and isinstance(path := fields.get("model_code_path"), str):
            fields["model_code_path"] = path.rpartition("/")[2] or path
    for flavor, fields in model["flavors"].items() if isinstance(model.get("flavors"), dict) else ():
        if isinstance(fields, dict):
            remove_unread(flavor, fields)
    return typed(model)


def remove_unread(flavor: str, fields: dict[str, Any]) -> None:
    """Remove what MLflow does not read of a flavor, or sort it if MLflow ignores the order."""
    types = fields.get("skops_trusted_types")
    if flavor == "lightgbm" and isinstance(types, list) and all(isinstance(name, str) for name in types):
        types.sort()
    name, binary = fields.get("source_model_name"), fields.get("model_binary")
    has_weights = (
        isinstance(name, str) and name.startswith("/") and binary == "model" and "inference_task" not in fields
    )
    if isinstance(name, str) and (flavor == "sentence_transformers" or (flavor == "transformers" and has_weights)):
        fields["source_model_name"] = ""
    loader, artifacts = fields.get("loader_module"), fields.get("artifacts")
    if flavor == "python_function" and isinstance(artifacts, dict) and str(loader).startswith("mlflow.pyfunc."):
        for artifact in artifacts.values():
            if isinstance(artifact, dict) and isinstance(artifact.get("uri"), str):
                artifact["uri"] = ""


def test_mlflow_loads_the_same_model_from_two_equivalent_mlmodel_files() -> None:
    answers = Answers()

    @settings(settings.get_profile("fuzz"))
    @given(pairs())
    def check(pair: tuple[bytes, bytes]) -> None:
        left, right = pair
        if left != right and answers.is_equivalent("MLmodel", left, right):
            assert loaded(left) == loaded(right)

    check()
    answers.check()

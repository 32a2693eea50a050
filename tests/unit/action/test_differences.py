"""What the step's summary says of each file that differs: for a reader with ten seconds, and for one with more."""

from __future__ import annotations

import pickle
import re
import struct
from collections.abc import Mapping
from html import unescape
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt

from model_gate.access.redaction import Redactor
from model_gate.action.summary import MAX_BYTES, summary
from model_gate.domain.difference import Difference, DifferenceKind, FileType
from tests.support.action_outcomes import check, comparison, difference, explained
from tests.support.explained import explain, safetensors, zipped

MARKDOWN = MarkdownIt("gfm-like", {"linkify": False, "html": True})
MLMODEL = {"run_id": "1", "mlflow_version": "3.17.2", "signature": {"inputs": '[{"name": "age", "type": "long"}]'}}


def changed(**fields: object) -> bytes:
    return yaml.safe_dump(MLMODEL | fields).encode()


def real(directory: Path, path: str, left: bytes, right: bytes) -> Difference:
    """The difference of these contents, as it is found and explained."""
    told = explain(directory, path, left, right)
    offset = next((at for at, pair in enumerate(zip(left, right, strict=False)) if len(set(pair)) > 1), len(left))
    more = {"left_size": len(left), "right_size": len(right), "offset": offset}
    return difference(path, rewrite_reason=told.rewrite_reason, explanation=told, **more)


def told_of(*found: Difference) -> str:
    return summary(
        check(comparison(*found, equivalent=all(each.rewrite_reason for each in found))), "r.json", Redactor()
    )


def section(page: str, title: str) -> str:
    """What is behind the title that begins like this, as a reader sees it: cells with bars between them."""
    html = MARKDOWN.render(page)
    start = html.index(f"<details><summary>{title}")
    depth, position = 0, start
    for tag in re.finditer(r"</?details>", html[start:]):
        depth += 1 if tag[0] == "<details>" else -1
        if depth == 0:
            position = start + tag.end()
            break
    return plain(html[start:position])


def plain(html: str) -> str:
    cells = re.sub(r"</t[hd]>\s*(?=<t[hd])", " | ", html)
    return unescape(re.sub(r"<[^>]+>", "", cells))


def floats(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


TENSOR = {"w": ("F32", [2], floats(1, 2))}
CASES: Mapping[str, tuple[str, bytes, bytes, tuple[str, ...]]] = {
    "MLmodel": (
        "MLmodel",
        changed(),
        changed(run_id="2", mlflow_version="3.18.0", signature={"inputs": '[{"name": "age", "type": "double"}]'}),
        (
            "MLmodel: signature changed (inputs.age long → double)",
            "Field | First model | Second model | What it means",
            "signature.inputs.age | long | double | what the model takes or gives changed",
            "mlflow_version | 3.17.2 | 3.18.0 | logged by another version of MLflow",
            "What is rewritten anyway: run_id",
        ),
    ),
    "packages": (
        "requirements.txt",
        b"pandas==2.3\nscikit-learn==1.5.2\nold\n",
        b"pandas==2.3\nscikit-learn==1.6.0\n",
        (
            "requirements.txt: scikit-learn 1.5.2 → 1.6.0",
            "Package | First model | Second model",
            "scikit-learn | 1.5.2 | 1.6.0",
            "old | (any) | not there",
        ),
    ),
    "packages in other words": (
        "requirements.txt",
        b"a==1\nb==1\n",
        b"b==1\na==1\n",
        ("requirements.txt: the same packages", "+b==1\n", "-b==1\n"),
    ),
    "JSON": (
        "settings.json",
        b'{"a": {"b": [1, 2]}}',
        b'{"a": {"b": [1, 3]}}',
        ("settings.json: a.b[1] 2 → 3", "Path | First model | Second model", "a.b[1] | 2 | 3"),
    ),
    "YAML": ("settings.yaml", b"a: 1\n", b"a: '1'\nb: 2\n", ("read as YAML", "a | 1 | 1", "b | not there | 2")),
    "text": (
        "code/rule.py",
        b"LIMIT = 3\n",
        b"LIMIT = 4\n",
        ("code/rule.py: 1 line added, 1 line removed", "-LIMIT = 3\n+LIMIT = 4"),
    ),
    "safetensors": (
        "model.safetensors",
        safetensors(TENSOR),
        safetensors(TENSOR | {"w": ("F32", [2], floats(1, 2.5))}),
        (
            "Tensor | First model | Second model | What it means",
            "w | float32 2 | float32 2 | 1 of 2 elements changed, largest difference 0.5",
        ),
    ),
    "archive": (
        "model.pt",
        zipped({"model/data/0": b"\0\1\2\3", "model/version": b"3"}),
        zipped({"model/data/0": b"\0\1\2\4", "model/new": b"3"}),
        (
            "Member | First model | Second model | What it means",
            "model/data/0 | 4 bytes | 4 bytes | 1 of 4 bytes differ (25 %)",
            "model/version | 1 byte | not there",
            "model/new | not there | 1 byte",
        ),
    ),
    "pickle": (
        "model.pkl",
        pickle.dumps([1, "a"]),
        pickle.dumps([2, Path]),
        (
            "Part | First model | Second model | What it means",
            "global | not there | pathlib.Path | only the second refers to it",
            "first differing opcode | ",
        ),
    ),
    "bytes": (
        "weights.bin",
        b"\0\1\2\3",
        b"\0\1\2\4",
        ("weights.bin: 1 of 4 bytes differ (25 %)", "read as bytes: 4 bytes, the first that differs is byte 3."),
    ),
    "damaged": (
        "model.pkl",
        pickle.dumps(list(range(99)))[:-9],
        pickle.dumps(list(range(98))),
        ("Note: could not be explained as pickle: it is no pickle to its end",),
    ),
}


@pytest.mark.parametrize("kind", CASES)
def test_each_kind_of_file_folds_out_to_what_is_known_of_it(kind: str, tmp_path: Path) -> None:
    path, left, right, said = CASES[kind]
    page = told_of(real(tmp_path, path, left, right))
    shown = section(page, f"<code>{path}</code>")
    for text in said:
        assert text in shown, shown
    # The first look has it too.
    assert f"| <code>{path}</code> | run model and registry model | " in page


def test_what_decides_is_seen_first_and_what_is_rewritten_anyway_last(tmp_path: Path) -> None:
    skops = zipped({"a": b"1"}), zipped({"a": b"1"}, year=2026)
    page = told_of(
        real(tmp_path, "data/model.pth", *skops),
        real(tmp_path, "MLmodel", changed(), changed(run_id="2")),
        real(tmp_path, "weights.bin", b"\0\1", b"\0\2"),
        real(tmp_path, "requirements.txt", b"a==1\n", b"a==2\n"),
    )
    titles = re.findall(r"<details><summary><code>(.*?)</code>", page)
    assert titles == ["requirements.txt", "weights.bin", "MLmodel", "data/model.pth"]
    rows = re.findall(r"^\| <code>(\S+?)</code> \| run model", page, re.MULTILINE)
    assert rows == titles
    # Before the tables of where the models are and come from.
    assert page.index("### What differs") < page.index("What to do next") < page.index("| Model version |")


def test_what_is_only_rewritten_is_said_to_say_nothing(tmp_path: Path) -> None:
    page = told_of(real(tmp_path, "MLmodel", changed(), changed(run_id="2")))
    shown = section(page, "<code>MLmodel</code>")
    assert "It says nothing about the model: only run_id differs." in shown
    assert "Field | First model | Second model | Rewritten anyway" in shown
    assert "run_id | 1 | 2 | the run that logged it" in shown
    assert "nothing about the model: only run_id differs |" in plain(MARKDOWN.render(page)).replace("\n", " |")


def test_what_is_rewritten_in_a_file_that_differs_is_behind_a_title_of_its_own(tmp_path: Path) -> None:
    page = told_of(real(tmp_path, "MLmodel", changed(), changed(run_id="2", mlflow_version="3.18.0")))
    whole, nested = section(page, "<code>MLmodel</code>"), section(page, "What is rewritten anyway: <code>run")
    assert "run_id | 1 | 2" in nested
    assert whole.index("mlflow_version | 3.17.2 | 3.18.0") < whole.index("run_id | 1 | 2")
    assert "mlflow_version" not in nested


def test_a_file_that_only_one_model_has_needs_no_more_than_its_line() -> None:
    page = told_of(
        difference("a.txt", kind=DifferenceKind.ONLY_LEFT, right_size=None, offset=None),
        difference("b", kind=DifferenceKind.TYPE, left_type=FileType.FILE, right_type=FileType.DIRECTORY, offset=None),
    )
    assert "only in the first model (3 bytes) | one of the models lacks it |" in page
    assert "a file in the first model, a directory in the second | the models are built differently |" in page
    assert "<details><summary><code>" not in page


def test_many_fields_are_cut_with_their_number(tmp_path: Path) -> None:
    left, right = ("".join(f"p{number}=={version}\n" for number in range(30)).encode() for version in (1, 2))
    shown = section(told_of(real(tmp_path, "requirements.txt", left, right)), "<code>requirements.txt</code>")
    assert "… and 15 more, in the report." in shown
    assert len(re.findall(r"p\d+ \| 1 \| 2", shown)) == 15


def test_endless_explanations_stay_within_the_budget_and_say_that_there_is_more() -> None:
    text = "\u202e|" * 4_000
    page = told_of(*(explained(f"{number}{text}", text) for number in range(2_000)))
    assert len(page.encode()) <= MAX_BYTES
    assert "What else is known of these files is in the report." in page or page.count("<details>") > 8
    assert page.count("<details>") == page.count("</details>")
    assert "Full report" in page

"""The differences in the step's summary: the table of files and the collapsible explanations."""

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
from model_gate.action.differences import LabeledDifference, first_differences
from model_gate.action.markdown import Markdown
from model_gate.action.summary import MAX_BYTES, summary
from model_gate.domain.difference import Difference, DifferenceKind, Explanation, FieldChange, FileType
from model_gate.explanation.one_sided import explain_one_sided
from model_gate.reporting.naming import SideNames
from tests.support.action_outcomes import check, comparison, difference, explained
from tests.support.explained import explain, safetensors, zipped

MARKDOWN = MarkdownIt("gfm-like", {"linkify": False, "html": True})
MLMODEL = {"run_id": "1", "mlflow_version": "3.17.2", "signature": {"inputs": '[{"name": "age", "type": "long"}]'}}


def changed(**fields: object) -> bytes:
    return yaml.safe_dump(MLMODEL | fields).encode()


def real_difference(directory: Path, path: str, left: bytes, right: bytes) -> Difference:
    """Return the difference of two files with these contents, and with the explanation that Model Gate gives it."""
    explanation = explain(directory, path, left, right)
    offset = next((at for at, pair in enumerate(zip(left, right, strict=False)) if len(set(pair)) > 1), len(left))
    more = {"left_size": len(left), "right_size": len(right), "offset": offset}
    return difference(path, rewrite_reason=explanation.rewrite_reason, explanation=explanation, **more)


def summary_of(*differences: Difference) -> str:
    """Return the summary of a check with these differences."""
    is_equivalent = all(difference.rewrite_reason for difference in differences)
    return summary(check(comparison(*differences, equivalent=is_equivalent)), "r.json", Redactor())


def section(markdown: str, title: str) -> str:
    """Return the text of the collapsible section whose title starts with `title`. Table cells are separated by `|`."""
    html = MARKDOWN.render(markdown)
    start = html.index(f"<details><summary>{title}")
    depth, position = 0, start
    for tag in re.finditer(r"</?details>", html[start:]):
        depth += 1 if tag[0] == "<details>" else -1
        if depth == 0:
            position = start + tag.end()
            break
    return plain(html[start:position])


def plain(html: str) -> str:
    cells = re.sub(r"</t[hd]>\s*(?=<t[hd])", " | ", html.replace("<br>", "\n"))
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
            "Field | run model → registry model",
            "signature.inputs.age | long → double\nwhat the model takes or gives changed",
            "mlflow_version | 3.17.2 → 3.18.0\nlogged by another version of MLflow",
            "What is rewritten anyway: run_id",
        ),
    ),
    "packages": (
        "requirements.txt",
        b"pandas==2.3\nscikit-learn==1.5.2\nold\n",
        b"pandas==2.3\nscikit-learn==1.6.0\n",
        (
            "requirements.txt: scikit-learn 1.5.2 → 1.6.0",
            "Package | run model → registry model",
            "scikit-learn | 1.5.2 → 1.6.0",
            "old | (any) → not there",
        ),
    ),
    "equal packages in another order": (
        "requirements.txt",
        b"a==1\nb==1\n",
        b"b==1\na==1\n",
        ("requirements.txt: the same packages", "+b==1\n", "-b==1\n"),
    ),
    "JSON": (
        "settings.json",
        b'{"a": {"b": [1, 2]}}',
        b'{"a": {"b": [1, 3]}}',
        ("settings.json: a.b[1] 2 → 3", "Path | run model → registry model", "a.b[1] | 2 → 3"),
    ),
    "YAML": ("settings.yaml", b"a: 1\n", b"a: '1'\nb: 2\n", ("read as YAML", "a | 1 → 1", "b | not there → 2")),
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
            "Tensor | run model → registry model",
            "w | float32 2 → float32 2\n1 of 2 elements changed, largest difference 0.5",
        ),
    ),
    "archive": (
        "model.pt",
        zipped({"model/data/0": b"\0\1\2\3", "model/version": b"3"}),
        zipped({"model/data/0": b"\0\1\2\4", "model/new": b"3"}),
        (
            "Member | run model → registry model",
            "model/data/0 | 4 bytes → 4 bytes\n1 of 4 bytes differ (25 %)",
            "model/version | 1 byte → not there",
            "model/new | not there → 1 byte",
        ),
    ),
    "pickle": (
        "model.pkl",
        pickle.dumps([1, "a"]),
        pickle.dumps([2, Path]),
        (
            "Part | run model → registry model",
            "global | not there → pathlib.Path\na class or function to which only one of the models refers",
            "first differing opcode | ",
        ),
    ),
    "bytes": (
        "weights.bin",
        b"\0\1\2\3",
        b"\0\1\2\4",
        ("weights.bin: 1 of 4 bytes differ (25 %)", "read as bytes: 4 bytes, the first byte that differs is byte 3."),
    ),
    "damaged": (
        "model.pkl",
        pickle.dumps(list(range(99)))[:-9],
        pickle.dumps(list(range(98))),
        ("Note: could not be explained as pickle: the left file is cut off or damaged: ",),
    ),
}


@pytest.mark.parametrize("kind", CASES)
def test_collapsible_section_of_each_file_kind_shows_the_explanation(kind: str, tmp_path: Path) -> None:
    path, left, right, expected = CASES[kind]
    markdown = summary_of(real_difference(tmp_path, path, left, right))
    shown = section(markdown, f"<code>{path}</code>")
    for text in expected:
        assert text in shown, shown
    assert f"| <code>{path}</code> | " in markdown


def test_files_that_mlflow_only_rewrote_come_last_in_the_summary(tmp_path: Path) -> None:
    skops = zipped({"a": b"1"}), zipped({"a": b"1"}, year=2026)
    markdown = summary_of(
        real_difference(tmp_path, "data/model.pth", *skops),
        real_difference(tmp_path, "MLmodel", changed(), changed(run_id="2")),
        real_difference(tmp_path, "weights.bin", b"\0\1", b"\0\2"),
        real_difference(tmp_path, "requirements.txt", b"a==1\n", b"a==2\n"),
    )
    titles = re.findall(r"<details><summary><code>(.*?)</code>", markdown)
    assert titles == ["weights.bin", "requirements.txt", "data/model.pth", "MLmodel"]
    first_table = markdown.partition("### What differs")[2].partition("<details>")[0]
    rows = re.findall(r"^\| <code>(\S+?)</code> \|", first_table, re.MULTILINE)
    assert rows == titles
    # The table of differences precedes the tables of models and lineage.
    assert markdown.index("### What differs") < markdown.index("What to do next") < markdown.index("| Files |")


def test_summary_says_that_a_new_run_id_in_mlmodel_does_not_affect_the_model(tmp_path: Path) -> None:
    markdown = summary_of(real_difference(tmp_path, "MLmodel", changed(), changed(run_id="2")))
    shown = section(markdown, "<code>MLmodel</code>")
    assert "It says nothing about the model: only run_id differs." in shown
    assert "Field | run model → registry model" in shown
    assert "run_id | 1 → 2\nrewritten: the run that logged it" in shown
    assert "only run_id differs\nno change of the model" in plain(MARKDOWN.render(markdown))


def test_fields_that_mlflow_rewrites_have_their_own_section_in_the_summary(tmp_path: Path) -> None:
    markdown = summary_of(real_difference(tmp_path, "MLmodel", changed(), changed(run_id="2", mlflow_version="3.18.0")))
    outer, nested = section(markdown, "<code>MLmodel</code>"), section(markdown, "What is rewritten anyway: <code>run")
    assert "run_id | 1 → 2" in nested
    assert outer.index("mlflow_version | 3.17.2 → 3.18.0") < outer.index("run_id | 1 → 2")
    assert "mlflow_version" not in nested


def test_file_without_a_counterpart_file_gets_no_collapsible_section() -> None:
    markdown = summary_of(
        difference("a.txt", kind=DifferenceKind.ONLY_LEFT, right_size=None, offset=None),
        difference("b", kind=DifferenceKind.TYPE, left_type=FileType.FILE, right_type=FileType.DIRECTORY, offset=None),
    )
    assert "| <code>a.txt</code> | only in the run model (3 bytes) |" in markdown
    assert (
        "a file in the run model, a directory in the registry model<br>the models are built differently |" in markdown
    )
    assert "<details><summary><code>" not in markdown


def test_summary_shows_the_number_of_omitted_fields(tmp_path: Path) -> None:
    left, right = ("".join(f"p{number}=={version}\n" for number in range(30)).encode() for version in (1, 2))
    shown = section(
        summary_of(real_difference(tmp_path, "requirements.txt", left, right)), "<code>requirements.txt</code>"
    )
    assert "… and 15 more, in the report." in shown
    assert len(re.findall(r"p\d+ \| 1 → 2", shown)) == 15


def test_long_explanations_are_cut_at_the_size_limit_of_the_summary() -> None:
    text = "\u202e|" * 4_000
    markdown = summary_of(*(explained(f"{number}{text}", text) for number in range(2_000)))
    assert len(markdown.encode()) <= MAX_BYTES
    assert markdown.count("<details>") == markdown.count("</details>")
    assert "Full report" in markdown


def test_summary_has_the_advice_for_a_file_in_only_one_model() -> None:
    path = "code/__pycache__/model.cpython-311.pyc"
    text = section(
        summary_of(
            Difference(path, DifferenceKind.ONLY_RIGHT, right_size=1_234, explanation=explain_one_sided(path)),
        ),
        "<code>code/",
    )
    assert "read as bytecode: 1,234 bytes." in text
    assert "Set PYTHONDONTWRITEBYTECODE=1" in text


def test_summary_says_why_a_difference_is_more_than_a_rewrite() -> None:
    field = FieldChange("uri", "/a", "/b", meaning="the files that it reads changed")
    explanation = Explanation("MLmodel", "uri /a → /b", (field,), unmet_condition="artifacts/a is in neither model")
    markdown = summary_of(difference("MLmodel", explanation=explanation))
    why = "this counts as a difference, because artifacts/a is in neither model"
    first_table = plain(MARKDOWN.render(markdown.partition("<details>")[0]))
    assert f"uri /a → /b\n{why}" in first_table
    assert f"T{why[1:]}." in section(markdown, "<code>MLmodel")


def test_file_of_a_seal_without_sizes_has_no_size_and_no_missing_counterpart() -> None:
    digests = Explanation("sha256", "other bytes", (FieldChange("sha256", "0" * 64, "1" * 64),))
    markdown = summary_of(
        difference("model.pkl", left_size=None, offset=None, explanation=digests),
        difference("gone.txt", kind=DifferenceKind.ONLY_LEFT, left_size=None, right_size=None, offset=None),
    )
    assert "| <code>model.pkl</code> | other bytes |" in markdown
    assert "| <code>gone.txt</code> | only in the run model |" in markdown
    assert "0 bytes" not in markdown


def test_summary_says_why_the_changed_content_of_compared_bytes_is_not_shown() -> None:
    note = "could not be explained as archive: it is too large"
    bytes_differ = Explanation("bytes", "2 of 10 bytes differ", note=note)
    reason = "Which content changed is not shown: it is too large."
    markdown = unescape(summary_of(difference("model.bin", explanation=bytes_differ)))
    assert f"2 of 10 bytes differ<br>All bytes were compared; the first that differs is byte 1. {reason} |" in markdown


@pytest.mark.parametrize(
    "count, title, more",
    [
        (600, "The first 500 of 600 differences", "… and 100 more, in the report."),
        (3_000, "The first 500 of 3,000 differences", "… and 2,500 more; the report lists the first 1,000."),
    ],
)
def test_list_of_differences_says_how_many_it_and_the_report_have(count: int, title: str, more: str) -> None:
    markdown = summary_of(*(difference(f"{number}") for number in range(count)))
    assert f"<summary>{title}</summary>" in markdown
    assert more in unescape(markdown)


def test_explanations_that_do_not_fit_are_left_to_the_report() -> None:
    labeled = LabeledDifference("run models", explained("a", "b" * 900), SideNames())
    sections = first_differences([labeled], Markdown(Redactor()), max_explanation_bytes=1_000)
    assert sections[-1] == "What else is known of these files is in the report."


def test_long_paths_in_the_summary_keep_the_names_of_the_files() -> None:
    names = [f"part-{number:05}-of-00002.parquet" for number in (1, 2)]
    markdown = summary_of(*(difference(f"artifacts/{'tables/' * 40}{name}") for name in names))
    shown = unescape(re.sub("<wbr>", "", markdown))
    for name in names:
        assert re.search(rf"^\| <code>artifacts/[^ ]*…[^ ]*/{name}</code> \|", shown, re.MULTILINE)

"""What the workflow is told: safe whatever names say, within the runner's limits, and without secrets."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from model_gate.access.redaction import Redactor
from model_gate.action.annotations import annotations_for
from model_gate.action.diagram import diagram_of
from model_gate.action.escape import command_data, command_property, cut, html_text, log_text, mermaid_text, one_line
from model_gate.action.outputs import OUTPUTS, UNDECIDED, outputs_of
from model_gate.action.summary import MAX_BYTES, summary
from model_gate.domain.result import IgnoredPath, Outcome
from model_gate.domain.verdict import Require
from model_gate.errors import ConfigError, NotFoundError
from model_gate.reporting.terminal import verdict_text
from tests.support.action_outcomes import HOSTILE, check, compare, comparison, difference, explained

NOBODY = Redactor()
MARKDOWN = MarkdownIt("gfm-like", {"linkify": False, "html": True})


def is_command(line: str) -> bool:
    """Whether the runner would take the line for a command: in C#, Trim() takes off any white space."""
    return line.strip().startswith("::") or "##[" in line


@given(st.text())
@pytest.mark.parametrize("around", ["{}", "  {}", "path: {}", "{}\n{}"])
def test_no_text_makes_a_workflow_command_in_the_log(around: str, text: str) -> None:
    told = log_text(around.format(text, text))
    assert [line for line in re.split(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]", told) if is_command(line)] == []


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_make_no_command_in_the_log(text: str) -> None:
    outcome = compare(comparison(explained(text, text)), comparison(), name=text)
    told = log_text(verdict_text(outcome, None))
    assert [line for line in told.splitlines() if is_command(line)] == []


@pytest.mark.parametrize("text", HOSTILE)
def test_an_annotation_is_one_command_with_our_title_only(text: str) -> None:
    outcome = check(comparison(difference(text)), name=text)
    for each in annotations_for(outcome, config_file=text, fails_on_difference=True):
        told = each.command(NOBODY)
        assert told.count("\n") + told.count("\r") == 0
        assert "##[" not in told
        properties = told.removeprefix("::error ").partition("::")[0]
        assert [part.partition("=")[0] for part in properties.split(",")] == ["title", "file"]


def test_command_data_and_properties_are_escaped_as_the_runner_unescapes_them() -> None:
    assert command_data("a%0A\r\n:,") == "a%250A%0D%0A:,"
    assert command_property("a%0A\r\n:,") == "a%250A%0D%0A%3A%2C"


def text_of(markdown: str) -> tuple[set[str], str]:
    """The elements of the page, and the text on it."""
    page = MARKDOWN.render(markdown)
    return set(re.findall(r"<([a-z0-9]+)[ >/]", page)), page


PLAIN = {
    "h2",
    "h3",
    "p",
    "strong",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "code",
    "br",
    "pre",
    "details",
    "summary",
}


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_only_text_in_the_summary(text: str) -> None:
    found = [explained(text, text), *(difference(f"{text}{number}") for number in range(20))]
    outcome = compare(comparison(*found, uri=text), comparison(uri=text), name=text)
    told = summary(outcome, text, NOBODY)
    elements, page = text_of(told)
    harmless, _ = text_of(
        summary(compare(comparison(*(explained("a", "a") for _ in range(21))), comparison()), "a", NOBODY)
    )
    assert elements <= PLAIN
    assert page.count("<details>") == page.count("</details>")
    assert elements == harmless
    rows = [line for line in told.splitlines() if line.startswith("| ")]
    assert {line.count("|") for line in rows} == {6, 5, 8}


@given(st.text(max_size=200))
def test_any_text_is_only_text_in_html_and_comes_out_as_it_was(text: str) -> None:
    elements, page = text_of(f"a <code>{html_text(text)}</code>")
    assert elements <= {"p", "code"}
    assert "\n" not in html_text(text)
    shown = page.removeprefix("<p>a <code>").removesuffix("</code></p>\n")
    unescaped = shown.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&amp;", "&")
    assert unescaped == one_line(text)


@given(st.text(max_size=200))
def test_a_mermaid_label_has_nothing_that_ends_it(text: str) -> None:
    told = mermaid_text(text)
    assert re.sub(r"#\d+;", "", told) == "".join(
        re.findall(r"[0-9A-Za-z ,/\u00a1-\U0010ffff]", re.sub(r"#\d+;", "", told))
    )


def test_the_summary_stays_within_its_budget() -> None:
    names = ["|" * 200 + str(number) for number in range(3_000)]
    many = comparison(*(explained(name, name * 3) for name in names))
    told = summary(compare(many, many, name=names[0] * 50), "report.json", NOBODY)
    assert len(told.encode()) <= MAX_BYTES
    assert "more are in the report" in told
    assert told.rstrip().endswith("report.json</code>".replace(".", ".")) or "Full report" in told
    assert told.count("<details>") == told.count("</details>")


def test_an_endless_error_stays_within_the_limits() -> None:
    outcome = Outcome(None, error=NotFoundError("|" * 2_000_000, "<" * 2_000_000))
    assert len(summary(outcome, "report.json", NOBODY).encode()) <= MAX_BYTES
    (error,) = annotations_for(outcome, config_file="", fails_on_difference=True)
    assert len(error.command(NOBODY)) < 4_096


def test_no_secret_is_in_anything_that_is_told() -> None:
    secret = "p4ss|w:rd"
    redactor = Redactor([secret])
    outcome = compare(comparison(explained(secret, secret), uri=f"s3://{secret}"), comparison(), name=secret)
    told = summary(outcome, secret, redactor) + "\n".join(diagram_of(outcome, redactor))
    for each in annotations_for(outcome, config_file="", fails_on_difference=True):
        told += each.command(redactor)
    for form in (secret, html_text(secret), mermaid_text(secret), secret[:6]):
        assert form not in told


@pytest.mark.parametrize(
    "outcome, headline",
    [
        (check(comparison()), "## ✅ The models are the same"),
        (check(comparison(difference("model.pkl"))), "## ❌ The models differ"),
        (
            check(comparison(difference("MLmodel"), equivalent=True)),
            "## ❌ The models are equivalent, but not the same",
        ),
        (
            compare(comparison(difference("MLmodel"), equivalent=True), comparison(), require=Require.EQUIVALENT),
            "## ✅ The models are equivalent, but not the same",
        ),
        (Outcome(None, error=NotFoundError("No.", "Do.")), "## ⛔ It could not be decided"),
    ],
)
def test_the_verdict_comes_first(outcome: Outcome, headline: str) -> None:
    assert summary(outcome, "report.json", NOBODY).startswith(headline)


def test_what_mlflow_makes_by_itself_comes_last() -> None:
    found = comparison(difference("MLmodel", rewrite_reason="only run_id differ"), difference("model.pkl"))
    told = summary(check(found), "report.json", NOBODY)
    assert told.index("<code>model.pkl</code>") < told.index("<code>MLmodel</code>")
    ((annotation),) = annotations_for(check(found), config_file="", fails_on_difference=True)
    assert "differ: model.pkl: content differs" in annotation.message


def test_what_is_ignored_is_told_with_whether_it_differs() -> None:
    ignored = (IgnoredPath("README.md", "*.md", True), IgnoredPath("notes.txt", "*.txt", False))
    told = summary(check(replace(comparison(), ignored=ignored)), "report.json", NOBODY)
    assert "### Ignored" in told
    assert told.index("| <code>notes.txt</code> | different |") < told.index("| <code>README.md</code> | equal |")
    assert "### Ignored" not in summary(check(comparison()), "report.json", NOBODY)


def test_the_picture_has_both_versions_and_an_edge_for_each_comparison() -> None:
    lines = diagram_of(compare(comparison(), comparison(difference("a"))), NOBODY)
    assert [line.strip() for line in lines if ".-" in line or "===" in line] == [
        'run1 == "equal" === run2',
        'reg1 -. "different: 1" .- reg2',
    ]
    assert sum("subgraph" in line for line in lines) == 2


def test_an_error_of_the_config_names_its_line() -> None:
    outcome = Outcome(None, error=ConfigError("promotion.yaml, line 3, host: wrong.", "Mend it."))
    (error,) = annotations_for(outcome, config_file="promotion.yaml", fails_on_difference=False)
    assert error.command(NOBODY).startswith("::error title=Model Gate,file=promotion.yaml,line=3::")


def test_a_difference_that_fails_nothing_is_a_warning() -> None:
    (warning,) = annotations_for(check(comparison(difference("a"))), config_file="", fails_on_difference=False)
    assert warning.level == "warning"


def test_outputs_of_every_verdict() -> None:
    different = compare(comparison(), comparison(difference("a"), difference("b")))
    assert outputs_of(different, "r.json") == {
        "status": "different",
        "equals": "false",
        "equivalent": "false",
        "passed": "false",
        "run-model-equals": "true",
        "reg-model-equals": "false",
        "differences": "2",
        "report-file": "r.json",
    }
    error = Outcome(None, error=NotFoundError("No."))
    assert outputs_of(error, "") == UNDECIDED
    assert set(UNDECIDED) == set(OUTPUTS)
    assert json.dumps(outputs_of(check(comparison()), "r.json")).count('"true"') == 3


@given(st.text(), st.integers(1, 50))
def test_cut_keeps_both_ends(text: str, most: int) -> None:
    told = cut(text, most)
    assert len(told) <= most
    assert told == text or (told[0] in {text[0], "…"} and told[-1] in {text[-1], "…"})

"""Outputs, annotations, summary and log escape hostile names, stay within the runner's limits and have no secrets."""

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
from model_gate.action.escape import (
    command_data,
    command_property,
    html_text,
    mermaid_text,
)
from model_gate.action.outputs import OUTPUTS, UNDECIDED, outputs_of
from model_gate.action.summary import MAX_BYTES, summary
from model_gate.domain.result import IgnoredPath, Outcome
from model_gate.domain.verdict import Require
from model_gate.domain.wording import plain_text, printable, truncate_middle
from model_gate.errors import ConfigError, NotFoundError
from model_gate.reporting.terminal import verdict_text
from tests.support.action_outcomes import HOSTILE, check, compare, comparison, difference, explained

REDACTOR = Redactor()
MARKDOWN = MarkdownIt("gfm-like", {"linkify": False, "html": True})


def is_command(line: str) -> bool:
    """Return whether the runner reads the line as a command. The runner ignores Unicode white space around a line."""
    return line.strip().startswith("::") or "##[" in line


@given(st.text())
@pytest.mark.parametrize("around", ["{}", "  {}", "path: {}", "{}\n{}", "::{}", " \t::{}", "{}##[{}"])
def test_text_in_the_log_never_becomes_a_workflow_command(around: str, text: str) -> None:
    log = plain_text(around.format(text, text))
    assert [line for line in re.split(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]", log) if is_command(line)] == []


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_file_name_in_the_log_does_not_become_a_workflow_command(text: str) -> None:
    outcome = compare(comparison(explained(text, text)), comparison(), name=text)
    log = plain_text(verdict_text(outcome, None))
    assert [line for line in log.splitlines() if is_command(line)] == []


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_cannot_add_properties_to_an_annotation(text: str) -> None:
    outcome = check(comparison(difference(text)), name=text)
    for annotation in annotations_for(outcome, config_file=text, fails_on_difference=True):
        command = annotation.command(REDACTOR)
        assert command.count("\n") + command.count("\r") == 0
        assert "##[" not in command
        properties = command.removeprefix("::error ").partition("::")[0]
        assert [part.partition("=")[0] for part in properties.split(",")] == ["title", "file"]


def test_message_and_properties_of_a_workflow_command_are_escaped() -> None:
    assert command_data("a%0A\r\n:,") == "a%250A%0D%0A:,"
    assert command_property("a%0A\r\n:,") == "a%250A%0D%0A%3A%2C"


def rendered(markdown: str) -> tuple[set[str], str]:
    """Render Markdown, and return the names of its HTML elements and the HTML itself."""
    html = MARKDOWN.render(markdown)
    return set(re.findall(r"<([a-z0-9]+)[ >/]", html)), html


HARMLESS_ELEMENTS = {
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
def test_hostile_names_in_the_summary_are_plain_text(text: str) -> None:
    differences = [explained(text, text), *(difference(f"{text}{number}") for number in range(20))]
    outcome = compare(comparison(*differences, uri=text), comparison(uri=text), name=text)
    markdown = summary(outcome, text, REDACTOR)
    elements, html = rendered(markdown)
    harmless, _ = rendered(
        summary(compare(comparison(*(explained("a", "a") for _ in range(21))), comparison()), "a", REDACTOR)
    )
    assert elements <= HARMLESS_ELEMENTS
    assert html.count("<details>") == html.count("</details>")
    assert elements == harmless
    rows = [line for line in markdown.splitlines() if line.startswith("| ")]
    assert {line.count("|") for line in rows} == {6, 5, 8}


@given(st.text(max_size=200))
def test_escaped_html_renders_as_the_original_text(text: str) -> None:
    elements, html = rendered(f"a <code>{html_text(text)}</code>")
    assert elements <= {"p", "code"}
    assert "\n" not in html_text(text)
    shown = html.removeprefix("<p>a <code>").removesuffix("</code></p>\n")
    unescaped = shown.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&amp;", "&")
    assert unescaped == printable(text)


@given(st.text(max_size=200))
def test_mermaid_label_has_only_harmless_characters(text: str) -> None:
    label = mermaid_text(text)
    assert re.sub(r"#\d+;", "", label) == "".join(
        re.findall(r"[0-9A-Za-z ,/\u00a1-\U0010ffff]", re.sub(r"#\d+;", "", label))
    )


def test_summary_of_many_differences_stays_within_the_size_limit() -> None:
    names = ["|" * 200 + str(number) for number in range(3_000)]
    many = comparison(*(explained(name, name * 3) for name in names))
    markdown = summary(compare(many, many, name=names[0] * 50), "report.json", REDACTOR)
    assert len(markdown.encode()) <= MAX_BYTES
    assert "more are in the report" in markdown
    assert markdown.rstrip().endswith("Full report: <code>report.json</code>")
    assert markdown.count("<details>") == markdown.count("</details>")


def test_long_error_stays_within_the_limits_of_summary_and_annotation() -> None:
    outcome = Outcome(None, error=NotFoundError("|" * 2_000_000, "<" * 2_000_000))
    assert len(summary(outcome, "report.json", REDACTOR).encode()) <= MAX_BYTES
    (error,) = annotations_for(outcome, config_file="", fails_on_difference=True)
    assert len(error.command(REDACTOR)) < 4_096


def test_no_secret_is_in_the_summary_or_the_diagram_or_an_annotation() -> None:
    secret = "p4ss|w:rd"
    redactor = Redactor([secret])
    outcome = compare(comparison(explained(secret, secret), uri=f"s3://{secret}"), comparison(), name=secret)
    text = summary(outcome, secret, redactor) + "\n".join(diagram_of(outcome, redactor))
    for annotation in annotations_for(outcome, config_file="", fails_on_difference=True):
        text += annotation.command(redactor)
    for form in (secret, html_text(secret), mermaid_text(secret), secret[:6]):
        assert form not in text


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
def test_summary_starts_with_the_verdict(outcome: Outcome, headline: str) -> None:
    assert summary(outcome, "report.json", REDACTOR).startswith(headline)


def test_files_that_mlflow_only_rewrote_come_last_in_summary_and_annotation() -> None:
    result = comparison(difference("MLmodel", rewrite_reason="only run_id differ"), difference("model.pkl"))
    markdown = summary(check(result), "report.json", REDACTOR)
    assert markdown.index("<code>model.pkl</code>") < markdown.index("<code>MLmodel</code>")
    ((annotation),) = annotations_for(check(result), config_file="", fails_on_difference=True)
    assert "differ: model.pkl: content differs" in annotation.message


def test_summary_lists_ignored_paths_that_differ_before_those_that_are_equal() -> None:
    ignored = (IgnoredPath("README.md", "*.md", True), IgnoredPath("notes.txt", "*.txt", False))
    markdown = summary(check(replace(comparison(), ignored=ignored)), "report.json", REDACTOR)
    assert "### Ignored" in markdown
    assert markdown.index("| <code>notes.txt</code> | different |") < markdown.index(
        "| <code>README.md</code> | equal |"
    )
    assert "### Ignored" not in summary(check(comparison()), "report.json", REDACTOR)


def test_diagram_has_two_servers_and_one_edge_for_each_comparison() -> None:
    lines = diagram_of(compare(comparison(), comparison(difference("a"))), REDACTOR)
    assert [line.strip() for line in lines if ".-" in line or "===" in line] == [
        'run1 == "equal" === run2',
        'reg1 -. "different: 1" .- reg2',
    ]
    assert sum("subgraph" in line for line in lines) == 2


def test_annotation_of_a_config_error_points_to_the_line() -> None:
    outcome = Outcome(None, error=ConfigError("promotion.yaml, line 3, host: wrong.", "Mend it."))
    (error,) = annotations_for(outcome, config_file="promotion.yaml", fails_on_difference=False)
    assert error.command(REDACTOR).startswith("::error title=Model Gate,file=promotion.yaml,line=3::")


def test_difference_that_does_not_fail_the_step_is_annotated_as_a_warning() -> None:
    (warning,) = annotations_for(check(comparison(difference("a"))), config_file="", fails_on_difference=False)
    assert warning.level == "warning"


def test_annotation_warns_if_every_model_is_compared_with_itself() -> None:
    same = replace(comparison(), same_location=True)
    (warning,) = annotations_for(check(same), config_file="", fails_on_difference=True)
    assert warning.level == "warning"
    assert warning.message.startswith("EQUAL, nothing compared: one location. The run model and the registry model are")
    assert outputs_of(check(same), "")["same-location"] == "true"
    assert "## ⚠️ EQUAL, nothing compared: one location" in summary(check(same), "", REDACTOR)


def test_annotation_names_which_models_are_compared_with_themselves() -> None:
    outcome = compare(comparison(), replace(comparison(), same_location=True))
    (warning,) = annotations_for(outcome, config_file="", fails_on_difference=True)
    assert warning.level == "warning"
    assert warning.message.startswith("The registry models are one and the same location")
    assert outputs_of(outcome, "")["same-location"] == "true"
    assert "## ✅ The models are the same" in summary(outcome, "", REDACTOR)


def test_action_outputs_match_the_verdict() -> None:
    different = compare(comparison(), comparison(difference("a"), difference("b")))
    assert outputs_of(different, "r.json") == {
        "status": "different",
        "equals": "false",
        "equivalent": "false",
        "passed": "false",
        "run-model-equals": "true",
        "reg-model-equals": "false",
        "same-location": "false",
        "differences": "2",
        "report-file": "r.json",
        "seal-file": "",
        "seal-digest": "",
        "statement-file": "",
        "subject-digest": "",
    }
    stated = outputs_of(different, "r.json", "s.json", "sha256:00")
    assert (stated["statement-file"], stated["subject-digest"]) == ("s.json", "sha256:00")
    error = Outcome(None, error=NotFoundError("No."))
    assert outputs_of(error, "") == UNDECIDED
    assert set(UNDECIDED) == set(OUTPUTS)
    assert json.dumps(outputs_of(check(comparison()), "r.json")).count('"true"') == 3


@given(st.text(), st.integers(1, 50))
def test_truncated_text_has_the_beginning_and_end_of_the_original(text: str, max_length: int) -> None:
    shortened = truncate_middle(text, max_length)
    assert len(shortened) <= max_length
    assert shortened == text or (shortened[0] in {text[0], "…"} and shortened[-1] in {text[-1], "…"})

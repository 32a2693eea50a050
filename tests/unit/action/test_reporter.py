"""Outputs, annotations, summary and log escape hostile names, stay within the runner's limits and have no secrets."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from pathlib import Path

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
from model_gate.action.inputs import Inputs
from model_gate.action.markdown import Markdown
from model_gate.action.outputs import OUTPUTS, UNDECIDED, WrittenFiles, outputs_of
from model_gate.action.reporter import WorkflowReporter
from model_gate.action.step_files import StepFiles
from model_gate.action.summary import MAX_BYTES, summary
from model_gate.domain.difference import Difference
from model_gate.domain.request import ModelRequest, VerifyRequest
from model_gate.domain.result import Comparison, IgnoredPath, Outcome, RestOfModel
from model_gate.domain.roles import ComparisonName
from model_gate.domain.verdict import Require
from model_gate.domain.wording import plain_text, printable
from model_gate.errors import ConfigError, NotFoundError
from model_gate.reporting.reporter import CommandResult
from model_gate.reporting.terminal import verdict_text
from tests.support.action_outcomes import (
    HOSTILE,
    check,
    compare,
    comparison,
    difference,
    explained,
    resolved,
    version,
)
from tests.support.seals import FILES, seal_of

REDACTOR = Redactor()
NO_FILES = WrittenFiles()
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


REWRITTEN = difference("MLmodel", rewrite_reason="only run_id differs")
CHECKED = "Wine: mlflow.example.com v1, run model {} registry model"
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
    "wbr",
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
    assert {line.count("|") for line in rows} == {3, 4}


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
    assert not set(label) & set("\"'`<>&[]{}()|\\\n\r")
    assert re.sub(r"#(\d+);", lambda match: chr(int(match[1])), label) == printable(text)


def test_summary_of_many_differences_stays_within_the_size_limit() -> None:
    names = ["|" * 200 + str(number) for number in range(3_000)]
    many = comparison(*(explained(name, name * 3) for name in names))
    markdown = summary(compare(many, many, name=names[0] * 50), "report.json", REDACTOR)
    assert len(markdown.encode()) <= MAX_BYTES
    assert "more; the report lists the first 1,000." in markdown
    assert markdown.rstrip().endswith(": <code>report.json</code>")
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
        (
            check(comparison()),
            f"## ✅ {CHECKED.format('=')} (the same files with the same bytes)",
        ),
        (
            check(comparison(difference("model.pkl"))),
            f"## ❌ {CHECKED.format('≠')} (the weights differ)",
        ),
        (
            check(comparison(REWRITTEN, equivalent=True)),
            f"## ❌ {CHECKED.format('≈')} (only metadata that MLflow rewrites differs)",
        ),
        (
            compare(comparison(REWRITTEN, equivalent=True), comparison(), require=Require.EQUIVALENT),
            "## ✅ Wine: mlflow.example.com v1 ≈ mlflow.example.com v2 (run models: only metadata that MLflow rewrites",
        ),
        (
            Outcome(None, error=NotFoundError("No.", "Do.")),
            "## ⛔ No: nothing was compared\n",
        ),
        (
            replace(check(comparison()), comparisons={}, versions={}, error=NotFoundError("No.", "Do.")),
            "## ⛔ No: nothing was compared\n\n**Failed.** Not decided: whether Wine v1 on mlflow.example.com equals",
        ),
    ],
)
def test_summary_starts_with_the_verdict(outcome: Outcome, headline: str) -> None:
    assert unescape(summary(outcome, "report.json", REDACTOR)).startswith(headline)


def test_files_that_mlflow_only_rewrote_come_last_in_summary_and_annotation() -> None:
    result = comparison(difference("MLmodel", rewrite_reason="only run_id differ"), difference("model.pkl"))
    markdown = summary(check(result), "report.json", REDACTOR)
    assert markdown.index("<code>model.pkl</code>") < markdown.index("<code>MLmodel</code>")
    ((annotation),) = annotations_for(check(result), config_file="", fails_on_difference=True)
    assert "differ): model.pkl: content differs" in annotation.message


def test_summary_lists_ignored_paths_that_differ_before_those_that_are_equal() -> None:
    ignored = (IgnoredPath("README.md", "*.md", True), IgnoredPath("notes.txt", "*.txt", False))
    markdown = summary(check(replace(comparison(), ignored=ignored)), "report.json", REDACTOR)
    assert "### Not part of the verdict" in markdown
    rows = [line for line in unescape(markdown).splitlines() if "ignored by" in line]
    assert rows == [
        "| <code>notes.txt</code><br>ignored by <code>*.txt</code> | different |",
        "| <code>README.md</code><br>ignored by <code>*.md</code> | equal |",
    ]
    assert "### Not part" not in summary(check(comparison()), "report.json", REDACTOR)


def test_summary_and_annotation_and_output_name_what_was_not_compared() -> None:
    paths = tuple(f"part-{number:02}" for number in range(12))
    outcome = check(replace(comparison(difference("a.json")), not_compared=paths))
    shown = f"{', '.join(paths[:10])} and 2 more"
    assert f"Not compared**, so they may differ too: {shown}, in the report." in re.sub(
        "</?code>", "", summary(outcome, "r.json", REDACTOR)
    )
    (annotation,) = annotations_for(outcome, config_file="", fails_on_difference=True)
    assert f"Not compared, so they may differ too: {shown}" in annotation.message
    assert outputs_of(outcome, NO_FILES, REDACTOR)["not-compared"] == shown


def test_list_of_differences_is_called_complete_only_if_all_files_were_compared() -> None:
    many = comparison(*(difference(f"part-{number:02}") for number in range(12)))
    assert "All 12 differences" in summary(check(many), "r.json", REDACTOR)
    assert "12 known differences" in summary(check(replace(many, not_compared=("a",))), "r.json", REDACTOR)


def test_annotation_title_names_what_was_compared() -> None:
    (annotation,) = annotations_for(check(comparison(difference("a"))), config_file="", fails_on_difference=True)
    command = annotation.command(REDACTOR)
    assert command.startswith(
        "::error title=Model Gate%3A Wine%3A mlflow.example.com v1%2C run model ≠ registry model::"
    )
    assert (
        "::The file a differs. The run model and the registry model of mlflow.example.com v1 are different (1 of"
        in command
    )


def test_advice_for_one_location_fits_the_command_and_its_diagram_claims_no_verdict() -> None:
    for outcome, advice in (
        (check(comparison(same=True)), "this registry keeps no copy of its own"),
        (compare(comparison(same=True), comparison(same=True)), "both versions refer to the same files"),
    ):
        (step,) = (line for line in summary(outcome, "", REDACTOR).splitlines() if line.startswith("**What to do"))
        assert advice in step
        assert [line.split()[-1] for line in diagram_of(outcome, REDACTOR) if line.startswith("  class model1")] == [
            "notcompared"
        ]


def test_models_at_one_location_are_described_once() -> None:
    outcome = compare(comparison(same=True), comparison(same=True))
    markdown = summary(outcome, "r.json", REDACTOR)
    assert markdown.count("<code>s3&#58;//a/b</code>") == 2  # one row for the run models, one for the registry models
    assert sum("one location" in line for line in diagram_of(outcome, REDACTOR)) == 2
    shared = comparison(same=True)
    outcome = compare(shared, shared)
    assert summary(outcome, "r.json", REDACTOR).count("<code>s3&#58;//a/b</code>") == 1
    assert sum("one location" in line for line in diagram_of(outcome, REDACTOR)) == 1


@given(st.text(max_size=200))
def test_no_word_in_a_table_is_too_long_to_break(text: str) -> None:
    cell = Markdown(REDACTOR).code(text)
    words = re.split(r"<wbr>|\s", unescape(re.sub("</?code>", "", cell)))
    assert [word for word in words if len(word.strip("/_.,:;=@+-")) > 20] == []


def native(*differences: Difference, equals: bool | None) -> Comparison:
    rest = RestOfModel(equals, differences)
    return replace(comparison(), native_model="model.pkl", right_native_model="model.pkl", rest=rest)


@pytest.mark.parametrize(
    "result, rows",
    [
        (native(equals=True), []),
        (native(difference("a"), difference("b"), equals=False), ["a", "b"]),
        (replace(native(equals=None), rest=RestOfModel(None, (), ("c",))), ["c"]),
        (native(*(difference(f"f{number:02}") for number in range(12)), equals=False), [f"f{n:02}" for n in range(8)]),
    ],
)
def test_summary_lists_the_files_outside_the_native_models_that_are_not_equal(
    result: Comparison, rows: list[str]
) -> None:
    markdown = summary(check(result), "report.json", REDACTOR)
    section = markdown.partition("### Not part of the verdict")[2].partition("**What to do")[0]
    assert re.findall(r"^\| <code>(\w+)</code> \| ", section, re.MULTILINE) == rows
    assert ("All other files were compared too, and are equal." in markdown) == (not rows)
    assert ("… and 4 more, in the report." in section) == (len(rows) == 8)


def test_summary_says_how_an_ignored_file_differs() -> None:
    changed = explained("requirements.txt", "pandas 2.3 → 3.1")
    ignored = (IgnoredPath("requirements.txt", "requirements.txt", False, changed),)
    markdown = unescape(summary(check(replace(comparison(), ignored=ignored)), "report.json", REDACTOR))
    assert "| File | run model → registry model |" in markdown
    assert "| <code>requirements.txt</code><br>ignored | pandas 2.3 → 3.1<br>" in markdown


@pytest.mark.parametrize(
    "result, step",
    [
        (comparison(), "Nothing: the models have the same files with the same bytes."),
        (native(equals=True), "Nothing: the models have the same files with the same bytes."),
        (
            replace(comparison(), ignored=(IgnoredPath("README.md", "*.md", False),)),
            "Nothing, if README.md may differ. All other files have the same bytes, also outside the verdict.",
        ),
        (
            native(difference("a"), difference("b"), equals=False),
            "Nothing, if a and b may differ. All other files have the same bytes, also outside the verdict.",
        ),
        (
            replace(comparison(), ignored=(IgnoredPath("README.md", "*.md", None),)),
            "Nothing, if the files outside the verdict do not matter: not all of them were compared.",
        ),
    ],
)
def test_next_step_after_equality_names_the_files_that_may_differ(result: Comparison, step: str) -> None:
    assert f"**What to do next.** {step}\n" in unescape(summary(check(result), "report.json", REDACTOR))


def test_summary_of_an_error_names_the_version_once() -> None:
    outcome = Outcome(check(comparison()).request, error=NotFoundError("There is no version 1.", ""))
    assert "|" not in summary(outcome, "report.json", REDACTOR)


def test_diagram_has_two_models_and_one_verdict_for_each_comparison() -> None:
    lines = diagram_of(compare(comparison(), comparison(difference("a"))), REDACTOR)
    assert [line.strip() for line in lines if ".-" in line or "===" in line] == [
        'left1 == "equal" === right1',
        'left2 -. "different#58; 1 of 4 files" .- right2',
    ]
    assert sum("[" in line for line in lines) == 4


def test_diagram_names_the_model_the_version_and_the_server() -> None:
    lines = diagram_of(check(comparison()), REDACTOR)
    assert lines[1:3] == [
        '  left1["Wine<br/>v1<br/>mlflow#46;example#46;com<br/>run model"]',
        '  right1["Wine<br/>v1<br/>mlflow#46;example#46;com<br/>registry model"]',
    ]


def test_diagram_names_the_native_models_and_counts_the_ignored_paths() -> None:
    lines = diagram_of(check(replace(native(equals=True), ignored=(IgnoredPath("a", "a", None),))), REDACTOR)
    assert [line.endswith('model<br/>only model#46;pkl"]') for line in lines[1:3]] == [True, True]
    limits = "in model.pkl only (the other files are equal too), except 1 ignored file (not compared)"
    assert lines[3] == f'  left1 == "{mermaid_text(f"equal {limits}")}" === right1'
    assert lines[4] == "  class left1,right1 partly"


def test_annotation_of_a_config_error_points_to_the_line() -> None:
    outcome = Outcome(None, error=ConfigError("promotion.yaml, line 3, host: wrong.", "Mend it."))
    (error,) = annotations_for(outcome, config_file="promotion.yaml", fails_on_difference=False)
    assert error.command(REDACTOR).startswith("::error title=Model Gate,file=promotion.yaml,line=3::")


def test_annotation_and_summary_name_the_input_in_place_of_the_option() -> None:
    for message in ("--output is wrong.", f"--output is {'wrong ' * 40}indeed."):
        outcome = Outcome(None, error=ConfigError(message, "Change --output."))
        (error,) = annotations_for(outcome, config_file="", fails_on_difference=True)
        for text in (error.message, summary(outcome, "", REDACTOR)):
            assert message.strip("-.") in unescape(text)
            assert "--output" not in text


def test_difference_that_does_not_fail_the_step_is_annotated_as_a_warning() -> None:
    (warning,) = annotations_for(check(comparison(difference("a"))), config_file="", fails_on_difference=False)
    assert warning.level == "warning"


STEP_PASSES = "The step passes, because <code>fail-on-difference</code> is false."


def test_summary_says_that_a_difference_does_not_fail_the_step() -> None:
    different, error = check(comparison(difference("a"))), replace(check(comparison()), error=NotFoundError("No.", ""))
    allowed = unescape(summary(different, "r.json", REDACTOR, fails_on_difference=False))
    assert f"**Failed** (required: identical). {STEP_PASSES} The run model" in allowed
    assert STEP_PASSES not in summary(different, "r.json", REDACTOR)
    for other in (check(comparison()), error):
        assert STEP_PASSES not in summary(other, "r.json", REDACTOR, fails_on_difference=False)


def test_summary_names_the_differing_files_before_the_remarks_about_the_seal() -> None:
    seal = seal_of(FILES)
    request = VerifyRequest(ModelRequest(version(number="2")), seal)
    different = replace(comparison(difference("model.pkl")), is_by_digest=True)
    outcome = Outcome(request, {"model_version": resolved(number="2")}, {ComparisonName.SEAL: different}, seal=seal)
    markdown = summary(outcome, "r.json", REDACTOR)
    assert markdown.index("<code>model.pkl</code>") < markdown.index("**Seal:** The seal was made of v1")


def test_models_at_one_location_are_annotated_as_a_warning() -> None:
    same = replace(comparison(), same_location=True)
    (warning,) = annotations_for(check(same), config_file="", fails_on_difference=True)
    assert warning.level == "warning"
    assert warning.message == (
        "EQUAL, nothing compared: one location. The run model and the registry model of mlflow.example.com v1 are the"
        " same files (one location, nothing to compare)."
    )
    assert outputs_of(check(same), NO_FILES, REDACTOR)["same-location"] == "true"
    markdown = unescape(summary(check(same), "", REDACTOR))
    assert "run model and registry model are the same files (one location, nothing to compare)\n" in markdown
    assert "\n**Passed**, but nothing was compared. " in markdown


def test_annotation_names_which_models_are_compared_with_themselves() -> None:
    outcome = compare(comparison(), replace(comparison(), same_location=True))
    (warning,) = annotations_for(outcome, config_file="", fails_on_difference=True)
    assert warning.level == "warning"
    assert warning.message.startswith(
        "The registry models of mlflow.example.com v1 and mlflow.example.com v2 are the same"
    )
    assert outputs_of(outcome, NO_FILES, REDACTOR)["same-location"] == "true"
    headline = "## ✅ Wine: mlflow.example.com v1 = mlflow.example.com v2 ("
    assert unescape(summary(outcome, "", REDACTOR)).startswith(headline)


def test_action_outputs_match_the_verdict() -> None:
    different = compare(comparison(), comparison(difference("a"), difference("b")))
    assert outputs_of(different, WrittenFiles("r.json", "r.md"), REDACTOR) == {
        "status": "different",
        "equals": "false",
        "equivalent": "false",
        "passed": "false",
        "model": "Wine",
        "model-1": "Wine",
        "model-2": "Wine",
        "version": "",
        "version-1": "1",
        "version-2": "2",
        "digest-1": "0" * 64,
        "digest-2": "",
        "run-1": "f" * 32,
        "run-2": "f" * 32,
        "run-model-equals": "true",
        "reg-model-equals": "false",
        "same-location": "false",
        "not-compared": "",
        "differences": "2",
        "report-file": "r.json",
        "summary-file": "r.md",
        "seal-file": "",
        "seal-digest": "",
        "statement-file": "",
        "subject-digest": "",
        "gates": "",
        "gates-truncated": "",
        "matrix": "",
        "plan-file": "",
    }
    stated = outputs_of(different, WrittenFiles("r.json", statement="s.json"), REDACTOR, "sha256:00")
    assert (stated["statement-file"], stated["subject-digest"]) == ("s.json", "sha256:00")
    error = Outcome(None, error=NotFoundError("No."))
    assert outputs_of(error, NO_FILES, REDACTOR) == UNDECIDED
    assert set(UNDECIDED) == set(OUTPUTS)
    values = outputs_of(check(comparison()), WrittenFiles("r.json"), REDACTOR)
    assert {name for name, value in values.items() if value == "true"} == {"equals", "equivalent", "passed"}


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_in_an_output_is_no_command_if_a_later_step_prints_it(text: str) -> None:
    outcome = check(replace(comparison(difference("a")), not_compared=(text,)), name=text)
    values = outputs_of(outcome, WrittenFiles(text, text, text, text), REDACTOR).values()
    assert [line for value in values for line in value.splitlines() if is_command(line)] == []


@pytest.mark.parametrize("exists", [True, False])
def test_annotation_points_to_the_compare_file_only_if_it_exists(
    exists: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    if exists:
        Path("promotion.yaml").write_text("")
    reporter = WorkflowReporter(Inputs({"INPUT_CONFIG-FILE": "promotion.yaml"}), StepFiles({}))
    reporter.show_result(CommandResult(Outcome(None, error=ConfigError("No.")), None, REDACTOR))
    (annotation,) = [line for line in capfd.readouterr().out.splitlines() if line.startswith("::error")]
    assert ("file=promotion.yaml" in annotation) == exists

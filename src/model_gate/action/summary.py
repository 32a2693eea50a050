"""The step's summary: an outcome as Markdown of limited size."""

from __future__ import annotations

from collections.abc import Sequence

from model_gate.access.redaction import Redactor
from model_gate.action.diagram import diagram_of
from model_gate.action.differences import (
    LabeledDifference,
    all_differences,
    first_differences,
    in_order,
)
from model_gate.action.escape import fenced
from model_gate.action.inputs import with_input_names
from model_gate.action.markdown import Markdown, collapsible, join_sections, size_in_bytes
from model_gate.action.models_table import models_table, origins
from model_gate.action.next_step import next_step
from model_gate.action.uncounted_files import uncounted_files
from model_gate.domain.result import Outcome
from model_gate.domain.verdict import Status
from model_gate.domain.wording import plural
from model_gate.errors import ModelGateError
from model_gate.reporting.findings import cause, findings, requirement, seal_remarks
from model_gate.reporting.naming import heading, open_question, side_names
from model_gate.reporting.phrases import MAX_NAMED, more_in_report, why_not_compared
from model_gate.reporting.predictions import predictions
from model_gate.reporting.scope import limits_of_equality, scope_of_native_model
from model_gate.reporting.terminal import summary_line

# The runner drops a summary above 1 MiB. Browsers render large summaries slowly, so the limit is lower.
MAX_BYTES = 256 * 1024
STEP_PASSES = "The step passes, because <code>fail-on-difference</code> is false."
# With less room, a summary could not show the most important differences.
MIN_BYTES = 20_000


def block(outcome: Outcome, redactor: Redactor) -> str:
    """Return the summary of a gate that a run shows among those of its other gates."""
    return summary(outcome, "", redactor, MIN_BYTES)


def summary(
    outcome: Outcome,
    report_file: str,
    redactor: Redactor,
    max_bytes: int = MAX_BYTES,
    *,
    fails_on_difference: bool = True,
) -> str:
    """Return the summary of a finished step, at most `max_bytes` in UTF-8.

    Args:
        outcome: The result of the gate.
        report_file: The path of the report, "" if it could not be written.
        redactor: Removes secrets.
        max_bytes: At least 20,000. If the first sections do not fit, only the verdict and the path of the report
            remain.
        fails_on_difference: Whether a difference fails the step.
    """
    markdown = Markdown(redactor)
    differences = _differences(outcome)
    verdict = [
        f"## {_headline(outcome, markdown)}",
        _verdict(outcome, markdown, fails_on_difference=fails_on_difference),
        _scope(outcome, markdown),
        _predictions(outcome, markdown),
        *_not_compared(outcome, markdown),
    ]
    seal = _seal(outcome, markdown)
    head = [
        *verdict,
        *first_differences(differences, markdown, max_bytes // 2),
        *uncounted_files(outcome, markdown),
        seal,
        f"**What to do next.** {next_step(outcome, markdown)}",
        *_models(outcome, markdown),
    ]
    tail = [_report(outcome, report_file, markdown)]
    remaining = max_bytes - size_in_bytes(head) - size_in_bytes(tail)
    rest = all_differences(differences, markdown, remaining, is_complete=not outcome.not_compared)
    if size_in_bytes([*head, *rest, *tail]) > max_bytes:
        return join_sections([*verdict, seal, *tail])
    return join_sections([*head, *rest, *tail])


def _models(outcome: Outcome, markdown: Markdown) -> list[str]:
    """Return sections about the compared models. If all files are equal, they are in one collapsible section."""
    diagram = diagram_of(outcome, markdown.redactor)
    sections = [
        *models_table(outcome, markdown),
        fenced(diagram, "mermaid") if diagram else "",
        origins(outcome, markdown),
    ]
    is_whole = not any(limits_of_equality(comparison) for _, comparison in outcome.distinct_comparisons)
    if outcome.status is not Status.EQUAL or outcome.is_nothing_compared or not is_whole:
        return sections
    return [collapsible("The compared models", sections)]


def _headline(outcome: Outcome, markdown: Markdown) -> str:
    """Return the mark of the verdict and the gate in one line, such as `Wine: staging v12 ≠ production v7 (…)`."""
    if outcome.error is not None:
        return f"⛔ {markdown.text(with_input_names(cause(outcome)))}"
    if outcome.status is Status.SEALED:
        subject = heading(outcome)
        return f"✅ {markdown.text(subject) if subject else 'The model'} is sealed"
    mark = "⚠️" if outcome.is_nothing_compared else "✅" if outcome.passed else "❌"
    return f"{mark} {markdown.text(summary_line(outcome))}"


def _verdict(outcome: Outcome, markdown: Markdown, *, fails_on_difference: bool) -> str:
    """Return whether the gate passed, and the result of each comparison, in one paragraph."""
    if outcome.error is not None:
        return _undecided(outcome, outcome.error, markdown)
    if outcome.status is Status.SEALED and outcome.seal is not None:
        files, root = plural(len(outcome.seal.files), "file"), markdown.code(outcome.seal.statement.root)
        return f"{markdown.code(outcome.seal.file)}: {files}, root SHA-256 {root}."
    passed, required = requirement(outcome)
    allowed = [] if outcome.passed or fails_on_difference else [STEP_PASSES]
    results = [
        f"{markdown.text(finding.subject)} **{finding.word}**{markdown.text(finding.details)}."
        for _, found in findings(outcome)
        for finding in found
    ]
    return " ".join([f"**{passed}**{required}.", *allowed, *results])


def _predictions(outcome: Outcome, markdown: Markdown) -> str:
    words = predictions(outcome)
    return f"**Predictions:** {markdown.text(words)}." if words else ""


def _scope(outcome: Outcome, markdown: Markdown) -> str:
    scopes = dict.fromkeys(scope_of_native_model(comparison) for _, comparison in outcome.distinct_comparisons)
    words = " ".join(filter(None, scopes))
    return f"**Scope:** {markdown.text(words)}" if words else ""


def _seal(outcome: Outcome, markdown: Markdown) -> str:
    remarks = [f"{markdown.text(remark)}." for remark in seal_remarks(outcome)]
    return f"**Seal:** {' '.join(remarks)}" if remarks else ""


def _undecided(outcome: Outcome, error: ModelGateError, markdown: Markdown) -> str:
    """Return the error, unless the headline has the whole of it, and what it left undecided."""
    question = open_question(outcome)
    not_decided = f" Not decided: {markdown.text(question)}." if question else ""
    is_shown = cause(outcome).startswith(error.message.removesuffix("."))
    return "\n\n".join(
        filter(
            None,
            (
                "" if is_shown else f"> {markdown.text(with_input_names(error.message))}",
                f"**Failed.**{not_decided}",
            ),
        )
    )


def _titles(names: Sequence[str], outcome: Outcome) -> str:
    """Return the models of a comparison in one phrase, such as `run models and registry models`."""
    pairs = [outcome.model_names(name) for name in names]
    if all(pair.left == pair.right for pair in pairs):
        return " and ".join(pair.title for pair in pairs)
    return " and ".join(dict.fromkeys(noun for pair in pairs for noun in (pair.left, pair.right)))


def _differences(outcome: Outcome) -> list[LabeledDifference]:
    """Return the differences of all comparisons, sorted for the summary."""
    return in_order(
        [
            LabeledDifference(_titles(names, outcome), difference, side_names(outcome, names[0]))
            for names, comparison in outcome.distinct_comparisons
            for difference in comparison.differences
        ]
    )


def _not_compared(outcome: Outcome, markdown: Markdown) -> list[str]:
    """Return Markdown sections that name the paths that were not compared; an empty list if there are none."""
    paths = outcome.not_compared
    if not paths:
        return []
    names = ", ".join(markdown.path(path) for path in paths[:MAX_NAMED])
    more = f" and {more_in_report(len(paths) - MAX_NAMED, len(paths))}" if len(paths) > MAX_NAMED else ""
    why = why_not_compared(outcome)
    return [f"**Not compared**{f' ({why})' if why else ''}, so they may differ too: {names}{more}."]


def _report(outcome: Outcome, report_file: str, markdown: Markdown) -> str:
    """Return the path of the report and the models that it is about, since a page can have several summaries."""
    if not report_file:
        return ""
    models = dict.fromkeys(request.model for request in outcome.requested_versions.values())
    about = f" of {' and '.join(map(markdown.cell, models))}" if models else ""
    return f"Full report{about}: {markdown.code(report_file)}"

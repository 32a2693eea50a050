"""The step's summary: an outcome as Markdown of limited size."""

from __future__ import annotations

from collections.abc import Iterator

from model_gate.access.redaction import Redactor
from model_gate.action.diagram import diagram_of
from model_gate.action.differences import (
    MAX_SHOWN,
    LabeledDifference,
    all_differences,
    first_differences,
    in_order,
)
from model_gate.action.escape import fenced
from model_gate.action.inputs import with_input_names
from model_gate.action.markdown import Markdown, collapsible, join_sections, size_in_bytes, table
from model_gate.domain.request import VersionRequest
from model_gate.domain.result import ComparedModel, Comparison, Outcome
from model_gate.domain.roles import VersionRole
from model_gate.domain.verdict import Require, Status
from model_gate.domain.version import ModelVersion
from model_gate.domain.wording import plural, printable
from model_gate.reporting.phrases import NOTHING_COMPARED

# The runner drops a summary above 1 MiB. Browsers render large summaries slowly, so the limit is lower.
MAX_BYTES = 256 * 1024


def summary(outcome: Outcome, report_file: str, redactor: Redactor) -> str:
    """Return the summary of a finished step, at most `MAX_BYTES` in UTF-8."""
    markdown = Markdown(redactor)
    diagram = diagram_of(outcome, redactor)
    differences = _differences(outcome)
    head = [
        f"## {_headline(outcome)}",
        _sentence(outcome, markdown),
        *first_differences(differences, markdown),
        *_ignored(outcome, markdown),
        f"**What to do next.** {_next_step(outcome, markdown)}",
        _models_table(outcome, markdown),
        fenced(diagram, "mermaid") if diagram else "",
        _lineage(outcome, markdown),
    ]
    tail = [f"Full report: {markdown.code(report_file)}" if report_file else ""]
    remaining = MAX_BYTES - size_in_bytes(head) - size_in_bytes(tail)
    return join_sections([*head, *all_differences(differences, markdown, remaining), *tail])


def _headline(outcome: Outcome) -> str:
    if outcome.status is Status.ERROR:
        return "⛔ It could not be decided whether the models are the same"
    if outcome.status is Status.SEALED:
        return "✅ The model is sealed"
    if outcome.is_nothing_compared:
        return f"⚠️ {NOTHING_COMPARED}"
    if outcome.status is Status.EQUAL:
        return "✅ The models are the same"
    if outcome.equivalent:
        mark = "✅" if outcome.passed else "❌"
        return f"{mark} The models are equivalent, but not the same"
    return "❌ The models differ"


def _sentence(outcome: Outcome, markdown: Markdown) -> str:
    if outcome.error is not None:
        return f"> {markdown.text(outcome.error.message)}"
    if outcome.status is Status.SEALED and outcome.seal is not None:
        files = plural(len(outcome.seal.files), "file")
        return (
            f"{markdown.code(outcome.seal.file)}: {files}, root SHA-256 {markdown.code(outcome.seal.statement.root)}."
        )
    parts = [f"{_title(name, outcome)}: {_verdict(comparison)}." for name, comparison in outcome.comparisons.items()]
    passed = "met" if outcome.passed else "not met"
    return f"{' '.join(parts)} The requirement, **{outcome.require}**, is **{passed}**."


def _title(name: str, outcome: Outcome) -> str:
    return outcome.model_names(name).title.capitalize()


def _verdict(comparison: Comparison) -> str:
    native = " (of the native model)" if comparison.native_model else ""
    if comparison.same_location:
        return "**equal**, being one and the same location"
    if comparison.equals:
        return f"**equal**{native}"
    count = len(comparison.differences)
    word = "equivalent" if comparison.equivalent else "different"
    return f"**{word}**, {plural(count, 'difference')} in {comparison.compared:,} paths{native}"


def _models_table(outcome: Outcome, markdown: Markdown) -> str:
    rows = list(_model_rows(outcome, markdown))
    if not rows:
        rows = [(_unresolved(request, markdown), "", "", "", "") for request in outcome.requested_versions.values()]
    head = ("Model version", "MLflow model", "Files", "Bytes", "SHA-256")
    return table(head, rows, "llrrl") if rows else ""


def _model_rows(outcome: Outcome, markdown: Markdown) -> Iterator[tuple[str, ...]]:
    requests = list(outcome.requested_versions.items())
    for names, comparison in outcome.distinct_comparisons:
        for index, model in enumerate((comparison.left, comparison.right)):
            pairs = [outcome.model_names(name) for name in names]
            models = " and ".join((pair.left, pair.right)[index] for pair in pairs)
            # Both models of a check belong to one version.
            role, request = requests[min(index, len(requests) - 1)] if requests else ("", None)
            version = outcome.versions.get(role)
            named = _resolved(request, version, markdown) if request else ""
            yield (
                named if model.seal is None else markdown.code(model.seal.title),
                f"{models}{_native(comparison, markdown)}<br>{markdown.code(printable(model.location.uri))}",
                *_measures(model),
            )


def _native(comparison: Comparison, markdown: Markdown) -> str:
    names = " and ".join(map(markdown.code, comparison.native_models))
    return f", {names} only" if names else ""


def _measures(model: ComparedModel) -> tuple[str, str, str]:
    digest = f"<code>{model.digest[:12]}…</code>" if model.digest else "not all was fetched"
    return f"{model.files:,}", "" if model.size is None else f"{model.size:,}", digest


def _unresolved(request: VersionRequest, markdown: Markdown) -> str:
    title = f"{markdown.code(request.model)} {markdown.code(request.version_or_stage)}"
    return f"{title}<br>on {markdown.code(request.host.address)}"


def _resolved(request: VersionRequest, version: ModelVersion | None, markdown: Markdown) -> str:
    if version is None:
        return _unresolved(request, markdown)
    names = [version.stage, *(f"@{alias}" for alias in version.aliases)]
    listed = ", ".join(markdown.code(name) for name in names[:4] if name and name != "None")
    title = f"{markdown.code(request.model)} version {markdown.code(version.version)}{f' ({listed})' if listed else ''}"
    return f"{title}<br>on {markdown.code(request.host.address)}"


def _differences(outcome: Outcome) -> list[LabeledDifference]:
    """Return the differences of all comparisons, sorted for the summary."""
    return in_order(
        [
            LabeledDifference(" and ".join(_title(name, outcome) for name in names), difference)
            for names, comparison in outcome.distinct_comparisons
            for difference in comparison.differences
        ]
    )


def _ignored(outcome: Outcome, markdown: Markdown) -> list[str]:
    """Return Markdown sections with a table of at most 8 ignored paths; an empty list if no path is ignored.

    Paths that differ come before paths that are equal or were not compared.
    """
    words = {True: "equal", False: "different", None: "not compared"}
    rows = [
        (markdown.code(printable(ignored.path)), words[ignored.equals], markdown.code(ignored.pattern))
        for _, comparison in outcome.distinct_comparisons
        for ignored in sorted(comparison.ignored, key=lambda ignored: ignored.equals is not False)
    ]
    if not rows:
        return []
    more = f"… and {len(rows) - MAX_SHOWN:,} more, in the report." if len(rows) > MAX_SHOWN else ""
    return ["### Ignored, as the compare file asks", table(("Path", "It is", "By"), rows[:MAX_SHOWN], "lll"), more]


def _next_step(outcome: Outcome, markdown: Markdown) -> str:
    if outcome.error is not None:
        remedy = with_input_names(outcome.error.remedy)
        return markdown.text(remedy) if remedy else "Run the step again with <code>verbose: true</code>."
    if outcome.status is Status.SEALED:
        return "Commit the seal, sign it or attest it, and verify the version with <code>command: verify</code>."
    if outcome.status is Status.EQUAL:
        if outcome.has_same_location and outcome.seal is None:
            return (
                "Nothing. But note that this registry keeps no copy of its own: two models at one location "
                "cannot differ, so nothing was downloaded."
            )
        return "Nothing: the same files with the same bytes."
    if outcome.equivalent:
        if outcome.passed:
            return "Nothing: only what MLflow itself rewrites differs, and that is allowed here."
        return (
            "Only what MLflow itself rewrites differs. If that is fine, set <code>require: equivalent</code>; "
            "if not, copy the version instead of logging the model again."
        )
    return _next_step_after_difference(outcome)


def _next_step_after_difference(outcome: Outcome) -> str:
    if outcome.seal is not None:
        first = "The model is not what was sealed: find out who changed it, or seal the version that is meant."
    elif VersionRole.MODEL_VERSION in outcome.requested_versions:
        first = "The registry's copy is not what the run logged: register the version again from its run."
    else:
        first = "These are two models: copy or import the version that was tested, or name the one that is meant."
    allowed = (
        " Even the equivalence that is allowed here does not hold." if outcome.require is Require.EQUIVALENT else ""
    )
    return f"{first}{allowed} To look at the files, set <code>download-dir</code> and upload it as an artifact."


def _lineage(outcome: Outcome, markdown: Markdown) -> str:
    rows = [
        (
            markdown.code(f"{version.name} {version.version}"),
            markdown.code(version.lineage.run_id),
            markdown.cell(version.lineage.run_name),
            markdown.cell(version.lineage.experiment_name),
            markdown.cell(version.lineage.user),
            markdown.code(version.lineage.git_commit[:12]),
            markdown.code(version.lineage.notebook_path or version.lineage.source_name),
        )
        for version in outcome.versions.values()
    ]
    if not rows:
        return ""
    head = ("Version", "Run", "Run name", "Experiment", "User", "Commit", "Source")
    return collapsible("Where the versions come from", [table(head, rows, "lllllll")])

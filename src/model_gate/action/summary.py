"""The step's summary: an outcome as Markdown of limited size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

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
from model_gate.domain.result import ComparedModel, Comparison, Outcome, RestOfModel
from model_gate.domain.roles import VersionRole
from model_gate.domain.verdict import Require, Status
from model_gate.domain.version import ModelVersion
from model_gate.domain.wording import plural, printable
from model_gate.reporting.judgement import judgement
from model_gate.reporting.naming import heading, server_names, side_names
from model_gate.reporting.phrases import MAX_NAMED

# The runner drops a summary above 1 MiB. Browsers render large summaries slowly, so the limit is lower.
MAX_BYTES = 256 * 1024
_MAX_ID = 12


def summary(outcome: Outcome, report_file: str, redactor: Redactor, max_bytes: int = MAX_BYTES) -> str:
    """Return the summary of a finished step, at most `max_bytes` in UTF-8.

    Args:
        outcome: The result of the gate.
        report_file: The path of the report, "" if it could not be written.
        redactor: Removes secrets.
        max_bytes: At least 20,000. If even the most important differences do not fit, they are left to the report.
    """
    markdown = Markdown(redactor)
    diagram = diagram_of(outcome, redactor)
    differences = _differences(outcome)
    head = [
        f"## {_headline(outcome, markdown)}",
        _sentence(outcome, markdown),
        *first_differences(differences, markdown, max_bytes // 2),
        *_not_compared(outcome, markdown),
        *_rest_of_models(outcome, markdown),
        *_ignored(outcome, markdown),
        f"**What to do next.** {_next_step(outcome, markdown)}",
        _models_table(outcome, markdown),
        fenced(diagram, "mermaid") if diagram else "",
        _lineage(outcome, markdown),
    ]
    tail = [f"Full report: {markdown.code(report_file)}" if report_file else ""]
    remaining = max_bytes - size_in_bytes(head) - size_in_bytes(tail)
    rest = all_differences(differences, markdown, remaining, is_complete=not outcome.not_compared)
    if size_in_bytes([*head, *rest, *tail]) > max_bytes:
        return join_sections([*head[:2], *_not_compared(outcome, markdown), *tail])
    return join_sections([*head, *rest, *tail])


def _headline(outcome: Outcome, markdown: Markdown) -> str:
    """Return the mark of the verdict and what was compared, such as `Wine: staging v12 ≠ production v7 (…)`."""
    subject = markdown.text(heading(outcome))
    if outcome.status is Status.ERROR:
        undecided = "it could not be decided whether the models are the same"
        return f"⛔ {subject}: {undecided}" if subject else f"⛔ {undecided.capitalize()}"
    if outcome.status is Status.SEALED:
        return "✅ The model is sealed"
    mark = "⚠️" if outcome.is_nothing_compared else "✅" if outcome.passed else "❌"
    return f"{mark} {subject} ({markdown.text(judgement(outcome))})"


def _sentence(outcome: Outcome, markdown: Markdown) -> str:
    if outcome.error is not None:
        return f"> {markdown.text(outcome.error.message)}"
    if outcome.status is Status.SEALED and outcome.seal is not None:
        files, root = plural(len(outcome.seal.files), "file"), markdown.code(outcome.seal.statement.root)
        return f"{markdown.code(outcome.seal.file)}: {files}, root SHA-256 {root}."
    parts = [
        f"{_titles(names, outcome)}: {_verdict(comparison)}." for names, comparison in outcome.distinct_comparisons
    ]
    passed = "met" if outcome.passed else "not met"
    return f"{' '.join(parts)} The requirement, **{outcome.require}**, is **{passed}**."


def _titles(names: Iterable[str], outcome: Outcome) -> str:
    """Return the titles of comparisons in one phrase, such as `Run models and registry models`."""
    return " and ".join(outcome.model_names(name).title for name in names).capitalize()


def _verdict(comparison: Comparison) -> str:
    native = " (only the native model)" if comparison.native_model else ""
    if comparison.same_location:
        return "**equal**, being one and the same location"
    if comparison.equals:
        return f"**equal**{native}"
    count = len(comparison.differences)
    word = "equivalent" if comparison.equivalent else "different"
    return f"**{word}**, {plural(count, 'difference')} in {plural(comparison.compared, 'path')}{native}"


def _models_table(outcome: Outcome, markdown: Markdown) -> str:
    """Return a table of the compared models. Two models at one location have one row."""
    rows = list(_model_rows(outcome, markdown))
    if not rows:
        servers = server_names(outcome)
        requests = outcome.requested_versions.values()
        rows = [(_unresolved(request, server, markdown),) for request, server in zip(requests, servers, strict=True)]
        return table(("Model version",), rows, "l") if rows else ""
    return table(("Model version", "MLflow model", "Files", "Bytes", "SHA-256"), rows, "llrrl")


def _model_rows(outcome: Outcome, markdown: Markdown) -> Iterator[tuple[str, ...]]:
    requests = list(zip(outcome.requested_versions.items(), server_names(outcome), strict=True))
    for names, comparison in outcome.distinct_comparisons:
        pairs = [outcome.model_names(name) for name in names]
        models = [comparison.left, comparison.right]
        nouns = [" and ".join(pair.left for pair in pairs), " and ".join(pair.right for pair in pairs)]
        if comparison.same_location:
            models, nouns = models[:1], [" and ".join(dict.fromkeys(nouns))]
        for index, (model, noun) in enumerate(zip(models, nouns, strict=True)):
            versions = ""
            if requests:
                # Both models of a check belong to one version, and so may both versions at one location.
                shown = requests if comparison.same_location else [requests[min(index, len(requests) - 1)]]
                versions = "<br>and ".join(
                    _resolved(request, server, outcome.versions.get(role), markdown)
                    for (role, request), server in shown
                )
            if model.seal is not None:
                versions = markdown.code(printable(model.seal.title))
            uri = markdown.code(printable(model.location.uri))
            yield versions, f"{noun}{_native(comparison, markdown)}<br>{uri}", *_measures(model, comparison)


def _native(comparison: Comparison, markdown: Markdown) -> str:
    names = " and ".join(map(markdown.code, comparison.native_models))
    return f", {names} only" if names else ""


def _measures(model: ComparedModel, comparison: Comparison) -> tuple[str, str, str]:
    unread = "nothing was read" if comparison.same_location else "not all was read"
    digest = f"<code>{model.digest[:_MAX_ID]}…</code>" if model.digest else unread
    return f"{model.files:,}", "" if model.size is None else f"{model.size:,}", digest


def _unresolved(request: VersionRequest, server: str, markdown: Markdown) -> str:
    title = f"{markdown.code(request.model)} {markdown.code(request.version_or_stage)}"
    return f"{title}<br>{_on_server(request, server, markdown)}"


def _resolved(request: VersionRequest, server: str, version: ModelVersion | None, markdown: Markdown) -> str:
    if version is None:
        return _unresolved(request, server, markdown)
    names = [version.stage, *(f"@{alias}" for alias in version.aliases)]
    listed = ", ".join(markdown.code(name) for name in names[:4] if name and name != "None")
    title = f"{markdown.code(request.model)} version {markdown.code(version.version)}{f' ({listed})' if listed else ''}"
    return f"{title}<br>{_on_server(request, server, markdown)}"


def _on_server(request: VersionRequest, server: str, markdown: Markdown) -> str:
    """Return where a version is: the name that people gave the server, and its address."""
    address = markdown.code(request.host.address)
    return f"on {markdown.cell(server)}, {address}" if request.host.server else f"on {address}"


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
    names = ", ".join(markdown.code(printable(path)) for path in paths[:MAX_NAMED])
    more = f" and {len(paths) - MAX_NAMED:,} more, in the report" if len(paths) > MAX_NAMED else ""
    return [f"**Not compared**, so they may differ too: {names}{more}."]


def _rest_of_models(outcome: Outcome, markdown: Markdown) -> list[str]:
    """Return a Markdown section about the files outside each pair of native models: whether they are equal."""
    return [
        f"**Not part of the verdict**, the rest of the {_titles(names, outcome).lower()}:"
        f" {_rest(comparison.rest, markdown)}."
        for names, comparison in outcome.distinct_comparisons
        if comparison.rest is not None
    ]


def _rest(rest: RestOfModel, markdown: Markdown) -> str:
    if rest.equals:
        return "equal"
    parts = []
    if rest.differences:
        names = ", ".join(markdown.code(printable(difference.path)) for difference in rest.differences[:MAX_NAMED])
        more = f" and {len(rest.differences) - MAX_NAMED:,} more" if len(rest.differences) > MAX_NAMED else ""
        parts.append(f"different in {names}{more}")
    if rest.equals is None:
        parts.append("not compared to the end")
    return ", ".join(parts)


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
        if outcome.is_nothing_compared:
            return _next_step_at_one_location(outcome)
        if any(comparison.native_models or comparison.ignored for _, comparison in outcome.distinct_comparisons):
            return "Nothing, unless the files that are not part of the verdict matter: all others have the same bytes."
        return "Nothing: the same files with the same bytes."
    if outcome.equivalent:
        if outcome.passed:
            return "Nothing: only what MLflow itself rewrites differs, and that is allowed here."
        return (
            "Only what MLflow itself rewrites differs. If that is fine, set <code>require: equivalent</code>; "
            "if not, copy the version instead of logging the model again."
        )
    return _next_step_after_difference(outcome)


def _next_step_at_one_location(outcome: Outcome) -> str:
    if VersionRole.MODEL_VERSION in outcome.requested_versions:
        return (
            "Nothing was compared, because this registry keeps no copy of its own. To find out whether the files "
            "change later, seal the version now (<code>command: seal</code>)."
        )
    return (
        "If two versions were meant to be compared, check their names: both refer to the same files, so nothing was "
        "compared. That is as it should be if one is a copy of the other in the same registry."
    )


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
            markdown.code(_shortened(version.lineage.run_id)),
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
    # The report has the whole IDs.
    head = ("Version", "Run", "Run name", "Experiment", "User", "Commit", "Source")
    return collapsible("Where the versions come from", [table(head, rows, "lllllll")])


def _shortened(run_id: str) -> str:
    return run_id if len(run_id) <= _MAX_ID else f"{run_id[:_MAX_ID]}…"

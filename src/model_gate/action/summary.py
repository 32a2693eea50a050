"""The step's summary: an outcome as Markdown, in a size that the runner takes."""

from __future__ import annotations

from collections.abc import Iterator

from model_gate.access.redaction import Redactor
from model_gate.action.diagram import diagram_of
from model_gate.action.differences import FIRST, Found, all_differences, first_differences, in_order
from model_gate.action.escape import fenced
from model_gate.action.inputs import in_words_of_inputs
from model_gate.action.markdown import Markdown, folded, joined, size_of, table
from model_gate.domain.request import VersionRequest
from model_gate.domain.result import ComparedModel, Comparison, Outcome
from model_gate.domain.roles import VersionRole
from model_gate.domain.verdict import Require, Status
from model_gate.domain.version import ModelVersion
from model_gate.domain.wording import plural, printable

# Above 1 MiB the runner drops the whole summary. A browser has trouble long before.
MAX_BYTES = 256 * 1024


def summary(outcome: Outcome, report_file: str, redactor: Redactor) -> str:
    """The summary of a step, at most `MAX_BYTES` long."""
    page = Markdown(redactor)
    diagram = diagram_of(outcome, redactor)
    found = _found(outcome)
    head = [
        f"## {_headline(outcome)}",
        _sentence(outcome, page),
        *first_differences(found, page),
        *_ignored(outcome, page),
        f"**What to do next.** {_next(outcome, page)}",
        _models_table(outcome, page),
        fenced(diagram, "mermaid") if diagram else "",
        _lineage(outcome, page),
    ]
    tail = [f"Full report: {page.code(report_file)}" if report_file else ""]
    room = MAX_BYTES - size_of(head) - size_of(tail)
    return joined([*head, *all_differences(found, page, room), *tail])


def _headline(outcome: Outcome) -> str:
    if outcome.status is Status.ERROR:
        return "⛔ It could not be decided whether the models are the same"
    if outcome.status is Status.EQUAL:
        return "✅ The models are the same"
    if outcome.equivalent:
        mark = "✅" if outcome.passed else "❌"
        return f"{mark} The models are equivalent, but not the same"
    return "❌ The models differ"


def _sentence(outcome: Outcome, page: Markdown) -> str:
    if outcome.error is not None:
        return f"> {page.text(outcome.error.message)}"
    parts = [f"{_title(name, outcome)}: {_verdict(each)}." for name, each in outcome.comparisons.items()]
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


def _models_table(outcome: Outcome, page: Markdown) -> str:
    rows = list(_model_rows(outcome, page))
    if not rows:
        rows = [(_asked(each, page), "", "", "", "") for each in outcome.requested_versions.values()]
    head = ("Model version", "MLflow model", "Files", "Bytes", "SHA-256")
    return table(head, rows, "llrrl") if rows else ""


def _model_rows(outcome: Outcome, page: Markdown) -> Iterator[tuple[str, ...]]:
    versions = list(outcome.requested_versions.items())
    for names, comparison in _distinct(outcome):
        for index, model in enumerate((comparison.left, comparison.right)):
            pairs = [outcome.model_names(name) for name in names]
            kinds = " and ".join((each.left, each.right)[index] for each in pairs)
            # A check has one version with two models.
            role, request = versions[min(index, len(versions) - 1)] if versions else ("", None)
            found = outcome.versions.get(role)
            yield (
                _resolved(request, found, page) if request else "",
                f"{kinds}{_native(comparison, page)}<br>{page.code(printable(model.location.uri))}",
                *_measures(model),
            )


def _native(comparison: Comparison, page: Markdown) -> str:
    return f", {page.code(comparison.native_model)} only" if comparison.native_model else ""


def _measures(model: ComparedModel) -> tuple[str, str, str]:
    digest = f"<code>{model.digest[:12]}…</code>" if model.digest else "not all was fetched"
    return f"{model.files:,}", f"{model.size:,}", digest


def _asked(request: VersionRequest, page: Markdown) -> str:
    return f"{page.code(request.model)} {page.code(request.version_or_stage)}<br>on {page.code(request.host.address)}"


def _resolved(request: VersionRequest, found: ModelVersion | None, page: Markdown) -> str:
    if found is None:
        return _asked(request, page)
    names = [found.stage, *(f"@{alias}" for alias in found.aliases)]
    also = ", ".join(page.code(name) for name in names[:4] if name and name != "None")
    named = f"{page.code(request.model)} version {page.code(found.version)}{f' ({also})' if also else ''}"
    return f"{named}<br>on {page.code(request.host.address)}"


def _distinct(outcome: Outcome) -> list[tuple[list[str], Comparison]]:
    """The comparisons with their names: run models that are also the registry's are one comparison under two."""
    groups: dict[int, tuple[list[str], Comparison]] = {}
    for name, comparison in outcome.comparisons.items():
        groups.setdefault(id(comparison), ([], comparison))[0].append(name)
    return list(groups.values())


def _found(outcome: Outcome) -> list[Found]:
    """All differences with the names of what they were found in, what decides first."""
    return in_order(
        [
            (" and ".join(_title(name, outcome) for name in names), each)
            for names, comparison in _distinct(outcome)
            for each in comparison.differences
        ]
    )


def _ignored(outcome: Outcome, page: Markdown) -> list[str]:
    """What did not decide because the compare file says so: always told, whether it differs or not."""
    words = {True: "equal", False: "different", None: "not compared"}
    rows = [
        (page.code(printable(each.path)), words[each.equals], page.code(each.pattern))
        for _, comparison in _distinct(outcome)
        for each in sorted(comparison.ignored, key=lambda each: each.equals is not False)
    ]
    if not rows:
        return []
    more = f"… and {len(rows) - FIRST:,} more, in the report." if len(rows) > FIRST else ""
    return ["### Ignored, as the compare file asks", table(("Path", "It is", "By"), rows[:FIRST], "lll"), more]


def _next(outcome: Outcome, page: Markdown) -> str:
    if outcome.error is not None:
        remedy = in_words_of_inputs(outcome.error.remedy)
        return page.text(remedy) if remedy else "Run the step again with <code>verbose: true</code>."
    if outcome.status is Status.EQUAL:
        if any(each.same_location for each in outcome.comparisons.values()):
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
    return _next_after_difference(outcome)


def _next_after_difference(outcome: Outcome) -> str:
    if VersionRole.MODEL_VERSION in outcome.requested_versions:
        first = "The registry's copy is not what the run logged: register the version again from its run."
    else:
        first = "These are two models: copy or import the version that was tested, or name the one that is meant."
    allowed = (
        " Even the equivalence that is allowed here does not hold." if outcome.require is Require.EQUIVALENT else ""
    )
    return f"{first}{allowed} To look at the files, set <code>download-dir</code> and upload it as an artifact."


def _lineage(outcome: Outcome, page: Markdown) -> str:
    rows = [
        (
            page.code(f"{found.name} {found.version}"),
            page.code(found.lineage.run_id),
            page.cell(found.lineage.run_name),
            page.cell(found.lineage.experiment_name),
            page.cell(found.lineage.user),
            page.code(found.lineage.git_commit[:12]),
            page.code(found.lineage.notebook_path or found.lineage.source_name),
        )
        for found in outcome.versions.values()
    ]
    if not rows:
        return ""
    head = ("Version", "Run", "Run name", "Experiment", "User", "Commit", "Source")
    return folded("Where the versions come from", [table(head, rows, "lllllll")])

"""The step's summary: an outcome as Markdown, in a size that the runner takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from model_gate.action.escape import cut, fenced, html_text
from model_gate.action.inputs import in_words_of_inputs
from model_gate.action.mermaid import picture
from model_gate.difference import Difference
from model_gate.lineage import ModelVersion
from model_gate.model import shown_path
from model_gate.phrase import describe
from model_gate.redaction import Redactor
from model_gate.request import CheckRequest, CompareRequest, VersionRequest
from model_gate.result import ComparedModel, Comparison, Outcome
from model_gate.verdict import Require, Status

# Above 1 MiB the runner drops the whole summary. A browser has trouble long before.
MAX_BYTES = 256 * 1024
_FIRST = 8
_MOST = 500
_MAX_CELL = 160
_MAX_TEXT = 2_000
_MAX_FIELDS = 6

_NAMES = {
    "comparison": ("run model", "registry model"),
    "run_model_comparison": ("run model", "run model"),
    "reg_model_comparison": ("registry model", "registry model"),
}
_GROUPS = {
    "comparison": "Run model and registry model",
    "run_model_comparison": "Run models",
    "reg_model_comparison": "Registry models",
}


@dataclass(frozen=True)
class Page:
    """Makes text from outside fit to be shown: without secrets, cut, and meaning nothing in Markdown."""

    redactor: Redactor

    def text(self, text: str, most: int = _MAX_TEXT) -> str:
        """Prose that quotes names."""
        return html_text(cut(self.redactor.text(text), most))

    def code(self, text: str, most: int = _MAX_CELL) -> str:
        """A name, path or value."""
        return f"<code>{self.text(text, most)}</code>" if text else ""


def summary(outcome: Outcome, report_file: str, redactor: Redactor) -> str:
    """The summary of a step, at most `MAX_BYTES` long."""
    page = Page(redactor)
    diagram = picture(outcome, redactor)
    head = [
        f"## {_headline(outcome)}",
        _sentence(outcome, page),
        _models_table(outcome, page),
        fenced(diagram, "mermaid") if diagram else "",
        *_first_differences(outcome, page),
        *_ignored(outcome, page),
        f"**What to do next.** {_next(outcome, page)}",
        _lineage(outcome, page),
    ]
    tail = [f"Full report: {page.code(report_file)}" if report_file else ""]
    room = MAX_BYTES - _size(head) - _size(tail)
    return _joined([*head, *_all_differences(outcome, page, room), *tail])


def _joined(sections: Iterable[str]) -> str:
    return "\n\n".join(section for section in sections if section) + "\n"


def _size(sections: Iterable[str]) -> int:
    return len(_joined(sections).encode())


def _headline(outcome: Outcome) -> str:
    if outcome.status is Status.ERROR:
        return "⛔ It could not be decided whether the models are the same"
    if outcome.status is Status.EQUAL:
        return "✅ The models are the same"
    if outcome.equivalent:
        mark = "✅" if outcome.passed else "❌"
        return f"{mark} The models are equivalent, but not the same"
    return "❌ The models differ"


def _sentence(outcome: Outcome, page: Page) -> str:
    if outcome.error is not None:
        return f"> {page.text(outcome.error.message)}"
    parts = [f"{_GROUPS[name]}: {_verdict(each)}." for name, each in outcome.comparisons.items()]
    passed = "met" if outcome.passed else "not met"
    return f"{' '.join(parts)} The requirement, **{outcome.require}**, is **{passed}**."


def _verdict(comparison: Comparison) -> str:
    native = " (of the native model)" if comparison.native_model else ""
    if comparison.same_location:
        return "**equal**, being one and the same location"
    if comparison.equals:
        return f"**equal**{native}"
    count = len(comparison.differences)
    word = "equivalent" if comparison.equivalent else "different"
    return f"**{word}**, {count:,} difference{'s' * (count != 1)} in {comparison.compared:,} paths{native}"


def _models_table(outcome: Outcome, page: Page) -> str:
    rows = list(_model_rows(outcome, page))
    if not rows:
        rows = [(_asked(each, page), "", "", "", "") for _, each in _requests(outcome)]
    head = ("Model version", "MLflow model", "Files", "Bytes", "SHA-256")
    return _table(head, rows, "llrrl") if rows else ""


def _model_rows(outcome: Outcome, page: Page) -> Iterator[tuple[str, ...]]:
    asked = _requests(outcome)
    for names, comparison in _distinct(outcome):
        for index, model in enumerate((comparison.left, comparison.right)):
            kinds = " and ".join(_NAMES[name][index] for name in names)
            # A check has one version with two models.
            role, request = asked[min(index, len(asked) - 1)] if asked else ("", None)
            found = outcome.versions.get(role)
            yield (
                _resolved(request, found, page) if request else "",
                f"{kinds}{_native(comparison, page)}<br>{page.code(shown_path(model.location.uri))}",
                *_measures(model),
            )


def _native(comparison: Comparison, page: Page) -> str:
    return f", {page.code(comparison.native_model)} only" if comparison.native_model else ""


def _measures(model: ComparedModel) -> tuple[str, str, str]:
    digest = f"<code>{model.digest[:12]}…</code>" if model.digest else "not all was fetched"
    return f"{model.files:,}", f"{model.size:,}", digest


def _requests(outcome: Outcome) -> list[tuple[str, VersionRequest]]:
    request = outcome.request
    if isinstance(request, CheckRequest):
        return [("model_version", request.version)]
    if isinstance(request, CompareRequest):
        return [("tracking_server_1", request.tracking_server_1), ("tracking_server_2", request.tracking_server_2)]
    return []


def _asked(request: VersionRequest, page: Page) -> str:
    return f"{page.code(request.model)} {page.code(request.version_or_stage)}<br>on {page.code(request.host.address)}"


def _resolved(request: VersionRequest, found: ModelVersion | None, page: Page) -> str:
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


def _ordered(outcome: Outcome) -> list[tuple[str, Difference]]:
    """All differences with the names of what they were found in; those that MLflow makes by itself come last."""
    found = [
        (" and ".join(_GROUPS[name] for name in names), each)
        for names, comparison in _distinct(outcome)
        for each in comparison.differences
    ]
    return sorted(found, key=lambda pair: bool(pair[1].identity))


def _first_differences(outcome: Outcome, page: Page) -> list[str]:
    differences = _ordered(outcome)
    if not differences:
        return []
    rows = [_difference_row(where, each, page) for where, each in differences[:_FIRST]]
    more = f"… and {len(differences) - _FIRST:,} more, below and in the report." if len(differences) > _FIRST else ""
    texts = [_line_diff(each, page) for _, each in differences[:_FIRST]]
    return ["### What differs", _difference_table(rows), more, *(text for text in texts if text)]


def _difference_table(rows: list[tuple[str, ...]]) -> str:
    return _table(("Path", "In", "Difference", "What it means"), rows, "llll")


def _difference_row(where: str, difference: Difference, page: Page) -> tuple[str, ...]:
    return (
        page.code(shown_path(difference.path)),
        where.lower(),
        page.text(describe(difference)),
        meaning(difference, page),
    )


def meaning(difference: Difference, page: Page) -> str:
    """What a reader should make of a difference."""
    if difference.identity:
        return f"MLflow makes it by itself: {page.text(difference.identity)}"
    fields = difference.explanation.fields if difference.explanation is not None else ()
    # What MLflow rewrites anyway says nothing where something else differs too.
    telling = [each for each in fields if not each.identity]
    if telling:
        told = [
            f"{page.code(each.field)}: {_value(each.left, page)} → {_value(each.right, page)}"
            for each in telling[:_MAX_FIELDS]
        ]
        more = [f"… and {len(telling) - _MAX_FIELDS:,} more fields"] if len(telling) > _MAX_FIELDS else []
        return "<br>".join([*told, *more])
    if difference.left_size is None or difference.right_size is None:
        return "one of the models lacks it"
    if difference.offset is None:
        return "the sizes tell it; the bytes were not needed"
    if difference.explanation is not None and difference.explanation.lines:
        return "other text: see its lines below"
    return "other content: trained, saved or edited anew"


def _value(value: str | None, page: Page) -> str:
    return "not there" if value is None else page.code(value, 80) or "empty"


def _line_diff(difference: Difference, page: Page) -> str:
    lines = difference.explanation.lines if difference.explanation is not None else ()
    if not lines:
        return ""
    body = fenced([cut(page.redactor.text(line), 200) for line in lines], "diff")
    name = page.code(shown_path(difference.path))
    return f"<details><summary>Lines of {name}</summary>\n\n{body}\n\n</details>"


def _ignored(outcome: Outcome, page: Page) -> list[str]:
    """What did not decide because the compare file says so: always told, whether it differs or not."""
    words = {True: "equal", False: "different", None: "not compared"}
    rows = [
        (page.code(shown_path(each.path)), words[each.equals], page.code(each.pattern))
        for _, comparison in _distinct(outcome)
        for each in sorted(comparison.ignored, key=lambda each: each.equals is not False)
    ]
    if not rows:
        return []
    more = f"… and {len(rows) - _FIRST:,} more, in the report." if len(rows) > _FIRST else ""
    return ["### Ignored, as the compare file asks", _table(("Path", "It is", "By"), rows[:_FIRST], "lll"), more]


def _all_differences(outcome: Outcome, page: Page, room: int) -> list[str]:
    """Every difference, as far as there is room."""
    differences = _ordered(outcome)
    if len(differences) <= _FIRST:
        return []
    opening = f"<details><summary>All {len(differences):,} differences</summary>"
    rows: list[tuple[str, ...]] = []
    # The frame of the table, and the sentence that there is more.
    room -= 1_000
    for where, each in differences[:_MOST]:
        row = _difference_row(where, each, page)
        room -= len(_row(row).encode()) + 1
        if room < 0:
            break
        rows.append(row)
    more = f"{len(differences) - len(rows):,} more are in the report." if len(rows) < len(differences) else ""
    return [opening, _difference_table(rows), more, "</details>"]


def _next(outcome: Outcome, page: Page) -> str:
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
    if isinstance(outcome.request, CheckRequest):
        first = "The registry's copy is not what the run logged: register the version again from its run."
    else:
        first = "These are two models: copy or import the version that was tested, or name the one that is meant."
    allowed = (
        " Even the equivalence that is allowed here does not hold." if outcome.require is Require.EQUIVALENT else ""
    )
    return f"{first}{allowed} To look at the files, set <code>download-dir</code> and upload it as an artifact."


def _lineage(outcome: Outcome, page: Page) -> str:
    rows = [
        (
            page.code(f"{found.name} {found.version}"),
            page.code(found.lineage.run_id),
            page.text(found.lineage.run_name, _MAX_CELL),
            page.text(found.lineage.experiment_name, _MAX_CELL),
            page.text(found.lineage.user, _MAX_CELL),
            page.code(found.lineage.git_commit[:12]),
            page.code(found.lineage.notebook_path or found.lineage.source_name),
        )
        for found in outcome.versions.values()
    ]
    if not rows:
        return ""
    head = ("Version", "Run", "Run name", "Experiment", "User", "Commit", "Source")
    return f"<details><summary>Where the versions come from</summary>\n\n{_table(head, rows, 'lllllll')}\n\n</details>"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]], alignment: str) -> str:
    ruler = ("--:" if each == "r" else "---" for each in alignment)
    return "\n".join([_row(head), _row(tuple(ruler)), *(_row(row) for row in rows)])


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"

"""The compared models in the step's summary: a table with a column for each model, and where the models come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from model_gate.action.markdown import Markdown, collapsible, table
from model_gate.domain.request import VersionRequest
from model_gate.domain.result import ComparedModel, Comparison, Outcome
from model_gate.domain.version import ModelVersion
from model_gate.domain.wording import printable, truncate
from model_gate.reporting.findings import phrases_of_shared_files
from model_gate.reporting.naming import SideNames, server_names, side_names, version_name
from model_gate.reporting.seal_names import seal_parts, seal_title

_SHOWN_DIGITS = 12
_MAX_URI = 1_000
# The heading shortens a name. Here it is whole, unless it is longer than MLflow allows.
_MAX_MODEL = 500
_MAX_ALIASES = 4
# Title of a row, with a hyphen that does not break.
_SHA_256 = "SHA&#8209;256"
# Shown digits of a run ID or a commit, so that two columns fit on a narrow page.
_MAX_ID = 10


def models_table(outcome: Outcome, markdown: Markdown) -> list[str]:
    """Return Markdown sections with a table of each comparison: a column for each of its models.

    Two models at one location have one column. Without a comparison, the table has the requested versions.
    """
    if not outcome.comparisons:
        if len(outcome.requested_versions) == 1 and outcome.error is not None:
            # The error and the open question name the version and the server.
            return []
        rows = [
            (
                markdown.code(request.model, _MAX_MODEL),
                _version(request, outcome.versions.get(role), markdown),
                _address(request, server, markdown),
            )
            for (role, request), (_, server) in zip(outcome.requested_versions.items(), _requests(outcome), strict=True)
        ]
        return [table(("Model", "Version", "Server"), rows, "lll")] if rows else []
    sections = [_one_version(outcome, markdown)]
    for number, (names, comparison) in enumerate(outcome.distinct_comparisons):
        # The table of the first comparison has the versions, which are the same for all.
        versions = _version_rows(outcome, markdown) if number == 0 else []
        sections.append(_caption(names, comparison, outcome, markdown))
        sections.append(_table(side_names(outcome, names[0]), comparison, versions, markdown))
    return sections


def origins(outcome: Outcome, markdown: Markdown) -> str:
    """Return a collapsible section with the locations and digests of the models, and the runs of the versions."""
    sections = [
        "<br>".join(_origin(noun, model, comparison, markdown))
        for names, comparison in outcome.distinct_comparisons
        for noun, model in _models(names, comparison, outcome)
    ]
    return collapsible("Where the models come from", [*sections, _runs(outcome, markdown)]) if any(sections) else ""


def _requests(outcome: Outcome) -> list[tuple[VersionRequest, str]]:
    """Return the requested versions, each with the name of its server."""
    return list(zip(outcome.requested_versions.values(), server_names(outcome), strict=True))


def _one_version(outcome: Outcome, markdown: Markdown) -> str:
    """Return a line about the version to which all models of the gate belong; "" for several versions or none."""
    if len(outcome.requested_versions) != 1:
        return ""
    ((role, _),) = outcome.requested_versions.items()
    ((request, server),) = _requests(outcome)
    version = _version(request, outcome.versions.get(role), markdown, " ")
    return (
        f"{markdown.code(request.model, _MAX_MODEL)} version {version} on {_address(request, server, markdown, ', ')}"
    )


def _caption(names: Sequence[str], comparison: Comparison, outcome: Outcome, markdown: Markdown) -> str:
    """Return what the table of a comparison is about, "" if the table itself says it."""
    first, *others = names
    if comparison.same_location and others:
        return f"**{' and '.join(outcome.model_names(name).title for name in names).capitalize()}**"
    model_names = outcome.model_names(first)
    parts = [f"**{model_names.title.capitalize()}**"]
    for other in others:
        models, known = phrases_of_shared_files(outcome, first, other)
        parts.append(f"({models}: {known})")
    seal = comparison.left.seal or comparison.right.seal
    if seal is not None:
        return "<br>".join([" ".join(parts), *map(markdown.code, map(printable, seal_parts(seal)))])
    is_clear = model_names.left != model_names.right and len(outcome.distinct_comparisons) == 1
    return "" if is_clear and len(parts) == 1 else " ".join(parts)


def _version_rows(outcome: Outcome, markdown: Markdown) -> list[tuple[str, ...]]:
    """Return the rows about two versions, with a cell for each version; an empty list for one version or none."""
    requests = list(outcome.requested_versions.items())
    if len(requests) < 2:
        return []
    models = [markdown.code(request.model, _MAX_MODEL) for _, request in requests]
    versions = [_version(request, outcome.versions.get(role), markdown) for role, request in requests]
    servers = [_address(request, server, markdown) for request, server in _requests(outcome)]
    return [("Model", *models), ("Version", *versions), ("Server", *servers)]


def _table(sides: SideNames, comparison: Comparison, versions: list[tuple[str, ...]], markdown: Markdown) -> str:
    columns = [sides.left, sides.right]
    models = [comparison.left, comparison.right]
    rows = versions
    if comparison.same_location:
        columns, models = [" and ".join(dict.fromkeys(columns))], models[:1]
        rows = [(title, "<br>and ".join(dict.fromkeys(values))) for title, *values in versions]
    native = [comparison.native_model, comparison.right_native_model]
    files = [_files(model, only, markdown) for model, only in zip(models, native, strict=False)]
    sizes = ["not known:<br>the seal has no sizes" if model.size is None else f"{model.size:,}" for model in models]
    digests = [_digest(model, comparison) for model in models]
    # The digests are of all files, also if some of them do not affect the verdict.
    scope = " of all files" if comparison.ignored else ""
    rows = [*rows, ("Files", *files), ("Bytes", *sizes), (f"{_SHA_256}{scope}", *digests)]
    return table(("", *map(markdown.cell, columns)), rows, "l" * (1 + len(columns)))


def _files(model: ComparedModel, native_model: str, markdown: Markdown) -> str:
    return f"{model.files:,}{f', only {markdown.path(native_model)}' if native_model else ''}"


def _digest(model: ComparedModel, comparison: Comparison) -> str:
    if model.digest:
        return f"<code>{model.digest[:_SHOWN_DIGITS]}…</code>"
    return "nothing was read" if comparison.same_location else "not all files were read"


def _models(names: Sequence[str], comparison: Comparison, outcome: Outcome) -> Iterator[tuple[str, ComparedModel]]:
    """Yield each model of a comparison with its name, as in `staging v12, run model and registry model`."""
    sides = side_names(outcome, names[0])
    pairs = [outcome.model_names(name) for name in names]
    lefts, rights = [pair.left for pair in pairs], [pair.right for pair in pairs]
    if comparison.same_location:
        titles = dict.fromkeys([sides.left, sides.right, *lefts, *rights])
        yield " and ".join(titles), comparison.left
        return
    for side, nouns, model in ((sides.left, lefts, comparison.left), (sides.right, rights, comparison.right)):
        distinct = " and ".join(dict.fromkeys(nouns))
        yield distinct if side in nouns else f"{side}, {distinct}", model


def _origin(noun: str, model: ComparedModel, comparison: Comparison, markdown: Markdown) -> Iterator[str]:
    yield f"**{markdown.cell(noun)}**"
    uri = model.location.uri if model.seal is None else seal_title(model.seal)
    yield markdown.code(printable(uri), _MAX_URI)
    if model.digest and not comparison.same_location:
        yield f"SHA-256 {markdown.code(model.digest)}"


def _version(request: VersionRequest, version: ModelVersion | None, markdown: Markdown, separator: str = "<br>") -> str:
    """Return the number of a version with its stage and its aliases, or the name by which it was requested."""
    if version is None:
        return markdown.code(request.version_or_stage)
    names = [version.stage, *(f"@{alias}" for alias in version.aliases)]
    listed = [markdown.code(name) for name in names[:_MAX_ALIASES] if name and name != "None"]
    return separator.join(filter(None, [markdown.code(version.version), " ".join(listed)]))


def _address(request: VersionRequest, server: str, markdown: Markdown, separator: str = "<br>") -> str:
    """Return the declared name of a server, if it has one, and its address."""
    # On a narrow page, "https://" would be alone on a line.
    address = markdown.address(request.host.address.removeprefix("https://"))
    return f"{markdown.cell(server)}{separator}{address}" if request.host.server else address


def _runs(outcome: Outcome, markdown: Markdown) -> str:
    """Return a table of the runs that created the versions: a column for each version, a row for each known fact."""
    facts: dict[str, Callable[[ModelVersion], str]] = {
        "Run": lambda version: markdown.code(_shortened(version.lineage.run_id)),
        "Run name": lambda version: markdown.cell(version.lineage.run_name),
        "Experiment": lambda version: markdown.cell(version.lineage.experiment_name),
        "User": lambda version: markdown.cell(version.lineage.user),
        "Commit": lambda version: markdown.code(_shortened(version.lineage.git_commit)),
        "Source": lambda version: markdown.code(version.lineage.notebook_path or version.lineage.source_name),
    }
    # After an error, possibly not all versions are resolved.
    servers = zip(outcome.requested_versions.items(), server_names(outcome), strict=True)
    resolved = [
        (f"{server} {version_name(request, outcome)}", outcome.versions[role])
        for (role, request), server in servers
        if role in outcome.versions
    ]
    rows = [(title, *(fact(version) for _, version in resolved)) for title, fact in facts.items()]
    known = [row for row in rows if any(row[1:])]
    if not known:
        return ""
    columns = [markdown.cell(name) for name, _ in resolved]
    return table(("", *columns), known, "l" * (1 + len(columns)))


def _shortened(identifier: str) -> str:
    # The report has the whole identifier. A part of a secret beside "…" is masked.
    return truncate(identifier, _MAX_ID + 1)

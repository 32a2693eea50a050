"""A diagram of the compared models, for the step's summary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from model_gate.access.redaction import Redactor
from model_gate.action.escape import mermaid_text
from model_gate.domain.request import VersionRequest
from model_gate.domain.result import ComparedModel, Comparison, Outcome
from model_gate.domain.wording import plural, truncate_middle
from model_gate.reporting.naming import server_names, version_name
from model_gate.reporting.scope import limits_of_equality
from model_gate.reporting.seal_names import seal_parts

# Mermaid wraps a line at its blanks only, so a longer name would make the whole diagram small.
_MAX_LINE = 40
_STYLES = (
    "classDef equal stroke:#1a7f37,stroke-width:2px",
    # Some files do not count, and may differ.
    "classDef partly stroke:#9a6700,stroke-width:2px",
    "classDef equivalent stroke:#9a6700,stroke-width:2px",
    # Nothing is known about the files of one location, so it has no color of a verdict.
    "classDef notcompared stroke:#6e7781,stroke-width:2px,stroke-dasharray:4",
    "classDef different stroke:#cf222e,stroke-width:2px",
)


def diagram_of(outcome: Outcome, redactor: Redactor) -> list[str]:
    """Return the lines of a Mermaid flowchart; an empty list if no versions were compared.

    Each comparison is a column of two models and the verdict between them. The comparisons are below one another, so
    that the diagram is narrow enough for a telephone. Two models at one location are one box.
    """
    requests = list(outcome.requested_versions.values())
    if not outcome.comparisons or not requests:
        return []
    servers = server_names(outcome)
    versions = [_version(request, server, outcome) for request, server in zip(requests, servers, strict=True)]
    lines: list[str] = []
    order: list[str] = []
    bottom = ""
    for number, (names, comparison) in enumerate(outcome.distinct_comparisons, start=1):
        pairs = [outcome.model_names(name) for name in names]
        nouns = (_noun([pair.left for pair in pairs]), _noun([pair.right for pair in pairs]))
        left, right = (f"model{number}",) * 2 if comparison.same_location else (f"left{number}", f"right{number}")
        if bottom:
            # An invisible line, which places the comparison below the one before.
            order.append(f"{bottom} ~~~ {left}")
        bottom = right
        if comparison.same_location:
            lines += _one_location(left, versions, nouns, redactor)
            continue
        # Both models of a check belong to one version.
        left_lines = [*_model(comparison.left, versions[0], nouns[0]), *_only(comparison.native_model)]
        right_lines = [*_model(comparison.right, versions[-1], nouns[1]), *_only(comparison.right_native_model)]
        lines += [
            f'{left}["{_label(left_lines, redactor)}"]',
            f'{right}["{_label(right_lines, redactor)}"]',
            *_edge(left, right, comparison, redactor),
        ]
    return ["flowchart TB", *(f"  {line}" for line in (*lines, *order, *_STYLES))]


def _noun(nouns: Sequence[str]) -> str:
    """Return the names of one or two models, as in `run and registry model`."""
    distinct = list(dict.fromkeys(nouns))
    return " and ".join([*(noun.removesuffix(" model") for noun in distinct[:-1]), distinct[-1]])


def _version(request: VersionRequest, server: str, outcome: Outcome) -> list[str]:
    """Return the lines that name a version."""
    name = version_name(request, outcome)
    requested = request.version_or_stage
    alias = "" if name in {requested, f"v{requested}"} else f" {requested}"
    return [request.model, name + alias, server]


def _one_location(
    node: str, versions: Sequence[list[str]], nouns: tuple[str, str], redactor: Redactor
) -> Iterator[str]:
    named = dict.fromkeys(line for lines in zip(*versions, strict=True) for line in lines)
    yield f'{node}["{_label([*named, _noun(nouns), "the same files: one location"], redactor)}"]'
    yield f"class {node} notcompared"


def _model(model: ComparedModel, version: list[str], noun: str) -> list[str]:
    """Return the lines that name a model, or the seal that stands for it."""
    return [*version, noun] if model.seal is None else [noun, *seal_parts(model.seal)]


def _only(native_model: str) -> list[str]:
    return [f"only {native_model}"] if native_model else []


def _edge(left: str, right: str, comparison: Comparison, redactor: Redactor) -> Iterator[str]:
    if comparison.equals:
        limits = limits_of_equality(comparison)
        # Files that do not count may differ, so not all is as green as equal models.
        style = "partly" if limits else "equal"
        arrow, label = ("==", "==="), f"equal{limits}"
    else:
        style = "equivalent" if comparison.equivalent else "different"
        arrow, label = ("-.", ".-"), f"{style}: {_count(comparison)}"
    yield f'{left} {arrow[0]} "{mermaid_text(redactor.text(label))}" {arrow[1]} {right}'
    yield f"class {left},{right} {style}"


def _count(comparison: Comparison) -> str:
    """Return how many files differ, and how many were not compared."""
    differing = f"{len(comparison.differences):,} of"
    if not comparison.not_compared:
        rewritten = " rewritten" if comparison.equivalent else ""
        return f"{differing} {plural(comparison.compared, 'file')}{rewritten}"
    return f"{differing} {plural(comparison.compared, 'compared file')}, {len(comparison.not_compared):,} not compared"


def _label(lines: list[str], redactor: Redactor) -> str:
    return "<br/>".join(mermaid_text(truncate_middle(redactor.text(line), _MAX_LINE)) for line in lines)

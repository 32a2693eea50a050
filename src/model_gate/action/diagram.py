"""A diagram of the compared models, for the step's summary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from model_gate.access.redaction import Redactor
from model_gate.action.escape import mermaid_text
from model_gate.domain.request import VersionRequest
from model_gate.domain.result import ComparedModel, Comparison, Outcome
from model_gate.domain.wording import truncate_middle
from model_gate.reporting.naming import server_names, version_name

# Mermaid wraps a line at its blanks only, so a longer name would make the whole diagram small.
_MAX_LINE = 40
_STYLES = (
    "classDef equal stroke:#1a7f37,stroke-width:2px",
    "classDef equivalent stroke:#9a6700,stroke-width:2px",
    # Nothing is known about the files of one location, so it has no color of a verdict.
    "classDef notcompared stroke:#6e7781,stroke-width:2px,stroke-dasharray:4",
    "classDef different stroke:#cf222e,stroke-width:2px",
)


def diagram_of(outcome: Outcome, redactor: Redactor) -> list[str]:
    """Return the lines of a Mermaid flowchart; an empty list if no versions were compared.

    Each comparison is a row of two models and the verdict between them. Two models at one location are one box.
    """
    requests = list(outcome.requested_versions.values())
    if not outcome.comparisons or not requests:
        return []
    servers = server_names(outcome)
    versions = [_version(request, server, outcome) for request, server in zip(requests, servers, strict=True)]
    lines: list[str] = []
    for number, (names, comparison) in enumerate(outcome.distinct_comparisons, start=1):
        pairs = [outcome.model_names(name) for name in names]
        nouns = (" and ".join(pair.left for pair in pairs), " and ".join(pair.right for pair in pairs))
        if comparison.same_location:
            lines += _one_location(f"model{number}", versions, nouns, redactor)
            continue
        left, right = f"left{number}", f"right{number}"
        # Both models of a check belong to one version.
        left_lines = [*_model(comparison.left, versions[0], nouns[0]), *_only(comparison.native_model)]
        right_lines = [*_model(comparison.right, versions[-1], nouns[1]), *_only(comparison.right_native_model)]
        lines += [
            f'{left}["{_label(left_lines, redactor)}"]',
            f'{right}["{_label(right_lines, redactor)}"]',
            *_edge(left, right, comparison),
        ]
    return ["flowchart LR", *(f"  {line}" for line in (*lines, *_STYLES))]


def _version(request: VersionRequest, server: str, outcome: Outcome) -> list[str]:
    """Return the lines that name a version."""
    name = version_name(request, outcome)
    requested = request.version_or_stage
    alias = "" if name in {requested, f"v{requested}"} else f" ({requested})"
    return [request.model, name + alias, server]


def _one_location(
    node: str, versions: Sequence[list[str]], nouns: tuple[str, str], redactor: Redactor
) -> Iterator[str]:
    named = dict.fromkeys(line for lines in zip(*versions, strict=True) for line in lines)
    yield f'{node}["{_label([*named, " and ".join(dict.fromkeys(nouns)), "one location"], redactor)}"]'
    yield f"class {node} notcompared"


def _model(model: ComparedModel, version: list[str], noun: str) -> list[str]:
    """Return the lines that name a model, or the seal that stands for it."""
    return [*version, noun] if model.seal is None else [noun, *model.seal.title.removeprefix("seal ").split(" of ", 1)]


def _only(native_model: str) -> list[str]:
    return [f"only {native_model}"] if native_model else []


def _edge(left: str, right: str, comparison: Comparison) -> Iterator[str]:
    ignored = f"<br/>{len(comparison.ignored):,} ignored" if comparison.ignored else ""
    if comparison.equals:
        style = "equal"
        arrow = f'== "{"one location" if comparison.same_location else "equal"}{ignored}" ==='
    else:
        style = "equivalent" if comparison.equivalent else "different"
        arrow = f'-. "{style}: {len(comparison.differences):,}{ignored}" .-'
    yield f"{left} {arrow} {right}"
    yield f"class {left},{right} {style}"


def _label(lines: list[str], redactor: Redactor) -> str:
    return "<br/>".join(mermaid_text(truncate_middle(redactor.text(line), _MAX_LINE)) for line in lines)

"""A diagram of the compared models, for the step's summary."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from model_gate.access.redaction import Redactor
from model_gate.action.escape import mermaid_text
from model_gate.domain.request import VersionRequest
from model_gate.domain.result import Comparison, Outcome
from model_gate.domain.roles import ComparisonName, ModelRole
from model_gate.domain.wording import truncate_middle
from model_gate.reporting.naming import server_names, version_name

_MAX_LABEL = 60
_NODES: Mapping[str, str] = {ComparisonName.RUN_MODELS: "run", ComparisonName.REG_MODELS: "reg"}
_NOUNS: Mapping[str, str] = {
    ComparisonName.RUN_MODELS: ModelRole.RUN_MODEL.noun,
    ComparisonName.REG_MODELS: ModelRole.REG_MODEL.noun,
}
_STYLES = (
    "classDef equal stroke:#1a7f37,stroke-width:2px",
    "classDef equivalent stroke:#9a6700,stroke-width:2px",
    "classDef different stroke:#cf222e,stroke-width:2px",
)


def diagram_of(outcome: Outcome, redactor: Redactor) -> list[str]:
    """Return the lines of a Mermaid flowchart; an empty list if no versions were compared."""
    requests = list(outcome.requested_versions.values())
    if not outcome.comparisons or not requests:
        return []
    versions = [
        _Version(server, request, version_name(request, outcome))
        for server, request in zip(server_names(outcome), requests, strict=True)
    ]
    draw = _one_version if len(versions) == 1 else _two_versions
    return ["flowchart LR", *(f"  {line}" for line in (*draw(versions, outcome, redactor), *_STYLES))]


class _Version(NamedTuple):
    """A version of the diagram: the name of its server, its request and its own name, such as `v12`."""

    server: str
    request: VersionRequest
    name: str

    def node(self, node: str, redactor: Redactor) -> str:
        """Return the line that draws the version."""
        requested = self.request.version_or_stage
        alias = "" if self.name in {requested, f"v{requested}"} else f" ({requested})"
        return f'{node}(["{_label(self.request.model, redactor)}<br/>{_label(self.name + alias, redactor)}"])'


def _one_version(versions: list[_Version], outcome: Outcome, redactor: Redactor) -> Iterator[str]:
    (version,) = versions
    yield f'subgraph server["{_label(version.server, redactor)}"]'
    yield "  " + version.node("version", redactor)
    yield "end"
    for number, (names, comparison) in enumerate(outcome.distinct_comparisons, start=1):
        pair = outcome.model_names(names[0])
        if comparison.same_location:
            yield from _one_location(f"model{number}", pair.title)
            yield f"version --- model{number}"
            continue
        yield from (
            f'left{number}["{_label(pair.left, redactor)}"]',
            f'right{number}["{_label(pair.right, redactor)}"]',
        )
        yield from (f"version --- left{number}", f"version --- right{number}")
        yield from _edge(f"left{number}", f"right{number}", comparison)


def _two_versions(versions: list[_Version], outcome: Outcome, redactor: Redactor) -> Iterator[str]:
    comparisons = outcome.distinct_comparisons
    for number, version in enumerate(versions, start=1):
        yield f'subgraph server{number}["{_label(version.server, redactor)}"]'
        yield "  " + version.node(f"version{number}", redactor)
        for names, comparison in comparisons:
            if not comparison.same_location:
                node = _NODES[names[0]]
                yield f'  {node}{number}["{_noun(names)}"]'
                # The versions are the outer nodes, so that the compared models are adjacent.
                yield f"  version1 --- {node}1" if number == 1 else f"  {node}2 --- version2"
        yield "end"
    for names, comparison in comparisons:
        node = _NODES[names[0]]
        if comparison.same_location:
            yield from _one_location(node, _noun(names))
            yield f"version1 --- {node} --- version2"
        else:
            yield from _edge(f"{node}1", f"{node}2", comparison)


def _noun(names: Iterable[str]) -> str:
    return " and ".join(_NOUNS[name] for name in names)


def _one_location(node: str, title: str) -> Iterator[str]:
    yield f'{node}["{title}<br/>one and the same location"]'
    yield f"class {node} equal"


def _edge(left: str, right: str, comparison: Comparison) -> Iterator[str]:
    count = len(comparison.differences)
    if comparison.equals:
        style, arrow = "equal", '== "equal" ==='
    else:
        style = "equivalent" if comparison.equivalent else "different"
        arrow = f'-. "{style}: {count:,}" .-'
    yield f"{left} {arrow} {right}"
    yield f"class {left},{right} {style}"


def _label(text: str, redactor: Redactor) -> str:
    return mermaid_text(truncate_middle(redactor.text(text), _MAX_LABEL))

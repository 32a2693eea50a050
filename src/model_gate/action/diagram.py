"""A diagram of the compared models, for the step's summary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from model_gate.access.redaction import Redactor
from model_gate.action.escape import mermaid_text
from model_gate.domain.request import VersionRequest
from model_gate.domain.result import Comparison, Outcome
from model_gate.domain.roles import ComparisonName, ModelRole, VersionRole
from model_gate.domain.seal import Seal
from model_gate.domain.wording import truncate_middle

_MAX_LABEL = 60
_MODELS: Mapping[str, tuple[str, str]] = {
    ComparisonName.RUN_MODELS: ("run", ModelRole.RUN_MODEL.noun),
    ComparisonName.REG_MODELS: ("reg", ModelRole.REG_MODEL.noun),
}
_STYLES = (
    "classDef equal stroke:#1a7f37,stroke-width:2px",
    "classDef equivalent stroke:#9a6700,stroke-width:2px",
    "classDef different stroke:#cf222e,stroke-width:2px",
)


def diagram_of(outcome: Outcome, redactor: Redactor) -> list[str]:
    """Return the lines of a Mermaid flowchart; an empty list if nothing was compared."""
    versions = outcome.requested_versions
    if not outcome.comparisons:
        return []
    if outcome.seal is not None:
        lines = list(_sealed(outcome.seal, versions, redactor, outcome))
    elif VersionRole.MODEL_VERSION in versions:
        request = versions[VersionRole.MODEL_VERSION]
        lines = list(_check(request, outcome.comparisons[ComparisonName.COMPARISON], redactor, outcome))
    elif versions:
        lines = list(_compare(versions, redactor, outcome))
    else:
        return []
    return ["flowchart LR", *(f"  {line}" for line in (*lines, *_STYLES))]


def _check(request: VersionRequest, comparison: Comparison, redactor: Redactor, outcome: Outcome) -> Iterator[str]:
    resolved = outcome.versions.get(VersionRole.MODEL_VERSION)
    yield _version("version", request, resolved.version if resolved else "", redactor)
    yield from ('run["run model"]', 'reg["registry model"]', "version --- run", "version --- reg")
    yield from _edge("run", "reg", comparison)


def _sealed(
    seal: Seal, versions: Mapping[VersionRole, VersionRequest], redactor: Redactor, outcome: Outcome
) -> Iterator[str]:
    yield f'seal(["{_label(seal.title, redactor)}"])'
    compared = [comparison for comparison in outcome.comparisons.items() if comparison[1].is_by_digest]
    for number, (name, comparison) in enumerate(compared, start=1):
        names = outcome.model_names(name)
        is_seal_left = comparison.left.seal is not None
        yield f'model{number}["{names.right if is_seal_left else names.left}"]'
        for role, request in versions.items():
            resolved = outcome.versions.get(role)
            yield _version("version", request, resolved.version if resolved else "", redactor)
            yield f"model{number} --- version"
        yield from _edge("seal", f"model{number}", comparison)


def _compare(versions: Mapping[VersionRole, VersionRequest], redactor: Redactor, outcome: Outcome) -> Iterator[str]:
    for number, (name, version) in enumerate(versions.items(), start=1):
        resolved = outcome.versions.get(name)
        yield f'subgraph server{number}["{_label(version.host.address, redactor)}"]'
        yield "  " + _version(f"version{number}", version, resolved.version if resolved else "", redactor)
        for key in outcome.comparisons:
            node, label = _MODELS[key]
            yield f'  {node}{number}["{label}"]'
            # The versions are the outer nodes, so that the compared models are adjacent.
            yield f"  version1 --- {node}1" if number == 1 else f"  {node}2 --- version2"
        yield "end"
    for key, comparison in outcome.comparisons.items():
        node, _ = _MODELS[key]
        yield from _edge(f"{node}1", f"{node}2", comparison)


def _version(node: str, request: VersionRequest, number: str, redactor: Redactor) -> str:
    version = f"version {number}" if number else request.version_or_stage
    alias = "" if number in {"", request.version_or_stage} else f" ({request.version_or_stage})"
    return f'{node}(["{_label(request.model, redactor)}<br/>{_label(version + alias, redactor)}"])'


def _edge(left: str, right: str, comparison: Comparison) -> Iterator[str]:
    count = len(comparison.differences)
    if comparison.same_location:
        style, arrow = "equal", '== "one and the same" ==='
    elif comparison.equals:
        style, arrow = "equal", '== "equal" ==='
    else:
        style = "equivalent" if comparison.equivalent else "different"
        arrow = f'-. "{style}: {count:,}" .-'
    yield f"{left} {arrow} {right}"
    yield f"class {left},{right} {style}"


def _label(text: str, redactor: Redactor) -> str:
    return mermaid_text(truncate_middle(redactor.text(text), _MAX_LABEL))

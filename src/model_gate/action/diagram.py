"""A picture of what was compared with what, for a step's summary."""

from __future__ import annotations

from collections.abc import Iterator

from model_gate.access.redaction import Redactor
from model_gate.action.escape import cut, mermaid_text
from model_gate.domain.request import CheckRequest, CompareRequest, VersionRequest
from model_gate.domain.result import Comparison, Outcome

_MAX_LABEL = 60
_MODELS = {"run_model_comparison": ("run", "run model"), "reg_model_comparison": ("reg", "registry model")}
_STYLES = (
    "classDef equal stroke:#1a7f37,stroke-width:2px",
    "classDef equivalent stroke:#9a6700,stroke-width:2px",
    "classDef different stroke:#cf222e,stroke-width:2px",
)


def diagram_of(outcome: Outcome, redactor: Redactor) -> list[str]:
    """The lines of a Mermaid flowchart; none where nothing was compared."""
    request = outcome.request
    if not outcome.comparisons:
        return []
    if isinstance(request, CheckRequest):
        lines = list(_check(request, outcome.comparisons["comparison"], redactor, outcome))
    elif isinstance(request, CompareRequest):
        lines = list(_compare(request, redactor, outcome))
    else:
        return []
    return ["flowchart LR", *(f"  {line}" for line in (*lines, *_STYLES))]


def _check(request: CheckRequest, comparison: Comparison, redactor: Redactor, outcome: Outcome) -> Iterator[str]:
    found = outcome.versions.get("model_version")
    yield _version("version", request.version, found.version if found else "", redactor)
    yield from ('run["run model"]', 'reg["registry model"]', "version --- run", "version --- reg")
    yield from _edge("run", "reg", comparison)


def _compare(request: CompareRequest, redactor: Redactor, outcome: Outcome) -> Iterator[str]:
    asked = {"tracking_server_1": request.tracking_server_1, "tracking_server_2": request.tracking_server_2}
    for number, (name, version) in enumerate(asked.items(), start=1):
        found = outcome.versions.get(name)
        yield f'subgraph server{number}["{_label(version.host.address, redactor)}"]'
        yield "  " + _version(f"version{number}", version, found.version if found else "", redactor)
        for key in outcome.comparisons:
            short, word = _MODELS[key]
            yield f'  {short}{number}["{word}"]'
            # The second version is on the far right, so that what is compared meets in the middle.
            yield f"  version1 --- {short}1" if number == 1 else f"  {short}2 --- version2"
        yield "end"
    for key, comparison in outcome.comparisons.items():
        short, _ = _MODELS[key]
        yield from _edge(f"{short}1", f"{short}2", comparison)


def _version(node: str, asked: VersionRequest, number: str, redactor: Redactor) -> str:
    version = f"version {number}" if number else asked.version_or_stage
    named = "" if number in {"", asked.version_or_stage} else f" ({asked.version_or_stage})"
    return f'{node}(["{_label(asked.model, redactor)}<br/>{_label(version + named, redactor)}"])'


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
    return mermaid_text(cut(redactor.text(text), _MAX_LABEL))

"""Outcomes for the action's tests, with hostile names that no real server would accept."""

from __future__ import annotations

from pathlib import Path

from model_gate.access.hosts import parse_host
from model_gate.domain.difference import Difference, DifferenceKind, Explanation, FieldChange
from model_gate.domain.location import Location
from model_gate.domain.request import CheckRequest, CompareRequest, GateOptions, VersionRequest
from model_gate.domain.result import ComparedModel, Comparison, Outcome
from model_gate.domain.verdict import Require
from model_gate.domain.version import Lineage, ModelVersion

HOSTILE = (
    "::error::owned",
    "  ::warning file=a::owned",
    "\u00a0::error::owned",
    "##[error]owned",
    "a\n::error::owned",
    "a\r::error::owned",
    "a\u2028::error::owned",
    "a|b",
    "`tick` ```fence",
    "</code></details></table><img src=x onerror=alert(1)>",
    "%0A::error::owned",
    "![x](https://owned.example.com/x.png)",
    "[link](javascript:alert(1))",
    "www.owned.example.com",
    "@everyone #1",
    '"];click A "javascript:1"',
    "\x1b[31mred\x1b[0m",
    "\u202egnp.exe",
    "\udcff not UTF-8",
    "&lt;b&gt; &#60;",
    "**bold** _it_ ~~no~~",
)


def version(name: str = "Wine", number: str = "1", host: str = "https://mlflow.example.com") -> VersionRequest:
    return VersionRequest(parse_host(host), name, number)


def resolved(name: str = "Wine", number: str = "1") -> ModelVersion:
    lineage = Lineage(True, "f" * 32, name, "1", name, name, "0123456789abcdef", name, name)
    return ModelVersion(name, number, name, (name,), "READY", name, name, name, name, 0, lineage)


def difference(path: str, **more: object) -> Difference:
    defaults = {"kind": DifferenceKind.CONTENT, "left_size": 3, "right_size": 3, "offset": 1}
    return Difference(path, **(defaults | more))  # type: ignore[arg-type]  # tests pass fields of Difference


def explained(path: str, text: str) -> Difference:
    """Return a difference whose explanation has `text` in each of its text fields."""
    fields = (FieldChange(text, text, text, meaning=text), FieldChange(text, text, None, rewrite_reason=text))
    explanation = Explanation(text, text, fields, lines=(text, "+```", text), is_cut=True, note=text)
    return difference(path, explanation=explanation)


def comparison(
    *differences: Difference, equivalent: bool = False, same: bool = False, uri: str = "s3://a/b"
) -> Comparison:
    models = (
        ComparedModel(Location(uri), Path("/a"), kept=False, digest="0" * 64, files=3, size=9),
        ComparedModel(Location(uri + "2"), Path("/b"), kept=False, digest=None, files=3, size=9),
    )
    is_equal = not differences
    return Comparison(*models, is_equal, equivalent or is_equal, same, differences, 3 + len(differences), ())


def check(result: Comparison, name: str = "Wine") -> Outcome:
    request = CheckRequest(version(name))
    return Outcome(request, {"model_version": resolved(name)}, {"comparison": result})


def compare(run: Comparison, reg: Comparison, name: str = "Wine", require: Require = Require.IDENTICAL) -> Outcome:
    request = CompareRequest(version(name), version(name, "2"), options=GateOptions(require))
    versions = {"tracking_server_1": resolved(name), "tracking_server_2": resolved(name, "2")}
    return Outcome(request, versions, {"run_model_comparison": run, "reg_model_comparison": reg})

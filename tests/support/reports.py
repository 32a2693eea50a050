"""Reports as a user reads them."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from tests.support.paths import SCHEMAS

Json = dict[str, Any]
_SCHEMA = json.loads((SCHEMAS / "report.schema.json").read_text("utf-8"))
_EXITS = {"equal": {0}, "different": {0, 1}, "error": {2}}


def read_report(path: Path, exit_code: int) -> Json:
    """The report, which must fit its schema and the exit code."""
    report: Json = json.loads(path.read_bytes())
    require_valid(report)
    assert exit_code in _EXITS[report["status"]], (exit_code, report["status"])
    assert report["passed"] is (exit_code == 0)
    return report


def require_valid(report: Json) -> None:
    """Fail unless the report fits its schema."""
    Draft202012Validator(_SCHEMA, format_checker=FormatChecker()).validate(report)


def differences_of(comparison: Json) -> set[tuple[bytes, str, int | None]]:
    """Exact path, kind and offset of each difference that is listed."""
    return {(exact_path(each), each["kind"], each.get("offset")) for each in comparison["differences"]}


def exact_path(difference: Json) -> bytes:
    """The bytes of a difference's path."""
    if "path_base64" in difference:
        return base64.b64decode(difference["path_base64"], validate=True)
    return os.fsencode(difference["path"])


_MIRRORED = {"only_left": "only_right", "only_right": "only_left"}


def mirrored(comparison: Json) -> list[Json]:
    """The differences that the same comparison must have with its sides swapped; texts are left out."""
    return [
        {
            **{name: value for name, value in each.items() if name not in {"explanation", "identity"}},
            "kind": _MIRRORED.get(each["kind"], each["kind"]),
            **{
                f"{one}_{what}": each[f"{other}_{what}"]
                for one, other in (("left", "right"), ("right", "left"))
                for what in ("size", "type")
                if f"{other}_{what}" in each
            },
        }
        for each in comparison["differences"]
    ]

"""Read and validate JSON reports, and extract their differences."""

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
_EXITS = {"equal": {0}, "different": {0, 1}, "error": {2}, "sealed": {0}}


def read_report(path: Path, exit_code: int) -> Json:
    """Read a report and assert that it matches its schema and the exit code."""
    report: Json = json.loads(path.read_bytes())
    require_valid(report)
    assert exit_code in _EXITS[report["status"]], (exit_code, report["status"])
    assert report["passed"] is (exit_code == 0)
    return report


def require_valid(report: Json) -> None:
    """Assert that a report matches its schema."""
    Draft202012Validator(_SCHEMA, format_checker=FormatChecker()).validate(report)


def differences_of(comparison: Json) -> set[tuple[bytes, str, int | None]]:
    """Return the exact path, kind and offset of each listed difference."""
    return {
        (exact_path(difference), difference["kind"], difference.get("offset"))
        for difference in comparison["differences"]
    }


def exact_path(difference: Json) -> bytes:
    """Return the bytes of a difference's path."""
    if "path_base64" in difference:
        return base64.b64decode(difference["path_base64"], validate=True)
    return os.fsencode(difference["path"])


_MIRRORED_KINDS = {"only_left": "only_right", "only_right": "only_left"}


def mirrored(comparison: Json) -> list[Json]:
    """Return the differences that a comparison would have if left and right were swapped.

    Explanations and rewrite reasons are left out.
    """
    return [
        {
            **{name: value for name, value in difference.items() if name not in {"explanation", "identity"}},
            "kind": _MIRRORED_KINDS.get(difference["kind"], difference["kind"]),
            **{
                f"{target}_{field}": difference[f"{source}_{field}"]
                for target, source in (("left", "right"), ("right", "left"))
                for field in ("size", "type")
                if f"{source}_{field}" in difference
            },
        }
        for difference in comparison["differences"]
    ]

"""The page on the design lists all limits with their values."""

from __future__ import annotations

import re
from dataclasses import fields

from model_gate.domain.limits import LIMITS
from tests.support.paths import ROOT

_ROW = re.compile(r"^\| `(\w+)` \| ([\d,.]+)( MiB| B/s| s)? \| .+ \|$", re.MULTILINE)
_FACTORS = {" MiB": 1024**2}


def test_design_page_lists_each_limit_with_its_value() -> None:
    text = (ROOT / "docs" / "design.md").read_text("utf-8")
    section = text.partition("\n## Limits\n")[2].partition("\n## ")[0]
    listed = {
        name: float(number.replace(",", "")) * _FACTORS.get(unit, 1) for name, number, unit in _ROW.findall(section)
    }
    assert listed == {field.name: float(getattr(LIMITS, field.name)) for field in fields(LIMITS)}

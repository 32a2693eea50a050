"""The views of a run's result besides its report, by their kind."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from model_gate.access.redaction import Redactor
from model_gate.domain.gates import RunTotals
from model_gate.reporting.badge import badge_endpoint, badge_svg
from model_gate.reporting.junit import junit_xml
from model_gate.reporting.output_files import json_text
from model_gate.reporting.page import run_page
from model_gate.reporting.run_files import ViewFile, ViewKind
from model_gate.reporting.run_wording import Rows
from model_gate.reporting.system import system_facts


def view_pieces(view: ViewFile, rows: Rows, totals: RunTotals, report_file: Path, redactor: Redactor) -> Iterable[str]:
    """Return the text of a view in pieces.

    Args:
        view: The file of the view. A badge is JSON for shields.io if the file's name ends with `.json`, otherwise SVG.
        rows: Returns the rows in the order of the gates files. It can be called again.
        totals: The totals of these rows.
        report_file: The path of the report.
        redactor: Removes secrets from the texts that are not from a row.
    """
    match view.kind:
        case ViewKind.JUNIT:
            return junit_xml(rows, totals, redactor)
        case ViewKind.PAGE:
            return run_page(rows(), totals, str(report_file), redactor, system_facts())
        case ViewKind.BADGE:
            if view.path.suffix == ".json":
                return (json_text(badge_endpoint(totals)),)
            return (badge_svg(totals),)

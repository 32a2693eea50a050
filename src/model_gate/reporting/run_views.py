"""The views of a run's result besides its report, by their kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from model_gate.access.redaction import Redactor
from model_gate.domain.gates import GateRow, RunTotals
from model_gate.reporting.junit import junit_xml
from model_gate.reporting.run_files import ViewKind

Rows = Callable[[], Iterator[GateRow]]
_VIEWS: Mapping[ViewKind, Callable[[Rows, RunTotals, Redactor], Iterable[str]]] = {ViewKind.JUNIT: junit_xml}


def view_pieces(kind: ViewKind, rows: Rows, totals: RunTotals, redactor: Redactor) -> Iterable[str]:
    """Return the text of a view in pieces.

    Args:
        kind: The view.
        rows: Returns the rows in the order of the gates files. It can be called again.
        totals: The totals of these rows.
        redactor: Removes secrets from the texts that are not from a row.
    """
    return _VIEWS[kind](rows, totals, redactor)

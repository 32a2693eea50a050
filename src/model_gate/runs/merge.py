"""Merges the rows of shards into one run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from model_gate.access.redaction import Redactor
from model_gate.domain.gates import Entry, Gate, GateRow
from model_gate.domain.result import Outcome
from model_gate.domain.wording import first_names
from model_gate.errors import InputError
from model_gate.reporting.report import build_report
from model_gate.reporting.rows import GateResult, row_of
from model_gate.reporting.run_progress import RunProgress
from model_gate.reporting.system import system_facts
from model_gate.runs.command import Run
from model_gate.runs.merging import Place, plan_merge
from model_gate.runs.roster import Roster
from model_gate.runs.rows_file import SUFFIX, ShardRows
from model_gate.runs.shards import Shard


def rows_files(paths: Iterable[Path]) -> list[Path]:
    """Return files, and instead of each directory the files of rows below it, sorted.

    >>> rows_files([Path("a.rows.jsonl")])
    [PosixPath('a.rows.jsonl')]
    """
    return [file for path in paths for file in (sorted(path.rglob(f"*{SUFFIX}")) if path.is_dir() else [path])]


@dataclass(frozen=True)
class Merge:
    """Merges the rows of shards.

    Attributes:
        files: Returns the files of the shards' rows; raises InputError.
    """

    files: Callable[[], Sequence[Path]]

    def execute(self, run: Run, progress: RunProgress) -> None:
        """Add the rows of all shards to the run, and an error for each gate without a row.

        Raises:
            ModelGateError: A file cannot be read, or the files are not those of one run.
        """
        with ExitStack() as stack:
            opened = [stack.enter_context(ShardRows(path)) for path in self.files()]
            # A shard without a roster counts as missing. It hides no result of the others.
            rosters = {shard: shard.roster for shard in opened if shard.roster is not None}
            shards = list(rosters)
            plan = plan_merge(list(rosters.values()), [shard.names for shard in shards])
            names = tuple(place.name for place in plan.places)
            run.left_out = plan.left_out
            run.begin(Roster(Shard(1, 1), names, names, plan.left_out))
            progress.begin(len(names))
            for place in plan.places:
                row = _missing_row(place) if place.shard is None else shards[place.shard].row(place.name)
                run.rows.add(row)
                progress.end(row)
        if plan.missing:
            raise InputError(
                f"There is no result of the shard {first_names(list(plan.missing))}.",
                "See the job of this shard, run it again, and merge the results again.",
            )


def _missing_row(place: Place) -> GateRow:
    """Return the row of a gate of which no shard has a row."""
    gate = Gate(place.name, Entry(place.name, "", 0, ""), None)
    error = InputError(place.reason, "See the job of the shard, run it again, and merge the results again.")
    outcome = Outcome(None, error=error)
    report = build_report(gate.command, outcome, {"gate": gate.name}, Redactor(), system_facts())
    return row_of(gate, GateResult(outcome, report, "", 0), Redactor())

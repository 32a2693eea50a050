"""Merges the rows of shards into one run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from model_gate.domain.gates import Entry, Gate, GateRow
from model_gate.domain.wording import first_names
from model_gate.errors import InputError, StoppedError, StorageError
from model_gate.reporting.rows import undecided_row
from model_gate.reporting.run_progress import RunProgress
from model_gate.runs.command import Run
from model_gate.runs.merge_plan import MergedGate, ShardResult, plan_merge
from model_gate.runs.rows_file import SUFFIX, ShardRows, rows_path
from model_gate.runs.shards import Shard

_REMEDY = "See the job of the shard, run it again, and merge the results again."


def rows_files(paths: Iterable[Path], report_file: Path) -> list[Path]:
    """Return files, and instead of each directory the files of rows below it, sorted.

    The rows of an earlier merge are left out of a directory. The rows of a shard at the same path are not, so that they
    are an input, which the merge does not replace.

    Args:
        paths: The files and directories.
        report_file: The path of the report of the merge.

    >>> rows_files([Path("a.rows.jsonl")], Path("merged.json"))
    [PosixPath('a.rows.jsonl')]
    """
    own = os.path.realpath(rows_path(report_file))

    def below(directory: Path) -> list[Path]:
        files = directory.rglob(f"*{SUFFIX}")
        return sorted(file for file in files if os.path.realpath(file) != own or _is_of_shard(file))

    return [file for path in paths for file in (below(path) if os.path.isdir(path) else [path])]


def _is_of_shard(path: Path) -> bool:
    """Return whether a file has the rows of one of several shards."""
    try:
        with ShardRows(path) as rows:
            return rows.roster.shard.count > 1
    except StorageError:
        return False


@dataclass(frozen=True)
class Merge:
    """Merges the rows of shards.

    Attributes:
        files: Returns the files of the shards' rows; raises InputError.
    """

    files: Callable[[], Sequence[Path]]

    def execute(self, run: Run, progress: RunProgress) -> None:
        """Add the rows of all shards to the run, and an error for each gate without a row.

        A file that cannot be used counts as missing, so it hides no result of another shard.

        Raises:
            ModelGateError: The files are not those of one run, or a shard is missing.
        """
        with ExitStack() as stack:
            shards, problems = _open_shards(self.files(), stack)
            if problems and not shards:
                raise problems[0]
            results = [ShardResult(shard.roster, tuple(shard.names), str(shard.path)) for shard in shards]
            plan = plan_merge(results)
            run.notices = (*plan.notices, *(problem.message for problem in problems))
            run.left_out = plan.left_out
            gates = tuple(merged.gate for merged in plan.gates)
            run.begin(replace(shards[0].roster, shard=Shard(1, 1), gates=gates, own=tuple(g.name for g in gates)))
            progress.begin(len(gates))
            for merged in plan.gates:
                row = _missing_row(merged) if merged.shard is None else shards[merged.shard].row(merged.gate.name)
                run.rows.add(row)
                progress.end(row)
        if plan.missing or problems:
            what = f"the shard {first_names(list(plan.missing))}" if plan.missing else "a shard"
            raise InputError(f"There is no result of {what}.", _REMEDY)


def _open_shards(paths: Iterable[Path], stack: ExitStack) -> tuple[list[ShardRows], list[StorageError]]:
    """Open the files of shards. Return those that can be used, and the errors of the others."""
    shards, problems = [], []
    for path in paths:
        try:
            shards.append(stack.enter_context(ShardRows(path)))
        except StorageError as error:
            problems.append(error)
    return shards, problems


def _missing_row(merged: MergedGate) -> GateRow:
    """Return the row of a gate of which no shard has a row."""
    known = merged.gate
    gate = Gate(known.name, Entry(known.name, known.file, known.line, ""), None)
    return undecided_row(gate, StoppedError(merged.reason, _REMEDY))

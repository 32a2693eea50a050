"""Measures Model Gate against the goals: `make bench`, or `python -m benchmarks [ROW …]`.

It exits with 0 whether the goals are met or not: it measures, and people judge. It exits with 1 if a row could not be
measured.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import figures, table
from benchmarks.bench import Bench, warm_up
from benchmarks.measure import FailedCommandError
from benchmarks.result import Result
from benchmarks.rows import ROWS
from benchmarks.servers import two_servers
from benchmarks.surroundings import QUICK, Scale


def main() -> None:
    """Measure the rows that are asked for, tell each when it is done, and keep all."""
    arguments = _arguments()
    # As Ctrl-C does: the servers are ended and the models deleted.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    scale = QUICK if arguments.quick else Scale()
    _tell(f"{'row':13}{'floor':>28}{'plain way':>13}{'Model Gate':>28}{'ratio':>8}   goal")
    started = time.perf_counter()
    directory = Path(tempfile.mkdtemp(prefix="model-gate-bench-", dir=arguments.directory))
    try:
        warm_up()
        with two_servers(directory) as servers:
            bench = Bench(directory, servers, scale, arguments.runs, _tell_result)
            failed = [row for row in arguments.rows or ROWS if not _is_measured(row, bench)]
    finally:
        shutil.rmtree(directory)
    minutes = (time.perf_counter() - started) / 60
    found = figures.Figures.of(bench, minutes)
    _tell(f"{minutes:.1f} minutes; {table.verdict(bench.results)}")
    if arguments.output:
        figures.write(found, arguments.output)
    _tell(f"Written to {arguments.output}" if arguments.output else "Not written: --output names a checkout.")
    sys.exit(1 if failed else 0)


def _is_measured(row: str, bench: Bench) -> bool:
    started = time.perf_counter()
    try:
        ROWS[row](bench)
    except FailedCommandError as error:
        _tell(f"{row:13}could not be measured: {error}")
        return False
    _tell(f"    {row} took {time.perf_counter() - started:.0f} s")
    return True


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"only these: {', '.join(ROWS)}")
    parser.add_argument("--runs", type=int, default=3, help="how often each is run (default: 3)")
    parser.add_argument(
        "--quick", action="store_true", help="little work, to see that it runs; the figures say nothing"
    )
    parser.add_argument("--directory", type=Path, help="where models are made (default: the system's temporary one)")
    parser.add_argument("--output", type=Path, help="the checkout whose docs/performance.md gets table and plot")
    arguments = parser.parse_args()
    if unknown := set(arguments.rows) - set(ROWS):
        parser.error(f"there is no row {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    return arguments


def _tell_result(result: Result) -> None:
    _tell(table.line(result))
    for name, text in result.notes.items():
        _tell(f"    {name}: {text}")


def _tell(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

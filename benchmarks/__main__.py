"""Measure Model Gate against its goals: `make bench`, or `python -m benchmarks [ROW …]`.

docs/performance.md has a table for each part. Without ROW or --part, the part `main` is measured. The emulators of the
part `stores` are installed with `make setup`.

The exit code is 0 even if a goal is not met, and 1 if a row could not be measured.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks import figures, table
from benchmarks.bench import Bench, warm_up
from benchmarks.environment import QUICK, Scale
from benchmarks.measure import FailedCommandError
from benchmarks.result import Result
from benchmarks.rows import MAIN, PARTS, ROWS
from benchmarks.servers import Server, two_servers
from tests.support.emulators import MissingEmulatorError


def main() -> None:
    """Measure the selected rows, print each result, and write all results if `--output` is given."""
    arguments = _arguments()
    # SIGTERM raises an exception, as Ctrl-C does, so that the servers are stopped and the models deleted.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    scale = QUICK if arguments.quick else Scale()
    _print(f"{'row':13}{'floor':>28}{'plain way':>13}{'Model Gate':>28}{'ratio':>8}   goal")
    load = os.getloadavg()[0]
    rows = arguments.rows or [row for part in arguments.part or [MAIN] for row in PARTS[part]]
    started = time.perf_counter()
    directory = Path(tempfile.mkdtemp(prefix="model-gate-bench-", dir=arguments.directory))
    try:
        warm_up()
        with ExitStack() as stack:

            def start_servers() -> tuple[Server, Server]:
                return stack.enter_context(two_servers(directory, scale.server_workers))

            bench = Bench(directory, start_servers, scale, arguments.runs, _print_result)
            failed = [row for row in rows if not _is_measured(row, bench)]
    finally:
        shutil.rmtree(directory)
    minutes = (time.perf_counter() - started) / 60
    _print(f"{minutes:.1f} minutes; {table.verdict(bench.results)}")
    if arguments.output:
        figures.write(figures.by_part(bench, load), arguments.output)
    _print(f"Written to {arguments.output}" if arguments.output else "Not written: --output names a checkout.")
    sys.exit(1 if failed else 0)


def _is_measured(row: str, bench: Bench) -> bool:
    started = time.perf_counter()
    try:
        ROWS[row](bench)
    except (FailedCommandError, MissingEmulatorError) as error:
        _print(f"{row:13}could not be measured: {error}")
        return False
    finally:
        bench.seconds[row] = time.perf_counter() - started
    _print(f"    {row} took {bench.seconds[row]:.0f} s")
    return True


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"measure only these rows: {', '.join(ROWS)}")
    parts = "; ".join(f"{part} ({', '.join(rows)})" for part, rows in PARTS.items())
    parser.add_argument(
        "--part", action="append", choices=list(PARTS), help=f"measure the rows of this part; can be repeated: {parts}"
    )
    parser.add_argument("--runs", type=int, default=3, help="number of runs of each program (default: 3)")
    parser.add_argument(
        "--quick", action="store_true", help="small workloads to test the benchmarks; the figures mean nothing"
    )
    parser.add_argument(
        "--directory", type=Path, help="directory for the models (default: the system's temporary directory)"
    )
    parser.add_argument("--output", type=Path, help="checkout whose docs/performance.md, data and plot are updated")
    arguments = parser.parse_args()
    if unknown := set(arguments.rows) - set(ROWS):
        parser.error(f"unknown row: {', '.join(sorted(unknown))}; known rows: {', '.join(ROWS)}")
    if arguments.rows and arguments.part:
        parser.error("name rows or parts, not both")
    return arguments


def _print_result(result: Result) -> None:
    _print(table.line(result))
    for name, text in result.notes.items():
        _print(f"    {name}: {text}")


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

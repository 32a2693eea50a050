"""Format results for the terminal and as a Markdown table."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.result import Result, shown


def line(result: Result) -> str:
    """Return the line of a result for the terminal."""
    columns = [f"{result.row:13}"]
    columns += [f"{shown(values, result.unit):>{width}}" for values, width in _columns(result)]
    ratio = "" if result.ratio is None else f"{result.ratio:.2f}"
    goal = f"{result.goal}: {_goal_text(result)}" if result.goal else "no goal"
    return "".join(columns) + f"{ratio:>8}   {goal}  [{result.work}]"


def verdict(results: Sequence[Result]) -> str:
    """Return a sentence that names the goals that are not met, or says that all goals are met."""
    with_goal = [result for result in results if result.is_met is not None]
    missed = [result for result in with_goal if not result.is_met]
    if not missed:
        return "every goal that was measured is met."
    return f"{len(missed)} of {len(with_goal)} goals are not met: {', '.join(result.row for result in missed)}."


def markdown(results: Sequence[Result]) -> str:
    """Return all results as a Markdown table, followed by the notes of each result."""
    lines = [
        "| work | floor | plain way | Model Gate | ratio | goal | |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for result in results:
        floor = f"{result.floor_is}: {shown(result.floor, result.unit)}" if result.floor else ""
        ratio = "" if result.ratio is None else f"{result.ratio:.2f} ×"
        values = [result.work, floor, shown(result.baseline, result.unit), shown(result.product, result.unit)]
        lines.append(f"| {' | '.join([*values, ratio, result.goal, _goal_text(result)])} |")
    notes = [
        f"- {result.work}: {'; '.join(f'{name} {text}' for name, text in result.notes.items())}."
        for result in results
        if result.notes
    ]
    if notes:
        lines += ["", "What else was measured of each:", "", *notes]
    return "\n".join(lines)


def _columns(result: Result) -> list[tuple[Sequence[float], int]]:
    return [(result.floor, 28), (result.baseline, 13), (result.product, 28)]


def _goal_text(result: Result) -> str:
    return {None: "", True: "met", False: "**not met**"}[result.is_met]

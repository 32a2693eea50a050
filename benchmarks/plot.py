"""Plot the times of three programs against file size and number of files.

The programs are Model Gate, the floor (the fastest known tools) and the plain way (MLflow and `filecmp`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

from benchmarks.bench import PlotPoint
from benchmarks.environment import MIB

mpl.use("svg")

import matplotlib.pyplot as plt  # after the backend is selected
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

_CURVES = (
    ("size", "one file, by its size in MiB", MIB),
    ("count", "files of 4 KiB, by their number", 1),
    ("local", "local files of 1 KiB, by their number", 1),
)
_PROGRAMS = (
    ("baseline", "plain way: download_artifacts, filecmp", "#b35806", "^"),
    ("floor", "floor: curl and diff, or diff alone", "#888888", "s"),
    ("product", "Model Gate", "#2166ac", "o"),
)


def write(points: Sequence[PlotPoint], file: Path) -> None:
    """Draw all curves that have points. The same points always produce the same file."""
    curves = [curve for curve in _CURVES if any(point.curve == curve[0] for point in points)]
    if not curves:
        return
    style: Any = {
        "svg.hashsalt": "model-gate",
        "svg.fonttype": "none",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with mpl.rc_context(style):
        figure, axes = plt.subplots(1, len(curves), figsize=(4.2 * len(curves), 3.6), squeeze=False)
        for axis, (name, label, unit) in zip(axes[0], curves, strict=True):
            _draw(axis, [point for point in points if point.curve == name], unit)
            axis.set_xlabel(label)
        axes[0][0].set_ylabel("seconds")
        handles = {
            label: line for axis in axes[0] for line, label in zip(*axis.get_legend_handles_labels(), strict=True)
        }
        figure.legend(list(handles.values()), list(handles), loc="upper center", ncols=len(handles), frameon=False)
        figure.tight_layout(rect=(0, 0, 1, 0.92))
        figure.savefig(file, format="svg", metadata={"Date": None}, facecolor="white")
        plt.close(figure)


def _draw(axis: Axes, points: Sequence[PlotPoint], unit: int) -> None:
    for program, label, color, marker in _PROGRAMS:
        program_points = sorted((point.x / unit, point.seconds) for point in points if point.program == program)
        if program_points:
            axis.plot(*zip(*program_points, strict=True), marker=marker, markersize=4, color=color, label=label)
    axis.set_xscale("log")
    axis.set_yscale("log")
    for scale in (axis.xaxis, axis.yaxis):
        # Show plain numbers instead of powers of ten.
        scale.set_major_formatter(FuncFormatter(lambda number, _: f"{number:,.10g}"))
        scale.set_minor_formatter(NullFormatter())
    axis.grid(visible=True, which="major", color="#dddddd", linewidth=0.6)

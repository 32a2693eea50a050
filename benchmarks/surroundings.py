"""What all that is measured has in common: the programs, their environment, and how much work a row does."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
KIB, MIB, GIB = 1024, 1024**2, 1024**3


@dataclass(frozen=True)
class Scale:
    """How much work there is: sizes in bytes, and numbers of files.

    Attributes:
        one_file: The model that is one file.
        small_files: The model of many small files; a directory holds a hundred.
        mixed_file: The large file of the model that is compared as run model and as registry model.
        equal_files: How many files of one size the model has whose disk is measured.
        equal_file: Their size.
        memory_file: The file at which memory is measured, beside one of 1 MiB.
        local_files: The largest directory on this machine; a tenth and a hundredth of it are measured too.
        link_file: The file that comes over the slow link.
        link_files: How many small files come over it.
        curve_sizes: Sizes of one file, for the plot.
        curve_counts: Numbers of small files, for the plot.
    """

    one_file: int = GIB
    small_files: int = 2_000
    mixed_file: int = 256 * MIB
    equal_files: int = 48
    equal_file: int = 16 * MIB
    memory_file: int = 10 * GIB
    local_files: int = 100_000
    link_file: int = 256 * MIB
    link_files: int = 300
    curve_sizes: tuple[int, ...] = (MIB, 64 * MIB)
    curve_counts: tuple[int, ...] = (20, 300)


QUICK = Scale(
    one_file=4 * MIB,
    small_files=40,
    mixed_file=MIB,
    equal_files=12,
    equal_file=MIB,
    memory_file=8 * MIB,
    local_files=1_000,
    link_file=2 * MIB,
    link_files=20,
    curve_sizes=(MIB,),
    curve_counts=(20,),
)


def clean_environment(temporary: Path) -> dict[str, str]:
    """This environment without what would lead MLflow somewhere, slow Python's start, or color what is printed."""
    misleading = ("MLFLOW_", "DATABRICKS_", "PYTHON", "INPUT_", "GITHUB_", "FORCE_COLOR")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(misleading)}
    return kept | {"MLFLOW_DISABLE_TELEMETRY": "true", "TMPDIR": str(temporary), "NO_PROXY": "127.0.0.1"}

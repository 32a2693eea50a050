"""Paths, environment and workload sizes that all benchmarks share."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
KIB, MIB, GIB = 1024, 1024**2, 1024**3
SERVER_WORKERS = 4  # mlflow server's default


@dataclass(frozen=True)
class Scale:
    """Amount of work in each row: sizes in bytes and numbers of files.

    Attributes:
        one_file_sizes: Sizes of the models with one file.
        small_files: Number of files of the model with small files.
        mixed_file: Size of the large file of the model that is compared as run model and as registry model.
        equal_files: Number of files of the model for the disk measurement.
        equal_file: Size of each file of the model for the disk measurement.
        memory_file: Size of the large file for the memory measurement. The small file has 1 MiB.
        local_files: Number of files of the largest local directory; a tenth and a hundredth are measured too.
        sealed_file: Size of the model of one file that is sealed.
        sealed_files: Number of small files of the model that is sealed.
        many_gates: Numbers of gates of the runs; the first is compared with the goal.
        link_file: Size of the file that is downloaded over the slow link.
        link_files: Number of small files that are downloaded over the slow link.
        store_file: Size of each of the two large files of the model in an object store.
        store_files: Number of its small files.
        stored_windows: Sizes of the file that is compared in windows, and that the floor writes to disk.
        streamed_windows: Larger sizes of this file. The floor compares the two streams.
        curve_sizes: Sizes of one file for the plot.
        curve_counts: Numbers of small files for the plot.
        server_workers: Number of worker processes of each tracking server.
    """

    one_file_sizes: tuple[int, ...] = (512 * MIB, GIB)
    small_files: int = 2_000
    mixed_file: int = 256 * MIB
    equal_files: int = 48
    equal_file: int = 16 * MIB
    memory_file: int = 10 * GIB
    local_files: int = 100_000
    sealed_file: int = GIB
    sealed_files: int = 10_000
    many_gates: tuple[int, ...] = (10, 100, 500)
    link_file: int = 256 * MIB
    link_files: int = 300
    store_file: int = 512 * MIB
    store_files: int = 600
    stored_windows: tuple[int, ...] = (512 * MIB, GIB)
    streamed_windows: tuple[int, ...] = (4 * GIB, 16 * GIB)
    curve_sizes: tuple[int, ...] = (MIB, 64 * MIB)
    curve_counts: tuple[int, ...] = (20, 300)
    server_workers: int = SERVER_WORKERS


QUICK = Scale(
    one_file_sizes=(4 * MIB,),
    small_files=40,
    mixed_file=MIB,
    equal_files=12,
    equal_file=MIB,
    memory_file=8 * MIB,
    local_files=1_000,
    sealed_file=4 * MIB,
    sealed_files=40,
    many_gates=(3, 6),
    link_file=2 * MIB,
    link_files=20,
    store_file=2 * MIB,
    store_files=10,
    stored_windows=(MIB,),
    # Files of more than 256 MiB are compared in windows.
    streamed_windows=(260 * MIB,),
    curve_sizes=(MIB,),
    curve_counts=(20,),
    server_workers=1,
)


def clean_environment(temporary: Path) -> dict[str, str]:
    """Return os.environ without variables that configure MLflow, Databricks, Python, actions or colors."""
    misleading = ("MLFLOW_", "DATABRICKS_", "PYTHON", "INPUT_", "GITHUB_", "FORCE_COLOR")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(misleading)}
    return kept | {"MLFLOW_DISABLE_TELEMETRY": "true", "TMPDIR": str(temporary), "NO_PROXY": "127.0.0.1"}

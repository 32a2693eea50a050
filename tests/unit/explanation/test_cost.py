"""Memory used by explanations, measured by the benchmark with smaller files than usual."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

BENCHMARK = ROOT / "benchmarks" / "explain.py"


@pytest.mark.parametrize("kind", ["sparse", "noise", "one weight", "all weights", "archive", "pickle"])
def test_explanation_needs_far_less_memory_than_the_file_size(kind: str) -> None:
    process = subprocess.run(
        [sys.executable, BENCHMARK, "--gib", "0.125", "--only", kind], check=True, capture_output=True, text=True
    )
    match = re.search(r"([\d.]+) s +([\d.]+) s +(\d+) MB  (.+)", process.stdout)
    assert match is not None, process.stdout
    # The pair has 256 MB. Time has no limit here, since other tests run at the same time.
    assert int(match[3]) < 80, process.stdout
    assert match[4], process.stdout

"""Free memory of a worker goes back to the system while files are transferred."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no malloc_trim")

# Frees 100 MiB, in blocks between objects that stay, and prints how many MiB the process returns to the system.
_PROGRAM = """
import sys
from model_gate.worker.free_memory import FreeMemory

def resident():
    with open("/proc/self/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Rss:")) / 1024

memory = FreeMemory(interval=1000)
blocks = [(bytes(100_000), bytes(1_000)) for _ in range(1_000)]
kept = [small for _, small in blocks]
del blocks
before = resident()
for size in map(int, sys.argv[1:]):
    memory.transferred(size)
print(before - resident())
"""


@pytest.mark.parametrize(
    "sizes, is_returned", [((999,), False), ((1000,), True), ((500, 499, 1), True)], ids=["less", "at once", "in parts"]
)
def test_free_memory_is_returned_after_an_interval_of_transferred_bytes(
    sizes: tuple[int, ...], is_returned: bool
) -> None:
    arguments = [sys.executable, "-c", _PROGRAM, *map(str, sizes)]
    returned = float(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout)
    assert (returned > 50) == is_returned, returned

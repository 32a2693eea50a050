"""The rows of the tables by name, in the order of each table."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks import loopback, machine, slow_link, stores, windows
from benchmarks.bench import Bench

MAIN = "main"
# The parts of docs/performance.md that are measured and written on their own, since all together take too long.
PARTS: Mapping[str, Mapping[str, Callable[[Bench], None]]] = {
    MAIN: {
        "start-up": loopback.start_up,
        "one-file": loopback.one_file,
        "small-files": loopback.small_files,
        "sizes-differ": loopback.sizes_differ,
        "both-models": loopback.both_models,
        "disk": machine.disk,
        "local-files": machine.local_files,
        "link-file": slow_link.link_file,
        "link-files": slow_link.link_files,
        "memory": machine.memory,
    },
    "windows": {"windows": windows.windows},
    "stores": {"s3": stores.s3, "azure": stores.azure, "google": stores.google, "far-s3": stores.far_s3},
    "gates": {"many-gates": loopback.many_gates},
    "seals": {"seal": machine.seal},
}
ROWS = {name: measure for rows in PARTS.values() for name, measure in rows.items()}

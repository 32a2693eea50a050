"""The rows of the table by name, in the order of the table."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks import loopback, machine, slow_link
from benchmarks.bench import Bench

ROWS: dict[str, Callable[[Bench], None]] = {
    "start-up": loopback.start_up,
    "one-file": loopback.one_file,
    "small-files": loopback.small_files,
    "sizes-differ": loopback.sizes_differ,
    "both-models": loopback.both_models,
    "many-gates": loopback.many_gates,
    "disk": machine.disk,
    "local-files": machine.local_files,
    "seal": machine.seal,
    "link-file": slow_link.link_file,
    "link-files": slow_link.link_files,
    "memory": machine.memory,
}

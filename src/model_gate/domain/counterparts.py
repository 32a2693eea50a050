"""Finds files that Spark names at random whenever a model is saved: which left file stands for which right file.

This is for explanations only. Two models whose files have different names are different.

>>> stable_name("stages/1_LogisticRegression_4a1b2c3d4e5f/metadata/part-00000-4f0c2bd2-0bd8-4a2e-8a35-7f3a0f3a5e0e.txt")
'stages/1_LogisticRegression_*/metadata/part-00000-*.txt'
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from model_gate.domain.pairing import Pair

# What Spark draws at random whenever it saves a model: names of files, ids and times in descriptions of stages, and
# the order of the encodings of columns.
RANDOM_NAMES = "random file names"
RANDOM_IDS = "random ids"
RANDOM_ORDERS = "random orders of lists"
# `part-00000-<uuid>-c000.snappy.parquet`, `.part-00000-<uuid>.crc`, `VectorAssembler_<12 hex digits>`.
_RANDOM_PARTS = (
    (re.compile(r"(^|/)(\.?part-\d+)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"), r"\1\2-*"),
    (re.compile(r"(^|/)((?:\d+_)?[A-Za-z]\w*)_[0-9a-f]{12,32}(?=/|$)"), r"\1\2_*"),
)


def stable_name(path: str) -> str:
    """Return a path in which `*` replaces what Spark draws at random."""
    for pattern, replacement in _RANDOM_PARTS:
        path = pattern.sub(replacement, path)
    return path


def find_counterparts(pairs: Iterable[Pair]) -> list[tuple[Pair, Pair]]:
    """Return each file that only the left model has, with the one file of the right model that stands for it.

    Files that several files could stand for are left out.
    """
    groups: dict[str, tuple[list[Pair], list[Pair]]] = defaultdict(lambda: ([], []))
    for pair in pairs:
        if (pair.left is None) != (pair.right is None) and pair.decides:
            name = stable_name(pair.path)
            if name != pair.path:
                groups[name][pair.left is None].append(pair)
    return [(left[0], right[0]) for left, right in groups.values() if len(left) == len(right) == 1]

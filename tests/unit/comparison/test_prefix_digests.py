"""The hash of a file that is read window by window is that of the whole file, whatever the other files contain."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import pytest

from model_gate.comparison.prefix_digests import PrefixDigests

CONTENTS = [b"aabbcc", b"aabbcc", b"aabbcd", b"xxbbcc", b"aa", b"", b"aabb"]


@pytest.mark.parametrize("names", [*itertools.permutations(range(3)), (0, 3, 4), (5, 0), (6, 4, 1, 2), tuple(range(7))])
def test_digest_of_each_file_is_that_of_its_bytes(tmp_path: Path, names: tuple[int, ...]) -> None:
    with PrefixDigests(names) as digests:
        for start in range(0, 6, 2):
            window = {}
            for name in names:
                if part := CONTENTS[name][start : start + 2]:
                    window[name] = str(tmp_path / f"{name}-{start}")
                    Path(window[name]).write_bytes(part)
            # As in a comparison, each file is compared with the first one only, and not any more after a difference.
            first = names[0]
            stop = start + 2
            equal = [
                (first, name)
                for name in names[1:]
                if name in window and first in window and CONTENTS[name][:stop] == CONTENTS[first][:stop]
            ]
            digests.add(window, lambda equal=equal: equal)  # type: ignore[misc]
        assert [digests.hex(name) for name in names] == [hashlib.sha256(CONTENTS[name]).hexdigest() for name in names]

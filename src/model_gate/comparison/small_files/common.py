"""The small files that two models on this machine have under the same paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import overload

from model_gate.comparison.model_pair import ListedModel
from model_gate.comparison.small_files.comparer import SmallFileComparer
from model_gate.comparison.small_files.equality import SmallPair
from model_gate.domain.pairing import Pair
from model_gate.domain.paths import sorted_paths

# Handing a smaller local pair to another thread takes longer than comparing its files.
SMALL_PAIR_BYTES = 1024 * 1024


@dataclass(frozen=True)
class CommonFiles(Sequence[SmallPair]):
    """Pairs of local files with equal paths and equal listed sizes.

    Each pair is made when it is needed: the local paths of many files take time and memory.

    Attributes:
        paths: The path of each pair in both models.
        sizes: Listed size in bytes of both files, by path.
        roots: What precedes the paths on this machine: in the left model, and in the right model.
    """

    paths: Sequence[str] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)
    roots: tuple[str, str] = ("", "")

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.paths)

    @overload
    def __getitem__(self, index: int) -> SmallPair: ...
    @overload
    def __getitem__(self, index: slice) -> list[SmallPair]: ...
    def __getitem__(self, index: int | slice) -> SmallPair | list[SmallPair]:
        """Return a pair, or the pairs of a slice."""
        if isinstance(index, slice):
            return [self._pair(path) for path in self.paths[index]]
        return self._pair(self.paths[index])

    def _pair(self, path: str) -> SmallPair:
        left_root, right_root = self.roots
        return left_root + path, right_root + path, self.sizes[path]


def common_small_files(left: ListedModel, right: ListedModel) -> CommonFiles:
    """Return the small files with equal paths and equal listed sizes.

    The largest files come first, and files of equal size are sorted by path, as in `plan_jobs`. No file is returned if
    the files of a model must be fetched or copied first.
    """
    left_root, right_root = (model.source.local_file("") for model in (left, right))
    if not left_root or not right_root:
        return CommonFiles()
    sizes, other_sizes = left.listing.files, right.listing.files
    common = [
        path
        for path in sorted_paths(sizes)
        if 2 * (size := sizes[path]) < SMALL_PAIR_BYTES and other_sizes.get(path) == size
    ]
    common.sort(key=sizes.__getitem__, reverse=True)
    return CommonFiles(common, sizes, (left_root, right_root))


@dataclass(frozen=True)
class SmallFiles:
    """Small files of two models, and the comparer that compares them.

    Attributes:
        numbers: The index of each pair in the list of the comparer, by the path of both files.
        comparer: Compares the pairs. None if there are none.
    """

    numbers: Mapping[str, int]
    comparer: SmallFileComparer | None

    @classmethod
    def of(cls, files: CommonFiles, comparer: SmallFileComparer) -> SmallFiles:
        """Return the files that `comparer` compares."""
        return cls(dict(zip(files.paths, range(len(files)), strict=True)), comparer)

    def digest_if_equal(self, pair: Pair) -> str | None:
        """Return the SHA-256 of two files in hex if their bytes are equal, None if the caller must compare the pair."""
        number = self.numbers.get(pair.left) if pair.left is not None and pair.left == pair.right else None
        return None if number is None or self.comparer is None else self.comparer.digest(number)


NO_SMALL_FILES = SmallFiles({}, None)

"""Pairs the files of two listings: a pure decision about which file is compared with which."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from model_gate.domain.difference import Difference, DifferenceKind, FileType
from model_gate.domain.ignore import Ignore
from model_gate.domain.model import Listing
from model_gate.domain.paths import sorted_paths
from model_gate.domain.rewrites import REWRITTEN_FILES, may_be_rewritten


@dataclass(frozen=True)
class Pair:
    """A file of the left model and its counterpart in the right model; one of them can be missing.

    Attributes:
        path: The pair's path in the report: the left path, or the right path if there is no left file.
        left: The path in the left model, None if there is no left file.
        right: The path in the right model, None if there is no right file.
        left_size: Bytes of the left file, None if there is no left file.
        right_size: Bytes of the right file, None if there is no right file.
        is_native: Whether the file belongs to the compared model; False for the rest of the MLflow model, beside a
            native model.
        ignored_by: The `ignore` glob that matches the file, "" if none does.
    """

    path: str
    left: str | None
    right: str | None
    left_size: int | None
    right_size: int | None
    is_native: bool = True
    ignored_by: str = ""

    @property
    def decides(self) -> bool:
        """Whether a difference of this pair makes the models differ."""
        return self.is_native and not self.ignored_by


@dataclass(frozen=True)
class Pairing:
    """All pairs of two listings.

    Attributes:
        pairs: Every file of either model exactly once, except type differences and the files below them.
        type_differences: Paths that are a file in one model and a directory in the other.
    """

    pairs: tuple[Pair, ...]
    type_differences: tuple[Difference, ...]

    @property
    def is_decided(self) -> bool:
        """Whether the listings alone show a difference that is not a rewrite, regardless of the contents."""
        return any(difference.decides for difference in self.type_differences) or any(
            pair.left_size != pair.right_size and pair.decides and not _may_be_rewritten(pair) for pair in self.pairs
        )

    @property
    def decides(self) -> bool:
        """Whether anything decides; False if everything is ignored."""
        return any(pair.decides for pair in self.pairs) or any(
            difference.decides for difference in self.type_differences
        )

    def ignoring(self, ignore: Ignore) -> Pairing:
        """Return the pairing with `ignored_by` set for all paths that `ignore` matches."""
        if not ignore.patterns:
            return self
        return Pairing(
            tuple(replace(pair, ignored_by=ignore.pattern_for(pair.left, pair.right)) for pair in self.pairs),
            tuple(
                replace(difference, ignored_by=ignore.pattern_for(difference.path))
                for difference in self.type_differences
            ),
        )


def _may_be_rewritten(pair: Pair) -> bool:
    if pair.left is None or pair.right is None:
        return pair.path in REWRITTEN_FILES
    return may_be_rewritten(pair.left, pair.right)


def pair_files(left: Listing, right: Listing, left_native: str = "", right_native: str = "") -> Pairing:
    """Pair the files of two listings by path. Native models are paired with each other even if their paths differ.

    Args:
        left: The left listing.
        right: The right listing.
        left_native: Path of the left native model; "" to compare whole models.
        right_native: Path of the right native model; "" exactly if `left_native` is "".
    """
    if not left_native:
        return _pair(dict(left.files), dict(right.files))
    left_paths, right_paths = set(left.native_files(left_native)), set(right.native_files(right_native))
    native = _pair(
        _below(left, left_paths, left_native), _below(right, right_paths, right_native), (left_native, right_native)
    )
    rest = _pair(_without(left, left_paths), _without(right, right_paths), is_native=False)
    return Pairing(native.pairs + rest.pairs, native.type_differences + rest.type_differences)


# Sizes by the path that pairs two files: for a native model, the path after the native model's own path.
_Sizes = dict[str, int]


def _without(listing: Listing, paths: set[str]) -> _Sizes:
    return {path: size for path, size in listing.files.items() if path not in paths}


def _below(listing: Listing, paths: set[str], native_model: str) -> _Sizes:
    # The rest of the path is "" if the native model is a file, and "/x" for a file x in a native directory.
    return {path[len(native_model) :]: listing.files[path] for path in paths}


def _pair(left: _Sizes, right: _Sizes, prefixes: tuple[str, str] = ("", ""), *, is_native: bool = True) -> Pairing:
    """Pair equal paths, and remove type differences from the arguments. `prefixes` are the native models' paths."""
    left_prefix, right_prefix = prefixes
    type_differences = _take_type_differences(left, right, left_prefix, is_native=is_native)
    pairs = []
    for path in sorted_paths(left.keys() | right.keys()):
        left_size, right_size = left.get(path), right.get(path)
        left_path = None if left_size is None else left_prefix + path
        right_path = None if right_size is None else right_prefix + path
        pairs.append(Pair(left_path or right_path or path, left_path, right_path, left_size, right_size, is_native))
    return Pairing(tuple(pairs), tuple(type_differences))


def _take_type_differences(left: _Sizes, right: _Sizes, prefix: str, *, is_native: bool) -> list[Difference]:
    """Return the paths that are a file in one model and a directory in the other, and remove their files."""
    differences = []
    for files, others, is_left_file in ((left, right, True), (right, left, False)):
        for path in sorted_paths(_files_that_are_directories(files, others)):
            size = files.pop(path)
            differences.append(
                Difference(
                    path=prefix + path,
                    kind=DifferenceKind.TYPE,
                    left_type=FileType.FILE if is_left_file else FileType.DIRECTORY,
                    right_type=FileType.DIRECTORY if is_left_file else FileType.FILE,
                    left_size=size if is_left_file else None,
                    right_size=None if is_left_file else size,
                    is_native=is_native,
                )
            )
            for below in [other for other in others if other.startswith(path + "/")]:
                del others[below]
    return differences


def _files_that_are_directories(files: _Sizes, others: _Sizes) -> set[str]:
    unpaired = files.keys() - others.keys()
    return unpaired & {parent for path in others for parent in _parents(path)} if unpaired else set()


def _parents(path: str) -> Iterator[str]:
    end = path.rfind("/")
    while end >= 0:
        yield path[:end]
        end = path.rfind("/", 0, end)

"""Pairs the files of two listings: selects which left file is compared with which right file. No I/O."""

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
        is_native: False if a native model (a part of the MLflow model) is compared and the file is outside of it;
            otherwise True.
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
        """Whether a difference of this pair affects the verdict."""
        return self.is_native and not self.ignored_by


@dataclass(frozen=True)
class Pairing:
    """The files of two listings in pairs, and the paths that have different types.

    Attributes:
        pairs: Every file of either model in exactly one pair, except files at or below a path in `type_differences`.
        type_differences: Paths that are a file in one model and a directory in the other.
    """

    pairs: tuple[Pair, ...]
    type_differences: tuple[Difference, ...]

    @property
    def is_decided(self) -> bool:
        """Whether paths, types and sizes alone prove that the models are not equivalent.

        A file that MLflow or a file format may rewrite when it saves the same model again proves nothing.
        """
        return any(difference.decides for difference in self.type_differences) or any(
            pair.left_size != pair.right_size and pair.decides and not _may_be_rewritten(pair) for pair in self.pairs
        )

    @property
    def decides(self) -> bool:
        """Whether any path affects the verdict. False if all of them are ignored."""
        return any(pair.decides for pair in self.pairs) or any(
            difference.decides for difference in self.type_differences
        )

    def ignoring(self, ignore: Ignore) -> Pairing:
        """Return a copy in which `ignored_by` names the glob for every path that `ignore` matches."""
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
    is_in_both = pair.left is not None and pair.right is not None
    return may_be_rewritten(pair.path) if is_in_both else pair.path in REWRITTEN_FILES


def pair_files(left: Listing, right: Listing, left_native: str = "", right_native: str = "") -> Pairing:
    """Return the pairs of files with equal paths in two listings.

    A native model is a file or directory inside an MLflow model. The files of two native models are paired by their
    paths below the native model, so the native models can have different names.

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


# Size of each file in bytes, by the path that pairs it. For a native model, the path is relative to it.
_Sizes = dict[str, int]


def _without(listing: Listing, paths: set[str]) -> _Sizes:
    return {path: size for path, size in listing.files.items() if path not in paths}


def _below(listing: Listing, paths: set[str], native_model: str) -> _Sizes:
    # The rest of the path is "" if the native model is a file, and "/x" for a file x in a native directory.
    return {path[len(native_model) :]: listing.files[path] for path in paths}


def _pair(left: _Sizes, right: _Sizes, prefixes: tuple[str, str] = ("", ""), *, is_native: bool = True) -> Pairing:
    """Return the pairs and type differences of two sets of files. Type differences are removed from the arguments.

    `prefixes` are the paths of the left and the right native model, which the keys of the arguments omit.
    """
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
    """Remove all files at or below a path that is a file in one model and a directory in the other.

    Return one difference for each such path.
    """
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

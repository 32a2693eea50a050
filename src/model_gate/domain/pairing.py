"""Pairs the files of two listings: selects which left file is compared with which right file. No I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, replace
from typing import NamedTuple

from model_gate.domain.difference import Difference, DifferenceKind, FileType
from model_gate.domain.ignore import Ignore
from model_gate.domain.model import Listing
from model_gate.domain.paths import sorted_paths
from model_gate.domain.rewrites import REWRITTEN_FILES, may_be_rewritten


# A named tuple, because a model can have many files and making a dataclass takes twice the time.
class Pair(NamedTuple):
    """A file of the left model and its counterpart in the right model; one of them can be missing.

    Attributes:
        path: The pair's path in the report: the left path, or the right path if there is no left file.
        left: The path in the left model, None if there is no left file.
        right: The path in the right model, None if there is no right file.
        left_size: Bytes of the left file, None if there is no left file.
        right_size: Bytes of the right file, None if there is no right file.
        is_native: False if a native model (a part of the MLflow model) is compared and the file is outside of it;
            otherwise True.
        ignored_by: An `ignore` glob that matches the file, "" if the file is not ignored.
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
class TypeMismatch:
    """A path that is a file in one model and a directory in the other.

    Attributes:
        difference: The difference of kind `type` at this path.
        paths: The file and every file below the directory, each by its path in its own model.
    """

    difference: Difference
    paths: tuple[str, ...]


@dataclass(frozen=True)
class Pairing:
    """The files of two listings in pairs, and the paths that have different types.

    Attributes:
        pairs: Every file of either model exactly once, except the files of type mismatches.
        type_mismatches: The paths that are a file in one model and a directory in the other.
    """

    pairs: tuple[Pair, ...]
    type_mismatches: tuple[TypeMismatch, ...]

    @property
    def type_differences(self) -> list[Difference]:
        """The differences of the type mismatches."""
        return [mismatch.difference for mismatch in self.type_mismatches]

    @property
    def is_proven_not_identical(self) -> bool:
        """Whether paths, types and sizes alone prove that the models are not identical."""
        return any(difference.decides for difference in self.type_differences) or any(
            pair.left_size != pair.right_size and pair.decides for pair in self.pairs
        )

    @property
    def is_proven_not_equivalent(self) -> bool:
        """Whether paths, types and sizes alone prove that the models are not equivalent.

        Files that MLflow or a file format may change when the same model is saved again are not taken as proof.
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
        """Return the pairing with `ignored_by` set wherever `ignore` matches every file of a pair or type mismatch."""
        if not ignore.patterns:
            return self
        return Pairing(
            tuple(pair._replace(ignored_by=_ignored_by(ignore, _paths_of(pair))) for pair in self.pairs),
            tuple(
                replace(
                    mismatch,
                    difference=replace(mismatch.difference, ignored_by=_ignored_by(ignore, mismatch.paths)),
                )
                for mismatch in self.type_mismatches
            ),
        )


def _paths_of(pair: Pair) -> list[str]:
    """Return the paths of a pair's files: two for native models with different paths."""
    return list(dict.fromkeys(path for path in (pair.left, pair.right) if path is not None))


def _ignored_by(ignore: Ignore, paths: Iterable[str]) -> str:
    """Return the glob that matches the first path if each path is matched by a glob, "" otherwise."""
    first = ""
    for path in paths:
        pattern = ignore.pattern_for(path)
        if not pattern:
            return ""
        first = first or pattern
    return first


def _may_be_rewritten(pair: Pair) -> bool:
    if pair.left is None or pair.right is None:
        return pair.path in REWRITTEN_FILES
    return may_be_rewritten(pair.left, pair.right)


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
    return Pairing(native.pairs + rest.pairs, native.type_mismatches + rest.type_mismatches)


# Sizes of files in bytes, by path. The paths of a native model's files do not include the native model's own path.
_Sizes = dict[str, int]


def _without(listing: Listing, paths: set[str]) -> _Sizes:
    return {path: size for path, size in listing.files.items() if path not in paths}


def _below(listing: Listing, paths: set[str], native_model: str) -> _Sizes:
    # The rest of the path is "" if the native model is a file, and "/x" for a file x in a native directory.
    return {path[len(native_model) :]: listing.files[path] for path in paths}


def _pair(left: _Sizes, right: _Sizes, prefixes: tuple[str, str] = ("", ""), *, is_native: bool = True) -> Pairing:
    """Return the pairs and type mismatches of two sets of files. Type mismatches are removed from the arguments.

    `prefixes` are the paths of the left and the right native model, which the keys of the arguments omit.
    """
    left_prefix, right_prefix = prefixes
    mismatches = _take_type_mismatches(left, right, prefixes, is_native=is_native)
    pairs = []
    for path in sorted_paths(left.keys() | right.keys()):
        left_size, right_size = left.get(path), right.get(path)
        left_path = None if left_size is None else left_prefix + path
        right_path = None if right_size is None else right_prefix + path
        pairs.append(Pair(left_path or right_path or path, left_path, right_path, left_size, right_size, is_native))
    return Pairing(tuple(pairs), tuple(mismatches))


def _take_type_mismatches(
    left: _Sizes, right: _Sizes, prefixes: tuple[str, str], *, is_native: bool
) -> list[TypeMismatch]:
    """Remove all files at or below a path that is a file in one model and a directory in the other.

    Return one type mismatch for each such path.
    """
    left_prefix, right_prefix = prefixes
    mismatches = []
    for files, others, is_left_file in ((left, right, True), (right, left, False)):
        file_prefix, directory_prefix = prefixes if is_left_file else (right_prefix, left_prefix)
        files_below = _files_below(files.keys() - others.keys(), others)
        for path in sorted_paths(files_below):
            size = files.pop(path)
            difference = Difference(
                path=left_prefix + path,
                kind=DifferenceKind.TYPE,
                left_type=FileType.FILE if is_left_file else FileType.DIRECTORY,
                right_type=FileType.DIRECTORY if is_left_file else FileType.FILE,
                left_size=size if is_left_file else None,
                right_size=None if is_left_file else size,
                is_native=is_native,
            )
            below = [directory_prefix + other for other in files_below[path]]
            mismatches.append(TypeMismatch(difference, (file_prefix + path, *below)))
            for other in files_below[path]:
                # In a hostile listing, a path can be both a file and a directory. A file can be below two such paths.
                others.pop(other, None)
    return mismatches


def _files_below(paths: Set[str], files: _Sizes) -> dict[str, list[str]]:
    """Return the files below each path that is a directory in `files`."""
    below: dict[str, list[str]] = defaultdict(list)
    for file in files if paths else ():
        for parent in _parents(file):
            if parent in paths:
                below[parent].append(file)
    return below


def _parents(path: str) -> Iterator[str]:
    end = path.rfind("/")
    while end >= 0:
        yield path[:end]
        end = path.rfind("/", 0, end)

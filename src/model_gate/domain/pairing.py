"""Which file is compared with which: a pure decision over two listings."""

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
    """A file that both models have, or (where a size is None) only one.

    Attributes:
        path: What the pair is called: the left path, or the right one where there is no left.
        left: The path in the left model, None if it is not there.
        right: The path in the right model, None if it is not there.
        left_size: Bytes.
        right_size: Bytes.
        is_native: Whether it belongs to what is judged, rather than to the rest of the MLflow model.
        ignored_by: The glob by which it was asked to be ignored, "" if it was not.
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
        """Whether a difference here makes the models differ."""
        return self.is_native and not self.ignored_by

    @property
    def largest(self) -> int:
        """Bytes of the larger half."""
        return max(self.left_size or 0, self.right_size or 0)


@dataclass(frozen=True)
class Pairing:
    """What two listings alone say.

    Attributes:
        pairs: Every file of either model, once.
        type_differences: Paths that are a file in one model and a directory in the other. What is below the directory
            has no pair of its own.
    """

    pairs: tuple[Pair, ...]
    type_differences: tuple[Difference, ...]

    @property
    def is_decided(self) -> bool:
        """Whether the models differ in more than MLflow rewrites, whatever the contents are."""
        return any(difference.decides for difference in self.type_differences) or any(
            pair.left_size != pair.right_size and pair.decides and not _may_be_rewritten(pair) for pair in self.pairs
        )

    @property
    def decides(self) -> bool:
        """Whether there is anything that decides; if not, all of it is ignored."""
        return any(each.decides for each in self.pairs) or any(each.decides for each in self.type_differences)

    def ignoring(self, ignore: Ignore) -> Pairing:
        """The same, with what fits `ignore` marked."""
        if not ignore.patterns:
            return self
        return Pairing(
            tuple(replace(pair, ignored_by=ignore.pattern_for(pair.left, pair.right)) for pair in self.pairs),
            tuple(replace(each, ignored_by=ignore.pattern_for(each.path)) for each in self.type_differences),
        )


def _may_be_rewritten(pair: Pair) -> bool:
    both = pair.left is not None and pair.right is not None
    return may_be_rewritten(pair.path) if both else pair.path in REWRITTEN_FILES


def pair_files(left: Listing, right: Listing, left_native: str = "", right_native: str = "") -> Pairing:
    """Pair two listings path by path; the two native models are a pair whatever they are called.

    Both native models are "" or neither is.
    """
    if not left_native:
        return _pair(dict(left.files), dict(right.files))
    left_paths, right_paths = set(left.native_files(left_native)), set(right.native_files(right_native))
    native = _pair(
        _below(left, left_paths, left_native), _below(right, right_paths, right_native), (left_native, right_native)
    )
    rest = _pair(_without(left, left_paths), _without(right, right_paths), is_native=False)
    return Pairing(native.pairs + rest.pairs, native.type_differences + rest.type_differences)


# Size by the path under which a file is paired: what follows the native model's path, or the whole.
_Side = dict[str, int]


def _without(listing: Listing, paths: set[str]) -> _Side:
    return {path: size for path, size in listing.files.items() if path not in paths}


def _below(listing: Listing, paths: set[str], native_model: str) -> _Side:
    # "" for a native model of one file, "/x" for a file x in a native model that is a directory.
    return {path[len(native_model) :]: listing.files[path] for path in paths}


def _pair(left: _Side, right: _Side, names: tuple[str, str] = ("", ""), *, is_native: bool = True) -> Pairing:
    """Pair what has the same path; `names` are what all paths of the left and of the right begin with."""
    left_name, right_name = names
    differences = []
    for one, other, swapped in ((left, right, False), (right, left, True)):
        for path in sorted_paths(_files_against_directories(one, other)):
            kinds = (FileType.DIRECTORY, FileType.FILE) if swapped else (FileType.FILE, FileType.DIRECTORY)
            differences.append(
                Difference(
                    path=left_name + path,
                    kind=DifferenceKind.TYPE,
                    left_type=kinds[0],
                    right_type=kinds[1],
                    left_size=None if swapped else one[path],
                    right_size=one[path] if swapped else None,
                    is_native=is_native,
                )
            )
            del one[path]
            for below in [each for each in other if each.startswith(path + "/")]:
                del other[below]
    pairs = []
    for path in sorted_paths(left.keys() | right.keys()):
        left_size, right_size = left.get(path), right.get(path)
        left_path = None if left_size is None else left_name + path
        right_path = None if right_size is None else right_name + path
        pairs.append(Pair(left_path or right_path or path, left_path, right_path, left_size, right_size, is_native))
    return Pairing(tuple(pairs), tuple(differences))


def _files_against_directories(one: _Side, other: _Side) -> set[str]:
    lonely = one.keys() - other.keys()
    return lonely & {parent for path in other for parent in _parents(path)} if lonely else set()


def _parents(path: str) -> Iterator[str]:
    end = path.rfind("/")
    while end >= 0:
        yield path[:end]
        end = path.rfind("/", 0, end)

"""Compares pairs of models: lists them side by side, fetches what is needed, has `filecmp` judge each pair of files.

A location that several comparisons need is listed once and each of its files fetched once.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from model_gate.comparison.digest import tree_digest
from model_gate.comparison.file_comparison import FileComparison
from model_gate.comparison.progress import Progress
from model_gate.comparison.scheduler import FailFastPool, ModelPair, compare_files, results_of
from model_gate.domain.difference import Difference
from model_gate.domain.ignore import NOTHING, Ignore
from model_gate.domain.model import Listing, require_model, require_native_model
from model_gate.domain.pairing import Pairing, pair_files
from model_gate.domain.paths import path_key
from model_gate.domain.result import ComparedModel, Comparison, IgnoredPath, RestOfModel
from model_gate.errors import InputError, InternalError
from model_gate.sources.model_source import ModelSource


@dataclass(frozen=True)
class SelectedModel:
    """One model of a comparison, before it is listed.

    Attributes:
        name: What progress calls it.
        artifacts: Where its files come from.
        native_model: The native model's path, "" for the whole model.
        is_mlflow_model: Whether it must have an MLmodel file.
    """

    name: str
    artifacts: ModelSource
    native_model: str = ""
    is_mlflow_model: bool = True

    @property
    def key(self) -> str:
        """Of its location."""
        return self.artifacts.location.key


ModelPairing = tuple[SelectedModel, SelectedModel]


def compare_models(
    wanted: Mapping[str, ModelPairing],
    progress: Progress,
    ignore: Ignore = NOTHING,
    is_enough: Callable[[FileComparison], bool] = lambda _: False,
) -> dict[str, Comparison]:
    """Compare each pair of models; what fits `ignore` does not decide. A judgement that `is_enough` is the last one.

    Raises:
        ModelError: A model is empty or missing, has no MLmodel file or lacks the native model.
        InputError: Everything is ignored.
        ModelGateError: A listing or a transfer failed.
    """
    sides: dict[str, SelectedModel] = {}
    for pair in wanted.values():
        for side in pair:
            sides.setdefault(side.key, side)
    listings = _list_all(sides, progress)
    for pair in wanted.values():
        for side in pair:
            _require(side, listings[side.key])
    distinct = {_key(pair): pair for pair in wanted.values()}
    matches = [_match(pair, listings, ignore) for pair in distinct.values()]
    artifacts = {identity: side.artifacts for identity, side in sides.items()}
    judgements = compare_files(matches, artifacts, progress, is_enough)
    compared = {
        key: replace(_result(pair, match.pairing, judged, sides, listings), ignore=ignore.patterns)
        for (key, pair), match, judged in zip(distinct.items(), matches, judgements, strict=True)
    }
    return {name: compared[_key(pair)] for name, pair in wanted.items()}


def _key(pair: ModelPairing) -> tuple[str, str, str, str]:
    left, right = pair
    return left.key, right.key, left.native_model, right.native_model


def _is_same(pair: ModelPairing) -> bool:
    left, right = pair
    return left.key == right.key and left.native_model == right.native_model


def _list_all(sides: Mapping[str, SelectedModel], progress: Progress) -> dict[str, Listing]:
    def list_one(side: SelectedModel) -> Listing:
        return side.artifacts.list(lambda note: progress.listing(side.name, int(note["files"])))

    def list_these(group: list[SelectedModel]) -> dict[str, Listing]:
        return {side.key: list_one(side) for side in group}

    # Servers are waited for side by side. Directories of this machine are not: two threads that list would take Python
    # from each other for each file, which is twice the work.
    groups = [[side] for side in sides.values() if not side.artifacts.is_at_hand]
    if at_hand := [side for side in sides.values() if side.artifacts.is_at_hand]:
        groups.append(at_hand)
    with FailFastPool(len(groups)) as pool:
        return dict(ChainMap(*results_of(pool.submit(list_these, group) for group in groups)))


def _require(side: SelectedModel, listing: Listing) -> None:
    uri = side.artifacts.location.uri
    require_model(listing, uri, mlmodel=side.is_mlflow_model)
    if side.native_model:
        require_native_model(listing, side.native_model, uri)


def _match(pair: ModelPairing, listings: Mapping[str, Listing], ignore: Ignore) -> ModelPair:
    left, right = pair
    if _is_same(pair):
        return ModelPair(left.key, right.key, Pairing((), ()))
    pairing = pair_files(listings[left.key], listings[right.key], left.native_model, right.native_model)
    pairing = pairing.ignoring(ignore)
    if not pairing.decides:
        raise InputError(
            f"All of {left.native_model or 'the model'} is ignored: there is nothing to compare.",
            "Take the pattern that fits it out of `ignore`.",
        )
    return ModelPair(left.key, right.key, pairing)


def _result(
    pair: ModelPairing,
    pairing: Pairing,
    judgements: list[FileComparison],
    sides: Mapping[str, SelectedModel],
    listings: Mapping[str, Listing],
) -> Comparison:
    left, right = pair
    if len(judgements) != len(pairing.pairs):
        raise InternalError("Not every file was judged.", "Please report it, with the listing of both models.")
    found = [judgement.difference for judgement in judgements if judgement.difference is not None]
    found += pairing.type_differences
    found.sort(key=lambda difference: path_key(difference.path))
    counted = [difference for difference in found if not difference.ignored_by]
    differences = tuple(difference for difference in counted if difference.is_native)
    native = [judgement for judgement in judgements if judgement.pair.is_native]
    deciding = [judgement for judgement in judgements if judgement.pair.decides]
    not_compared = sum(not judgement.is_compared for judgement in deciding)
    left_digest = _digest(_known(left, listings, {each.pair.left: each.left_digest for each in native}))
    if any(each.is_native for each in found):
        right_digest = _digest(_known(right, listings, {each.pair.right: each.right_digest for each in native}))
    else:
        # A large tree has many lines.
        right_digest = left_digest
    rest_found = tuple(difference for difference in counted if not difference.is_native)
    return Comparison(
        left=_compared(left, sides, listings, left_digest),
        right=_compared(right, sides, listings, right_digest),
        equals=not differences and not not_compared,
        equivalent=all(difference.rewrite_reason for difference in differences) and not not_compared,
        same_location=_is_same(pair),
        differences=differences,
        compared=len(deciding) - not_compared + len(pairing.type_differences),
        not_compared=not_compared,
        native_model=left.native_model,
        rest=_rest(judgements, rest_found) if left.native_model else None,
        ignored=_ignored(judgements, pairing),
    )


def _ignored(judgements: list[FileComparison], pairing: Pairing) -> tuple[IgnoredPath, ...]:
    found = [
        IgnoredPath(
            judgement.pair.path,
            judgement.pair.ignored_by,
            False if judgement.difference else True if judgement.is_compared else None,
        )
        for judgement in judgements
        if judgement.pair.ignored_by
    ]
    found += [IgnoredPath(each.path, each.ignored_by, False) for each in pairing.type_differences if each.ignored_by]
    return tuple(sorted(found, key=lambda each: path_key(each.path)))


def _rest(judgements: list[FileComparison], differences: tuple[Difference, ...]) -> RestOfModel:
    beside = [each for each in judgements if not each.pair.is_native and not each.pair.ignored_by]
    complete = all(judgement.is_compared for judgement in beside)
    equals = False if differences else True if complete else None
    return RestOfModel(equals, differences)


def _paths(side: SelectedModel, listings: Mapping[str, Listing]) -> list[str]:
    """What is judged of a model."""
    listing = listings[side.key]
    return list(listing.native_files(side.native_model)) if side.native_model else list(listing.files)


def _compared(
    side: SelectedModel, sides: Mapping[str, SelectedModel], listings: Mapping[str, Listing], digest: str | None
) -> ComparedModel:
    files = listings[side.key].files
    artifacts = sides[side.key].artifacts
    paths = _paths(side, listings)
    return ComparedModel(
        location=artifacts.location,
        path=artifacts.directory / side.native_model,
        kept=artifacts.is_kept,
        digest=digest,
        files=len(paths),
        size=sum(files[path] for path in paths),
    )


def _known(
    side: SelectedModel, listings: Mapping[str, Listing], digests: Mapping[str | None, str | None]
) -> dict[str, str | None]:
    """The digest, None where it is not known, of every file that is judged; "" is a native model of one file."""
    start = len(side.native_model)
    return {path[start:]: digests.get(path) for path in _paths(side, listings)}


def _digest(files: Mapping[str, str | None]) -> str | None:
    """Of the file, or of the tree; None if not all files were needed."""
    known = {path.removeprefix("/"): digest for path, digest in files.items() if digest is not None}
    if len(known) < len(files):
        return None
    return known[""] if "" in known else tree_digest(known)

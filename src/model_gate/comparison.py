"""Compares pairs of models: lists them side by side, fetches what is needed, has `filecmp` judge each pair of files.

A location that several comparisons need is listed once and each of its files fetched once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from model_gate.artifacts import Artifacts
from model_gate.difference import Difference
from model_gate.digest import tree_digest
from model_gate.errors import InputError, InternalError
from model_gate.ignore import NOTHING, Ignore
from model_gate.judgement import Judgement
from model_gate.model import Listing, path_key, require_model, require_native_model
from model_gate.pairing import Pairing, pair_files
from model_gate.progress import Progress
from model_gate.result import ComparedModel, Comparison, IgnoredPath, RestOfModel
from model_gate.schedule import Match, Pool, judge_matches, results


@dataclass(frozen=True)
class Side:
    """One model of a comparison, before it is listed.

    Attributes:
        name: What progress calls it.
        artifacts: Where its files come from.
        native_model: The native model's path, "" for the whole model.
        is_mlflow_model: Whether it must have an MLmodel file.
    """

    name: str
    artifacts: Artifacts
    native_model: str = ""
    is_mlflow_model: bool = True

    @property
    def identity(self) -> str:
        """Of its location."""
        return self.artifacts.location.identity


Sides = tuple[Side, Side]


def compare_models(
    wanted: Mapping[str, Sides],
    progress: Progress,
    ignore: Ignore = NOTHING,
    is_enough: Callable[[Judgement], bool] = lambda _: False,
) -> dict[str, Comparison]:
    """Compare each pair of models; what fits `ignore` does not decide. A judgement that `is_enough` is the last one.

    Raises:
        ModelError: A model is empty or missing, has no MLmodel file or lacks the native model.
        InputError: Everything is ignored.
        ModelGateError: A listing or a transfer failed.
    """
    sides: dict[str, Side] = {}
    for pair in wanted.values():
        for side in pair:
            sides.setdefault(side.identity, side)
    listings = _list_all(sides, progress)
    for pair in wanted.values():
        for side in pair:
            _require(side, listings[side.identity])
    distinct = {_key(pair): pair for pair in wanted.values()}
    matches = [_match(pair, listings, ignore) for pair in distinct.values()]
    artifacts = {identity: side.artifacts for identity, side in sides.items()}
    judgements = judge_matches(matches, artifacts, progress, is_enough)
    compared = {
        key: replace(_result(pair, match.pairing, judged, sides, listings), ignore=ignore.patterns)
        for (key, pair), match, judged in zip(distinct.items(), matches, judgements, strict=True)
    }
    return {name: compared[_key(pair)] for name, pair in wanted.items()}


def _key(pair: Sides) -> tuple[str, str, str, str]:
    left, right = pair
    return left.identity, right.identity, left.native_model, right.native_model


def _is_same(pair: Sides) -> bool:
    left, right = pair
    return left.identity == right.identity and left.native_model == right.native_model


def _list_all(sides: Mapping[str, Side], progress: Progress) -> dict[str, Listing]:
    def list_one(side: Side) -> Listing:
        return side.artifacts.list(lambda note: progress.listing(side.name, int(note["files"])))

    with Pool(len(sides)) as pool:
        return dict(zip(sides, results(pool.submit(list_one, side) for side in sides.values()), strict=True))


def _require(side: Side, listing: Listing) -> None:
    uri = side.artifacts.location.uri
    require_model(listing, uri, mlmodel=side.is_mlflow_model)
    if side.native_model:
        require_native_model(listing, side.native_model, uri)


def _match(pair: Sides, listings: Mapping[str, Listing], ignore: Ignore) -> Match:
    left, right = pair
    if _is_same(pair):
        return Match(left.identity, right.identity, Pairing((), ()))
    pairing = pair_files(listings[left.identity], listings[right.identity], left.native_model, right.native_model)
    pairing = pairing.ignoring(ignore)
    if not pairing.decides:
        raise InputError(
            f"All of {left.native_model or 'the model'} is ignored: there is nothing to compare.",
            "Take the pattern that fits it out of `ignore`.",
        )
    return Match(left.identity, right.identity, pairing)


def _result(
    pair: Sides,
    pairing: Pairing,
    judgements: list[Judgement],
    sides: Mapping[str, Side],
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
    left_digests = _digests((judgement.pair.left, judgement.left_digest) for judgement in native)
    right_digests = _digests((judgement.pair.right, judgement.right_digest) for judgement in native)
    rest_found = tuple(difference for difference in counted if not difference.is_native)
    return Comparison(
        left=_compared(left, sides, listings, left_digests),
        right=_compared(right, sides, listings, right_digests),
        equals=not differences and not not_compared,
        equivalent=all(difference.identity for difference in differences) and not not_compared,
        same_location=_is_same(pair),
        differences=differences,
        compared=len(deciding) - not_compared + len(pairing.type_differences),
        not_compared=not_compared,
        native_model=left.native_model,
        rest=_rest(judgements, rest_found) if left.native_model else None,
        ignored=_ignored(judgements, pairing),
    )


def _ignored(judgements: list[Judgement], pairing: Pairing) -> tuple[IgnoredPath, ...]:
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


def _rest(judgements: list[Judgement], differences: tuple[Difference, ...]) -> RestOfModel:
    beside = [each for each in judgements if not each.pair.is_native and not each.pair.ignored_by]
    complete = all(judgement.is_compared for judgement in beside)
    equals = False if differences else True if complete else None
    return RestOfModel(equals, differences)


def _digests(pairs: Iterable[tuple[str | None, str | None]]) -> dict[str, str | None]:
    return {path: digest for path, digest in pairs if path is not None}


def _compared(
    side: Side, sides: Mapping[str, Side], listings: Mapping[str, Listing], digests: Mapping[str, str | None]
) -> ComparedModel:
    listing = listings[side.identity]
    artifacts = sides[side.identity].artifacts
    paths = list(listing.native_files(side.native_model)) if side.native_model else list(listing.files)
    return ComparedModel(
        location=artifacts.location,
        path=artifacts.directory / side.native_model,
        kept=artifacts.is_kept,
        digest=_digest(side.native_model, paths, digests),
        files=len(paths),
        size=sum(listing.files[path] for path in paths),
    )


def _digest(native_model: str, paths: list[str], digests: Mapping[str, str | None]) -> str | None:
    known = {path: digest for path in paths if (digest := digests.get(path)) is not None}
    if len(known) < len(paths):
        return None
    if native_model in known:
        return known[native_model]
    below = len(native_model) + 1 if native_model else 0
    return tree_digest({path[below:]: digest for path, digest in known.items()})

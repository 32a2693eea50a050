"""Compares pairs of models: lists them side by side, fetches what is needed, has `filecmp` judge each pair of files.

A location that several comparisons need is listed once and each of its files fetched once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from model_gate.artifacts import Artifacts
from model_gate.difference import Difference
from model_gate.digest import tree_digest
from model_gate.errors import InternalError
from model_gate.explanation import is_explainable
from model_gate.judgement import Judgement, judge, judge_unfetched
from model_gate.model import Listing, path_key, require_model, require_native_model
from model_gate.pairing import Pair, Pairing, pair_files
from model_gate.progress import Progress
from model_gate.result import ComparedModel, Comparison, RestOfModel

# Pairs under way at once: disk in use stays near the largest pair times this.
WORKERS = 8


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


_T = TypeVar("_T")
Sides = tuple[Side, Side]
_Judgements = list[Judgement]
# A path at a location: what is fetched once.
_Need = tuple[str, str]


def compare_models(wanted: Mapping[str, Sides], progress: Progress) -> dict[str, Comparison]:
    """Compare each pair of models.

    Raises:
        ModelError: A model is empty or missing, has no MLmodel file or lacks the native model.
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
    pairings = {key: _pairing(pair, listings) for key, pair in distinct.items()}
    judgements = _judge_all(distinct, pairings, sides, progress)
    results = {key: _result(pair, pairings[key], judgements[key], sides, listings) for key, pair in distinct.items()}
    return {name: results[_key(pair)] for name, pair in wanted.items()}


_Key = tuple[str, str, str, str]


def _key(pair: Sides) -> _Key:
    left, right = pair
    return left.identity, right.identity, left.native_model, right.native_model


def _is_same(pair: Sides) -> bool:
    left, right = pair
    return left.identity == right.identity and left.native_model == right.native_model


def _list_all(sides: Mapping[str, Side], progress: Progress) -> dict[str, Listing]:
    def list_one(side: Side) -> Listing:
        return side.artifacts.list(lambda note: progress.listing(side.name, int(note["files"])))

    with _pool(len(sides)) as pool:
        return dict(zip(sides, _results([pool.submit(list_one, side) for side in sides.values()]), strict=True))


def _require(side: Side, listing: Listing) -> None:
    uri = side.artifacts.location.uri
    require_model(listing, uri, mlmodel=side.is_mlflow_model)
    if side.native_model:
        require_native_model(listing, side.native_model, uri)


def _pairing(pair: Sides, listings: Mapping[str, Listing]) -> Pairing:
    left, right = pair
    if _is_same(pair):
        return Pairing((), ())
    return pair_files(listings[left.identity], listings[right.identity], left.native_model, right.native_model)


def _judge_all(
    distinct: Mapping[_Key, Sides], pairings: Mapping[_Key, Pairing], sides: Mapping[str, Side], progress: Progress
) -> dict[_Key, _Judgements]:
    judgements: dict[_Key, _Judgements] = defaultdict(list)
    # Pairs of several comparisons that share a file are done together, so that it is fetched once.
    together: dict[str, list[tuple[_Key, Pair]]] = defaultdict(list)
    for key, pairing in pairings.items():
        at_hand = all(side.artifacts.is_at_hand for side in distinct[key])
        for pair in pairing.pairs:
            if at_hand or not pairing.is_decided or _explains(pair):
                together[pair.path].append((key, pair))
            else:
                judgements[key].append(judge_unfetched(pair))
    # Largest first, so that the last ones to finish are small.
    jobs = sorted(together.values(), key=lambda job: max(pair.largest for _, pair in job), reverse=True)
    progress.begin(len(jobs), sum(size for job in jobs for size in _needs(job).values()))
    for done in _work(jobs, sides, progress):
        for key, judgement in done:
            judgements[key].append(judgement)
    return judgements


def _explains(pair: Pair) -> bool:
    both = pair.left is not None and pair.right is not None
    return both and is_explainable(pair.path, pair.largest)


_Job = list[tuple[_Key, Pair]]


def _work(jobs: list[_Job], sides: Mapping[str, Side], progress: Progress) -> list[list[tuple[_Key, Judgement]]]:
    with _pool(WORKERS * 2) as fetchers, _pool(WORKERS) as workers:

        def do(job: _Job) -> list[tuple[_Key, Judgement]]:
            needs = _needs(job)
            files = dict(zip(needs, _fetch(needs, sides, fetchers), strict=True))
            done = [
                (key, judge(pair, files.get((key[0], pair.left or "")), files.get((key[1], pair.right or ""))))
                for key, pair in job
            ]
            for (identity, _), file in files.items():
                sides[identity].artifacts.release(file)
            progress.advance(1, sum(needs.values()))
            return done

        return _results([workers.submit(do, job) for job in jobs])


def _fetch(needs: Mapping[_Need, int], sides: Mapping[str, Side], fetchers: ThreadPoolExecutor) -> list[Path]:
    calls = [(sides[identity].artifacts, path, size) for (identity, path), size in needs.items()]
    if all(artifacts.is_at_hand for artifacts, _, _ in calls):
        # Nothing to wait for: handing it to another thread would cost more than doing it.
        return [artifacts.fetch(path, size) for artifacts, path, size in calls]
    return _results([fetchers.submit(artifacts.fetch, path, size) for artifacts, path, size in calls])


def _needs(job: _Job) -> dict[_Need, int]:
    needs: dict[_Need, int] = {}
    for (left, right, *_), pair in job:
        if pair.left is not None:
            needs[left, pair.left] = pair.left_size or 0
        if pair.right is not None:
            needs[right, pair.right] = pair.right_size or 0
    return needs


class _pool(ThreadPoolExecutor):  # noqa: N801  # reads as a function in a with statement
    """An executor that does not begin anything more once something has failed."""

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        # What is under way ends when the servers are closed; waiting for it here would wait for a dead host.
        self.shutdown(wait=kind is None, cancel_futures=kind is not None)


def _results(futures: list[Future[_T]]) -> list[_T]:
    """All results in order; the first exception as soon as there is one."""
    done, _ = wait(futures, return_when=FIRST_EXCEPTION)
    for future in done:
        if error := future.exception():
            raise error
    return [future.result() for future in futures]


def _result(
    pair: Sides, pairing: Pairing, judgements: _Judgements, sides: Mapping[str, Side], listings: Mapping[str, Listing]
) -> Comparison:
    left, right = pair
    if len(judgements) != len(pairing.pairs):
        raise InternalError("Not every file was judged.", "Please report it, with the listing of both models.")
    found = [judgement.difference for judgement in judgements if judgement.difference is not None]
    found += pairing.type_differences
    found.sort(key=lambda difference: path_key(difference.path))
    differences = tuple(difference for difference in found if difference.is_native)
    native = [judgement for judgement in judgements if judgement.pair.is_native]
    not_compared = sum(not judgement.is_compared for judgement in native)
    left_digests = _digests((judgement.pair.left, judgement.left_digest) for judgement in native)
    right_digests = _digests((judgement.pair.right, judgement.right_digest) for judgement in native)
    rest_found = tuple(difference for difference in found if not difference.is_native)
    return Comparison(
        left=_compared(left, sides, listings, left_digests),
        right=_compared(right, sides, listings, right_digests),
        equals=not differences and not not_compared,
        equivalent=all(difference.identity for difference in differences) and not not_compared,
        same_location=_is_same(pair),
        differences=differences,
        compared=len(native) - not_compared + len(pairing.type_differences),
        not_compared=not_compared,
        native_model=left.native_model,
        rest=_rest(judgements, rest_found) if left.native_model else None,
    )


def _rest(judgements: _Judgements, differences: tuple[Difference, ...]) -> RestOfModel:
    complete = all(judgement.is_compared for judgement in judgements if not judgement.pair.is_native)
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

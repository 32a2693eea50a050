"""Compares pairs of models: lists their files, pairs them, fetches them, and compares each pair.

Each location is listed once and each of its files is fetched once, however many comparisons need it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from model_gate.comparison.fail_fast_pool import FailFastPool, results_of
from model_gate.comparison.file_comparison import FileComparison
from model_gate.comparison.model_comparison import build_comparison
from model_gate.comparison.model_pair import ListedModel, ModelKey, ModelPair, SelectedModel, SelectedPair
from model_gate.comparison.progress import Progress
from model_gate.comparison.scheduler import compare_files
from model_gate.comparison.small_files.common import NO_SMALL_FILES, SmallFiles, common_small_files
from model_gate.comparison.small_files.comparer import start_comparer
from model_gate.comparison.transfer_slots import TransferSlots
from model_gate.domain.ignore import NOTHING, Ignore
from model_gate.domain.location import LocationKey
from model_gate.domain.model import require_model, require_native_model
from model_gate.domain.pairing import Pairing, pair_files
from model_gate.domain.result import Comparison
from model_gate.domain.windows import WINDOWS, Windows
from model_gate.errors import InputError
from model_gate.sources.directory import REPORTED_FILES
from model_gate.sources.model_source import ModelSource


def compare_models(  # noqa: PLR0913  # each argument after the second has a default that fits most callers
    selected_pairs: Sequence[SelectedPair],
    progress: Progress,
    ignore: Ignore = NOTHING,
    is_enough: Callable[[FileComparison], bool] | None = None,
    windows: Windows = WINDOWS,
    slots: TransferSlots | None = None,
    *,
    has_roots: bool = False,
) -> list[Comparison]:
    """Compare pairs of models and return their comparisons in the same order.

    Args:
        selected_pairs: The models to compare.
        progress: Receives the numbers of listed files, fetched bytes and compared files.
        ignore: Globs for paths that do not affect the verdict.
        is_enough: Returns whether a file comparison settles the verdict on its two models, so that no further file of
            these models is fetched; None to compare the other files too.
        windows: Which files are compared window by window, and how.
        slots: Admits the transfer, if other gates run at the same time.
        has_roots: Whether the result has the root of each model.

    Raises:
        ModelError: A model is empty or missing, has no MLmodel file or lacks the native model.
        InputError: All files are ignored.
        TransferError: A local model changed during the comparison.
        ModelGateError: A listing or a transfer failed.
    """
    sources: dict[LocationKey, ModelSource] = {}
    for model in (model for pair in selected_pairs for model in (pair.left, pair.right)):
        sources.setdefault(model.key.location, model.source)
    with ExitStack() as stack:
        for source in sources.values():
            stack.callback(source.close)
        locations = _list_locations(sources.values(), progress)
        listed_pairs = [(_listed(pair.left, locations), _listed(pair.right, locations)) for pair in selected_pairs]
        small_files = stack.enter_context(_begin_small_files(listed_pairs))
        model_pairs: dict[tuple[ModelKey, ModelKey], ModelPair] = {}
        for left, right in listed_pairs:
            if (left.key, right.key) not in model_pairs:
                model_pairs[left.key, right.key] = pair_models(left, right, ignore)
        remote = sum(model.listing.size for model in locations.values() if not model.source.is_local)
        with (slots or TransferSlots()).transfer(remote):
            files = compare_files(list(model_pairs.values()), progress, is_enough, small_files, windows)
        _require_unchanged(model_pairs.values())
    comparisons = {
        key: build_comparison(pair, files[pair], ignore, has_roots=has_roots) for key, pair in model_pairs.items()
    }
    return [comparisons[left.key, right.key] for left, right in listed_pairs]


@contextmanager
def _begin_small_files(pairs: Sequence[tuple[ListedModel, ListedModel]]) -> Iterator[SmallFiles]:
    """Begin to compare the small files of two models on this machine while their files are paired.

    Several pairs of models can share files, so their files are compared later.
    """
    if len(pairs) != 1 or pairs[0][0].key == pairs[0][1].key:
        yield NO_SMALL_FILES
        return
    common = common_small_files(*pairs[0])
    with start_comparer(common) as comparer:
        yield SmallFiles.of(common, comparer)


def _require_unchanged(model_pairs: Iterable[ModelPair]) -> None:
    """Verify that no compared model on this machine has changed since its files were listed.

    Raises:
        TransferError: A model changed.
    """
    compared = [pair for pair in model_pairs if not pair.is_same_location]
    sources = list(dict.fromkeys(model.source for pair in compared for model in (pair.left, pair.right)))
    for source in sources:
        source.begin_check()
    for source in sources:
        source.require_unchanged()


def _list_locations(sources: Collection[ModelSource], progress: Progress) -> dict[LocationKey, ListedModel]:
    """Return the whole model at each location, by location key."""
    # Servers are listed in parallel. Local directories are listed one after the other: two threads would compete for
    # the interpreter lock and take twice the CPU time.
    groups = [[source] for source in sources if not source.is_local]
    if local := [source for source in sources if source.is_local]:
        groups.append(local)

    def list_group(group: list[ModelSource]) -> list[ListedModel]:
        first, *others = group
        return [_list_first(first, others, progress), *(_list_source(source, progress) for source in others)]

    with FailFastPool(len(groups)) as pool:
        listed_groups = results_of(pool.submit(list_group, group) for group in groups)
    return {model.key.location: model for group in listed_groups for model in group}


def list_model(model: SelectedModel, progress: Progress) -> ListedModel:
    """List one model.

    Raises:
        ModelError: The model is empty or missing, has no MLmodel file or lacks the native model.
        ModelGateError: The listing failed.
    """
    return _listed(model, _list_locations([model.source], progress))


def _list_first(source: ModelSource, others: Sequence[ModelSource], progress: Progress) -> ListedModel:
    """List a model. If it has many files, begin to list the other models in other processes meanwhile."""
    unbegun = list(others)

    def on_progress(note: Mapping[str, Any]) -> None:
        files = int(note["files"])
        progress.listing(source.name, files)
        while files >= REPORTED_FILES and unbegun:
            unbegun.pop().begin_list()

    return ListedModel(source, source.list(on_progress))


def _list_source(source: ModelSource, progress: Progress) -> ListedModel:
    return ListedModel(source, source.list(lambda note: progress.listing(source.name, int(note["files"]))))


def _listed(model: SelectedModel, locations: Mapping[LocationKey, ListedModel]) -> ListedModel:
    """Return the selected model with its listing.

    Raises:
        ModelError: The model is empty or missing, has no MLmodel file or lacks the native model.
    """
    listed = replace(locations[model.key.location], native_model=model.native_model)
    location = model.source.location
    # A location without a reader is a directory that the user named. Other local paths come from a tracking server.
    is_directory = location.local_path is not None and not location.reader
    require_model(
        listed.listing,
        location.place,
        mlmodel=model.is_mlflow_model,
        is_directory=is_directory,
        named_uri=location.uri if model.is_named else "",
    )
    if model.native_model:
        require_native_model(listed.listing, model.native_model, location.place)
    return listed


def pair_models(left: ListedModel, right: ListedModel, ignore: Ignore) -> ModelPair:
    """Pair the files of two models. If both models are the same files of the same location, there are no pairs.

    Raises:
        InputError: All files are ignored.
    """
    if left.key == right.key:
        return ModelPair(left, right, Pairing((), ()))
    pairing = pair_files(left.listing, right.listing, left.native_model, right.native_model).ignoring(ignore)
    if not pairing.decides:
        raise InputError(
            f"All of {left.native_model or 'the model'} is ignored: there is nothing to compare.",
            "Take the pattern that fits it out of `ignore`.",
        )
    return ModelPair(left, right, pairing)

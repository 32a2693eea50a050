"""Seals a model, and compares a model with a seal."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from model_gate.comparison.file_comparison import FileComparison, compare_sizes
from model_gate.comparison.jobs import MAX_EXPLAINED_BYTES, first_pairs
from model_gate.comparison.model_comparison import build_comparison
from model_gate.comparison.model_pair import ListedModel, ModelPair, SelectedModel
from model_gate.comparison.models import list_model, pair_models
from model_gate.comparison.progress import Progress
from model_gate.comparison.transfer_slots import TransferSlots
from model_gate.domain.difference import DIGEST, Difference, DifferenceKind, Explanation, FieldChange
from model_gate.domain.ignore import NOTHING, Ignore
from model_gate.domain.model import require_model, require_native_model
from model_gate.domain.pairing import Pair
from model_gate.domain.result import ComparedModel, Comparison
from model_gate.domain.seal import Seal, SealedVersion, SealFacts, make_seal, require_sealable
from model_gate.explanation import Explainer
from model_gate.explanation.content import Content
from model_gate.formats.model_signing import Resource
from model_gate.sealing.hashing import hash_files
from model_gate.sealing.seal_source import SealSource

_SHOWN_DIGITS = 12
_T = TypeVar("_T")


@dataclass(frozen=True)
class SealedPair:
    """A model and the seal with which it is compared.

    Attributes:
        sealed: The seal.
        model: The model.
        is_seal_left: Whether the seal is the left half of the comparison.
    """

    sealed: SealedVersion
    model: SelectedModel
    is_seal_left: bool = True

    def by_side(self, of_seal: _T, of_model: _T) -> tuple[_T, _T]:
        """Return a value of the seal and a value of the model as a left and a right value.

        Of a left and a right value, the same call returns the value of the seal and the value of the model.
        """
        return (of_seal, of_model) if self.is_seal_left else (of_model, of_seal)

    def sealed_path(self, pair: Pair) -> str | None:
        """Return the path of a pair of files in the seal, None if only the model has the file."""
        return self.by_side(pair.left, pair.right)[0]

    def model_path(self, pair: Pair) -> str | None:
        """Return the path of a pair of files in the model, None if only the seal has the file."""
        return self.by_side(pair.left, pair.right)[1]


def seal_model(model: SelectedModel, file: Path, name: str, facts: SealFacts, progress: Progress) -> Seal:
    """Hash all files of a model and return its seal. Each file is fetched once.

    Args:
        model: The model.
        file: Path that the seal will have.
        name: Name of the model.
        facts: What the seal says about the origin of the model.
        progress: Receives the numbers of listed, fetched and hashed files.

    Raises:
        SealError: The model has a path that cannot be in a seal, or too many files.
        ModelGateError: A listing or a transfer failed, or the model changed in the meantime.
    """
    with closing(model.source):
        listed = list_model(model, progress)
        sizes = listed.listing.files
        # Hashing takes long, so a path that cannot be sealed is an error before it.
        require_sealable(sizes)
        digests = hash_files(listed.source, sizes, progress)
        listed.source.require_unchanged()
        # Every listed file is in the seal.
        files = {path: Resource(digests[path], size) for path, size in sizes.items()}
        return make_seal(str(file), name, files, facts, allow_symlinks=listed.listing.has_links)


def verify_model(
    pair: SealedPair,
    progress: Progress,
    ignore: Ignore = NOTHING,
    is_enough: Callable[[FileComparison], bool] | None = None,
    slots: TransferSlots | None = None,
    *,
    has_roots: bool = False,
) -> Comparison:
    """Compare a model with its seal. Each file is fetched once.

    Args:
        pair: The seal and the model.
        progress: Receives the numbers of listed, fetched and hashed files.
        ignore: Globs for paths that do not affect the verdict.
        is_enough: Returns whether a file comparison settles the verdict, so that no further file is fetched; None to
            compare the other files too, and to fetch files only to say what they are.
        slots: Admits the transfer, if other gates run at the same time.
        has_roots: Whether the result has the roots of the seal and of the model.

    Raises:
        ModelError: The model or the seal is empty or lacks the native model, or the seal of an MLflow model has no
            MLmodel file.
        InputError: All files are ignored.
        TransferError: A local model changed during the comparison.
        ModelGateError: A listing or a transfer failed.
    """
    with closing(pair.model.source):
        # A missing MLmodel file must be a difference. `_listed_seal` requires it in the seal.
        model = list_model(replace(pair.model, is_mlflow_model=False), progress)
        model_pair = pair_models(*pair.by_side(_listed_seal(pair, model), model), ignore)
        with (slots or TransferSlots()).transfer(0 if model.source.is_local else model.listing.size):
            files = _Files(pair, model).compare(model_pair, progress, is_enough, has_roots=has_roots)
        model.source.require_unchanged()
    comparison = build_comparison(model_pair, files, ignore, has_roots=has_roots)
    of_seal, of_model = pair.by_side(comparison.left, comparison.right)
    left, right = pair.by_side(_with_seal(of_seal, pair.sealed.seal), of_model)
    return replace(comparison, left=left, right=right, is_by_digest=True)


def _listed_seal(pair: SealedPair, model: ListedModel) -> ListedModel:
    """Return the files in the seal as a listed model.

    Raises:
        ModelError: The seal has no MLmodel file although the model needs one, or lacks the native model.
    """
    seal = pair.sealed.seal
    source = SealSource(seal, model.listing.files)
    listed = ListedModel(source, source.list(lambda _: None), pair.sealed.native_model)
    require_model(listed.listing, f"the seal {seal.file}", mlmodel=pair.model.is_mlflow_model)
    if listed.native_model:
        require_native_model(listed.listing, listed.native_model, f"the seal {seal.file}")
    return listed


def _with_seal(model: ComparedModel, seal: Seal) -> ComparedModel:
    return replace(model, path=Path(seal.file), size=model.size if seal.size is not None else None, seal=seal)


class _Files:
    """Compares the files of a model with those of a seal."""

    def __init__(self, pair: SealedPair, model: ListedModel) -> None:
        self._pair = pair
        self._files = pair.sealed.seal.files
        self._model = model
        self._explainer = Explainer()
        # What the differing files of the model are, in a phrase, by path.
        self._descriptions: dict[str, str] = {}

    def compare(
        self,
        models: ModelPair,
        progress: Progress,
        is_enough: Callable[[FileComparison], bool] | None,
        *,
        has_roots: bool,
    ) -> list[FileComparison]:
        """Return the comparison of each pair of files, see `verify_model`.

        With `has_roots`, all files of the model are hashed, unless the sizes already decide.
        """
        by_size: list[FileComparison] = []
        same_size: dict[str, Pair] = {}
        for pair in models.pairing.pairs:
            path = self._pair.model_path(pair)
            if path is not None and pair.left_size == pair.right_size:
                same_size[path] = pair
            else:
                by_size.append(self._by_size(pair))
        if is_enough is not None and any(map(is_enough, by_size)):
            return [*by_size, *map(compare_sizes, same_size.values())]
        if has_roots and not models.pairing.is_proven_not_identical:
            read_anyway = {path for file in by_size if (path := self._pair.model_path(file.pair)) is not None}
        else:
            read_anyway = set() if is_enough is not None else self._worth_describing(by_size)
        digests = self._digests(same_size, read_anyway, progress, is_enough)
        return [
            *(self._with_digest(file, digests) for file in by_size),
            *(
                self._by_digest(pair, path, digests[path]) if path in digests else compare_sizes(pair)
                for path, pair in same_size.items()
            ),
        ]

    def _worth_describing(self, by_size: Iterable[FileComparison]) -> set[str]:
        """Return the paths in the model of files that are fetched only to say what they are."""
        paths = {file.pair: path for file in by_size if (path := self._pair.model_path(file.pair)) is not None}
        return {
            paths[pair] for pair in first_pairs((pair for pair in paths if not pair.ignored_by), MAX_EXPLAINED_BYTES)
        }

    def _digests(
        self,
        same_size: Mapping[str, Pair],
        read_anyway: Collection[str],
        progress: Progress,
        is_enough: Callable[[FileComparison], bool] | None,
    ) -> Mapping[str, str]:
        """Hash files of the model, and describe those that differ from the seal.

        Args:
            same_size: The pairs of files that the digests decide, by path in the model.
            read_anyway: Paths in the model of files that differ already in their sizes, but are read too.
            progress: Receives the numbers of fetched and hashed files.
            is_enough: See `verify_model`.

        Returns:
            The digests by path. Files that `is_enough` made unnecessary are left out.
        """

        def is_last(path: str, digest: str) -> bool:
            if is_enough is None or path not in same_size:
                return False
            return is_enough(self._by_digest(same_size[path], path, digest))

        def inspect(path: str, digest: str, content: Content) -> None:
            if path not in same_size or digest != self._digest_in_seal(same_size[path]):
                self._descriptions[path] = self._explainer.describe(path, content)

        sizes = {path: self._model.listing.files[path] for path in (*same_size, *read_anyway)}
        return hash_files(self._model.source, sizes, progress, is_last, inspect=inspect)

    def _by_size(self, pair: Pair) -> FileComparison:
        """Compare two files that differ in their sizes, or of which one is missing."""
        comparison = compare_sizes(pair)
        if comparison.difference is None:
            return comparison
        # Only the content of a file shows whether MLflow itself added it, and the sealed content is not known.
        difference = replace(comparison.difference, rewrite_reason="")
        path = self._pair.sealed_path(pair)
        if path is None:
            return comparison._replace(difference=difference)
        left_size, right_size = self._sizes(pair, path)
        left, right = self._pair.by_side(self._files[path].digest, None)
        return comparison._replace(
            difference=replace(difference, left_size=left_size, right_size=right_size),
            left_digest=left,
            right_digest=right,
        )

    def _sizes(self, pair: Pair, path: str) -> tuple[int | None, int | None]:
        """Return the sizes of the left and the right file. A size that the seal does not say is not known."""
        _, model_size = self._pair.by_side(pair.left_size, pair.right_size)
        return self._pair.by_side(self._files[path].size, model_size)

    def _with_digest(self, comparison: FileComparison, digests: Mapping[str, str]) -> FileComparison:
        """Return a comparison that the sizes have decided, with the digest of the model's file and what it is."""
        path = self._pair.model_path(comparison.pair)
        if path is None or path not in digests:
            return comparison
        in_seal, _ = self._pair.by_side(comparison.left_digest, comparison.right_digest)
        left, right = self._pair.by_side(in_seal, digests[path])
        difference = comparison.difference
        if difference is not None and difference.explanation is None:
            difference = replace(difference, explanation=self._explanation(path, left, right))
        return comparison._replace(difference=difference, left_digest=left, right_digest=right)

    def _digest_in_seal(self, pair: Pair) -> str | None:
        path = self._pair.sealed_path(pair)
        return None if path is None else self._files[path].digest

    def _by_digest(self, pair: Pair, path: str, digest: str) -> FileComparison:
        """Compare two files of the same size. `path` and `digest` are those of the model's file."""
        in_seal = self._digest_in_seal(pair)
        left, right = self._pair.by_side(in_seal, digest)
        difference = None
        if in_seal != digest:
            left_size, right_size = self._sizes(pair, self._pair.sealed_path(pair) or pair.path)
            difference = Difference(
                pair.path,
                DifferenceKind.CONTENT,
                left_size,
                right_size,
                explanation=self._explanation(path, left, right),
                is_native=pair.is_native,
                ignored_by=pair.ignored_by,
            )
        return FileComparison(pair, difference, left, right)

    def _explanation(self, path: str, left: str | None, right: str | None) -> Explanation | None:
        """Return the digests and what the model's file is. Of the sealed file, only the digest is known."""
        description = self._descriptions.get(path, "")
        if not left or not right:
            return Explanation(DIGEST, description) if description else None
        digests = f"other bytes, sha256 {left[:_SHOWN_DIGITS]}… → {right[:_SHOWN_DIGITS]}…"
        summary = f"{digests}; the model's file is {description}" if description else digests
        return Explanation(DIGEST, summary, (FieldChange(DIGEST, left, right),))

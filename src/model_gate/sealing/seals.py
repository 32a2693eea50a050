"""Seals a model, and compares a model with a seal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from model_gate.comparison.file_comparison import FileComparison, compare_sizes
from model_gate.comparison.jobs import MAX_EXPLAINED_BYTES, first_pairs
from model_gate.comparison.model_comparison import build_comparison
from model_gate.comparison.model_pair import ListedModel, ModelPair, SelectedModel
from model_gate.comparison.models import list_model, pair_models
from model_gate.comparison.progress import Progress
from model_gate.domain.difference import DIGEST, Difference, DifferenceKind, Explanation, FieldChange
from model_gate.domain.ignore import NOTHING, Ignore
from model_gate.domain.model import require_model, require_native_model
from model_gate.domain.pairing import Pair
from model_gate.domain.result import ComparedModel, Comparison
from model_gate.domain.seal import Seal, SealedVersion, SealFacts, make_seal
from model_gate.domain.wording import printable
from model_gate.errors import SealError
from model_gate.explanation import Explainer
from model_gate.explanation.content import Content
from model_gate.formats.model_signing import Resource, StatementError, require_names
from model_gate.sealing.hashing import hash_files
from model_gate.sealing.seal_source import SealSource

_SHOWN_DIGITS = 12


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
        return _seal_model(model, file, name, facts, progress)


def _seal_model(model: SelectedModel, file: Path, name: str, facts: SealFacts, progress: Progress) -> Seal:
    listed = list_model(model, progress)
    sizes = listed.listing.files
    try:
        # Hashing takes long, so a name that cannot be sealed is an error before it.
        require_names(sizes)
    except StatementError as error:
        raise SealError(
            f"The model cannot be sealed: {printable(str(error))}.",
            "Name its files in UTF-8 and without a backslash, as OpenSSF Model Signing demands.",
        ) from error
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
    *,
    has_roots: bool = False,
) -> Comparison:
    """Compare a model with its seal. Each file is fetched once.

    Args:
        pair: The seal and the model.
        progress: Receives the numbers of listed, fetched and hashed files.
        ignore: Globs for paths that do not affect the verdict.
        is_enough: Returns whether a file comparison settles the verdict, so that no further file is
            fetched; None to compare the other files too.
        has_roots: Whether the result has the roots of the seal and of the model.

    Raises:
        ModelError: The model or the seal is empty or lacks the native model, or the seal of an MLflow model has no
            MLmodel file.
        InputError: All files are ignored.
        TransferError: A local model changed during the comparison.
        ModelGateError: A listing or a transfer failed.
    """
    with closing(pair.model.source):
        return _verify_model(pair, progress, ignore, is_enough, has_roots=has_roots)


def _verify_model(
    pair: SealedPair,
    progress: Progress,
    ignore: Ignore,
    is_enough: Callable[[FileComparison], bool] | None,
    *,
    has_roots: bool,
) -> Comparison:
    # The seal says which files there must be: a model without its MLmodel file is different.
    model = list_model(replace(pair.model, is_mlflow_model=False), progress)
    sealed = _sealed_model(pair, model)
    left, right = (sealed, model) if pair.is_seal_left else (model, sealed)
    model_pair = pair_models(left, right, ignore)
    files = _Files(pair, model).compare(model_pair, progress, is_enough, has_roots=has_roots)
    model.source.require_unchanged()
    comparison = build_comparison(model_pair, files, ignore, has_roots=has_roots)
    if pair.is_seal_left:
        return replace(comparison, left=_with_seal(comparison.left, pair), is_by_digest=True)
    return replace(comparison, right=_with_seal(comparison.right, pair), is_by_digest=True)


def _sealed_model(pair: SealedPair, model: ListedModel) -> ListedModel:
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


def _with_seal(model: ComparedModel, pair: SealedPair) -> ComparedModel:
    seal = pair.sealed.seal
    return replace(model, path=Path(seal.file), size=model.size if seal.size is not None else None, seal=seal)


class _Files:
    """Compares the files of a model with those of a seal."""

    def __init__(self, pair: SealedPair, model: ListedModel) -> None:
        self._files = pair.sealed.seal.files
        self._is_seal_left = pair.is_seal_left
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
        """Return the comparison of each pair of files. `is_enough` is None if all files are compared.

        With `has_roots`, all files of the model are hashed, unless the sizes already decide.
        """
        by_size: list[FileComparison] = []
        pending: dict[str, Pair] = {}
        for pair in models.pairing.pairs:
            path = self._path(pair)
            if pair.left is None or pair.right is None or pair.left_size != pair.right_size:
                by_size.append(self._by_size(pair))
            elif path is not None:
                pending[path] = pair
        explained: dict[str, FileComparison] = {}
        if has_roots and not models.pairing.is_proven_not_identical:
            explained = {path: file for file in by_size if (path := self._path(file.pair)) is not None}
        elif is_enough is None:
            explained = self._explained(by_size)
        if is_enough is not None and any(map(is_enough, by_size)):
            by_digest = []
        else:
            by_digest = self._by_digest(pending, explained, progress, is_enough or (lambda _: False))
        by_size = [explained.get(self._path(file.pair) or "", file) for file in by_size]
        return [*by_size, *by_digest, *(compare_sizes(pair) for pair in pending.values())]

    def _explained(self, by_size: Iterable[FileComparison]) -> dict[str, FileComparison]:
        """Return the comparisons, by path in the model, whose files are fetched only to say what they are."""
        compared = {file.pair: file for file in by_size if self._path(file.pair) and not file.pair.ignored_by}
        chosen = first_pairs(compared, MAX_EXPLAINED_BYTES)
        return {self._path(pair) or "": file for pair, file in compared.items() if pair in chosen}

    def _path(self, pair: Pair) -> str | None:
        """Return the path of a pair in the model, None if only the seal has the file."""
        return pair.right if self._is_seal_left else pair.left

    def _by_digest(
        self,
        pending: dict[str, Pair],
        explained: dict[str, FileComparison],
        progress: Progress,
        is_enough: Callable[[FileComparison], bool],
    ) -> list[FileComparison]:
        """Compare the files by their digests, and remove the compared ones from `pending`.

        In `explained`, replace the comparisons, which the sizes have decided, by others with the digests and what the
        files are.
        """
        compared: list[FileComparison] = []

        def on_digest(path: str, digest: str) -> bool:
            if path in explained:
                explained[path] = self._with_digest(explained[path], path, digest)
                return False
            compared.append(self._compare(pending.pop(path), path, digest))
            return is_enough(compared[-1])

        def inspect(path: str, digest: str, content: Content) -> None:
            if path in explained or digest != self._sealed_digest(pending[path]):
                self._descriptions[path] = self._explainer.describe(path, content)

        sizes = {path: self._model.listing.files[path] for path in (*pending, *explained)}
        hash_files(self._model.source, sizes, progress, on_digest, inspect=inspect)
        return compared

    def _by_size(self, pair: Pair) -> FileComparison:
        """Compare two files that differ in their sizes, or of which one is missing."""
        comparison = compare_sizes(pair)
        if comparison.difference is None:
            return comparison
        # Only the content of a file shows whether MLflow itself added it, and the sealed content is not known.
        difference = replace(comparison.difference, rewrite_reason="")
        path = pair.left if self._is_seal_left else pair.right
        if path is None:
            return comparison._replace(difference=difference)
        # A size that the seal does not say is not known.
        resource = self._files[path]
        if self._is_seal_left:
            difference = replace(difference, left_size=resource.size)
            return comparison._replace(difference=difference, left_digest=resource.digest)
        difference = replace(difference, right_size=resource.size)
        return comparison._replace(difference=difference, right_digest=resource.digest)

    def _with_digest(self, comparison: FileComparison, path: str, digest: str) -> FileComparison:
        """Return a comparison that the sizes have decided, with the digest of the model's file and what it is."""
        left, right = comparison.left_digest, digest
        if not self._is_seal_left:
            left, right = digest, comparison.right_digest or ""
        difference = comparison.difference
        if difference is not None and difference.explanation is None:
            difference = replace(difference, explanation=self._explanation(path, left, right))
        return comparison._replace(difference=difference, left_digest=left or None, right_digest=right or None)

    def _sealed_digest(self, pair: Pair) -> str | None:
        path = pair.left if self._is_seal_left else pair.right
        return None if path is None else self._files[path].digest

    def _compare(self, pair: Pair, path: str, digest: str) -> FileComparison:
        sealed = self._sealed_digest(pair)
        left, right = (sealed, digest) if self._is_seal_left else (digest, sealed)
        difference = None if sealed == digest else self._difference(pair, path, left, right)
        return FileComparison(pair, difference, left, right)

    def _difference(self, pair: Pair, path: str, left: str | None, right: str | None) -> Difference:
        sealed_path = (pair.left if self._is_seal_left else pair.right) or pair.path
        sealed_size = self._files[sealed_path].size
        return Difference(
            pair.path,
            DifferenceKind.CONTENT,
            sealed_size if self._is_seal_left else pair.left_size,
            pair.right_size if self._is_seal_left else sealed_size,
            explanation=self._explanation(path, left, right),
            is_native=pair.is_native,
            ignored_by=pair.ignored_by,
        )

    def _explanation(self, path: str, left: str | None, right: str | None) -> Explanation | None:
        """Return the digests and what the model's file is. Of the sealed file, only the digest is known."""
        description = self._descriptions.get(path, "")
        if not left or not right:
            return Explanation(DIGEST, description) if description else None
        digests = f"other bytes, sha256 {left[:_SHOWN_DIGITS]}… → {right[:_SHOWN_DIGITS]}…"
        summary = f"{digests}; the model's file is {description}" if description else digests
        return Explanation(DIGEST, summary, (FieldChange(DIGEST, left, right),))

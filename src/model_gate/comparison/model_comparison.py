"""Builds the comparison of two models from the comparisons of their files. This module does no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from model_gate.comparison.digest import tree_digest
from model_gate.comparison.file_comparison import FileComparison
from model_gate.comparison.model_pair import ListedModel, ModelPair
from model_gate.comparison.renamed_files import explain_checksums
from model_gate.comparison.rewrite_conditions import require_conditions
from model_gate.domain.difference import Difference
from model_gate.domain.ignore import Ignore
from model_gate.domain.pairing import Pairing
from model_gate.domain.paths import path_key, sorted_paths
from model_gate.domain.result import ComparedModel, Comparison, IgnoredPath, RestOfModel
from model_gate.errors import InternalError
from model_gate.formats.model_signing import Resource, is_utf8, root_digest


def build_comparison(
    models: ModelPair, files: Sequence[FileComparison], ignore: Ignore, *, has_roots: bool = False
) -> Comparison:
    """Return the comparison of two models. With `has_roots`, it has the root of each model.

    Raises:
        InternalError: `files` lacks a pair of files.
    """
    pairing = models.pairing
    if len(files) != len(pairing.pairs):
        raise InternalError("Not every file was compared.", "Please report it, with the listing of both models.")
    all_differences = explain_checksums(require_conditions(_differences(files, pairing), models, files))
    counted = [difference for difference in all_differences if not difference.ignored_by]
    differences = tuple(difference for difference in counted if difference.is_native)
    deciding = [file for file in files if file.pair.decides]
    not_compared = _not_compared(deciding)
    native = [file for file in files if file.pair.is_native]
    left_digest = _model_digest(models.left, {file.pair.left: file.left_digest for file in native})
    if any(difference.is_native for difference in all_differences):
        right_digest = _model_digest(models.right, {file.pair.right: file.right_digest for file in native})
    else:
        # Equal trees have equal digests, and the digest of a large tree takes time.
        right_digest = left_digest
    native_model = models.left.native_model
    left_root = _root(models.left, {file.pair.left: file.left_digest for file in files}) if has_roots else None
    right_root = _root(models.right, {file.pair.right: file.right_digest for file in files}) if has_roots else None
    rest_differences = tuple(difference for difference in counted if not difference.is_native)
    return Comparison(
        left=_compared_model(models.left, left_digest, left_root, was_read=not models.is_same_location),
        right=_compared_model(models.right, right_digest, right_root, was_read=not models.is_same_location),
        equals=not differences and not not_compared,
        equivalent=all(difference.rewrite_reason for difference in differences) and not not_compared,
        same_location=models.is_same_location,
        differences=differences,
        compared=len(deciding) - len(not_compared) + sum(difference.decides for difference in pairing.type_differences),
        not_compared=not_compared,
        compared_bytes=sum(file.pair.left_size or 0 for file in deciding),
        native_model=native_model,
        right_native_model=models.right.native_model,
        rest=_rest_of_model(files, rest_differences) if native_model else None,
        ignored=_ignored_paths(files, all_differences),
        ignore=ignore.patterns,
        unmatched_ignore=ignore.without_match(models.left.listing.files.keys() | models.right.listing.files.keys())
        if ignore.patterns
        else (),
    )


def _not_compared(files: Iterable[FileComparison]) -> tuple[str, ...]:
    return tuple(sorted_paths(file.pair.path for file in files if not file.is_compared))


def _differences(files: Iterable[FileComparison], pairing: Pairing) -> list[Difference]:
    """Return all differences, ignored ones included, sorted by path."""
    differences = [file.difference for file in files if file.difference is not None]
    differences += pairing.type_differences
    differences.sort(key=lambda difference: path_key(difference.path))
    return differences


def _ignored_paths(files: Iterable[FileComparison], differences: Iterable[Difference]) -> tuple[IgnoredPath, ...]:
    ignored = [
        IgnoredPath(difference.path, difference.ignored_by, False, difference)
        for difference in differences
        if difference.ignored_by
    ]
    ignored += [
        IgnoredPath(file.pair.path, file.pair.ignored_by, True if file.is_compared else None)
        for file in files
        if file.pair.ignored_by and file.difference is None
    ]
    return tuple(sorted(ignored, key=lambda path: path_key(path.path)))


def _rest_of_model(files: Iterable[FileComparison], differences: tuple[Difference, ...]) -> RestOfModel:
    not_compared = _not_compared(file for file in files if not file.pair.is_native and not file.pair.ignored_by)
    equals = False if differences else None if not_compared else True
    return RestOfModel(equals, differences, not_compared)


def _compared_model(model: ListedModel, digest: str | None, root: str | None, *, was_read: bool) -> ComparedModel:
    source = model.source
    return ComparedModel(
        location=source.location,
        path=source.directory / model.native_model,
        # What was not read was not copied to the download directory either.
        kept=source.is_kept and (was_read or source.directory == source.location.local_path),
        digest=digest,
        files=len(model.paths),
        size=model.size,
        root=root,
    )


def _root(model: ListedModel, digests: Mapping[str | None, str | None]) -> str | None:
    """Return the root of a whole model, as in its seal; None if a file has no digest, or a name that is not UTF-8."""
    resources = [Resource(digest) for path in sorted(model.listing.files) if (digest := digests.get(path)) is not None]
    if len(resources) < len(model.listing.files) or not all(map(is_utf8, model.listing.files)):
        return None
    return root_digest(resources)


def _model_digest(model: ListedModel, digests: Mapping[str | None, str | None]) -> str | None:
    """Return the SHA-256 of a model, which is one file or a directory tree; None if any file has no digest."""
    start = len(model.native_model)
    # A native model of one file has the key "".
    known_digests = {
        path[start:].removeprefix("/"): digest for path in model.paths if (digest := digests.get(path)) is not None
    }
    if len(known_digests) < len(model.paths):
        return None
    return known_digests[""] if "" in known_digests else tree_digest(known_digests)

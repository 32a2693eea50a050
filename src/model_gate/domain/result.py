"""Results of a gate, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from model_gate.domain.difference import Difference
from model_gate.domain.location import Location
from model_gate.domain.paths import sorted_paths
from model_gate.domain.request import Request, SealRequest, VersionRequest
from model_gate.domain.roles import ModelNames, VersionRole
from model_gate.domain.seal import Seal
from model_gate.domain.verdict import Require, Status, passes
from model_gate.domain.version import Hop, ModelVersion
from model_gate.errors import ModelGateError


@dataclass(frozen=True)
class ComparedModel:
    """One model of a comparison.

    Attributes:
        location: Location of the model.
        path: The compared file or directory on this machine.
        kept: Whether `path` still exists after the gate.
        digest: SHA-256 in hex of the file or of the tree; None if not all files were read.
        files: Number of files to compare.
        size: Bytes of these files; None for a seal that does not say the size of each file.
        seal: The seal that stands for the model; None for a model whose files were listed.
        root: The root of the whole model, as a seal has it: SHA-256 in hex over the digests of all its files, those
            included that do not affect the verdict. None if it is not wanted, or if not all files were read.
    """

    location: Location
    path: Path
    kept: bool
    digest: str | None
    files: int
    size: int | None
    seal: Seal | None = None
    root: str | None = None


@dataclass(frozen=True)
class RestOfModel:
    """Comparison of the files outside the native model. These files do not affect the verdict.

    A native model is the file or directory inside the MLflow model that the user compares instead of the whole model.

    Attributes:
        equals: Whether these files are equal in both models; None if the native models already differ, so that some of
            these files were not compared.
        differences: The differences of these files, sorted by path.
        not_compared: Paths of the files of equal size that were not compared, sorted.
    """

    equals: bool | None
    differences: tuple[Difference, ...]
    not_compared: tuple[str, ...] = ()


@dataclass(frozen=True)
class IgnoredPath:
    """A path that does not affect the verdict, because an `ignore` glob matches it.

    Attributes:
        path: Path relative to the model's root.
        pattern: The glob that matches the path.
        equals: Whether both models have the path with the same bytes; None if it was not compared.
        difference: How the path differs; None if `equals` is not False.
    """

    path: str
    pattern: str
    equals: bool | None
    difference: Difference | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Comparison:
    """Result of comparing one pair of models.

    Attributes:
        left: The left model.
        right: The right model.
        equals: Whether both models have the same files with the same bytes.
        equivalent: Whether the models are equal, or differ only in what MLflow or a file format changes when it saves
            the same model again.
        same_location: Whether both models are at the same location, so that nothing was fetched.
        differences: The differences that affect the verdict, sorted by path.
        compared: Number of compared paths.
        not_compared: Paths of the files of equal size that were not compared, because other files already differ,
            sorted. Only paths that affect the verdict.
        compared_bytes: Total size in the left model of the paths that affect the verdict.
        native_model: Path of the native model in the left model, "" if whole models were compared.
        right_native_model: Path of the native model in the right model, "" if whole models were compared.
        rest: The comparison of the files outside the native model; None if whole models were compared.
        ignored: The paths that an `ignore` glob matches, sorted.
        ignore: All `ignore` globs of the gate.
        unmatched_ignore: The `ignore` globs that match no path of either model.
        is_by_digest: Whether SHA-256 decided, since one of the models is a seal. Otherwise `filecmp` decided.
    """

    left: ComparedModel
    right: ComparedModel
    equals: bool
    equivalent: bool
    same_location: bool
    differences: tuple[Difference, ...]
    compared: int
    not_compared: tuple[str, ...]
    compared_bytes: int = 0
    native_model: str = ""
    right_native_model: str = ""
    rest: RestOfModel | None = None
    ignored: tuple[IgnoredPath, ...] = ()
    ignore: tuple[str, ...] = ()
    unmatched_ignore: tuple[str, ...] = ()
    is_by_digest: bool = False

    @property
    def native_models(self) -> tuple[str, ...]:
        """The distinct paths of the native models, left before right; empty if whole models were compared."""
        return tuple(dict.fromkeys(filter(None, (self.native_model, self.right_native_model))))


class NamedComparison(NamedTuple):
    """A comparison, and its names in `Outcome.comparisons`.

    Attributes:
        names: Values of `ComparisonName`. There are two if the run models and the registry models are the same models.
        comparison: The comparison.
    """

    names: tuple[str, ...]
    comparison: Comparison


@dataclass(frozen=True)
class Outcome:
    """Result of a gate: comparisons or an error.

    Attributes:
        request: The request; None if the inputs are not valid.
        versions: The resolved versions by `VersionRole`; after an error, possibly not all.
        comparisons: The comparisons by `ComparisonName`; empty after an error.
        error: The error that prevented a verdict; None if there is a verdict.
        seal: The seal that was made or verified; None if the gate has none, or after an error.
        hops: For a diff, the names that were resolved to find each model's files, in order. The keys are `left` and
            `right`.
        secrets: The secrets that the workers have found besides those in variables. The other attributes can repeat
            them.
    """

    request: Request | None
    versions: Mapping[str, ModelVersion] = field(default_factory=dict)
    comparisons: Mapping[str, Comparison] = field(default_factory=dict)
    error: ModelGateError | None = None
    hops: Mapping[str, tuple[Hop, ...]] = field(default_factory=dict)
    seal: Seal | None = None
    secrets: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def requested_versions(self) -> Mapping[VersionRole, VersionRequest]:
        """The requested model versions by role; empty if the inputs are not valid."""
        return {} if self.request is None else self.request.versions

    def model_names(self, comparison: str) -> ModelNames:
        """Return the names of the two models of a comparison. `comparison` is a `ComparisonName`."""
        return ModelNames() if self.request is None else self.request.model_names(comparison)

    @property
    def status(self) -> Status:
        """The verdict: whether the models have equal bytes, or an error, regardless of the requirement."""
        if self.error is None and self.is_sealed:
            return Status.SEALED
        if self.error is not None or not self.comparisons:
            return Status.ERROR
        is_equal = all(comparison.equals for comparison in self.comparisons.values())
        return Status.EQUAL if is_equal else Status.DIFFERENT

    @property
    def is_sealed(self) -> bool:
        """Whether the gate made a seal, and so compared nothing."""
        return self.seal is not None and isinstance(self.request, SealRequest) and not self.comparisons

    @property
    def equals(self) -> bool | None:
        """Whether the two models of every comparison are equal; None after an error or without a comparison."""
        return None if self.status in {Status.ERROR, Status.SEALED} else self.status is Status.EQUAL

    @property
    def equivalent(self) -> bool | None:
        """Whether the two models of every comparison are equal or equivalent; None if `equals` is None."""
        if self.equals is None:
            return None
        return all(comparison.equivalent for comparison in self.comparisons.values())

    @property
    def has_only_known_rewrites(self) -> bool:
        """Whether the models are not known to be equivalent, although every known difference is a rewrite.

        A rewrite is a change that MLflow or a file format makes when the same model is saved again. The option
        `fail_fast` can end a gate before all files are compared, so that other differences remain unknown.
        """
        comparisons = self.comparisons.values()
        return self.equivalent is False and all(
            difference.rewrite_reason for comparison in comparisons for difference in comparison.differences
        )

    @property
    def require(self) -> Require:
        """The requirement for the gate to pass."""
        return self.request.options.require if self.request is not None else Require.IDENTICAL

    @property
    def passed(self) -> bool:
        """Whether the requirement is met, or the model was sealed; False after an error."""
        if self.status is Status.SEALED:
            return True
        if self.equals is None or self.equivalent is None:
            return False
        return passes(equals=self.equals, equivalent=self.equivalent, require=self.require)

    @property
    def has_same_location(self) -> bool:
        """Whether the two models of any comparison are at the same location, so that they were not compared."""
        return any(comparison.same_location for comparison in self.comparisons.values())

    @property
    def is_nothing_compared(self) -> bool:
        """Whether the two models of every comparison are at the same location; False after an error."""
        return bool(self.comparisons) and all(comparison.same_location for comparison in self.comparisons.values())

    @property
    def distinct_comparisons(self) -> list[NamedComparison]:
        """Each comparison once, with all its names."""
        names: dict[int, tuple[str, ...]] = {}
        for name, comparison in self.comparisons.items():
            names[id(comparison)] = (*names.get(id(comparison), ()), name)
        distinct = {id(comparison): comparison for comparison in self.comparisons.values()}
        return [NamedComparison(names[key], comparison) for key, comparison in distinct.items()]

    @property
    def difference_count(self) -> int:
        """Number of differences in all comparisons. A comparison with two names is counted once."""
        return sum(len(comparison.differences) for _, comparison in self.distinct_comparisons)

    @property
    def not_compared(self) -> tuple[str, ...]:
        """The paths that affect the verdict and were not compared in at least one comparison, sorted."""
        return tuple(sorted_paths({path for each in self.comparisons.values() for path in each.not_compared}))

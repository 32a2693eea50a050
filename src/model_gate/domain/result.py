"""What a gate found: plain data, ready to be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from model_gate.domain.difference import Difference
from model_gate.domain.location import Location
from model_gate.domain.request import Request, VersionRequest
from model_gate.domain.roles import ModelNames, VersionRole
from model_gate.domain.verdict import Require, Status, passes
from model_gate.domain.version import ModelVersion
from model_gate.errors import ModelGateError


@dataclass(frozen=True)
class ComparedModel:
    """One model of a comparison.

    Attributes:
        location: Where it is.
        path: The local file or directory that was compared.
        kept: Whether that is still there.
        digest: SHA-256 in hex of the file, or of the tree; None if not all files were needed.
        files: How many files were to be compared.
        size: Their bytes.
    """

    location: Location
    path: Path
    kept: bool
    digest: str | None
    files: int
    size: int


@dataclass(frozen=True)
class RestOfModel:
    """What is beside the native model; it does not decide.

    Attributes:
        equals: None if it was not compared to the end, since the native models differ already.
        differences: Where it differs.
    """

    equals: bool | None
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class IgnoredPath:
    """A path that did not decide, because it was asked to be ignored.

    Attributes:
        path: Relative to the model's root.
        pattern: The glob that it fits.
        equals: Whether both models have it with the same bytes; None if it was not compared.
    """

    path: str
    pattern: str
    equals: bool | None


@dataclass(frozen=True)
class Comparison:
    """Two models, compared.

    Attributes:
        left: The first.
        right: The second.
        equals: Whether they have the same files with the same bytes.
        equivalent: Whether they differ, if at all, only in what MLflow itself rewrites.
        same_location: Whether both are one and the same, so that nothing was fetched.
        differences: Sorted by path.
        compared: How many paths were compared.
        not_compared: How many files of equal size were left alone, because the listings had already decided.
        native_model: The native model's path in the left model, "" if whole models were compared.
        rest: With a native model, what is beside it.
        ignored: Every path that was ignored, sorted.
        ignore: The globs that were asked for.
    """

    left: ComparedModel
    right: ComparedModel
    equals: bool
    equivalent: bool
    same_location: bool
    differences: tuple[Difference, ...]
    compared: int
    not_compared: int
    native_model: str = ""
    rest: RestOfModel | None = None
    ignored: tuple[IgnoredPath, ...] = ()
    ignore: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """How a gate ended.

    Attributes:
        request: What was asked; None if the inputs could not even be understood.
        versions: The resolved versions by role (`model_version`, `tracking_server_1`, …), as far as it came.
        comparisons: The comparisons by name (`comparison`, `run_model_comparison`, …); empty on error.
        error: Why it could not be decided, None if it could.
    """

    request: Request | None
    versions: Mapping[str, ModelVersion] = field(default_factory=dict)
    comparisons: Mapping[str, Comparison] = field(default_factory=dict)
    error: ModelGateError | None = None

    @property
    def requested_versions(self) -> Mapping[VersionRole, VersionRequest]:
        """The requested model versions by role; empty if the inputs are not valid."""
        return {} if self.request is None else self.request.versions

    def model_names(self, comparison: str) -> ModelNames:
        """Return the names of the two models of a comparison (a `ComparisonName`)."""
        return ModelNames() if self.request is None else self.request.model_names(comparison)

    @property
    def status(self) -> Status:
        """The verdict, of bytes."""
        if self.error is not None or not self.comparisons:
            return Status.ERROR
        return Status.EQUAL if all(each.equals for each in self.comparisons.values()) else Status.DIFFERENT

    @property
    def equals(self) -> bool | None:
        """Whether every compared pair is the same, None on error."""
        return None if self.status is Status.ERROR else self.status is Status.EQUAL

    @property
    def equivalent(self) -> bool | None:
        """Whether every compared pair is at least equivalent, None on error."""
        if self.status is Status.ERROR:
            return None
        return all(each.equivalent for each in self.comparisons.values())

    @property
    def require(self) -> Require:
        """What must hold to pass."""
        return self.request.options.require if self.request is not None else Require.IDENTICAL

    @property
    def passed(self) -> bool:
        """Whether the requirement is met; never on error."""
        if self.equals is None or self.equivalent is None:
            return False
        return passes(equals=self.equals, equivalent=self.equivalent, require=self.require)

    @property
    def difference_count(self) -> int:
        """How many differences there are, in all comparisons that are not one and the same."""
        # A run model that is also the registry model is one comparison under two names.
        distinct = {
            (each.left.location.key, each.right.location.key): len(each.differences)
            for each in self.comparisons.values()
        }
        return sum(distinct.values())

"""The gates of a run as plain data: what a gates file names, and what each gate found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from model_gate.domain.host import Host
from model_gate.domain.request import CheckRequest, CompareRequest, ConfigFile, GateOptions
from model_gate.domain.roles import CommandName, ComparisonName
from model_gate.domain.verdict import EXIT_ERROR, Status, exit_code
from model_gate.errors import ModelGateError

# The results of gates as words, from worst to best. Only a gate that passed is `equivalent`.
RESULTS = ("error", "different", "equivalent", "equal")
# What the reason begins with why a run leaves out a gate of another shard.
OTHER_SHARD = "not in shard"


@dataclass(frozen=True)
class Entry:
    """An entry of a gates file.

    Attributes:
        name: The entry's name, unique in all files of a run.
        file: The gates file.
        line: The line of the entry in the file, counted from 1.
        digest: SHA-256 in hex of what the entry asks for, the defaults of its file included. Entries that differ only
            in layout, comments or the order of keys have one digest.
    """

    name: str
    file: str
    line: int
    digest: str


@dataclass(frozen=True)
class Gate:
    """A gate of a run.

    Attributes:
        name: The gate's name, unique in a run: the entry's name, or for a selected version `ENTRY/MODEL`.
        entry: The entry that names the gate.
        request: What to check or compare; None if `error` is why this is not known.
        error: Why the gate cannot run, such as a missing seal or a model that is missing on the other server.
    """

    name: str
    entry: Entry
    request: CheckRequest | CompareRequest | None
    error: ModelGateError | None = None

    @property
    def command(self) -> CommandName:
        """The command that does the same for one gate."""
        return CommandName.COMPARE if self.request is None else self.request.command


@dataclass(frozen=True)
class AgainstServer:
    """Each selected version is compared with a version on another server.

    Attributes:
        host: The other server.
        rename: Globs of model names, each with the glob of the names on the other server, in the order of the file. The
            first that matches is used. A model that none matches has the same name on both servers.
        version_or_stage: The version on the other server; "" for the same as the selected version's.
    """

    host: Host
    rename: tuple[tuple[str, str], ...] = ()
    version_or_stage: str = ""


@dataclass(frozen=True)
class AgainstSeals:
    """Each selected version is compared with a seal.

    Attributes:
        path: Path of the seals beneath the working directory. `{model}` stands for the name of the model, and
            `{version}` for the number of the version.
    """

    path: str


@dataclass(frozen=True)
class AgainstRunModel:
    """Each selected version is compared with the model that its run logged."""


@dataclass(frozen=True)
class Selection:
    """An entry that names many versions by pattern.

    Attributes:
        entry: The entry.
        host: The server of the selected versions.
        models: Glob of the names of registered models.
        version_or_stage: An alias, a stage or `latest`; "" for every version.
        tags: Tags that a selected version has.
        against: What each selected version is compared with.
        compare_run_models: Whether the run models are compared too; only with `AgainstServer`.
        compare_reg_models: Whether the registry models are compared; only with `AgainstServer`.
        options: The options of each gate.
        config: The gates file, for the request of each gate.
        notices: What the user should know about its servers although it is no error, each in one line.
    """

    entry: Entry
    host: Host
    models: str
    version_or_stage: str
    against: AgainstServer | AgainstSeals | AgainstRunModel
    tags: Mapping[str, str] = field(default_factory=dict)
    compare_run_models: bool = True
    compare_reg_models: bool = True
    options: GateOptions = field(default_factory=GateOptions)
    config: ConfigFile | None = None
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class LeftOut:
    """An entry or a gate that a run leaves out on purpose.

    Attributes:
        name: Its name.
        reason: Why, such as `not changed since origin/main`.
    """

    name: str
    reason: str

    @property
    def is_in_other_shard(self) -> bool:
        """Whether another shard of the run has the gate."""
        return self.reason.startswith(OTHER_SHARD)


@dataclass(frozen=True)
class GateRow:
    """What one gate found, as it is kept in a file. All texts are printable and have no secrets.

    Attributes:
        name: The gate's name.
        status: The verdict.
        passed: Whether the requirement is met.
        equivalent: Whether the models are equal or equivalent; None after an error.
        heading: What was compared and the result, as in `Wine: staging v12 ≠ production v7`; the name after an error
            that hides what was to be compared.
        reason: What differs and whether it matters, or the error. One sentence without a line break.
        remedy: What the user can do about an error; "" for none.
        file: The gates file.
        line: The line of the gate's entry.
        seconds: How long the gate took.
        digest: SHA-256 in hex of all that the row depends on; "" if that is not known, so that the row is not reused.
        report: The gate's own report, by `schemas/report.schema.json`.
        block: The gate's own summary in Markdown, of limited size.
    """

    name: str
    status: Status
    passed: bool
    equivalent: bool | None
    heading: str
    reason: str
    remedy: str
    file: str
    line: int
    seconds: float
    digest: str
    report: Mapping[str, Any]
    block: str

    @property
    def compares_nothing(self) -> bool:
        """Whether the two models of every comparison are at one location, so that no file was read."""
        comparisons = [self.report[name] for name in map(str, ComparisonName) if name in self.report]
        return bool(comparisons) and all(comparison["same_location"] for comparison in comparisons)

    @property
    def result(self) -> str:
        """The result, one of `RESULTS`."""
        if self.status is Status.ERROR:
            return "error"
        if not self.passed:
            return "different"
        return "equal" if self.status is Status.EQUAL else "equivalent"

    @property
    def rank(self) -> int:
        """Sort key: 0 for an error, more for a better result."""
        return RESULTS.index(self.result)


@dataclass(frozen=True)
class RunTotals:
    """What a run of many gates found in total.

    Attributes:
        equal: Number of gates that passed with equal models.
        equivalent: Number of gates that passed with models that differ only in known rewrites.
        different: Number of gates that failed since the models differ.
        errors: Number of gates without a verdict.
        left_out: What the run left out on purpose, in the order of the files.
        error: The error that ended the whole run; None if every gate has a row.
        unfinished: Number of gates without a row, since the run ended before them.
        nothing_compared: Number of gates among the others whose models are at one location, so that no file was read.
    """

    equal: int = 0
    equivalent: int = 0
    different: int = 0
    errors: int = 0
    left_out: tuple[LeftOut, ...] = ()
    error: ModelGateError | None = None
    unfinished: int = 0
    nothing_compared: int = 0

    @property
    def by_result(self) -> list[tuple[str, int]]:
        """The results that gates have, in the order of `RESULTS`, with the numbers of these gates."""
        counts = zip(RESULTS, (self.errors, self.different, self.equivalent, self.equal), strict=True)
        return [(result, count) for result, count in counts if count]

    @property
    def gates(self) -> int:
        """Number of gates with a row."""
        return self.equal + self.equivalent + self.different + self.errors

    @property
    def status(self) -> Status:
        """The worst verdict. A run without gates is equal, since it leaves nothing undecided, unless it failed."""
        if self.error is not None or self.errors or self.unfinished:
            return Status.ERROR
        return Status.DIFFERENT if self.different or self.equivalent else Status.EQUAL

    @property
    def passed(self) -> bool:
        """Whether every gate passed."""
        return self.error is None and not self.errors and not self.different and not self.unfinished

    @property
    def exit_code(self) -> int:
        """0 if every gate passed, 1 if one did not, 2 after any error."""
        return EXIT_ERROR if self.error is not None else exit_code(self.status, passed=self.passed)

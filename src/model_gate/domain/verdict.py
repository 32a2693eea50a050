"""The three verdicts and their exit codes: the only place that knows either."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """What a gate found: of bytes, whatever was required."""

    EQUAL = "equal"
    DIFFERENT = "different"
    ERROR = "error"


class Require(StrEnum):
    """What must hold for the gate to pass."""

    IDENTICAL = "identical"
    EQUIVALENT = "equivalent"


EXIT_PASSED = 0
EXIT_DIFFERENT = 1
EXIT_ERROR = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
EXIT_TERMINATED = 143  # 128 + SIGTERM


def passes(*, equals: bool, equivalent: bool, require: Require) -> bool:
    """Whether two models that compared like this meet the requirement."""
    return equals or (equivalent and require is Require.EQUIVALENT)


def exit_code(status: Status, *, passed: bool) -> int:
    """The exit code of a command that ended with this status."""
    if status is Status.ERROR:
        return EXIT_ERROR
    return EXIT_PASSED if passed else EXIT_DIFFERENT

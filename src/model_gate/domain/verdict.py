"""Verdicts, requirements and exit codes."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """Verdict of a gate: whether the models have equal bytes. The requirement does not change the verdict.

    `SEALED` is the result of the command `seal`, which compares nothing.
    """

    EQUAL = "equal"
    DIFFERENT = "different"
    ERROR = "error"
    SEALED = "sealed"


class Require(StrEnum):
    """Requirement for the gate to pass."""

    IDENTICAL = "identical"
    EQUIVALENT = "equivalent"


EXIT_PASSED = 0
EXIT_DIFFERENT = 1
EXIT_ERROR = 2


def passes(*, equals: bool, equivalent: bool, require: Require) -> bool:
    """Return whether the result of a comparison meets the requirement."""
    return equals or (equivalent and require is Require.EQUIVALENT)


def exit_code(status: Status, *, passed: bool) -> int:
    """Return the exit code of a command: 0 if the requirement is met, 1 if it is not met, 2 after an error."""
    if status is Status.ERROR:
        return EXIT_ERROR
    return EXIT_PASSED if passed else EXIT_DIFFERENT

"""Verdicts, requirements and exit codes."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """Verdict of a gate about the bytes, regardless of the requirement."""

    EQUAL = "equal"
    DIFFERENT = "different"
    ERROR = "error"


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
    """Return the exit code of a command."""
    if status is Status.ERROR:
        return EXIT_ERROR
    return EXIT_PASSED if passed else EXIT_DIFFERENT

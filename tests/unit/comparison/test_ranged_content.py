"""What is read again to explain a difference has a limit of bytes and a limit of seconds."""

from __future__ import annotations

import math

import pytest

from model_gate.comparison.ranged_content import ReadBudget
from model_gate.explanation.content import UnexplainedError


class _Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def test_bytes_of_all_reads_together_are_limited() -> None:
    budget = ReadBudget("model.npz", 100, 60)
    budget.spend(60)
    budget.spend(40)
    with pytest.raises(UnexplainedError, match="at most 100 bytes of both files again"):
        budget.spend(1)


def test_seconds_of_a_budget_begin_with_its_first_read() -> None:
    clock = _Clock()
    budget = ReadBudget("model.npz", 100, 60, clock)
    clock.seconds += 500
    budget.spend(1)
    clock.seconds += 60
    budget.spend(1)
    clock.seconds += 1
    with pytest.raises(UnexplainedError, match="for at most 60 seconds"):
        budget.spend(1)
    assert budget.failure is not None
    assert budget.failure.message == "model.npz could not be read again within 60 seconds."


def test_budget_of_infinite_seconds_never_ends() -> None:
    clock = _Clock()
    budget = ReadBudget("model.npz", 100, math.inf, clock)
    budget.spend(1)
    clock.seconds += 1e9
    budget.spend(1)

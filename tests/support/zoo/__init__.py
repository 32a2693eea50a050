"""Pairs of directories with their correct verdicts."""

from tests.support.zoo.pairs import ExpectedDifference, Pair, pairs

__all__ = ["ExpectedDifference", "Pair", "pairs"]

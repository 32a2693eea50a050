"""The zoo: pairs of directories, each with the correct verdict of their comparison."""

from tests.support.zoo.pairs import ExpectedDifference, Pair, pairs

__all__ = ["ExpectedDifference", "Pair", "pairs"]

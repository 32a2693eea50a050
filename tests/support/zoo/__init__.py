"""Pairs of directories of which is known whether they are the same model."""

from tests.support.zoo.pairs import Found, Pair, pairs

__all__ = ["Found", "Pair", "pairs"]

"""Explanations of file differences: what changed, by kind of file, and whether it is only a rewrite.

A rewrite is a change that MLflow or a file format makes when the same model is saved again. An explanation never
decides whether files are equal. `docs/explanations.md` describes how to add a kind.
"""

from model_gate.explanation.explainer import Explainer
from model_gate.explanation.selection import is_worth_fetching

__all__ = ["Explainer", "is_worth_fetching"]

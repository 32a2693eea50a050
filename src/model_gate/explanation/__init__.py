"""What a difference in content consists of, by kind of file, and whether it says nothing about the model.

Never decides whether files are equal. `docs/explanations.md` says how to add a kind.
"""

from model_gate.explanation.explainer import Explainer
from model_gate.explanation.selection import is_worth_fetching

__all__ = ["Explainer", "is_worth_fetching"]

"""What a difference in content consists of, by kind of file, and whether it says nothing about the model.

Never decides whether files are equal. `docs/explanations.md` says how to add a kind.
"""

from model_gate.explanation.explaining import Explaining
from model_gate.explanation.fetched import is_explainable

__all__ = ["Explaining", "is_explainable"]

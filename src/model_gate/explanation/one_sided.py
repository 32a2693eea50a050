"""Explains files that only one of two models has, by their paths. Imports little, because every gate uses it."""

from __future__ import annotations

from model_gate.domain.difference import Explanation
from model_gate.domain.rewrites import bytecode_source

BYTECODE_KIND = "bytecode"
_BYTECODE_ADVICE = (
    "Python writes this file when MLflow imports the model's code while logging it. Set PYTHONDONTWRITEBYTECODE=1 "
    "where models are logged, on both sides, and log again; or add `**/__pycache__/**` to `ignore`."
)


def explain_one_sided(path: str) -> Explanation | None:
    """Return the explanation of a file that only one of two models has, None if only the path is known."""
    source = bytecode_source(path)
    if source is None:
        return None
    return Explanation(BYTECODE_KIND, f"the compiled form of {source}", advice=_BYTECODE_ADVICE)

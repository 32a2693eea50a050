"""Finds the one of the four models of a compare that differs from the three others."""

from __future__ import annotations

from dataclasses import dataclass

from model_gate.domain.result import Outcome
from model_gate.domain.roles import ComparisonName, ModelRole
from model_gate.reporting.naming import side_names
from model_gate.reporting.scope import limits_of_equality

_OTHER = {ComparisonName.RUN_MODELS: ComparisonName.REG_MODELS, ComparisonName.REG_MODELS: ComparisonName.RUN_MODELS}


@dataclass(frozen=True)
class Outlier:
    """The one model that differs from the three others.

    Attributes:
        noun: `run model` or `registry model`.
        version: Its version and server, as in `production v7`.
    """

    noun: str
    version: str

    @property
    def is_registry_model(self) -> bool:
        """Whether it is the registry's copy, which differs from the model of its run."""
        return self.noun == ModelRole.REG_MODEL.noun

    @property
    def text(self) -> str:
        """What is wrong with the model, as a clause."""
        origin = "what its run logged" if self.is_registry_model else "what was registered"
        return f"the {self.noun} of {self.version} is not {origin}"


def outlier(outcome: Outcome) -> Outlier | None:
    """Return the one model that differs; None if it is not known, or if more or fewer models differ.

    The result is known only if all files were read, because it follows from the digests of whole models.
    """
    comparisons = {name: outcome.comparisons.get(name) for name in _OTHER}
    if len(outcome.requested_versions) != 2:
        return None
    for name, other in _OTHER.items():
        differing, equal = comparisons[name], comparisons[other]
        if differing is None or equal is None or differing.equals or not equal.equals or equal.same_location:
            continue
        if limits_of_equality(differing) or limits_of_equality(equal) or not equal.left.digest:
            return None
        sides = side_names(outcome, name)
        noun = outcome.model_names(name).left
        digests = (differing.left.digest, differing.right.digest)
        odd = [
            side
            for side, digest in zip((sides.left, sides.right), digests, strict=True)
            if digest and digest != equal.left.digest
        ]
        return Outlier(noun, odd[0]) if len(odd) == 1 and None not in digests else None
    return None

"""Model Gate's verdict on two savings of a model, and what they predict."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_gate.domain.importance import importance_of
from tests.flavors.flavors import CHANGED, SITUATIONS, Flavor
from tests.flavors.savings import Servers
from tests.support import explained


@dataclass(frozen=True)
class Difference:
    """A file that differs in a way that counts.

    Attributes:
        path: The path in the model.
        summary: Model Gate's phrase.
        advice: What Model Gate advises, or an empty text.
    """

    path: str
    summary: str
    advice: str


@dataclass(frozen=True)
class Verdict:
    """The result of one situation of one flavor.

    Attributes:
        flavor: The flavor.
        situation: A key of SITUATIONS.
        verdict: `equal`, `equivalent`, `different` or `error`.
        is_same_prediction: Whether both models predict the same for the input example.
        differences: The files that differ, without those that are only rewritten.
        rewritten: The paths of the files that are only rewritten.
    """

    flavor: Flavor
    situation: str
    verdict: str
    is_same_prediction: bool
    differences: tuple[Difference, ...]
    rewritten: tuple[str, ...]

    @property
    def advice(self) -> str:
        """What Model Gate advises a user to do about the differences; empty if it has no advice."""
        return " ".join(dict.fromkeys(difference.advice for difference in self.differences if difference.advice))

    @property
    def needs_advice(self) -> bool:
        """Whether a user would not expect the verdict."""
        return self.verdict == "different" and self.situation != CHANGED


_ONE_SIDED = {"only_left": "only in the first model", "only_right": "only in the second model", "type": "another type"}


def _difference(entry: dict[str, Any]) -> Difference:
    explanation = entry.get("explanation", {})
    summary = explanation.get("summary") or _ONE_SIDED.get(entry["kind"], "not compared")
    return Difference(entry["path"], summary, explanation.get("advice", ""))


def _rank(difference: Difference) -> tuple[bool, bool, int]:
    """Return the sort key of a difference, as Model Gate sorts them for people: what is drawn at random comes last."""
    is_random = "what Spark draws at random" in difference.summary or difference.summary.endswith("the same bytes")
    return _is_explained_elsewhere(difference), is_random, importance_of(difference.path)


def _is_explained_elsewhere(difference: Difference) -> bool:
    return "its counterpart is" in difference.summary or "the checksum of" in difference.summary


def verdicts(servers: Servers, flavor: Flavor) -> list[Verdict]:
    """Save a flavor in all situations and return the verdicts."""
    directory, predictions = servers.save(flavor.program, flavor.variant, list(flavor.imports))
    return [_verdict(flavor, situation, directory, names, predictions) for situation, names in SITUATIONS.items()]


def _verdict(
    flavor: Flavor, situation: str, directory: Path, names: tuple[str, str], predictions: dict[str, str]
) -> Verdict:
    left, right = names
    result = explained.diff(directory, directory / left, directory / right)
    entries = result.comparison["differences"]
    differences = [_difference(entry) for entry in entries if "identity" not in entry]
    return Verdict(
        flavor=flavor,
        situation=situation,
        verdict=result.verdict,
        is_same_prediction=predictions[left] == predictions[right],
        differences=tuple(sorted(differences, key=_rank)),
        rewritten=tuple(entry["path"] for entry in entries if "identity" in entry),
    )

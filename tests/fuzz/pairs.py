"""Asks Model Gate whether the files of a pair are equivalent, and counts its answers."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import event

from model_gate.explanation import Explainer


@dataclass
class Answers:
    """The answers of Model Gate in one fuzz test. If hardly any pair is equivalent, the test proves nothing.

    Attributes:
        counts: Number of pairs by answer, "equivalent" or "different".
    """

    counts: Counter[str] = field(default_factory=Counter)

    def is_equivalent(self, name: str, left: bytes, right: bytes) -> bool:
        """Return whether a pair of files of this name is equivalent."""
        with tempfile.TemporaryDirectory() as directory:
            files = [Path(directory, half) for half in ("left", "right")]
            for file, content in zip(files, (left, right), strict=True):
                file.write_bytes(content)
            # The time budget is so long that the speed of this machine never changes an answer.
            explanation = Explainer(seconds=1e9).explain(name, *map(str, files))
        answer = "equivalent" if explanation.rewrite_reason else "different"
        self.counts[answer] += 1
        # `make fuzz PYTEST_ARGS=--hypothesis-show-statistics` shows the counts.
        event(answer)
        return bool(explanation.rewrite_reason)

    def check(self) -> None:
        """Require that at least one pair in twenty is equivalent."""
        assert self.counts["equivalent"] * 20 >= self.counts.total(), self.counts

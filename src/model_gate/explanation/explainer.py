"""The explainer of a gate: explains one pair of files at a time, within a time budget, and never raises."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from model_gate.domain.difference import Explanation
from model_gate.domain.rewrites import may_be_rewritten
from model_gate.explanation.content import Content, ContentPair


class Explainer:
    """Explains the pairs of files of one gate. Safe to share between threads.

    Explanations run one at a time, which bounds memory. A time budget bounds their total duration. Once the budget is
    spent, a file is still explained only if its difference may be a rewrite, that is, a change that MLflow or the file
    format makes when the same model is saved again. A running explanation is not interrupted, so the last one may
    exceed the budget.

    Args:
        seconds: Time budget for all explanations together.
        clock: Monotonic clock, in seconds.
    """

    def __init__(self, seconds: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._remaining_seconds = seconds
        self._clock = clock

    def explain(self, path: str, left: str, right: str) -> Explanation:
        """Explain how two files differ. A failure becomes the note of the explanation.

        Args:
            path: Path in the model, which selects the kind of file.
            left: Left file on disk.
            right: Right file on disk.
        """
        try:
            pair = ContentPair(path, Content.of_file(left), Content.of_file(right))
        except OSError as error:
            return _unexplained(error)
        return self.explain_contents(pair)

    def explain_contents(self, pair: ContentPair) -> Explanation:
        """Explain how two contents differ. A failure becomes the note of the explanation."""
        with self._lock:
            if self._remaining_seconds <= 0 and not may_be_rewritten(pair.path, pair.path):
                return Explanation("bytes", "content differs", note="too much time went into other files")
            started = self._clock()
            try:
                # Imported on first use: the import takes longer than a gate that finds no difference.
                from model_gate.explanation.kinds import explain_pair

                return explain_pair(pair)
            except Exception as error:  # noqa: BLE001  # a failed explanation must not change the verdict
                return _unexplained(error)
            finally:
                self._remaining_seconds -= self._clock() - started

    def describe(self, path: str, content: Content) -> str:
        """Return what one file is, in a phrase such as `a pickle of protocol 4`; "" if that is not known.

        Args:
            path: Path in the model.
            content: The content of the file.
        """
        with self._lock:
            if self._remaining_seconds <= 0:
                return ""
            started = self._clock()
            try:
                from model_gate.explanation.kinds import describe_file

                return describe_file(path, content)
            except Exception:  # noqa: BLE001  # a failed description must not change the verdict
                return ""
            finally:
                self._remaining_seconds -= self._clock() - started


def _unexplained(error: Exception) -> Explanation:
    return Explanation("bytes", "content differs", note=f"could not be explained: {type(error).__name__}")

"""Explains the files of a gate: bounded, one at a time, and never in the way of a verdict."""

from __future__ import annotations

import threading
import time

from model_gate.domain.difference import Explanation
from model_gate.domain.rewrites import may_be_rewritten
from model_gate.explanation.content import Content, ContentPair


class Explainer:
    """Explains the files of one gate: one at a time, so that memory is bounded, and not for longer than is worth it."""

    def __init__(self, seconds: float = 60.0) -> None:
        self._lock = threading.Lock()
        self._seconds = seconds

    def explain(self, path: str, left: str, right: str) -> Explanation:
        """What differs between two files. There is always an answer, if only that there is none."""
        with self._lock:
            if self._seconds <= 0 and not may_be_rewritten(path):
                return Explanation("bytes", "content differs", note="too much time went into other files")
            started = time.monotonic()
            try:
                # Most gates meet no difference, and what explains one takes longer to import than they do.
                from model_gate.explanation.kinds import explain_pair

                return explain_pair(ContentPair(path, Content.of_file(left), Content.of_file(right)))
            except Exception as error:  # noqa: BLE001  # the verdict stands, whatever is wrong with a file
                return Explanation("bytes", "content differs", note=f"could not be explained: {type(error).__name__}")
            finally:
                self._seconds -= time.monotonic() - started

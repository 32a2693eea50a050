"""All explainers, in one place, and what calls them: bounded, one file at a time, and never in the way of a verdict."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from model_gate.difference import Explanation
from model_gate.explanation import (
    archive,
    mlmodel,
    npy,
    packages,
    pickles,
    raw_bytes,
    safetensors,
    structured,
    text,
)
from model_gate.explanation.content import Content, ContentPair, UnexplainedError
from model_gate.identity import may_be_identity
from model_gate.model import MLMODEL


@dataclass(frozen=True)
class Explainer:
    """One kind of file.

    Attributes:
        kind: What the report calls it.
        matches: Whether a pair may be of this kind; reads no more than the first bytes.
        explain: What differs; None if the pair turns out to be of another kind. Raises UnexplainedError where it is of
            this kind, but too large, damaged or hostile.
    """

    kind: str
    matches: Callable[[ContentPair], bool]
    explain: Callable[[ContentPair], Explanation | None]


def _explain_member(pair: ContentPair) -> Explanation:
    return _explain(pair)


# The first that matches and does not say None explains a pair. The last one takes everything.
EXPLAINERS = (
    Explainer("MLmodel", mlmodel.matches, mlmodel.explain),
    Explainer("packages", packages.matches, packages.explain),
    Explainer("archive", archive.matches, lambda pair: archive.explain(pair, _explain_member)),
    Explainer("safetensors", safetensors.matches, safetensors.explain),
    Explainer("npy", npy.matches, npy.explain),
    Explainer("pickle", pickles.matches, pickles.explain),
    Explainer("JSON or YAML", structured.matches, structured.explain),
    Explainer("text", text.matches, text.explain),
    Explainer("bytes", raw_bytes.matches, raw_bytes.explain),
)

# What is fetched for no other reason than to be explained is not larger than this, each and together.
_MAX_FETCHED_BYTES = 8 * 1024 * 1024
_BINARY_SUFFIXES = frozenset(
    {
        ".pkl",
        ".pickle",
        ".cloudpickle",
        ".joblib",
        ".dill",
        ".npy",
        ".npz",
        ".safetensors",
        ".skops",
        ".keras",
        ".pt",
        ".pth",
    }
)


def is_explainable(path: str, left_size: int, right_size: int) -> bool:
    """Whether two files of that name and these sizes are worth fetching, although they need not be compared any more.

    Text is, as it may have changed without changing its size; other kinds are if they surely differ.
    """
    suffix = PurePosixPath(path).suffix.lower()
    largest = max(left_size, right_size)
    if path == MLMODEL or suffix in text.SUFFIXES:
        return largest <= text.MAX_TEXT_BYTES
    return left_size != right_size and suffix in _BINARY_SUFFIXES and largest <= _MAX_FETCHED_BYTES


class Explaining:
    """Explains the files of one gate: one at a time, so that memory is bounded, and not for longer than is worth it."""

    def __init__(self, seconds: float = 60.0) -> None:
        self._lock = threading.Lock()
        self._seconds = seconds

    def explain(self, path: str, left: str, right: str) -> Explanation:
        """What differs between two files. There is always an answer, if only that there is none."""
        with self._lock:
            if self._seconds <= 0 and not may_be_identity(path):
                return Explanation("bytes", "content differs", note="too much time went into other files")
            started = time.monotonic()
            try:
                return _explain(ContentPair(path, Content.of_file(left), Content.of_file(right)))
            except Exception as error:  # noqa: BLE001  # the verdict stands, whatever is wrong with a file
                return Explanation("bytes", "content differs", note=f"could not be explained: {type(error).__name__}")
            finally:
                self._seconds -= time.monotonic() - started


def _explain(pair: ContentPair) -> Explanation:
    note = ""
    for explainer in EXPLAINERS:
        try:
            found = explainer.explain(pair) if explainer.matches(pair) else None
        except UnexplainedError as error:
            note = note or f"could not be explained as {explainer.kind}: {error}"
        except Exception as error:  # noqa: BLE001  # a file that an explainer does not survive is the next one's
            note = note or f"could not be explained as {explainer.kind}: {type(error).__name__}"
        else:
            if found is not None:
                return replace(found, note=note) if note else found
    raise AssertionError("the last explainer takes everything")

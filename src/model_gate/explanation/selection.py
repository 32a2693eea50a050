"""Which files are fetched only to be explained, when the listings have decided already."""

from __future__ import annotations

from pathlib import PurePosixPath

from model_gate.domain.model import MLMODEL
from model_gate.explanation import text

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


def is_worth_fetching(path: str, left_size: int, right_size: int) -> bool:
    """Whether two files of that name and these sizes are worth fetching, although they need not be compared any more.

    Text is, as it may have changed without changing its size; other kinds are if they surely differ.
    """
    suffix = PurePosixPath(path).suffix.lower()
    largest = max(left_size, right_size)
    if path == MLMODEL or suffix in text.SUFFIXES:
        return largest <= text.MAX_TEXT_BYTES
    return left_size != right_size and suffix in _BINARY_SUFFIXES and largest <= _MAX_FETCHED_BYTES

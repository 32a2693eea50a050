"""Selects the files to explain after the listings have proven that the models differ. Only these files are fetched."""

from __future__ import annotations

from pathlib import PurePosixPath

from model_gate.domain.model import MLMODEL
from model_gate.explanation import text

_MAX_FETCHED_BYTES = 8 * 1024 * 1024
_BINARY_SUFFIXES = frozenset(
    {
        ".pkl",
        ".pickle",
        ".cloudpickle",
        ".joblib",
        ".dill",
        ".cb",
        ".cbm",
        ".npy",
        ".npz",
        ".onnx",
        ".parquet",
        ".pb",
        ".pr",
        ".safetensors",
        ".skops",
        ".keras",
        ".lgb",
        ".pt",
        ".pt2",
        ".pth",
        ".statsmodels",
        ".ubj",
    }
)


def is_worth_fetching(path: str, left_size: int, right_size: int) -> bool:
    """Return whether a pair of files of different sizes is worth fetching although its result is known.

    Small text files and small binary files can be explained.

    Args:
        path: Path in the model.
        left_size: Bytes of the left file.
        right_size: Bytes of the right file.
    """
    suffix = PurePosixPath(path).suffix.lower()
    largest = max(left_size, right_size)
    if path == MLMODEL or suffix in text.SUFFIXES:
        return largest <= text.MAX_TEXT_BYTES
    return suffix in _BINARY_SUFFIXES and largest <= _MAX_FETCHED_BYTES

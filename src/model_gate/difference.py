"""One difference between two models: plain data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class DifferenceKind(StrEnum):
    """In what a path differs."""

    ONLY_LEFT = "only_left"
    ONLY_RIGHT = "only_right"
    CONTENT = "content"
    TYPE = "type"


class FileType(StrEnum):
    """What a path is, where it is not the same on both sides."""

    FILE = "file"
    DIRECTORY = "directory"


@dataclass(frozen=True)
class FieldChange:
    """A field of `MLmodel` that differs; a value is None where the field is not there.

    Attributes:
        field: Its path, as in `flavors.sklearn.sklearn_version`.
        left: Its left value, as short text.
        right: Its right value, as short text.
        identity: Why MLflow rewrites this field by itself, "" if it does not.
    """

    field: str
    left: str | None
    right: str | None
    identity: str = ""


@dataclass(frozen=True)
class Explanation:
    """What a difference in content consists of.

    Attributes:
        fields: For `MLmodel`, the fields that differ.
        lines: For other text, a unified diff without its header.
        is_cut: Whether there is more than is told here.
    """

    fields: tuple[FieldChange, ...] = ()
    lines: tuple[str, ...] = ()
    is_cut: bool = False


@dataclass(frozen=True)
class Difference:
    """A path at which two models differ.

    Attributes:
        path: Relative to the model's root; bytes that are not UTF-8 are surrogates.
        kind: In what.
        left_size: Bytes, None where there is no such file.
        right_size: Bytes, None where there is no such file.
        left_type: For kind `type` only.
        right_type: For kind `type` only.
        offset: For kind `content`, the first byte that differs, counted from 0; None if the files were not fetched,
            because their sizes already decided.
        identity: Why the difference is one that MLflow makes by itself, "" if it is not.
        explanation: For text.
        is_native: Whether it belongs to what is judged, rather than to the rest of the MLflow model.
    """

    path: str
    kind: DifferenceKind
    left_size: int | None = None
    right_size: int | None = None
    left_type: FileType | None = None
    right_type: FileType | None = None
    offset: int | None = None
    identity: str = ""
    explanation: Explanation | None = None
    is_native: bool = True

    @property
    def sizes(self) -> dict[str, Any]:
        """The sizes as the report has them."""
        return {"left": self.left_size, "right": self.right_size}

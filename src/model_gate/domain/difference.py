"""One difference between two models: plain data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
    """A part of a file that differs: a field, a package, a tensor, a member; a value is None where it is not there.

    Attributes:
        field: Its path or name, as in `flavors.sklearn.sklearn_version`.
        left: Its left value, as short text.
        right: Its right value, as short text.
        rewrite_reason: Why it is rewritten whenever the same model is logged again, "" if it is not.
        meaning: What the change means, "" where that is plain.
    """

    field: str
    left: str | None
    right: str | None
    rewrite_reason: str = ""
    meaning: str = ""


@dataclass(frozen=True)
class Explanation:
    """What a difference in content consists of.

    Attributes:
        kind: As what the files were read: `MLmodel`, `packages`, `JSON`, `text`, `pickle`, `bytes`, …
        summary: It in one phrase.
        fields: The parts that differ, the first of them.
        lines: For text, a unified diff without its header.
        is_cut: Whether there is more than is told here.
        note: Why the files could not be explained as what they are, "" if they could.
        rewrite_reason: Why the difference says nothing about the model, "" if it does or may.
    """

    kind: str = "bytes"
    summary: str = ""
    fields: tuple[FieldChange, ...] = ()
    lines: tuple[str, ...] = ()
    is_cut: bool = False
    note: str = ""
    rewrite_reason: str = ""


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
        rewrite_reason: Why the difference says nothing about the model, "" if it does or may.
        explanation: For kind `content`, if both files were there to be read.
        is_native: Whether it belongs to what is judged, rather than to the rest of the MLflow model.
        ignored_by: The glob by which it was asked to be ignored, "" if it was not.
    """

    path: str
    kind: DifferenceKind
    left_size: int | None = None
    right_size: int | None = None
    left_type: FileType | None = None
    right_type: FileType | None = None
    offset: int | None = None
    rewrite_reason: str = ""
    explanation: Explanation | None = None
    is_native: bool = True
    ignored_by: str = ""

    @property
    def decides(self) -> bool:
        """Whether it makes the models differ."""
        return self.is_native and not self.ignored_by

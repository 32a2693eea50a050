"""One difference between two models: plain data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class DifferenceKind(StrEnum):
    """How a path differs between two models."""

    ONLY_LEFT = "only_left"
    ONLY_RIGHT = "only_right"
    CONTENT = "content"
    TYPE = "type"


class FileType(StrEnum):
    """Type of a path that is a file in one model and a directory in the other."""

    FILE = "file"
    DIRECTORY = "directory"


@dataclass(frozen=True)
class FieldChange:
    """A part of a file that differs, such as a field, a package, a tensor or an archive member.

    Attributes:
        field: Path or name of the part, as in `flavors.sklearn.sklearn_version`.
        left: The left value as short text, None if the left file does not have the part.
        right: The right value as short text, None if the right file does not have the part.
        rewrite_reason: Why the part changes whenever the same model is saved again, "" if it does not.
        meaning: What the change means, "" if the values are clear.
    """

    field: str
    left: str | None
    right: str | None
    rewrite_reason: str = ""
    meaning: str = ""


@dataclass(frozen=True)
class Explanation:
    """Explanation of a difference in content.

    Attributes:
        kind: How the files were read: `MLmodel`, `packages`, `JSON`, `text`, `pickle`, `bytes`, …
        summary: The difference in one phrase.
        fields: The first parts that differ.
        lines: For text, a unified diff without its header.
        is_cut: Whether parts or lines were left out.
        note: Why the files could not be read as their own kind, "" if they could.
        rewrite_reason: Why the whole difference comes from saving the same model again, "" if it does not or may not.
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
        path: Path relative to the model's root; bytes that are not UTF-8 are surrogates.
        kind: How the path differs.
        left_size: Bytes of the left file, None if there is no left file.
        right_size: Bytes of the right file, None if there is no right file.
        left_type: For kind `type` only.
        right_type: For kind `type` only.
        offset: For kind `content`, the first byte that differs, counted from 0; None if the sizes differ and the files
            were not fetched.
        rewrite_reason: Why the difference comes from saving the same model again, "" if it does not or may not.
        explanation: For kind `content`, if both files were fetched.
        is_native: Whether the path belongs to the compared model; False for the rest of the MLflow model, beside a
            native model.
        ignored_by: The `ignore` glob that matches the path, "" if none does.
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
        """Whether the difference makes the models differ."""
        return self.is_native and not self.ignored_by

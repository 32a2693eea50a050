"""A difference between two models, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

# The kind of an explanation that knows only the hashes of both files, since one of the models is a seal.
DIGEST = "sha256"
# What a changed field of an environment file means if it is no package, such as the channels of conda.
ENVIRONMENT_SETTING = "a setting of the environment, no package"


class DifferenceKind(StrEnum):
    """How a path differs between two models."""

    ONLY_LEFT = "only_left"
    ONLY_RIGHT = "only_right"
    CONTENT = "content"
    TYPE = "type"

    @property
    def is_one_sided(self) -> bool:
        """Whether only one of the models has the path."""
        return self in {DifferenceKind.ONLY_LEFT, DifferenceKind.ONLY_RIGHT}


class FileType(StrEnum):
    """Type of a path in one model. Used for a path that is a file in one model and a directory in the other."""

    FILE = "file"
    DIRECTORY = "directory"


@dataclass(frozen=True)
class FieldChange:
    """A part of a file that differs, such as a field, a package, a tensor or an archive member.

    Attributes:
        field: Path or name of the part, as in `flavors.sklearn.sklearn_version`.
        left: The left value as short text, None if the left file does not have the part.
        right: The right value as short text, None if the right file does not have the part.
        rewrite_reason: Why the part changes whenever the same model is saved again, "" if saving does not change it.
        meaning: What the change means for the model, "" if the two values are clear without an explanation.
    """

    field: str
    left: str | None
    right: str | None
    rewrite_reason: str = ""
    meaning: str = ""


@dataclass(frozen=True)
class RewriteCondition:
    """What must hold for another path of both models, so that a difference is only a rewrite.

    Attributes:
        path: Path relative to the model's root, the same in both models.
        size: Bytes that the file at this path must have in both models, where it must also have the same bytes. None if
            it is enough that both models have a file or a directory at this path.
    """

    path: str
    size: int | None = None


@dataclass(frozen=True)
class Explanation:
    """Explanation of the different contents of two files.

    A rewrite is a change that MLflow or a file format makes when the same model is saved again.

    Attributes:
        kind: How the files were read: `MLmodel`, `packages`, `JSON`, `text`, `pickle`, `bytes`, …
        summary: The difference in one phrase.
        fields: The parts that differ, at most 40 of them.
        lines: For text, at most 20 lines of a unified diff without its header.
        is_cut: Whether `fields` leaves out a part that differs, or `lines` leaves out a line of the diff.
        note: Why the files could not be read as the kind that their name suggests, "" if they could.
        rewrite_reason: Why the whole difference is a rewrite, "" if it may be another change.
        rewrite_conditions: What must hold for other paths of the models, so that `rewrite_reason` is true.
        unmet_condition: Which of these conditions does not hold, so that the difference is more than a rewrite, as in
            `code/a.py is not the same in both models`. Otherwise "".
        advice: What to do so that the files do not differ when the same model is saved again, or so that the unmet
            condition holds, as sentences; "" if nothing is known.
        only_random: What differs, such as `random class ids`, if all else is the same and a program draws it at random
            whenever it saves a model. Otherwise "".
        explained_by: Path of the file whose explanation covers this difference too, "" if there is none.
        has_same_values: Whether both files have the same values, so that only how these are written differs.
    """

    kind: str = "bytes"
    summary: str = ""
    fields: tuple[FieldChange, ...] = ()
    lines: tuple[str, ...] = ()
    is_cut: bool = False
    note: str = ""
    rewrite_reason: str = ""
    rewrite_conditions: tuple[RewriteCondition, ...] = ()
    unmet_condition: str = ""
    advice: str = ""
    only_random: str = ""
    explained_by: str = ""
    has_same_values: bool = False


@dataclass(frozen=True)
class Difference:
    """A path at which two models differ.

    A rewrite is a change that MLflow or a file format makes when the same model is saved again. A native model is the
    file or directory inside the MLflow model that the user compares instead of the whole model.

    Attributes:
        path: Path relative to the model's root; bytes that are not UTF-8 are surrogates.
        kind: How the path differs.
        left_size: Bytes of the left file, None if there is no left file.
        right_size: Bytes of the right file, None if there is no right file.
        left_type: For kind `type`, what the path is in the left model; otherwise None.
        right_type: For kind `type`, what the path is in the right model; otherwise None.
        offset: For kind `content`, the first byte that differs, counted from 0; None if the sizes differ and the files
            were not fetched.
        rewrite_reason: Why the difference is a rewrite, "" if it may be another change.
        explanation: The explanation of the contents, for kind `content` if both files were fetched. The explanation of
            a file in only one model, if it is known why. Otherwise None.
        is_native: False if a native model is compared and the path is outside of it; otherwise True.
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
        """Whether the difference affects the verdict."""
        return self.is_native and not self.ignored_by

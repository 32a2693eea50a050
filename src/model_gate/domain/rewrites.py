"""What is rewritten when the same model is logged, registered, copied or exported again, by MLflow or by the format.

Two models that differ in nothing else are `equivalent`. This is the one place that lists it, with the reasons and the
versions for which each entry was looked up or seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from model_gate.domain.model import MLMODEL


@dataclass(frozen=True)
class Rewrite:
    """Why a difference says nothing about the model, and with which versions it occurs."""

    reason: str
    versions: str


# Top-level fields of MLmodel.
REWRITTEN_FIELDS = {
    "run_id": Rewrite("the run that logged it; another after logging, export and import", "MLflow 1.0 and later"),
    "model_uuid": Rewrite("drawn anew each time a model is logged", "MLflow 1.23 and later"),
    "model_id": Rewrite(
        "MLflow 3's name of the logged model; another after logging, export and import", "MLflow 3.0 and later"
    ),
    "utc_time_created": Rewrite("when it was logged", "MLflow 1.0 and later"),
    "artifact_path": Rewrite(
        "where it was logged: the name in MLflow 2, the location in MLflow 3", "MLflow 1.0 and later"
    ),
    "model_size_bytes": Rewrite(
        "the sum of the other files' sizes, and those files are compared themselves", "MLflow 2.8 and later"
    ),
}

# Fields of any flavor in MLmodel that are paths of which only the last part is used.
PATH_FIELDS = {
    "model_code_path": Rewrite(
        "where the program lay when it was logged; MLflow loads the model's own file of that name, which is compared",
        "MLflow 2.12 and later, models from code",
    ),
}

# Files at the root of the model, which hold nothing but values under these keys.
REWRITTEN_FILE_KEYS = frozenset({"model_name", "model_version"})
REWRITTEN_FILES = {
    "registered_model_meta": Rewrite(
        "name and version, written into a download by MLflow", "MLflow 2.8 to 3.17, in downloads by models:/ URI"
    ),
}


@dataclass(frozen=True)
class MemberRewrite:
    """What a format writes anew into a JSON member of its archives.

    Attributes:
        member: The member's name.
        address: The key whose number is where an object was in memory. Which of them are the same matters, the number
            does not.
        beside: A key that is in every mapping where `address` means this.
        file: The key, in the same mappings, whose text names the member that holds an object's data; "" if the names
            of members are fixed.
        dates: Keys at the top that say when it was saved.
    """

    member: str
    address: str = ""
    beside: str = ""
    file: str = ""
    dates: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ArchiveFormat:
    """A format that is a zip archive: its members are the model; times, order and compression of members are not.

    Attributes:
        format: As people call it.
        suffixes: Of its files.
        versions: With which it was looked up or seen.
        members: What it writes anew into members.
    """

    format: str
    suffixes: tuple[str, ...]
    versions: str
    members: tuple[MemberRewrite, ...] = ()


ARCHIVES = (
    ArchiveFormat(
        "skops",
        (".skops",),
        "skops 0.16, MLflow's default for scikit-learn since 3.17",
        (MemberRewrite("schema.json", address="__id__", beside="__loader__", file="file"),),
    ),
    ArchiveFormat(
        "Keras",
        (".keras",),
        "Keras 3",
        (
            MemberRewrite("config.json", address="shared_object_id", beside="class_name"),
            MemberRewrite("metadata.json", dates=frozenset({"date_saved"})),
        ),
    ),
    ArchiveFormat("PyTorch", (".pt", ".pth", ".pt2"), "PyTorch 1.6 and later"),
    ArchiveFormat("NumPy", (".npz",), "every NumPy"),
)


def archive_format(path: str) -> ArchiveFormat | None:
    """The zip-based format that a file's name stands for, if any."""
    suffix = PurePosixPath(path).suffix.lower()
    return next((each for each in ARCHIVES if suffix in each.suffixes), None)


def may_be_rewritten(path: str) -> bool:
    """Whether a difference at this path, be it one of size, can be one that says nothing about the model."""
    return path == MLMODEL or path in REWRITTEN_FILES or archive_format(path) is not None

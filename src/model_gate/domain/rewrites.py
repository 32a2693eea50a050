"""The complete list of what MLflow and file formats rewrite when the same model is logged, copied or exported again.

Two models that differ only in rewrites are `equivalent`. Each entry gives the reason for the rewrite and the versions
of the software for which the source code or an observation confirmed it.

>>> REWRITTEN_FIELDS["utc_time_created"].reason
'when it was logged'
>>> may_be_rewritten("model.skops"), may_be_rewritten("model.pkl")
(True, False)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from model_gate.domain.model import MLMODEL


@dataclass(frozen=True)
class Rewrite:
    """A change that MLflow or a file format makes when it saves the same model again.

    Attributes:
        reason: Text for the report: why the difference says nothing about the model.
        versions: Versions of the software that make this change.
    """

    reason: str
    versions: str


# Top-level fields of MLmodel, by name.
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

# Fields that any flavor in MLmodel can have, by name. Each holds a path of which MLflow uses only the last part.
PATH_FIELDS = {
    "model_code_path": Rewrite(
        "where the program lay when it was logged; MLflow loads the model's own file of that name, which is compared",
        "MLflow 2.12 and later, models from code",
    ),
}

# Files at the root of the model, by name. A difference in such a file is a rewrite only if the file has no other keys
# than REWRITTEN_FILE_KEYS.
REWRITTEN_FILE_KEYS = frozenset({"model_name", "model_version"})
REWRITTEN_FILES = {
    "registered_model_meta": Rewrite(
        "name and version, written into a download by MLflow", "MLflow 2.8 to 3.17, in downloads by models:/ URI"
    ),
}


@dataclass(frozen=True)
class MemberRewrite:
    """What a format rewrites in a JSON member of its archives.

    Attributes:
        member: Name of the member.
        address: Key whose value is an object's address in memory, "" if there is none. The addresses are arbitrary,
            but equal addresses stand for one shared object.
        beside: Key that a mapping must have for `address` and `file` to be rewrites in it.
        file: Key whose value names the member with an object's data, "" if the format never renames members.
        dates: Top-level keys that hold the time of saving.
    """

    member: str
    address: str = ""
    beside: str = ""
    file: str = ""
    dates: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ArchiveFormat:
    """A file format based on zip.

    Only the contents of the members belong to the model. The times, the order and the compression of the members may
    change when the same model is saved again.

    Attributes:
        format: Name for the report.
        suffixes: Suffixes of its files, in lower case.
        versions: Versions of the software that write it this way.
        members: Members that the format rewrites.
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
    """Return the zip-based format of a path, selected by its suffix; None if no format has this suffix."""
    suffix = PurePosixPath(path).suffix.lower()
    return next((archive for archive in ARCHIVES if suffix in archive.suffixes), None)


def may_be_rewritten(path: str) -> bool:
    """Return whether a difference at this path can be a mere rewrite, even if the two files have different sizes.

    A rewrite is a change that MLflow or a file format makes when it saves the same model again.
    """
    return path == MLMODEL or path in REWRITTEN_FILES or archive_format(path) is not None

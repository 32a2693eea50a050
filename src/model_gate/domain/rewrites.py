"""The complete list of what MLflow and file formats rewrite when the same model is logged, copied or exported again.

Two models that differ only in rewrites are `equivalent`. Each entry gives the reason for the rewrite and the versions
of the software for which the source code or an observation confirmed it.

>>> REWRITTEN_FIELDS["utc_time_created"].reason
'when it was logged'
>>> may_be_rewritten("model.skops", "model.skops"), may_be_rewritten("model.pkl", "model.pkl")
(True, False)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import NoneType

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


@dataclass(frozen=True)
class FieldRewrite(Rewrite):
    """A field of `MLmodel` whose value MLflow changes when it saves the same model again.

    Attributes:
        types: Types of the values that MLflow writes. A value of another type does not count as rewritten.
    """

    types: tuple[type, ...]


@dataclass(frozen=True)
class PathRewrite(Rewrite):
    """A field of `MLmodel` that holds a path of which MLflow uses only the last part.

    Attributes:
        flavors: Flavors under which MLflow writes the field.
    """

    flavors: frozenset[str]


# Top-level fields of MLmodel, by name.
REWRITTEN_FIELDS = {
    "run_id": FieldRewrite(
        "the run that logged it; another after logging, export and import", "MLflow 1.0 and later", (str, NoneType)
    ),
    "model_uuid": FieldRewrite("drawn anew each time a model is logged", "MLflow 1.23 and later", (str, NoneType)),
    "model_id": FieldRewrite(
        "MLflow 3's name of the logged model; another after logging, export and import",
        "MLflow 3.0 and later",
        (str, NoneType),
    ),
    "utc_time_created": FieldRewrite("when it was logged", "MLflow 1.0 and later", (str,)),
    "artifact_path": FieldRewrite(
        "where it was logged: the name in MLflow 2, the location in MLflow 3", "MLflow 1.0 and later", (str, NoneType)
    ),
    "model_size_bytes": FieldRewrite(
        "the sum of the other files' sizes, and those files are compared themselves",
        "MLflow 2.8 and later",
        (int, NoneType),
    ),
}

# Fields of flavors in MLmodel that hold a path, by name. `mlflow.pyfunc.add_to_model` writes the path for every flavor
# that supports models from code. Early releases of the LangChain flavor wrote it under that flavor, and it is still
# read there.
PATH_FIELDS = {
    "model_code_path": PathRewrite(
        "where the program lay when it was logged; MLflow loads the model's own file of that name, which is compared",
        "MLflow 2.12 and later, models from code",
        frozenset({"python_function", "langchain"}),
    ),
}


@dataclass(frozen=True)
class UnreadField(Rewrite):
    """A field of a flavor in `MLmodel` that MLflow writes and, under these conditions, never reads.

    Attributes:
        beside: Field of the same flavor that names a path in the model, "" for none. The field is unread only if that
            path is in the model.
        without: Fields of the same flavor with which MLflow reads the field.
        is_local: Whether the value must be an absolute path of Linux or macOS. Other values can be names of a hub.
    """

    beside: str = ""
    without: frozenset[str] = frozenset()
    is_local: bool = False


# Fields of flavors in MLmodel whose values MLflow does not read, by flavor and name.
# `mlflow.transformers.llm_inference_utils` puts the name into predictions, and takes the tokenizer of stop words from
# it, if there is an `inference_task`. With `source_model_revision`, the whole model is loaded from the hub.
UNREAD_FIELDS = {
    ("sentence_transformers", "source_model_name"): UnreadField(
        "where the base model was read from; MLflow writes it and never reads it", "MLflow 2.4 and later"
    ),
    ("transformers", "source_model_name"): UnreadField(
        "the directory that the model was read from; MLflow loads the model's own files, which are compared",
        "MLflow 2.4 and later, models with their weights",
        beside="model_binary",
        without=frozenset({"inference_task", "source_model_revision", "local_base_model_path"}),
        is_local=True,
    ),
}

# Fields of flavors in MLmodel that hold texts in an arbitrary order, by flavor and name.
# `mlflow.lightgbm` makes the list from a set, and skops only looks names up in it.
UNORDERED_FIELDS = {
    ("lightgbm", "skops_trusted_types"): Rewrite(
        "a set of types, written in random order; skops only looks them up", "MLflow 3.4 and later"
    ),
}


@dataclass(frozen=True)
class ArtifactUriRewrite(Rewrite):
    """The `uri` of an artifact of a Python model: where its file was when the model was logged.

    Attributes:
        loaders: Values of `loader_module` with which MLflow loads artifacts by their `path` in the model only.
    """

    loaders: frozenset[str]


ARTIFACT_URI = ArtifactUriRewrite(
    "where the artifact was when it was logged; MLflow loads the model's own file at `path`, which is compared",
    "MLflow 1.0 and later",
    frozenset(
        {
            "mlflow.pyfunc.model",
            "mlflow.pyfunc.loaders.code_model",
            "mlflow.pyfunc.loaders.chat_agent",
            "mlflow.pyfunc.loaders.chat_model",
            "mlflow.pyfunc.loaders.responses_agent",
        }
    ),
)

# Compiled files beside Python sources. Python takes the place of the code from the source, so that the path in the
# compiled file has no effect, and the time in it only selects between the source and its compiled form.
BYTECODE = Rewrite(
    "Python's compiled form of a source that is the same: its time and the directory of the source",
    "Python 3.8 to 3.14, when MLflow imports the code of a model while logging it",
)

# REWRITTEN_FILES are files at the root of the model, by name. Such a file counts as rewritten only if all its keys are
# in REWRITTEN_FILE_KEYS and their values have the types given there.
REWRITTEN_FILE_KEYS = {"model_name": (str,), "model_version": (str, int)}
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
        beside: Keys by which a mapping is recognized as an object. The keys `address` and `file` have rewritten values
            only in mappings that have all these keys.
        file: Key whose value names the member with an object's data, "" if the format never renames members.
        dates: Top-level keys that hold the time of saving, as text.
    """

    member: str
    address: str = ""
    beside: frozenset[str] = frozenset()
    file: str = ""
    dates: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ArchiveFormat:
    """A file format based on zip.

    Only the contents of the members belong to the model. The times, the order, the permissions and the compression of
    the members may change when the same model is saved again.

    Attributes:
        format: Name of the format in the report.
        suffixes: Suffixes of its files, in lower case.
        versions: Versions of the software that write archives of this format in this way.
        members: Members that the format rewrites.
        ignores_case: Whether programs that read the format ignore the case of the members' names.
        is_unpacked: Whether programs that read the format unpack the members to disk, where several names can stand for
            one file.
        is_order_visible: Whether programs that read the format return the members in the order of the archive.
        is_mapped: Whether programs that read the format can map the archive into memory. They then take the bytes of a
            member as they are stored, so no member may be compressed. They also find the members only without an
            archive comment.
        ignores_checksums: Whether programs load members with wrong checksums. They may also write such members.
        has_storages: Whether members `data/0`, `data/1`, … hold the elements of tensors that `data.pkl` names.
    """

    format: str
    suffixes: tuple[str, ...]
    versions: str
    members: tuple[MemberRewrite, ...] = ()
    ignores_case: bool = False
    is_unpacked: bool = False
    is_order_visible: bool = False
    is_mapped: bool = False
    ignores_checksums: bool = False
    has_storages: bool = False


ARCHIVES = (
    ArchiveFormat(
        "skops",
        (".skops",),
        "skops 0.16, MLflow's default for scikit-learn since 3.17",
        (MemberRewrite("schema.json", address="__id__", beside=frozenset({"__loader__"}), file="file"),),
    ),
    ArchiveFormat(
        "Keras",
        (".keras",),
        "Keras 3",
        (
            MemberRewrite("config.json", address="shared_object_id", beside=frozenset({"class_name", "config"})),
            MemberRewrite("metadata.json", dates=frozenset({"date_saved"})),
        ),
        is_unpacked=True,
    ),
    # The archive is mapped by torch.load(mmap=True). torch.serialization.set_crc32_options(False) omits checksums.
    ArchiveFormat(
        "PyTorch",
        (".pt", ".pth", ".pt2"),
        "PyTorch 1.6 and later",
        ignores_case=True,
        is_mapped=True,
        ignores_checksums=True,
        has_storages=True,
    ),
    ArchiveFormat("NumPy", (".npz",), "every NumPy", is_order_visible=True),
)

# The interpreter's tag has no dot. The name of the source can have one, but Python imports no module with such a name.
_BYTECODE_PATH = re.compile(
    r"(?P<directory>(?:[^/]+/)*)__pycache__/(?P<name>[^/.]+)\.[a-z]+-?[0-9]+t?(?:\.opt-[12])?\.pyc"
)

# Suffixes of archives that can be equivalent although their bytes differ.
ARCHIVE_SUFFIXES = tuple(suffix for archive in ARCHIVES for suffix in archive.suffixes)


def archive_format(path: str) -> ArchiveFormat | None:
    """Return the zip-based format of a path, selected by its suffix; None if no format has this suffix."""
    suffix = PurePosixPath(path).suffix.lower()
    return next((archive for archive in ARCHIVES if suffix in archive.suffixes), None)


def bytecode_source(path: str) -> str | None:
    """Return the path of the Python source of which a path is the compiled form, None if it is no such path.

    >>> bytecode_source("code/__pycache__/model.cpython-311.pyc")
    'code/model.py'
    """
    match = _BYTECODE_PATH.fullmatch(path)
    return f"{match['directory']}{match['name']}.py" if match else None


def may_be_rewritten(left: str, right: str) -> bool:
    """Return whether a difference between two files can be only a rewrite, even if the sizes differ.

    A rewrite is a change that MLflow or a file format makes when it saves the same model again.
    Native models can have different names. Then the result is true only if the same rewrites apply to both files.

    Args:
        left: Path of the left file.
        right: Path of the right file.
    """
    return _rewriter(left) == _rewriter(right) != ""


def _rewriter(path: str) -> str:
    """Return what identifies the rewrites of a file: its path, or the name of its format; "" if it has no rewrites."""
    if path == MLMODEL or path in REWRITTEN_FILES or bytecode_source(path):
        return path
    known_format = archive_format(path)
    return known_format.format if known_format else ""

"""The errors a gate can end with: each has a message and a remedy, and becomes text in one place.

`type(error).__name__` is the `error.type` of the report, so the class names are part of its contract.
"""

from __future__ import annotations


class ModelGateError(Exception):
    """It could not be decided whether the models are the same.

    Attributes:
        message: One sentence: what went wrong, and with what.
        remedy: One sentence: what the user can do about it.
        detail: What only `--verbose` shows, such as the traceback of a tracking server's process.
    """

    def __init__(self, message: str, remedy: str = "", *, detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.detail = detail

    @property
    def type(self) -> str:
        """The name under which the report lists this error."""
        return type(self).__name__


class InputError(ModelGateError):
    """An option, an argument or a combination of them cannot be used."""


class ConfigError(ModelGateError):
    """The compare file cannot be read, or says something it may not say."""


class NotFoundError(ModelGateError):
    """The tracking server has no such registered model, version, stage, alias or run."""


class AccessError(ModelGateError):
    """The tracking server refuses the credentials, or what they may do is not enough."""


class UnreachableError(ModelGateError):
    """No tracking server answers at the address, or what answers is not one."""


class ModelError(ModelGateError):
    """What was found is not an MLflow model that can be compared."""


class TransferError(ModelGateError):
    """What arrived is not what the listing announced."""


class StorageError(ModelGateError):
    """A local file or directory cannot be read or written."""


class StoppedError(ModelGateError):
    """A signal ended the gate before its verdict."""


class InternalError(ModelGateError):
    """A defect of Model Gate itself."""


_ERRORS: dict[str, type[ModelGateError]] = {
    cls.__name__: cls
    for cls in (
        InputError,
        ConfigError,
        NotFoundError,
        AccessError,
        UnreachableError,
        ModelError,
        TransferError,
        StorageError,
        StoppedError,
        InternalError,
    )
}


def error_of(type_name: str, message: str, remedy: str, detail: str = "") -> ModelGateError:
    """The error of that name, for one that crossed from a tracking server's process."""
    return _ERRORS.get(type_name, InternalError)(message, remedy, detail=detail)


def storage_error(error: OSError, doing: str) -> StorageError:
    """What the operating system refused, told as what was being done (`doing`: "write report.json")."""
    reason = error.strerror or str(error)
    return StorageError(f"Cannot {doing}: {reason}.", _STORAGE_REMEDIES.get(error.errno or 0, ""))


_STORAGE_REMEDIES = {
    1: "Check the permissions of the file and of its directory.",  # EPERM
    2: "Check the path.",  # ENOENT
    13: "Check the permissions of the file and of its directory.",  # EACCES
    20: "Check the path: a part of it is a file, not a directory.",  # ENOTDIR
    21: "Name a file, not a directory.",  # EISDIR
    27: "Raise the limit on file sizes (ulimit -f), or name a place that takes larger files.",  # EFBIG
    28: "Free some disk space, or point TMPDIR or --download-dir at a larger disk.",  # ENOSPC
    30: "Name a place that can be written.",  # EROFS
    36: "Name a shorter path.",  # ENAMETOOLONG
    122: "Free some of your disk quota, or point TMPDIR or --download-dir elsewhere.",  # EDQUOT
}

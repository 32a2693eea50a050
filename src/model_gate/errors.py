"""The errors that end a gate. Each has a message and a remedy.

The report's `error.type` is the class name, so the class names are part of the report's contract.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping


class ModelGateError(Exception):
    """An error that prevented the comparison.

    Attributes:
        message: One sentence that names the problem, and the file, server or option that has the problem.
        remedy: One sentence that says what the user can do.
        detail: Text that is shown only with `--verbose`, such as a worker's traceback.
    """

    def __init__(self, message: str, remedy: str = "", *, detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.detail = detail

    @property
    def type(self) -> str:
        """Name of the error's class, which the report has as `error.type`."""
        return type(self).__name__


class InputError(ModelGateError):
    """An option or an argument is invalid, or two of them contradict each other."""


class ConfigError(ModelGateError):
    """The compare file cannot be read, or breaks its schema."""


class NotFoundError(ModelGateError):
    """The tracking server has no such registered model, version, stage, alias or run."""


class AccessError(ModelGateError):
    """The tracking server rejects the credentials, or they lack a permission."""


class UnreachableError(ModelGateError):
    """No tracking server answers at the address."""


class ModelError(ModelGateError):
    """The files are not an MLflow model that can be compared."""


class SealError(ModelGateError):
    """A seal cannot be read, was edited or is of another model, or a model cannot be sealed."""


class SignatureError(ModelGateError):
    """The signature of a seal is not valid, or cannot be checked."""


class TransferError(ModelGateError):
    """A download is incomplete, or does not match the size in its listing."""


class RereadError(TransferError):
    """A server can never send a part of a file again. The error becomes the note of a difference, and ends no gate."""


class StorageError(ModelGateError):
    """A local file or directory cannot be read or written."""


class StoppedError(ModelGateError):
    """A signal ended the gate before its verdict."""


class InternalError(ModelGateError):
    """A defect of Model Gate itself."""


def error_about(role: str, address: str, error: ModelGateError, server: str = "") -> ModelGateError:
    """Return a copy of an error whose message names the server that it is about.

    The message starts with the server's role, or ends with the server if it has no role. The address is not added if
    the message already has it.

    Args:
        role: The server's role in the gate, such as `tracking_server_1`, "" if the gate has one server.
        address: Its address, without credentials.
        error: The error.
        server: Its declared name, "" if it has none.
    """
    # Many messages name the address already.
    known = "" if address in error.message else ", ".join(filter(None, (server, address)))
    if role:
        message = f"{role}{f' ({known})' if known else ''}: {error.message}"
    else:
        message = f"{error.message.removesuffix('.')} (on {known})." if known else error.message
    return type(error)(message, error.remedy, detail=error.detail)


def join_errors(errors: Mapping[str, ModelGateError]) -> ModelGateError:
    """Return one error that has the class of the first error, and the messages and remedies of all errors.

    If the remedies differ, each starts with the key of its error.
    """
    first, *_ = errors.values()
    remedies = {name: error.remedy for name, error in errors.items()}
    remedy = first.remedy
    if len(set(remedies.values())) > 1:
        remedy = " ".join(f"{name}: {text}" for name, text in remedies.items() if text)
    message = " ".join(error.message for error in errors.values())
    return type(first)(message, remedy, detail="\n".join(filter(None, (error.detail for error in errors.values()))))


_ERRORS: dict[str, type[ModelGateError]] = {
    cls.__name__: cls
    for cls in (
        InputError,
        ConfigError,
        NotFoundError,
        AccessError,
        UnreachableError,
        ModelError,
        SealError,
        SignatureError,
        TransferError,
        RereadError,
        StorageError,
        StoppedError,
        InternalError,
    )
}


def error_from_name(type_name: str, message: str, remedy: str, detail: str = "") -> ModelGateError:
    """Return an error of the class whose name a worker sent; an InternalError if there is no such class."""
    return _ERRORS.get(type_name, InternalError)(message, remedy, detail=detail)


def storage_error(error: OSError, doing: str) -> StorageError:
    """Return the error for a failed file operation. `doing` names the operation, such as "write report.json"."""
    reason = error.strerror or str(error)
    if is_about_temporary_directory(error):
        return StorageError(f"Cannot {doing}: no directory for temporary files can be written.", TEMPORARY_REMEDY)
    return StorageError(f"Cannot {doing}: {reason}.", _STORAGE_REMEDIES.get(error.errno or 0, ""))


def is_about_temporary_directory(error: BaseException) -> bool:
    """Return whether an exception means that Python finds no directory in which it can make temporary files."""
    return isinstance(error, FileNotFoundError) and "No usable temporary directory" in str(error)


def reading_error(error: OSError, what: str) -> StorageError:
    """Return the error for an input file that cannot be read. `what` names it, such as "seal seals/wine.json"."""
    reason = error.strerror or str(error)
    remedy = _STORAGE_REMEDIES.get(error.errno or 0, "Check the path and its permissions.")
    if error.errno == errno.ENOENT:
        remedy = f"Check the path. A relative path starts in the working directory, {os.getcwd()}."
    return StorageError(f"The {what} cannot be read: {reason}.", remedy)


TEMPORARY_REMEDY = (
    "Set TMPDIR to a directory that can be written. For a container whose file system is read-only, add --tmpfs /tmp to"
    " docker run."
)
_STORAGE_REMEDIES = {
    errno.EPERM: "Check the permissions of the file and of its directory.",
    errno.ENOENT: "Check the path: a directory in it does not exist, or takes no new files.",
    errno.EACCES: "Check the permissions of the file and of its directory.",
    errno.ENOTDIR: "Check the path: a part of it is a file, not a directory.",
    errno.EISDIR: "Name a file, not a directory.",
    errno.EFBIG: "Raise the limit on file sizes (ulimit -f), or name a place that takes larger files.",
    errno.ENOSPC: "Free some disk space, or point TMPDIR or --download-dir at a larger disk.",
    errno.EROFS: "Name a writable place. In a container whose file system is read-only, mount one with --volume.",
    errno.ENAMETOOLONG: "Name a shorter path.",
    errno.ELOOP: "Name the path without a symbolic link: links beneath the working directory are not followed.",
    errno.EMFILE: "Raise the limit on open files (ulimit -n).",
    errno.ENFILE: "Close other programs: this machine has no more open files to give.",
    errno.ENOMEM: "Give this machine or container more memory.",
    errno.EAGAIN: "Raise the limit on processes (ulimit -u), or close other programs.",
    errno.EDQUOT: "Free some of your disk quota, or point TMPDIR or --download-dir elsewhere.",
}
# Error numbers of the operating system for an exhausted resource, which is not a defect of Model Gate.
RESOURCE_ERRNOS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN})

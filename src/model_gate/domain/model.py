"""An MLflow model as a set of files: plain data, and validation of its listing."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from model_gate.domain.wording import first_names, printable
from model_gate.errors import ModelError

MLMODEL = "MLmodel"

_EMPTY_REMEDY = "Check the location, also upper and lower case."
_VERSION_REMEDY = (
    f"{_EMPTY_REMEDY} If a version names it, its artifacts may have been deleted or never uploaded: log and register"
    " the model again, or name another version."
)


@dataclass(frozen=True)
class Listing:
    """The files of a model.

    Attributes:
        files: Sizes in bytes by path. Paths are relative to the model's root, use `/`, and have surrogates for bytes
            that are not UTF-8.
        is_near: Whether a server responds to small requests in less than 15 ms. A store is never near.
        has_links: Whether a path leads through a symbolic link of this machine.
        has_parts: Whether large files can be read part by part.
    """

    files: Mapping[str, int]
    is_near: bool = False
    has_links: bool = False
    has_parts: bool = False

    @property
    def size(self) -> int:
        """Total size of the files in bytes."""
        return sum(self.files.values())

    def native_files(self, native_model: str) -> Iterator[str]:
        """Yield the paths of the native model: the file itself, or all files below the directory."""
        if native_model in self.files:
            yield native_model
            return
        prefix = native_model + "/"
        yield from (path for path in self.files if path.startswith(prefix))


@dataclass(frozen=True)
class FileRequest:
    """Request to fetch a file of a model.

    Attributes:
        path: Path relative to the model's root.
        size: Size in bytes, as listed.
        destination: An empty file on this machine that receives the content.
    """

    path: str
    size: int
    destination: str


@dataclass(frozen=True)
class PartRequest:
    """Request to read a part of a large file.

    Attributes:
        handle: Number of the file. All parts with one number are parts of one version of the file.
        uri: Location of the model.
        path: Path relative to the model's root.
        size: Size of the whole file in bytes, as listed.
        start: Offset of the first byte of the part.
        stop: Offset after the last byte of the part.
        destination: An empty file on this machine that receives the part.
        is_again: Whether the part has been read before. Other parts must be requested in order, without a gap.
    """

    handle: int
    uri: str
    path: str
    size: int
    start: int
    stop: int
    destination: str
    is_again: bool = False


def require_model(
    listing: Listing, place: str, *, mlmodel: bool = True, is_directory: bool = False, named_uri: str = ""
) -> None:
    """Raise an error if a listing is not a model. Without this check, two empty directories would be equal models.

    Args:
        listing: The files of the model.
        place: Where the model is, for the message.
        mlmodel: Whether an MLmodel file is required at the root.
        is_directory: Whether the user named the model as a directory of this machine.
        named_uri: The URI if the user named it, "" if a version names it.

    Raises:
        ModelError: There are no files, or the MLmodel file is missing.
    """
    if not listing.files:
        raise ModelError(
            f"There are no files at {place}: the model is empty or missing.",
            _empty_remedy(named_uri, is_directory=is_directory),
        )
    if mlmodel and MLMODEL not in listing.files:
        raise ModelError(
            f"{place} is not an MLflow model: it has no MLmodel file, but {first_names(listing.files)}.",
            "Register the model's own directory, not its parent or a subdirectory.",
        )


def _empty_remedy(named_uri: str, *, is_directory: bool) -> str:
    if is_directory:
        return "Name a directory that holds a model."
    if named_uri != named_uri.rstrip():
        return f"The location ends with white space. Did you mean {printable(named_uri.rstrip())}?"
    return _EMPTY_REMEDY if named_uri else _VERSION_REMEDY


def require_native_model(listing: Listing, native_model: str, place: str) -> None:
    """Raise an error if the native model, a file or directory inside the MLflow model, does not exist.

    `place` says where the MLflow model is, for the message.

    Raises:
        ModelError: The model has no file or directory with that path. The remedy lists the paths at its top level.
    """
    if next(listing.native_files(native_model), None) is None:
        top = {path.partition("/")[0] + ("/" if "/" in path else "") for path in listing.files}
        near = difflib.get_close_matches(native_model, [*top, *listing.files], n=1)
        hint = f"Did you mean {printable(near[0])}? " if near else ""
        raise ModelError(
            f"The native model {native_model!r} does not exist in {place}.",
            f"{hint}There is: {first_names(top)}.",
        )

"""An MLflow model as a set of files, and where it is: plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from model_gate.domain.wording import first_names
from model_gate.errors import ModelError

MLMODEL = "MLmodel"
# A tree larger than this is a loop of links or a hostile listing, not a model.
MAX_FILES = 2_000_000


@dataclass(frozen=True)
class Listing:
    """The files of a model.

    Attributes:
        files: Size in bytes by path relative to the model's root, with `/`; bytes that are not UTF-8 are surrogates.
        is_near: Whether whoever has the files answers at once.
    """

    files: Mapping[str, int]
    is_near: bool = False

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(self.files.values())

    def native_files(self, native_model: str) -> Iterator[str]:
        """The paths that belong to the native model: the file itself, or all files of the directory."""
        if native_model in self.files:
            yield native_model
            return
        prefix = native_model + "/"
        yield from (path for path in self.files if path.startswith(prefix))


@dataclass(frozen=True)
class FileRequest:
    """A file of a model that is to be fetched.

    Attributes:
        path: Relative to the model's root.
        size: Bytes, as listed.
        destination: An empty file on this machine.
    """

    path: str
    size: int
    destination: str


def require_model(listing: Listing, uri: str, *, mlmodel: bool = True) -> None:
    """Refuse what is no model: without this, two empty directories would be equal.

    Raises:
        ModelError: There are no files, or (with `mlmodel`) none is called MLmodel at the root.
    """
    if not listing.files:
        raise ModelError(
            f"There are no files at {uri}: the model is empty or missing.",
            "Check the version's source: the artifacts may have been deleted or never uploaded.",
        )
    if mlmodel and MLMODEL not in listing.files:
        raise ModelError(
            f"What is at {uri} is not an MLflow model: it has no MLmodel file, but {first_names(listing.files)}.",
            "Register the model's directory, not one above or below it.",
        )


def require_native_model(listing: Listing, native_model: str, uri: str) -> None:
    """Refuse a native model that is not there.

    Raises:
        ModelError: The model has neither a file nor a directory of that path; the message lists what there is.
    """
    if next(listing.native_files(native_model), None) is None:
        top = {path.partition("/")[0] + ("/" if "/" in path else "") for path in listing.files}
        raise ModelError(
            f"The native model {native_model!r} does not exist in {uri}.",
            f"There is: {first_names(top)}.",
        )

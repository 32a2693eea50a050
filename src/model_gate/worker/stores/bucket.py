"""What all object stores have in common: a bucket lists its objects, and signs requests for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from model_gate.worker.transfer.presigned_url import PresignedUrl


@dataclass(frozen=True)
class StoredObject:
    """An object in a bucket.

    Attributes:
        key: The whole name of the object in its bucket.
        size: Size in bytes.
    """

    key: str
    size: int


@dataclass(frozen=True)
class StoredFile:
    """A file of a model in a bucket.

    Attributes:
        path: Path of the file in its model.
        size: Size in bytes.
    """

    path: str
    size: int


class Bucket(Protocol):
    """A bucket of S3 or Google, or a container of Azure, with the login that its cloud's own client has found.

    Thread-safe.
    """

    @property
    def verify(self) -> bool | str:
        """The `verify` argument for requests: whether to check certificates, or the path of a CA bundle."""

    @property
    def client_decompresses(self) -> bool:
        """Whether a download by MLflow decompresses an object that has a Content-Encoding."""

    def pages(self, prefix: str) -> Iterator[Sequence[StoredObject]]:
        """Yield the objects whose keys begin with `prefix`, page by page. Directories are left out."""

    def sign(self, key: str) -> PresignedUrl:
        """Return the URL of an object, and the headers, with which the login may read the object now."""

    def secrets(self) -> Iterable[str]:
        """Return the secret values of the login as it is now, without requests. Values may be empty."""

    def renew(self) -> bool:
        """Get new credentials, because the store rejects a request. Return whether another attempt may succeed."""

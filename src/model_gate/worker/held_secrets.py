"""The secrets that this process has found by itself, so that it can mask them in its errors.

The client of a cloud also finds logins in files, in the metadata of a machine and at a login server. The parent process
knows the variables only.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Protocol
from weakref import WeakSet

from model_gate.domain.credentials import secret_parts


class LoginHolder(Protocol):
    """An object with a login, such as a bucket."""

    def secrets(self) -> Iterable[str]:
        """Return the secret values of the login as it is now, without requests. Values may be empty."""


class HeldSecrets:
    """The secrets of all logins that were held whenever they were read. Thread-safe.

    A login that was renewed is kept: the response to an older request can show it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # A holder that is not used any more must not stay in memory.
        self._holders: WeakSet[LoginHolder] = WeakSet()
        self._known: dict[str, None] = {}

    def watch(self, holder: LoginHolder) -> None:
        """Read the secrets of this holder too, as long as it is in use."""
        with self._lock:
            self._holders.add(holder)

    def read(self) -> tuple[str, ...]:
        """Return the secrets that are held now and those that were read before."""
        with self._lock:
            for holder in self._holders:
                found = [part for secret in holder.secrets() if secret for part in secret_parts(secret)]
                self._known |= dict.fromkeys(found)
            return tuple(self._known)

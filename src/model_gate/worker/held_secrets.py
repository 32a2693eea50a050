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

# More secrets make the masking of an error slow.
_MAX_SECRETS = 200


class LoginHolder(Protocol):
    """An object with a login, such as a bucket."""

    def secrets(self) -> Iterable[str]:
        """Return the secret values of the login as it is now, without requests. Values may be empty."""


def secrets_of(holder: LoginHolder) -> tuple[str, ...]:
    """Return the secrets of a login as it is now, with those that are parts of others."""
    found = (part for secret in holder.secrets() if secret for part in secret_parts(secret))
    return tuple(dict.fromkeys(found))


class HeldSecrets:
    """The secrets of all logins that were held whenever they were read. Thread-safe.

    A login that was renewed is kept, since the response to an older request can show it. Each version of a model in
    Unity Catalog has a login of its own, so the oldest ones are dropped.
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
            self._remember(holder)

    def read(self) -> tuple[str, ...]:
        """Return the secrets that are held now and those that were read before."""
        with self._lock:
            for holder in self._holders:
                self._remember(holder)
            return tuple(self._known)

    def _remember(self, holder: LoginHolder) -> None:
        for secret in secrets_of(holder):
            self._known.pop(secret, None)
            self._known[secret] = None
        for oldest in list(self._known)[:-_MAX_SECRETS]:
            del self._known[oldest]

"""A process remembers the secrets of the logins that it has used."""

from __future__ import annotations

import gc
import weakref

from model_gate.worker.held_secrets import HeldSecrets


class Login:
    """A login that can be renewed."""

    def __init__(self, *values: str) -> None:
        self.values = values

    def secrets(self) -> tuple[str, ...]:
        return self.values


def test_secret_of_a_renewed_login_is_still_known() -> None:
    login = Login("first token", "")
    held = HeldSecrets()
    assert held.read() == ()
    held.watch(login)
    assert held.read() == ("first token",)
    login.values = ("second token",)
    assert held.read() == ("first token", "second token")


def test_signature_in_a_login_is_known() -> None:
    login = Login("sv=2021&sig=Ab3dEf%2F6Ab3dEf60")
    held = HeldSecrets()
    held.watch(login)
    assert set(held.read()) == {"sv=2021&sig=Ab3dEf%2F6Ab3dEf60", "Ab3dEf%2F6Ab3dEf60", "Ab3dEf/6Ab3dEf60"}


def test_login_that_is_not_used_any_more_does_not_stay_in_memory() -> None:
    login = Login("a token")
    reference = weakref.ref(login)
    held = HeldSecrets()
    held.watch(login)
    held.read()
    del login
    gc.collect()
    assert reference() is None
    assert held.read() == ("a token",)


def test_oldest_secrets_are_dropped() -> None:
    held = HeldSecrets()
    for number in range(1_000):
        held.watch(Login(f"token {number}"))
    assert held.read() == tuple(f"token {number}" for number in range(800, 1_000))

"""Large transfers of gates that run side by side wait for each other; small ones do not."""

from __future__ import annotations

import threading

from model_gate.comparison.transfer_slots import TransferSlots

SLOTS_BYTES = 100


def begins(slots: TransferSlots, size: int) -> bool:
    """Return whether a transfer of this size begins while another thread has a slot."""
    begun = threading.Event()

    def transfer() -> None:
        with slots.transfer(size):
            begun.set()

    thread = threading.Thread(target=transfer, daemon=True)
    thread.start()
    return begun.wait(0.3)


def test_large_transfers_wait_for_each_other() -> None:
    slots = TransferSlots(SLOTS_BYTES)
    with slots.transfer(SLOTS_BYTES + 1):
        assert not begins(slots, SLOTS_BYTES + 1)
    assert begins(slots, SLOTS_BYTES + 1)


def test_small_transfers_do_not_wait() -> None:
    slots = TransferSlots(SLOTS_BYTES)
    with slots.transfer(SLOTS_BYTES + 1):
        assert begins(slots, SLOTS_BYTES)


def test_failed_transfer_frees_its_slot() -> None:
    slots = TransferSlots(SLOTS_BYTES)
    try:
        with slots.transfer(SLOTS_BYTES + 1):
            raise ValueError("failed")
    except ValueError:
        pass
    assert begins(slots, SLOTS_BYTES + 1)

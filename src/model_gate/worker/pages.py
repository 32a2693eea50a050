"""Reads listings page by page.

A listing that the server repeats, cuts or never ends is an error, and never a shorter list.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from model_gate.domain.limits import LIMITS, Limits
from model_gate.domain.wording import plural, printable
from model_gate.errors import TransferError, UnreachableError

_T = TypeVar("_T")
# Returns the entries of a page and the token of the next page; "" after the last. The argument is the page's token, ""
# for the first page.
RequestPage = Callable[[str], tuple[Sequence[_T], str]]
_REMEDY = "Check the server, and any proxy in front of it. There is no result, since it would be incomplete."


class Deadline:
    """The time until which a search must end."""

    def __init__(self, limits: Limits = LIMITS, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = limits.search_seconds
        self._clock = clock
        self._start = clock()

    def require(self) -> None:
        """Verify that there is time left.

        Raises:
            UnreachableError: The time is over.
        """
        if self._clock() - self._start > self._seconds:
            raise UnreachableError(
                f"The search in the registry did not end within {self._seconds:.0f} s.",
                "Select fewer models, or check whether the server is overloaded.",
            )


def read_pages(
    request_page: RequestPage[_T],
    noun: str,
    max_entries: int,
    limits: Limits = LIMITS,
    deadline: Deadline | None = None,
) -> Iterator[_T]:
    """Yield the entries of all pages. A page may be empty although another one follows.

    Args:
        request_page: Requests a page.
        noun: What the listing is of, in the singular, for error messages.
        max_entries: Maximum number of entries of all pages.
        limits: The upper bounds of a search.
        deadline: The time until which the last page must have arrived; None for the seconds of a search from now on.

    Raises:
        TransferError: A page token is repeated, or there are too many pages or entries.
        UnreachableError: The pages take too long.
    """
    deadline = deadline or Deadline(limits)
    tokens = {""}
    token = ""
    count = 0
    while True:
        deadline.require()
        entries, token = request_page(token)
        count += len(entries)
        if count > max_entries:
            raise TransferError(
                f"The server lists more than {plural(max_entries, noun)}.", "Select fewer models, or check the server."
            )
        yield from entries
        if not token:
            return
        if token in tokens:
            raise TransferError(f"The server repeats a page of its {noun}s.", _REMEDY)
        if len(tokens) >= limits.search_pages:
            raise TransferError(f"The server lists its {noun}s on more than {limits.search_pages:,} pages.", _REMEDY)
        tokens.add(token)


def unique(entries: Iterable[_T], name_of: Callable[[_T], str], noun: str) -> Iterator[_T]:
    """Yield the entries, and check that no two have the same name.

    Raises:
        TransferError: Two entries have the same name, so the list changed between two pages, or the server is faulty.
    """
    names: set[str] = set()
    for entry in entries:
        name = name_of(entry)
        if name in names:
            raise TransferError(
                f"The server lists the {noun} {printable(name)!r} twice.",
                "The registry may have changed during the search: run again. If the error stays, check the server.",
            )
        names.add(name)
        yield entry

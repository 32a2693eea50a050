"""Says which entries of gates files a change adds or alters, from the texts of the files before and after it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from model_gate.domain.gates import LeftOut
from model_gate.domain.wording import first_names, printable
from model_gate.errors import ConfigError
from model_gate.inputs.gate_entry import ParsedEntry, parse_entries

# Keys of an entry whose value is the path of a seal, or a pattern of such paths.
_SEAL_KEYS = frozenset({"seal", "seals"})
# Keys of an entry below which the user chooses the names.
_FREE_KEYS = frozenset({"tags", "rename"})


@dataclass(frozen=True)
class CommitParents:
    """A commit.

    Attributes:
        id: Its name in hex.
        parents: The names of its parents, the first first. In a shallow clone, the checkout may not have them.
    """

    id: str
    parents: tuple[str, ...]


@dataclass(frozen=True)
class Base:
    """What a change is compared with.

    Attributes:
        revision: A revision of git.
        label: What messages call it, such as `origin/main`.
        is_exact: Whether the revision itself is the base. Otherwise the base is the common ancestor of the revision and
            the checked-out commit.
        remedy: What to do if the checkout does not have the commit; "" for the general advice.
    """

    revision: str
    label: str
    is_exact: bool = False
    remedy: str = ""


@dataclass(frozen=True)
class NoBase:
    """There is no base, so every entry counts as changed.

    Attributes:
        reason: Why, as a clause without a full stop, such as `the event is schedule, which has no base`.
    """

    reason: str


@dataclass(frozen=True)
class GatesText:
    """The text of a gates file.

    Attributes:
        name: The file's name in messages.
        text: The text.
    """

    name: str
    text: str

    @cached_property
    def entries(self) -> tuple[ParsedEntry, ...]:
        """The entries of the file.

        Raises:
            ConfigError: The text is not a valid gates file.
        """
        return tuple(parse_entries(self.text, self.name))

    @property
    def digests(self) -> Iterator[tuple[str, str]]:
        """The name and the digest of each entry. See `entries` for errors."""
        return ((parsed.entry.name, parsed.entry.digest) for parsed in self.entries)


@dataclass(frozen=True)
class FileChange:
    """A gates file before and after a change.

    Attributes:
        after: The file now.
        before: The text at the base; None if there was no such file.
        problem: Why the text at the base is not known, as a clause such as `was a symbolic link`; "" if it is known.
    """

    after: GatesText
    before: str | None
    problem: str = ""


@dataclass(frozen=True)
class Changes:
    """The entries that a change adds or alters.

    Attributes:
        base: What messages call the base.
        changed: The names of these entries. If there is none, the run has no gates and passes.
        left_out: The other entries, in the order of the files.
        removed: The sorted names of the entries that the change removes.
        notices: What the user should know, each a sentence.
    """

    base: str
    changed: frozenset[str]
    left_out: tuple[LeftOut, ...] = ()
    removed: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


def changes_between(files: Sequence[FileChange], base: str, different_seals: Mapping[str, str]) -> Changes:
    """Return which entries of gates files a change adds or alters.

    Entries are compared over all files together, so an entry that moves to another file does not change. Layout,
    comments and the order of keys do not count, either.

    Args:
        files: All gates files.
        base: What messages call the base.
        different_seals: The paths and patterns of `seal_paths` whose files the change alters, each with what is
            different, as a clause such as `changed`.

    Raises:
        ConfigError: A text of today is not a valid gates file.
    """
    notices: list[str] = []
    before: dict[str, set[str]] = {}
    unknown: set[str] = set()
    for file in files:
        problem, digests = _digests_before(file, base)
        if problem:
            unknown.update(name for name, _ in file.after.digests)
            notices.append(f"{printable(file.after.name)} {problem} at {base}, so all its entries count as changed.")
        for name, digest in digests:
            before.setdefault(name, set()).add(digest)
    after = [entry for file in files for entry in file.after.digests]
    # Two files at the base can have entries of one name.
    changed = unknown | {name for name, digest in after if before.get(name) != {digest}}
    by_seal: dict[str, list[str]] = {}
    for name, seal in (pair for file in files for pair in seal_paths(file.after)):
        if seal in different_seals and name not in changed:
            by_seal.setdefault(seal, []).append(name)
    for seal, names in by_seal.items():
        notices.append(
            f"The seal {printable(seal)} {different_seals[seal]}, so these entries count as changed:"
            f" {first_names(names)}."
        )
        changed.update(names)
    removed = tuple(sorted(set(before) - {name for name, _ in after}))
    if removed:
        notices.append(f"Removed since {base}: {first_names(list(removed))}.")
    left_out = tuple(LeftOut(name, f"not changed since {base}") for name, _ in after if name not in changed)
    return Changes(base, frozenset(changed), left_out, removed, tuple(notices))


def union(every: Sequence[Changes]) -> Changes:
    """Return the changes against several bases, where an entry is changed if it differs from one of them."""
    first, *others = every
    changed = first.changed.union(*(changes.changed for changes in others))
    return Changes(
        first.base,
        changed,
        tuple(entry for entry in first.left_out if entry.name not in changed),
        tuple(sorted({name for changes in every for name in changes.removed})),
        tuple(dict.fromkeys(notice for changes in every for notice in changes.notices)),
    )


def all_changed(files: Sequence[GatesText], reason: str) -> Changes:
    """Return that every entry counts as changed, since there is no base. `reason` is that of `NoBase`.

    Raises:
        ConfigError: A text is not a valid gates file.
    """
    names = frozenset(name for file in files for name, _ in file.digests)
    return Changes("", names, notices=(f"All entries run: {reason}.",))


def seal_paths(file: GatesText) -> Iterator[tuple[str, str]]:
    """Yield the name of each entry with each seal that it names: a path, or a pattern with `{model}`.

    Raises:
        ConfigError: The text is not a valid gates file.
    """
    for parsed in file.entries:
        for path in _seals(parsed.data):
            yield parsed.entry.name, path


def _seals(value: Any) -> Iterator[str]:
    for key, below in value.items() if isinstance(value, Mapping) else ():
        if key in _SEAL_KEYS and isinstance(below, str):
            yield below
        elif key not in _FREE_KEYS:
            yield from _seals(below)


def _digests_before(file: FileChange, base: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return why the entries at the base are not known, "" if they are, and their names and digests."""
    if file.problem or file.before is None:
        return file.problem, ()
    if file.before == file.after.text:
        return "", tuple(file.after.digests)
    try:
        return "", tuple(GatesText(f"{file.after.name} at {base}", file.before).digests)
    except ConfigError:
        return "was not a valid gates file", ()

"""Says which entries of gates files a change adds or alters, from the texts of the files before and after it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model_gate.domain.gates import LeftOut
from model_gate.domain.wording import first_names, printable
from model_gate.errors import ConfigError
from model_gate.inputs.gate_entry import entry_digests, parse_entries

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
class FileTexts:
    """The text of a gates file before and after a change.

    Attributes:
        name: The file's name in messages.
        after: The text now.
        before: The text at the base; None if there was no such file.
        problem: Why the text at the base is not known, as a clause such as `was a symbolic link`; "" if it is known.
    """

    name: str
    after: str
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


def changes_between(files: Sequence[FileTexts], base: str, different_seals: Mapping[str, str]) -> Changes:
    """Return which entries of gates files a change adds or alters.

    Entries are compared over all files together, so an entry that moves to another file does not change. Layout,
    comments and the order of keys do not count, either.

    Args:
        files: The texts of all gates files.
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
            unknown.add(file.name)
            notices.append(f"{printable(file.name)} {problem} at {base}, so all its entries count as changed.")
        for name, digest in digests.items():
            before.setdefault(name, set()).add(digest)
    after: dict[str, None] = {}
    changed: set[str] = set()
    by_seal: dict[str, list[str]] = {}
    for file in files:
        for parsed in parse_entries(file.after, file.name):
            name = parsed.entry.name
            after[name] = None
            # Two files at the base can have entries of one name.
            if file.name in unknown or before.get(name) != {parsed.entry.digest}:
                changed.add(name)
            for path in filter(different_seals.__contains__, _seals(parsed.data)):
                by_seal.setdefault(path, []).append(name)
    notices += _seal_notices(by_seal, different_seals, changed)
    changed.update(name for names in by_seal.values() for name in names)
    removed = tuple(sorted(set(before) - set(after)))
    if removed:
        notices.append(f"Removed since {base}: {first_names(list(removed))}.")
    left_out = tuple(LeftOut(name, f"not changed since {base}") for name in after if name not in changed)
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


def all_changed(files: Iterable[tuple[str, str]], reason: str) -> Changes:
    """Return that every entry counts as changed, since there is no base.

    Args:
        files: The name and the text of each gates file.
        reason: Why there is no base.

    Raises:
        ConfigError: A text is not a valid gates file.
    """
    names = frozenset(entry for name, text in files for entry in entry_digests(text, name))
    return Changes("", names, notices=(f"All entries run: {reason}.",))


def seal_paths(text: str, name: str) -> Mapping[str, tuple[str, ...]]:
    """Return the path or the pattern of each seal that an entry names, by the name of the entry.

    Raises:
        ConfigError: The text is not a valid gates file.
    """
    return {parsed.entry.name: tuple(_seals(parsed.data)) for parsed in parse_entries(text, name)}


def _seals(value: Any) -> Iterable[str]:
    for key, below in value.items() if isinstance(value, dict) else ():
        if key in _SEAL_KEYS and isinstance(below, str):
            yield below
        elif key not in _FREE_KEYS:
            yield from _seals(below)


def _digests_before(file: FileTexts, base: str) -> tuple[str, Mapping[str, str]]:
    """Return why the entries at the base are not known, "" if they are, and the digests of the entries."""
    if file.problem or file.before is None:
        return file.problem, {}
    try:
        entries = entry_digests(file.before, f"{file.name} at {base}")
    except ConfigError:
        return "was not a valid gates file", {}
    return "", {name: digest for name, (digest, _) in entries.items()}


def _seal_notices(
    by_seal: Mapping[str, Sequence[str]], different_seals: Mapping[str, str], changed: set[str]
) -> Iterable[str]:
    """Yield a notice for each seal that makes an entry count as changed."""
    for path, names in by_seal.items():
        others = [name for name in names if name not in changed]
        if others:
            yield f"The seal {printable(path)} {different_seals[path]}, so it counts as changed: {first_names(others)}."

"""Reads gates files and seals at a base and in the checkout, to find the entries that a change adds or alters."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from model_gate.domain.wording import printable
from model_gate.errors import InputError
from model_gate.formats import strict_yaml
from model_gate.formats.model_signing import MAX_STATEMENT_BYTES
from model_gate.inputs.changes import (
    Base,
    Changes,
    CommitParents,
    FileChange,
    GatesText,
    NoBase,
    all_changed,
    changes_between,
    seal_paths,
    union,
)
from model_gate.inputs.gate_entry import KIND
from model_gate.inputs.repository import (
    MissingObjectError,
    Repository,
    TooLargeError,
    TreeEntry,
)
from model_gate.inputs.yaml_source import read_text
from model_gate.symbolic_links import open_input

# Number of files in the checkout that are searched for the seals of a pattern.
_MAX_FILES = 100_000
_PLACEHOLDER = re.compile(r"\{(?:model|version)\}")
_OUTSIDE = "is not in the repository of the gates file"


def checked_out_commit(path: Path) -> CommitParents:
    """Return the commit that is checked out in the repository of a gates file.

    Raises:
        InputError: The file is in no repository, or in one that is not supported.
        StorageError: The repository is damaged.
    """
    with Repository.of_file(path) as repository:
        return repository.head()


def changes_since(paths: Sequence[Path], base: Base | NoBase) -> Changes:
    """Return which entries of gates files were added or altered since a base.

    The files of the checkout count as they are now, whether they are committed or not.

    Args:
        paths: The gates files.
        base: The base.

    Raises:
        ConfigError: A file cannot be read, or is not a valid gates file.
        InputError: The files are not in one repository, the repository is not supported, or the base is not known.
        StorageError: The repository is damaged.
    """
    texts = [GatesText(str(path), read_text(path, KIND)) for path in paths]
    if isinstance(base, NoBase):
        return all_changed(texts, base.reason)
    with Repository.of_file(paths[0]) as repository:
        places = [_path_in(repository, path) for path in paths]
        seals = {seal for text in texts for _, seal in seal_paths(text)}
        every = []
        for commit in _commits(repository, base):
            changes = [_change(repository, commit, text, place) for text, place in zip(texts, places, strict=True)]
            every.append(changes_between(changes, base.label, dict(_different(repository, commit, seals))))
        return union(every)


def _path_in(repository: Repository, path: Path) -> str:
    place = repository.path_of(path)
    if place is None:
        raise InputError(
            f"{printable(str(path))} is not in the repository {printable(str(repository.work_tree))}.",
            "Name gates files of one repository, or leave out --changed-since.",
        )
    return place


def _commits(repository: Repository, base: Base) -> tuple[str, ...]:
    """Return the commits to compare with: the base itself, or the common ancestors of the base and this commit."""
    try:
        commit, head = repository.commit(base.revision).id, repository.head().id
        bases = (commit,) if base.is_exact else repository.merge_bases(commit, head)
    except InputError as error:
        raise InputError(error.message, base.remedy or error.remedy) from error
    if not bases:
        raise InputError(
            f"{printable(base.label)} and the checked-out commit have no common ancestor.",
            "Name a revision of the same history.",
        )
    return bases


def _change(repository: Repository, commit: str, after: GatesText, place: str) -> FileChange:
    """Return a gates file with its text at a commit."""
    entry = repository.entry(commit, place)
    if entry is None:
        return FileChange(after, None)
    if not entry.is_file:
        return FileChange(after, None, "was not a regular file")
    try:
        return FileChange(after, repository.content(entry, strict_yaml.MAX_BYTES).decode("utf-8-sig"))
    except MissingObjectError:
        return FileChange(after, None, "is not in this partial clone, which lacks its text")
    except TooLargeError:
        return FileChange(after, None, f"was larger than {strict_yaml.MAX_BYTES:,} bytes")
    except UnicodeDecodeError:
        return FileChange(after, None, "was not UTF-8")


def _different(repository: Repository, commit: str, seals: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each path or pattern of seals whose files are not as they were at a commit, and what is different."""
    for seal in seals:
        if seal.startswith("/") or ".." in seal.split("/") or "\0" in seal:
            yield seal, "is not a path beneath the working directory"
            continue
        try:
            reason = _difference(repository, commit, seal)
        except TooLargeError:
            reason = f"is in a directory with more than {_MAX_FILES:,} files"
        if reason:
            yield seal, reason


def _difference(repository: Repository, commit: str, seal: str) -> str:
    """Return what is different about the files of a path or pattern, "" for no difference."""
    # The gate opens `./seals//x` too, and the names of the files are compared as texts.
    seal = os.path.normpath(seal)
    placeholder = _PLACEHOLDER.search(seal)
    if placeholder is None:
        place = repository.path_of(Path(seal))
        if place is None:
            return _OUTSIDE
        return "" if _is_same(repository, repository.entry(commit, place), Path(seal)) else "changed"
    directory = seal[: placeholder.start()].rpartition("/")[0]
    place = repository.path_of(Path(directory or "."))
    if place is None:
        return _OUTSIDE
    pattern = re.compile(".+".join(map(re.escape, _PLACEHOLDER.split(seal))), re.DOTALL)
    prefix = f"{place}/" if place else ""
    entries = {
        os.path.join(directory, path.removeprefix(prefix)): entry
        for path, entry in repository.files_below(commit, place)
    }
    names = {name for name in (*entries, *_files_below(directory)) if pattern.fullmatch(name)}
    return "" if all(_is_same(repository, entries.get(name), Path(name)) for name in names) else "changed"


def _files_below(directory: str) -> Iterator[str]:
    """Yield the path of each file below a directory of the checkout. Links are not followed."""
    count = 0
    for parent, directories, names in os.walk(directory or "."):
        directories[:] = [name for name in directories if name != ".git"]
        count += len(names) + len(directories)
        if count > _MAX_FILES:
            raise TooLargeError(directory)
        yield from (os.path.normpath(os.path.join(parent, name)) for name in names)


def _is_same(repository: Repository, entry: TreeEntry | None, path: Path) -> bool:
    """Return whether a file of the checkout is as it was, apart from line breaks of another system."""
    now = _content(path)
    if entry is None or not entry.is_file:
        return now is None
    if now is None or repository.id_of(now) == entry.id:
        return now is not None
    try:
        before = repository.content(entry, MAX_STATEMENT_BYTES)
    except (MissingObjectError, TooLargeError):
        return False
    return before.replace(b"\r\n", b"\n") == now.replace(b"\r\n", b"\n")


def _content(path: Path) -> bytes | None:
    """Return the first bytes of a file, one more than a seal can have; None if it does not exist or is a link."""
    try:
        with open(path, "rb", opener=open_input) as file:
            return file.read(MAX_STATEMENT_BYTES + 1)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
            return None
        return b""

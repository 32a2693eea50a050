"""Reads commits and files from the git directory of a checkout.

The `git` program is not used, so no hook, filter, alias or other command of a configuration runs. Nothing is fetched,
and nothing is written. Two settings are read: the format of the objects, and whether the clone is partial.
"""

from __future__ import annotations

import difflib
import os
import re
import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from dulwich.config import ConfigFile
from dulwich.errors import (
    ApplyDeltaError,
    ChecksumMismatch,
    FileFormatException,
    NotGitRepository,
    ObjectMissing,
    RefFormatError,
    WrongObjectException,
)
from dulwich.graph import find_merge_base, independent
from dulwich.object_format import get_object_format
from dulwich.object_store import DiskObjectStore
from dulwich.objects import Blob, Commit, ObjectID, ShaFile, Tag, Tree
from dulwich.objectspec import AmbiguousShortId, parse_ref, scan_for_short_id
from dulwich.pack import UnresolvedDeltas
from dulwich.refs import DiskRefsContainer, SymrefLoop
from dulwich.repo import BaseRepo, ParentsProvider

from model_gate.domain.wording import plural, printable
from model_gate.errors import InputError, StorageError, storage_error
from model_gate.inputs.changes import CommitParents
from model_gate.regular_files import open_regular
from model_gate.symbolic_links import PathBeneath

# Limits of files in the git directory, and of the object of a file.
_MAX_SETTINGS = 1024 * 1024
_MAX_SHALLOW = 64 * 1024 * 1024
_MAX_OBJECT = 64 * 1024 * 1024
# Number of files below a directory that are listed.
_MAX_FILES = 100_000
_MAX_DEPTH = 200
# Number of directories of commits that are kept in memory.
_MAX_TREES = 100
_FULL_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SHORT_ID = re.compile(r"[0-9a-f]{4,63}")
_NAME = r"[^\s~^:?*\[\\@-][^\s~^:?*\[\\]*"
_REVISION = re.compile(rf"(?P<name>@|{_NAME})(?P<steps>(?:~\d{{0,6}}|\^\d{{0,3}}|\^\{{(?:commit)?\}})*)")
_STEP = re.compile(r"(?P<kind>[~^])(?:(?P<count>\d*)|\{(?:commit)?\})(?=[~^]|$)")
_REVISION_REMEDY = "Name one revision: a branch (origin/main), a tag, a commit, or one of these with ~1 or ^1."
_BROKEN_REMEDY = "Check the repository with git fsck, or clone it again."
_FORMATS = frozenset({"worktreeconfig", "objectformat", "relativeworktrees", "partialclone", "noop", "refstorage"})
_Object = TypeVar("_Object", bound=ShaFile)


class MissingObjectError(Exception):
    """The checkout does not have an object. `id` is the object's name in hex."""

    def __init__(self, object_id: str) -> None:
        super().__init__(object_id)
        self.id = object_id


class TooLargeError(Exception):
    """A file in the repository is larger than the limit."""


@dataclass(frozen=True)
class TreeEntry:
    """What a commit has at a path.

    Attributes:
        id: The name of the object in hex.
        mode: The mode of the entry, as git writes it.
    """

    id: str
    mode: int

    @property
    def is_file(self) -> bool:
        """Whether the entry is a regular file, and no link, directory or submodule."""
        return stat.S_ISREG(self.mode)


class Repository:
    """A repository that is checked out, opened for reading.

    Attributes:
        work_tree: The directory of the checked-out files. No part of the path is a symbolic link.
        is_shallow: Whether the history of the checkout is cut.
        is_partial: Whether the checkout has only the files that it needed (`--filter`, `sparse-checkout`).
    """

    def __init__(self, work_tree: Path) -> None:
        """Open the repository whose `.git` is in a directory.

        Raises:
            InputError: The repository has a format that is not supported.
            StorageError: The git directory cannot be read.
        """
        self.work_tree = work_tree
        with _readable(work_tree):
            directory = _git_directory(work_tree)
            common = _common_directory(directory)
            settings = _Settings.read(work_tree, common, directory)
            self._store = _Store(
                common / "objects",
                object_format=get_object_format(settings.object_format),
                loose_object_size_limit=_MAX_OBJECT,
            )
            self._refs = DiskRefsContainer(common, directory)
            shallow = _shallow_commits(common)
        self.is_shallow = bool(shallow)
        self.is_partial = settings.is_partial
        self._shallow = shallow
        self._roots: dict[str, str] = {}
        self._trees: dict[str, Tree] = {}

    @classmethod
    def of_file(cls, path: Path) -> Repository:
        """Open the repository that a file is in.

        Raises:
            InputError: The file is in no repository, or in one that is not supported.
            StorageError: The git directory cannot be read.
        """
        for directory in PathBeneath.of_input(path).path.parents:
            if os.path.lexists(directory / ".git"):
                return cls(directory)
        raise InputError(
            f"{printable(str(path))} is not in a git checkout, so there is nothing to compare it with.",
            "Check out the repository with git. In a workflow, actions/checkout needs git 2.18 or newer in the job's"
            " container. Or leave out --changed-since.",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._store.close()

    def path_of(self, path: Path) -> str | None:
        """Return the path of a file in the repository: "" for the work tree itself, None for a file outside of it."""
        absolute = PathBeneath.of_input(path).path
        if not absolute.is_relative_to(self.work_tree):
            return None
        return "/".join(absolute.relative_to(self.work_tree).parts)

    def head(self) -> CommitParents:
        """Return the commit that is checked out.

        Raises:
            InputError: There is no commit yet.
            StorageError: The repository is damaged.
        """
        return self.commit("HEAD")

    def commit(self, revision: str) -> CommitParents:
        """Return the commit that a revision names: a branch, a tag, a commit, or one of these with `~N` or `^N`.

        Raises:
            InputError: The revision is not of these forms, or the checkout has no such commit.
            StorageError: The repository is damaged.
        """
        match = _REVISION.fullmatch(revision)
        if match is None or ".." in revision or "@{" in revision:
            raise InputError(f"{printable(revision)!r} is not one revision.", _REVISION_REMEDY)
        with _readable(self.work_tree):
            commit = self._named("HEAD" if match["name"] == "@" else match["name"])
            for step in _STEP.finditer(match["steps"]):
                commit = self._follow(commit, step["kind"], int(step["count"] or 1) if step["count"] is not None else 0)
            return _parents_of(commit)

    def merge_bases(self, left: str, right: str) -> tuple[str, ...]:
        """Return the best common ancestors of two commits: usually one, and none for unrelated histories.

        Raises:
            InputError: The history of the checkout ends before the common ancestors.
            StorageError: The repository is damaged.
        """
        history = _History(self._store, self._refs, self._shallow)
        with _readable(self.work_tree):
            # If times of commits are equal or wrong, the search also returns ancestors of the best ancestors.
            found = independent(history, find_merge_base(history, [_id(left), _id(right)]))
            bases = tuple(sorted(base.decode() for base in found))
        # An ancestor of the other commit is the only base, whatever comes before it.
        if history.is_cut and bases not in {(left,), (right,)}:
            raise InputError(
                f"The history of the checkout ends before the common ancestor of {left[:12]} and {right[:12]}.",
                "Fetch the whole history: git fetch --unshallow, or fetch-depth: 0 in the step actions/checkout.",
            )
        return bases

    def entry(self, commit: str, path: str) -> TreeEntry | None:
        """Return what a commit has at a path, None if nothing. Links are not followed.

        Raises:
            InputError: The checkout does not have the directories of the commit.
            StorageError: The repository is damaged.
        """
        with self._whole_trees(), _readable(self.work_tree):
            entry = TreeEntry(self._root(commit), stat.S_IFDIR)
            for name in filter(None, path.split("/")):
                if not stat.S_ISDIR(entry.mode):
                    return None
                try:
                    mode, tree_id = self._tree(entry.id)[os.fsencode(name)]
                except KeyError:
                    return None
                entry = TreeEntry(tree_id.decode(), mode)
            return entry

    def files_below(self, commit: str, directory: str) -> Iterator[tuple[str, TreeEntry]]:
        """Yield the path and the entry of each regular file below a directory of a commit.

        Raises:
            TooLargeError: There are too many files.
            InputError: The checkout does not have the directories of the commit.
            StorageError: The repository is damaged.
        """
        root = self.entry(commit, directory)
        pending = [(directory, root, 0)] if root is not None and stat.S_ISDIR(root.mode) else []
        count = 0
        while pending:
            path, entry, depth = pending.pop()
            with self._whole_trees(), _readable(self.work_tree):
                items = self._tree(entry.id).items()
            count += len(items)
            if count > _MAX_FILES or depth > _MAX_DEPTH:
                raise TooLargeError(path)
            for name, mode, object_id in items:
                below = f"{path}/{os.fsdecode(name)}" if path else os.fsdecode(name)
                child = TreeEntry(object_id.decode(), mode)
                if child.is_file:
                    yield below, child
                elif stat.S_ISDIR(mode):
                    pending.append((below, child, depth + 1))

    def content(self, entry: TreeEntry, limit: int) -> bytes:
        """Return the bytes of a regular file, as they are in the commit: no filter is applied.

        Raises:
            MissingObjectError: The checkout is partial, and does not have the file.
            TooLargeError: The file has more than `limit` bytes.
            StorageError: The repository is damaged.
        """
        with _readable(self.work_tree):
            data = self._get(_id(entry.id), Blob).as_raw_string()
        if len(data) > limit:
            raise TooLargeError(entry.id)
        return data

    def id_of(self, content: bytes) -> str:
        """Return the name that a file with this content has in the repository."""
        return Blob.from_string(content).get_id(self._store.object_format).decode()

    def _named(self, name: str) -> Commit:
        """Return the commit of a branch, a tag, or a whole or short commit name, in git's order."""
        if _FULL_ID.fullmatch(name):
            return self._commit(_id(name), name)
        try:
            reference = self._refs[parse_ref(self._refs, os.fsencode(name))]
        except KeyError:
            reference = None
        if reference is not None:
            return self._commit(reference, name)
        if _SHORT_ID.fullmatch(name):
            try:
                found = scan_for_short_id(self._store, name.encode(), Commit)
            except KeyError:
                found = None
            except AmbiguousShortId as error:
                raise InputError(f"Several commits begin with {name}.", "Write more of the commit's name.") from error
            if isinstance(found, Commit):
                return found
        raise self._unknown(name)

    def _commit(self, object_id: ObjectID, name: str) -> Commit:
        """Return the commit that an object is, or that a tag leads to."""
        try:
            found: ShaFile = self._get(object_id, ShaFile)
            for _ in range(_MAX_DEPTH):
                if not isinstance(found, Tag):
                    break
                found = self._get(found.object[1], ShaFile)
        except MissingObjectError as error:
            raise self._missing(name) from error
        if not isinstance(found, Commit):
            raise InputError(f"{printable(name)!r} names no commit.", _REVISION_REMEDY)
        return found

    def _follow(self, commit: Commit, kind: str, count: int) -> Commit:
        """Return an ancestor: `~N` is the Nth first parent, `^N` the Nth parent, and N = 0 the commit itself."""
        numbers = [1] * count if kind == "~" else [count] if count else []
        for number in numbers:
            parents = commit.parents
            if number > len(parents):
                raise InputError(
                    f"The commit {commit.id.decode()[:12]} has {plural(len(parents), 'parent')}, so {kind}{count} does"
                    " not exist.",
                    "Name a revision that the history has.",
                )
            commit = self._commit(parents[number - 1], parents[number - 1].decode())
        return commit

    def _root(self, commit: str) -> str:
        """Return the name of the tree of a commit."""
        if commit not in self._roots:
            self._roots[commit] = self._get(_id(commit), Commit).tree.decode()
        return self._roots[commit]

    def _tree(self, tree_id: str) -> Tree:
        """Return a directory of a commit. Paths are looked up one by one, mostly in the same few directories."""
        if tree_id not in self._trees:
            if len(self._trees) >= _MAX_TREES:
                self._trees.clear()
            self._trees[tree_id] = self._get(_id(tree_id), Tree)
        return self._trees[tree_id]

    def _get(self, object_id: ObjectID, kind: type[_Object]) -> _Object:
        try:
            found = self._store[object_id]
        except KeyError as error:
            raise MissingObjectError(object_id.decode()) from error
        if not isinstance(found, kind):
            raise FileFormatException(f"{object_id.decode()} is not a {kind.__name__.lower()}")
        return found

    def _missing(self, name: str) -> InputError:
        short = name[:12] if _FULL_ID.fullmatch(name) else printable(name)
        if self.is_shallow:
            return InputError(
                f"The checkout has no commit {short}: its history is cut.",
                "Fetch the whole history: git fetch --unshallow, or fetch-depth: 0 in the step actions/checkout.",
            )
        return InputError(f"The checkout has no commit {short}.", "Fetch it, or name a revision that the checkout has.")

    def _unknown(self, name: str) -> InputError:
        if name == "HEAD":
            return InputError("The checkout has no commit yet.", "Commit the gates file first.")
        with _readable(self.work_tree):
            names = {key.decode(errors="replace").split("/", 2)[-1] for key in self._refs.allkeys()}
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        cut = (
            " The history of the checkout is cut, so it may have one branch only: fetch-depth: 0 in the step"
            " actions/checkout fetches all."
            if self.is_shallow
            else ""
        )
        hint = f"Did you mean {printable(near[0])}?" if near else _REVISION_REMEDY
        return InputError(f"The checkout has no revision {printable(name)!r}.", hint + cut)

    @contextmanager
    def _whole_trees(self) -> Iterator[None]:
        """Convert the error about a directory or commit that the checkout does not have."""
        try:
            yield
        except MissingObjectError as error:
            raise InputError(
                f"The checkout does not have all directories of the commit: {error.id[:12]} is missing.",
                "Clone without --filter=tree:0, or fetch the commit whole." if self.is_partial else _BROKEN_REMEDY,
            ) from error


class _Store(DiskObjectStore):
    """The objects of a repository. The commit graph is a cache, which is not needed."""

    def get_commit_graph(self) -> None:
        """Return no commit graph."""
        return


class _Parents(ParentsProvider):
    """The parents of commits. A shallow clone has no parents of the commits where its history ends."""

    is_cut = False

    def get_parents(self, commit_id: ObjectID, commit: Commit | None = None) -> list[ObjectID]:
        """Return the parents of a commit that the checkout has, and note if its history ends there."""
        if commit_id in self.shallows:
            self.is_cut = True
        return super().get_parents(commit_id, commit)


class _History(BaseRepo):
    """The commits of a repository, for a search for common ancestors."""

    def __init__(self, store: DiskObjectStore, refs: DiskRefsContainer, shallow: frozenset[ObjectID]) -> None:
        super().__init__(store, refs)
        self._provider = _Parents(store, shallows=shallow)

    @property
    def is_cut(self) -> bool:
        """Whether the search came to the end of a history that is cut."""
        return self._provider.is_cut

    def parents_provider(self) -> ParentsProvider:
        """Return the parents of commits."""
        return self._provider


@dataclass(frozen=True)
class _Settings:
    """The settings of a repository that say how to read it."""

    object_format: str
    is_partial: bool

    @classmethod
    def read(cls, work_tree: Path, common: Path, directory: Path) -> _Settings:
        """Read the configuration, without the files that it includes.

        Raises:
            InputError: The repository has a format that is not supported.
        """
        files = [_config(common / "config"), _config(directory / "config.worktree")]
        version, extensions = _text(files[0], "core", "repositoryformatversion") or "0", {}
        if version != "0":
            extensions = {key.decode().lower(): value.decode() for key, value in files[0].items((b"extensions",))}
        where = f"The repository {printable(str(work_tree))}"
        unknown = sorted(set(extensions) - _FORMATS)
        if version not in {"0", "1"} or unknown:
            raise InputError(f"{where} has a format that is not supported: {printable(', '.join(unknown) or version)}.")
        if extensions.get("refstorage", "files") != "files":
            raise InputError(
                f"{where} stores its branches as {printable(extensions['refstorage'])}, which is not supported.",
                "Convert them: git refs migrate --ref-format=files.",
            )
        if extensions.get("objectformat", "sha1") not in {"sha1", "sha256"}:
            raise InputError(f"{where} has objects of the format {printable(extensions['objectformat'])}.")
        if any(_text(file, "core", "worktree") for file in files):
            raise InputError(
                f"{where} is a submodule, or has its files in another directory (core.worktree).",
                "Name gates files of the repository itself, or clone the submodule on its own.",
            )
        is_partial = "partialclone" in extensions or any(
            section[:1] == (b"remote",) and _text(files[0], "remote", "promisor", section[1].decode()) == "true"
            for section in files[0].sections()
            if len(section) == 2
        )
        return cls(extensions.get("objectformat", "sha1"), is_partial)


def _config(path: Path) -> ConfigFile:
    try:
        with open(path, "rb", opener=open_regular) as file:
            if os.fstat(file.fileno()).st_size > _MAX_SETTINGS:
                raise FileFormatException(f"{path.name} is larger than {_MAX_SETTINGS:,} bytes")
            return ConfigFile.from_file(file, expand_includes=False)
    except FileNotFoundError:
        return ConfigFile()
    except ValueError:
        # The message of the library quotes the line, which can have a login.
        raise FileFormatException(f"{path.name} is malformed") from None


def _text(file: ConfigFile, section: str, name: str, subsection: str = "") -> str:
    keys = (section.encode(), subsection.encode()) if subsection else (section.encode(),)
    try:
        return file.get(keys, name.encode()).decode(errors="replace")
    except KeyError:
        return ""


def _git_directory(work_tree: Path) -> Path:
    """Return the git directory of a work tree: `.git`, or where the file `.git` leads to."""
    path = work_tree / ".git"
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        raise InputError(
            f"{printable(str(path))} is a symbolic link, which is not followed.",
            "Clone the repository, or make a work tree with git worktree.",
        )
    if stat.S_ISDIR(mode):
        return path
    with open(path, "rb", opener=open_regular) as file:
        line = file.read(os.pathconf("/", "PC_PATH_MAX"))
    prefix, _, target = line.rstrip(b"\r\n").partition(b": ")
    if prefix != b"gitdir" or not target:
        raise FileFormatException(".git is neither a directory nor a file that names one")
    directory = work_tree / os.fsdecode(target)
    if not directory.is_dir():
        raise InputError(
            f"{printable(str(path))} names the git directory {printable(os.fsdecode(target))}, which is not here.",
            "Check out the repository whole: a work tree needs its main repository at the same path, also in a"
            " container.",
        )
    return directory


def _common_directory(directory: Path) -> Path:
    """Return the directory that all work trees of a repository share."""
    try:
        with open(directory / "commondir", "rb", opener=open_regular) as file:
            return directory / os.fsdecode(file.read(os.pathconf("/", "PC_PATH_MAX")).rstrip(b"\r\n"))
    except FileNotFoundError:
        pass
    if not (directory / "objects").is_dir():
        raise NotGitRepository("it has no objects")
    return directory


def _shallow_commits(common: Path) -> frozenset[ObjectID]:
    """Return the commits whose parents the checkout does not have."""
    try:
        with open(common / "shallow", "rb", opener=open_regular) as file:
            if os.fstat(file.fileno()).st_size > _MAX_SHALLOW:
                raise FileFormatException(f"shallow is larger than {_MAX_SHALLOW:,} bytes")
            return frozenset(ObjectID(line) for line in file.read(_MAX_SHALLOW).split())
    except FileNotFoundError:
        return frozenset()


@contextmanager
def _readable(work_tree: Path) -> Iterator[None]:
    """Convert the errors about a damaged repository. What the library raises depends on the damage."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, f"read the repository {printable(str(work_tree))}") from error
    except (
        ApplyDeltaError,
        ChecksumMismatch,
        FileFormatException,
        NotGitRepository,
        ObjectMissing,
        RefFormatError,
        SymrefLoop,
        UnresolvedDeltas,
        WrongObjectException,
        AssertionError,
        IndexError,
        KeyError,
        RecursionError,
        TypeError,
        ValueError,
        struct.error,
        zlib.error,
    ) as error:
        reason = printable(" ".join(str(error).split())) or type(error).__name__
        raise StorageError(
            f"The repository {printable(str(work_tree))} cannot be read: {reason}.", _BROKEN_REMEDY
        ) from error


def _id(name: str) -> ObjectID:
    return ObjectID(name.encode())


def _parents_of(commit: Commit) -> CommitParents:
    return CommitParents(commit.id.decode(), tuple(parent.decode() for parent in commit.parents))

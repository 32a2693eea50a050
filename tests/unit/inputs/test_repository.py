"""Commits and files are read from a git directory as `git` reads them, and nothing of its configuration runs."""

from __future__ import annotations

import itertools
import os
import shutil
import zlib
from pathlib import Path

import pytest

from model_gate.errors import InputError, StorageError
from model_gate.inputs.repository import MissingObjectError, Repository, TooLargeError
from tests.support.checkouts import Checkout, git


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A repository with a merge, tags and packed branches. Tests must not change it."""
    checkout = Checkout.init(tmp_path_factory.mktemp("history") / "repository")
    checkout.commit({"gates.yaml": "gates: {a: 1}\n", "seals/a.json": "{}"}, when=100)
    checkout.git("tag", "light")
    checkout.git("tag", "--annotate", "--message=A tag", "annotated")
    checkout.git("checkout", "--quiet", "-b", "topic/größe")
    checkout.commit({"gates.yaml": "gates: {a: 2}\n"}, when=200)
    checkout.git("pack-refs", "--all")
    checkout.git("checkout", "--quiet", "main")
    checkout.commit({"other": "x"}, when=300)
    checkout.git("merge", "--quiet", "--no-ff", "--message=Merge", "topic/größe", when=400)
    checkout.git("update-ref", "refs/remotes/origin/main", "HEAD~1")
    checkout.git("gc", "--quiet")
    checkout.commit({"gates.yaml": "gates: {a: 3}\n"}, when=500)
    return checkout


REVISIONS = [
    *("HEAD", "@", "main", "heads/main", "refs/heads/main", "origin/main", "light", "annotated", "topic/größe"),
    *("HEAD~1", "HEAD~", "HEAD^", "HEAD^1", "HEAD^0", "HEAD~0", "HEAD~1^2", "HEAD~1^2~1", "@~2", "HEAD~1^1~1"),
    *("annotated^{commit}", "annotated^{}", "annotated^0", "topic/größe~1", "HEAD^^", "HEAD^^2"),
]


def test_a_revision_names_the_commit_that_git_names(history: Checkout) -> None:
    expected = history.git("rev-parse", *(f"{revision}^{{commit}}" for revision in REVISIONS)).split()
    with Repository(history.path) as repository:
        assert [repository.commit(revision).id for revision in REVISIONS] == expected
        assert [repository.commit(commit).id for commit in expected] == expected
        assert [repository.commit(f"{commit[:10]}~0").id for commit in expected] == expected


def test_the_parents_of_a_merge_are_in_order(history: Checkout) -> None:
    with Repository(history.path) as repository:
        parents = repository.commit("HEAD~1").parents
    assert list(parents) == history.git("rev-parse", "HEAD~2", "HEAD~1^2").split()


@pytest.mark.parametrize(
    "revision, message",
    [
        ("", "is not one revision"),
        ("main..HEAD", "is not one revision"),
        ("main...HEAD", "is not one revision"),
        ("main@{1}", "is not one revision"),
        (":/Merge", "is not one revision"),
        ("main:gates.yaml", "is not one revision"),
        ("--upload-pack=touch", "is not one revision"),
        ("main\n", "is not one revision"),
        ("../../etc/passwd", "is not one revision"),
        ("config", "has no revision 'config'"),
        ("orign/main", "has no revision 'orign/main'"),
        ("HEAD~9", "has 0 parents"),
        ("HEAD^2", "has 1 parent, so"),
        ("0" * 40, "has no commit 000000000000"),
        ("light^{tree}", "is not one revision"),
    ],
)
def test_a_revision_that_names_no_commit_is_an_error(history: Checkout, revision: str, message: str) -> None:
    with Repository(history.path) as repository, pytest.raises(InputError, match=message) as caught:
        repository.commit(revision)
    assert caught.value.remedy


def test_a_near_revision_is_suggested(history: Checkout) -> None:
    with Repository(history.path) as repository, pytest.raises(InputError) as caught:
        repository.commit("orign/main")
    assert caught.value.remedy == "Did you mean origin/main?"


def test_a_tree_is_no_commit(history: Checkout) -> None:
    with Repository(history.path) as repository, pytest.raises(InputError, match="names no commit"):
        repository.commit(history.git("rev-parse", "HEAD^{tree}"))


def test_merge_bases_are_those_of_git(history: Checkout) -> None:
    names = ["HEAD", "HEAD~1", "light", "topic/größe", "origin/main"]
    ids = [history.git("rev-parse", f"{name}^{{commit}}") for name in names]
    with Repository(history.path) as repository:
        for left, right in itertools.combinations(ids, 2):
            assert repository.merge_bases(left, right) == (history.git("merge-base", "--all", left, right),)
            assert repository.merge_bases(right, left) == repository.merge_bases(left, right)


def test_crossed_merges_have_several_merge_bases(tmp_path: Path) -> None:
    checkout = Checkout.init(tmp_path / "repository")
    checkout.commit({"a": "1"}, when=1)
    checkout.git("checkout", "--quiet", "-b", "topic")
    checkout.commit({"b": "1"}, when=2)
    checkout.git("checkout", "--quiet", "main")
    checkout.commit({"c": "1"}, when=3)
    checkout.git("merge", "--quiet", "--no-ff", "--message=One", "topic~0", when=4)
    checkout.git("checkout", "--quiet", "topic")
    checkout.git("merge", "--quiet", "--no-ff", "--message=Two", "main~1", when=5)
    expected = set(checkout.git("merge-base", "--all", "main", "topic").split())
    with Repository(checkout.path) as repository:
        bases = repository.merge_bases(repository.commit("main").id, repository.commit("topic").id)
    assert len(expected) == 2
    assert set(bases) == expected


def test_wrong_times_of_commits_do_not_add_a_merge_base(tmp_path: Path) -> None:
    checkout = Checkout.init(tmp_path / "repository")
    old = checkout.commit({"a": "1"}, when=500)
    checkout.commit({"a": "2"}, when=90)
    best = checkout.commit({"a": "3"}, when=100)
    left, right = (
        checkout.git("commit-tree", "HEAD^{tree}", "-p", old, "-p", best, "-m", name, when=900) for name in ("L", "R")
    )
    with Repository(checkout.path) as repository:
        assert repository.merge_bases(left, right) == (best,)
    assert checkout.git("merge-base", "--all", left, right) == best


def test_content_and_links_of_a_commit_are_read(tmp_path: Path) -> None:
    checkout = Checkout.init(tmp_path / "repository")
    (checkout.path / "link").symlink_to("/etc/passwd")
    (checkout.path / "directory").symlink_to("/etc")
    commit = checkout.commit({"ci/gates.yaml": b"\xef\xbb\xbfgates:\r\n", "ci/größe.json": "{}"})
    with Repository(checkout.path) as repository:
        entry = repository.entry(commit, "ci/gates.yaml")
        assert entry is not None
        assert entry.is_file
        assert repository.content(entry, 100) == b"\xef\xbb\xbfgates:\r\n"
        assert repository.id_of(b"\xef\xbb\xbfgates:\r\n") == entry.id
        with pytest.raises(TooLargeError):
            repository.content(entry, 10)
        link = repository.entry(commit, "link")
        assert link is not None
        assert not link.is_file
        assert repository.entry(commit, "directory/passwd") is None
        assert repository.entry(commit, "ci/gates.yaml/below") is None
        assert repository.entry(commit, "nothing") is None
        assert dict(repository.files_below(commit, "ci")).keys() == {"ci/gates.yaml", "ci/größe.json"}
        assert dict(repository.files_below(commit, "")).keys() == {"ci/gates.yaml", "ci/größe.json"}
        assert list(repository.files_below(commit, "link")) == []


def test_a_work_tree_has_its_own_head(history: Checkout, tmp_path: Path) -> None:
    copy = tmp_path / "repository"
    shutil.copytree(history.path, copy)
    git(copy, "worktree", "add", "--quiet", str(tmp_path / "tree"), "HEAD~2")
    with Repository.of_file(tmp_path / "tree" / "gates.yaml") as repository:
        assert repository.work_tree == tmp_path / "tree"
        assert repository.head().id == history.git("rev-parse", "HEAD~2")
        assert repository.commit("main").id == history.git("rev-parse", "main")
        assert repository.path_of(tmp_path / "tree" / "ci" / "gates.yaml") == "ci/gates.yaml"
        assert repository.path_of(tmp_path / "tree") == ""
        assert repository.path_of(copy / "gates.yaml") is None


def test_a_work_tree_without_its_repository_is_an_error(history: Checkout, tmp_path: Path) -> None:
    copy = tmp_path / "repository"
    shutil.copytree(history.path, copy)
    git(copy, "worktree", "add", "--quiet", str(tmp_path / "tree"), "HEAD")
    copy.rename(tmp_path / "moved")
    with pytest.raises(InputError, match="which is not here"):
        Repository(tmp_path / "tree")


def test_a_repository_with_borrowed_objects_is_read(history: Checkout, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--shared", str(history.path), "borrower")
    with Repository(tmp_path / "borrower") as repository:
        assert repository.commit("HEAD~3").id == history.git("rev-parse", "HEAD~3")


def test_borrowing_in_a_circle_is_an_error(history: Checkout, tmp_path: Path) -> None:
    shutil.copytree(history.path, tmp_path / "repository")
    objects = tmp_path / "repository" / ".git" / "objects"
    (objects / "info").mkdir(exist_ok=True)
    (objects / "info" / "alternates").write_text(f"{objects}\n")
    with Repository(tmp_path / "repository") as repository, pytest.raises(StorageError, match="cannot be read"):
        repository.commit("0" * 40)


def test_a_repository_with_sha256_is_read(tmp_path: Path) -> None:
    checkout = Checkout.init(tmp_path / "repository", "--object-format=sha256")
    first = checkout.commit({"gates.yaml": "gates:\n"})
    checkout.commit({"gates.yaml": None})
    checkout.git("gc", "--quiet")
    with Repository(checkout.path) as repository:
        assert len(first) == 64
        assert repository.commit("HEAD~1").id == first
        entry = repository.entry(first, "gates.yaml")
        assert entry is not None
        assert repository.content(entry, 100) == b"gates:\n"
        assert repository.id_of(b"gates:\n") == entry.id
        assert repository.merge_bases(first, repository.head().id) == (first,)


def test_a_file_outside_of_a_repository_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not in a git checkout") as caught:
        Repository.of_file(tmp_path / "gates.yaml")
    assert "actions/checkout" in caught.value.remedy


def test_a_bare_repository_in_the_files_is_not_used(history: Checkout, tmp_path: Path) -> None:
    """A pull request can add the files of a bare repository, but no file whose name is `.git`."""
    git(tmp_path, "clone", "--quiet", "--bare", str(history.path), "files")
    with pytest.raises(InputError, match="is not in a git checkout"):
        Repository.of_file(tmp_path / "files" / "gates.yaml")


def test_a_submodule_is_an_error(history: Checkout, tmp_path: Path) -> None:
    outer = Checkout.init(tmp_path / "outer")
    outer.git("submodule", "--quiet", "add", str(history.path), "inner")
    outer.commit({"gates.yaml": "gates:\n"})
    with pytest.raises(InputError, match="is a submodule"):
        Repository.of_file(outer.path / "inner" / "gates.yaml")
    with Repository.of_file(outer.path / "gates.yaml") as repository:
        assert repository.entry(repository.head().id, "inner/gates.yaml") is None


def test_a_repository_without_commits_is_an_error(tmp_path: Path) -> None:
    checkout = Checkout.init(tmp_path / "repository")
    with Repository(checkout.path) as repository, pytest.raises(InputError, match="has no commit yet"):
        repository.head()


def test_a_linked_git_directory_is_an_error(history: Checkout, tmp_path: Path) -> None:
    (tmp_path / ".git").symlink_to(history.path / ".git")
    with pytest.raises(InputError, match="is a symbolic link"):
        Repository.of_file(tmp_path / "gates.yaml")


@pytest.mark.parametrize(
    "section, message",
    [
        ("[core]\nrepositoryformatversion = 2\n", "format that is not supported: 2"),
        ("[core]\nrepositoryformatversion = 1\n[extensions]\nnewThing = true\n", "not supported: newthing"),
        ("[core]\nrepositoryformatversion = 1\n[extensions]\nobjectFormat = md5\n", "of the format md5"),
        ("[core]\nrepositoryformatversion = 1\n[extensions]\nrefStorage = reftable\n", "branches as reftable"),
        ("[core]\nworktree = ../elsewhere\n", "in another directory"),
    ],
)
def test_an_unsupported_format_is_an_error_and_changes_nothing(
    history: Checkout, tmp_path: Path, section: str, message: str
) -> None:
    shutil.copytree(history.path, tmp_path / "repository")
    (tmp_path / "repository" / ".git" / "config").write_text(section)
    before = sorted(map(str, (tmp_path / "repository").rglob("*")))
    with pytest.raises(InputError, match=message):
        Repository(tmp_path / "repository")
    assert sorted(map(str, (tmp_path / "repository").rglob("*"))) == before


def _read(path: Path) -> None:
    with Repository(path) as repository:
        for revision in ("HEAD", "HEAD~1", "HEAD~3"):
            repository.commit(revision)


def _truncate(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:40])


@pytest.mark.parametrize("damage", ["pack", "idx", "loose", "bomb", "config", "shallow", "gitfile", "empty", "loop"])
def test_a_damaged_repository_is_an_error(history: Checkout, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "repository"
    shutil.copytree(history.path, path)
    directory = path / ".git"
    head = history.git("rev-parse", "HEAD")
    if damage in {"pack", "idx"}:
        for file in directory.glob(f"objects/pack/*.{damage}"):
            _truncate(file)
    elif damage == "loose":
        _truncate(directory / "objects" / head[:2] / head[2:])
    elif damage == "bomb":
        file = directory / "objects" / head[:2] / head[2:]
        file.chmod(0o644)
        file.write_bytes(zlib.compress(b"commit 900000000\0" + bytes(70 * 1024 * 1024), 1))
    elif damage == "config":
        (directory / "config").write_text("no section = 1\n")
    elif damage == "shallow":
        (directory / "shallow").mkdir()
    elif damage == "gitfile":
        shutil.rmtree(directory)
        directory.write_text("nothing\n")
    elif damage == "empty":
        shutil.rmtree(directory)
        directory.mkdir()
    else:
        (directory / "HEAD").write_text("ref: refs/heads/loop\n")
        (directory / "refs" / "heads" / "loop").write_text("ref: refs/heads/loop\n")
    with pytest.raises(StorageError, match=r"cannot be read|read the repository") as caught:
        _read(path)
    assert str(path) in caught.value.message
    assert ("exceeds maximum size" in caught.value.message) == (damage == "bomb")


@pytest.mark.parametrize("line", ["extraheader: AUTHORIZATION: basic s3cret", "[http]\nbad_name = s3cret"])
def test_a_login_in_a_malformed_configuration_is_not_shown(history: Checkout, tmp_path: Path, line: str) -> None:
    shutil.copytree(history.path, tmp_path / "repository")
    (tmp_path / "repository" / ".git" / "config").write_text(line)
    with pytest.raises(StorageError, match="config is malformed") as caught:
        Repository(tmp_path / "repository")
    assert "s3cret" not in str(caught.value.__cause__)
    assert "s3cret" not in f"{caught.value.message}{caught.value.remedy}{caught.value.detail}"


def test_a_fifo_in_the_git_directory_does_not_wait(history: Checkout, tmp_path: Path) -> None:
    shutil.copytree(history.path, tmp_path / "repository")
    config = tmp_path / "repository" / ".git" / "config"
    config.unlink()
    os.mkfifo(config)
    with pytest.raises(StorageError):
        Repository(tmp_path / "repository")


@pytest.mark.parametrize("depth", [1, 2])
def test_a_shallow_clone_has_the_commits_up_to_its_depth(history: Checkout, tmp_path: Path, depth: int) -> None:
    clone = history.clone(tmp_path / "clone", f"--depth={depth}")
    with Repository(clone.path) as repository:
        assert repository.is_shallow
        assert repository.head().id == history.git("rev-parse", "main")
        assert repository.head().parents == (history.git("rev-parse", "main~1"),)
        repository.commit(f"HEAD~{depth - 1}")
        with pytest.raises(InputError, match="its history is cut") as caught:
            repository.commit(f"HEAD~{depth}")
        assert "fetch-depth: 0" in caught.value.remedy
        with pytest.raises(InputError, match="has no revision") as caught:
            repository.commit("origin/main")
        assert "fetch-depth: 0" in caught.value.remedy


def test_the_merge_base_in_a_cut_history_is_known_only_if_no_cut_can_hide_a_better_one(
    history: Checkout, tmp_path: Path
) -> None:
    clone = history.clone(tmp_path / "clone", "--depth=2")
    clone.git("fetch", "--quiet", "--depth=1", "origin", "topic/größe:topic")
    with Repository(clone.path) as repository:
        head, parent, topic = (repository.commit(name).id for name in ("HEAD", "HEAD~1", "topic"))
        assert repository.merge_bases(parent, head) == (parent,)
        with pytest.raises(InputError, match="ends before the common ancestor") as caught:
            repository.merge_bases(topic, head)
    assert "fetch-depth: 0" in caught.value.remedy


def test_a_partial_clone_lacks_the_content_of_old_files(history: Checkout, tmp_path: Path) -> None:
    history.git("config", "uploadpack.allowFilter", "true")
    clone = history.clone(tmp_path / "clone", "--filter=blob:none")
    with Repository(clone.path) as repository:
        assert repository.is_partial
        base = repository.commit("HEAD~1").id
        entry = repository.entry(base, "gates.yaml")
        assert entry is not None
        with pytest.raises(MissingObjectError):
            repository.content(entry, 100)


def test_a_clone_without_trees_is_an_error(history: Checkout, tmp_path: Path) -> None:
    history.git("config", "uploadpack.allowFilter", "true")
    clone = history.clone(tmp_path / "clone", "--filter=tree:0")
    with Repository(clone.path) as repository, pytest.raises(InputError, match="does not have all directories"):
        repository.entry(repository.commit("HEAD~1").id, "gates.yaml")

"""Changes are found in real checkouts: clones of a depth, merge commits, work trees, and repositories of a stranger."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from model_gate.action.event import base_of_event
from model_gate.errors import ConfigError, InputError
from model_gate.inputs.changed_since import changes_since, checked_out_commit
from model_gate.inputs.changes import Base, Changes, NoBase
from tests.support.checkouts import ENVIRONMENT, Checkout, git

WINE = "  wine: {check: {server: prod, model: Wine, version_or_stage: 1}, seal: seals/Wine.json}\n"
BEER = "  beer: {check: {server: prod, model: Beer, version_or_stage: 1}}\n"
ALL = "  all: {select: {server: prod, models: '*', version_or_stage: latest}, against: {seals: 'seals/{model}.json'}}\n"
GATES = f"gates:\n{WINE}{BEER}{ALL}"
FILES: dict[str, str | bytes | None] = {"gates.yaml": GATES, "seals/Wine.json": "{1}\n", "seals/Beer.json": "{2}\n"}


def since(revision: str | Base | NoBase, *names: str) -> Changes:
    """Return the changes of gates files in the working directory."""
    base = Base(revision, revision) if isinstance(revision, str) else revision
    return changes_since([Path(name) for name in names or ("gates.yaml",)], base)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A repository with two commits on `main`, the branch `topic`, and their merge. Tests must not change it."""
    checkout = Checkout.init(tmp_path_factory.mktemp("original") / "repository")
    checkout.commit(FILES, when=100)
    checkout.git("checkout", "--quiet", "-b", "topic")
    checkout.commit({"gates.yaml": GATES.replace("Beer, version_or_stage: 1", "Beer, version_or_stage: 2")}, when=200)
    checkout.git("checkout", "--quiet", "main")
    checkout.commit({"gates.yaml": f"{GATES}{BEER.replace('beer', 'ale')}"}, when=300)
    checkout.git("checkout", "--quiet", "-b", "merge")
    checkout.git("merge", "--quiet", "--no-ff", "--message=Merge", "topic", when=400)
    return checkout


@pytest.fixture
def checkout(original: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """The working directory: a copy of the repository with `topic` checked out."""
    shutil.copytree(original.path, tmp_path / "work", symlinks=True)
    checkout = Checkout(tmp_path / "work")
    checkout.git("checkout", "--quiet", "topic")
    monkeypatch.chdir(checkout.path)
    return checkout


def event_of(original: Checkout) -> dict[str, object]:
    """Return the payload of a pull request from `topic` to `main`, opened when `main` had its first commit."""
    base, head = original.git("rev-parse", "main~1", "topic").split()
    return {"pull_request": {"base": {"sha": base, "ref": "main"}, "head": {"sha": head}}}


def test_a_branch_is_compared_with_its_common_ancestor(checkout: Checkout) -> None:
    changes = since("main")
    assert changes.changed == {"beer"}
    assert changes.removed == ()
    assert [entry.name for entry in changes.left_out] == ["wine", "all"]
    assert {entry.reason for entry in changes.left_out} == {"not changed since main"}


def test_an_exact_base_is_compared_itself(checkout: Checkout) -> None:
    changes = since(Base("main", "main", is_exact=True))
    assert changes.changed == {"beer"}
    assert changes.removed == ("ale",)


def test_changes_that_are_not_committed_count(checkout: Checkout) -> None:
    Path("gates.yaml").write_text(GATES.replace("Wine, version", "Port, version"))
    assert since("HEAD").changed == {"wine", "beer"}


def test_a_byte_order_mark_is_no_change(checkout: Checkout) -> None:
    Path("gates.yaml").write_bytes(b"\xef\xbb\xbf" + Path("gates.yaml").read_bytes())
    assert since("HEAD").changed == frozenset()
    checkout.commit({})
    assert since("HEAD").changed == since("HEAD~1").changed == frozenset()


def test_line_breaks_of_another_system_are_no_change(checkout: Checkout) -> None:
    for name in FILES:
        Path(name).write_bytes(Path(name).read_bytes().replace(b"\n", b"\r\n"))
    assert since("HEAD").changed == frozenset()
    checkout.commit({})
    assert since("HEAD").changed == since("HEAD~1").changed == frozenset()


def test_entries_of_a_moved_file_count_as_changed_unless_both_files_are_named(checkout: Checkout) -> None:
    checkout.commit({"ci/gates.yaml": Path("gates.yaml").read_text(), "gates.yaml": None})
    assert since("HEAD~1", "ci/gates.yaml").changed == {"wine", "beer", "all"}
    checkout.commit({"gates.yaml": "gates:\n" + WINE, "ci/gates.yaml": f"gates:\n{BEER}{ALL}"})
    checkout.commit({"gates.yaml": f"gates:\n{WINE}{ALL}", "ci/gates.yaml": f"gates:\n{BEER}"})
    assert since("HEAD~1", "gates.yaml", "ci/gates.yaml").changed == frozenset()


def test_a_file_that_was_a_link_counts_as_changed(checkout: Checkout) -> None:
    checkout.commit({"other.yaml": GATES, "gates.yaml": None})
    Path("gates.yaml").symlink_to("other.yaml")
    checkout.commit({})
    Path("gates.yaml").unlink()
    Path("gates.yaml").write_text(GATES)
    changes = since("HEAD")
    assert changes.changed == {"wine", "beer", "all"}
    assert changes.notices == ("gates.yaml was not a regular file at HEAD, so all its entries count as changed.",)


def test_a_file_that_is_a_link_now_is_an_error(checkout: Checkout) -> None:
    Path("gates.yaml").rename("other.yaml")
    Path("gates.yaml").symlink_to("other.yaml")
    with pytest.raises(ConfigError, match="symbolic link"):
        since("HEAD")


@pytest.mark.parametrize(
    "content, problem",
    [
        (b"\xff\xfe", "was not UTF-8"),
        (b"#" * 10_485_761, "was larger than 10,485,760 bytes"),
        (b"[", "was not a valid"),
    ],
    ids=["encoding", "size", "syntax"],
)
def test_a_file_that_could_not_be_read_counts_as_changed(checkout: Checkout, content: bytes, problem: str) -> None:
    checkout.commit({"gates.yaml": content})
    Path("gates.yaml").write_text(GATES)
    changes = since("HEAD")
    assert changes.changed == {"wine", "beer", "all"}
    assert problem in changes.notices[0]


def test_a_changed_seal_alters_the_entries_that_name_it(checkout: Checkout) -> None:
    Path("seals/Wine.json").write_text("{3}\n")
    changes = since("HEAD")
    assert changes.changed == {"wine", "all"}
    assert [entry.name for entry in changes.left_out] == ["beer"]
    assert any("The seal seals/Wine.json changed" in notice for notice in changes.notices)


@pytest.mark.parametrize(
    "change",
    [
        lambda: Path("seals/Beer.json").write_text("{3}\n"),
        lambda: Path("seals/Beer.json").unlink(),
        lambda: Path("seals/Ale.json").write_text("{3}\n"),
        lambda: Path("seals/Beer.json").rename("seals/Ale.json"),
    ],
    ids=["altered", "removed", "added", "renamed"],
)
@pytest.mark.parametrize("directory", ["seals/", "./seals/", "seals//", "seals/./"])
def test_a_changed_seal_of_a_pattern_alters_the_selection(checkout: Checkout, change: object, directory: str) -> None:
    checkout.commit({"gates.yaml": GATES.replace("seals/{model}", f"{directory}{{model}}")})
    assert since("HEAD").changed == frozenset()
    assert callable(change)
    change()
    assert since("HEAD").changed == {"all"}


@pytest.mark.parametrize("path", ["./seals/Wine.json", "seals//Wine.json", "seals/./Wine.json"])
def test_a_changed_seal_alters_its_entry_however_its_path_is_written(checkout: Checkout, path: str) -> None:
    checkout.commit({"gates.yaml": GATES.replace("seal: seals/Wine.json", f"seal: {path}")})
    assert since("HEAD").changed == frozenset()
    Path("seals/Wine.json").write_text("{3}\n")
    assert since("HEAD").changed == {"wine", "all"}


def test_files_beside_the_seals_of_a_pattern_do_not_count(checkout: Checkout) -> None:
    Path("seals/README.md").write_text("Text\n")
    Path("seals/link.txt").symlink_to("/etc/passwd")
    assert since("HEAD").changed == frozenset()


def test_a_seal_that_becomes_a_link_alters_its_entries(checkout: Checkout) -> None:
    Path("seals/Wine.json").rename("other.json")
    Path("seals/Wine.json").symlink_to("../other.json")
    assert since("HEAD").changed == {"wine", "all"}


def test_a_seal_outside_of_the_repository_alters_its_entries(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkout.path.parent)
    changes = since("HEAD", "work/gates.yaml")
    assert changes.changed == {"wine", "all"}
    assert "The seal seals/Wine.json is not in the repository of the gates file" in " ".join(changes.notices)


def test_gates_files_of_two_repositories_are_an_error(checkout: Checkout, tmp_path: Path) -> None:
    other = Checkout.init(tmp_path / "other")
    other.commit({"gates.yaml": "gates:\n" + BEER})
    with pytest.raises(InputError, match="is not in the repository"):
        since("HEAD", "gates.yaml", str(other.path / "gates.yaml"))


def test_without_a_base_every_entry_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("gates.yaml").write_text(GATES)
    assert since(NoBase("the event is schedule, which has no base")).changed == {"wine", "beer", "all"}


def test_unrelated_histories_are_an_error(checkout: Checkout) -> None:
    checkout.git("checkout", "--quiet", "--orphan", "new")
    checkout.commit({})
    with pytest.raises(InputError, match="main and the checked-out commit have no common ancestor"):
        since("main")


def test_an_entry_that_differs_from_one_of_two_merge_bases_is_changed(checkout: Checkout) -> None:
    checkout.git("checkout", "--quiet", "-b", "left", "main~1")
    checkout.commit({"gates.yaml": GATES.replace("Wine, version_or_stage: 1", "Wine, version_or_stage: 2")}, when=500)
    checkout.git("checkout", "--quiet", "-b", "right", "main~1")
    checkout.commit({"other": "x"}, when=500)
    checkout.git("tag", "tip")
    checkout.git("merge", "--quiet", "--no-ff", "--message=One", "left", when=600)
    checkout.git("checkout", "--quiet", "left")
    checkout.git("merge", "--quiet", "--no-ff", "--message=Two", "tip", when=600)
    assert since("right").changed == {"wine"}


def test_a_work_tree_of_git_is_compared(checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(checkout.path, "worktree", "add", "--quiet", str(tmp_path / "tree"), "merge")
    monkeypatch.chdir(tmp_path / "tree")
    assert since("topic").changed == {"ale"}


class TestPullRequest:
    """Checkouts of a pull request as `actions/checkout` makes them."""

    def test_depth_1_of_the_merge_commit_needs_depth_2(
        self, original: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clone = original.clone(tmp_path / "clone", "--depth=1", ref="merge")
        monkeypatch.chdir(clone.path)
        base = base_of_event("pull_request", event_of(original), checked_out_commit(Path("gates.yaml")))
        with pytest.raises(InputError, match="its history is cut") as caught:
            since(base)
        assert caught.value.remedy == (
            "In the workflow, add `fetch-depth: 2` below `with:` of the step actions/checkout. It fetches 2 commits."
        )

    def test_depth_2_of_the_merge_commit_is_enough(
        self, original: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clone = original.clone(tmp_path / "clone", "--depth=2", ref="merge")
        monkeypatch.chdir(clone.path)
        base = base_of_event("pull_request", event_of(original), checked_out_commit(Path("gates.yaml")))
        changes = since(base)
        assert changes.base == "main"
        assert changes.changed == {"beer"}
        assert [entry.name for entry in changes.left_out] == ["wine", "all", "ale"]

    @pytest.mark.parametrize("depth", [1, 2])
    def test_the_head_needs_the_whole_history(
        self, original: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, depth: int
    ) -> None:
        clone = original.clone(tmp_path / "clone", f"--depth={depth}", ref="topic")
        monkeypatch.chdir(clone.path)
        # The pull request was updated from `main`, whose second commit is not in the clone.
        base = Base(original.git("rev-parse", "main"), "main")
        with pytest.raises(InputError, match="its history is cut"):
            since(base)
        clone.git("fetch", "--quiet", "--unshallow", "origin", "+refs/heads/*:refs/remotes/origin/*")
        assert since(base).changed == since("origin/main").changed == {"beer"}

    def test_a_changed_file_of_a_partial_clone_counts_as_changed(
        self, original: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shutil.copytree(original.path, tmp_path / "origin")
        origin = Checkout(tmp_path / "origin")
        origin.git("config", "uploadpack.allowFilter", "true")
        clone = origin.clone(tmp_path / "clone", "--depth=2", "--filter=blob:none", ref="merge")
        monkeypatch.chdir(clone.path)
        changes = since(Base("HEAD^1", "main", is_exact=True))
        assert changes.changed == {"wine", "beer", "all", "ale"}
        assert "is not in this partial clone" in changes.notices[0]

    def test_an_unchanged_file_of_a_partial_clone_is_not_changed(
        self, original: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shutil.copytree(original.path, tmp_path / "origin")
        origin = Checkout(tmp_path / "origin")
        origin.git("config", "uploadpack.allowFilter", "true")
        origin.git("checkout", "--quiet", "main")
        origin.commit({"other": "x"})
        clone = origin.clone(tmp_path / "clone", "--depth=2", "--filter=blob:none")
        monkeypatch.chdir(clone.path)
        assert since(Base("HEAD^1", "main", is_exact=True)).changed == frozenset()


def test_nothing_of_a_hostile_configuration_runs(checkout: Checkout, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    touch = f"touch {marker};"
    for name in ("fsmonitor", "sshCommand", "pager", "editor", "hooksPath", "gitProxy"):
        checkout.git("config", f"core.{name}", touch)
    for name in ("filter.x.smudge", "filter.x.clean", "filter.x.process", "diff.x.textconv", "diff.external"):
        checkout.git("config", name, touch)
    checkout.git("config", "alias.log", f"!{touch}")
    checkout.git("config", "include.path", str(tmp_path / "included"))
    (tmp_path / "included").write_text(f"[core]\n\tfsmonitor = {touch}\n[alias]\n\trev-parse = !{touch}\n")
    Path(".gitattributes").write_text("* filter=x diff=x\n")
    hooks = checkout.path / ".git" / "hooks"
    hooks.mkdir()
    for name in ("post-checkout", "fsmonitor-watchman", "reference-transaction"):
        (hooks / name).write_text(f"#!/bin/sh\n{touch}\n")
        (hooks / name).chmod(0o755)
    marker.unlink(missing_ok=True)
    assert since("main").changed == {"beer"}
    assert not marker.exists()
    # The configuration does run something if git reads the files.
    subprocess.run(["git", "status"], cwd=checkout.path, env=ENVIRONMENT, capture_output=True, check=False)
    assert marker.exists()


def test_reading_changes_nothing_in_the_git_directory(checkout: Checkout) -> None:
    def files() -> dict[str, tuple[int, int]]:
        paths = [Path(parent, name) for parent, _, names in os.walk(".git") for name in names]
        return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in paths}

    before = files()
    since("main")
    assert files() == before


def test_no_program_is_started(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert since("main").changed == {"beer"}
    assert checked_out_commit(Path("gates.yaml")).id

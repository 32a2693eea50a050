"""Git repositories that tests make with the `git` program."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "Ann",
    "GIT_AUTHOR_EMAIL": "ann@example.com",
    "GIT_COMMITTER_NAME": "Ann",
    "GIT_COMMITTER_EMAIL": "ann@example.com",
}


def git(directory: Path, *arguments: str, when: int | None = None) -> str:
    """Run git in a directory, and return its output. `when` is the time of a commit."""
    date = {} if when is None else {"GIT_AUTHOR_DATE": f"@{when} +0000", "GIT_COMMITTER_DATE": f"@{when} +0000"}
    command = ["git", "-c", "protocol.file.allow=always", *arguments]
    process = subprocess.run(
        command, cwd=directory, env=ENVIRONMENT | date, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, f"{arguments}: {process.stderr}"
    return process.stdout.strip()


class Checkout:
    """A repository with its checked-out files."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def init(cls, path: Path, *options: str) -> Checkout:
        """Make an empty repository on the branch `main`."""
        path.mkdir(parents=True)
        git(path, "init", "--quiet", "--template=", "--initial-branch=main", *options)
        return cls(path)

    def git(self, *arguments: str, when: int | None = None) -> str:
        """Run git in the repository, and return its output."""
        return git(self.path, *arguments, when=when)

    def commit(self, files: dict[str, str | bytes | None], when: int | None = None) -> str:
        """Write files, or remove those that are None, commit everything, and return the commit's name."""
        for name, content in files.items():
            path = self.path / name
            if content is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message=A change", when=when)
        return self.git("rev-parse", "HEAD")

    def clone(self, path: Path, *options: str, ref: str = "main") -> Checkout:
        """Fetch a ref as `actions/checkout` does, and check it out."""
        clone = Checkout.init(path)
        clone.git("remote", "add", "origin", f"file://{self.path}")
        commit = self.git("rev-parse", ref)
        clone.git("fetch", "--quiet", "--no-tags", *options, "origin", f"+{commit}:refs/remotes/pull/1/merge")
        clone.git("checkout", "--quiet", "--force", "refs/remotes/pull/1/merge")
        return clone

"""Directories of this machine as the listings of Databricks show them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.databricks.emulator.exchange import Answer, Request, Workspace, answer, missing, page


def infos(root: Path, path: str) -> list[dict[str, Any]]:
    """MLflow's listing: paths relative to `root`; a file lists itself."""
    target = root / path
    if target.is_file():
        return [_info(target, root)]
    return [_info(entry, root) for entry in sorted(target.iterdir())] if target.is_dir() else []


def _info(entry: Path, root: Path) -> dict[str, Any]:
    path = entry.relative_to(root).as_posix()
    if entry.is_dir():
        return {"path": path, "is_dir": True}
    return {"path": path, "is_dir": False, "file_size": entry.stat().st_size}


def directory(workspace: Workspace, request: Request, root: Path, address: str, path: str) -> Answer:
    """The Files API's listing of a directory (`HEAD` and `GET fs/directories/…`)."""
    target = root / path
    if not target.is_dir():
        raise missing(f"The directory {address}/{path}")
    entries = [
        {
            "path": "/".join(filter(None, (address, path, entry.name))),
            "name": entry.name,
            "is_directory": entry.is_dir(),
            **({} if entry.is_dir() else {"file_size": entry.stat().st_size}),
        }
        for entry in sorted(target.iterdir())
    ]
    return answer(page(entries, "contents", request.asked.get("page_token", ""), workspace.settings.page_size))


def contents(root: Path, path: str) -> Answer:
    """A file's bytes (`GET fs/files/…`)."""
    target = root / path
    if not target.is_file():
        raise missing(f"The file {path}")
    return Answer(200, target.read_bytes(), {"Content-Type": "application/octet-stream"})


def download_url(workspace: Workspace, root: Path, path: str) -> Answer:
    """A presigned URL (`POST fs/create-download-url`)."""
    if not (root / path).is_file():
        raise missing(f"The file {path}")
    url, headers = workspace.sign(str(root / path))
    return answer({"url": url, "headers": headers})

"""Listings and files of local directories in the formats of the Databricks APIs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.databricks.emulator.messages import Request, Response, Workspace, json_response, not_found, page


def infos(root: Path, path: str) -> list[dict[str, Any]]:
    """Return the entries of a directory in MLflow's format, with paths relative to `root`.

    The only entry for a file is the file itself. There is no entry for a missing path.
    """
    target = root / path
    if target.is_file():
        return [_info(target, root)]
    return [_info(entry, root) for entry in sorted(target.iterdir())] if target.is_dir() else []


def _info(entry: Path, root: Path) -> dict[str, Any]:
    path = entry.relative_to(root).as_posix()
    if entry.is_dir():
        return {"path": path, "is_dir": True}
    return {"path": path, "is_dir": False, "file_size": entry.stat().st_size}


def directory(workspace: Workspace, request: Request, root: Path, address: str, path: str) -> Response:
    """Return the response of the Files API to the listing of a directory (`HEAD` and `GET fs/directories/…`)."""
    target = root / path
    if not target.is_dir():
        raise not_found(f"The directory {address}/{path}")
    entries = [
        {
            "path": "/".join(filter(None, (address, path, entry.name))),
            "name": entry.name,
            "is_directory": entry.is_dir(),
            **({} if entry.is_dir() else {"file_size": entry.stat().st_size}),
        }
        for entry in sorted(target.iterdir())
    ]
    return json_response(
        page(entries, "contents", request.parameters.get("page_token", ""), workspace.settings.page_size)
    )


def contents(root: Path, path: str) -> Response:
    """Return the response of the Files API with the bytes of a file (`GET fs/files/…`)."""
    target = root / path
    if not target.is_file():
        raise not_found(f"The file {path}")
    return Response(200, target.read_bytes(), {"Content-Type": "application/octet-stream"})


def download_url(workspace: Workspace, root: Path, path: str) -> Response:
    """Return the response of the Files API with a presigned URL of a file (`POST fs/create-download-url`)."""
    if not (root / path).is_file():
        raise not_found(f"The file {path}")
    url, headers = workspace.sign(str(root / path))
    return json_response({"url": url, "headers": headers})

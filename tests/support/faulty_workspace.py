"""A Databricks workspace that can respond with faults, and the store behind its presigned URLs.

It implements what a gate needs to read models in three ways: from the workspace registry by presigned URLs, from a
volume by the Files API (with or without presigned URLs), and from DBFS by REST.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.faulty_server import Call, FaultyServer
from tests.support.faulty_store import SECRET, serve_object

_REGISTRY = "/api/2.0/mlflow/model-versions/"
_FILES_API = "/api/2.0/fs/"
_VOLUME = "/Volumes/main/models/all/"
# For each way to read a file, the start of the paths that serve content.
_STARTS = {
    "presigned": ("/signed/",),
    "files-api": ("/signed/", f"{_FILES_API}files{_VOLUME}"),
    "files-plain": (f"{_FILES_API}files{_VOLUME}",),
    "dbfs": ("/dbfs/",),
}


@dataclass
class FaultyWorkspace(FaultyServer):
    """A workspace. Use it as a context manager.

    Attributes:
        way: How models are read: `presigned`, `files-api`, `files-plain` (without presigned URLs) or `dbfs`.
    """

    way: str = "presigned"

    @property
    def variables(self) -> dict[str, str]:
        """The variables with the login and the address of the workspace."""
        return {
            "DATABRICKS_HOST": self.url,
            "DATABRICKS_TOKEN": SECRET,
            "MLFLOW_TRACKING_URI": "databricks",
            "MODEL_GATE_STORE_ENDPOINTS": self.url,
        }

    def location(self, path: str) -> str:
        """Return the location of the directory `path`, whose last part is a version number."""
        prefixes = {"presigned": "models:/", "dbfs": "dbfs:/"}
        return prefixes.get(self.way, f"dbfs:{_VOLUME}") + path

    def content_paths(self, path: str) -> list[str]:
        """Return the paths of the requests for the content of a file."""
        return [start + path for start in _STARTS[self.way]]

    def file_at(self, path: str) -> bytes:
        start = next(start for start in _STARTS[self.way] if path.startswith(start))
        return self.files[path.removeprefix(start)]

    def respond(self, call: Call) -> None:
        path = call.request.path
        query = {name: values[0] for name, values in call.request.query.items()}
        if path.startswith(_STARTS[self.way]):
            serve_object(call)
        elif path == f"{_REGISTRY}list-artifacts":
            root = f"{query['name']}/{query['version']}/"
            call.send_json({"files": self._entries(root, root, query.get("path", ""))})
        elif path == f"{_REGISTRY}get-signed-download-uri":
            call.send_json({"signed_uri": self._sign(f"{query['name']}/{query['version']}/{query['path']}")})
        elif path == "/api/2.0/dbfs/list":
            call.send_json({"files": self._entries("", "", query["path"].strip("/"), start="/")})
        elif path.startswith(f"{_FILES_API}directories{_VOLUME}"):
            self._list_volume(call, path.removeprefix(f"{_FILES_API}directories{_VOLUME}").strip("/"))
        elif path == f"{_FILES_API}create-download-url" and self.way == "files-api":
            call.send_json({"url": self._sign(query["path"].removeprefix(_VOLUME)), "headers": []})
        else:
            call.send_json({"error_code": "ENDPOINT_NOT_FOUND", "message": f"No {path}"}, 404)

    def _sign(self, path: str) -> str:
        return f"{self.url}/signed/{path}?X-Amz-Signature={SECRET}"

    def _list_volume(self, call: Call, directory: str) -> None:
        entries = [
            {"path": entry["path"], "is_directory": entry["is_dir"], "file_size": entry.get("file_size")}
            for entry in self._entries("", "", directory, start=_VOLUME)
        ]
        call.send_json({"contents": entries}) if entries else call.send_json({"error_code": "NOT_FOUND"}, 404)

    def _entries(self, root: str, relative_to: str, directory: str, start: str = "") -> list[dict[str, object]]:
        """Return the entries of a directory below `root`, with `start` before their paths relative to a directory."""
        prefix = root + (f"{directory}/" if directory else "")
        entries: dict[str, dict[str, object]] = {}
        for path, content in self.files.items():
            if path.startswith(prefix):
                name, slash, _ = path.removeprefix(prefix).partition("/")
                shown = start + (prefix + name).removeprefix(relative_to)
                entries[name] = {"path": shown, "is_dir": bool(slash)} | ({} if slash else {"file_size": len(content)})
        return list(entries.values())

"""Registers many small models on two tracking servers, so that a run has many gates."""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tests.support.servers import Server

_THREADS = 8


@dataclass(frozen=True)
class ManyVersions:
    """Models that are registered on two servers, each with one version.

    Attributes:
        prefix: The names of the models start with this text, followed by a number.
        count: Number of models on the first server.
        flipped: Number of the model with one other byte on the second server.
        cut: Number of the model with a file that ends early on the second server.
        missing: Number of the model that the second server does not have.
        extra: Number of a model that only the second server has.
    """

    prefix: str
    count: int
    flipped: int
    cut: int
    missing: int
    extra: int

    @classmethod
    def of(cls, prefix: str, count: int) -> ManyVersions:
        """Return models of which four are faulty, at different places."""
        return cls(prefix, count, flipped=3, cut=count // 2, missing=count - 2, extra=count)

    def name(self, number: int) -> str:
        """Return the name of a model."""
        return f"{self.prefix}{number:04}"

    def register(self, first: Server, second: Server) -> None:
        """Write the files of all models into the servers' stores, and register the models."""
        numbers = range(self.count)
        _register(first, ((self.name(number), _files(number)) for number in numbers))
        others = [number for number in (*numbers, self.extra) if number != self.missing]
        _register(second, ((self.name(number), self._copied(number)) for number in others))

    def _copied(self, number: int) -> dict[str, bytes]:
        files = _files(number)
        if number == self.flipped:
            files["model.pkl"] = files["model.pkl"][:-1] + b"!"
        elif number == self.cut:
            files["model.pkl"] = files["model.pkl"][:-7]
        return files


def _files(number: int) -> dict[str, bytes]:
    mlmodel = "flavors:\n  python_function:\n    loader_module: mlflow.sklearn\n    model_path: model.pkl\n"
    content = b"".join(b"%d,%d;" % (number, index) for index in range(200))
    return {"MLmodel": mlmodel.encode(), "model.pkl": content, "requirements.txt": b"scikit-learn==1.7.2\n"}


def _register(server: Server, models: Iterable[tuple[str, dict[str, bytes]]]) -> None:
    # A version must come from a run. All versions come from one.
    run = _post(server, "runs/create", {"experiment_id": "0"})["run"]["info"]

    def register(model: tuple[str, dict[str, bytes]]) -> None:
        name, files = model
        source = f"{run['artifact_uri']}/{name}"
        directory = server.stored(source)
        directory.mkdir(parents=True)
        for path, content in files.items():
            (directory / path).write_bytes(content)
        _post(server, "registered-models/create", {"name": name})
        _post(server, "model-versions/create", {"name": name, "source": source, "run_id": run["run_id"]})

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(register, models))


def _post(server: Server, path: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(  # noqa: S310  # local test server
        f"{server.url}/api/2.0/mlflow/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    if server.username:
        login = base64.b64encode(f"{server.username}:{server.password}".encode()).decode()
        request.add_header("Authorization", f"Basic {login}")
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310  # local test server
        return json.load(response)

"""The plain way to compare two model versions: download both with MLflow, and compare all directories with `filecmp`.

    python -m benchmarks.plain DIRECTORY URI NAME [URI NAME]
    python -m benchmarks.plain LEFT RIGHT

With two URIs, the program starts itself once for each server, because MLflow resolves all names of one process on one
server.
"""

from __future__ import annotations

import filecmp
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.environment import ROOT


def download(uri: str, name: str, directory: str) -> None:
    """Download version 1 of a model."""
    from mlflow.artifacts import download_artifacts  # noqa: TID251  # the measured operation

    os.makedirs(directory)
    download_artifacts(artifact_uri=f"models:/{name}/1", dst_path=directory, tracking_uri=uri)


def are_equal(left: Path, right: Path) -> bool:
    """Return whether two directories have the same files with the same bytes."""
    paths = [{file.relative_to(root) for file in root.rglob("*") if file.is_file()} for root in (left, right)]
    return paths[0] == paths[1] and all(filecmp.cmp(left / path, right / path, shallow=False) for path in paths[0])


def main() -> None:
    """Download one model, download and compare two models, or compare two local directories."""
    directory, *arguments = sys.argv[1:]
    if len(arguments) == 1:
        sys.exit(0 if are_equal(Path(directory), Path(arguments[0])) else 1)
    if len(arguments) == 2:
        download(arguments[0], arguments[1], directory)
        return
    trees: list[Path] = []
    for uri, name in zip(arguments[::2], arguments[1::2], strict=True):
        trees.append(Path(directory, str(len(trees))))
        environment = os.environ | {"MLFLOW_TRACKING_URI": uri}
        command = [sys.executable, "-m", "benchmarks.plain", str(trees[-1]), uri, name]
        subprocess.run(command, cwd=ROOT, env=environment, check=True)
    sys.exit(0 if are_equal(*trees) else 1)


if __name__ == "__main__":
    main()

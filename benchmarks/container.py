"""The container's size, and how long a gate in it takes: `python benchmarks/container.py IMAGE` prints both.

Size: each layer of `docker save`, compressed with gzip, as a registry keeps it. Time: the median of several runs of a
whole `docker run`, the first one left out, of the same check against a local server and of nothing but `import mlflow`.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

RUNS = 5
GOAL_MEGABYTES = 90
GOAL_RATIO = 1.5
PYTHON = "/opt/model-gate/bin/python"


def compressed_size(image: str) -> int:
    """Bytes of the image's layers, each compressed."""
    saved = subprocess.run(["docker", "save", image], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(saved)) as archive:
        manifest = archive.extractfile("manifest.json")
        assert manifest is not None
        layers: list[str] = json.load(manifest)[0]["Layers"]
        sizes = []
        for name in layers:
            layer = archive.extractfile(name)
            assert layer is not None
            sizes.append(len(gzip.compress(layer.read(), compresslevel=6)))
    return sum(sizes)


def seconds(commands: Sequence[Sequence[str]], environment: dict[str, str]) -> list[float]:
    """The median time of each command, in turns, so that a busy moment hits all of them."""
    times: list[list[float]] = [[] for _ in commands]
    for _ in range(RUNS + 1):
        for command, taken in zip(commands, times, strict=True):
            started = time.perf_counter()
            subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
            taken.append(time.perf_counter() - started)
    return [statistics.median(taken[1:]) for taken in times]


def main() -> None:
    """Measure the image that is named."""
    import tempfile

    from tests.container.registry import PASSWORD, USERNAME, registry

    image = sys.argv[1]
    megabytes = compressed_size(image) / 1e6
    sys.stdout.write(f"compressed image     {megabytes:6.1f} MB   (goal: at most {GOAL_MEGABYTES})\n")
    sys.stdout.flush()
    run = ["docker", "run", "--rm", "--network", "host"]
    with tempfile.TemporaryDirectory() as directory, registry(Path(directory)) as server:
        login = {"MLFLOW_TRACKING_URI": server.local}
        login |= {"MLFLOW_TRACKING_USERNAME": USERNAME, "MLFLOW_TRACKING_PASSWORD": PASSWORD}
        names = [part for name in login for part in ("--env", name)]
        importing, checking, starting = seconds(
            [
                [
                    *run,
                    "--env",
                    "MLFLOW_DISABLE_TELEMETRY=true",
                    "--entrypoint",
                    PYTHON,
                    image,
                    "-I",
                    "-c",
                    "import mlflow",
                ],
                [*run, *names, image, "check", "--model", "Wine", "--version-or-stage", "1"],
                [*run, "--entrypoint", "true", image],
            ],
            os.environ | login,
        )
    sys.stdout.write(
        f"docker run true      {starting:6.2f} s\n"
        f"docker run import    {importing:6.2f} s    (import mlflow)\n"
        f"docker run check     {checking:6.2f} s\n"
        f"check / import       {checking / importing:6.2f}      (goal: at most {GOAL_RATIO})\n"
    )


if __name__ == "__main__":
    main()

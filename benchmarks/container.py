"""Measure the size of the image, and the time of a gate in it: `.venv/bin/python benchmarks/container.py IMAGE`.

The size is the sum of the image's layers, each compressed with gzip as a registry stores it. The times are medians of
several `docker run` commands after a warm-up: a check against a local server, and `import mlflow` alone.
"""

from __future__ import annotations

import argparse
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
GOAL_MEGABYTES = 70
GOAL_RATIO = 1.5
PYTHON = "/opt/model-gate/bin/python"


def compressed_size(image: str) -> int:
    """Return the compressed size of the image's layers in bytes."""
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


def median_seconds(commands: Sequence[Sequence[str]], environment: dict[str, str]) -> list[float]:
    """Return the median seconds of each command. The commands run in turns, so that load affects all of them alike."""
    times: list[list[float]] = [[] for _ in commands]
    for _ in range(RUNS + 1):
        for command, command_times in zip(commands, times, strict=True):
            started = time.perf_counter()
            subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
            command_times.append(time.perf_counter() - started)
    return [statistics.median(command_times[1:]) for command_times in times]


def main() -> None:
    """Measure an image and print the results."""
    import tempfile

    from tests.container.registry import PASSWORD, USERNAME, registry

    parser = argparse.ArgumentParser(description="Measure a container image: its size, and the time of a gate in it.")
    parser.add_argument("image", metavar="IMAGE", help="the image's name or id")
    image: str = parser.parse_args().image
    megabytes = compressed_size(image) / 1e6
    sys.stdout.write(f"compressed image     {megabytes:6.1f} MB   (goal: at most {GOAL_MEGABYTES})\n")
    sys.stdout.flush()
    run = ["docker", "run", "--rm", "--network", "host"]
    with tempfile.TemporaryDirectory() as directory, registry(Path(directory)) as server:
        login = {"MLFLOW_TRACKING_URI": server.local}
        login |= {"MLFLOW_TRACKING_USERNAME": USERNAME, "MLFLOW_TRACKING_PASSWORD": PASSWORD}
        names = [part for name in login for part in ("--env", name)]
        import_time, check_time, start_time = median_seconds(
            [
                [
                    *run,
                    "--env",
                    "MLFLOW_DISABLE_TELEMETRY=true",
                    *("--entrypoint", PYTHON, image, "-I", "-c", "import mlflow"),
                ],
                [*run, *names, image, "check", "--model", "Wine", "--version-or-stage", "1"],
                [*run, "--entrypoint", "true", image],
            ],
            os.environ | login,
        )
    sys.stdout.write(
        f"docker run true      {start_time:6.2f} s\n"
        f"docker run import    {import_time:6.2f} s    (import mlflow)\n"
        f"docker run check     {check_time:6.2f} s\n"
        f"check / import       {check_time / import_time:6.2f}      (goal: at most {GOAL_RATIO})\n"
    )


if __name__ == "__main__":
    main()

"""Saves models with the environment `.venv-flavors`, and compares what they predict."""

from __future__ import annotations

import json
import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.commandline import clean_environment
from tests.support.paths import ROOT

PYTHON = ROOT / ".venv-flavors/bin/python"
PROGRAMS = Path(__file__).parent / "programs"
# Each list is saved in parallel, one saving by each server. `programs/saving.py` explains the names.
_ROUNDS = [["trained-1", "trained-2"], ["object-1", "object-2"], ["changed", "loaded"]]
# Spark listens on this machine only. With Arrow, it needs no processes of Python for data frames of pandas.
# A process runs Spark for a short time, so that Java compiles little.
_SPARK_SETTINGS = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.execution.arrow.pyspark.fallback.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.shuffle.partitions": "1",
    "spark.ui.enabled": "false",
}
_SPARK_OPTIONS = shlex.join(
    [*(f"--conf={name}={value}" for name, value in _SPARK_SETTINGS.items()), "pyspark-shell"],
)


class Server:
    """A process of `programs/serve.py`, which runs each request in a process of its own."""

    def __init__(self, directory: Path, seed: int) -> None:
        # Bytecode is written, because it becomes a part of some models.
        variables = clean_environment() | {
            # No model is downloaded.
            "HF_HUB_OFFLINE": "1",
            "KERAS_BACKEND": "torch",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "OMP_NUM_THREADS": "1",
            "PYSPARK_SUBMIT_ARGS": _SPARK_OPTIONS,
            "PYTHONHASHSEED": str(seed),
        }
        directory.mkdir()
        with (directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [PYTHON, PROGRAMS / "serve.py", directory],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=variables,
                encoding="utf-8",
            )

    def request(self, **fields: str | list[str]) -> dict[str, Any]:
        """Return the answer to a request. See `programs/serve.py` for the fields of both."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(fields), file=self._process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        assert answer["error"] is None, f"{fields}\n{answer['error']}"
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()


class Servers:
    """Two servers with different orders of sets, as in the processes of users."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stack = ExitStack()
        self._servers = [self._stack.enter_context(Server(directory / f"server-{seed}", seed)) for seed in (1, 2)]

    def close(self) -> None:
        """End the servers."""
        self._stack.close()

    def save(self, program: str, variant: str, imports: list[str]) -> tuple[Path, dict[str, str]]:
        """Save a model in all ways.

        Returns:
            The directory with one model for each saving, and what each model predicts for its input example.
        """
        directory = self._directory / f"{program}-{variant}".rstrip("-")
        directory.mkdir()
        fields = {"program": program, "variant": variant, "directory": str(directory), "imports": imports}
        predictions: dict[str, str] = {}
        with ThreadPoolExecutor(len(self._servers)) as pool:
            for names in _ROUNDS:
                list(pool.map(lambda server, name: server.request(**fields, name=name), self._servers, names))
            for names in _ROUNDS:
                answers = pool.map(
                    lambda server, name: server.request(**fields | {"program": "predict", "name": name}),
                    self._servers,
                    names,
                )
                predictions |= {name: answer["prediction"] for name, answer in zip(names, answers, strict=True)}
        return directory, predictions

"""Runs savings and predictions, each in a process of its own.

Usage: `serve.py DIRECTORY`. DIRECTORY is for its own files. Each line of standard input is a JSON object: `program`,
`variant`, `directory`, `name` and `imports`. For each line, a line with the JSON object `{"error": …}` is written to
standard output. For the program `predict`, it has `prediction` too.

The processes are forked from this one, after it imported and initialized MLflow and the libraries of a program, since
that takes far longer than to log a model. Two servers with different `PYTHONHASHSEED` have sets in different order,
like two processes of a user.
"""

from __future__ import annotations

import importlib
import json
import logging
import multiprocessing
import os
import runpy
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore")

import predict  # noqa: E402
import saving  # noqa: E402
from mlflow import MlflowClient  # noqa: E402

PROGRAMS = Path(__file__).parent


def _work(request: dict[str, str], database: Path, connection: Any) -> None:
    directory = Path(request["directory"])
    answer: dict[str, str | None] = {"error": None}
    try:
        log = os.open(directory / f"{request['program']}-{request['name']}.log", os.O_WRONLY | os.O_CREAT, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.chdir(directory)
        if request["program"] == "predict":
            answer["prediction"] = predict.predict(directory / request["name"])
        else:
            saving.current = saving.Saving(directory, request["name"], request["variant"], database)
            runpy.run_path(str(PROGRAMS / f"{request['program']}.py"), run_name="__main__")
    except BaseException:  # noqa: BLE001  # the parent reports it
        answer["error"] = traceback.format_exc()
    connection.send(answer)


def _warm_up(directory: Path, database: Path) -> None:
    """Log a model in this process, so that all that MLflow imports and initializes for it is there in each fork."""
    MlflowClient(f"sqlite:///{database}").search_experiments()
    saving.current = saving.Saving(directory, "trained-1", "skops", database)
    runpy.run_path(str(PROGRAMS / "save_sklearn.py"), run_name="__main__")
    predict.predict(directory / "trained-1")


def main() -> None:
    """Answer each request until the end of standard input."""
    logging.disable()
    directory = Path(sys.argv[1]).absolute()
    database = directory / "mlflow.db"
    _warm_up(directory, database)
    context = multiprocessing.get_context("fork")
    for line in sys.stdin:
        request = json.loads(line)
        for module in request["imports"]:
            importlib.import_module(module)
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(request, database, sender))
        process.start()
        sender.close()
        try:
            answer = receiver.recv()
        except EOFError:
            answer = {"error": "the process ended"}
        process.join()
        print(json.dumps(answer), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()

"""Imports MLflow, becomes one side or two, and answers the parent's requests, a JSON object a line, until they end."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import TYPE_CHECKING, Any, TextIO

from model_gate.access.redaction import Redactor

if TYPE_CHECKING:
    from model_gate.worker.session import Session

# As many as the parent keeps under way, and room for what it asks beside them.
_WORKERS = 80
# MLflow imports these if it can, for models that are loaded or logged. None is here, so it does without them.
_NOT_INSTALLED = ("IPython", "matplotlib", "numpy", "pandas", "pyarrow", "scipy", "sklearn")
# These it imports early, and uses late: the first if it can, the second in any case. Only a server that is a database
# needs them, which then imports them after all. All of these are over half of the time that MLflow needs to start.
_LATER = {"mlflow.gateway": None, "mlflow.genai": ModuleType("mlflow.genai")}


class _Answers:
    """Writes answers, whole lines each, from any thread."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, answer: dict[str, Any]) -> None:
        line = json.dumps(answer)
        with self._lock:
            self._stream.write(line + "\n")
            self._stream.flush()


def main() -> None:
    """Serve until the parent closes the pipe, or is gone."""
    open_session = _imported()
    # How many sides there are to be; nothing if the parent has found out that it needs none.
    count = os.read(0, 1)
    if count == b"2":
        _divide()
    if count:
        _serve(open_session)


def _imported() -> Callable[[], Session]:
    # What MLflow is made of stays: looking for cycles in it again and again is 7 % of the time.
    gc.disable()
    try:
        open_session = _import_without(dict.fromkeys(_NOT_INSTALLED) | _LATER)
    except Exception:  # noqa: BLE001  # an MLflow that wants what was left out: it gets all
        _forget()
        try:
            open_session = _import_without({})
        except Exception as error:  # noqa: BLE001  # whatever it is, each request is answered with it
            open_session = _failing(error)
    gc.freeze()
    gc.enable()
    return open_session


def _import_without(left_out: Mapping[str, ModuleType | None]) -> Callable[[], Session]:
    sys.modules.update(left_out)  # type: ignore[arg-type]  # None: it cannot be imported
    from model_gate.worker.startup import open_session, prepare

    prepare()
    for name in _LATER:
        if name in left_out:
            del sys.modules[name]
    return open_session


def _forget() -> None:
    """Make Python import MLflow anew, with all that it asks for."""
    for name in list(sys.modules):
        if name in {"mlflow", *_NOT_INSTALLED} or name.startswith(("mlflow.", "model_gate.worker.")):
            del sys.modules[name]


def _failing(error: Exception) -> Callable[[], Session]:
    def fail() -> Session:
        raise error

    return fail


def _divide() -> None:
    """Become two processes, each with standard streams of its own."""
    streams = [int(descriptor) for descriptor in os.environ["MODEL_GATE_FORK_PIPES"].split()]
    if os.fork() == 0:
        for standard, descriptor in enumerate(streams):
            os.dup2(descriptor, standard)
    for descriptor in streams:
        os.close(descriptor)


def _serve(open_session: Callable[[], Session]) -> None:
    # Whatever mlflow or a plugin prints must not be taken for an answer.
    answers = _Answers(os.fdopen(os.dup(1), "w", encoding="ascii"))
    os.dup2(2, 1)
    with os.fdopen(os.dup(0), "rb") as asked:
        _enter(json.loads(asked.readline() or "{}"))
        # MLflow is there: from now on, a silence is the server's.
        answers.send({"ready": True})
        session = _open(open_session)
        with ThreadPoolExecutor(_WORKERS) as pool:
            # A parent that was killed leaves half a line.
            with contextlib.suppress(ValueError):
                for line in asked:
                    pool.submit(_answer, session, json.loads(line), answers)
            # A transfer may be under way that nobody waits for any more.
            os._exit(0)


def _enter(environment: dict[str, str]) -> None:
    """Take an environment for one's own, the whole of it."""
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()


def _open(open_session: Callable[[], Session]) -> Session | Exception:
    try:
        return open_session()
    except Exception as error:  # noqa: BLE001  # the same
        return error


def _answer(session: Session | Exception, request: dict[str, Any], answers: _Answers) -> None:
    identifier = request.pop("id")
    operation = request.pop("op")
    try:
        if isinstance(session, Exception):
            raise session
        result = session.perform(operation, request, lambda note: answers.send({"id": identifier, "note": note}))
        answers.send({"id": identifier, "result": result})
    except Exception as error:  # noqa: BLE001  # this is the one place where a side's errors become data
        answers.send({"id": identifier, "error": _told(error)})


def _told(error: Exception) -> dict[str, str]:
    from model_gate.worker.failures import to_model_gate_error

    known = to_model_gate_error(error, os.environ["MODEL_GATE_ADDRESS"])
    detail = "".join(traceback.format_exception(error))
    # An access token that was exchanged here is known to nobody else who could keep it out of a text.
    redactor = Redactor((os.environ.get("DATABRICKS_TOKEN", ""),))
    texts = {"message": known.message, "remedy": known.remedy, "detail": detail}
    return {"type": known.type} | {name: redactor.text(text) for name, text in texts.items()}


if __name__ == "__main__":
    main()

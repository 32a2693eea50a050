"""Answers the parent's requests, a JSON object a line, until standard input ends."""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TextIO

from model_gate.redaction import Redactor

if TYPE_CHECKING:
    from model_gate.side.session import Session

# As many as the parent keeps under way, and room for what it asks beside them.
_WORKERS = 24


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
    # Whatever mlflow or a plugin prints must not be taken for an answer.
    stream = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    answers = _Answers(stream)
    session = _open_session()
    with ThreadPoolExecutor(_WORKERS) as pool:
        for line in sys.stdin.buffer:
            pool.submit(_answer, session, json.loads(line), answers)
        # A transfer may be under way that nobody waits for any more.
        os._exit(0)


def _open_session() -> Session | Exception:
    try:
        from model_gate.side.session import open_session

        return open_session()
    except Exception as error:  # noqa: BLE001  # whatever it is, each request is answered with it
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
    from model_gate.side.failures import told

    known = told(error, os.environ["MODEL_GATE_ADDRESS"])
    detail = "".join(traceback.format_exception(error))
    # An access token that was exchanged here is known to nobody else who could keep it out of a text.
    redactor = Redactor((os.environ.get("DATABRICKS_TOKEN", ""),))
    texts = {"message": known.message, "remedy": known.remedy, "detail": detail}
    return {"type": known.type} | {name: redactor.text(text) for name, text in texts.items()}


if __name__ == "__main__":
    main()

"""Entry point of a worker process, which answers the requests of the parent process.

The process imports MLflow, unless the command line names only stores that are read without MLflow. If the parent needs
two workers, the process forks, which saves a second import. Each request and each response is a JSON object on a line
of its own.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from model_gate.worker.session import Session

# Enough threads for the downloads that the parent requests at once, and for its other requests.
_THREADS = 80
# Operations that do not wait until a thread of the pool is free. All of the pool's threads can wait for a store.
_UNQUEUED = frozenset({"settle"})


class _ResponseWriter:
    """Writes each response to a stream, on a line of its own. Thread-safe."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, response: dict[str, Any]) -> None:
        line = json.dumps(response)
        with self._lock:
            self._stream.write(line + "\n")
            self._stream.flush()


def main() -> None:
    """Answer requests until the parent closes the pipe or ends."""
    open_session = _import_modules()
    # The parent sends the number of workers as one digit. It closes the stream instead if it needs no worker.
    count = os.read(0, 1)
    if count == b"2":
        _fork()
    if count:
        _serve(open_session)


def _import_modules() -> Callable[[], Session]:
    """Import what the operations will need, and return `startup.open_session`.

    The clients of the clouds are imported later, because they read environment variables when they are imported. If an
    import fails, return a function that raises the import error instead.
    """
    # Imported modules are never freed, so collecting garbage during the import wastes 7 % of its time.
    gc.disable()
    try:
        from model_gate.worker.mlflow_import import block_packages, import_mlflow

        block_packages()
        from model_gate.worker.stores.files import are_read_without_mlflow

        if not are_read_without_mlflow(os.environ["MODEL_GATE_SCHEMES"].split()):
            import_mlflow()
            from model_gate.worker import mlflow_files, registry  # noqa: F401  # for the first operations
        from model_gate.worker.startup import open_session, prepare

        prepare()
    except Exception as error:  # noqa: BLE001  # any error becomes the response to each request
        open_session = _raiser(error)
    gc.freeze()
    gc.enable()
    return open_session


def _raiser(error: Exception) -> Callable[[], Session]:
    def fail() -> Session:
        raise error

    return fail


def _fork() -> None:
    """Fork this process. The standard streams of the child are the pipes that MODEL_GATE_FORK_PIPES lists."""
    streams = [int(descriptor) for descriptor in os.environ["MODEL_GATE_FORK_PIPES"].split()]
    if os.fork() == 0:
        for standard, descriptor in enumerate(streams):
            os.dup2(descriptor, standard)
    for descriptor in streams:
        os.close(descriptor)


def _serve(open_session: Callable[[], Session]) -> None:
    # MLflow and plugins may print to standard output. Their output goes to standard error, apart from the responses.
    writer = _ResponseWriter(os.fdopen(os.dup(1), "w", encoding="ascii"))
    os.dup2(2, 1)
    with os.fdopen(os.dup(0), "rb") as requests:
        _replace_environment(json.loads(requests.readline() or "{}"))
        # At this message, the parent starts its time limit for the server. So the limit excludes
        # the imports at the start.
        writer.send({"ready": True})
        session = _session_or_error(open_session)
        with ThreadPoolExecutor(_THREADS) as pool:
            # The last line is not valid JSON if the parent was killed while it wrote the line.
            with contextlib.suppress(ValueError):
                for line in requests:
                    request = json.loads(line)
                    if request["op"] in _UNQUEUED:
                        threading.Thread(target=_handle, args=(session, request, writer), daemon=True).start()
                    else:
                        pool.submit(_handle, session, request, writer)
            # Exit without waiting for downloads that nobody needs any more.
            os._exit(0)


def _replace_environment(environment: dict[str, str]) -> None:
    """Replace all variables in `os.environ`, and apply the new time zone (TZ)."""
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()


def _session_or_error(open_session: Callable[[], Session]) -> Session | Exception:
    try:
        return open_session()
    except Exception as error:  # noqa: BLE001  # any error becomes the response to each request
        return error


def _handle(session: Session | Exception, request: dict[str, Any], writer: _ResponseWriter) -> None:
    identifier = request.pop("id")
    operation = request.pop("op")
    try:
        if isinstance(session, Exception):
            raise session
        result = session.perform(operation, request, lambda note: writer.send({"id": identifier, "note": note}))
        writer.send({"id": identifier, "result": result})
    except Exception as error:  # noqa: BLE001  # the only place where errors of a worker become data
        writer.send({"id": identifier, "error": _redacted_data(error, session)})


def _redacted_data(error: Exception, session: Session | Exception) -> dict[str, str]:
    """Return an error as data, without the secrets of the session.

    If the secrets cannot be read or masked, another error replaces it, because its texts must then not be shown.
    """
    try:
        return _error_data(error, () if isinstance(session, Exception) else session.secrets())
    except Exception as failure:  # noqa: BLE001  # the parent waits for a response
        return _error_data(_hidden_error(failure), ())


def _hidden_error(failure: Exception) -> Exception:
    from model_gate.errors import InternalError

    return InternalError(
        "An error has occurred, but the login to the object store cannot be removed from its text"
        f" ({type(failure).__name__}).",
        "Please report it, with the versions of Model Gate and of the client of the cloud.",
    )


def _error_data(error: Exception, secrets: Iterable[str]) -> dict[str, str]:
    """Return an error as data. Its texts are redacted with `secrets`, which the parent does not know."""
    from model_gate.access.redaction import Redactor
    from model_gate.worker.credential_facts import CredentialFacts, join_sentences
    from model_gate.worker.failures import place_sentence, to_model_gate_error

    facts = CredentialFacts.from_environment(os.environ)
    model_gate_error = to_model_gate_error(error, os.environ["MODEL_GATE_ADDRESS"], facts)
    detail = "".join(traceback.format_exception(error))
    # The worker may also have obtained an access token of Databricks.
    redactor = Redactor((*secrets, os.environ.get("DATABRICKS_TOKEN", "")))
    message = join_sentences(model_gate_error.message, place_sentence(error, model_gate_error.message))
    texts = {"message": message, "remedy": model_gate_error.remedy, "detail": detail}
    return {"type": model_gate_error.type} | {name: redactor.text(text) for name, text in texts.items()}


if __name__ == "__main__":
    main()

"""Imports MLflow without the packages and modules that a worker does not need.

A worker imports MLflow before it knows its server. If the worker was started for stores that are read without MLflow,
it imports MLflow when an operation needs it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from types import ModuleType

# Optional dependencies of MLflow for loading and logging models. A worker does neither, so their import is blocked.
_BLOCKED_PACKAGES = ("IPython", "matplotlib", "numpy", "pandas", "pyarrow", "scipy", "sklearn")
# MLflow imports these modules at start. A worker needs them only if its tracking server is a database, and then imports
# them later. MLflow starts without `mlflow.gateway` (None), but needs a placeholder for `mlflow.genai`. These modules
# and the blocked packages take over half of MLflow's import time.
_DEFERRED_MODULES = {"mlflow.gateway": None, "mlflow.genai": ModuleType("mlflow.genai")}
_LOCK = threading.Lock()


def block_packages() -> None:
    """Block the import of packages that no worker needs. Call this function before any other import."""
    # In `sys.modules`, None blocks the import of a module.
    sys.modules.update(dict.fromkeys(_BLOCKED_PACKAGES))  # type: ignore[arg-type]


def import_mlflow() -> None:
    """Import MLflow and its plugins for requests and stores. Thread-safe."""
    with _LOCK:
        if "mlflow" in sys.modules:
            return
        try:
            _import_without(_DEFERRED_MODULES)
        except Exception:  # noqa: BLE001  # this version of MLflow needs one of the blocked modules
            _unload()
            try:
                _import_without({})
            except Exception:
                # Otherwise the next call would take the part that was imported for the whole.
                _unload()
                raise


def _import_without(deferred: Mapping[str, ModuleType | None]) -> None:
    sys.modules.update(deferred)  # type: ignore[arg-type]
    import mlflow.store.artifact.artifact_repository_registry  # noqa: F401
    from mlflow.tracking.request_header.registry import resolve_request_headers

    # This function imports the plugins for requests.
    resolve_request_headers()  # type: ignore[no-untyped-call]
    for name in deferred:
        del sys.modules[name]


def _unload() -> None:
    """Remove MLflow and the blocks from `sys.modules`, so that the next import starts anew."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "mlflow" or (name in _BLOCKED_PACKAGES and module is None):
            del sys.modules[name]

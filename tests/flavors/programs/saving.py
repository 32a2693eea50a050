"""Saves one model of one flavor, in a process of its own, as a program of a user does."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow


def keep_pickle(model: Any, path: Path) -> None:
    """Keep a trained model for another process."""
    path.write_bytes(pickle.dumps(model))


def restore_pickle(path: Path) -> Any:
    """Return the trained model that `keep_pickle` kept."""
    return pickle.loads(path.read_bytes())  # noqa: S301  # of this test


@dataclass
class Saving:
    """What to save, and where. `serve.py` sets it before it runs a program.

    A saving is named

    - `trained-1`, `trained-2`: trained in its process, always with the same seed. `trained-1` also keeps the model.
    - `object-1`, `object-2`: the model that `trained-1` kept.
    - `loaded`: the model that MLflow loads from `trained-1`.
    - `changed`: trained with another parameter.
    """

    directory: Path
    name: str
    variant: str
    database: Path


current = Saving(Path(), "", "", Path())


def main(
    train: Callable[[bool], Any],
    log: Callable[..., Any],
    load: Callable[[str], Any],
    keep: Callable[[Any, Path], None] = keep_pickle,
    restore: Callable[[Path], Any] = restore_pickle,
) -> None:
    """Log the model of the current saving, and copy it to the directory with the name of the saving.

    Args:
        train: Trains a model; the argument says whether the model is another one.
        log: Logs a model; called with the model and the keywords `name` and `pip_requirements`.
        load: Loads a model with its flavor.
        keep: Writes a model to a path.
        restore: Reads a model from that path.
    """
    directory, name = current.directory, current.name
    kept = directory / "kept"
    if name.startswith("object"):
        model = restore(kept)
    elif name == "loaded":
        model = load(str(directory / "trained-1"))
    else:
        model = train(name == "changed")
    if name == "trained-1":
        keep(model, kept)
    store = directory / f"store-{name}"
    store.mkdir()
    shutil.copyfile(current.database, store / "mlflow.db")
    mlflow.set_tracking_uri(f"sqlite:///{store}/mlflow.db")
    mlflow.create_experiment("flavors", artifact_location=(store / "artifacts").as_uri())
    mlflow.set_experiment("flavors")
    with mlflow.start_run():
        # Without requirements, MLflow would load the model once more in another process to infer them.
        log(model, name="model", pip_requirements=["mlflow"])
    (logged,) = {path.parent for path in (store / "artifacts").glob("**/MLmodel")}
    shutil.copytree(logged, directory / name)

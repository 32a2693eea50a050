"""Real models that MLflow saves, by kind: one file, a directory, and shards of safetensors.

The functions import MLflow and scikit-learn, which takes seconds, so that only the pytest workers that need the models
import them.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any


def shard(values: dict[str, bytes]) -> bytes:
    """Return a safetensors file of one-dimensional tensors of bytes."""
    header: dict[str, Any] = {}
    offset = 0
    for name, data in values.items():
        header[name] = {"dtype": "U8", "shape": [len(data)], "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"".join(values.values())


def save_directory_flavor(model: Path, data: Path) -> None:
    """Let MLflow save a model whose native model is the directory `data`."""
    import mlflow.pyfunc

    mlflow.pyfunc.save_model(model, loader_module="json", data_path=str(data), pip_requirements=[])


def make_directory_flavor(model: Path, scratch: Path) -> None:
    data = scratch / "data"
    # By code point, `part-1` comes before `part/0`. By the parts of the path, it comes after.
    (data / "part").mkdir(parents=True)
    for name in ("part/0", "part-1", "\u00e9t\u00e9"):
        (data / name).write_bytes(name.encode())
    save_directory_flavor(model, data)


def make_sharded_safetensors(model: Path, scratch: Path) -> None:
    data = scratch / "shards"
    data.mkdir()
    names = [f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
    for number, name in enumerate(names):
        (data / name).write_bytes(shard({f"layer.{number}.weight": bytes(range(256)) * 64}))
    index = {"weight_map": {f"layer.{number}.weight": name for number, name in enumerate(names)}}
    (data / "model.safetensors.index.json").write_text(json.dumps(index))
    save_directory_flavor(model, data)


def make_sklearn(model: Path, _: Path) -> None:
    import mlflow.sklearn
    from sklearn.linear_model import LogisticRegression

    estimator = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    mlflow.sklearn.save_model(estimator, model, pip_requirements=[])


MODELS: dict[str, Callable[[Path, Path], None]] = {
    "sklearn": make_sklearn,
    "directory flavor": make_directory_flavor,
    "sharded safetensors": make_sharded_safetensors,
}


def change_one_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)

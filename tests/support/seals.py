"""Makes seals of small models, without a tracking server."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from model_gate.domain.seal import Seal, SealFacts, make_seal
from model_gate.formats.model_signing import Resource, statement_bytes

FILES = {"MLmodel": b"flavors: {}\n", "model.pkl": b"model"}


def root_of(files: Mapping[str, bytes]) -> str:
    """Return the root of a model with these files, as OpenSSF Model Signing defines it."""
    return root_of_digests({path: hashlib.sha256(content).hexdigest() for path, content in files.items()})


def root_of_digests(digests: Mapping[str, str]) -> str:
    """Return the root of a model whose files have these digests, in hex by path."""
    return hashlib.sha256(b"".join(bytes.fromhex(digests[path]) for path in sorted(digests))).hexdigest()


def seal_of(files: dict[str, bytes], model: str = "Wine", file: str = "seal.json") -> Seal:
    """Return the seal of a version of a registered model with these files."""
    resources = {path: Resource(hashlib.sha256(content).hexdigest(), len(content)) for path, content in files.items()}
    facts = SealFacts("0", "2026-01-31T18:00:00+00:00", "models:/m-1", registered_model=model, model_version="1")
    return make_seal(file, model or "model", resources, facts)


def write_seal(path: Path, model: str = "Wine", files: dict[str, bytes] = FILES) -> Path:
    """Write the seal of a version of a registered model with these files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(statement_bytes(seal_of(files, model).statement))
    return path

"""Decides what a row depends on, so that a resumed run knows which rows it can keep."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from model_gate import __version__
from model_gate.comparison.digest import tree_digest
from model_gate.domain.gates import Gate, GateRow, Selection
from model_gate.domain.request import CheckRequest, CompareRequest, VersionRequest
from model_gate.domain.seal import Seal, SealedVersion
from model_gate.domain.version import ModelVersion
from model_gate.runs.gate_list import GateList

# A row of an earlier run is not kept for longer, since nobody sees whether files of a version have changed since.
MAX_AGE = timedelta(hours=24)


def is_recent(row: GateRow) -> bool:
    """Return whether the models of a row were compared in the last 24 hours."""
    return is_recent_time(datetime.fromisoformat(row.report["system"]["utc_time"]))


def is_recent_time(time: datetime) -> bool:
    """Return whether a row of this time can still be kept: not older than 24 hours, and not from the future."""
    return timedelta(0) <= datetime.now(UTC) - time <= MAX_AGE


def has_fixed_versions(request: CheckRequest | CompareRequest) -> bool:
    """Return whether every version of a request is a number. An alias, a stage or `latest` can move."""
    return all(
        version.version_or_stage.isascii() and version.version_or_stage.isdigit()
        for version in request.versions.values()
    )


def row_digest(gate: Gate, versions: Mapping[str, ModelVersion]) -> str:
    """Return the SHA-256 in hex of all that a gate's row depends on, "" if a gate has no request or no versions.

    It covers the gate's entry, the names of its models, its options, its seal, the version of Model Gate, and where
    its versions lead.

    Args:
        gate: The gate.
        versions: The resolved versions by role. They do not count if all versions of the gate are numbers, because a
            number leads to one version.
    """
    request = gate.request
    if request is None or (not has_fixed_versions(request) and versions.keys() != request.versions.keys()):
        return ""
    facts = {
        "program": __version__,
        "gate": gate.name,
        "entry": gate.entry.digest,
        "command": request.command,
        "sides": {str(role): _requested(version) for role, version in request.versions.items()},
        "seal": _seal(request.seal),
        "native": _native_model_of_seal(request),
        "options": asdict(request.options),
        "comparisons": _comparisons(request),
        "versions": {} if has_fixed_versions(request) else {str(role): asdict(versions[role]) for role in versions},
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def list_digest(listed: GateList) -> str:
    """Return the SHA-256 in hex of what a run asks for. Shards of one run have one digest.

    It covers the entries, their options, what `--only` names, and the version of Model Gate.
    """
    entries = [[entry.entry.name, entry.entry.digest, _options_of(entry)] for entry in listed.entries]
    facts = {"program": __version__, "entries": entries, "only": listed.only}
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def _options_of(entry: Gate | Selection) -> object:
    if isinstance(entry, Selection):
        return asdict(entry.options)
    return None if entry.request is None else asdict(entry.request.options)


def _requested(version: VersionRequest) -> dict[str, Any]:
    workspace = version.host.workspace
    return {
        "host": version.host.address,
        "registry": None if workspace is None else workspace.registry,
        "model": version.model,
        "version_or_stage": version.version_or_stage,
        "native_model": version.native_model,
    }


def _seal(seal: Seal | None) -> str | None:
    if seal is None:
        return None
    return tree_digest({path: resource.digest for path, resource in seal.files.items()})


def _native_model_of_seal(request: CheckRequest | CompareRequest) -> list[str]:
    sides = request.sides.values() if isinstance(request, CompareRequest) else ()
    return [side.native_model for side in sides if isinstance(side, SealedVersion)]


def _comparisons(request: CheckRequest | CompareRequest) -> list[bool]:
    if isinstance(request, CompareRequest):
        return [request.compare_run_models, request.compare_reg_models]
    return []

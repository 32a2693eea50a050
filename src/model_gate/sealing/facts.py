"""The facts of a seal about the origin of its model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from model_gate import __version__
from model_gate.domain.location import Location, is_local_uri, without_query
from model_gate.domain.request import ModelRequest
from model_gate.domain.seal import SealFacts
from model_gate.domain.version import Hop, ModelVersion
from model_gate.domain.wording import printable


def facts_of_version(version: ModelVersion, address: str, location: Location) -> tuple[str, SealFacts]:
    """Return the name and the facts for the seal of a version.

    Args:
        version: The version.
        address: Address of its tracking server.
        location: Where the sealed files are.
    """
    facts = replace(
        _facts_of(location),
        tracking_server=address,
        registered_model=version.name,
        model_version=version.version,
        stage=version.stage,
        aliases=version.aliases,
        source=version.source,
        run_id=version.lineage.run_id,
        git_commit=version.lineage.git_commit,
    )
    return version.name, facts


def facts_of_uri(request: ModelRequest, hops: Sequence[Hop], location: Location) -> tuple[str, SealFacts]:
    """Return the name and the facts for the seal of a model that is named by a URI or a directory.

    Args:
        request: The model.
        hops: The names that were resolved to find the model, in order. The first one is the version, if the URI names
            one, as `models:/NAME/VERSION` does.
        location: Where the sealed files are.
    """
    facts = _facts_of(location)
    hop = next(iter(hops), None) if request.registered_model else None
    if hop is not None and hop.name and hop.version and request.uri_host is not None:
        address = request.uri_host.address
        return hop.name, replace(facts, tracking_server=address, registered_model=hop.name, model_version=hop.version)
    # The physical URI of a logged model ends with "artifacts", so the user's URI names the model better.
    uri = facts.uri if is_local_uri(request.uri) else without_query(request.uri)
    return uri.rstrip("/").rpartition("/")[2] or "model", facts


def _facts_of(location: Location) -> SealFacts:
    # The name of the model can be a part of the URI.
    uri = printable(without_query(location.uri))
    return SealFacts(__version__, datetime.now(UTC).isoformat(timespec="seconds"), uri)

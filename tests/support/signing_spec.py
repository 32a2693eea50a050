"""The JSON schemas and test vectors of OpenSSF Model Signing 1.0, in `model_signing_spec/`."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

_SPEC = Path(__file__).parent / "model_signing_spec"


def validate(data: object, schema: str) -> None:
    """Validate data against the schema `bundle`, `envelope`, `statement` or `predicate` of the specification."""
    schemas = {path.name.partition(".")[0]: json.loads(path.read_text()) for path in _SPEC.glob("schemas/*.json")}
    resources = [(each["$id"], Resource.from_contents(each)) for each in schemas.values()]
    Draft202012Validator(schemas[schema], registry=Registry().with_resources(resources)).validate(data)


def vectors(kind: str) -> dict[str, dict[str, Any]]:
    """Return the bundles of the test vectors `valid`, `invalid` or `invalid-payload`, by file name."""
    return {path.name: json.loads(path.read_text()) for path in sorted(_SPEC.glob(f"vectors/{kind}/*.json"))}


def payload(bundle: dict[str, Any]) -> bytes:
    """Return the statement in a bundle."""
    return base64.b64decode(bundle["dsseEnvelope"]["payload"])

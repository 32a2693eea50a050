"""Says what a JSON document is, for the error if it is given in the place of another one.

>>> document_kind({"dsseEnvelope": {}})
'a bundle with a signature'
"""

from __future__ import annotations

from typing import Any

from model_gate.formats.model_signing import PREDICATE_TYPE

PROMOTION_TYPE = "https://github.com/model-gate/model-gate/promotion/v1"

REPORT = "a report of Model Gate"
BUNDLE = "a bundle with a signature"
SIGNED_FILE = "a bundle with a signature of a file, not of a statement"
SEAL = "a seal without a signature"
PROMOTION = "a promotion statement"


def document_kind(data: Any) -> str:
    """Return what a document is, such as `a seal without a signature`; "" if it is none of the known documents.

    Only some fields are looked at: the document need not be valid.
    """
    if not isinstance(data, dict):
        return ""
    if {"schema_version", "command", "status"} <= data.keys():
        return REPORT
    if "messageSignature" in data:
        return SIGNED_FILE
    if "dsseEnvelope" in data or {"payload", "payloadType", "signatures"} <= data.keys():
        return BUNDLE
    return {PREDICATE_TYPE: SEAL, PROMOTION_TYPE: PROMOTION}.get(str(data.get("predicateType")), "")

"""Replaces credentials in texts before they are printed or written.

>>> Redactor(["s3cret"]).text("s3cret at https://ann:pw@mlflow.example.com")
'*** at https://***@mlflow.example.com'
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "***"
# The user:password@ part of any URI, since the source of a version or an exception may contain unknown credentials.
# In models://PROFILE@databricks/… the profile's name is not a secret.
_USER_INFO = re.compile(r"(?<=://)[^\s/?#'\"<>]+(?=@)(?!@databricks)")
# The signature of a presigned URL, which lets anyone fetch the file.
_SIGNATURE = re.compile(
    r"(?i)(?<=[?&])(sig|signature|x-amz-(?:signature|security-token|credential)|x-goog-(?:signature|credential))"
    r"=[^&\s'\"<>]+"
)
# Fields of the report that have fixed values. They are not redacted, since a short password may equal such a value.
_VOCABULARY = frozenset(
    {"status", "kind", "command", "type", "left_type", "right_type", "require", "schema_version", "hash"}
)


class Redactor:
    """Replaces the known secrets in their usual encodings, the user-info of URIs, and the signatures of URLs."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets if secret for form in _forms(secret)}
        # Longer secrets are replaced first, because a secret can start with another secret.
        ordered = sorted(forms, key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def text(self, text: str) -> str:
        """Return the text with its secrets replaced."""
        if self._secrets is not None:
            text = self._secrets.sub(MASK, text)
        return _SIGNATURE.sub(rf"\1={MASK}", _USER_INFO.sub(MASK, text))

    def data(self, value: Any) -> Any:
        """Return a JSON value with redacted texts. Keys and the report's fields with fixed values do not change."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: item if key in _VOCABULARY else self.data(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.data(item) for item in value]
        return value


def _forms(secret: str) -> set[str]:
    # An environment variable may hold bytes that are not UTF-8.
    raw = secret.encode("utf-8", "surrogateescape")
    return {
        secret,
        quote(raw),
        quote(raw, safe=""),
        quote_plus(raw),
        repr(secret)[1:-1],
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        base64.b64encode(raw).decode(),
    }

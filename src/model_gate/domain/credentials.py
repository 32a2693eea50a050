"""The secret texts of a login, which must be masked in all output."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

# The ends of the names of fields with a secret, as in `AccountKey`, `SharedAccessSignature`, `sig` and `private_key`.
_SECRET_FIELD = re.compile(r"(?:key|signature|sig|passw(?:or)?d|pwd|passphrase|secret|token)$", re.IGNORECASE)
_SCHEME = re.compile(r"(?:Basic|Bearer|Token|ApiKey)\s+(\S+)", re.IGNORECASE)
# A shorter part can be a word of any text. A real key, signature or token is longer.
_MIN_PART = 16


def basic_auth_secrets(username: str, password: str) -> tuple[str, ...]:
    """Return the texts to mask for a login; an empty tuple if there is no password.

    The texts are the password and the forms in which the header `Authorization: Basic …` contains it.

    >>> basic_auth_secrets("ada", "pw")
    ('pw', 'ada:pw', 'YWRhOnB3')
    """
    if not password:
        return ()
    # Clients encode the header in UTF-8 or, as `requests` does, in Latin-1. The user name in the header may be empty.
    text = f"{username}:{password}"
    encoded = [text.encode("utf-8", "surrogateescape"), text.encode("latin-1", "ignore")]
    forms = (base64.b64encode(raw).decode() for raw in encoded)
    return tuple(dict.fromkeys((password, text, *forms)))


def secret_parts(value: str) -> tuple[str, ...]:
    """Return a secret value, and the secrets that it contains: a request shows the parts of a login alone.

    The value can be a connection string, a shared access signature of Azure, the JSON of a key, or a header with the
    scheme of a login.

    >>> secret_parts("AccountName=acct;SharedAccessSignature=sv=2021&sig=Ab3dEf%2F6")[1:]
    ('sv=2021&sig=Ab3dEf%2F6', 'Ab3dEf%2F6', 'Ab3dEf/6')
    """
    parts = [part for part in (*_fields(value), *_json_texts(value), *_tokens(value)) if len(part) >= _MIN_PART]
    return tuple(dict.fromkeys((value, *parts)))


def _tokens(value: str) -> Iterator[str]:
    """Yield the token of a header such as `Bearer TOKEN`."""
    if match := _SCHEME.fullmatch(value.strip()):
        yield match[1]


def _fields(value: str) -> Iterator[str]:
    """Yield the secret fields of a connection string, and of the signatures in it, as they are and decoded."""
    for field in value.split(";"):
        name, _, text = field.partition("=")
        if _SECRET_FIELD.search(name.strip()):
            yield text.strip()
        # The value of a field can be a signature with parameters of its own.
        for parameter in re.findall(r"(?:^|[?&=])(\w+=[^&=]+=*)(?=&|$)", field):
            name, _, text = parameter.partition("=")
            if _SECRET_FIELD.search(name):
                yield from (text, unquote(text))


def _json_texts(value: str) -> Iterator[str]:
    """Yield the secret texts in a JSON object."""
    if not value.lstrip().startswith("{"):
        return

    found: list[str] = []

    def collect(pairs: list[tuple[str, Any]]) -> None:
        found.extend(text for name, text in pairs if isinstance(text, str) and _SECRET_FIELD.search(name))

    try:
        json.loads(value, object_pairs_hook=collect)
    except (ValueError, RecursionError):
        return
    yield from found

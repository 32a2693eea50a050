"""The secret texts of a login with a user name and a password, which must be masked in all output."""

from __future__ import annotations

import base64


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

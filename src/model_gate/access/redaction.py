"""Replaces credentials in texts before they are printed or written.

>>> Redactor(["s3cret"]).text("s3cret at https://ann:pw@mlflow.example.com")
'*** at https://***@mlflow.example.com'
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus

from model_gate.access.decoding import decodings
from model_gate.access.secret_search import SecretSearch, any_of
from model_gate.domain.host import is_credential_key
from model_gate.domain.location import CONTAINER_SCHEMES

MASK = "***"
# The user:password@ part of any URI, since the source of a version or an exception may contain unknown credentials. Its
# slashes can be escaped as in JSON, and its @ as in a URL.
# An error shows the form of a store's URI.
_FORM = r"(?:BUCKET|CONTAINER)@ACCOUNT\.[\w.]+(?![\w.@:-])"
# In models://PROFILE@databricks/… the name of the profile is not a secret.
_PROFILE = r"(?:(?<=models://)|(?<=runs://)|(?<=dbfs://))[\w.-]+@databricks(?:-uc)?(?![\w.@:-])"
# What is before the only @ of a location in Azure is the name of a container, and in one of R2 the name of a bucket.
_NO_CONTAINER = "".join(f"(?<!(?<![\\w+.-]){scheme}://)" for scheme in sorted(CONTAINER_SCHEMES))
_CONTAINER = rf"(?:{_NO_CONTAINER}|(?![a-z0-9$-]{{1,63}}@[^\s/?#'\"<>@%]*(?:[\s/?#'\"<>]|$)))"
_USER_INFO = re.compile(
    rf"(?:(?<=://)|(?<=:\\/\\/))(?!{_FORM}|{_PROFILE}){_CONTAINER}[^\s/?#'\"<>]+(?=@|%40)"
    # The same in a URI that is a part of a URL. The text ends at the next encoded slash, so that the time is linear.
    r"|(?<=%3[Aa]%2[Ff]%2[Ff])(?:(?!%2[Ff])[^\s/?#'\"<>])+(?=@|%40)"
)
# User-info that a cut (…) separates from its @: with a password, or too long for a name without dots.
_CUT_USER_INFO = re.compile(
    r"(?<=://)(?:[^\s/?#'\"<>@…:]*:[^\s/?#'\"<>@…]+|[^\s/?#'\"<>@…:.]{20,})(?=…)|(?<=…)[^\s/?#'\"<>@…]+(?=@)"
)
# The search for credentials in keys is separate, because one pattern for both takes quadratic time.
_QUERY_FIELD = re.compile(r"(?<=[?&;])([\w.-]+)=[^&;\s'\"<>]+")
# The signature of a request to a store, which a traceback can contain outside of a URL.
_SIGNATURE = re.compile(r"\b((?:X-Amz-)?Signature|sig)=[\w%+/=-]{16,}")
# A secret of fewer characters may be part of many words, so it is masked only where it is a whole word.
_SHORT = 6
# A secret of at least this length is found in any case: a server can change the case, and Model Gate writes the
# names of servers in lower case. A shorter secret can equal a word in another case by chance.
_MIN_ANY_CASE = 8
# A shorter secret has too few characters of its own in the base64 of a longer text.
_MIN_INSIDE_BASE64 = 8
# So many times a text is searched, so that a text that is redacted twice stays the same.
_MAX_PASSES = 3
# The separated digits of fewer bytes can be an address or a time by chance.
_MIN_SEPARATED = 8
_URL_SAFE = str.maketrans("+/", "-_")
_WORD = r"(?<![\w/.-])(?:{})(?![\w/-]|\.\w)"
# Fields of the report with paths and URIs. A short secret is not masked there: it can be part of a path by chance.
_PATHS = frozenset(
    {"path", "uri", "download_uri", "source", "field", "native_model", "report_file", "download_dir", "config_file"}
)
# Words that messages use for verdicts. A short secret that equals one of them is not masked.
_VERDICT_WORDS = frozenset({"equal", "error", "check", "diff", "same", "true", "false"})
# Fields of the report and of a statement with fixed values, digests and times of Model Gate. They are never masked,
# even if a password is a part of such a value.
_VOCABULARY = frozenset(
    {"status", "kind", "command", "type", "left_type", "right_type", "require", "schema_version", "hash"}
    | {"_type", "predicateType", "decided_by", "root", "sha256", "image_digest", "same_location", "time", "utc_time"}
)


class Redactor:
    """Replaces given secrets in their usual encodings, the user-info of URIs, and the signatures of URLs.

    A secret is found in JSON, in URLs, in HTML, in base64, in quoted-printable, in hexadecimal digits, and split over
    several lines. One of at least 8 characters is found in any case. Beside the places where a text was shortened, also
    a part of a secret is found.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        given = frozenset(secret for secret in secrets if secret)
        self._secrets = given
        # The start of a user name and a password is the user name, which is no secret.
        pairs = {secret for secret in given if secret.partition(":")[2] in given}
        whole_only = pairs.union(*map(_long_forms, pairs)) - (given - pairs)
        any_case = {secret for secret in given if len(secret) >= _MIN_ANY_CASE}
        same_case = {secret for secret in given - any_case if len(secret) >= _SHORT}
        self._searches = [
            SecretSearch(set().union(*map(_long_forms, found)), whole_only, ignores_case=ignores_case)
            for found, ignores_case in ((any_case, True), (same_case, False))
            if found
        ]
        short = {secret for secret in given if len(secret) < _SHORT and secret.lower() not in _VERDICT_WORDS}
        self._short = any_of({form for secret in short for form in _forms(secret)}, _WORD)

    def including(self, secrets: Iterable[str]) -> Redactor:
        """Return a redactor that replaces these secrets too."""
        all_secrets = self._secrets.union(secrets)
        return self if all_secrets == self._secrets else _redactor_of(all_secrets)

    def text(self, text: str) -> str:
        """Return the text with its secrets replaced. A short secret is replaced only where it is a whole word."""
        return self.path(text if self._short is None else self._short.sub(MASK, text))

    def data(self, value: Any) -> Any:
        """Return a JSON value with redacted texts. Keys and the report's fields with fixed values do not change."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self._field(key, item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.data(item) for item in value]
        return value

    def _field(self, key: str, value: Any) -> Any:
        if key in _VOCABULARY:
            return value
        return self.path(value) if key in _PATHS and isinstance(value, str) else self.data(value)

    def path(self, text: str) -> str:
        """Return a path or URI with its secrets replaced, except secrets of fewer than 6 characters.

        A path can contain such a short text by chance.
        """
        # Known secrets are replaced before user-info, since only a part of a secret with a slash or '@' looks like it.
        masked = self._mask(text) if self._searches else text
        masked = _CUT_USER_INFO.sub(MASK, _USER_INFO.sub(MASK, masked))
        masked = _SIGNATURE.sub(rf"\1={MASK}", masked)
        return _QUERY_FIELD.sub(_mask_credential, masked)

    def _mask(self, text: str) -> str:
        """Return the text with its secrets replaced. A mask counts as a cut, so the text is searched again."""
        for _ in range(_MAX_PASSES):
            before, text = text, self._masked_once(text)
            if text == before:
                break
        return text

    def _masked_once(self, text: str) -> str:
        spans = [
            decoded.span(*span)
            for decoded in decodings(text)
            for search in self._searches
            for span in search.spans(decoded)
        ]
        pieces, end = [], 0
        for start, stop in sorted(spans):
            if start >= end:
                pieces += [text[end:start], MASK]
            end = max(end, stop)
        return "".join(pieces) + text[end:]


# A run has many gates with the same logins.
@lru_cache(maxsize=8)
def _redactor_of(secrets: frozenset[str]) -> Redactor:
    return Redactor(secrets)


def _mask_credential(field: re.Match[str]) -> str:
    return f"{field[1]}={MASK}" if is_credential_key(field[1]) else field[0]


def _forms(secret: str) -> set[str]:
    # An environment variable may hold bytes that are not UTF-8.
    raw = secret.encode("utf-8", "surrogateescape")
    encoded = {base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()}
    return {
        secret,
        secret.replace(" ", "+"),
        quote(raw),
        quote(raw, safe=""),
        quote_plus(raw),
        repr(secret)[1:-1],
        repr(raw)[2:-1],
        # An error page in HTML, and a page without a character set, which clients read as Latin-1.
        html.escape(secret),
        raw.decode("latin-1"),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        *encoded,
        *(form.rstrip("=") for form in encoded),
    }


def _long_forms(secret: str) -> set[str]:
    raw = secret.encode("utf-8", "surrogateescape")
    inside = _inside_base64(raw) if len(raw) >= _MIN_INSIDE_BASE64 else ()
    separated = _separated_digits(raw) if len(raw) >= _MIN_SEPARATED else ()
    return {*_forms(secret), raw.hex(), raw.hex().upper(), *inside, *separated}


def _separated_digits(raw: bytes) -> Iterator[str]:
    """Yield hexadecimal digits of bytes as programs write them with separators, such as `53:33` and `0x53, 0x33`."""
    for form in (
        *(raw.hex(separator) for separator in ":- "),
        *(separator.join(f"0x{byte:02x}" for byte in raw) for separator in (", ", ",", " ")),
    ):
        # A secret of a few characters is not found in any case.
        yield from (form, form.upper(), form.upper().replace("0X", "0x"))


def _inside_base64(raw: bytes) -> Iterator[str]:
    """Yield what a base64 text contains of a secret that is a part of the encoded text.

    Base64 writes 3 bytes as 4 characters, so there are three forms. The characters at both ends of a form are left out
    if they depend also on the text beside the secret.
    """
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + raw).decode()
        # A character of base64 stands for 6 bits.
        form = encoded[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
        yield from (form, form.translate(_URL_SAFE))

"""The allow-list of servers that a compare file may name without a declaration. They get no credentials.

>>> AllowedHosts("https://*.example.com").allows(parse_host("https://mlflow.example.com"))
True
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from model_gate.access.hosts import database_key, find_host, parse_host
from model_gate.domain.host import Host, HostKind
from model_gate.errors import InputError

_REMEDY = (
    "Separate servers by commas, blanks or lines, as in https://mlflow.example.com, https://*.example.com:8443 or"
    " databricks://profile. An asterisk stands for one whole label."
)
_ANY_LABEL = "*"
# Stands for the asterisk while an entry is parsed.
_STAND_IN = "any-label-of-a-host-name"


@dataclass(frozen=True)
class _Pattern:
    """An HTTP address that the user allows. A `*` stands for one label of the host name, as in `*.example.com`."""

    scheme: str
    labels: tuple[str, ...]
    port: int | None
    path: str

    def allows(self, host: Host) -> bool:
        parts = urlsplit(host.address)
        labels = _labels(parts.hostname or "")
        return (
            (parts.scheme, parts.port, parts.path) == (self.scheme, self.port, self.path)
            and len(labels) == len(self.labels)
            and all(own in {_ANY_LABEL, label} for own, label in zip(self.labels, labels, strict=True))
        )


class AllowedHosts:
    """Servers that the user allows although they are not declared, parsed from a text.

    An address without a scheme means `https://`.

    Args:
        text: Addresses, separated by commas, blanks or lines.
        label: Name of the option in error messages.

    Raises:
        InputError: An entry is malformed. The message quotes it only if it cannot contain a password.
    """

    def __init__(self, text: str, label: str = "--allow-hosts") -> None:
        self._patterns: list[_Pattern] = []
        self._others: list[str] = []
        for entry in re.split(r"[\s,]+", text.strip(" \t\r\n,")):
            if entry:
                self._add(entry, label)

    def allows(self, host: Host) -> bool:
        """Return whether an entry of the list matches this server."""
        if host.kind is HostKind.HTTP:
            return any(pattern.allows(host) for pattern in self._patterns)
        return (database_key(host) if host.kind is HostKind.DATABASE else host.address) in self._others

    def _add(self, entry: str, label: str) -> None:
        if "@" in entry:
            raise InputError(f"{label} has an entry with an '@': a login cannot be part of it.", _REMEDY)
        if entry.startswith(("databricks", "sqlite:", "file:", "postgresql", "mysql", "mssql")) and ":" in entry:
            is_local = entry.startswith(("sqlite:", "file:"))
            host = find_host(entry, {}, label) if is_local else parse_host(entry, label)
            self._others.append(database_key(host) if host.kind is HostKind.DATABASE else host.address)
            return
        self._patterns.append(_pattern(entry, label))


def _pattern(entry: str, label: str) -> _Pattern:
    # The parser of hosts normalizes the port and the path. An asterisk is no character of a host name for it.
    host = parse_host((entry if "://" in entry else f"https://{entry}").replace(_ANY_LABEL, _STAND_IN), label)
    parts = urlsplit(host.address)
    labels = tuple(_ANY_LABEL if part == _STAND_IN else part for part in _labels(parts.hostname or ""))
    if host.kind is not HostKind.HTTP or _STAND_IN in "".join(labels) + parts.path:
        raise InputError(f"{label} has an entry that is no server: {entry!r}.", _REMEDY)
    return _Pattern(parts.scheme, labels, parts.port, parts.path)


def _labels(name: str) -> tuple[str, ...]:
    return (name,) if ":" in name else tuple(name.split("."))

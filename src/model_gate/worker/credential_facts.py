"""Sentences for error messages about the credentials of a worker.

They name the variables with the credentials that the worker has received, and those that it has not received.

>>> facts = CredentialFacts(sent=(), not_sent=(("MLFLOW_TRACKING_TOKEN", "it is for https://mlflow.example.com"),))
>>> facts.of_server().sent_to_server()
'No credential was sent, because none is declared for it. MLFLOW_TRACKING_TOKEN is set here, but was not handed over: \
it is for https://mlflow.example.com.'
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from model_gate.domain.variables import (
    ANOTHER_SERVER,
    EMPTY,
    NAMES_VARIABLE,
    NO_LOGIN_VARIABLE,
    NOT_SENT_VARIABLE,
    PREFIX_VARIABLE,
    S3_ENDPOINTS,
    SENT_VARIABLE,
    SERVER_VARIABLE,
    STORE_FAMILIES,
    meant_login,
    store_family,
)

_USERNAME = "MLFLOW_TRACKING_USERNAME"
_PASSWORD = "MLFLOW_TRACKING_PASSWORD"  # noqa: S105  # a name
_TOKEN = "MLFLOW_TRACKING_TOKEN"  # noqa: S105  # a name
# With a plugin for logins, MLflow may send any variable.
_PLUGIN = "MLFLOW_TRACKING_AUTH"
# Variables that MLflow sends to a tracking server, or whose files it uses for the connection.
_LOGINS = (_USERNAME, _PASSWORD, _TOKEN, "MLFLOW_TRACKING_AWS_SIGV4", "MLFLOW_TRACKING_CLIENT_CERT_PATH")
_USER_INFO = "the user-info of the host"
_VARIABLE = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")


class StoreFamily(StrEnum):
    """A kind of object store. The value is a part of the names of its variables, such as AWS_PROFILE."""

    S3 = "AWS"
    AZURE = "AZURE"
    GCS = "GOOGLE"


# Parts of variable names, with the kind of store that each belongs to. If a name has several such parts, the last one
# decides: the first may be the name of a declared server, which is a prefix of its variables.
_KINDS = {"AWS": StoreFamily.S3, "boto": StoreFamily.S3, "Azure": StoreFamily.AZURE, "Google": StoreFamily.GCS}
_FAMILY_PARTS = {
    prefix.rstrip("_"): _KINDS[family]
    for family, prefixes in STORE_FAMILIES.items()
    for prefix in prefixes
    if family in _KINDS
} | {"ARM": StoreFamily.AZURE}
_FAMILY = re.compile(rf"(?:^|_)({'|'.join(_FAMILY_PARTS)})_")
_TLS = re.compile(r"(?:SERVER_CERT_PATH|INSECURE_TLS|IGNORE_TLS|CA_BUNDLE|CA_CERTS_FILE|SSL_CERT_FILE|SSL_CERT_DIR)$")


@dataclass(frozen=True)
class CredentialFacts:
    """The credentials that a worker has received, and those in the parent's environment that it has not received.

    Attributes:
        server: The name with which the environment declares the tracking server, "" if it is not declared.
        sent: Names of the variables with credentials that the worker has received; None if they are not known.
        not_sent: Name of each variable that the worker has not received, and the reason.
        unused: Name of each variable that the worker has received, but MLflow does not send to the server, and why.
        prefix: The prefix of the variables of the tracking server, "" for the server in MLFLOW_TRACKING_URI; None if no
            variable declares the server.
        given_names: The name that the user has given to each variable of an object store that the worker has received.
        missing: The variable that an incomplete login to a store lacks, "" if none is known to be missing.
    """

    server: str = ""
    sent: tuple[str, ...] | None = None
    not_sent: tuple[tuple[str, str], ...] = ()
    unused: tuple[tuple[str, str], ...] = ()
    prefix: str | None = None
    given_names: Mapping[str, str] = field(default_factory=dict)
    missing: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> CredentialFacts:
        """Return the facts that the parent wrote to a worker's environment. Missing or malformed ones are ignored."""
        sent = _list_in(environment.get(SENT_VARIABLE, ""))
        if sent is not None and environment.get(_USERNAME) and not any(str(name).endswith(_USERNAME) for name in sent):
            # The parent sets the user name from the user-info, so SENT_VARIABLE does not name it.
            sent = [_USER_INFO, *sent]
        not_sent = _list_in(environment.get(NOT_SENT_VARIABLE, "")) or []
        return cls(
            environment.get(SERVER_VARIABLE, ""),
            None if sent is None else tuple(map(str, sent)),
            tuple((str(item[0]), str(item[1])) for item in not_sent if isinstance(item, list) and len(item) == 2),
            prefix=environment.get(PREFIX_VARIABLE),
            given_names=_names_in(environment.get(NAMES_VARIABLE, "")),
        )

    def describe_server(self, address: str) -> str:
        """Return the server's declared name with its address, or the address alone."""
        return f"{self.server} ({address})" if self.server else address

    def of_server(self) -> CredentialFacts:
        """Return the facts about the login to the tracking server."""
        facts = self._only(lambda name: _family_of(name) is None and not _TLS.search(name))
        if facts.sent is None or any(name.endswith(_PLUGIN) for name in facts.sent):
            return facts
        prefix = self.prefix or ""
        unused = _unused(facts.sent, prefix)
        sent = tuple(name for name in facts.sent if name not in unused and not _is_other(name, prefix))
        return replace(facts, sent=sent, unused=tuple(unused.items()))

    def of_store(self, family: StoreFamily, *, has_endpoint: bool = False) -> CredentialFacts:
        """Return the facts about the login to one kind of object store, and about its address.

        Args:
            family: The kind of store.
            has_endpoint: Whether a variable of the worker has the address of the store.
        """
        facts = self._only(lambda name: _family_of(name) is family and not _TLS.search(name))
        # In a correct set-up, the store of another server has another address.
        return replace(
            facts,
            not_sent=tuple(
                (name, reason)
                for name, reason in facts.not_sent
                if not _is_endpoint(name) or not (has_endpoint or (self.server and reason.startswith(ANOTHER_SERVER)))
            ),
        )

    def of_certificates(self) -> CredentialFacts:
        """Return the facts about the variables that decide which certificates are trusted."""
        return self._only(lambda name: _TLS.search(name) is not None)

    def sent_to_server(self) -> str:
        """Return a text that says in which variables a server's login was sent, "" if these variables are not known."""
        if self.sent is None:
            return ""
        if self.sent:
            return join_sentences(f"It was sent the login in {and_(self.sent)}.", self.not_sent_to_server())
        is_elsewhere = any(reason != EMPTY for _, reason in self.not_sent)
        reason = "none is declared for it" if is_elsewhere else "none is set for it here"
        return join_sentences(f"No credential was sent, because {reason}.", self._not_used(), self.not_handed_over())

    def not_sent_to_server(self) -> str:
        """Return a text about variables that a server was not sent besides the login that it rejects."""
        # In a correct set-up, the variables of another server, and empty ones, have nothing to do with a login that is
        # rejected.
        others = tuple(item for item in self.not_sent if not item[1].startswith((ANOTHER_SERVER, EMPTY)))
        return join_sentences(self._not_used(), replace(self, not_sent=others).not_handed_over())

    def _not_used(self) -> str:
        return " ".join(
            f"{and_(names)} {_are(names)} set, but {reason if len(names) == 1 else _plural(reason)}."
            for reason, names in _by_reason(self.unused)
        )

    @property
    def has_empty_login(self) -> bool:
        """Whether a variable with the login to the server is empty."""
        return any(reason == EMPTY for _, reason in self.not_sent)

    def meant(self) -> str:
        """Return the login variables that are probably meant by variables of other names, as a remedy; "" for none."""
        names = [name for name, reason in (*self.unused, *self.not_sent) if reason == NO_LOGIN_VARIABLE]
        prefix = self.prefix or ""
        meant = dict.fromkeys(prefix + login for name in names if (login := meant_login(name.removeprefix(prefix))))
        return f"Did you mean {and_(meant)}?" if meant else ""

    def correction(self) -> str:
        """Return the remedy for a login that a server rejects, "" if the login is not known."""
        if not self.sent:
            return ""
        return f"Correct {and_(self.sent)}."

    def used_for_store(self) -> str:
        """Return a text that names the variables that are set for the login to a store, "" if they are not known."""
        if self.sent is None:
            return ""
        if self.sent:
            verb = "is" if len(self.sent) == 1 else "are"
            return join_sentences(f"{and_(self.sent)} {verb} set for this store.", self.not_handed_over())
        how = "was handed over" if self.not_sent else "is set here"
        return join_sentences(f"No variable with credentials for it {how}.", self.not_handed_over())

    def endpoint_not_handed_over(self) -> str:
        """Return a text that says why the worker has not received the address of a store, "" if it needs none."""
        return self._only(_is_endpoint).not_handed_over()

    def use_of_other_server(self, message: str) -> str:
        """Return the remedy for variables of other servers that a message names, "" if it names none.

        It is for a command that reads a store without a tracking server.
        """
        names = dict.fromkeys(
            f"server:{reason.removeprefix(ANOTHER_SERVER)}"
            for variable, reason in self.not_sent
            if reason.startswith(ANOTHER_SERVER) and variable in message
        )
        if not names:
            return ""
        return (
            f"To use these variables, name their server, {' or '.join(names)}: with --left-host or --right-host in a"
            " diff, and with --host in other commands."
        )

    def named(self, remedy: str) -> str:
        """Return a remedy with the names under which the user sets the variables of a store for this server.

        A server that has the unprefixed variables of a store would lose them with the first variable of its own.

        >>> CredentialFacts("prod", prefix="PROD_").named("Set AWS_PROFILE.")
        'Set PROD_AWS_PROFILE.'
        >>> shared = {"MLFLOW_S3_ENDPOINT_URL": "MLFLOW_S3_ENDPOINT_URL"}
        >>> CredentialFacts("prod", prefix="PROD_", given_names=shared).named("Set AWS_PROFILE.")
        'Set AWS_PROFILE.'
        """
        unprefixed = {store_family(name) for name, given in self.given_names.items() if name == given}
        prefix = self.prefix or ""

        def given(found: re.Match[str]) -> str:
            name, family = found[0], store_family(found[0])
            return prefix + name if family and family not in unprefixed else name

        return _VARIABLE.sub(given, remedy)

    def given_name(self, variable: str) -> str:
        """Return the name that the user has given to a variable that the worker has received."""
        return self.given_names.get(variable, variable)

    def not_handed_over(self) -> str:
        """Return a sentence for each reason why the worker has not received variables, "" if it has received all."""
        sentences = []
        for reason, names in _by_reason(self.not_sent):
            if reason == EMPTY:
                sentences.append(f"{and_(names)} {_are(names)} empty.")
            elif len(names) == 1:
                sentences.append(f"{names[0]} is set here, but was not handed over: {reason}.")
            else:
                sentences.append(f"{and_(names)} are set here, but were not handed over: {_plural(reason)}.")
        return " ".join(sentences)

    def _only(self, applies: Callable[[str], bool]) -> CredentialFacts:
        sent = None if self.sent is None else tuple(name for name in self.sent if applies(name))
        return replace(self, sent=sent, not_sent=tuple(item for item in self.not_sent if applies(item[0])))


# Facts for a worker whose credentials are not known. Error messages then do not mention credentials.
UNKNOWN = CredentialFacts()


def _json_in(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _list_in(text: str) -> list[Any] | None:
    value = _json_in(text)
    return value if isinstance(value, list) else None


def _names_in(text: str) -> Mapping[str, str]:
    value = _json_in(text)
    return {str(name): str(given) for name, given in value.items()} if isinstance(value, dict) else {}


def _family_of(name: str) -> StoreFamily | None:
    """Return the kind of store that a variable is for, None for a variable of the tracking server."""
    if "MLFLOW_TRACKING_" in name:
        return None
    parts = _FAMILY.findall(name)
    return _FAMILY_PARTS[parts[-1]] if parts else None


def _unused(names: Iterable[str], prefix: str) -> dict[str, str]:
    """Return the variables, among those with credentials for a tracking server, that MLflow does not send, and why."""
    names = tuple(names)
    has_password = all(any(name.endswith(login) for name in names) for login in (_USERNAME, _PASSWORD))
    unused = {
        name: NO_LOGIN_VARIABLE for name in names if _is_other(name, prefix) and meant_login(name.removeprefix(prefix))
    }
    if has_password:
        reason = "MLflow sends the user name and the password instead"
        unused |= {name: reason for name in names if name.endswith(_TOKEN)}
    return unused


def _is_other(name: str, prefix: str) -> bool:
    """Return whether a variable of a server is not for MLflow. A plugin may read a variable without the prefix."""
    return bool(prefix) and name.startswith(prefix) and not name.endswith(_LOGINS)


def _is_endpoint(name: str) -> bool:
    """Return whether a variable, which may have the prefix of a server, has the address of an S3 store."""
    return name in S3_ENDPOINTS or name.endswith(tuple(f"_{endpoint}" for endpoint in S3_ENDPOINTS))


def _by_reason(items: Iterable[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    """Return each reason, without a full stop, with the names of the variables to which it applies."""
    names: dict[str, list[str]] = {}
    for name, reason in items:
        names.setdefault(reason.rstrip("."), []).append(name)
    return list(names.items())


def _are(names: Collection[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _plural(reason: str) -> str:
    """Return the reason why one variable was not sent as the reason for several variables."""
    for one, several in (
        ("it belongs", "they belong"),
        ("it declares", "they declare"),
        ("does not read it as a login", "does not read them as a login"),
        ("it is for", "they are for"),
        ("for it:", "for them:"),
    ):
        reason = reason.replace(one, several)
    return reason


def edge_problem(value: str) -> str:
    """Return what is wrong with the ends of a value, such as a copied line break; "" if nothing is.

    >>> edge_problem("http://minio:9000 "), edge_problem("'key'"), edge_problem("key")
    ('begins or ends with white space', 'is in quotation marks', '')
    """
    if value != value.strip():
        return "begins or ends with white space"
    return "is in quotation marks" if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else ""


def and_(names: Iterable[str]) -> str:
    """Return names as in `a, b and c`."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def join_sentences(*sentences: str) -> str:
    """Return the sentences that are not empty, as one text."""
    return " ".join(filter(None, sentences))

"""Seals: the SHA-256 of every file of a model at one time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from model_gate.domain.location import without_query
from model_gate.domain.wording import printable
from model_gate.errors import SealError
from model_gate.formats.document_kinds import BUNDLE, SEAL, SIGNED_FILE, document_kind
from model_gate.formats.model_signing import (
    OWN_ANNOTATION,
    Resource,
    Statement,
    StatementError,
    make_statement,
    parse_document,
    require_paths,
    statement_of,
)

# Names and facts of a seal are shown in messages, reports and summaries.
_MAX_CHARACTERS = 4_096
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", re.ASCII)
_NAME_SEAL = "Name the file that model-gate seal wrote to --output."
_NAME_SEAL_AND_BUNDLE = (
    "Name the seal: --seal. Name the bundle as --bundle of model-gate verify, with its signer: --public-key, or"
    " --identity and --issuer. A bundle of model_signing has the seal itself, so leave out --seal."
)
_REMEDIES = {BUNDLE: _NAME_SEAL_AND_BUNDLE, SIGNED_FILE: _NAME_SEAL_AND_BUNDLE}
_REMEDY = "Take the seal from the place where it was approved, or seal the model again."


@dataclass(frozen=True)
class SealFacts:
    """What a seal says about the origin of the model. A fact that is not known is "".

    Attributes:
        model_gate_version: Version of Model Gate that made the seal.
        sealed_at: Time of the seal in UTC, as ISO 8601 with seconds.
        uri: The physical URI or the directory of the sealed files.
        tracking_server: Address of the tracking server.
        registered_model: Name of the registered model.
        model_version: Number of the version.
        stage: Stage of the version.
        aliases: Aliases of the version.
        source: URI that the version was registered from.
        run_id: ID of the run that created the version.
        git_commit: Commit of the code of the run.
    """

    model_gate_version: str
    sealed_at: str
    uri: str
    tracking_server: str = ""
    registered_model: str = ""
    model_version: str = ""
    stage: str = ""
    aliases: tuple[str, ...] = ()
    source: str = ""
    run_id: str = ""
    git_commit: str = ""

    @property
    def annotations(self) -> dict[str, Any]:
        """The facts as annotations of a statement. URIs have no query and no fragment, because a seal is published."""
        facts = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        uris = {"uri": self.uri, "source": self.source, "tracking_server": self.tracking_server}
        facts |= {name: without_query(uri) for name, uri in uris.items()}
        return {OWN_ANNOTATION: {name: value for name, value in facts.items() if value}}

    @classmethod
    def of_annotations(cls, annotations: Mapping[str, Any]) -> SealFacts | None:
        """Return the facts in the annotations of a statement; None if another program made the statement.

        Raises:
            StatementError: A fact is missing, unknown, too long or of another form.
        """
        data = annotations.get(OWN_ANNOTATION)
        if data is None:
            return None
        names = {field.name for field in fields(cls)}
        if not isinstance(data, dict) or not {"model_gate_version", "sealed_at", "uri"} <= data.keys() <= names:
            raise StatementError(f"the annotation {OWN_ANNOTATION} has other fields than Model Gate writes")
        aliases = data.get("aliases", [])
        strings = {name: value for name, value in data.items() if name != "aliases"}
        if not isinstance(aliases, list) or not all(isinstance(item, str) for item in (*aliases, *strings.values())):
            raise StatementError(f"the annotation {OWN_ANNOTATION} has a value that is not a string")
        for name, value in {**strings, "aliases": "".join(aliases)}.items():
            if len(value) > _MAX_CHARACTERS:
                raise StatementError(
                    f"{name} in the annotation {OWN_ANNOTATION} has more than {_MAX_CHARACTERS:,} characters",
                    f"Shorten the {name} of the model version.",
                )
        if not _TIME.fullmatch(data["sealed_at"]):
            raise StatementError("sealed_at is not a time in UTC such as 2026-01-31T18:00:00+00:00")
        return cls(**{**data, "aliases": tuple(aliases)})


@dataclass(frozen=True)
class Seal:
    """The SHA-256 of every file of a model at one time, and where the model is from.

    Attributes:
        file: Path of the seal, as the user named it.
        statement: The SHA-256 of every file.
        facts: What the seal says about the origin of the model; None if another program made it.
        signer: Who signed the seal, as in `the key keys/approver.pub`; "" if no signature was checked.
    """

    file: str
    statement: Statement
    facts: SealFacts | None = None
    signer: str = ""

    @property
    def files(self) -> Mapping[str, Resource]:
        """The files by path."""
        return self.statement.resources

    @property
    def registered_model(self) -> str:
        """Name of the registered model, "" if the seal does not say it."""
        return "" if self.facts is None else self.facts.registered_model

    @property
    def model_name(self) -> str:
        """Name of the sealed model: of the registered model or, if the seal does not say it, of the subject."""
        return self.registered_model or self.statement.name

    @property
    def size(self) -> int | None:
        """Bytes of all files; None if the seal does not say the size of each."""
        sizes = [resource.size for resource in self.files.values()]
        return None if None in sizes else sum(size or 0 for size in sizes)

    def require_registered_model(self, name: str, remedy: str) -> None:
        """Verify that the seal is of a version of this registered model.

        Raises:
            SealError: The seal is of another registered model, or does not say of which one.
        """
        if self.registered_model == name:
            return
        sealed, wanted = _distinct(self.model_name, name)
        if not self.registered_model:
            sealed = f"no registered model (its subject is {sealed})"
        raise SealError(f"The seal {printable(self.file)} is of {sealed}, not of {wanted}.", remedy)

    def require_model_name(self, name: str, remedy: str) -> None:
        """Verify that the seal is of the model with this name. See `model_name`.

        Raises:
            SealError: The seal is of another model.
        """
        if self.model_name != name:
            sealed, wanted = _distinct(self.model_name, name)
            raise SealError(f"The seal {printable(self.file)} is of {sealed}, not of {wanted}.", remedy)


@dataclass(frozen=True)
class SealedVersion:
    """A seal that stands in the place of a version of a tracking server.

    Attributes:
        seal: The seal.
        native_model: The native model's path inside the MLflow model, or "" for the whole model.
    """

    seal: Seal
    native_model: str = ""


def parse_seal(content: bytes, file: str) -> Seal:
    """Return the seal in a JSON text.

    Args:
        content: The text.
        file: Path of the seal, as the user named it.

    Raises:
        SealError: The text is not a seal, or was edited.
    """
    try:
        data = parse_document(content)
    except StatementError as error:
        raise _invalid_seal(file, error) from error
    return seal_of_document(data, file)


def seal_of_document(data: Any, file: str) -> Seal:
    """Return the seal in a value that was parsed by `parse_document`, see `parse_seal`.

    Raises:
        SealError: The value is not a seal, or was edited.
    """
    try:
        if (kind := document_kind(data)) not in {"", SEAL}:
            raise SealError(f"{printable(file)} is {kind}, not a seal.", _REMEDIES.get(kind, _NAME_SEAL))
        statement = statement_of(data)
        return Seal(file, statement, _checked_facts(statement))
    except StatementError as error:
        raise _invalid_seal(file, error) from error


def _invalid_seal(file: str, error: StatementError) -> SealError:
    return SealError(f"{printable(file)} is not a valid seal: {printable(str(error))}.", _REMEDY)


def require_sealable(paths: Iterable[str]) -> None:
    """Verify that there are files, and that each has a path that can be in a seal.

    Raises:
        SealError: There is no file, there are too many, or a path cannot be in a seal.
    """
    try:
        require_paths(paths)
    except StatementError as error:
        raise not_sealable(error) from error


def not_sealable(error: StatementError) -> SealError:
    """Return the error for a model that no statement can describe."""
    return SealError(f"The model cannot be sealed: {printable(str(error))}.", error.remedy)


def make_seal(
    file: str, name: str, files: Mapping[str, Resource], facts: SealFacts, *, allow_symlinks: bool = False
) -> Seal:
    """Return the seal of a model.

    Raises:
        SealError: The model cannot be sealed, for example because a path is not UTF-8.
    """
    try:
        statement = make_statement(name, files, facts.annotations, allow_symlinks=allow_symlinks)
        _checked_facts(statement)
    except StatementError as error:
        raise not_sealable(error) from error
    return Seal(file, statement, facts)


def require_same_identity(seal: Seal, redacted: Statement) -> None:
    """Verify that a seal without secrets still names the model, so that it can be verified.

    Raises:
        SealError: A secret is part of the name or the version.
    """
    try:
        same = seal.statement.name == redacted.name and _identity(seal.facts) == _identity(_checked_facts(redacted))
    except StatementError:
        same = False
    if not same:
        raise SealError(
            "The model cannot be sealed: its name, its version or the time contains a secret of this environment, such"
            " as a password.",
            "Change the secret, or name the model otherwise.",
        )


def require_paths_without_secrets(seal: Seal, redact: Callable[[str], str]) -> None:
    """Verify that no path of a seal has a secret, since a seal is published with the exact paths.

    Args:
        seal: The seal.
        redact: Returns a path without the secrets of the environment.

    Raises:
        SealError: A secret is part of a path. The message has the path without the secret.
    """
    # One search in all paths takes less time than a search in each. No path has a NUL.
    joined = "\0".join(seal.files)
    if redact(joined) == joined:
        return
    path = next((redacted for path in seal.files if (redacted := redact(path)) != path), "")
    raise SealError(
        f"The model cannot be sealed: the path of a file contains a secret of this environment, such as a password"
        f"{f': {printable(path[:200])}' if path else ''}.",
        "Change the secret, or name the file otherwise.",
    )


def _identity(facts: SealFacts | None) -> tuple[str, str] | None:
    return None if facts is None else (facts.registered_model, facts.model_version)


def _checked_facts(statement: Statement) -> SealFacts | None:
    """Return the facts of a statement, whose name is short enough to be shown.

    Raises:
        StatementError: The name is too long, or a fact is malformed.
    """
    if len(statement.name) > _MAX_CHARACTERS:
        raise StatementError(
            f"the name of the subject has more than {_MAX_CHARACTERS:,} characters", "Shorten the name of the model."
        )
    return SealFacts.of_annotations(statement.annotations)


def _distinct(sealed: str, wanted: str) -> tuple[str, str]:
    r"""Return two different names in quotes. A name that is not ASCII is followed by its escapes.

    Such names can look alike: `é` as one or as two characters, or a Cyrillic letter among Latin ones.

    >>> _distinct("Wine", "Café")
    ("'Wine'", "'Café' ('Caf\\xe9')")
    """
    return _with_escapes(printable(sealed)), _with_escapes(printable(wanted))


def _with_escapes(name: str) -> str:
    return repr(name) if name.isascii() else f"{name!r} ({name!a})"

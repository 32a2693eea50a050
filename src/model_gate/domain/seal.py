"""Seals: what a model was at one time, as the SHA-256 of every file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from model_gate.domain.wording import printable
from model_gate.errors import SealError
from model_gate.formats.model_signing import (
    OWN_ANNOTATION,
    Resource,
    Statement,
    StatementError,
    make_statement,
    read_statement,
)

_REMEDY = "Take the seal from the place where it was approved, or seal the model again."


@dataclass(frozen=True)
class SealFacts:
    """What a seal says about the origin of the model. A text that is not known is "".

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
        """The facts as annotations of a statement."""
        facts = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return {OWN_ANNOTATION: {name: value for name, value in facts.items() if value}}

    @classmethod
    def of_annotations(cls, annotations: Mapping[str, Any]) -> SealFacts | None:
        """Return the facts in the annotations of a statement; None if another program made the statement.

        Raises:
            StatementError: A fact is missing, unknown or of another type.
        """
        data = annotations.get(OWN_ANNOTATION)
        if data is None:
            return None
        names = {field.name for field in fields(cls)}
        if not isinstance(data, dict) or not {"model_gate_version", "sealed_at", "uri"} <= data.keys() <= names:
            raise StatementError(f"the annotation {OWN_ANNOTATION} has other fields than Model Gate writes")
        aliases = data.get("aliases", [])
        texts = [value for name, value in data.items() if name != "aliases"]
        if not isinstance(aliases, list) or not all(isinstance(text, str) for text in (*aliases, *texts)):
            raise StatementError(f"the annotation {OWN_ANNOTATION} has a value that is not a text")
        return cls(**{**data, "aliases": tuple(aliases)})


@dataclass(frozen=True)
class Seal:
    """What a model was at one time.

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
    def size(self) -> int | None:
        """Bytes of all files; None if the seal does not say the size of each."""
        sizes = [resource.size for resource in self.files.values()]
        return None if None in sizes else sum(size or 0 for size in sizes)

    @property
    def title(self) -> str:
        """The seal in one phrase, as in `seal seals/wine.json of Wine version 12 (2026-01-31T18:00:00+00:00)`."""
        return f"{self._origin}, signed by {self.signer}" if self.signer else self._origin

    @property
    def _origin(self) -> str:
        facts = self.facts
        if facts is None:
            return f"seal {self.file} of {self.statement.name}"
        version = f"{facts.registered_model} version {facts.model_version}" if facts.registered_model else facts.uri
        return f"seal {self.file} of {version} ({facts.sealed_at})"

    def require_registered_model(self, name: str, remedy: str) -> None:
        """Verify that the seal is of a version of this registered model.

        Raises:
            SealError: The seal is of another registered model, or does not say of which one.
        """
        if self.registered_model == name:
            return
        sealed = repr(printable(self.registered_model)) if self.registered_model else "no registered model"
        raise SealError(f"The seal {printable(self.file)} is of {sealed}, not of {printable(name)!r}.", remedy)


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
        statement = read_statement(content)
        return Seal(file, statement, SealFacts.of_annotations(statement.annotations))
    except StatementError as error:
        raise SealError(f"{printable(file)} is not a valid seal: {printable(str(error))}.", _REMEDY) from error


def make_seal(
    file: str, name: str, files: Mapping[str, Resource], facts: SealFacts, *, allow_symlinks: bool = False
) -> Seal:
    """Return the seal of a model.

    Raises:
        SealError: The model cannot be sealed, for example because a path is not UTF-8.
    """
    try:
        statement = make_statement(name, files, facts.annotations, allow_symlinks=allow_symlinks)
    except StatementError as error:
        raise SealError(
            f"The model cannot be sealed: {printable(str(error))}.",
            "Name the files of the model so that OpenSSF Model Signing can list them: in UTF-8, without a backslash.",
        ) from error
    return Seal(file, statement, facts)

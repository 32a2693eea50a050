"""Reads the messages of a worker, and validates what it says about versions and listings.

A worker handles the responses of a server that may be hostile. The parent process therefore trusts no path, number or
text of a worker.

Example:
    >>> read_listing({"files": {"MLmodel": 120}, "is_near": True, "has_parts": True}).files
    {'MLmodel': 120}
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import IO, Any

from model_gate.domain.limits import LIMITS, Limits
from model_gate.domain.model import Listing
from model_gate.domain.version import Hop, Lineage, ModelVersion, ResolvedUri, SelectedVersion
from model_gate.domain.wording import plural, printable, truncate
from model_gate.errors import ModelGateError, TransferError, error_from_name

# Matches a path that has a NUL, or a part that is empty, "." or "..".
_INVALID_PATH = re.compile(r"(?:^|/)\.{0,2}(?:/|\Z)|\0")
# The number of a version without leading zeros. MLflow stores it as a 32-bit integer.
_NUMBER = re.compile(r"[1-9][0-9]{0,9}")
# Keys and tokens of object stores are longer than the minimum. The time to mask grows with the sum of all lengths.
_MIN_SECRET, _MAX_SECRETS_CHARACTERS = 16, 65_536
# Texts for people. If they are too long, they are cut and not rejected, because they can quote a whole response.
_SENTENCES = frozenset(
    {
        *("reason", "run_model_reason", "run_model_remedy", "reg_model_reason", "reg_model_remedy"),
        *("message", "remedy", "problem"),
    }
)


# The counts in a note. See `model_gate.domain.progress`.
_COUNTS = ("files", "bytes")


class MalformedMessageError(Exception):
    """A message of a worker does not have the expected form. The text says what is wrong."""


@dataclass(frozen=True)
class WorkerMessage:
    """A message of a worker.

    Attributes:
        identifier: Number of the request that the message belongs to, None if it belongs to no request.
        note: Numbers about the progress of the request, None if the request has ended.
        error: The error of the request, None if there is none.
        result: The result of the request.
    """

    identifier: int | None = None
    note: dict[str, int] | None = None
    error: ModelGateError | None = None
    result: Any = None


def read_messages(stream: IO[bytes], limits: Limits = LIMITS) -> Iterator[WorkerMessage]:
    """Yield the messages of a worker, until the stream ends.

    Raises:
        MalformedMessageError: A message is too long, or does not have the expected form.
    """
    while line := stream.readline(limits.message_bytes + 1):
        if len(line) > limits.message_bytes:
            raise MalformedMessageError(f"it has more than {limits.message_bytes:,} bytes")
        if not line.endswith(b"\n"):
            # The worker was killed while it wrote the message.
            return
        try:
            data = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise MalformedMessageError("it is not JSON") from error
        yield _message(data, limits)


def _message(data: Any, limits: Limits) -> WorkerMessage:
    data = _object(data, "the message")
    if "ready" in data:
        return WorkerMessage()
    identifier = _integer(data.get("id"), "the number of the request")
    if "note" in data:
        note = _object(data["note"], "the note")
        return WorkerMessage(identifier, {name: _integer(note.get(name, 0), name) for name in _COUNTS})
    if "error" in data:
        error = _object(data["error"], "the error")
        kind, message, remedy, detail = (
            truncate(_text(error.get(name), name), limits.text_characters)
            for name in ("type", "message", "remedy", "detail")
        )
        return WorkerMessage(identifier, error=error_from_name(kind, message, remedy, detail))
    if "result" not in data:
        raise MalformedMessageError("it has no result")
    return WorkerMessage(identifier, result=data["result"])


def read_listing(data: Any, limits: Limits = LIMITS) -> Listing:
    """Return the listing in the result of a worker.

    Raises:
        MalformedMessageError: A path is not relative or leaves the model, a size is not a number of bytes, or there are
            too many files.
    """
    data = _object(data, "the listing")
    files = _object(data.get("files"), "the files")
    if len(files) > limits.listing_files:
        raise MalformedMessageError(f"it lists {plural(len(files), 'file')}")
    for path, size in files.items():
        if _INVALID_PATH.search(path) or len(path) > limits.path_characters:
            raise MalformedMessageError(f"{truncate(printable(path), 200)!r} is not a path inside a model")
        _integer(size, path)
    for name in ("is_near", "has_parts"):
        if not isinstance(data.get(name), bool):
            raise MalformedMessageError(f"{name} is no boolean")
    return Listing(files, is_near=data["is_near"], has_parts=data["has_parts"])


def read_secrets(data: Any) -> tuple[str, ...]:
    """Return the secrets in the result of a worker, which it has found besides those in variables.

    A short one is left out, so that a worker cannot make the parent mask common words. One that cannot be encoded is
    left out too, and those above a total length.

    Raises:
        MalformedMessageError: The secrets are no list of texts.
    """
    secrets = _object(data, "the listing").get("secrets", [])
    if not isinstance(secrets, list):
        raise MalformedMessageError("the secrets are no list")
    texts = [
        text for secret in secrets if len(text := _text(secret, "a secret")) >= _MIN_SECRET and _is_encodable(text)
    ]
    totals = itertools.accumulate(map(len, texts))
    return tuple(text for text, total in zip(texts, totals, strict=True) if total <= _MAX_SECRETS_CHARACTERS)


def _is_encodable(text: str) -> bool:
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def read_version(data: Any, limits: Limits = LIMITS) -> ModelVersion:
    """Return the version in the result of a worker.

    Raises:
        MalformedMessageError: A field is missing, unknown or of another type.
        TransferError: A text is too long, or there are too many aliases.
    """
    data = _object(data, "the version")
    lists = {
        name: _list(data.get(name), name, limits.version_items)
        for name in ("aliases", "run_model_hops", "reg_model_hops")
    }
    hops = {name: [_record(hop, Hop, limits) for hop in lists[name]] for name in ("run_model_hops", "reg_model_hops")}
    aliases = [read_text(alias, "aliases", limits) for alias in lists["aliases"]]
    lineage = _record(data.get("lineage"), Lineage, limits)
    flat = {name: value for name, value in data.items() if name not in {*lists, "lineage"}}
    return ModelVersion.from_data(
        {**_record(flat, ModelVersion, limits, {*lists, "lineage"}), **hops, "aliases": aliases, "lineage": lineage}
    )


def read_resolved_uri(data: Any, limits: Limits = LIMITS) -> ResolvedUri:
    """Return the physical URI in the result of a worker, with the names that lead to it.

    Raises:
        MalformedMessageError: A field is missing, unknown or of another type.
        TransferError: A text is too long, or there are too many names.
    """
    data = _object(data, "the location")
    hops = _list(data.get("hops"), "hops", limits.version_items)
    uri = read_text(data.get("uri"), "uri", limits)
    return ResolvedUri(uri, tuple(Hop(**_record(hop, Hop, limits)) for hop in hops))


def read_selected(data: Any, limits: Limits = LIMITS) -> tuple[SelectedVersion, ...]:
    """Return the versions in the result of a search.

    Raises:
        MalformedMessageError: A field is missing, unknown or of another type, or a version is listed twice.
        TransferError: A text is too long, or there are too many versions or aliases.
    """
    versions = [_selected(item, limits) for item in _list(data, "versions", limits.search_versions)]
    if len({(version.model, version.version) for version in versions}) < len(versions):
        raise MalformedMessageError("it selects a version twice")
    return tuple(versions)


def _selected(data: Any, limits: Limits) -> SelectedVersion:
    data = _object(data, "the version")
    listed = _list(data.get("aliases"), "aliases", limits.version_items)
    aliases = [read_text(alias, "aliases", limits) for alias in listed]
    flat = {name: value for name, value in data.items() if name != "aliases"}
    version = SelectedVersion(**_record(flat, SelectedVersion, limits, {"aliases"}), aliases=tuple(aliases))
    if bool(version.problem) == bool(version.version) or not version.model:
        raise MalformedMessageError("a selected version needs a model, and either a number or a problem")
    if version.version and not _NUMBER.fullmatch(version.version):
        raise MalformedMessageError("the number of a selected version is no number")
    return version


def read_text(value: Any, name: str, limits: Limits = LIMITS) -> str:
    """Return a text in the result of a worker. `name` is what errors call the text.

    Raises:
        MalformedMessageError: The value is no text.
        TransferError: The text is too long.
    """
    text = _text(value, name)
    if name in _SENTENCES:
        return truncate(text, limits.text_characters)
    if len(text) > limits.text_characters:
        raise TransferError(
            f"The server describes the model version with a text of {plural(len(text), 'character')} ({name}).",
            "Check the tracking server: it sends more than an MLflow server would.",
        )
    return text


def _record(data: Any, kind: type[Any], limits: Limits, other: set[str] = frozenset()) -> dict[str, Any]:  # type: ignore[assignment]
    """Return the validated values in `data` by field.

    `data` must have exactly the fields of the dataclass `kind`, except the fields in `other`.
    """
    data = _object(data, kind.__name__)
    types = {field.name: field.type for field in fields(kind) if field.name not in other}
    if types.keys() != data.keys():
        raise MalformedMessageError(f"{kind.__name__} has other fields")
    return {name: _value(data[name], name, str(types[name]), limits) for name in types}


def _value(value: Any, name: str, kind: str, limits: Limits) -> Any:
    if kind == "int":
        return _integer(value, name)
    if kind == "bool":
        if not isinstance(value, bool):
            raise MalformedMessageError(f"{name} is no boolean")
        return value
    return read_text(value, name, limits)


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MalformedMessageError(f"{name} is no JSON object")
    return value


def _list(value: Any, name: str, max_items: int) -> list[Any]:
    if not isinstance(value, list):
        raise MalformedMessageError(f"{name} is no list")
    if len(value) > max_items:
        raise TransferError(
            f"The server describes the model version with {len(value):,} items ({name}).",
            "Check the tracking server: it sends more than an MLflow server would.",
        )
    return value


def _integer(value: Any, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise MalformedMessageError(f"the number for {truncate(printable(name), 200)!r} is no count")
    return value


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise MalformedMessageError(f"{name} is no text")
    return value

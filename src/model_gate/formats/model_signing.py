"""Writes and reads statements of OpenSSF Model Signing 1.0: the SHA-256 of every file of a model.

A statement is an in-toto Statement v1 with the predicate type `PREDICATE_TYPE`. It has one subject, whose digest is the
root: the SHA-256 of the raw digests of all files, in the order of their names. A statement here has no signature.

>>> statement = make_statement("wine", {"MLmodel": Resource("00" * 32, 5)})
>>> read_statement(statement_bytes(statement)) == statement
True
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from json.encoder import encode_basestring_ascii
from typing import Any, NamedTuple

from model_gate.formats.strict_json import JsonError, parse_json

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"
PAYLOAD_TYPE = "application/vnd.in-toto+json"

MAX_STATEMENT_BYTES = 64 * 1024 * 1024
MAX_RESOURCES = 500_000
MAX_NAME_CHARACTERS = 16_384
# Levels of directories, as in the listing of a model.
_MAX_DEPTH = 250
_MAX_SIZE = 2**63 - 1
# A file has four commas of JSON, and those of its path.
_MAX_COMMAS = 10 * MAX_RESOURCES

# Annotation of the subject: SHA-256 of the whole statement without this annotation. The root covers only the digests of
# the files, so it does not change with a name, a size or an annotation.
_CHECKSUM = "statement_sha256"
# Statements with this annotation always have a checksum, because Model Gate wrote them.
OWN_ANNOTATION = "model_gate"

_FEWER_FILES = "Log the model with fewer files: pack small files into an archive."
_DIGEST = re.compile(r"[0-9a-f]{64}")
# Matches a path, or paths separated by NUL, with a backslash or with a part that is empty, "." or "..".
_INVALID_NAME = re.compile(r"\\|(?:\A|[/\0])\.{0,2}(?:[/\0]|\Z)")


class StatementError(ValueError):
    """A text is not a statement of OpenSSF Model Signing 1.0, or a model cannot be described by one.

    Attributes:
        remedy: How to change the model, so that a statement can describe it; "" if the error is about a text.
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem)
        self.remedy = remedy


class Resource(NamedTuple):
    """A file of a model.

    Attributes:
        digest: SHA-256 of the file in lower-case hex.
        size: Bytes of the file; None if the statement does not have it.
    """

    digest: str
    size: int | None = None


@dataclass(frozen=True)
class Statement:
    """The files of a model at one time.

    Attributes:
        name: Name of the subject. It is the model's name if the seal has no registered model.
        root: SHA-256 of the digests of all files, in lower-case hex.
        resources: The files by path. Paths are relative to the model's directory and use `/`. They are in the order in
            which the root covers them.
        annotations: The annotations of the subject, without the checksum of the statement.
        allow_symlinks: Whether the model had symbolic links, which count as the files to which they point.
        ignore_paths: Paths that the writer of the statement left out.
    """

    name: str
    root: str
    resources: Mapping[str, Resource]
    annotations: Mapping[str, Any] = field(default_factory=dict)
    allow_symlinks: bool = False
    ignore_paths: tuple[str, ...] = ()


def make_statement(
    name: str,
    resources: Mapping[str, Resource],
    annotations: Mapping[str, Any] | None = None,
    *,
    allow_symlinks: bool = False,
) -> Statement:
    """Return the statement for the files of a model, by path in any order.

    Raises:
        StatementError: There is no file, there are too many, a path cannot be in a statement, or the name is empty.
    """
    if not name:
        raise StatementError("the name of the subject is empty", "Name the model.")
    require_paths(resources)
    # Python compares strings by code point.
    ordered = {path: resources[path] for path in sorted(resources)}
    return Statement(name, root_digest(ordered.values()), ordered, dict(annotations or {}), allow_symlinks)


def root_digest(resources: Iterable[Resource]) -> str:
    """Return the SHA-256 over the raw digests of the files, in this order, in lower-case hex."""
    return hashlib.sha256(bytes.fromhex("".join([resource.digest for resource in resources]))).hexdigest()


def statement_bytes(statement: Statement) -> bytes:
    """Return the statement as JSON in ASCII, with one line for each file. Equal statements have equal bytes.

    Characters that are not ASCII are escaped, so that a reader of the text sees all of them.

    Raises:
        StatementError: The statement is larger than `MAX_STATEMENT_BYTES`, so that it could not be read.
    """
    data = _statement_data(statement)
    if statement.annotations:
        data["subject"][0]["annotations"][_CHECKSUM] = _checksum(data, statement.resources)
    del data["predicate"]["resources"]
    lines = ",\n".join([_resource_line(*item) for item in statement.resources.items()])
    text = json.dumps(data, indent=2, allow_nan=False)
    # The predicate is the last object, and `resources` is added at its end.
    head = text.removesuffix("\n  }\n}")
    content = f'{head},\n    "resources": [\n{lines}\n    ]\n  }}\n}}\n'.encode()
    if len(content) > MAX_STATEMENT_BYTES:
        raise StatementError(
            f"the statement has {len(content):,} bytes, more than the limit of {MAX_STATEMENT_BYTES:,}",
            _FEWER_FILES,
        )
    return content


def read_statement(content: bytes) -> Statement:
    """Return the statement in a JSON text, see `statement_of`.

    Raises:
        StatementError: The text is not a statement, or its digests or its checksum do not match.
    """
    return statement_of(parse_document(content))


def statement_of(value: Any) -> Statement:
    """Return the statement in a JSON value, which must not be used afterwards.

    Files may be in the order of the specification, or in the order of the tool `model_signing`, which sorts each part
    of a path separately.

    Raises:
        StatementError: The value is not a statement, or its digests or its checksum do not match.
    """
    data = _object(value, "the statement", required=("_type", "subject", "predicateType", "predicate"))
    _require_value(data["_type"], STATEMENT_TYPE, "_type")
    _require_value(data["predicateType"], PREDICATE_TYPE, "predicateType")
    predicate = _object(data["predicate"], "predicate", required=("resources", "serialization"))
    serialization = _object(
        predicate["serialization"],
        "serialization",
        required=("method", "hash_type", "allow_symlinks"),
        optional=("ignore_paths",),
    )
    _require_value(serialization["method"], "files", "serialization.method")
    _require_value(serialization["hash_type"], "sha256", "serialization.hash_type")
    if not isinstance(serialization["allow_symlinks"], bool):
        raise StatementError("serialization.allow_symlinks is neither true nor false")
    resources = _read_resources(predicate["resources"])
    name, root, annotations = _read_subject(data, resources)
    if root_digest(resources.values()) != root:
        raise StatementError("the digest of the subject does not match the digests of the files")
    return Statement(
        name=name,
        root=root,
        resources=resources,
        annotations=annotations,
        allow_symlinks=serialization["allow_symlinks"],
        ignore_paths=_strings(serialization.get("ignore_paths", []), "serialization.ignore_paths"),
    )


def _statement_data(statement: Statement) -> dict[str, Any]:
    subject: dict[str, Any] = {"name": statement.name, "digest": {"sha256": statement.root}}
    if statement.annotations:
        subject["annotations"] = dict(statement.annotations)
    return {
        "_type": STATEMENT_TYPE,
        "subject": [subject],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": statement.allow_symlinks,
                "ignore_paths": list(statement.ignore_paths),
            },
            "resources": [],
        },
    }


def _resource_line(name: str, resource: Resource) -> str:
    size = "" if resource.size is None else f', "annotations": {{"size": {resource.size}}}'
    return (
        f'      {{"name": {encode_basestring_ascii(name)}, "digest": "{resource.digest}", "algorithm": "sha256"{size}}}'
    )


def _checksum(data: dict[str, Any], resources: Mapping[str, Resource]) -> str:
    """Return the SHA-256 of a statement without a checksum, independent of the order of keys and of white space.

    It covers the JSON of everything except the files, and then digest, size and path of each file. A path has no NUL.
    """
    predicate = {**data["predicate"], "resources": []}
    text = json.dumps({**data, "predicate": predicate}, allow_nan=False, sort_keys=True, separators=(",", ":"))
    files = "\0".join([f"{resource.digest} {resource.size} {name}" for name, resource in resources.items()])
    return hashlib.sha256(f"{text}\0{files}".encode()).hexdigest()


def parse_document(content: bytes) -> Any:
    """Return the value of a JSON text that can be a statement, see `parse_json`.

    Raises:
        StatementError: The text is not such JSON, or exceeds a limit.
    """
    try:
        return parse_json(content, max_bytes=MAX_STATEMENT_BYTES, max_commas=_MAX_COMMAS)
    except JsonError as error:
        raise StatementError(str(error)) from error


def _read_subject(data: dict[str, Any], resources: Mapping[str, Resource]) -> tuple[str, str, dict[str, Any]]:
    """Return the name, the root and the annotations of the only subject, after the checksum is verified."""
    subjects = data["subject"]
    if not isinstance(subjects, list) or len(subjects) != 1:
        raise StatementError("subject is not a list of one entry")
    subject = _fields(subjects[0], "subject", ("name", "digest"))
    if not isinstance(subject["name"], str) or not subject["name"]:
        raise StatementError("the name of the subject is not a string, or is empty")
    # Another digest could not be verified: OpenSSF Model Signing defines only this one.
    root = _object(subject["digest"], "the digest of the subject", required=("sha256",))["sha256"]
    annotations = subject.get("annotations", {})
    if not isinstance(annotations, dict):
        raise StatementError("the annotations of the subject are not an object")
    checksum = annotations.pop(_CHECKSUM, None)
    if checksum is None and OWN_ANNOTATION in annotations:
        raise StatementError(f"the annotation {_CHECKSUM} is missing: the statement was edited")
    if checksum is not None and checksum != _checksum(data, resources):
        raise StatementError(f"the annotation {_CHECKSUM} does not match: the statement was edited")
    return subject["name"], root, annotations


def _read_resources(items: Any) -> dict[str, Resource]:
    if not isinstance(items, list):
        raise StatementError("resources is not a list")
    resources: dict[str, Resource] = {}
    for item in items:
        # The specification demands that other fields of a resource are ignored.
        data = _fields(item, "a resource", ("name", "digest", "algorithm"))
        name, digest = data["name"], data["digest"]
        if not isinstance(name, str):
            raise StatementError("the name of a resource is not a string")
        if name in resources:
            raise StatementError(f"the file {name[:200]!r} appears twice")
        if data["algorithm"] != "sha256":
            raise StatementError(f"the algorithm of {name[:200]!r} is not sha256")
        if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            raise StatementError(f"the digest of {name[:200]!r} is not a SHA-256 in lower-case hex")
        resources[name] = Resource(digest, _size(data.get("annotations"), name))
    require_paths(resources)
    names = list(resources)
    if names != sorted(names) and names != sorted(names, key=lambda name: name.split("/")):
        raise StatementError("the files are not sorted by name")
    return resources


def _size(annotations: Any, name: str) -> int | None:
    size = annotations.get("size") if isinstance(annotations, dict) else None
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _MAX_SIZE):
        raise StatementError(f"the size of {name[:200]!r} is not a number of bytes")
    return size


def require_paths(paths: Iterable[str]) -> None:
    """Verify that there are files, and that each has a path that can be in a statement.

    Raises:
        StatementError: There is no file, there are too many, or a path is invalid.
    """
    paths = set(paths)
    if not paths:
        raise StatementError("there are no files", "Name a model that has files.")
    if len(paths) > MAX_RESOURCES:
        raise StatementError(f"there are {len(paths):,} files, more than the limit of {MAX_RESOURCES:,}", _FEWER_FILES)
    if max(map(len, paths)) > MAX_NAME_CHARACTERS:
        raise StatementError(f"a path has more than {MAX_NAME_CHARACTERS:,} characters", "Shorten the path.")
    # One search in all paths takes less time than a search in each. No path has a NUL.
    joined = "\0".join(paths)
    if _INVALID_NAME.search(joined) or joined.count("\0") >= len(paths):
        path = next(path for path in paths if "\0" in path or _INVALID_NAME.search(path))
        raise StatementError(
            f"{path[:200]!r} is not a relative path of a file with `/` between its parts",
            "Rename the file: a path in a seal has no backslash, and no part that is empty, `.` or `..`.",
        )
    if not is_utf8(joined):
        path = next(path for path in paths if not is_utf8(path))
        # The repr would hide the byte, which `printable` shows, as in \xff.
        raise StatementError(f"the path '{path[:200]}' is not UTF-8", "Name the file in UTF-8.")
    if any(path.count("/") > _MAX_DEPTH for path in paths):
        raise StatementError(f"a path has more than {_MAX_DEPTH} levels", "Put the file into fewer directories.")
    parents = {path.rpartition("/")[0] for path in paths}
    while parents := parents - {""}:
        if both := parents & paths:
            raise StatementError(
                f"{min(both)[:200]!r} is a file and a directory", "Remove the file or the directory from the store."
            )
        parents = {parent.rpartition("/")[0] for parent in parents}


def is_utf8(name: str) -> bool:
    """Return whether a name has no byte that is not UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _object(value: Any, name: str, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a JSON object that has all required fields and no unknown field."""
    data = _fields(value, name, required)
    if unknown := data.keys() - {*required, *optional}:
        raise StatementError(f"{name} has the unknown field {min(unknown)[:200]!r}")
    return data


def _fields(value: Any, name: str, required: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise StatementError(f"{name} is not an object")
    for key in required:
        if key not in value:
            raise StatementError(f"{name} has no field {key!r}")
    return value


def _require_value(value: Any, expected: str, name: str) -> None:
    if value != expected:
        raise StatementError(f"{name} is {str(value)[:200]!r}, not {expected!r}")


def _strings(value: Any, name: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise StatementError(f"{name} is not a list of strings")
    return tuple(value)

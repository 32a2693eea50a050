"""Zip-based files (skops, Keras, PyTorch, npz), compared member by member. Nothing is unpacked to disk or loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from model_gate.domain.difference import Explanation, FieldChange
from model_gate.domain.rewrites import ARCHIVE_SUFFIXES, ArchiveFormat, archive_format
from model_gate.domain.wording import byte_count, plural
from model_gate.explanation.archive_members import CanonicalDocument, document_changes, is_automatic_name, read_document
from model_gate.explanation.content import Content, ContentPair, UnexplainedError
from model_gate.explanation.raw_bytes import first_differing_byte
from model_gate.explanation.tensors import ElementBudget, Tensor, compare_tensors
from model_gate.explanation.torch_names import NamedStorage, exported_weights, named_storages
from model_gate.explanation.trees import MAX_FIELDS, field_changes, shorten, summarize_fields
from model_gate.explanation.zip_file import Archive, is_zip, open_archive

KIND = "archive"
_MAX_EXPLAINED_MEMBERS = 20
_WEIGHTS_CONFIGS = frozenset({"model_weights_config.json", "model_constants_config.json"})
_MAX_EXPLAINED_BYTES = 16 * 1024 * 1024

_NAMES_ADVICE = (
    "The names of some layers only count the layers that were made before in the same process. Give layers a `name`, "
    "or call `keras.backend.clear_session()` before the model is made."
)

# Explains a pair of members by their own kind of file.
ExplainMember = Callable[[ContentPair], Explanation]


def matches(pair: ContentPair) -> bool:
    """Return whether the path has the suffix of an archive, or the left file starts like a zip archive.

    An archive inside an archive does not match.
    """
    return not pair.is_member and (archive_format(pair.path) is not None or is_zip(pair.left))


def explain(pair: ContentPair, explain_member: ExplainMember) -> Explanation | None:
    """Explain two archives by their members that differ.

    If no member differs and the format is known, the explanation has a rewrite reason: the archives differ only in what
    the format changes when the same model is saved again.

    Returns:
        The explanation, or None if one of the files is not an archive.
    """
    if not is_zip(pair.left) or not is_zip(pair.right):
        return None
    known_format = archive_format(pair.path)
    with open_archive(pair.left) as left, open_archive(pair.right) as right:
        return _ArchiveComparison(left, right, known_format).explain(explain_member)


def describe(content: Content) -> str:
    """Return the number of members in a phrase, "" if the content is not an archive."""
    if not is_zip(content):
        return ""
    with open_archive(content) as archive:
        return f"a zip archive with {plural(len(archive.members), 'member')}"


@dataclass
class _Half:
    """One archive of a pair, with a canonical name for each member.

    The canonical name is the member's name, or a numbered name such as `#0.npy` if the format makes the member's name
    from a memory address.

    Attributes:
        archive: The archive.
        names: Name of each member in the archive, by canonical name.
        documents: JSON members that the format rewrites, by canonical name.
        object_paths: Path of the object whose data a member holds, by canonical name.
        storages: The tensors whose elements a member of a PyTorch archive holds, by canonical name.
    """

    archive: Archive
    names: dict[str, str]
    documents: dict[str, CanonicalDocument] = field(default_factory=dict)
    object_paths: dict[str, str] = field(default_factory=dict)
    storages: dict[str, NamedStorage] = field(default_factory=dict)


def _read_half(archive: Archive, known_format: ArchiveFormat | None) -> _Half:
    _require_distinct_names(archive, known_format)
    half = _Half(archive, {name: name for name in archive.members})
    for rule in known_format.members if known_format else ():
        if rule.member not in archive.members:
            continue
        document = read_document(archive, rule)
        half.documents[rule.member] = document
        half.object_paths |= document.object_paths
        for canonical, name in document.names.items():
            if canonical in half.names:
                raise UnexplainedError(f"a member is called {canonical}")
            del half.names[name]
            half.names[canonical] = name
    if known_format is not None and known_format.has_storages:
        half.storages = _named_storages(archive)
    return half


def _named_storages(archive: Archive) -> dict[str, NamedStorage]:
    """Return the tensors of a PyTorch archive by member. They are names for people, so that a failure is no error."""
    found: dict[str, NamedStorage] = {}
    for name, info in archive.members.items():
        directory, slash, file = name.rpartition("/")
        if info.file_size > _MAX_EXPLAINED_BYTES:
            continue
        try:
            if file == "data.pkl":
                storages = named_storages(_in_memory(archive, name))
                found |= {f"{directory}{slash}data/{key}": storage for key, storage in storages.items()}
            elif file in _WEIGHTS_CONFIGS:
                storages = exported_weights(_in_memory(archive, name))
                found |= {f"{directory}{slash}{member}": storage for member, storage in storages.items()}
        except Exception:  # noqa: BLE001, S112  # damaged members are found when they are compared
            continue
    return found


def _in_memory(archive: Archive, name: str) -> Content:
    return Content.of_bytes(archive.content(name).read_all(_MAX_EXPLAINED_BYTES))


def _require_distinct_names(archive: Archive, known_format: ArchiveFormat | None) -> None:
    """Raise UnexplainedError if two members have the same name for programs that read the format."""
    if known_format is None:
        return
    names = list(archive.members)
    if known_format.ignores_case:
        names = [name.casefold() for name in names]
    if known_format.is_unpacked:
        # How `zipfile` makes the path of a file from the name of a member.
        names = ["/".join(part for part in name.split("/") if part not in {"", ".", ".."}) for name in names]
    if len(set(names)) < len(names):
        raise UnexplainedError(f"two of its members have the same name for {known_format.format}")


class _ArchiveComparison:
    """Compares the members of two archives. Each instance is used for one comparison."""

    def __init__(self, left: Archive, right: Archive, known_format: ArchiveFormat | None) -> None:
        self._left, self._right = _read_half(left, known_format), _read_half(right, known_format)
        self._format = known_format
        self._rewritten: list[str] = []
        self._has_automatic_names = False
        self._explained_count = 0
        self._budget = ElementBudget()
        self._is_cut = False

    def explain(self, explain_member: ExplainMember) -> Explanation:
        """Return an explanation with the members that differ.

        Members with different checksums are compared first. If no change is found, the members with equal checksums are
        compared byte by byte, because two different members can have equal checksums.
        """
        changes = self._unpaired_members() + self._first_directory_change()
        changes = changes or self._order_change()
        suspects, same_checksum = self._partition_by_checksum()
        for name in suspects:
            changes += self._member_change(name, explain_member)
        changes = changes or self._reader_changes()
        if not changes:
            for name in same_checksum:
                changes += self._change_despite_checksum(name)
        if changes:
            is_cut = self._is_cut or len(changes) > MAX_FIELDS
            advice = _NAMES_ADVICE if self._has_automatic_names else ""
            return Explanation(KIND, _summary(changes), tuple(changes[:MAX_FIELDS]), is_cut=is_cut, advice=advice)
        summary = "same members, different archive metadata"
        if self._format is None:
            return Explanation(KIND, f"{summary}; only {', '.join(ARCHIVE_SUFFIXES)} files can be equivalent")
        if self._rewritten:
            summary += f" and what {self._format.format} writes anew into {', '.join(sorted(self._rewritten))}"
        return Explanation(KIND, summary, rewrite_reason=summary)

    def _unpaired_members(self) -> list[FieldChange]:
        left, right = self._left, self._right
        removed = [name for name in left.names if name not in right.names]
        added = [name for name in right.names if name not in left.names]
        return [
            *(FieldChange(self._label(name), _size(left, name), None) for name in removed),
            *(FieldChange(self._label(name), None, _size(right, name)) for name in added),
        ]

    def _first_directory_change(self) -> list[FieldChange]:
        # PyTorch loads the directory of the first member, and nothing if that member is in no directory.
        firsts = [next(iter(half.archive.members), "").partition("/") for half in (self._left, self._right)]
        left, right = (directory + slash if slash else "" for directory, slash, _ in firsts)
        meaning = "the directory of the first member, which is the one that PyTorch loads"
        change = FieldChange(
            "(first directory)", shorten(left.removesuffix("/")), shorten(right.removesuffix("/")), meaning=meaning
        )
        return [change] if left != right else []

    def _order_change(self) -> list[FieldChange]:
        left, right = list(self._left.names), list(self._right.names)
        if self._format is None or not self._format.is_order_visible or left == right:
            return []
        meaning = f"the order of members, which {self._format.format} shows"
        return [FieldChange("(order)", shorten(", ".join(left)), shorten(", ".join(right)), meaning=meaning)]

    def _reader_changes(self) -> list[FieldChange]:
        """Return the changed attributes, and the comments and compressions that prevent mapping the archive.

        Because of them, some programs read other members or none, although the members have the same bytes.
        """
        changes = [
            FieldChange(self._label(name), left, right, meaning="its attributes, which some readers go by")
            for name in self._left.names
            for left, right in [(_attributes(self._left, name), _attributes(self._right, name))]
            if left != right
        ]
        if self._format is None or not self._format.is_mapped:
            return changes
        left_comment, right_comment = (half.archive.has_comment for half in (self._left, self._right))
        if left_comment or right_comment:
            meaning = f"a comment, after which {self._format.format} may not find the members"
            changes.append(FieldChange("(comment)", _yes_no(left_comment), _yes_no(right_comment), meaning=meaning))
        for name in self._left.names:
            methods = [_compression(half, name)[0] for half in (self._left, self._right)]
            if any(methods):
                left, right = ("compressed" if method else "not compressed" for method in methods)
                meaning = f"compressed, and {self._format.format} can map the archive, which takes the compressed bytes"
                changes.append(FieldChange(self._label(name), left, right, meaning=meaning))
        return changes

    def _partition_by_checksum(self) -> tuple[list[str], list[str]]:
        """Return the names of the common members whose size or checksum differs, and of the other common members."""
        suspects: list[str] = []
        same: list[str] = []
        for name in self._left.names:
            if name in self._right.names:
                is_same = _checksum(self._left, name) == _checksum(self._right, name)
                (same if is_same else suspects).append(name)
        return suspects, same

    def _member_change(self, name: str, explain_member: ExplainMember) -> list[FieldChange]:
        left, right = self._left.documents.get(name), self._right.documents.get(name)
        if left is not None and right is not None:
            changes = document_changes(left, right)
            if not changes:
                self._rewritten.append(name)
                return []
            meaning = summarize_fields(field_changes(changes), len(changes), "change")
            self._has_automatic_names |= any(map(is_automatic_name, changes))
            if all(map(is_automatic_name, changes)):
                meaning = f"only automatic names: {meaning}"
        else:
            meaning = self._describe_member(name, explain_member)
        return [FieldChange(self._label(name), _size(self._left, name), _size(self._right, name), meaning=meaning)]

    def _describe_member(self, name: str, explain_member: ExplainMember) -> str:
        """Return a phrase for the difference of a member.

        Return "" if the member is larger than 16 MiB, or if 20 members of the archive have been described already.
        """
        sizes = [half.archive.members[half.names[name]].file_size for half in (self._left, self._right)]
        if self._explained_count >= _MAX_EXPLAINED_MEMBERS or max(sizes) > _MAX_EXPLAINED_BYTES:
            self._is_cut = True
            return ""
        self._explained_count += 1
        left, right = (
            Content.of_bytes(half.archive.content(half.names[name]).read_all(_MAX_EXPLAINED_BYTES))
            for half in (self._left, self._right)
        )
        if meaning := self._describe_storage(name, left, right):
            return meaning
        explanation = explain_member(ContentPair(name, left, right, is_member=True))
        return f"{explanation.summary}{f' ({explanation.note})' if explanation.note else ''}"

    def _describe_storage(self, name: str, left: Content, right: Content) -> str:
        """Return how many elements of a tensor changed, "" if the members are no tensors of the same type and size."""
        before, after = (half.storages.get(name) for half in (self._left, self._right))
        if before is None or after is None or before.element is None or before.element != after.element:
            return ""
        if left.size != right.size or left.size % before.element.size:
            return ""
        tensor = Tensor(before.element, (left.size // before.element.size,), 0)
        result = compare_tensors(name, (left, tensor), (right, tensor), self._budget)
        if result is None:
            return ""
        self._is_cut |= result[1]
        return result[0].meaning

    def _change_despite_checksum(self, name: str) -> list[FieldChange]:
        halves = (self._left, self._right)
        if _compression(self._left, name) == _compression(self._right, name):
            # Members with equal stored bytes are equal, and comparing those is faster than decompressing both.
            packed_left, packed_right = (half.archive.compressed(half.names[name]) for half in halves)
            if first_differing_byte(packed_left, packed_right) is None:
                self._check(self._left, name)
                return []
        for half in halves:
            self._check(half, name)
        left, right = (half.archive.content(half.names[name]) for half in halves)
        if first_differing_byte(left, right) is None:
            return []
        return [FieldChange(self._label(name), _size(self._left, name), _size(self._right, name))]

    def _check(self, half: _Half, name: str) -> None:
        if self._format is not None and self._format.ignores_checksums:
            half.archive.check_compression(half.names[name])
        else:
            half.archive.check_content(half.names[name])

    def _label(self, name: str) -> str:
        object_path = self._left.object_paths.get(name) or self._right.object_paths.get(name)
        storage = self._left.storages.get(name) or self._right.storages.get(name)
        if storage is not None and storage.name:
            return f"{shorten(storage.name, 100)} ({shorten(name, 80)})"
        return object_path or shorten(name)


def _checksum(half: _Half, name: str) -> tuple[int, int]:
    info = half.archive.members[half.names[name]]
    return info.file_size, info.CRC


def _compression(half: _Half, name: str) -> tuple[int, int]:
    info = half.archive.members[half.names[name]]
    return info.compress_type, info.compress_size


def _attributes(half: _Half, name: str) -> str:
    system, attributes = half.archive.attributes(half.names[name])
    return f"system {system}, {attributes:#x}"


def _yes_no(condition: bool) -> str:
    return "yes" if condition else "no"


def _size(half: _Half, name: str) -> str:
    return byte_count(half.archive.members[half.names[name]].file_size)


def _summary(changes: list[FieldChange]) -> str:
    first = changes[0]
    if first.left is None or first.right is None:
        how = "added" if first.left is None else "removed"
    else:
        how = first.meaning or "differs"
    more = f", and {len(changes) - 1:,} more member{'s' if len(changes) > 2 else ''}" if len(changes) > 1 else ""
    return f"{shorten(first.field, 80)}: {how}{more}"

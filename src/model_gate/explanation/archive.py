"""Zip-based files (skops, Keras, PyTorch, npz): member by member. Nothing is unpacked to disk, nothing is loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from model_gate.domain.difference import Explanation, FieldChange
from model_gate.domain.rewrites import ArchiveFormat, archive_format
from model_gate.domain.wording import byte_count
from model_gate.explanation.archive_members import Member, changes_of, read_member
from model_gate.explanation.content import Content, ContentPair, UnexplainedError
from model_gate.explanation.raw_bytes import first_differing_byte
from model_gate.explanation.trees import MAX_FIELDS, fields_of, shortened, summary_of
from model_gate.explanation.zip_file import Archive, is_zip, open_archive

KIND = "archive"
_MAX_EXPLAINED_MEMBERS = 20
_MAX_EXPLAINED_BYTES = 16 * 1024 * 1024

# Explains a pair of members as what they are.
ExplainMember = Callable[[ContentPair], Explanation]


def matches(pair: ContentPair) -> bool:
    """By the first bytes, whatever the name; an archive in an archive is just bytes."""
    return not pair.is_member and (archive_format(pair.path) is not None or is_zip(pair.left))


def explain(pair: ContentPair, explain_member: ExplainMember) -> Explanation | None:
    """Which members differ, and how; `identity` says so if none does. None if one of the two is no archive."""
    if not is_zip(pair.left) or not is_zip(pair.right):
        return None
    known = archive_format(pair.path)
    with open_archive(pair.left) as left, open_archive(pair.right) as right:
        return _Members(left, right, known).explained(explain_member)


@dataclass
class _Half:
    """One archive, its members under the names they have on both sides.

    Attributes:
        archive: The archive.
        names: The member's own name by that name.
        documents: Members that were read because their format rewrites them.
        places: What the members hold, where the format says.
    """

    archive: Archive
    names: dict[str, str]
    documents: dict[str, Member] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)


def _half(archive: Archive, known: ArchiveFormat | None) -> _Half:
    half = _Half(archive, {name: name for name in archive.members})
    for rule in known.members if known else ():
        if rule.member not in archive.members:
            continue
        document = read_member(archive, rule)
        half.documents[rule.member] = document
        half.places |= document.places
        for canonical, name in document.names.items():
            if canonical in half.names:
                raise UnexplainedError(f"a member is called {canonical}")
            del half.names[name]
            half.names[canonical] = name
    return half


class _Members:
    """The members of two archives, held against each other."""

    def __init__(self, left: Archive, right: Archive, known: ArchiveFormat | None) -> None:
        self._left, self._right = _half(left, known), _half(right, known)
        self._known = known
        self._rewritten: list[str] = []
        self._explained = 0
        self._is_cut = False

    def explained(self, explain_member: ExplainMember) -> Explanation:
        """What differs; every byte of every member is read before it is said that nothing does."""
        found = self._one_sided() + self._first_directory()
        suspects, same = self._sorted_by_checksum()
        for name in suspects:
            found += self._differing(name, explain_member)
        if not found:
            for name in same:
                found += self._differing_in_spite_of_checksum(name)
        if found:
            is_cut = self._is_cut or len(found) > MAX_FIELDS
            return Explanation(KIND, _summary(found), tuple(found[:MAX_FIELDS]), is_cut=is_cut)
        rewritten = (
            f" and what {self._known.format} writes anew into {', '.join(sorted(self._rewritten))}"
            if (self._known and self._rewritten)
            else ""
        )
        summary = f"same members, different archive metadata{rewritten}"
        return Explanation(KIND, summary, rewrite_reason=summary if self._known else "")

    def _one_sided(self) -> list[FieldChange]:
        left, right = self._left, self._right
        return [
            *(
                FieldChange(self._shown(name), _size(left, name), None)
                for name in left.names
                if name not in right.names
            ),
            *(
                FieldChange(self._shown(name), None, _size(right, name))
                for name in right.names
                if name not in left.names
            ),
        ]

    def _first_directory(self) -> list[FieldChange]:
        """PyTorch loads what is in the directory of the first member: order does not matter but for that."""
        left, right = (next(iter(half.archive.members), "").rpartition("/")[0] for half in (self._left, self._right))
        left, right = left.partition("/")[0], right.partition("/")[0]
        meaning = "the directory of the first member, which is the one that PyTorch loads"
        change = FieldChange("(first directory)", shortened(left), shortened(right), meaning=meaning)
        return [change] if left != right else []

    def _sorted_by_checksum(self) -> tuple[list[str], list[str]]:
        """The members on both sides: those that may differ, and those of the same size and checksum."""
        suspects: list[str] = []
        same: list[str] = []
        for name in self._left.names:
            if name in self._right.names:
                is_same = _checksum(self._left, name) == _checksum(self._right, name)
                (same if is_same else suspects).append(name)
        return suspects, same

    def _differing(self, name: str, explain_member: ExplainMember) -> list[FieldChange]:
        left, right = self._left.documents.get(name), self._right.documents.get(name)
        if left is not None and right is not None:
            found = changes_of(left, right)
            if not found:
                self._rewritten.append(name)
                return []
            fields = fields_of(found)
            meaning = summary_of(fields, len(found), "change")
        else:
            meaning = self._how(name, explain_member)
        return [FieldChange(self._shown(name), _size(self._left, name), _size(self._right, name), meaning=meaning)]

    def _how(self, name: str, explain_member: ExplainMember) -> str:
        """What differs in a member, in one phrase; "" where that would take too long."""
        sizes = [half.archive.members[half.names[name]].file_size for half in (self._left, self._right)]
        if self._explained >= _MAX_EXPLAINED_MEMBERS or max(sizes) > _MAX_EXPLAINED_BYTES:
            self._is_cut = True
            return ""
        self._explained += 1
        left, right = (
            Content.of_bytes(half.archive.content(half.names[name]).whole(_MAX_EXPLAINED_BYTES))
            for half in (self._left, self._right)
        )
        explanation = explain_member(ContentPair(name, left, right, is_member=True))
        return f"{explanation.summary}{f' ({explanation.note})' if explanation.note else ''}"

    def _differing_in_spite_of_checksum(self, name: str) -> list[FieldChange]:
        halves = (self._left, self._right)
        if _packing(self._left, name) == _packing(self._right, name):
            # What is packed alike to the last byte is alike; it need not be unpacked.
            packed_left, packed_right = (half.archive.packed(half.names[name]) for half in halves)
            if first_differing_byte(packed_left, packed_right) is None:
                return []
        left, right = (half.archive.content(half.names[name]) for half in halves)
        if first_differing_byte(left, right) is None:
            return []
        return [FieldChange(self._shown(name), _size(self._left, name), _size(self._right, name))]

    def _shown(self, name: str) -> str:
        place = self._left.places.get(name) or self._right.places.get(name)
        return place or shortened(name)


def _checksum(half: _Half, name: str) -> tuple[int, int]:
    info = half.archive.members[half.names[name]]
    return info.file_size, info.CRC


def _packing(half: _Half, name: str) -> tuple[int, int]:
    info = half.archive.members[half.names[name]]
    return info.compress_type, info.compress_size


def _size(half: _Half, name: str) -> str:
    return byte_count(half.archive.members[half.names[name]].file_size)


def _summary(found: list[FieldChange]) -> str:
    first = found[0]
    if first.left is None or first.right is None:
        how = "only in the second" if first.left is None else "only in the first"
    else:
        how = first.meaning or "differs"
    more = f", and {len(found) - 1:,} more member{'s' if len(found) > 2 else ''}" if len(found) > 1 else ""
    return f"{shortened(first.field, 80)}: {how}{more}"

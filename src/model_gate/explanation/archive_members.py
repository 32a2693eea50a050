"""What a format writes anew into an archive: memory addresses and dates in a JSON member, and names made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from model_gate.domain.rewrites import MemberRewrite
from model_gate.explanation.content import UnexplainedError
from model_gate.explanation.json_tree import parse_json
from model_gate.explanation.trees import Change, Leaf, Tree, changes, shown_place
from model_gate.explanation.zip_file import Archive

_MAX_MEMBER_BYTES = 16 * 1024 * 1024
# Keys that skops puts between an object and its attributes; they tell a reader nothing.
_WRAPPERS = frozenset({"content"})


@dataclass
class Member:
    """A member's document, made independent of when and where it was written.

    Attributes:
        tree: The document, addresses numbered in the order they occur, dates left out.
        names: The names of members that hold an object's data, by what they are called here.
        places: What that object is, by the same.
    """

    tree: Tree = None
    names: dict[str, str] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)


def changes_of(left: Member, right: Member) -> list[Change]:
    """What differs between two documents of one member, with places as people would call them."""
    found = [
        replace(each, path=tuple(part for part in each.path if part not in _WRAPPERS))
        for each in changes(left.tree, right.tree)
    ]
    if not found and not _is_in_same_order(left.tree, right.tree):
        # What is loaded from it keeps that order.
        return [Change(("(the order of keys)",), Leaf("text", "one"), Leaf("text", "another"))]
    # Objects are shared differently wherever values are: that alone is not worth telling.
    told = [each for each in found if not _is_address(each.left) and not _is_address(each.right)]
    return told or found


def _is_in_same_order(left: Tree, right: Tree) -> bool:
    """Whether the mappings of two equal documents have their keys in the same order."""
    pending = [(left, right)]
    while pending:
        one, other = pending.pop()
        if isinstance(one, dict):
            if list(one) != list(other):
                return False
            pending += [(one[key], other[key]) for key in one]
        elif isinstance(one, list):
            pending += zip(one, other, strict=True)
    return True


def _is_whole(leaf: Leaf) -> bool:
    # 5.0 would be another text, and still be the address 5.
    return leaf.type == "number" and leaf.text.isdecimal()


def _is_address(tree: Tree) -> bool:
    return isinstance(tree, Leaf) and tree.type == "address"


def read_member(archive: Archive, rule: MemberRewrite) -> Member:
    """The member of `archive` that the rule is about.

    Raises:
        UnexplainedError: It is not there, too large or no JSON.
    """
    if rule.member not in archive.members:
        raise UnexplainedError(f"it has no {rule.member}")
    with archive.content(rule.member).open() as stream:
        text = stream.read(_MAX_MEMBER_BYTES + 1)
    if len(text) > _MAX_MEMBER_BYTES:
        raise UnexplainedError(f"its {rule.member} is larger than {_MAX_MEMBER_BYTES:,} bytes")
    return _Renaming(rule, archive.members).member(parse_json(text))


class _Renaming:
    """Gives addresses and names of members numbers, in the order they occur."""

    def __init__(self, rule: MemberRewrite, members: Mapping[str, object]) -> None:
        self._rule = rule
        self._members = members
        self._addresses: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._result = Member()

    def member(self, tree: Tree) -> Member:
        """The document without what is written anew."""
        if isinstance(tree, dict):
            tree = {key: value for key, value in tree.items() if key not in self._rule.dates}
        self._result.tree = self._renamed(tree, ())
        return self._result

    def _renamed(self, tree: Tree, place: tuple[str | int, ...]) -> Tree:
        if isinstance(tree, list):
            return [self._renamed(value, (*place, index)) for index, value in enumerate(tree)]
        if not isinstance(tree, dict):
            return tree
        has_address = bool(self._rule.address) and self._rule.beside in tree
        result = {}
        for key, value in tree.items():
            if has_address and key == self._rule.address and isinstance(value, Leaf) and _is_whole(value):
                number = self._addresses.setdefault(value.text, str(len(self._addresses)))
                result[key] = Leaf("address", number)
            elif has_address and key == self._rule.file and isinstance(value, Leaf) and value.text in self._members:
                result[key] = Leaf("member", self._name(value.text, place))
            else:
                result[key] = self._renamed(value, place if key in _WRAPPERS else (*place, key))
        return result

    def _name(self, name: str, place: tuple[str | int, ...]) -> str:
        if name not in self._names:
            canonical = f"#{len(self._names)}{PurePosixPath(name).suffix}"
            self._names[name] = canonical
            self._result.names[canonical] = name
            self._result.places[canonical] = shown_place(place)
        return self._names[name]

"""Reads JSON members of archives without their memory addresses, dates and names made of addresses.

These values are left out because the archive's format changes them when the same model is saved again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from model_gate.domain.rewrites import MemberRewrite
from model_gate.explanation.content import UnexplainedError
from model_gate.explanation.json_tree import parse_json
from model_gate.explanation.trees import Change, Leaf, Tree, find_changes, format_path
from model_gate.explanation.zip_file import Archive

_MAX_MEMBER_BYTES = 16 * 1024 * 1024
# A name that Keras makes from a class of layers, with the number of earlier layers of this class in the process.
_AUTOMATIC_NAME = re.compile(r"([a-z][a-z0-9]*(?:_[a-z][a-z0-9]*)*?)(?:_[0-9]+)?")
# Keys that skops puts between an object and its attributes. They add nothing to a path.
_WRAPPERS = frozenset({"content"})


@dataclass
class CanonicalDocument:
    """A JSON member in a form that does not depend on when and in which process it was written.

    Attributes:
        tree: Document with blank dates, in which addresses are numbered in order of appearance.
        names: Name in the archive of each member that holds an object's data, by canonical name.
        object_paths: Path in the document of the object whose data a member holds, by the member's canonical name.
    """

    tree: Tree = None
    names: dict[str, str] = field(default_factory=dict)
    object_paths: dict[str, str] = field(default_factory=dict)


def document_changes(left: CanonicalDocument, right: CanonicalDocument) -> list[Change]:
    """Return the differences between two documents. The path of a difference omits keys that only wrap an object."""
    changes = [
        replace(change, path=tuple(part for part in change.path if part not in _WRAPPERS))
        for change in find_changes(left.tree, right.tree)
    ]
    if not changes and not _is_in_same_order(left.tree, right.tree):
        # The loaded object keeps the order of keys.
        return [Change(("(the order of keys)",), Leaf("text", "one"), Leaf("text", "another"))]
    # A changed value often changes which objects are shared. Addresses are returned only if nothing else changed.
    values = [change for change in changes if not _is_address(change.left) and not _is_address(change.right)]
    # Automatic names come last, because they hide what else changed.
    return sorted(values or changes, key=is_automatic_name)


def is_automatic_name(change: Change) -> bool:
    """Return whether a change is only the number in a name that is counted up in each process, as in `dense_1`."""
    if not (isinstance(change.left, Leaf) and isinstance(change.right, Leaf)):
        return False
    if not change.left.type == change.right.type == "text":
        return False
    names = [_AUTOMATIC_NAME.fullmatch(leaf.text) for leaf in (change.left, change.right)]
    return all(names) and len({match[1] for match in names if match}) == 1


def _is_in_same_order(left: Tree, right: Tree) -> bool:
    """Return whether the mappings of two equal trees have their keys in the same order."""
    pending = [(left, right)]
    while pending:
        left_tree, right_tree = pending.pop()
        if isinstance(left_tree, dict):
            if list(left_tree) != list(right_tree):
                return False
            pending += [(left_tree[key], right_tree[key]) for key in left_tree]
        elif isinstance(left_tree, list):
            pending += zip(left_tree, right_tree, strict=True)
    return True


def _is_memory_address(leaf: Leaf) -> bool:
    # For skops, 0 is not the address of a shared object.
    return leaf.type == "number" and re.fullmatch("[1-9][0-9]{0,19}", leaf.text) is not None


def _is_address(tree: Tree) -> bool:
    return isinstance(tree, Leaf) and tree.type == "address"


def read_document(archive: Archive, rule: MemberRewrite) -> CanonicalDocument:
    """Return the canonical form of the JSON member that a rule names.

    Raises:
        UnexplainedError: The member is missing, too large or not JSON.
    """
    if rule.member not in archive.members:
        raise UnexplainedError(f"it has no {rule.member}")
    archive.check_content(rule.member)
    with archive.content(rule.member).open() as stream:
        text = stream.read(_MAX_MEMBER_BYTES + 1)
    if len(text) > _MAX_MEMBER_BYTES:
        raise UnexplainedError(f"its {rule.member} is larger than {_MAX_MEMBER_BYTES:,} bytes")
    return _Canonicalizer(rule, archive.members).document(parse_json(text))


class _Canonicalizer:
    """Replaces memory addresses of objects and names of members by numbers, in order of appearance.

    Each instance reads one JSON document.
    """

    def __init__(self, rule: MemberRewrite, members: Mapping[str, object]) -> None:
        self._rule = rule
        self._members = members
        self._numbers: dict[str, str] = {}
        self._canonical_names: dict[str, str] = {}
        self._result = CanonicalDocument()

    def document(self, tree: Tree) -> CanonicalDocument:
        """Return the canonical form of a document."""
        if isinstance(tree, dict):
            tree = {key: self._without_date(key, value) for key, value in tree.items()}
        self._result.tree = self._canonical(tree, ())
        return self._result

    def _without_date(self, key: str, value: Tree) -> Tree:
        is_date = key in self._rule.dates and isinstance(value, Leaf) and value.type == "text"
        return Leaf("date", "") if is_date else value

    def _canonical(self, tree: Tree, path: tuple[str | int, ...]) -> Tree:
        if isinstance(tree, list):
            return [self._canonical(value, (*path, index)) for index, value in enumerate(tree)]
        if not isinstance(tree, dict):
            return tree
        is_object = bool(self._rule.beside) and self._rule.beside <= tree.keys()
        result = {}
        for key, value in tree.items():
            # A dictionary of the model may have a key with this name. Its value is then a mapping, which no program
            # takes for an address.
            is_data = not is_object and isinstance(value, dict)
            if self._rule.address and key == self._rule.address and not is_data:
                if not is_object:
                    raise UnexplainedError(f"it has a {key} outside an object")
                result[key] = self._canonical_address(key, value)
            elif is_object and self._rule.file and key == self._rule.file and self._is_member(value):
                result[key] = Leaf("member", self._canonical_name(value.text, path))
            else:
                result[key] = self._canonical(value, path if key in _WRAPPERS else (*path, key))
        return result

    def _is_member(self, value: Tree) -> bool:
        return isinstance(value, Leaf) and value.type == "text" and value.text in self._members

    def _canonical_address(self, key: str, value: Tree) -> Leaf:
        """Return the number that replaces an address. Equal addresses have the same number.

        Only plain integers are accepted. Programs look up addresses in a dict, where 5 and 5.0 are the same key. With
        other values, objects with different numbers could be the same object for a program.
        """
        if not isinstance(value, Leaf) or not _is_memory_address(value):
            raise UnexplainedError(f"it has a {key} that is no memory address")
        return Leaf("address", self._numbers.setdefault(value.text, str(len(self._numbers))))

    def _canonical_name(self, name: str, path: tuple[str | int, ...]) -> str:
        if name not in self._canonical_names:
            canonical = f"#{len(self._canonical_names)}{PurePosixPath(name).suffix}"
            self._canonical_names[name] = canonical
            self._result.names[canonical] = name
            self._result.object_paths[canonical] = format_path(path)
        return self._canonical_names[name]

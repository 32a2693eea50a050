"""What differs between the objects of two pickles: the paths of the values that changed, such as `steps[1][1].C`."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field

from model_gate.domain.difference import FieldChange
from model_gate.domain.wording import byte_count, plural
from model_gate.explanation.content import Content, ContentPair
from model_gate.explanation.pickle_objects import Atom, Part, PickledObject, Value, read_pickle
from model_gate.explanation.pickled_arrays import array_of, number_of
from model_gate.explanation.raw_bytes import count_differing, first_differing_byte
from model_gate.explanation.tensors import ElementBudget, compare_tensors
from model_gate.explanation.trees import format_change, format_path, shorten

_MAX_PAIRS = 200_000
_MAX_COMPARED_BYTES = 256 * 1024 * 1024
_MAX_COUNTED_BYTES = 16 * 1024 * 1024
_MAX_VALUE = 60
Path = tuple[str | int, ...]


@dataclass(frozen=True)
class ObjectChanges:
    """The differences between the objects of two pickles.

    Attributes:
        changes: The values that changed, those that a person sets first.
        is_cut: Whether not all objects were compared.
        has_other_sharing: Whether two places have one object in one pickle, and two objects in the other.
    """

    changes: tuple[FieldChange, ...]
    is_cut: bool
    has_other_sharing: bool

    @property
    def has_same_values(self) -> bool:
        """Whether all objects were compared, and each has the same parts."""
        return not self.changes and not self.is_cut


def summarize_changes(changes: Sequence[FieldChange]) -> str:
    """Return a phrase with the first two changes and the number of the other changes; "" if there are none."""
    phrases = [
        f"{shorten(change.field, 80)}: {change.meaning}"
        if change.meaning
        else f"{shorten(change.field, 80)} {format_change(change)}"
        for change in changes[:2]
    ]
    rest = len(changes) - len(phrases)
    return ", ".join(phrases) + (f"; and {plural(rest, 'more change')}" if rest else "")


def compare_objects(pair: ContentPair) -> ObjectChanges:
    """Compare the objects of two pickles.

    Raises:
        UnexplainedError: A pickle is damaged, too large, or has an unusual opcode.
    """
    left, right = read_pickle(pair.left), read_pickle(pair.right)
    walk = _Walk(pair)
    walk.compare(left.root, right.root)
    for before, after in zip(left.effects, right.effects, strict=False):
        walk.compare(before, after, _effect_path(before))
    if len(left.effects) != len(right.effects):
        walk.add_change(("(effects)",), str(len(left.effects)), str(len(right.effects)))
    changes = sorted(walk.found, key=lambda change: change.rank)
    return ObjectChanges(
        tuple(change.field for change in changes),
        walk.is_cut,
        walk.has_other_sharing or left.references != right.references,
    )


@dataclass(frozen=True)
class _Found:
    """A change, with its rank: single values before arrays, and values near the root before those deep inside."""

    rank: tuple[bool, int]
    field: FieldChange


@dataclass
class _Walk:
    """Walks through two pickles side by side. Each instance is used for one pair."""

    pair: ContentPair
    found: list[_Found] = field(default_factory=list)
    is_cut: bool = False
    has_other_sharing: bool = False
    _seen: set[tuple[int, int]] = field(default_factory=set)
    _partners: tuple[dict[int, int], dict[int, int]] = field(default_factory=lambda: ({}, {}))
    _budget: ElementBudget = field(default_factory=ElementBudget)
    _bytes: int = 0

    def compare(self, left: Value, right: Value, start: Path = ()) -> None:
        """Compare two values, whose path is `start`, and all that they are made of."""
        pending: list[tuple[Value | None, Value | None, Path]] = [(left, right, start)]
        while pending:
            before, after, path = pending.pop()
            if before is None or after is None:
                self.add_change(path, self._format(before, is_left=True), self._format(after, is_left=False))
            elif isinstance(before, PickledObject) and isinstance(after, PickledObject):
                if self._is_new_pair(before, after):
                    pending += reversed(list(self._parts_to_compare(before, after, path)))
            elif not self._is_same_atom(before, after):
                self._add_atoms(before, after, path)
            if len(self._seen) > _MAX_PAIRS:
                self.is_cut = True
                return

    def add_change(self, path: Path, left: str | None, right: str | None, meaning: str = "") -> None:
        """Add the change of a value."""
        change = FieldChange(format_path(path), left, right, meaning=meaning)
        self.found.append(_Found((bool(meaning), len(path)), change))

    def _is_new_pair(self, left: PickledObject, right: PickledObject) -> bool:
        key = id(left), id(right)
        if key in self._seen:
            return False
        self._seen.add(key)
        partners, others = self._partners
        if partners.setdefault(key[0], key[1]) != key[1] or others.setdefault(key[1], key[0]) != key[0]:
            self.has_other_sharing = True
        return True

    def _parts_to_compare(
        self, left: PickledObject, right: PickledObject, path: Path
    ) -> Iterator[tuple[Value | None, Value | None, Path]]:
        """Compare two objects, and yield the parts that are still to be compared."""
        if self._compare_arrays(left, right, path) or self._compare_numbers(left, right, path):
            return
        if left.kind != right.kind or _class_of(left) != _class_of(right):
            self.add_change(path, self._format(left, is_left=True), self._format(right, is_left=False))
            return
        before, after = _named_parts(left), _named_parts(right)
        for name in [*before, *(name for name in after if name not in before)]:
            step = name[1] if len(name) > 1 and isinstance(name[1], str | int) else None
            inner = path if step is None else (*path, step)
            yield before.get(name), after.get(name), inner
        if list(before) != list(after) and before.keys() == after.keys():
            self.add_change((*path, "(the order of keys)"), "one", "another")

    def _compare_arrays(self, left: PickledObject, right: PickledObject, path: Path) -> bool:
        before, after = array_of(left), array_of(right)
        if before is None or after is None:
            return False
        name = format_path(path)
        result = compare_tensors(name, (self.pair.left, before), (self.pair.right, after), self._budget)
        if result is not None:
            change = result[0]
            if "elements" not in change.meaning:
                # The values, which are types and shapes, tell the change.
                change = FieldChange(name, change.left, change.right)
            self.found.append(_Found((True, len(path)), change))
            self.is_cut |= result[1]
        return True

    def _compare_numbers(self, left: PickledObject, right: PickledObject, path: Path) -> bool:
        before, after = number_of(left, self.pair.left), number_of(right, self.pair.right)
        if before is None or after is None or before == after:
            # Numbers with the same text can still be of different types.
            return False
        self.add_change(path, before, after)
        return True

    def _is_same_atom(self, left: Value, right: Value) -> bool:
        if not isinstance(left, Atom) or not isinstance(right, Atom):
            return False
        if left.type != right.type or left.value != right.value:
            return False
        if left.value is not None:
            return True
        if left.size != right.size:
            return False
        self._bytes += left.size
        if self._bytes > _MAX_COMPARED_BYTES:
            self.is_cut = True
        return self.is_cut or first_differing_byte(*self._contents(left, right)) is None

    def _contents(self, left: Atom, right: Atom) -> tuple[Content, Content]:
        return self.pair.left.slice(left.start, left.size), self.pair.right.slice(right.start, right.size)

    def _add_atoms(self, left: Value, right: Value, path: Path) -> None:
        before, after = self._format(left, is_left=True), self._format(right, is_left=False)
        meaning = ""
        if before == after and isinstance(left, Atom) and isinstance(right, Atom):
            count = count_differing(ContentPair("", *self._contents(left, right)), _MAX_COUNTED_BYTES)
            at_least = "at least " if count.is_cut else ""
            meaning = (
                f"{at_least}{count.differing:,} of {byte_count(left.size)} differ" if left.size else "another value"
            )
        self.add_change(path, before, after, meaning)

    def _format(self, value: Value | None, *, is_left: bool) -> str | None:
        if value is None:
            return None
        if isinstance(value, Atom):
            return _format_atom(value)
        content = self.pair.left if is_left else self.pair.right
        return str(array_of(value) or "") or number_of(value, content) or _format_object(value)


def _format_atom(atom: Atom) -> str:
    if atom.type == "global":
        return shorten(".".join(map(str, atom.value)) if isinstance(atom.value, tuple) else "", _MAX_VALUE)
    if atom.value is None or atom.type in {"bytes", "bytearray"}:
        return f"{atom.type} ({byte_count(atom.size)})"
    text = str(atom.value)
    return shorten(repr(text) if atom.type in {"text", "string"} else text, _MAX_VALUE)


def _format_object(value: PickledObject) -> str:
    if value.kind == "call":
        callee = _class_of(value)
        return f"an object of {_format_atom(callee)}" if isinstance(callee, Atom) else "an object"
    return f"{value.kind} ({plural(len(value.parts), 'item')})"


def _effect_path(effect: Value) -> Path:
    """Return the name of the class or function on which a call has an effect, as cloudpickle makes it."""
    target = effect.of_role("argument")[:1] if isinstance(effect, PickledObject) else []
    texts = [
        value.value
        for each in target
        if isinstance(each, PickledObject)
        for value in each.of_role("argument")
        if isinstance(value, Atom) and value.type == "text" and isinstance(value.value, str)
    ]
    return tuple(texts[:1])


def _class_of(value: PickledObject) -> Value | None:
    """Return the class or function of an object if it has a name."""
    classes = [part for part in value.of_role("class") if isinstance(part, Atom)]
    return classes[0] if classes else None


def _named_parts(value: PickledObject) -> dict[tuple[Hashable, ...], Value]:
    """Return the parts of an object by names that stand for the same part in another pickle.

    A name is a role, then what it adds to the path of the object: a key, an index or None, then a number.
    """
    parts: dict[tuple[Hashable, ...], Value] = {}
    is_hidden = value.kind == "tuple" and _is_state(value)
    for index, part in enumerate(value.parts):
        if part.role == "value":
            parts |= _keyed_part(part, index, parts)
        elif part.role == "item":
            parts[part.role, None if is_hidden else index, index] = part.value
        else:
            parts[part.role, None, index] = part.value
    return parts


def _keyed_part(part: Part, index: int, others: dict[tuple[Hashable, ...], Value]) -> dict[tuple[Hashable, ...], Value]:
    key = part.key
    if isinstance(key, Atom) and key.value is not None:
        step = key.value if isinstance(key.value, str) else repr(key.value)
        name = ("value", step, key.type)
        if name not in others:
            return {name: part.value}
    found: dict[tuple[Hashable, ...], Value] = {("value", index, "unnamed"): part.value}
    if key is not None:
        found["key", index, "unnamed"] = key
    return found


def _is_state(value: PickledObject) -> bool:
    """Return whether a tuple looks like the state of an object, or of an array of NumPy.

    The state of an object is its attributes, and those in slots. That of an array ends in its bytes.
    """
    values = value.of_role("item")
    if len(values) == 5 and values[0] == Atom("int", "1") and isinstance(values[4], Atom):
        return values[4].type == "bytes"
    kinds = [part.value.kind if isinstance(part.value, PickledObject) else "" for part in value.parts]
    return len(kinds) == 2 and "dict" in kinds

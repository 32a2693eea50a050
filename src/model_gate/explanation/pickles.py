"""Pickles, compared by their opcodes. Nothing is ever loaded."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import zip_longest
from pathlib import PurePosixPath
from typing import NamedTuple

from model_gate.domain.difference import Explanation, FieldChange
from model_gate.domain.wording import byte_count
from model_gate.explanation.content import CHUNK_BYTES, Content, ContentPair, UnexplainedError
from model_gate.explanation.pickle_changes import ObjectChanges, compare_objects, summarize_changes
from model_gate.explanation.pickle_opcodes import LOADS, MAX_OPCODES, STORES, Opcode, read_opcodes
from model_gate.explanation.raw_bytes import first_differing_byte, summarize
from model_gate.explanation.trees import MAX_FIELDS, shorten

KIND = "pickle"
_SUFFIXES = frozenset({".pkl", ".pickle", ".cloudpickle", ".joblib", ".dill"})
# The start of a pickle: a protocol, and from protocol 4 on a frame.
_START = re.compile(rb"\x80(?:[\x02\x03][\x00-\x7f\x80-\x8b]|[\x04\x05]\x95)", re.DOTALL)
_PROTO = 0x80
_MAX_NAME = 200
_MAX_GLOBALS = 20_000
_MAX_VALUES = 10
_MAX_LONG_BYTES = 256 * 1024 * 1024
# Opcodes that say nothing about the values: they depend on the length and on the order of other values.
_BOOKKEEPING = STORES | LOADS | {"FRAME", "MEMOIZE"}
_RANDOM_ID = re.compile("'[0-9a-f]{32}'")
_RANDOM_ID_USERS = frozenset(
    f"cloudpickle.cloudpickle.{name}" for name in ("_make_skeleton_class", "_make_skeleton_enum", "_make_typevar")
)
_RANDOM_ID_ADVICE = (
    "cloudpickle gives each class that is defined in the program itself (`__main__`) a new random id whenever it is "
    'saved. Log the model from code (`python_model="program.py"`), or define the class in a module that is imported.'
)
_SHARING_ADVICE = (
    "A pickle also keeps which of its objects are one and the same, and loading a model can change that. Copy the "
    "files of the logged model instead of loading the model and logging it again."
)
# The column of the value says which model it is.
_ONE_SIDED_GLOBAL = "a class or function to which only one of the models refers"
_ORDER_ADVICE = (
    "If it is the order of a set of texts: set PYTHONHASHSEED=0 where models are trained, or save a sorted list. The "
    "order of a list, such as columns, is a change of the model."
)


def matches(pair: ContentPair) -> bool:
    """Return whether the path has the suffix of a pickle, or both files start like pickles."""
    return _has_suffix(pair) or all(_START.match(content.head(3)) for content in (pair.left, pair.right))


def explain(pair: ContentPair) -> Explanation | None:
    """Return an explanation with the protocol, the values that changed and the classes and functions that changed.

    Returns:
        The explanation, or None if one of the files does not start like a pickle of protocol 2 or later.
    """
    if any(content.head(1) != bytes([_PROTO]) for content in (pair.left, pair.right)):
        return None
    try:
        comparison = _compare(pair)
    except UnexplainedError:
        if not _has_suffix(pair):
            return None
        raise
    summary, is_cut = summarize(pair)
    fields = [*comparison.protocol_and_globals(), *comparison.values()[: MAX_FIELDS - 1], *comparison.first_differing()]
    summary = ", ".join([summary, *comparison.phrases()])
    is_cut = is_cut or comparison.is_cut or len(fields) > MAX_FIELDS or len(comparison.values()) >= MAX_FIELDS
    return Explanation(
        KIND,
        summary,
        tuple(fields[:MAX_FIELDS]),
        is_cut=is_cut,
        advice=comparison.advice(),
        only_random="random class ids" if comparison.has_only_class_ids else "",
        has_same_values=comparison.has_same_values and not is_cut,
    )


def describe(content: Content) -> str:
    """Return the protocol that a pickle declares in a phrase, "" if the content does not start like a pickle."""
    start = content.head(3)
    return f"a pickle of protocol {start[1]}" if _START.match(start) else ""


def _has_suffix(pair: ContentPair) -> bool:
    return PurePosixPath(pair.path).suffix.lower() in _SUFFIXES


class _Value(NamedTuple):
    """A value of a pickle, with its opcode.

    Attributes:
        opcode: Name of the opcode.
        text: The value as short text.
        key: Distinguishes values with the same short text.
    """

    opcode: str
    text: str
    key: object


class _Half:
    """Facts about one pickle of a pair.

    Attributes:
        protocol: Highest protocol that the pickle declares.
        globals: Classes and functions to which the pickle refers.
        is_cut: Whether the pickle was not read to its end.
    """

    def __init__(self, content: Content, name: str) -> None:
        """Prepare to read a pickle, which errors call by a name such as `the left file`."""
        self.protocol = 0
        self.is_cut = False
        self._content = content
        self._name = name
        self._tracker = _GlobalTracker()
        self._long_bytes = 0

    @property
    def globals(self) -> set[str]:
        return self._tracker.globals

    def opcodes(self, ignored: frozenset[str]) -> Iterator[Opcode]:
        """Yield the opcodes except the ignored ones, and collect facts about all of them.

        Raises:
            UnexplainedError: The pickle is damaged.
        """
        try:
            for count, opcode in enumerate(read_opcodes(self._content)):
                if opcode.name == "PROTO":
                    self.protocol = max(self.protocol, int(str(opcode.argument or 0)))
                self._tracker.follow(opcode)
                if opcode.name not in ignored:
                    yield opcode
                if count >= MAX_OPCODES or len(self.globals) > _MAX_GLOBALS:
                    self.is_cut = True
                    return
        except UnexplainedError as error:
            raise UnexplainedError(f"{self._name}: {error}") from error

    def value(self, opcode: Opcode) -> _Value:
        """Return the value of an opcode. A long value is hashed, up to 256 MiB in total."""
        argument = opcode.argument
        key: object = repr(argument) if isinstance(argument, float) else argument
        # The hash takes less memory than a long value.
        key = hash(bytes(key) if isinstance(key, bytearray) else key)
        if opcode.is_long:
            key = self._long_value(opcode)
        return _Value(opcode.name, _format_argument(argument), key)

    def _long_value(self, opcode: Opcode) -> object:
        size = opcode.end - opcode.start
        self._long_bytes += size
        if self._long_bytes > _MAX_LONG_BYTES:
            self.is_cut = True
            return size
        digest = sha256()
        with self._content.slice(opcode.start, size).open() as stream:
            while chunk := stream.read(CHUNK_BYTES):
                digest.update(chunk)
        return digest.digest()


@dataclass
class _Comparison:
    """The differences between the opcodes of two pickles.

    Attributes:
        left: Facts about the left pickle.
        right: Facts about the right pickle.
        first: The first opcode that differs in each pickle, None at the end of a pickle.
        counts: How often the left pickle has each value more often than the right one. Values before the first
            difference are not counted.
        has_only_class_ids: Whether all bytes are the same except random ids that cloudpickle gives to classes.
        objects: The differences between the objects, None if a pickle is not understood well enough.
    """

    left: _Half
    right: _Half
    first: tuple[Opcode | None, Opcode | None] | None = None
    counts: Counter[_Value] = field(default_factory=Counter)
    has_only_class_ids: bool = False
    objects: ObjectChanges | None = None

    @property
    def has_same_values(self) -> bool:
        """Whether the objects have the same values, so that only how they are saved differs."""
        return self.objects is not None and self.objects.has_same_values

    @property
    def is_cut(self) -> bool:
        """Whether a pickle was not read to its end."""
        return self.left.is_cut or self.right.is_cut

    @property
    def is_reordered(self) -> bool:
        """Whether both pickles have the same values in another order."""
        return self.first is not None and not self.is_cut and not any(self.counts.values())

    def protocol_and_globals(self) -> list[FieldChange]:
        """Return the changed protocol, and the globals that only one pickle has."""
        changes = []
        if self.left.protocol != self.right.protocol:
            changes.append(FieldChange("protocol", str(self.left.protocol), str(self.right.protocol)))
        # An incomplete scan cannot show that a global is absent.
        if not self.is_cut:
            added, removed = (sorted(names) for names in self._globals())
            changes += [FieldChange("global", None, name, meaning=_ONE_SIDED_GLOBAL) for name in added]
            changes += [FieldChange("global", name, None, meaning=_ONE_SIDED_GLOBAL) for name in removed]
        return changes

    def values(self) -> list[FieldChange]:
        """Return the values that changed, by their paths.

        If the objects are not known: the values that only one pickle has, in pairs with the same opcode; none if there
        are many.
        """
        if self.objects is not None and not self.is_reordered:
            return list(self.objects.changes)
        return [
            FieldChange(opcode, left, right, meaning="other bytes of the same size" if left == right else "")
            for opcode, left, right in self._value_pairs()
        ]

    def first_differing(self) -> list[FieldChange]:
        """Return the first opcode that differs."""
        if self.first is None or self.is_reordered:
            return []
        left, right = (None if opcode is None else _format_opcode(opcode) for opcode in self.first)
        meaning = f"in the value of {left}" if left == right else ""
        return [FieldChange("first differing opcode", left, right, meaning=meaning)]

    def phrases(self) -> Iterator[str]:
        """Yield what to say in the summary beside the number of bytes."""
        added, removed = ([], []) if self.is_cut else map(sorted, self._globals())
        names = [f"+{name}" for name in added] + [f"−{name}" for name in removed]
        if names:
            yield f"globals {', '.join(names[:3])}{' …' if len(names) > 3 else ''}"
        if self.has_same_values:
            is_shared = self.objects is not None and self.objects.has_other_sharing
            yield f"the same values, {'saved with other sharing' if is_shared else 'written in another way'}"
        elif self.is_reordered:
            yield "the same values in another order"
        elif self.has_only_class_ids:
            yield "only the random id that cloudpickle gives to a class of the program"
        elif not names:
            yield from self._value_phrases()

    def _value_phrases(self) -> Iterator[str]:
        if self.objects is not None:
            changes = [change for change in self.objects.changes if not _is_random_id(("", change.left, change.right))]
            yield from filter(None, [summarize_changes(changes)])
            return
        for opcode, left, right in [pair for pair in self._value_pairs() if not _is_random_id(pair)][:2]:
            if left is None or right is None:
                yield f"{opcode} {left or right} {'added' if left is None else 'removed'}"
            elif left != right:
                yield f"{opcode} {left} → {right}"

    def advice(self) -> str:
        """Return what to do so that the pickles do not differ when the same object is saved again."""
        if any(map(_is_random_id, self._value_pairs())) and self.left.globals & _RANDOM_ID_USERS:
            return _RANDOM_ID_ADVICE
        if self.has_same_values:
            return _SHARING_ADVICE
        return _ORDER_ADVICE if self.is_reordered else ""

    def _globals(self) -> tuple[set[str], set[str]]:
        return self.right.globals - self.left.globals, self.left.globals - self.right.globals

    def may_have_only_class_ids(self) -> bool:
        """Return whether the values differ only in texts that look like random ids. Their order may differ too."""
        pairs = self._value_pairs()
        return bool(pairs and all(map(_is_random_id, pairs)) and self.left.globals & _RANDOM_ID_USERS)

    def _value_pairs(self) -> list[tuple[str, str | None, str | None]]:
        if self.is_cut:
            return []
        removed: dict[str, list[str]] = {}
        added: dict[str, list[str]] = {}
        for value, count in self.counts.items():
            values = removed if count > 0 else added
            values.setdefault(value.opcode, []).extend([value.text] * abs(count))
        pairs = [
            (opcode, left, right)
            for opcode in dict.fromkeys([*removed, *added])
            for left, right in zip_longest(removed.get(opcode, ()), added.get(opcode, ()))
        ]
        return pairs if len(pairs) <= _MAX_VALUES else []


def _is_random_id(pair: tuple[str, str | None, str | None]) -> bool:
    return all(text is not None and _RANDOM_ID.fullmatch(text) for text in pair[1:])


def _compare(pair: ContentPair) -> _Comparison:
    """Compare two pickles opcode by opcode.

    Opcodes that only keep the books, such as the length of a frame, are left out unless nothing else differs.

    Raises:
        UnexplainedError: A pickle is damaged.
    """
    comparison = _compare_opcodes(pair, _BOOKKEEPING)
    for ignored in (frozenset({"FRAME"}), frozenset[str]()):
        if comparison.first is None:
            comparison = _compare_opcodes(pair, ignored)
    if comparison.may_have_only_class_ids():
        comparison.has_only_class_ids = _differ_only_in_class_ids(pair)
    if not comparison.is_cut:
        # The objects are names for people, so that a pickle with unusual opcodes is no error.
        with suppress(UnexplainedError):
            comparison.objects = compare_objects(pair)
    return comparison


def _differ_only_in_class_ids(pair: ContentPair) -> bool:
    """Return whether all bytes are the same except ids that are arguments of cloudpickle's functions for classes.

    Such a function is called with a tuple that ends in the id, or in the id and None.
    """
    left, right = _halves(pair)
    end, awaited = 0, ""
    for before, after in zip_longest(left.opcodes(frozenset()), right.opcodes(frozenset())):
        if before is None or after is None or before.end != after.end:
            return False
        end = before.end
        if not _is_same(pair, before, after):
            if awaited or not all(_RANDOM_ID.fullmatch(repr(opcode.argument)) for opcode in (before, after)):
                return False
            awaited = "TUPLE"
        elif awaited and before.name not in STORES | {"MEMOIZE", "NONE"}:
            if before.name != awaited:
                return False
            awaited = "REDUCE" if awaited == "TUPLE" else ""
    rests = [content.slice(end, content.size - end) for content in (pair.left, pair.right)]
    is_cut = left.is_cut or right.is_cut
    return not is_cut and pair.left.size == pair.right.size and first_differing_byte(*rests) is None


def _halves(pair: ContentPair) -> tuple[_Half, _Half]:
    damage = "is damaged" if pair.left.size == pair.right.size else "is cut off or damaged"
    return _Half(pair.left, f"the left file {damage}"), _Half(pair.right, f"the right file {damage}")


def _compare_opcodes(pair: ContentPair, ignored: frozenset[str]) -> _Comparison:
    comparison = _Comparison(*_halves(pair))
    left, right = comparison.left, comparison.right
    for before, after in zip_longest(left.opcodes(ignored), right.opcodes(ignored)):
        if comparison.first is None and not _is_same(pair, before, after):
            comparison.first = (before, after)
        if comparison.first is not None:
            if before is not None:
                _count(comparison.counts, left.value(before), 1)
            if after is not None:
                _count(comparison.counts, right.value(after), -1)
    return comparison


def _count(counts: Counter[_Value], value: _Value, change: int) -> None:
    """Change a count, and forget it at 0, so that memory grows only with what differs."""
    counts[value] += change
    if not counts[value]:
        del counts[value]


def _is_same(pair: ContentPair, left: Opcode | None, right: Opcode | None) -> bool:
    if left is None or right is None:
        return False
    if left.name != right.name or type(left.argument) is not type(right.argument):
        return False
    if left.is_long or right.is_long:
        slices = [
            content.slice(opcode.start, opcode.end - opcode.start)
            for content, opcode in ((pair.left, left), (pair.right, right))
        ]
        return first_differing_byte(*slices) is None
    # Unlike `==`, `repr` distinguishes 0.0 from -0.0 and gives equal texts for NaN.
    if isinstance(left.argument, float):
        return repr(left.argument) == repr(right.argument)
    return left.argument == right.argument


def _format_opcode(opcode: Opcode) -> str:
    text = _format_argument(opcode.argument)
    return f"{opcode.name}{f' {text}' if text else ''} at byte {opcode.start:,}"


def _format_argument(argument: object) -> str:
    if isinstance(argument, bytes | bytearray):
        return f"({byte_count(len(argument))})"
    if argument is None or (isinstance(argument, int) and argument.bit_length() > 64):
        # A long number may be decoded from a placeholder, and formatting it may take long.
        return ""
    return shorten(repr(argument), 34)


class _GlobalTracker:
    """Collects the classes and functions to which a pickle refers.

    The opcode STACK_GLOBAL takes a name from the stack, so the tracker follows the two top values of the stack, and the
    memo, from which a pickle loads earlier values.
    """

    def __init__(self) -> None:
        self.globals: set[str] = set()
        self._top: tuple[str | None, str | None] = (None, None)
        self._memo: dict[int, str | None] = {}

    def follow(self, opcode: Opcode) -> None:
        """Process the next opcode."""
        name, argument = opcode.name, opcode.argument
        if name == "MEMOIZE":
            self._memo[len(self._memo)] = self._top[1]
        elif name in STORES:
            self._memo[int(str(argument))] = self._top[1]
        elif name in LOADS:
            self._push(self._memo.get(int(str(argument))))
        elif name in {"GLOBAL", "INST"}:
            self.globals.add(shorten(str(argument).replace(" ", "."), _MAX_NAME))
            self._push(None)
        elif name == "STACK_GLOBAL":
            module, attribute = self._top
            self.globals.add(f"{module}.{attribute}" if module and attribute else "(not a plain name)")
            self._push(None)
        elif opcode.pushes:
            is_name = isinstance(argument, str) and len(argument) <= _MAX_NAME
            self._push(argument if is_name and isinstance(argument, str) else None)

    def _push(self, text: str | None) -> None:
        self._top = (self._top[1], text)

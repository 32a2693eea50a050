"""Explanations of pickles name the path of a changed value, and call values the same only if all of them are."""

from __future__ import annotations

import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_gate.explanation.content import Content, ContentPair, UnexplainedError
from model_gate.explanation.pickle_changes import compare_objects
from tests.support.explained import explain, field_of
from tests.unit.explanation.test_named_parts import pickled_by_cloudpickle

SHARED = [1, 2]
SAME_VALUES = "the same values, saved with other sharing"


class Estimator:
    def __init__(self, strength: float, weights: object = None) -> None:
        self.strength = strength
        self.weights = weights


class Slotted:
    __slots__ = ("limit",)

    def __init__(self, limit: int) -> None:
        self.limit = limit


class Named(dict[str, int]):
    """A mapping with items and attributes."""


def has_same_values(left: bytes, right: bytes) -> bool:
    return compare_objects(ContentPair("model.pkl", Content.of_bytes(left), Content.of_bytes(right))).has_same_values


def test_changed_attribute_is_named_by_its_path(tmp_path: Path) -> None:
    left, right = (pickle.dumps({"steps": [("scale", Estimator(1.0)), ("fit", Estimator(c))]}) for c in (1.0, 0.5))
    explanation = explain(tmp_path, "model.pkl", left, right)
    assert explanation.summary.endswith("bytes differ, steps[1][1].strength 1.0 → 0.5")
    change = field_of(explanation, "steps[1][1].strength")
    assert (change.left, change.right) == ("1.0", "0.5")


@pytest.mark.parametrize("protocol", range(2, 6))
def test_changed_array_is_explained_by_its_elements(protocol: int, tmp_path: Path) -> None:
    arrays = [np.array(values, dtype=np.float32) for values in ([1, 2, 3], [1, 2.5, 3])]
    left, right = (pickle.dumps(Estimator(1.0, array), protocol) for array in arrays)
    if protocol == 2:
        # NumPy's bytes are a call of `codecs.encode` there.
        assert not has_same_values(left, right)
        return
    explanation = explain(tmp_path, "model.pkl", left, right)
    assert explanation.summary.endswith("weights: 1 of 3 elements changed, largest difference 0.5")


def test_array_of_another_shape_is_explained_by_both_shapes(tmp_path: Path) -> None:
    left, right = (pickle.dumps(Estimator(1.0, np.zeros(size))) for size in ((3, 2), (2, 2)))
    assert "weights float64 3 × 2 → float64 2 × 2" in explain(tmp_path, "model.pkl", left, right).summary


def test_changed_number_of_numpy_is_explained_by_its_value(tmp_path: Path) -> None:
    left, right = (pickle.dumps(Estimator(1.0, np.float64(value))) for value in (0.25, 0.75))
    assert explain(tmp_path, "model.pkl", left, right).summary.endswith("weights 0.25 → 0.75")


def test_changed_values_come_before_changed_arrays(tmp_path: Path) -> None:
    left, right = (pickle.dumps([np.full(3, number), {"deep": {"number": number}}]) for number in (1.0, 2.0))
    assert "[1].deep.number 1.0 → 2.0, [0]: 3 of 3 elements" in explain(tmp_path, "model.pkl", left, right).summary


def test_changed_attribute_of_a_class_of_the_program_is_named(tmp_path: Path) -> None:
    explanation = explain(tmp_path, "python_model.pkl", *(pickled_by_cloudpickle(limit) for limit in (3, 4)))
    assert "Model.LIMIT 3 → 4" in explanation.summary


def test_values_with_other_sharing_are_the_same_values_with_advice(tmp_path: Path) -> None:
    left, right = pickle.dumps([SHARED, SHARED]), pickle.dumps([SHARED, list(SHARED)])
    explanation = explain(tmp_path, "model.pkl", left, right)
    assert explanation.summary.endswith(SAME_VALUES)
    assert "Copy the files of the logged model" in explanation.advice
    assert explanation.rewrite_reason == ""
    assert explanation.only_random == ""


def test_values_without_other_sharing_are_written_in_another_way(tmp_path: Path) -> None:
    left = pickle.dumps({"a": 1}, 4)
    right = left.replace(b"K\x01", b"M\x01\x00")
    right = right[:3] + (len(right) - 11).to_bytes(8, "little") + right[11:]
    assert pickle.loads(right) == {"a": 1}  # noqa: S301  # made above
    assert explain(tmp_path, "model.pkl", left, right).summary.endswith("the same values, written in another way")


LONG = 70_000
CHANGES: list[tuple[Any, Any]] = [
    ([SHARED, SHARED], [SHARED, [1, 3]]),
    ([0.0, [SHARED, SHARED]], [-0.0, [SHARED, list(SHARED)]]),
    ([1, SHARED, SHARED], [True, SHARED, list(SHARED)]),
    ([(1, 2), SHARED, SHARED], [[1, 2], SHARED, list(SHARED)]),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ([SHARED, "x" * LONG], [list(SHARED), "x" * (LONG - 1) + "y"]),
    ([SHARED, b"x" * LONG], [list(SHARED), b"x" * (LONG - 1) + b"y"]),
    ([SHARED, "x" * 300], [list(SHARED), "x" * 299 + "y"]),
    (2**4000, 2**4000 + 1),
    ({(1, 2): SHARED}, {(1, 3): SHARED}),
    ({"a": 1}, {"a": 1, "b": 2}),
    ([1, 2], [1, 2, 3]),
    (Slotted(1), Slotted(2)),
    (Named(a=1), Named(a=2)),
    (Estimator(1.0, np.arange(3)), Estimator(1.0, np.arange(3, dtype=np.int32))),
    (np.asfortranarray(np.eye(2)), np.eye(2)),
    (np.array(["a"], dtype=object), np.array(["b"], dtype=object)),
    (np.float64(1.0), np.float32(1.0)),
    (len, max),
    ({1: "a"}, {"1": "a"}),
    ({1: "a"}, {1.0: "a"}),
    (bytearray(b"ab"), b"ab"),
    (None, False),
]


@pytest.mark.parametrize("left, right", CHANGES, ids=map(str, range(len(CHANGES))))
def test_changed_values_are_never_called_the_same(left: Any, right: Any, tmp_path: Path) -> None:
    before, after = pickle.dumps(left), pickle.dumps(right)
    assert not has_same_values(before, after)
    assert "the same values, " not in explain(tmp_path, "model.pkl", before, after).summary


def test_change_of_an_object_that_is_taken_off_the_stack_counts() -> None:
    # A list is made, kept in the memo, changed by a call whose result is dropped, and loaded from the memo.
    call = b"coperator\nsetitem\n(h\x00K\x00K%bt\x52" + b"0"
    left, right = (b"\x80\x02]q\x00K\x00a" + call.replace(b"%b", number) + b"." for number in (b"\x01", b"\x02"))
    assert [pickle.loads(data) for data in (left, right)] == [[1], [2]]  # noqa: S301  # made above
    assert not has_same_values(left, right)


def test_object_that_changes_after_a_call_has_used_it_is_not_compared() -> None:
    # The length of a list, before and after an item is added.
    before = b"\x80\x02(]q\x00cbuiltins\nlen\nh\x00\x85Rh\x00K\x01a0t."
    after = b"\x80\x02(]q\x00h\x00K\x01a0cbuiltins\nlen\nh\x00\x85Rt."
    assert [pickle.loads(data) for data in (before, after)] == [([1], 0), ([1], 1)]  # noqa: S301  # made above
    with pytest.raises(UnexplainedError, match="after a call"):
        has_same_values(before, after)


def random_value(source: random.Random, depth: int = 0) -> Any:
    kinds = ["number", "text", "list", "dict", "tuple", "again"]
    match source.choice(kinds if depth < 4 else kinds[:2]):
        case "number":
            return source.choice([0, 1, 0.5, -0.0, None, True])
        case "text":
            return source.choice(["a", "b", b"a"])
        case "list":
            return [random_value(source, depth + 1) for _ in range(source.randrange(4))]
        case "dict":
            return {name: random_value(source, depth + 1) for name in source.sample("xyz", source.randrange(3))}
        case "tuple":
            return tuple(random_value(source, depth + 1) for _ in range(source.randrange(3)))
        case _:
            value = random_value(source, depth + 1)
            return [value, value, random_value(source, depth + 1)]


@pytest.mark.parametrize("seed", range(200))
def test_values_are_the_same_exactly_if_they_print_the_same(seed: int) -> None:
    source = random.Random(seed)
    left = random_value(source)
    # Written down and read, no object is shared.
    unshared = eval(repr(left))  # noqa: S307  # made above
    other = random_value(source)
    assert has_same_values(pickle.dumps(left), pickle.dumps(unshared))
    assert has_same_values(pickle.dumps(left), pickle.dumps(other)) == (repr(left) == repr(other))


def test_cyclic_objects_are_compared() -> None:
    def cycle(number: int) -> list[Any]:
        items: list[Any] = [number]
        items.append(items)
        return items

    assert has_same_values(pickle.dumps(cycle(1)), pickle.dumps(cycle(1)))
    assert not has_same_values(pickle.dumps(cycle(1)), pickle.dumps(cycle(2)))


UNUSUAL = [
    b"\x80\x02]K\x01a.x",
    b"\x80\x02K\x01K\x02.",
    b"\x80\x02(t",
    b"\x80\x02((t\x85.",
    b"\x80\x02h\x00.",
    b"\x80\x02K\x01K\x02a.",
    b"\x80\x02}(K\x01u.",
    b"\x80\x02cos\nsystem\nK\x01R.",
    b"\x80\x02\x82\x01.",
    b"\x80\x02" + b"N0" * 80_000 + b"N.",
]


@pytest.mark.parametrize("data", UNUSUAL, ids=map(str, range(len(UNUSUAL))))
def test_unusual_or_damaged_pickle_has_no_objects(data: bytes) -> None:
    with pytest.raises(UnexplainedError):
        has_same_values(data, data)

"""LightGBM's text files (`model.lgb`): the parameters that changed, and which trees."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from model_gate.domain.difference import Explanation, FieldChange
from model_gate.explanation.boosted_trees import summarize_boosting
from model_gate.explanation.content import Content, ContentPair, UnexplainedError, read_text
from model_gate.explanation.trees import MAX_FIELDS, shorten

KIND = "LightGBM"
_START = b"tree\nversion="
_MAX_BYTES = 16 * 1024 * 1024
_TREE = re.compile(r"Tree=(\d+)")
_PARAMETER = re.compile(r"\[([^:\]]+): (.*)\]")


def matches(pair: ContentPair) -> bool:
    """Return whether both files start like LightGBM's models."""
    return all(content.head(len(_START)) == _START for content in (pair.left, pair.right))


def explain(pair: ContentPair) -> Explanation:
    """Return an explanation with the parameters and the trees that changed."""
    left, right = (_read(content) for content in (pair.left, pair.right))
    settings = [*_changes(left.parameters, right.parameters), *_changes(left.header, right.header)]
    trees = [_tree_change(change) for change in _changes(left.trees, right.trees)]
    if not settings and not trees:
        return Explanation(KIND, "only its layout differs", has_same_values=True)
    total = max(len(left.trees), len(right.trees))
    fields = settings + trees
    summary = summarize_boosting(settings, trees, total)
    return Explanation(KIND, summary, tuple(fields[:MAX_FIELDS]), is_cut=len(fields) > MAX_FIELDS)


@dataclass(frozen=True)
class _Model:
    """A model as text.

    Attributes:
        header: What is in front of the trees and behind them, by name.
        trees: Text of each tree, by name.
        parameters: Training parameters, by name.
    """

    header: dict[str, str]
    trees: dict[str, str]
    parameters: dict[str, str]


def _read(content: Content) -> _Model:
    text = read_text(content, _MAX_BYTES)
    if text is None:
        raise UnexplainedError("it is no text")
    model = _Model({}, {}, {})
    # A blank line ends each section.
    for section in text.split("\n\n"):
        lines = section.strip("\n").splitlines()
        if lines and (tree := _TREE.fullmatch(lines[0])):
            model.trees[f"trees[{tree[1]}]"] = "\n".join(lines[1:])
            continue
        for line in lines:
            # The sizes of the trees follow from the trees.
            if parameter := _PARAMETER.fullmatch(line):
                model.parameters[parameter[1]] = parameter[2]
            elif not line.startswith("tree_sizes="):
                name, _, value = line.partition("=")
                model.header[name] = value
    return model


def _changes(left: dict[str, str], right: dict[str, str]) -> Iterator[FieldChange]:
    for name in [*left, *(name for name in right if name not in left)]:
        before, after = left.get(name), right.get(name)
        if before != after:
            yield FieldChange(shorten(name, 80), _shortened(before), _shortened(after))


def _shortened(value: str | None) -> str | None:
    return None if value is None else shorten(value)


def _tree_change(change: FieldChange) -> FieldChange:
    """Return the change of a tree with the numbers of its leaves instead of its texts."""
    left, right = (None if text is None else _leaves(text) for text in (change.left, change.right))
    return FieldChange(change.field, left, right, meaning="other splits or values" if left == right else "")


def _leaves(text: str) -> str:
    name, _, number = text.partition("\n")[0].partition("=")
    return f"{number} leaves" if name == "num_leaves" else "a tree"

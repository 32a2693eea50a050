"""JSON and YAML files: the paths whose values changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath

from model_gate.domain.counterparts import RANDOM_IDS
from model_gate.domain.difference import Explanation
from model_gate.explanation.boosted_trees import split_by_tree, summarize_boosting, tree_number
from model_gate.explanation.content import ContentPair, UnexplainedError, read_text
from model_gate.explanation.json_tree import parse_json
from model_gate.explanation.text import MAX_LINES, MAX_TEXT_BYTES, line_diff
from model_gate.explanation.trees import Change, Leaf, Tree, field_changes, find_changes, summarize_fields
from model_gate.explanation.yaml_tree import parse_yaml

_JSON = ("JSON", parse_json)
# Prophet's `.pr` is a JSON text whose one value is a text that is JSON again.
_PARSERS = {".json": _JSON, ".pr": _JSON, ".yaml": ("YAML", parse_yaml), ".yml": ("YAML", parse_yaml)}
_MAX_NESTED_DEPTH = 3


# Spark's description of a stage of a pipeline: one line of JSON, in a file whose name has a random part.
_SPARK_METADATA = re.compile(r"(?:.*/)?metadata/part-[0-9]{5}[^/]*")
# Texts that Spark draws at random, such as `LogisticRegression_4a1b2c3d4e5f`.
_RANDOM_UID = re.compile(r"[A-Za-z]\w*_[0-9a-f]{12,32}(?:__output)?")


def matches(pair: ContentPair) -> bool:
    """Return whether the path has the suffix of a JSON or YAML file, or is that of metadata of Spark ML."""
    return _parser(pair.path) is not None


def _parser(path: str) -> tuple[str, Callable[[str], Tree]] | None:
    if _SPARK_METADATA.fullmatch(path):
        return _JSON
    return _PARSERS.get(PurePosixPath(path).suffix.lower())


def explain(pair: ContentPair) -> Explanation | None:
    """Return an explanation with the paths whose values changed, or None if one of the files is binary."""
    kind, parse = _parser(pair.path) or _JSON
    left, right = (read_text(content, MAX_TEXT_BYTES) for content in (pair.left, pair.right))
    if left is None or right is None:
        return None
    before, after = parse(left), parse(right)
    changes = [nested for change in find_changes(before, after) for nested in _nested_changes(change)]
    if not changes:
        lines = line_diff(left, right) or ()
        is_cut = len(lines) > MAX_LINES
        summary = "only its layout or the order of its keys differs"
        return Explanation(kind, summary, lines=lines[:MAX_LINES], is_cut=is_cut, has_same_values=True)
    is_spark = _SPARK_METADATA.fullmatch(pair.path) is not None
    if is_spark:
        changes.sort(key=_is_drawn_by_spark)
    else:
        # Boosted trees follow from the parameters.
        changes.sort(key=lambda change: tree_number(change.path) is not None)
    fields = field_changes(changes)
    # What Spark draws at random comes last, and only the summary of nothing else has it.
    decisive = sum(not _is_drawn_by_spark(change) for change in changes) if is_spark else 0
    count = decisive or len(changes)
    summary = summarize_fields(fields[:count], count, "change")
    if total := max(_number_of_trees(before), _number_of_trees(after)):
        summary = _boosting_summary(changes, total) or summary
    only_random = RANDOM_IDS if is_spark and not decisive else ""
    if only_random:
        summary = f"only what Spark draws at random: {summary}"
    return Explanation(kind, summary, fields, is_cut=len(changes) > len(fields), only_random=only_random)


def _number_of_trees(document: Tree) -> int:
    """Return the number of trees if a document is XGBoost's model, otherwise 0."""
    booster = _child(_child(document, "learner"), "gradient_booster")
    trees = _child(_child(_child(booster, "gbtree") or booster, "model"), "trees")
    return len(trees) if isinstance(trees, list) else 0


def _child(tree: Tree, key: str) -> Tree:
    return tree.get(key) if isinstance(tree, dict) else None


def _boosting_summary(changes: Sequence[Change], total: int) -> str:
    """Return a phrase with the parameters and the number of trees that changed, "" if no tree changed."""
    named = ((change.path, field_changes([change])[0]) for change in changes)
    settings, trees = split_by_tree(named)
    return summarize_boosting(settings, trees, total) if trees else ""


def _is_drawn_by_spark(change: Change) -> bool:
    """Return whether Spark makes a change of metadata whenever it saves a model: the time, and random ids."""
    if change.path == ("timestamp",):
        return True
    leaves = [value for value in (change.left, change.right) if isinstance(value, Leaf)]
    return len(leaves) == 2 and all(_RANDOM_UID.fullmatch(leaf.text) for leaf in leaves)


def _nested_changes(change: Change, depth: int = 0) -> Iterator[Change]:
    """Yield the changes inside two texts that are JSON documents; the change itself if they are none."""
    trees = [_nested_tree(value) for value in (change.left, change.right)]
    if depth == _MAX_NESTED_DEPTH or any(tree is None for tree in trees) or trees[0] == trees[1]:
        yield change
        return
    for inner in find_changes(trees[0], trees[1], change.path):
        yield from _nested_changes(inner, depth + 1)


def _nested_tree(value: Tree) -> Tree:
    """Return the JSON document in a text, None if there is none."""
    if not isinstance(value, Leaf) or not value.text.startswith(("{", "[")):
        return None
    try:
        return parse_json(value.text)
    except UnexplainedError:
        return None

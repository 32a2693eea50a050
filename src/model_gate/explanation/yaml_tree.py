"""YAML parsing into trees. The size is bounded, and no YAML tag constructs an object."""

from __future__ import annotations

import yaml

from model_gate.explanation.content import UnexplainedError
from model_gate.explanation.trees import Leaf, Tree, shorten
from model_gate.formats import strict_yaml

# An alias counts as all the nodes that it refers to.
_MAX_NODES = 100_000
_STANDARD = "tag:yaml.org,2002:"


def parse_yaml(text: str) -> Tree:
    """Parse a YAML document. An empty document is a null.

    Raises:
        UnexplainedError: The text is not YAML, has a duplicate key, is too large or nested too deeply.
    """
    try:
        node = strict_yaml.compose(text, _MAX_NODES)
    except yaml.MarkedYAMLError as error:
        raise UnexplainedError(f"it is not YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise UnexplainedError(" ".join(str(error).split())) from error
    return Leaf("tag:yaml.org,2002:null", "") if node is None else _tree(node)


def _tree(node: yaml.Node) -> Tree:
    if isinstance(node, yaml.MappingNode):
        _require_plain(node, "map")
        return {_key(key): _tree(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        _require_plain(node, "seq")
        return [_tree(value) for value in node.value]
    return Leaf(node.tag, str(node.value))


def _require_plain(node: yaml.Node, kind: str) -> None:
    # Other tags change the type of the collection, as `!!set` does, or make MLflow refuse the file.
    if node.tag != f"{_STANDARD}{kind}":
        raise UnexplainedError(f"it has the tag {shorten(node.tag, 60)}")


def _key(node: yaml.Node) -> str:
    """Return a key as text that is unique for its type: `1`, `"1"` and the merge key `<<` stay distinct."""
    text = str(node.value)
    if node.tag == f"{_STANDARD}str":
        # Keys of other types start with one exclamation mark.
        return f"!{text}" if text.startswith("!") else text
    return f"!{node.tag.removeprefix(_STANDARD)} {text}"

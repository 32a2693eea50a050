"""YAML as a document whose places can be compared: bounded, and nothing in it is constructed."""

from __future__ import annotations

import yaml

from model_gate.explanation.content import UnexplainedError
from model_gate.explanation.trees import Leaf, Tree, shortened
from model_gate.formats import strict_yaml

# With aliases counted as what they stand for.
MAX_NODES = 100_000
_STANDARD = "tag:yaml.org,2002:"


def parse_yaml(text: str) -> Tree:
    """The document; an empty one is a null.

    Raises:
        UnexplainedError: It is not YAML, has a key twice, or is too large or too deep.
    """
    try:
        node = strict_yaml.compose(text, MAX_NODES)
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
    # A tag makes something else of it, as `!!set` does, or something that MLflow refuses to load.
    if node.tag != f"{_STANDARD}{kind}":
        raise UnexplainedError(f"it has the tag {shortened(node.tag, 60)}")


def _key(node: yaml.Node) -> str:
    """A key as text, another one for each type: `1`, `"1"` and the merge key `<<` are not what they look like."""
    text = str(node.value)
    if node.tag == f"{_STANDARD}str":
        # So that no text can be taken for a key of another type.
        return f"!{text}" if text.startswith("!") else text
    return f"!{node.tag.removeprefix(_STANDARD)} {text}"

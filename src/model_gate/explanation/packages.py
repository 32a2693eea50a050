"""`requirements.txt`, `conda.yaml`, `python_env.yaml`: packages added, removed and of another version."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import PurePosixPath

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from model_gate.domain.difference import Explanation, FieldChange
from model_gate.explanation.content import ContentPair, UnexplainedError, text_of
from model_gate.explanation.text import MAX_LINES, MAX_TEXT_BYTES, line_diff
from model_gate.explanation.trees import MAX_FIELDS, Leaf, Tree, shortened, summary_of
from model_gate.explanation.yaml_tree import parse_yaml

KIND = "packages"
_REQUIREMENTS = frozenset({"requirements.txt", "constraints.txt"})
_ENVIRONMENTS = frozenset({"conda.yaml", "python_env.yaml"})
_MAX_LINE = 1_000
_ANY = "(any)"

# What is asked of each package, by its name.
_Packages = dict[str, str]


def matches(pair: ContentPair) -> bool:
    """By the file's name."""
    return PurePosixPath(pair.path).name in _REQUIREMENTS | _ENVIRONMENTS


def explain(pair: ContentPair) -> Explanation | None:
    """The packages that changed; None if it is no text."""
    left, right = (text_of(content, MAX_TEXT_BYTES) for content in (pair.left, pair.right))
    if left is None or right is None:
        return None
    read = _requirements if PurePosixPath(pair.path).name in _REQUIREMENTS else _environment
    before, after = _packages(read(left)), _packages(read(right))
    found = [
        FieldChange(name, before.get(name), after.get(name))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]
    lines = line_diff(left, right) or ()
    if not found:
        summary = "the same packages, only their order, comments or layout differ"
        return Explanation(KIND, summary, lines=lines[:MAX_LINES], is_cut=len(lines) > MAX_LINES)
    # A package of another version says more than one that came or went.
    found.sort(key=lambda change: change.left is None or change.right is None)
    fields = tuple(found[:MAX_FIELDS])
    return Explanation(KIND, summary_of(fields, len(found), "change"), fields, is_cut=len(found) > MAX_FIELDS)


def _packages(found: Iterator[tuple[str, str]]) -> _Packages:
    result: dict[str, list[str]] = defaultdict(list)
    for name, asked in found:
        result[name].append(asked)
    return {name: shortened(", ".join(sorted(asked))) for name, asked in result.items()}


def _requirements(text: str) -> Iterator[tuple[str, str]]:
    for line in text.replace("\\\n", " ").splitlines():
        asked = line.partition(" #")[0].strip()
        if asked and not asked.startswith("#"):
            yield _requirement(asked)


def _requirement(line: str) -> tuple[str, str]:
    """A package and what is asked of it; a line that asks for something else is its own name."""
    if len(line) > _MAX_LINE:
        raise UnexplainedError(f"a line has more than {_MAX_LINE:,} characters")
    plain, _, hashes = line.partition(" --hash")
    try:
        requirement = Requirement(plain)
    except InvalidRequirement:
        return line, "listed"
    extras = f"[{','.join(sorted(requirement.extras))}] " if requirement.extras else ""
    version = str(requirement.specifier) or (f"@ {requirement.url}" if requirement.url else _ANY)
    if len(requirement.specifier) == 1:
        version = version.removeprefix("==")
    marker = f" ; {requirement.marker}" if requirement.marker else ""
    return canonicalize_name(requirement.name), f"{extras}{version}{marker}{' --hash' + hashes if hashes else ''}"


def _environment(text: str) -> Iterator[tuple[str, str]]:
    tree = parse_yaml(text)
    if not isinstance(tree, dict):
        raise UnexplainedError("it is not a mapping of fields")
    for key, value in tree.items():
        if isinstance(value, list) and key in {"dependencies", "build_dependencies"}:
            for entry in value:
                yield from _dependency(entry, "" if key == "dependencies" else "to build: ")
        else:
            yield key, _plain(value)


def _dependency(entry: Tree, prefix: str) -> Iterator[tuple[str, str]]:
    if isinstance(entry, Leaf):
        name, asked = _conda_package(entry.text)
        yield prefix + name, asked
    elif isinstance(entry, dict) and isinstance(entry.get("pip"), list):
        for each in entry["pip"]:
            yield _requirement(_plain(each))
    else:
        raise UnexplainedError("a dependency is neither a package nor a list for pip")


def _conda_package(text: str) -> tuple[str, str]:
    # conda writes python=3.11.7 where pip writes python==3.11.7.
    name, equals, version = text.partition("=")
    if equals and not version.startswith("=") and name.strip().replace("-", "").replace("_", "").isalnum():
        return name.strip(), version.strip()
    return _requirement(text)


def _plain(tree: Tree) -> str:
    if isinstance(tree, Leaf):
        return tree.text
    return ", ".join(map(_plain, tree)) if isinstance(tree, list) else f"{len(tree):,} keys"

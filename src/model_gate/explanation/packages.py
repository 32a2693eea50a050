"""`requirements.txt`, `conda.yaml` and `python_env.yaml`: packages added, removed and of another version."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from model_gate.domain.difference import ENVIRONMENT_SETTING, Explanation, FieldChange
from model_gate.explanation.content import ContentPair, UnexplainedError, read_text
from model_gate.explanation.text import MAX_LINES, MAX_TEXT_BYTES, line_diff
from model_gate.explanation.trees import MAX_FIELDS, Leaf, Tree, shorten, summarize_fields
from model_gate.explanation.yaml_tree import parse_yaml

KIND = "packages"
_REQUIREMENTS = frozenset({"requirements.txt", "constraints.txt"})
_ENVIRONMENTS = frozenset({"conda.yaml", "python_env.yaml"})
_MAX_LINE = 1_000
_ANY = "(any)"
_SETTING = "a setting"


def matches(pair: ContentPair) -> bool:
    """Return whether the path has the name of a file that lists packages."""
    return PurePosixPath(pair.path).name in _REQUIREMENTS | _ENVIRONMENTS


def explain(pair: ContentPair) -> Explanation | None:
    """Return an explanation with the packages that changed, or None if one of the files is binary."""
    left, right = (read_text(content, MAX_TEXT_BYTES) for content in (pair.left, pair.right))
    if left is None or right is None:
        return None
    read = _requirements if PurePosixPath(pair.path).name in _REQUIREMENTS else _environment
    changes = _changes(_packages(read(left)), _packages(read(right)))
    lines = line_diff(left, right) or ()
    if not changes:
        summary = "the same packages, only their order, comments or layout differ"
        is_cut = len(lines) > MAX_LINES
        return Explanation(KIND, summary, lines=lines[:MAX_LINES], is_cut=is_cut, has_same_values=True)
    # Version changes come first, since they matter more to readers than added or removed packages.
    changes.sort(key=lambda change: (bool(change.meaning), change.left is None or change.right is None))
    fields = tuple(changes[:MAX_FIELDS])
    summary = summarize_fields(fields, len(changes), "change")
    return Explanation(KIND, summary, fields, is_cut=len(changes) > MAX_FIELDS)


def _changes(left: dict[_Key, str], right: dict[_Key, str]) -> list[FieldChange]:
    """Return the entries that differ, sorted. Their texts are shortened only after they are compared."""
    changed = sorted(key for key in left.keys() | right.keys() if left.get(key) != right.get(key))
    names = Counter(key.name for key in changed)
    return [
        FieldChange(
            # A package that another program installs.
            f"{key.name} ({key.source})" if key.source and names[key.name] > 1 else key.name,
            *_shortened(left.get(key), right.get(key)),
            meaning=ENVIRONMENT_SETTING if key.source == _SETTING else "",
        )
        for key in changed
    ]


def _shortened(left: str | None, right: str | None) -> tuple[str | None, str | None]:
    texts = (None if left is None else shorten(left), None if right is None else shorten(right))
    return (f"{texts[0]} (other text)", texts[1]) if texts[0] == texts[1] else texts


class _Key(NamedTuple):
    """Name of a package or a setting, and what reads it: `conda`, `pip`, `a setting`, or "" in a file for pip."""

    name: str
    source: str


def _packages(entries: Iterator[tuple[_Key, str]]) -> dict[_Key, str]:
    """Return the version constraints of each package. A package may have several entries."""
    result: dict[_Key, list[str]] = defaultdict(list)
    for key, constraint in entries:
        result[key].append(constraint)
    return {key: ", ".join(sorted(constraints)) for key, constraints in result.items()}


def _requirements(text: str) -> Iterator[tuple[_Key, str]]:
    for line in text.replace("\\\n", " ").splitlines():
        requirement = line.partition(" #")[0].strip()
        if requirement and not requirement.startswith("#"):
            name, constraint = _requirement(requirement)
            yield _Key(name, ""), constraint


def _requirement(line: str) -> tuple[str, str]:
    """Return the name and the constraint of a package.

    For a line that names no package, such as an option, return the whole line and the word `listed`.
    """
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


def _environment(text: str) -> Iterator[tuple[_Key, str]]:
    tree = parse_yaml(text)
    if not isinstance(tree, dict):
        raise UnexplainedError("it is not a mapping of fields")
    for key, value in tree.items():
        if isinstance(value, list) and key in {"dependencies", "build_dependencies"}:
            for entry in value:
                yield from _dependency(entry, "" if key == "dependencies" else "to build: ")
        else:
            # `python_env.yaml` has the version of Python as a field.
            yield _Key(key, "" if key == "python" else _SETTING), _format_setting(value)


def _dependency(entry: Tree, prefix: str) -> Iterator[tuple[_Key, str]]:
    if isinstance(entry, Leaf):
        # pip installs what builds packages.
        name, constraint = _requirement(entry.text) if prefix else _conda_package(entry.text)
        yield _Key(prefix + name, "conda"), constraint
    elif isinstance(entry, dict) and isinstance(entry.get("pip"), list):
        for requirement in entry["pip"]:
            name, constraint = _requirement(_format_setting(requirement))
            yield _Key(name, "pip"), constraint
    else:
        raise UnexplainedError("a dependency is neither a package nor a list for pip")


def _conda_package(text: str) -> tuple[str, str]:
    # conda writes python=3.11.7 where pip writes python==3.11.7.
    name, equals, version = text.partition("=")
    if equals and not version.startswith("=") and name.strip().replace("-", "").replace("_", "").isalnum():
        return name.strip(), version.strip()
    if equals and version.startswith("="):
        # To conda, python=3.11 is any 3.11, and python==3.11 is 3.11.0.
        return name.strip(), f"={version}"
    return _requirement(text)


def _format_setting(tree: Tree) -> str:
    if isinstance(tree, Leaf):
        return tree.text
    if isinstance(tree, dict):
        return ", ".join(f"{key}: {_format_setting(value)}" for key, value in sorted(tree.items()))
    return ", ".join(map(_format_setting, tree or ()))

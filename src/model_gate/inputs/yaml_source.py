"""Reads a YAML file that the user writes, and names the line and the key of each mistake in it."""

from __future__ import annotations

import difflib
import errno
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from model_gate.domain.wording import printable
from model_gate.errors import ConfigError, InputError, storage_error
from model_gate.formats import strict_yaml
from model_gate.formats.json_schema import Violation
from model_gate.inputs.similar_file import neighbours, similar_file
from model_gate.symbolic_links import open_input

# Characters with a meaning in YAML, with which a value cannot begin unless it is quoted.
_INDICATORS = "@`*&!%|>"
# A value with a place for a name, as in seals/{model}.json. Without quotes, YAML reads a mapping in it.
_UNQUOTED_PLACE = re.compile(r"(?<![\"'\w./{}-])([\w./-]*\{(?:model|version)\}[\w./{}-]*[\w./-])")
# A place for a value that another program would fill in: $NAME, ${NAME}, ${{ NAME }} or {{ NAME }}.
_VARIABLE = re.compile(r"^\$\w+|\$?\{\{.*\}\}|\$\{.*\}")
_VARIABLE_ALONE = re.compile(r"\$\w+|\$\{\w+\}", re.ASCII)
_DUPLICATE_REMEDY = "Remove one of them: YAML would silently take the last."


@dataclass(frozen=True)
class FileKind:
    """A kind of YAML file.

    Attributes:
        noun: What messages call the file, with an article, as in `a compare file`.
        example: Where an example is.
        wildcard_remedy: What to do about a path with wildcards.
        max_nodes: Maximum number of keys and values.
    """

    noun: str
    example: str
    wildcard_remedy: str
    max_nodes: int = strict_yaml.MAX_NODES

    @property
    def remedy(self) -> str:
        """What to do about a file that is not of the kind."""
        return f"Write the file as in the example: {self.example}"

    @property
    def name(self) -> str:
        """The noun without its article."""
        return self.noun.partition(" ")[2]


@dataclass(frozen=True)
class Source:
    """A mapping in a YAML file, for error messages.

    Attributes:
        file: Name of the file.
        node: The mapping. Lines and texts are searched in it only for a message, so that a large file costs no more.
        kind: The kind of the file.
        synonyms: Earlier names of keys, each with its current name.
        parents: Keys from the root of the file to the mapping.
        line: The line of the mapping's own key, counted from 1.
    """

    file: str
    node: yaml.MappingNode = field(repr=False)
    kind: FileKind
    synonyms: Mapping[str, str] = field(default_factory=dict)
    parents: tuple[str, ...] = ()
    line: int = 1

    def where(self, *path: str, index: int | None = None) -> str:
        """Return the file's name, the line of a key, and the key's path. A missing key has the line of its parent.

        With an `index`, the line is that of an item in the list of the key.
        """
        keys = (*self.parents, *path)
        line = self.line_of(*(path if index is None else (*path, str(index))))
        return f"{self.file}, line {line}" + (f", {printable('.'.join(keys))}" if keys else "")

    def line_of(self, *path: str) -> int:
        """Return the line of a key or of an item of a list; for a missing one, that of its parent."""
        *_, (line, _) = self._steps(path)
        return line

    def text(self, *path: str) -> str:
        """Return a value that is neither a mapping nor a list, as it is in the file; "" if there is none."""
        steps = list(self._steps(path))
        node = steps[-1][1]
        return str(node.value) if len(steps) > len(path) and isinstance(node, yaml.ScalarNode) else ""

    def _steps(self, path: tuple[str, ...]) -> Iterator[tuple[int, yaml.Node]]:
        """Yield the line and the value of the mapping and of each key or index of a path, as far as they exist."""
        node: yaml.Node = self.node
        line = self.line if self.parents else strict_yaml.line_of(node)
        yield line, node
        for part in path:
            found = self._child(node, part)
            if found is None:
                return
            line, node = found
            yield line, node

    def _child(self, node: yaml.Node, part: str) -> tuple[int, yaml.Node] | None:
        if isinstance(node, yaml.MappingNode):
            pairs = (pair for pair in node.value if self.synonyms.get(pair[0].value, str(pair[0].value)) == part)
            return next(((strict_yaml.line_of(key), value) for key, value in pairs), None)
        if isinstance(node, yaml.SequenceNode) and part.isdecimal() and int(part) < len(node.value):
            item = node.value[int(part)]
            return strict_yaml.line_of(item), item
        return None

    @contextmanager
    def errors_at(self, *path: str, index: int | None = None) -> Iterator[None]:
        """Convert an InputError inside the block to a ConfigError that names the line of this key or item."""
        try:
            yield
        except InputError as error:
            raise ConfigError(f"{self.where(*path, index=index)}: {error.message}", error.remedy) from error

    def keys(self) -> list[str]:
        """Return the keys of the mapping, by their current names."""
        return [self.synonyms.get(key.value, str(key.value)) for key, _ in self.node.value]

    def children(self) -> Iterator[tuple[str, Source | None]]:
        """Yield each key of the mapping with the mapping that it has; None if it has another value."""
        for key, node in self.node.value:
            name, line = str(key.value), strict_yaml.line_of(key)
            is_mapping = isinstance(node, yaml.MappingNode)
            yield name, replace(self, node=node, parents=(*self.parents, name), line=line) if is_mapping else None

    def plain(self) -> dict[str, Any]:
        """Return the mapping as plain data, with the current names of all its keys.

        Raises:
            ConfigError: A key is given twice, under its current and its earlier name.
        """
        keys: dict[str, yaml.Node] = {}
        for key, _ in self.node.value:
            name = self.synonyms.get(key.value, str(key.value))
            if name in keys:
                line, first = strict_yaml.line_of(key), strict_yaml.line_of(keys[name])
                raise ConfigError(
                    f"{self.file}, line {line}: {key.value!r} duplicates {keys[name].value!r} on line {first}.",
                    _duplicate_remedy(name, line),
                )
            keys[name] = key
        return {name: strict_yaml.plain(value) for name, (_, value) in zip(keys, self.node.value, strict=True)}

    def violation(self, violation: Violation, remedy: str) -> ConfigError:
        """Return the error for data that breaks a schema."""
        return ConfigError(f"{self.where(*violation.path)}: {violation.message}.", remedy)

    def require_known(
        self,
        data: Collection[str],
        known: Collection[str],
        path: tuple[str, ...] = (),
        hint: Callable[[str], str] = lambda _: "",
    ) -> None:
        """Verify that the keys of a mapping are known.

        Args:
            data: The keys.
            known: The known keys.
            path: The path of the mapping.
            hint: Returns what to do about an unknown key; "" for the most similar known key.

        Raises:
            ConfigError: A key is not known.
        """
        for key in data:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
                remedy = f"Did you mean {near[0]!r}?" if near else f"Known here: {', '.join(known)}."
                message = f"{self.where(*path, key)}: the key {key!r} is not known."
                raise ConfigError(message, hint(key) or remedy)

    def require_texts(self, data: object, path: tuple[str, ...], remedies: Mapping[str, str]) -> None:
        """Verify that no value was read as true or false, and that none is a variable. Mappings are searched whole.

        Args:
            data: The value at the path.
            path: The path.
            remedies: What to write instead of a variable, by key.

        Raises:
            ConfigError: A value is true, false or a variable.
        """
        if isinstance(data, dict):
            for key, value in data.items():
                self.require_texts(value, (*path, key), remedies)
        elif isinstance(data, bool):
            raw = self.text(*path)
            raise ConfigError(
                f"{self.where(*path)}: YAML reads {raw!r} as {str(data).lower()}, not as text.",
                f'Quote it: {printable(path[-1])}: "{raw}".',
            )
        elif isinstance(data, str) and _VARIABLE.search(data):
            # The message quotes a variable alone only, since the value of a host can have a password.
            variable = f"the variable {data}" if _VARIABLE_ALONE.fullmatch(data) else "a variable such as ${NAME}"
            raise ConfigError(
                f"{self.where(*path)}: {variable} is not replaced by its value: {self.kind.noun} has no variables.",
                remedies.get(path[-1], "Write the value itself."),
            )


def read_text(path: Path, kind: FileKind) -> str:
    """Return the text of a YAML file without a byte order mark.

    Raises:
        ConfigError: The file cannot be read, is too large or is not UTF-8.
    """
    try:
        with open(path, "rb", opener=open_input) as file:
            # The file may be larger than this machine's memory.
            content = file.read(strict_yaml.MAX_BYTES + 1)
    except FileNotFoundError as error:
        message = f"There is no {kind.name} {printable(str(path))}."
        raise ConfigError(message, _missing_file_remedy(path, kind)) from error
    except OSError as error:
        remedy = (
            storage_error(error, "").remedy if error.errno == errno.ELOOP else "Check the path and its permissions."
        )
        raise ConfigError(f"The {kind.name} {path} cannot be read: {error.strerror}.", remedy) from error
    if len(content) > strict_yaml.MAX_BYTES:
        raise ConfigError(f"The {kind.name} {path} is larger than {strict_yaml.MAX_BYTES:,} bytes.", kind.remedy)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}, line {line}: the file is not UTF-8.", "Save it as UTF-8.") from error


def _missing_file_remedy(path: Path, kind: FileKind) -> str:
    """Return what to do about a file that does not exist: the name of a similar file, if there is one."""
    if set(path.name) & set("*?["):
        return kind.wildcard_remedy
    try:
        names = neighbours(path)
    except OSError:
        return f"There is no directory {printable(str(path.parent.absolute()))} either. Check the path."
    if near := similar_file(path, names):
        return f"Did you mean {printable(str(near))}?"
    checkout = " In a workflow, the step actions/checkout must come first." if not names else ""
    return f"Check the path. Files are searched in {printable(str(path.parent.absolute()))}.{checkout}"


def parse_mapping(text: str, file: str, kind: FileKind) -> yaml.MappingNode:
    """Return the mapping that a YAML text has.

    Args:
        text: The text.
        file: The file's name in error messages.
        kind: The kind of the file.

    Raises:
        ConfigError: The text is not YAML or not a mapping, or a key is given twice.
    """
    node = _compose(text, file, kind)
    if not isinstance(node, yaml.MappingNode):
        problem = "is empty" if node is None else "is not a mapping of keys"
        raise ConfigError(f"{file} {problem}.", kind.remedy)
    return node


def _compose(text: str, file: str, kind: FileKind) -> yaml.Node | None:
    try:
        return strict_yaml.compose(text, kind.max_nodes)
    except strict_yaml.DuplicateKeyError as error:
        raise ConfigError(
            f"{file}, line {error.second}: the key {error.key!r} is given twice, first on line {error.first}.",
            _duplicate_remedy(error.key, error.second),
        ) from error
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        problem, remedy = _yaml_problem(text, error, kind)
        raise ConfigError(f"{file}{line}: {problem}.", remedy) from error
    except (yaml.YAMLError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{file} cannot be read as YAML: {reason}.", kind.remedy) from error


def _yaml_problem(text: str, error: yaml.MarkedYAMLError, kind: FileKind) -> tuple[str, str]:
    """Return what is wrong with a text that is not YAML, and the remedy."""
    mark, problem = error.problem_mark, f"this is not YAML: {error.problem}"
    lines = text.splitlines()[mark.line :] if mark is not None else []
    if mark is None or not lines:
        return problem, kind.remedy
    line, rest = lines[0], lines[0][mark.column :]
    if "\t" in line[: len(line) - len(line.lstrip())] or rest.startswith("\t"):
        return "the line has a tab, which YAML does not allow here", "Indent with spaces: replace every tab."
    if rest[:1] and rest[0] in _INDICATORS:
        value = re.split(r"[,}\]#]|\s", rest, maxsplit=1)[0]
        noun = "alias" if value.startswith("@") else "value"
        quoted = printable(json.dumps(value, ensure_ascii=False))
        return f"a value cannot begin with {rest[0]!r} unless it is quoted", f"Quote the {noun}: {quoted}."
    if place := _UNQUOTED_PLACE.search(line):
        return "a value with braces must be quoted", f'Quote the path: "{printable(place[1])}".'
    return problem, kind.remedy


def _duplicate_remedy(key: str, line: int) -> str:
    if key.startswith("tracking_server"):
        return f"Rename the key on line {line} to tracking_server_{1 if key.endswith('2') else 2}."
    return _DUPLICATE_REMEDY

"""Globs for relative paths, matched in time that is linear in the length of the path.

A regular expression for `*a*a*a*b` can take seconds for one name. A glob is therefore run as an automaton, whose
states are computed when a path first needs them.

>>> Glob("notes/**").matches("notes/2024/plan.txt")
True
>>> Glob("*.log").matches("a/b.log")
False
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile

# Maximum number of cached transitions, which is more than the paths of a real model need. A full cache is emptied.
_MAX_CACHED = 20_000


@dataclass(frozen=True)
class _Character:
    """Token for one character of the path.

    Attributes:
        ranges: First and last character of each range; None for any character except a slash.
        is_negated: Whether the character must be outside of all ranges.
    """

    ranges: tuple[tuple[str, str], ...] | None
    is_negated: bool = False

    @property
    def literal(self) -> str:
        """The only character that the token accepts, "" if it accepts several."""
        if self.is_negated or self.ranges is None or len(self.ranges) != 1:
            return ""
        ((first, last),) = self.ranges
        return first if first == last else ""

    def accepts(self, character: str) -> bool:
        if self.ranges is None:
            return character != "/"
        is_inside = any(first <= character <= last for first, last in self.ranges)
        # A negated class never matches the separator of directories.
        return is_inside if not self.is_negated else not is_inside and character != "/"


@dataclass(frozen=True)
class _Star:
    """Token for `*`, which matches text without a slash, or for `**`, which matches any text.

    Attributes:
        crosses_directories: Whether the matched text may contain slashes.
    """

    crosses_directories: bool


@dataclass(frozen=True)
class _Directories:
    """Token for `**/`, which matches either nothing or a text that ends with a slash.

    Two more tokens follow: one for the text and one for the slash. If `**/` matches nothing, the automaton skips both.
    """


_Token = _Character | _Star | _Directories


def _is_literal(token: _Token) -> bool:
    return isinstance(token, _Character) and bool(token.literal)


class Glob:
    """A glob, which matches whole paths.

    `**/` matches any number of directories or nothing, and `**` matches any text. `*` matches text without a slash.
    `?`, `[a-z]` and `[!a-z]` match one character except a slash. Every other character stands for itself.

    Raises:
        ValueError: A character class is empty, or a range is in the wrong order.
    """

    def __init__(self, pattern: str) -> None:
        self._tokens = _parse(pattern)
        self._start = self._closure({0})
        self._cache: dict[tuple[frozenset[int], str], frozenset[int]] = {}

    @property
    def prefix(self) -> str:
        """The text before the first wildcard, with which every matching path begins.

        >>> Glob("prod.ml.*").prefix
        'prod.ml.'
        """
        return "".join(token.literal for token in takewhile(_is_literal, self._tokens) if isinstance(token, _Character))

    @property
    def is_literal(self) -> bool:
        """Whether the glob has no wildcard."""
        return all(map(_is_literal, self._tokens))

    def matches(self, path: str) -> bool:
        """Return whether the glob matches the whole path."""
        states = self._start
        for character in path:
            key = states, character
            following = self._cache.get(key)
            if following is None:
                following = self._follow(states, character)
                if len(self._cache) >= _MAX_CACHED:
                    self._cache.clear()
                self._cache[key] = following
            if not following:
                return False
            states = following
        return len(self._tokens) in states

    def _follow(self, states: frozenset[int], character: str) -> frozenset[int]:
        """Return the states of the automaton after one more character."""
        following = set()
        for state in states:
            token = self._tokens[state] if state < len(self._tokens) else None
            if isinstance(token, _Star) and (token.crosses_directories or character != "/"):
                following.add(state)
            elif isinstance(token, _Character) and token.accepts(character):
                following.add(state + 1)
        return self._closure(following)

    def _closure(self, states: set[int]) -> frozenset[int]:
        """Return the states, and all states that they reach without reading a character."""
        pending = list(states)
        reached = set(states)
        while pending:
            state = pending.pop()
            token = self._tokens[state] if state < len(self._tokens) else None
            following: tuple[int, ...] = ()
            if isinstance(token, _Star):
                following = (state + 1,)
            elif isinstance(token, _Directories):
                following = (state + 1, state + 3)
            pending += [each for each in following if each not in reached]
            reached.update(following)
        return frozenset(reached)


def _parse(pattern: str) -> tuple[_Token, ...]:
    tokens: list[_Token] = []
    position = 0
    while position < len(pattern):
        if pattern.startswith("**/", position):
            tokens += [_Directories(), _Star(crosses_directories=True), _literal("/")]
            position += 3
        elif pattern.startswith("**", position):
            tokens.append(_Star(crosses_directories=True))
            position += 2
        elif pattern[position] == "*":
            tokens.append(_Star(crosses_directories=False))
            position += 1
        elif pattern[position] == "?":
            tokens.append(_Character(None))
            position += 1
        elif pattern[position] == "[":
            token, position = _parse_class(pattern, position)
            tokens.append(token)
        else:
            tokens.append(_literal(pattern[position]))
            position += 1
    return tuple(tokens)


def _literal(character: str) -> _Character:
    return _Character(((character, character),))


def _parse_class(pattern: str, start: int) -> tuple[_Character, int]:
    """Return the character class at a position and the position after it. An unclosed bracket stands for itself."""
    position = start + 1
    is_negated = pattern.startswith("!", position)
    position += is_negated
    # A closing bracket that comes first is a character of the class.
    end = pattern.find("]", position + 1)
    if end < 0:
        if pattern.startswith("]", position):
            raise ValueError(f"the character class {pattern[start : position + 1]!r} is empty")
        return _literal("["), start + 1
    text = pattern[position:end]
    ranges = []
    index = 0
    while index < len(text):
        first = last = text[index]
        index += 1
        if text[index : index + 1] == "-" and index + 1 < len(text):
            last = text[index + 1]
            index += 2
        if first > last:
            raise ValueError(f"the range {first}-{last} is in the wrong order")
        ranges.append((first, last))
    return _Character(tuple(ranges), is_negated), end + 1

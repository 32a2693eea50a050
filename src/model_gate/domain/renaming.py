"""Names of registered models on another server, by pairs of globs whose only wildcard is `*`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice

from model_gate.domain.wording import plural, printable
from model_gate.errors import InputError
from model_gate.formats.glob import Glob

_STARS = re.compile(r"\*+")
# Several names can lead to one name if a glob has more than one wildcard. No more than these are tried.
_MAX_ORIGINALS = 1_000


class _Rename:
    """One pair of globs. The text of each `*` on the left replaces the `*` in the same position on the right."""

    def __init__(self, pattern: str, replacement: str) -> None:
        for glob in (pattern, replacement):
            if not glob or set(glob) & set("?[]"):
                raise InputError(
                    f"rename: {printable(glob)!r} is not a name or a glob with * as its only wildcard.",
                    'Write, for example, rename: {"prod.ml.*": "staging.ml.*"}.',
                )
        counts = [len(_STARS.findall(glob)) for glob in (pattern, replacement)]
        if counts[0] != counts[1]:
            raise InputError(
                f"rename: {printable(pattern)!r} has {plural(counts[0], 'wildcard')}, and {printable(replacement)!r}"
                f" has {counts[1]}.",
                "Write as many * on the right as on the left: each stands for the text of the * in the same position.",
            )
        self.pattern = pattern
        self.replacement = replacement
        self._globs = Glob(pattern), Glob(replacement)

    def renamed(self, name: str) -> str | None:
        """Return the new name; None if the pattern does not match."""
        if not self._globs[0].matches(name):
            return None
        return next(_replaced(self.pattern, self.replacement, name), None)

    def originals(self, name: str) -> Iterator[str]:
        """Yield the names that may lead to this new name."""
        if self._globs[1].matches(name):
            yield from islice(_replaced(self.replacement, self.pattern, name), _MAX_ORIGINALS)

    def covers(self, glob: str) -> bool:
        """Return whether the pattern matches every name that `glob` matches. False if this is not known."""
        if glob == self.pattern:
            return True
        if "**" in glob and "**" not in self.pattern:
            return False
        return len(_STARS.findall(self.pattern)) == 1 and next(_texts(self.pattern, glob), None) is not None

    def renamed_glob(self, glob: str) -> str:
        """Return the glob of the new names of what `glob` matches, if the pattern covers `glob`."""
        return self.replacement if glob == self.pattern else next(_replaced(self.pattern, self.replacement, glob))

    def can_match(self, glob: str) -> bool:
        """Return False if no name can match both `glob` and the pattern. True if this is not known."""
        prefixes = Glob(glob).prefix, self._globs[0].prefix
        return prefixes[0].startswith(prefixes[1]) or prefixes[1].startswith(prefixes[0])


class Renaming:
    """Names of registered models on another server.

    The first pair of globs whose left glob matches a name renames it. Any other name stays as it is.

    >>> renaming = Renaming([("prod.*", "staging.*"), ("Wine", "Wine Imported")])
    >>> renaming.renamed("prod.ml.wine"), renaming.renamed("Wine"), renaming.renamed("Churn")
    ('staging.ml.wine', 'Wine Imported', 'Churn')

    Raises:
        InputError: A glob has another wildcard than `*`, or the two globs of a pair have not the same number of them.
    """

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._renames = [_Rename(*pair) for pair in pairs]

    def renamed(self, name: str) -> str:
        """Return the name on the other server."""
        names = (rename.renamed(name) for rename in self._renames)
        return next((new for new in names if new is not None), name)

    def originals(self, name: str) -> list[str]:
        """Return the names that are `name` on the other server."""
        candidates = [original for rename in self._renames for original in rename.originals(name)]
        return list(dict.fromkeys(each for each in (*candidates, name) if self.renamed(each) == name))

    def renamed_globs(self, glob: str) -> list[str]:
        """Return globs that together match the other server's names of all that `glob` matches.

        They can match more. `originals` decides which names count.

        >>> Renaming([("prod.*", "staging.*")]).renamed_globs("prod.ml.wine*")
        ['staging.ml.wine*']
        """
        globs: list[str] = []
        for rename in self._renames:
            if rename.covers(glob):
                return [*globs, rename.renamed_glob(glob)]
            if rename.can_match(glob):
                globs.append(rename.replacement)
        return list(dict.fromkeys([*globs, glob]))


def _replaced(pattern: str, replacement: str, name: str) -> Iterator[str]:
    """Yield `replacement` with the texts of the wildcards of `pattern` in `name`, for each way to match."""
    literals = _STARS.split(replacement)
    for texts in _texts(pattern, name):
        yield literals[0] + "".join(text + literal for text, literal in zip(texts, literals[1:], strict=True))


def _texts(pattern: str, name: str) -> Iterator[tuple[str, ...]]:
    """Yield the texts of the wildcards of `pattern` in `name`, the shortest first texts first."""
    first, *literals = _STARS.split(pattern)
    if not literals:
        if first == name:
            yield ()
    elif name.startswith(first):
        yield from _rest(literals, name[len(first) :])


def _rest(literals: Sequence[str], text: str) -> Iterator[tuple[str, ...]]:
    """Yield the texts of wildcards in `text`, where each of `literals` follows a wildcard."""
    literal, *others = literals
    if not others:
        if text.endswith(literal):
            yield (text[: len(text) - len(literal)],)
        return
    position = text.find(literal)
    while position >= 0:
        for texts in _rest(others, text[position + len(literal) :]):
            yield (text[:position], *texts)
        position = text.find(literal, position + 1)

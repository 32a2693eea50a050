"""Says which files of two models do not affect the verdict, and whether these files differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from model_gate.domain.difference import Difference
from model_gate.domain.result import Comparison
from model_gate.domain.wording import plural
from model_gate.reporting.shortening import short_path

_MAX_PATH = 60
_MAX_NAMED = 2
_MAX_NAME = 40


@dataclass(frozen=True)
class Uncounted:
    """The files of two models that do not affect the verdict: ignored files, and those outside the native models.

    Attributes:
        differing: Paths of the files that differ.
        differences: The known differences of these files.
        is_unknown: Whether a file was not compared.
    """

    differing: tuple[str, ...]
    differences: tuple[Difference, ...]
    is_unknown: bool

    @property
    def decisive_paths(self) -> frozenset[str]:
        """Paths of the files that differ, without those of which only rewritten parts differ."""
        rewritten = {difference.path for difference in self.differences if difference.rewrite_reason}
        return frozenset(self.differing) - rewritten

    @property
    def named(self) -> str:
        """The files that differ, as in `conda.yaml and requirements.txt` or `4 files`; "" if there are none."""
        return _named(self.differing)

    @property
    def decisive_named(self) -> str:
        """The same without the files of which only rewritten parts differ."""
        return _named([path for path in self.differing if path in self.decisive_paths])


def uncounted(comparison: Comparison) -> Uncounted:
    """Return the files that do not affect the verdict."""
    rest = comparison.rest
    outside = () if rest is None else rest.differences
    ignored = [ignored for ignored in comparison.ignored if ignored.equals is False]
    return Uncounted(
        tuple(dict.fromkeys([difference.path for difference in outside] + [each.path for each in ignored])),
        (*outside, *(each.difference for each in ignored if each.difference is not None)),
        any(each.equals is None for each in comparison.ignored)
        or (rest is not None and (rest.equals is None or bool(rest.not_compared))),
    )


def _named(paths: Sequence[str]) -> str:
    if len(paths) > _MAX_NAMED:
        return plural(len(paths), "file")
    return " and ".join(short_path(path, _MAX_NAME) for path in paths)


def native_names(comparison: Comparison) -> str:
    """Return the paths of the native models, as in `model.pkl and model.skops`; "" if whole models were compared."""
    return " and ".join(short_path(path, _MAX_PATH) for path in comparison.native_models)


def limits_of_equality(comparison: Comparison) -> str:
    """Return what limits the equality of two models, as in `, except 3 ignored files (2 of them differ)`.

    The text follows the word "equal" or the names of both models. It is "" if every file affects the verdict, and if
    both models are at the same location, because then no file can differ.
    """
    if comparison.same_location:
        return ""
    native = ""
    if comparison.native_models:
        rest = _rest(comparison)
        outside = ", outside the verdict" if comparison.rest is not None and comparison.rest.equals is False else ""
        native = f" in {native_names(comparison)} only{f' ({rest}{outside})' if rest else ''}"
    return f"{native}{f', except {_ignored(comparison)}' if comparison.ignored else ''}"


def limits_of_all(comparisons: Iterable[Comparison]) -> str:
    """Return what limits the equality of the models of several comparisons, in the same words."""
    return " and".join(filter(None, dict.fromkeys(map(limits_of_equality, comparisons))))


def scope_of_native_model(comparison: Comparison) -> str:
    """Return which files decide and what is known of the others, as sentences; "" if whole models were compared."""
    if not comparison.native_models:
        return ""
    verb, pronoun = ("affects", "it") if len(comparison.native_models) == 1 else ("affect", "them")
    first = f"Only {native_names(comparison)} {verb} the verdict, because native_model selects {pronoun}."
    rest = comparison.rest
    if rest is None:
        return first
    if rest.equals:
        return f"{first} All other files were compared too, and are equal."
    differ = f": {_rest(comparison)}" if rest.differences else ""
    if rest.equals is None or rest.not_compared:
        return f"{first} Not all other files were compared{differ}."
    return f"{first} All other files were compared too, but are outside the verdict{differ}."


def not_counted(comparison: Comparison) -> list[str]:
    """Return a phrase for each reason why files of two different models do not affect the verdict."""
    phrases = []
    if comparison.native_models:
        verb = "affects" if len(comparison.native_models) == 1 else "affect"
        is_equal = comparison.rest is not None and comparison.rest.equals
        rest = "all other files are equal" if is_equal else _rest(comparison)
        phrases.append(f"only {native_names(comparison)} {verb} the verdict{f', {rest}' if rest else ''}")
    if comparison.ignored:
        phrases.append(f"{_ignored(comparison)} {'is' if len(comparison.ignored) == 1 else 'are'} outside the verdict")
    return phrases


def _ignored(comparison: Comparison) -> str:
    """Return the number of ignored files, and how many of them differ or are not known to be equal."""
    noun = plural(len(comparison.ignored), "ignored file")
    differing = sum(ignored.equals is False for ignored in comparison.ignored)
    unknown = sum(ignored.equals is None for ignored in comparison.ignored)
    if len(comparison.ignored) == 1 and (differing or unknown):
        return f"{noun} ({'it differs' if differing else 'not compared'})"
    parts = []
    if differing:
        parts.append(f"{differing:,} of them differ{'s' if differing == 1 else ''}")
    if unknown:
        parts.append(f"{unknown:,} {'was' if unknown == 1 else 'were'} not compared")
    return f"{noun} ({', '.join(parts)})" if parts else noun


def _rest(comparison: Comparison) -> str:
    if comparison.rest is None:
        return ""
    if comparison.rest.equals is None:
        return "not all other files were compared"
    if comparison.rest.equals:
        return "the other files are equal too"
    paths = [difference.path for difference in comparison.rest.differences]
    differ = "differs" if len(paths) == 1 else "differ"
    return f"{len(paths):,} other files {differ}" if len(paths) > _MAX_NAMED else f"{_named(paths)} {differ}"

"""Judges a result in one phrase, such as `only packages differ`: what differs, and whether it matters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from model_gate.domain.difference import DIGEST, ENVIRONMENT_SETTING, Difference, DifferenceKind
from model_gate.domain.importance import Importance, importance_of
from model_gate.domain.model import MLMODEL
from model_gate.domain.result import Comparison, Outcome
from model_gate.domain.verdict import Status
from model_gate.domain.wording import plural
from model_gate.reporting.naming import side_names
from model_gate.reporting.outlier import outlier
from model_gate.reporting.phrases import REWRITTEN
from model_gate.reporting.scope import limits_of_equality
from model_gate.reporting.shortening import short_path

_NOUNS = {
    Importance.WEIGHTS: "the weights",
    Importance.UNKNOWN: "files of unknown kind",
    Importance.ARTIFACT: "files in artifacts/",
    Importance.SETTINGS: "settings",
    Importance.CODE: "code",
    Importance.BYTECODE: "code",
    Importance.PACKAGES: "packages",
    Importance.MLMODEL: "fields of MLmodel",
    Importance.TOKENIZER_DETAILS: "tokenizer details",
    Importance.EXAMPLE: "examples",
    Importance.DOCUMENT: "documents",
    Importance.BY_PRODUCT: "files that the format adds",
}
_ENVIRONMENT = "settings of the environment"
_FILE = "the file "
_MAX_NOUNS = 3
_MAX_PATH = 60


@dataclass(frozen=True)
class Kinds:
    """The kinds of all differences that are more than a rewrite.

    Attributes:
        changed: The kinds of the files whose content differs. Files of which only the notation or random names differ
            are left out.
        missing: Whether one of two models lacks a file, or has a file where the other has a directory.
        is_complete: Whether every file was compared and affects the verdict, so that there is no other difference.
    """

    changed: frozenset[Importance]
    missing: bool
    is_complete: bool


def judgement(outcome: Outcome) -> str:
    """Return a phrase that says what differs, and in which models.

    It contains "only" if every file was compared and no weights differ.
    The result is "" after an error, and for equal models of which some files do not affect the verdict: the heading
    names these.
    """
    words = judgement_of_files(outcome)
    return f"{_where(outcome)}{words}" if outcome.status is Status.DIFFERENT else words


def judgement_of_files(outcome: Outcome) -> str:
    """Return the phrase of `judgement` without the models."""
    if outcome.status in {Status.ERROR, Status.SEALED}:
        return ""
    if outcome.is_nothing_compared:
        return "one location, nothing to compare"
    if outcome.status is Status.EQUAL:
        return "" if any(map(limits_of_equality, _comparisons(outcome))) else "the same files with the same bytes"
    differences = [difference for comparison in _comparisons(outcome) for difference in comparison.differences]
    placed = [difference for difference in differences if not _is_missing_or_other_type(difference)]
    misplaced = _misplaced(outcome)
    phrase = _what_differs(placed, is_complete=_is_complete(outcome) and not misplaced) if placed else ""
    return "; ".join(filter(None, (phrase, *misplaced, _not_compared(outcome.not_compared))))


def what_differs(differences: Sequence[Difference]) -> str:
    """Return what some differences are about, as in `the weights and packages differ`; "" if there are none."""
    return _what_differs(differences, is_complete=False) if differences else ""


def kinds_of_differences(outcome: Outcome) -> Kinds:
    """Return the kinds of the differences of a gate, for the next step."""
    decisive = [
        difference
        for comparison in _comparisons(outcome)
        for difference in comparison.differences
        if not difference.rewrite_reason
    ]
    changed = [
        difference
        for difference in decisive
        if not (_is_missing_or_other_type(difference) or _is_notation(difference) or _random_part(difference))
    ]
    return Kinds(
        frozenset(importance_of(difference.path) for difference in changed),
        any(map(_is_missing_or_other_type, decisive)),
        _is_complete(outcome),
    )


def _comparisons(outcome: Outcome) -> list[Comparison]:
    return [comparison for _, comparison in outcome.distinct_comparisons]


def _is_complete(outcome: Outcome) -> bool:
    return not outcome.not_compared and not any(map(limits_of_equality, _comparisons(outcome)))


def _is_missing_or_other_type(difference: Difference) -> bool:
    """Return whether one model lacks a file of the other, which is more than a rewrite and than a random name."""
    return (
        difference.kind is not DifferenceKind.CONTENT and not difference.rewrite_reason and not _random_part(difference)
    )


def _misplaced(outcome: Outcome) -> list[str]:
    """Return a phrase about files that one of two models lacks, and a phrase about paths that have two types."""
    lacking: dict[str, list[str]] = {}
    types: list[str] = []
    for names, comparison in outcome.distinct_comparisons:
        left, right = side_names(outcome, names[0]).phrases
        for difference in filter(_is_missing_or_other_type, comparison.differences):
            if difference.kind is DifferenceKind.TYPE:
                types.append(difference.path)
            else:
                side = right if difference.kind is DifferenceKind.ONLY_LEFT else left
                lacking.setdefault(side, []).append(difference.path)
    phrases = [_missing(lacking)] if lacking else []
    if types:
        path = _short(types[0]) if len(set(types)) == 1 else plural(len(set(types)), "path")
        verb = "is a file" if len(set(types)) == 1 else "are files"
        phrases.append(f"{path} {verb} in one model and a directory in the other")
    return phrases


def _missing(lacking: Mapping[str, Sequence[str]]) -> str:
    """Return a phrase about missing files. `lacking` has their paths, by the name of the model that lacks them."""
    paths = list(dict.fromkeys(path for missing in lacking.values() for path in missing))
    if len(lacking) > 1 and len(paths) > 1:
        return f"{plural(len(paths), 'file')} are in only one of the models"
    side = next(iter(lacking)) if len(lacking) == 1 else "one of the models"
    missing = f"{_short(paths[0])} is" if len(paths) == 1 else f"{plural(len(paths), 'file')} are"
    return f"{missing} missing in {side}"


def _where(outcome: Outcome) -> str:
    """Return which models of a compare differ, as in `registry models: `; "" if all do, and for other commands."""
    if odd := outlier(outcome):
        return f"{odd.text}: "
    differing = [name for name, comparison in outcome.comparisons.items() if not comparison.equals]
    if len(outcome.requested_versions) < 2 or len(differing) == len(outcome.comparisons):
        return ""
    return f"{' and '.join(outcome.model_names(name).title for name in differing)}: "


def _short(path: str) -> str:
    return short_path(path, _MAX_PATH)


def _what_differs(differences: Iterable[Difference], *, is_complete: bool) -> str:
    rewritten: list[Difference] = []
    decisive: list[Difference] = []
    for difference in differences:
        (rewritten if difference.rewrite_reason else decisive).append(difference)
    only = "only " if is_complete else ""
    if not decisive:
        is_metadata = all(importance_of(difference.path) is Importance.MLMODEL for difference in rewritten)
        what = "metadata that MLflow rewrites" if is_metadata else REWRITTEN
        return f"{only}{what} differs"
    changed = [difference for difference in decisive if not _is_notation(difference)]
    if not changed:
        return f"{only}the notation of files differs"
    nouns = _nouns(changed)
    found = {importance_of(difference.path) for difference in changed if not _random_part(difference)}
    if found & {Importance.WEIGHTS, Importance.UNKNOWN}:
        # "Only" would play the difference down.
        only = ""
    if len(nouns) > _MAX_NOUNS:
        nouns = [*nouns[:_MAX_NOUNS], "more"]
    listed = nouns[0] if len(nouns) == 1 else f"{', '.join(nouns[:-1])} and {nouns[-1]}"
    is_singular = len(nouns) == 1 and (nouns[0] in {_NOUNS[Importance.CODE], MLMODEL} or nouns[0].startswith(_FILE))
    return f"{only}{listed} differ{'s' if is_singular else ''}"


def _nouns(differences: Iterable[Difference]) -> list[str]:
    """Return what differs, the most important first. What is only drawn at random comes last."""
    files: dict[Importance, list[Difference]] = {}
    settings: list[str] = []
    random: list[str] = []
    for difference in differences:
        if difference.explanation is not None and difference.explanation.explained_by:
            continue
        if name := _random_part(difference):
            random.append(name)
        elif _is_environment_setting(difference):
            settings.append(_ENVIRONMENT)
        else:
            files.setdefault(importance_of(difference.path), []).append(difference)
    nouns = [_noun(importance, files[importance]) for importance in sorted(files)]
    return list(dict.fromkeys([*nouns, *settings, *random]))


def _noun(importance: Importance, differences: Sequence[Difference]) -> str:
    """Return what files of one kind are. The only file whose content is not understood is named by its path."""
    explanation = differences[0].explanation
    if importance is Importance.MLMODEL and explanation is not None and explanation.kind == DIGEST:
        return MLMODEL
    is_understood = importance is not Importance.UNKNOWN and (
        importance is not Importance.WEIGHTS or explanation is None or not explanation.note
    )
    return _NOUNS[importance] if is_understood or len(differences) > 1 else f"{_FILE}{_short(differences[0].path)}"


def _random_part(difference: Difference) -> str:
    return difference.explanation.only_random if difference.explanation is not None else ""


def _is_environment_setting(difference: Difference) -> bool:
    """Return whether an environment file has the same packages, and only other settings such as channels."""
    explanation = difference.explanation
    return (
        explanation is not None
        and not explanation.is_cut
        and bool(explanation.fields)
        and all(field.meaning == ENVIRONMENT_SETTING for field in explanation.fields)
    )


def _is_notation(difference: Difference) -> bool:
    """Return whether the explanation shows that both files have the same content in another notation."""
    explanation = difference.explanation
    return (
        explanation is not None
        and explanation.has_same_values
        and not explanation.note
        and not explanation.unmet_condition
    )


def _not_compared(paths: tuple[str, ...]) -> str:
    if not paths:
        return ""
    if len(paths) == 1:
        return f"{_short(paths[0])} was not compared"
    return f"{plural(len(paths), 'file')} were not compared"

"""Judges a result in one phrase, such as `only packages differ`: what differs, and whether it matters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from model_gate.domain.difference import ENVIRONMENT_SETTING, Difference
from model_gate.domain.importance import Importance, importance_of
from model_gate.domain.result import Comparison, Outcome
from model_gate.domain.verdict import Status
from model_gate.domain.wording import plural, printable, truncate_middle
from model_gate.reporting.phrases import NOTHING_COMPARED

_NOUNS = {
    Importance.WEIGHTS: "the weights",
    Importance.UNKNOWN: "files of unknown kind",
    Importance.ARTIFACT: "artifacts",
    Importance.SETTINGS: "settings",
    Importance.CODE: "code",
    Importance.BYTECODE: "code",
    Importance.PACKAGES: "packages",
    Importance.MLMODEL: "fields of MLmodel",
    Importance.TOKENIZER_DETAILS: "tokenizer details",
    Importance.EXAMPLE: "examples",
    Importance.DOCUMENT: "documents",
}
# Kinds of files whose explanation knows whether the content differs or only its notation.
_KINDS_WITH_CONTENT = frozenset({"JSON", "YAML", "safetensors", "npy", "packages"})
_ENVIRONMENT = "settings of the environment"
_MAX_NOUNS = 3
_MAX_PATH = 60


def judgement(outcome: Outcome) -> str:
    """Return a phrase that says what differs. It contains "only" if every file was compared.

    The result is NOTHING_COMPARED if all models are one location, and "" after an error.
    """
    if outcome.status is Status.ERROR:
        return ""
    if outcome.is_nothing_compared:
        return NOTHING_COMPARED
    comparisons = [comparison for _, comparison in outcome.distinct_comparisons]
    left_out = list(dict.fromkeys(part for comparison in comparisons for part in _left_out(comparison)))
    if outcome.status is Status.EQUAL:
        return ", ".join(left_out) or "the same files with the same bytes"
    differences = [difference for comparison in comparisons for difference in comparison.differences]
    phrase = _what_differs(differences, is_complete=not outcome.not_compared and not left_out)
    return "; ".join(filter(None, (phrase, _not_compared(outcome.not_compared))))


def _left_out(comparison: Comparison) -> Iterator[str]:
    """Yield what a comparison does not cover, so that nothing is claimed about whole models."""
    if comparison.native_models:
        paths = " and ".join(truncate_middle(printable(path), _MAX_PATH) for path in comparison.native_models)
        is_rest_different = comparison.rest is not None and bool(comparison.rest.differences)
        yield f"{paths} only{', the rest differs' if is_rest_different else ''}"
    if comparison.ignored:
        differing = sum(ignored.equals is False for ignored in comparison.ignored)
        more = f", of which {differing:,} differ{'s' if differing == 1 else ''}" if differing else ""
        yield f"{plural(len(comparison.ignored), 'path')} ignored{more}"


def _what_differs(differences: Iterable[Difference], *, is_complete: bool) -> str:
    rewritten: list[Difference] = []
    decisive: list[Difference] = []
    for difference in differences:
        (rewritten if difference.rewrite_reason else decisive).append(difference)
    only = "only " if is_complete else ""
    if not decisive:
        is_metadata = all(importance_of(difference.path) is Importance.MLMODEL for difference in rewritten)
        what = "metadata that MLflow rewrites" if is_metadata else "what MLflow or the file format rewrites"
        return f"{only}{what} differs"
    changed = [difference for difference in decisive if not _is_notation(difference)]
    if not changed:
        return f"{only}the notation of files differs"
    nouns = _nouns(changed)
    found = {importance_of(difference.path) for difference in changed if not _only_random(difference)}
    if found & {Importance.WEIGHTS, Importance.UNKNOWN}:
        # "Only" would play the difference down.
        only = ""
    if len(nouns) > _MAX_NOUNS:
        nouns = [*nouns[:_MAX_NOUNS], "more"]
    listed = nouns[0] if len(nouns) == 1 else f"{', '.join(nouns[:-1])} and {nouns[-1]}"
    is_singular = nouns == [_NOUNS[Importance.CODE]] or (
        len(nouns) == 1 and Importance.UNKNOWN in found and nouns[0] != _NOUNS[Importance.UNKNOWN]
    )
    return f"{only}{listed} differ{'s' if is_singular else ''}"


def _nouns(differences: Iterable[Difference]) -> list[str]:
    """Return what differs, the most important first. What is only drawn at random comes last."""
    paths: dict[Importance, list[str]] = {}
    settings: list[str] = []
    random: list[str] = []
    for difference in differences:
        if difference.explanation is not None and difference.explanation.told_at:
            continue
        if name := _only_random(difference):
            random.append(name)
        elif _is_environment_setting(difference):
            settings.append(_ENVIRONMENT)
        else:
            paths.setdefault(importance_of(difference.path), []).append(difference.path)
    unknown = paths.get(Importance.UNKNOWN, [])
    nouns = [
        # The only file of unknown kind is named by its path.
        f"the file {truncate_middle(printable(unknown[0]), _MAX_PATH)}"
        if importance is Importance.UNKNOWN and len(unknown) == 1
        else _NOUNS[importance]
        for importance in sorted(paths)
    ]
    return list(dict.fromkeys([*nouns, *settings, *random]))


def _only_random(difference: Difference) -> str:
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
        and explanation.kind in _KINDS_WITH_CONTENT
        and not explanation.note
        and not explanation.is_cut
        and not any(not field.rewrite_reason for field in explanation.fields)
    )


def _not_compared(paths: tuple[str, ...]) -> str:
    if not paths:
        return ""
    if len(paths) == 1:
        return f"{truncate_middle(printable(paths[0]), _MAX_PATH)} was not compared"
    return f"{plural(len(paths), 'file')} were not compared"

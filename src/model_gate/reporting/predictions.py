"""Says in one sentence whether a result matters for predictions. It claims no more than what was compared."""

from __future__ import annotations

from model_gate.domain.difference import Difference
from model_gate.domain.importance import Importance, importance_of
from model_gate.domain.request import DiffRequest, SealRequest
from model_gate.domain.result import Outcome
from model_gate.domain.verdict import Status
from model_gate.reporting.judgement import judgement_of_files, kinds_of_differences, what_differs
from model_gate.reporting.phrases import ONLY_HASHES, REWRITTEN
from model_gate.reporting.scope import Uncounted, limits_of_equality, uncounted

_SAME = "the same files, so the same predictions"
_PACKAGES = "requirements.txt"
_READ_BY_CODE = frozenset({Importance.EXAMPLE, Importance.DOCUMENT})


def predictions(outcome: Outcome) -> str:
    """Return whether the predictions of the compared models can differ, without a full stop.

    The text is "" for the command `seal`, and for a diff, whose directories can be other than models. It is not
    redacted and not escaped.
    """
    if isinstance(outcome.request, DiffRequest | SealRequest):
        return ""
    if outcome.status is Status.ERROR:
        return "not known: nothing was compared"
    parts = [uncounted(comparison) for _, comparison in outcome.distinct_comparisons if limits_of_equality(comparison)]
    if not outcome.equivalent:
        return _of_differences(outcome) + "".join(dict.fromkeys(map(_not_counted, parts)))
    rewritten = "" if outcome.equals else f"not affected: {judgement_of_files(outcome)}"
    return _of_uncounted(parts) or rewritten or _SAME


def _of_uncounted(parts: list[Uncounted]) -> str:
    """Return what holds if only files that do not affect the verdict can differ; "" if these are equal too."""
    differences = [difference for part in parts for difference in part.differences if not difference.rewrite_reason]
    rewritten = {difference.path for part in parts for difference in part.differences if difference.rewrite_reason}
    paths = {path for part in parts for path in part.differing} - rewritten
    found = {importance_of(path) for path in paths}
    named = " and ".join(dict.fromkeys(part.named for part in parts if part.differing))
    if found and not found <= _READ_BY_CODE:
        reason = "other packages are installed" if found == {Importance.PACKAGES} else what_differs(differences)
        return f"can differ: {reason or 'files differ'} ({named}), which does not affect the verdict"
    if found:
        verb, pronoun = ("differs", "it") if len(paths) == 1 else ("differ", "them")
        return f"not known: {named} {verb}, and the code of the model can read {pronoun}"
    if any(part.is_unknown for part in parts):
        return "not known: not all files outside the verdict were compared"
    return f"not affected: outside the verdict, only {REWRITTEN} differs" if rewritten else ""


def _of_differences(outcome: Outcome) -> str:
    """Return what holds if files that affect the verdict differ, in more than what is rewritten."""
    words = judgement_of_files(outcome)
    kinds = kinds_of_differences(outcome)
    if outcome.has_only_known_rewrites:
        return f"not known: {words}"
    if _is_unread_mlmodel(outcome):
        return f"not known: {words}, and {ONLY_HASHES}"
    if kinds.missing:
        meaning = ", and it lists the packages to install" if words.startswith(f"{_PACKAGES} ") else ""
        return f"can differ: {words.removeprefix('only ')}{meaning}"
    if not kinds.changed:
        # Only the notation of files or random names and ids differ.
        return f"not known: {words}"
    if kinds.changed <= _READ_BY_CODE:
        return f"not known: {words}, and the code of the model can read them"
    if kinds.changed == {Importance.PACKAGES} and kinds.is_complete:
        return "can differ: other packages are installed"
    return f"can differ: {words.removeprefix('only ')}"


def _is_unread_mlmodel(outcome: Outcome) -> bool:
    """Return whether the only difference is in `MLmodel`, of which a seal has only the hash."""
    differing = [comparison for _, comparison in outcome.distinct_comparisons if not comparison.equals]
    return all(
        comparison.is_by_digest
        and not comparison.not_compared
        and all(map(_is_changed_mlmodel, comparison.differences))
        for comparison in differing
    )


def _is_changed_mlmodel(difference: Difference) -> bool:
    return importance_of(difference.path) is Importance.MLMODEL and not difference.kind.is_one_sided


def _not_counted(part: Uncounted) -> str:
    if not part.differing:
        return ""
    return f"; {part.named} differ{'s' if len(part.differing) == 1 else ''} too, but not counted"

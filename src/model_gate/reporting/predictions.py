"""Says in one sentence whether a result matters for predictions. It claims no more than what was compared."""

from __future__ import annotations

from model_gate.domain.difference import Difference
from model_gate.domain.importance import Importance, importance_of
from model_gate.domain.model import MLMODEL
from model_gate.domain.request import DiffRequest, SealRequest
from model_gate.domain.result import Outcome
from model_gate.domain.verdict import Status
from model_gate.reporting.judgement import judgement_of_files, kinds_of_differences, what_differs
from model_gate.reporting.phrases import ONLY_HASHES, REWRITTEN
from model_gate.reporting.scope import Uncounted, limits_of_equality, uncounted

_SAME = "the same files, so the same predictions"
_PACKAGES = "requirements.txt"
_READ_BY_CODE = frozenset({Importance.EXAMPLE, Importance.DOCUMENT, Importance.BY_PRODUCT})


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
        return _of_differences(outcome) + "".join(dict.fromkeys(map(_outside_verdict, parts)))
    rewritten = "" if outcome.equals else f"not affected: {judgement_of_files(outcome)}"
    return _of_uncounted(parts) or rewritten or _SAME


def _of_uncounted(parts: list[Uncounted]) -> str:
    """Return what holds if only files that do not affect the verdict can differ; "" if these are equal too."""
    differences = [difference for part in parts for difference in part.differences if not difference.rewrite_reason]
    is_rewritten = any(difference.rewrite_reason for part in parts for difference in part.differences)
    # A path that is only rewritten in the run models can differ in more in the registry models.
    paths = frozenset[str]().union(*(part.decisive_paths for part in parts))
    found = {importance_of(path) for path in paths}
    named = " and ".join(dict.fromkeys(part.decisive_named for part in parts if part.decisive_paths))
    if found and not found <= _READ_BY_CODE:
        reason = "other packages are installed" if found == {Importance.PACKAGES} else what_differs(differences)
        return f"can differ: {reason or 'files differ'} ({named}), outside the verdict"
    if found:
        verb, pronoun = ("differs", "it") if len(paths) == 1 else ("differ", "them")
        return f"not known: {named} {verb}, and the code of the model can read {pronoun}"
    if any(part.is_unknown for part in parts):
        return "not known: not all files outside the verdict were compared"
    return f"not affected: outside the verdict, only {REWRITTEN} differs" if is_rewritten else ""


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
    if outside := _named_outside_of_models(outcome):
        return f"can differ: {outside}"
    if kinds.changed == {Importance.PACKAGES} and kinds.is_complete:
        return "can differ: other packages are installed"
    return f"can differ: {words.removeprefix('only ')}"


def _named_outside_of_models(outcome: Outcome) -> str:
    """Return which files outside of the models `MLmodel` names, if nothing else differs; otherwise "".

    An unmet condition of `MLmodel` is that the file which a field names is in both models.
    """
    decisive = [
        difference
        for _, comparison in outcome.distinct_comparisons
        for difference in comparison.differences
        if not difference.rewrite_reason
    ]
    explanations = [difference.explanation for difference in decisive if _is_changed_mlmodel(difference)]
    if outcome.not_compared or len(explanations) < len(decisive):
        return ""
    named = []
    for explanation in explanations:
        if explanation is None or not explanation.unmet_condition:
            return ""
        named += [field for field in explanation.fields if not field.rewrite_reason]
    values = {f"{field.left} → {field.right}" for field in named}
    if len(values) != 1:
        return f"{MLMODEL} names files outside of the models, which were not compared"
    return f"{MLMODEL} names a file outside of the model ({values.pop()}), which was not compared"


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


def _outside_verdict(part: Uncounted) -> str:
    if not part.differing:
        return ""
    return f"; {part.named} differ{'s' if len(part.differing) == 1 else ''} too, outside the verdict"

"""The last sentence of the step's summary for people: what to do next."""

from __future__ import annotations

from collections.abc import Iterator

from model_gate.action.inputs import with_input_names
from model_gate.action.markdown import Markdown
from model_gate.domain.importance import Importance
from model_gate.domain.request import CheckRequest
from model_gate.domain.result import Outcome
from model_gate.domain.roles import ComparisonName, VersionRole
from model_gate.domain.verdict import Status
from model_gate.reporting.judgement import Kinds, kinds_of_differences
from model_gate.reporting.phrases import REWRITTEN
from model_gate.reporting.scope import limits_of_equality

_LOOK = "To look at the files, set <code>download-dir</code> and upload it as an artifact."
_IGNORE = "If they may differ, list them under <code>ignore</code> in the compare file."


def next_step(outcome: Outcome, markdown: Markdown) -> str:
    """Return what to do next, as Markdown."""
    if outcome.error is not None:
        remedy = with_input_names(outcome.error.remedy)
        return markdown.text(remedy) if remedy else "Run the step again with <code>verbose: true</code>."
    if outcome.status is Status.SEALED:
        return "Commit the seal, sign it or attest it, and verify the version with <code>command: verify</code>."
    if outcome.status is Status.EQUAL:
        return _after_equality(outcome)
    if not outcome.equivalent:
        return " ".join([*_after_difference(outcome), _LOOK])
    if outcome.passed:
        return f"Nothing: only {REWRITTEN} differs, and <code>require</code> allows it."
    return (
        f"Only {REWRITTEN} differs. If that is allowed, set <code>require: equivalent"
        "</code>. If not, copy the version instead of logging the model again."
    )


def _after_equality(outcome: Outcome) -> str:
    if outcome.is_nothing_compared:
        return _at_one_location(outcome)
    if any(limits_of_equality(comparison) for _, comparison in outcome.distinct_comparisons):
        return "Nothing, if the files outside the verdict do not matter. All other files have the same bytes."
    return "Nothing: the models have the same files with the same bytes."


def _at_one_location(outcome: Outcome) -> str:
    if VersionRole.MODEL_VERSION in outcome.requested_versions:
        return (
            "Nothing was compared, because this registry keeps no copy of its own. To find out whether the files "
            "change later, seal the version now (<code>command: seal</code>)."
        )
    return (
        "If you meant two versions with files of their own, check the names: both versions refer to the same files. "
        "If one version is a copy of the other in the same registry, all is well."
    )


def _after_difference(outcome: Outcome) -> Iterator[str]:
    """Yield a sentence or two for each kind of comparison that differs."""
    differing = [name for name, comparison in outcome.comparisons.items() if not comparison.equals]
    is_check = isinstance(outcome.request, CheckRequest)
    with_seal = [name for name in differing if outcome.comparisons[name].is_by_digest]
    if is_check and ComparisonName.COMPARISON in differing:
        yield "The registry's copy is not what the run logged: register the version again from its run."
    if with_seal:
        yield "The model is not what was sealed: find out who changed it, or seal the version that you meant."
    if not is_check and not with_seal:
        yield _after_compare(kinds_of_differences(outcome))


def _after_compare(kinds: Kinds) -> str:
    if kinds.is_complete and not kinds.changed and kinds.missing:
        return "One version lacks files that the other has: copy or import the version again, with all of its files."
    if kinds.is_complete and not kinds.missing and kinds.changed:
        if kinds.changed <= {Importance.PACKAGES}:
            return (
                "All other files are the same, so both versions have the same model, but they run with other packages. "
                f"To have the same packages, copy or import the version instead of logging it again. {_IGNORE}"
            )
        if kinds.changed <= {Importance.EXAMPLE, Importance.DOCUMENT}:
            return f"All files that decide about predictions are the same. {_IGNORE}"
    return (
        "The versions are not the same model. Copy or import the version that was tested, or correct the version in the"
        " compare file."
    )

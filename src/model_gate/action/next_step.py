"""The last sentence of the step's summary for people: what to do next."""

from __future__ import annotations

from collections.abc import Iterator

from model_gate.action.inputs import with_input_names
from model_gate.action.markdown import Markdown
from model_gate.domain.difference import DifferenceKind
from model_gate.domain.importance import Importance
from model_gate.domain.request import CheckRequest
from model_gate.domain.result import Outcome
from model_gate.domain.roles import ComparisonName, VersionRole
from model_gate.domain.verdict import Status
from model_gate.domain.wording import capitalized
from model_gate.reporting.judgement import judgement_of_files, kinds_of_differences
from model_gate.reporting.naming import (
    is_of_another_version,
    sealed_version,
    server_and_version,
    server_names,
    side_names,
)
from model_gate.reporting.outlier import outlier
from model_gate.reporting.phrases import REWRITTEN
from model_gate.reporting.scope import limits_of_equality, uncounted

# A browser does not break a line at this character.
_HYPHEN = "\N{NON-BREAKING HYPHEN}"
_DOWNLOAD = f"set the input download{_HYPHEN}dir and upload the directory as an artifact."
_NEW_VERSION = "That makes a new version: gate it, then move the stage or alias."
_COMPARE_ALL = f"To compare all files, leave out the input fail{_HYPHEN}fast."
_IGNORE = "under ignore in the compare file."
# Where docs/mlflow.md says how to copy a version within a server and to another server.
_HOW_TO_COPY = "https://github.com/model-gate/model-gate/blob/main/docs/mlflow.md#copy-a-version"


def next_step(outcome: Outcome, markdown: Markdown) -> str:
    """Return what to do next, as Markdown."""
    if outcome.error is not None:
        remedy = with_input_names(outcome.error.remedy)
        return markdown.text(remedy) if remedy else "Run the step again with <code>verbose: true</code>."
    if outcome.status is Status.SEALED:
        return "Commit the seal, sign it or attest it, and verify the version with <code>command: verify</code>."
    if outcome.status is Status.EQUAL:
        return _after_equality(outcome, markdown)
    if not outcome.equivalent:
        return " ".join(markdown.text(sentence) for sentence in [*_after_difference(outcome), _look(outcome)])
    if outcome.passed:
        return f"Nothing: only {REWRITTEN} differs, and <code>require</code> allows it."
    copied = markdown.text(_copy(outcome))
    return (
        f"Only {REWRITTEN} differs. If that is allowed, set the input <code>require: equivalent</code>. If not,"
        f" {copied} instead of logging the model again: [how to copy a version]({_HOW_TO_COPY})."
    )


def _after_equality(outcome: Outcome, markdown: Markdown) -> str:
    if outcome.is_nothing_compared:
        return _at_one_location(outcome)
    parts = [uncounted(comparison) for _, comparison in outcome.distinct_comparisons if limits_of_equality(comparison)]
    if any(part.is_unknown for part in parts):
        return "Nothing, if the files outside the verdict do not matter: not all of them were compared."
    named = " and ".join(dict.fromkeys(part.named for part in parts if part.differing))
    if named:
        others = "All other files have the same bytes, also outside the verdict."
        return f"Nothing, if {markdown.text(named)} may differ. {others}"
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
    """Yield a sentence or two for each kind of comparison that differs. They are not escaped."""
    advice = _advice_for_unmet_conditions(outcome)
    yield from advice
    differing = [name for name, comparison in outcome.comparisons.items() if not comparison.equals]
    is_check = isinstance(outcome.request, CheckRequest)
    with_seal = [name for name in differing if outcome.comparisons[name].is_by_digest]
    if is_check and ComparisonName.COMPARISON in differing:
        version = server_and_version(outcome)
        yield f"The registry's copy is not what the run logged: register {version} again from its run. {_NEW_VERSION}"
    if with_seal:
        yield _after_seal(outcome)
    if not is_check and not with_seal:
        yield from [f"Then {_copy_new_version(outcome)}."] if advice else _after_compare(outcome)
    if outcome.not_compared and outcome.request is not None and outcome.request.options.fail_fast:
        yield _COMPARE_ALL


def _look(outcome: Outcome) -> str:
    """Return how to get the compared files."""
    if outcome.seal is None or ComparisonName.SEAL not in outcome.comparisons:
        return f"To look at the files, {_DOWNLOAD}"
    return f"To look at the files of {server_and_version(outcome) or 'the model'}, {_DOWNLOAD} A seal has no files."


def _after_seal(outcome: Outcome) -> str:
    """Return what to do if a model is not what was sealed: which of both is right, depends on what the seal is of."""
    version, sealed = server_and_version(outcome), sealed_version(outcome)
    if not version:
        return "The model is not what was sealed: find out who changed it, or name the seal of this model."
    if is_of_another_version(outcome):
        return (
            f"The model {version} is not what was sealed. Is it a copy of {sealed}? If yes, copy {sealed} again. If"
            f" no, set the input seal to the seal of {version}. If there is none, make it with command: seal."
        )
    return (
        f"The model {version} is not what was sealed: find out who changed its files. If the change is intended,"
        " seal the version again (command: seal)."
    )


def _after_compare(outcome: Outcome) -> Iterator[str]:
    if odd := outlier(outcome):
        if odd.is_registry_model:
            yield f"{capitalized(odd.text)}: register the version again from its run. {_NEW_VERSION}"
        else:
            yield f"{capitalized(odd.text)}: find out who changed it."
        yield "The three other models are equal."
        return
    kinds = kinds_of_differences(outcome)
    if kinds.is_complete and not kinds.changed and kinds.missing:
        yield _after_missing_files(outcome)
    elif kinds.is_complete and not kinds.missing and kinds.changed and kinds.changed <= {Importance.PACKAGES}:
        yield "All other files are the same, so both versions have the same model, but they run with other packages."
        yield f"To have the same packages, {_copy(outcome)} instead of logging the model again."
        yield f"To allow other packages, list the package files {_IGNORE}"
    elif (
        kinds.is_complete
        and not kinds.missing
        and kinds.changed
        and kinds.changed <= {Importance.EXAMPLE, Importance.DOCUMENT, Importance.BY_PRODUCT}
    ):
        yield f"{capitalized(judgement_of_files(outcome))}. To allow that, list these files {_IGNORE}"
    else:
        yield f"If both versions must be the same, {_copy(outcome)}."
        yield "If you meant another version, correct it in the compare file."


def _copy(outcome: Outcome) -> str:
    """Return how to make the second version the same as the first, as in `copy staging v12 to production`."""
    if len(outcome.requested_versions) < 2:
        return "copy the model that was tested"
    left, right = _names(outcome)
    _, server = server_names(outcome)
    hosts = {request.host.reader for request in outcome.requested_versions.values()}
    return f"copy {left} to {server}" if len(hosts) > 1 else f"replace {right} with a copy of {left} (a new version)"


def _copy_new_version(outcome: Outcome) -> str:
    """Return how both sides become a version that does not exist yet, as in `copy that version to production`."""
    if len(outcome.requested_versions) < 2:
        return "compare that model"
    _, server = server_names(outcome)
    hosts = {request.host.reader for request in outcome.requested_versions.values()}
    return f"copy that version to {server}" if len(hosts) > 1 else "copy that version instead of logging it twice"


def _names(outcome: Outcome) -> tuple[str, str]:
    """Return the names of both models, as in `staging v12` and `production v7`."""
    sides = side_names(outcome, next(iter(outcome.comparisons)))
    return sides.left, sides.right


def _after_missing_files(outcome: Outcome) -> str:
    kinds = {
        difference.kind
        for comparison in outcome.comparisons.values()
        for difference in comparison.differences
        if not difference.rewrite_reason
    }
    left, right = _names(outcome)
    if kinds == {DifferenceKind.ONLY_LEFT}:
        return f"{right} lacks files that {left} has: copy {left} again, with all of its files."
    if kinds == {DifferenceKind.ONLY_RIGHT}:
        return f"{left} lacks files that {right} has: log or copy {left} again, with all of its files."
    return f"Each version lacks files of the other: copy {left} again, with all of its files."


def _advice_for_unmet_conditions(outcome: Outcome) -> list[str]:
    """Return what to do so that a difference becomes a rewrite, once for each file that has such an advice."""
    explanations = [
        difference.explanation
        for _, comparison in outcome.distinct_comparisons
        for difference in comparison.differences
        if difference.explanation is not None
    ]
    return list(
        dict.fromkeys(
            explanation.advice for explanation in explanations if explanation.unmet_condition and explanation.advice
        )
    )

"""The verdict in sentences: whether the gate passed, and the result of each comparison."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from model_gate.domain.difference import DIGEST, Difference, DifferenceKind
from model_gate.domain.request import DiffRequest, SealRequest, VerifyRequest
from model_gate.domain.result import Comparison, Outcome
from model_gate.domain.roles import ModelRole
from model_gate.domain.seal import Seal
from model_gate.domain.wording import capitalized, plural, truncate_middle
from model_gate.reporting.naming import (
    heading,
    is_of_another_version,
    seal_name,
    sealed_version,
    server_and_version,
    side_names,
)
from model_gate.reporting.phrases import ONLY_HASHES
from model_gate.reporting.scope import limits_of_equality, native_names, not_counted
from model_gate.reporting.shortening import short_path

_SAME_FILES = "the same files"
_SAME_LOCATION = "the same location"
_MAX_URI = 60
_MAX_PROBLEM = 160
_SENTENCE_END = re.compile(r"\.(?:\s+(?=[A-Z])|\s*$)")


@dataclass(frozen=True)
class Finding:
    """The result of a comparison, as a sentence in three parts. The text is not redacted and not escaped.

    Attributes:
        subject: What was compared, with a verb, as in `The run models of staging v12 and production v7 are`.
        word: The result, such as `different`.
        details: What follows, such as ` (2 of 5 files differ)`; "" for nothing.
    """

    subject: str
    word: str
    details: str

    @property
    def text(self) -> str:
        """The sentence without a full stop."""
        return f"{self.subject} {self.word}{self.details}"


def findings(outcome: Outcome) -> Iterator[tuple[Comparison, list[Finding]]]:
    """Yield each comparison with its findings. It has two if the run models and the registry models are the same."""
    for names, comparison in outcome.distinct_comparisons:
        word, details = result_of(comparison)
        first = Finding(f"{capitalized(_subject(outcome, names[0]))} are", word, details)
        others = [_finding_of_same_files(outcome, comparison, names[0], name) for name in names[1:]]
        yield comparison, [first, *others]


def result_of(comparison: Comparison) -> tuple[str, str]:
    """Return the result of a comparison in a word, and its details with a blank or a comma before them."""
    if comparison.same_location:
        return _SAME_FILES, " (one location, nothing to compare)"
    if comparison.equals:
        return "equal", limits_of_equality(comparison) or f" ({_extent(comparison)})"
    word = "different, but equivalent" if comparison.equivalent else "different"
    return word, f" ({'; '.join([*_counts(comparison), *not_counted(comparison)])})"


def phrases_of_shared_files(outcome: Outcome, name: str, other: str) -> tuple[str, str]:
    """Return two comparisons of the same files in two phrases.

    For example: `registry models` and `the same location as the run models`.

    Args:
        outcome: The outcome.
        name: The name of the comparison to which the second phrase refers.
        other: The name of the comparison that the first phrase names.
    """
    first, second = outcome.model_names(name), outcome.model_names(other)
    if second.left == second.right:
        return second.title, f"{_SAME_LOCATION} as the {first.title}"
    # A seal is the same in both comparisons.
    is_left = first.left != second.left
    model, known = (second.left, first.left) if is_left else (second.right, first.right)
    return model, f"{_SAME_LOCATION} as the {known}"


def details_of_shared_files(comparison: Comparison, known: str) -> str:
    """Return what follows the result of a comparison that another one has too. `known` says why it has it."""
    same = ", with the same exceptions" if limits_of_equality(comparison) else ""
    return f" too{same} ({known})"


def seal_remarks(outcome: Outcome) -> list[str]:
    """Return sentences about a seal, without a full stop.

    They say why a difference from the seal of another version is expected, which model was not compared with the seal,
    and what a seal cannot tell.
    """
    version = server_and_version(outcome)
    if outcome.seal is None or not outcome.comparisons or not version:
        return []
    remarks = []
    if is_of_another_version(outcome) and _differs_from_seal(outcome):
        sealed = sealed_version(outcome)
        remarks += [
            f"The seal was made of {sealed}{_server_of_seal(outcome.seal)}",
            f"A difference is expected unless {version} is a copy of {sealed}",
        ]
    remarks += [f"The {noun} was not compared with the seal" for noun in _not_compared_with_seal(outcome)]
    differences = [
        difference for _, comparison in outcome.distinct_comparisons for difference in comparison.differences
    ]
    if any(_has_only_digests(difference) for difference in differences):
        remarks.append(f"{capitalized(ONLY_HASHES)}, so what changed in a file is not known")
    return remarks


def _server_of_seal(seal: Seal) -> str:
    """Return the server of the sealed version, as in ` on https://mlflow.example.com`. The seal says it, if at all."""
    server = "" if seal.facts is None else seal.facts.tracking_server
    # A text of the seal can imitate other words.
    return f" on {truncate_middle(server, _MAX_URI)!r}" if server else " (the seal does not say on which server)"


def _differs_from_seal(outcome: Outcome) -> bool:
    for name, comparison in outcome.comparisons.items():
        names = outcome.model_names(name)
        if (names.is_left_seal or names.is_right_seal) and not comparison.equals:
            return True
    return False


def _not_compared_with_seal(outcome: Outcome) -> list[str]:
    """Return the models of the version whose files were not compared with the seal."""
    pairs = [outcome.model_names(name) for name in outcome.comparisons]
    compared = {
        pair.right if pair.is_left_seal else pair.left for pair in pairs if pair.is_left_seal or pair.is_right_seal
    }
    if any(comparison.same_location for comparison in outcome.comparisons.values()):
        # The run model and the registry model of a check are the same files.
        return []
    return [role.noun for role in ModelRole if role.noun not in compared]


def _has_only_digests(difference: Difference) -> bool:
    explanation = difference.explanation
    return difference.kind is DifferenceKind.CONTENT and explanation is not None and explanation.kind == DIGEST


def requirement(outcome: Outcome) -> tuple[str, str]:
    """Return whether the gate passed, and what it requires: `Failed`, ` (required: identical)`."""
    details = ", but nothing was compared" if outcome.is_nothing_compared else f" (required: {outcome.require})"
    return "Passed" if outcome.passed else "Failed", details


def cause(outcome: Outcome) -> str:
    """Return an error in one line, as in `There is no version 99 of 'Wine': nothing was compared`; "" without one."""
    if outcome.error is None:
        return ""
    consequence = f"nothing was {'sealed' if isinstance(outcome.request, SealRequest) else 'compared'}"
    problem = _SENTENCE_END.split(outcome.error.message, maxsplit=1)[0]
    if len(problem) <= _MAX_PROBLEM:
        return f"{problem}: {consequence}"
    subject = heading(outcome)
    return f"{subject}: {consequence}" if subject else capitalized(consequence)


def _finding_of_same_files(outcome: Outcome, comparison: Comparison, name: str, other: str) -> Finding:
    models, known = phrases_of_shared_files(outcome, name, other)
    subject = f"The {models} {'are' if models.endswith('s') else 'is'}"
    if comparison.same_location:
        return Finding(subject, _SAME_FILES, " too")
    word, _ = result_of(comparison)
    return Finding(subject, word, details_of_shared_files(comparison, known))


def _extent(comparison: Comparison) -> str:
    content = "SHA-256" if comparison.is_by_digest else "bytes"
    if comparison.left.files == 1:
        return f"1 file with the same {content}"
    return f"all {plural(comparison.left.files, 'file')} have the same {content}"


def _counts(comparison: Comparison) -> Iterator[str]:
    """Yield how many files differ, and how many were not compared."""
    differing, compared = len(comparison.differences), comparison.compared
    if comparison.native_models and (differing, compared) == (1, 1) and not comparison.not_compared:
        yield f"{native_names(comparison)} differs"
        return
    noun = "compared file" if comparison.not_compared else "file"
    verb = "rewritten" if comparison.equivalent else f"differ{'s' if differing == 1 else ''}"
    yield f"{differing:,} of {plural(compared, noun)} {verb}"
    if comparison.not_compared:
        count = len(comparison.not_compared)
        yield f"{plural(count, 'file')} {'was' if count == 1 else 'were'} not compared"


def _subject(outcome: Outcome, name: str) -> str:
    """Return what a comparison compared, as in `the run models of staging v12 and production v7`."""
    names, sides = outcome.model_names(name), side_names(outcome, name)
    if isinstance(outcome.request, DiffRequest):
        return f"the models {sides.left} and {sides.right}" if not sides.article else " and ".join(sides.phrases)
    if names.left == names.right:
        return f"the {names.title} of {sides.left} and {sides.right}"
    request = outcome.request
    # A model without a version is named by its location.
    model = f" {short_path(request.model.uri, _MAX_URI)}" if isinstance(request, VerifyRequest) else ""
    version = server_and_version(outcome)
    left = f"the {seal_name(outcome) if names.is_left_seal else names.left}"
    right = f"the {seal_name(outcome) if names.is_right_seal else names.right}"
    return f"{left} and {right}{f' of {version}' if version else model}"

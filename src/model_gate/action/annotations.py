"""The workflow's annotations: at most one error, and a few warnings and notices."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from model_gate.access.redaction import Redactor
from model_gate.action.escape import command_data, command_property
from model_gate.action.inputs import with_input_names
from model_gate.domain.result import Outcome
from model_gate.domain.verdict import Status
from model_gate.domain.wording import capitalized, plain_text, printable, truncate_middle
from model_gate.reporting.findings import findings, seal_remarks
from model_gate.reporting.judgement import judgement
from model_gate.reporting.naming import heading, side_names
from model_gate.reporting.phrases import NOTHING_COMPARED, REWRITTEN, describe_all, not_compared_text, why_not_compared
from model_gate.reporting.terminal import predictions_line

# The runner truncates messages at 4,096 characters and shows ten annotations of each level.
_MAX_MESSAGE = 3_000
_MAX_PATHS = 3
_MAX_TITLE = 150
_TITLE = "Model Gate"


class AnnotationLevel(StrEnum):
    """The severity of an annotation. Its value is also the name of the workflow command."""

    ERROR = "error"
    WARNING = "warning"
    NOTICE = "notice"


@dataclass(frozen=True)
class Annotation:
    """A message that GitHub shows on the page of the workflow run and, if `file` is set, beside a line of that file.

    Attributes:
        level: The severity.
        message: One or two sentences.
        subject: What was compared, for the title; "" if it is not known.
        file: The file of the repository to annotate, "" for none.
        line: The line of the file, counted from 1; 0 for none.
    """

    level: AnnotationLevel
    message: str
    file: str = ""
    line: int = 0
    subject: str = ""

    def command(self, redactor: Redactor) -> str:
        """Return the workflow command that creates the annotation."""
        subject = truncate_middle(redactor.text(self.subject), _MAX_TITLE)
        title = f"{_TITLE}: {subject}" if subject else _TITLE
        properties = {"title": title, "file": self.file, "line": str(self.line or "")}
        encoded = ",".join(f"{name}={_property(value)}" for name, value in properties.items() if value)
        message = truncate_middle(plain_text(redactor.text(self.message).replace("\n", " ")), _MAX_MESSAGE)
        return f"::{self.level} {encoded}::{command_data(message)}"


def _property(value: str) -> str:
    return command_property(plain_text(printable(value)))


def annotations_for(outcome: Outcome, *, config_file: str, fails_on_difference: bool) -> list[Annotation]:
    """Return the annotations of a finished step.

    Args:
        outcome: The result of the gate.
        config_file: The path of the compare file that an error or a difference points to; "" for none.
        fails_on_difference: Whether a difference is an error annotation. Otherwise it is a warning.
    """
    if outcome.error is not None:
        message = with_input_names(" ".join(filter(None, (outcome.error.message, outcome.error.remedy))))
        line = _line_of(message, config_file)
        return [Annotation(AnnotationLevel.ERROR, message, config_file, line, heading(outcome))]
    annotations = list(_remarks(outcome))
    if not outcome.passed:
        level = AnnotationLevel.ERROR if fails_on_difference else AnnotationLevel.WARNING
        annotations.insert(0, Annotation(level, _difference_message(outcome), config_file))
    return [replace(annotation, subject=heading(outcome)) for annotation in annotations]


def _line_of(message: str, config_file: str) -> int:
    """Return the line number in a message that starts with `config_file` and a line number; 0 for other messages."""
    match = re.match(rf"{re.escape(config_file)}, line (\d+)", message) if config_file else None
    return int(match[1]) if match else 0


def _difference_message(outcome: Outcome) -> str:
    parts = [capitalized(judgement(outcome))]
    for (names, _), (comparison, found) in zip(outcome.distinct_comparisons, findings(outcome), strict=True):
        if not comparison.equals:
            first, *others = found
            listed = describe_all(comparison.differences, side_names(outcome, names[0]), _MAX_PATHS)
            parts += [f"{first.text}: {listed}", *(other.text for other in others)]
            if comparison.not_compared:
                parts.append(capitalized(not_compared_text(comparison.not_compared, why_not_compared(outcome))))
    if line := predictions_line(outcome):
        parts.append(line)
    parts += seal_remarks(outcome)
    if outcome.equivalent:
        parts.append(f"Only {REWRITTEN} differs, so require: equivalent would pass")
    return ". ".join(parts) + "."


def _remarks(outcome: Outcome) -> Iterator[Annotation]:
    """Yield a warning if models were not compared, and a notice if the gate passes although the models differ."""
    same = [finding.text for comparison, found in findings(outcome) if comparison.same_location for finding in found]
    if same:
        verdict = [NOTHING_COMPARED] if outcome.is_nothing_compared else []
        yield Annotation(AnnotationLevel.WARNING, f"{'. '.join([*verdict, *same])}.")
    if outcome.status is Status.DIFFERENT and outcome.passed:
        yield Annotation(
            AnnotationLevel.NOTICE,
            f"The models are equivalent, not the same: only {REWRITTEN} differs.",
        )

"""The workflow's annotations: at most one error, and a few warnings and notices."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from model_gate.access.redaction import Redactor
from model_gate.action.escape import command_data, command_property
from model_gate.action.inputs import with_input_names
from model_gate.domain.result import Comparison, Outcome
from model_gate.domain.roles import ModelNames
from model_gate.domain.verdict import Status
from model_gate.domain.wording import plain_text, printable, truncate_middle
from model_gate.reporting.judgement import judgement
from model_gate.reporting.naming import SideNames, heading, side_names
from model_gate.reporting.phrases import NOTHING_COMPARED, describe_all, not_compared_text

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
        message = " ".join(filter(None, (outcome.error.message, with_input_names(outcome.error.remedy))))
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
    words = judgement(outcome)
    parts = [words[:1].upper() + words[1:]]
    for names, comparison in outcome.distinct_comparisons:
        if not comparison.equals:
            parts.append(f"The {_subjects(outcome, names)} {_differences(comparison, side_names(outcome, names[0]))}")
            if comparison.not_compared:
                missing = not_compared_text(comparison.not_compared)
                parts.append(missing[0].upper() + missing[1:])
    if outcome.equivalent:
        parts.append("Only what MLflow itself rewrites differs, so require: equivalent would pass")
    return ". ".join(parts) + "."


def _subjects(outcome: Outcome, names: Iterable[str]) -> str:
    return " and ".join(_subject(outcome.model_names(name)) for name in names)


def _subject(names: ModelNames) -> str:
    return names.title if names.left == names.right else f"{names.left} and the {names.right}"


def _differences(comparison: Comparison, names: SideNames) -> str:
    return f"differ: {describe_all(comparison.differences, names, _MAX_PATHS)}"


def _remarks(outcome: Outcome) -> Iterator[Annotation]:
    """Yield a warning if models were not compared, and a notice if the gate passes although the models differ."""
    same = [name for name, comparison in outcome.comparisons.items() if comparison.same_location]
    if same:
        verdict = f"{NOTHING_COMPARED}. " if outcome.is_nothing_compared else ""
        subjects = _subjects(outcome, same)
        yield Annotation(
            AnnotationLevel.WARNING,
            f"{verdict}The {subjects} are one and the same location, so equal by definition: nothing was downloaded.",
        )
    if outcome.status is Status.DIFFERENT and outcome.passed:
        yield Annotation(
            AnnotationLevel.NOTICE, "The models are equivalent, not the same: only what MLflow itself rewrites differs."
        )

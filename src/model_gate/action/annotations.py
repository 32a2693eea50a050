"""The workflow's annotations: at most one error, and a few warnings and notices."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from model_gate.access.redaction import Redactor
from model_gate.action.escape import command_data, command_property
from model_gate.action.inputs import with_input_names
from model_gate.domain.result import Comparison, Outcome
from model_gate.domain.roles import ModelNames
from model_gate.domain.verdict import Status
from model_gate.domain.wording import plain_text, printable, truncate_middle
from model_gate.reporting.phrases import NOTHING_COMPARED, describe_all

# The runner truncates messages at 4,096 characters and shows ten annotations of each level.
_MAX_MESSAGE = 1_000
_MAX_PATHS = 3
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
        file: The file of the repository to annotate, "" for none.
        line: The line of the file, counted from 1; 0 for none.
    """

    level: AnnotationLevel
    message: str
    file: str = ""
    line: int = 0

    def command(self, redactor: Redactor) -> str:
        """Return the workflow command that creates the annotation."""
        properties = {"title": _TITLE, "file": self.file, "line": str(self.line or "")}
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
        return [Annotation(AnnotationLevel.ERROR, message, config_file, _line_of(message, config_file))]
    annotations = list(_remarks(outcome))
    if not outcome.passed:
        level = AnnotationLevel.ERROR if fails_on_difference else AnnotationLevel.WARNING
        annotations.insert(0, Annotation(level, _difference_message(outcome), config_file))
    return annotations


def _line_of(message: str, config_file: str) -> int:
    """Return the line number in a message that starts with `config_file` and a line number; 0 for other messages."""
    match = re.match(rf"{re.escape(config_file)}, line (\d+)", message) if config_file else None
    return int(match[1]) if match else 0


def _difference_message(outcome: Outcome) -> str:
    parts = [
        f"The {_subjects(outcome, names)} {_differences(comparison)}"
        for names, comparison in outcome.distinct_comparisons
        if not comparison.equals
    ]
    if outcome.equivalent:
        parts.append("Only what MLflow itself rewrites differs, so require: equivalent would pass")
    return ". ".join(parts) + "."


def _subjects(outcome: Outcome, names: Iterable[str]) -> str:
    return " and ".join(_subject(outcome.model_names(name)) for name in names)


def _subject(names: ModelNames) -> str:
    return names.title if names.left == names.right else f"{names.left} and the {names.right}"


def _differences(comparison: Comparison) -> str:
    return f"differ: {describe_all(comparison.differences, _MAX_PATHS)}"


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

"""What appears beside the workflow's jobs and in a pull request's files: one error or warning, and a few notices."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from model_gate.access.redaction import Redactor
from model_gate.action import escape
from model_gate.action.escape import command_data, command_property, cut, log_text
from model_gate.action.inputs import in_words_of_inputs
from model_gate.domain.result import Comparison, Outcome
from model_gate.domain.roles import ModelNames
from model_gate.domain.verdict import Status
from model_gate.reporting.phrases import describe_all

# The runner cuts at 4,096, and shows ten of a kind.
_MAX_MESSAGE = 1_000
_PATHS = 3
_TITLE = "Model Gate"


class AnnotationLevel(StrEnum):
    """How loud."""

    ERROR = "error"
    WARNING = "warning"
    NOTICE = "notice"


@dataclass(frozen=True)
class Annotation:
    """One annotation.

    Attributes:
        level: How loud.
        message: One sentence or two.
        file: The file of the repository that it is about, "" for none.
        line: The line in it, 0 for none.
    """

    level: AnnotationLevel
    message: str
    file: str = ""
    line: int = 0

    def command(self, redactor: Redactor) -> str:
        """The workflow command that makes it."""
        properties = {"title": _TITLE, "file": self.file, "line": str(self.line or "")}
        told = ",".join(f"{name}={_property(value)}" for name, value in properties.items() if value)
        message = cut(log_text(redactor.text(self.message).replace("\n", " ")), _MAX_MESSAGE)
        return f"::{self.level} {told}::{command_data(message)}"


def _property(value: str) -> str:
    return command_property(log_text(escape.one_line(value)))


def annotations_for(outcome: Outcome, *, config_file: str, fails_on_difference: bool) -> list[Annotation]:
    """The annotations of a step that ended like this. `config_file` is where a reader would change it."""
    if outcome.error is not None:
        message = " ".join(filter(None, (outcome.error.message, in_words_of_inputs(outcome.error.remedy))))
        return [Annotation(AnnotationLevel.ERROR, message, config_file, _line_of(message, config_file))]
    found = list(_notices(outcome))
    if not outcome.passed:
        level = AnnotationLevel.ERROR if fails_on_difference else AnnotationLevel.WARNING
        found.insert(0, Annotation(level, _what_differs(outcome), config_file))
    return found


def _line_of(message: str, config_file: str) -> int:
    """The line that an error of the compare file names."""
    named = re.match(rf"{re.escape(config_file)}, line (\d+)", message) if config_file else None
    return int(named[1]) if named else 0


def _what_differs(outcome: Outcome) -> str:
    different = {name: each for name, each in outcome.comparisons.items() if not each.equals}
    # Run models that are also the registry's are one comparison under two names.
    names: dict[int, list[str]] = {}
    for name, each in different.items():
        names.setdefault(id(each), []).append(_subject(outcome.model_names(name)))
    parts = [
        f"The {' and '.join(names.pop(id(each)))} {_how(each)}" for each in different.values() if id(each) in names
    ]
    if outcome.equivalent:
        parts.append("Only what MLflow itself rewrites differs, so require: equivalent would pass")
    return ". ".join(parts) + "."


def _subject(names: ModelNames) -> str:
    return names.title if names.left == names.right else f"{names.left} and the {names.right}"


def _how(comparison: Comparison) -> str:
    return f"differ: {describe_all(comparison.differences, _PATHS)}"


def _notices(outcome: Outcome) -> Iterator[Annotation]:
    same = [outcome.model_names(name) for name, each in outcome.comparisons.items() if each.same_location]
    if same:
        what = " and ".join(each.title if each.left == each.right else "models" for each in same)
        yield Annotation(
            AnnotationLevel.NOTICE,
            f"The {what} are one and the same location, so equal by definition: nothing was downloaded.",
        )
    if outcome.status is Status.DIFFERENT and outcome.passed:
        yield Annotation(
            AnnotationLevel.NOTICE, "The models are equivalent, not the same: only what MLflow itself rewrites differs."
        )

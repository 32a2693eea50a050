"""The reporter of a workflow step: writes its outputs, log, annotations and summary."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from model_gate.action.annotations import Annotation, AnnotationLevel, annotations_for
from model_gate.action.inputs import Inputs, with_input_names
from model_gate.action.outputs import UNDECIDED, WrittenFiles, outputs_of
from model_gate.action.step_files import StepFiles
from model_gate.action.summary import MAX_BYTES, summary
from model_gate.action.summary_file import MAX_BYTES as MAX_FILE_BYTES
from model_gate.comparison.progress import Progress
from model_gate.domain.difference import Difference
from model_gate.domain.wording import printable
from model_gate.errors import StorageError
from model_gate.reporting.naming import SideNames, heading
from model_gate.reporting.output import print_command, print_line
from model_gate.reporting.phrases import difference_line, more_in_report
from model_gate.reporting.progress import AnnouncedProgress
from model_gate.reporting.reporter import CommandResult
from model_gate.reporting.terminal import error_text, unlisted_differences, verdict_text

_MAX_LOGGED = 500
_MAX_PATH = 500


class WorkflowReporter:
    """Presents progress and the result in the outputs, log, annotations and summary of a workflow step."""

    def __init__(self, inputs: Inputs, files: StepFiles) -> None:
        self._inputs = inputs
        self._files = files

    def begin(self) -> None:
        """Write the outputs of a failed step in advance. They remain in effect if the step is killed.

        Raises:
            StorageError: The outputs cannot be written.
        """
        self._files.write_outputs(UNDECIDED)

    def progress(self) -> AbstractContextManager[Progress]:
        """Return a log of the progress on standard output."""
        return AnnouncedProgress(descriptor=1)

    def mask_secrets(self, secrets: Iterable[str]) -> None:
        """Make the runner mask the secrets in the logs of this step and of all later steps."""
        self._files.mask_secrets(secrets)

    def show_result(self, result: CommandResult) -> None:
        """Write the summary's file, outputs, log, annotations and summary.

        The outputs are written as soon as the name of the summary's file is known, because later steps rely on them.

        Raises:
            StorageError: The outputs or the summary cannot be written.
        """
        outcome, redactor = result.outcome, result.redactor
        report_file = _text(result.report_file)
        summary_file, problem = self._write_summary_file(result)
        written = WrittenFiles(report_file, summary_file, _text(result.seal_file), _text(result.statement_file))
        self._files.write_outputs(outputs_of(outcome, written, redactor, result.subject_digest))
        self._log(result)
        if problem is not None:
            message = with_input_names(f"{problem.message} {problem.remedy}")
            print_command(Annotation(AnnotationLevel.WARNING, message).command(redactor))
        config_file = self._inputs["config-file"]
        for annotation in annotations_for(
            outcome,
            # A file that does not exist cannot be annotated.
            config_file=config_file if os.path.isfile(config_file) else "",
            fails_on_difference=self._inputs.fails_on_difference,
        ):
            print_command(annotation.command(redactor))
        self._files.write_summary(self._summary(result, MAX_BYTES))

    def _log(self, result: CommandResult) -> None:
        outcome, redactor = result.outcome, result.redactor
        if outcome.error is None:
            text = verdict_text(outcome, result.report_file)
            print_line(redactor.text(with_input_names(text)))
            unlisted = unlisted_differences(outcome)
            self._group("More differences", redactor.text("\n".join(_difference_lines(unlisted))))
            return
        if subject := heading(outcome):
            print_line(redactor.text(printable(subject)))
        print_line(redactor.text(with_input_names(error_text(outcome.error))))
        if result.is_verbose:
            self._group("Error details", redactor.text(outcome.error.detail))

    def _group(self, title: str, text: str) -> None:
        if text:
            print_command(f"::group::{title}")
            print_line(text)
            print_command("::endgroup::")

    def _summary(self, result: CommandResult, max_bytes: int) -> str:
        report_file, fails = _text(result.report_file), self._inputs.fails_on_difference
        return summary(result.outcome, report_file, result.redactor, max_bytes, fails_on_difference=fails)

    def _write_summary_file(self, result: CommandResult) -> tuple[str, StorageError | None]:
        text = self._summary(result, MAX_FILE_BYTES)
        return self._files.write_summary_file(result.report_file, text)


def _text(path: Path | None) -> str:
    return "" if path is None else str(path)


def _difference_lines(differences: Sequence[tuple[Difference, SideNames]]) -> Iterator[str]:
    yield from (difference_line(difference, names, _MAX_PATH) for difference, names in differences[:_MAX_LOGGED])
    if len(differences) > _MAX_LOGGED:
        yield f"… and {more_in_report(len(differences) - _MAX_LOGGED, len(differences))}"

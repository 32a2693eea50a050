"""The reporter of a workflow step that runs many gates: writes its outputs, log, annotations and summary."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import islice

from model_gate.access.redaction import Redactor
from model_gate.action.annotations import Annotation, AnnotationLevel
from model_gate.action.inputs import with_input_names
from model_gate.action.outputs import WrittenFiles
from model_gate.action.run_outputs import run_outputs_of
from model_gate.action.run_summary import run_summary
from model_gate.action.step_files import StepFiles
from model_gate.action.summary import MAX_BYTES
from model_gate.action.summary_file import MAX_BYTES as MAX_FILE_BYTES
from model_gate.domain.gates import GateRow, RunTotals
from model_gate.domain.verdict import Status
from model_gate.domain.wording import capitalized
from model_gate.errors import ModelGateError
from model_gate.reporting.output import print_command, print_line
from model_gate.reporting.run_progress import RunLog, RunProgress
from model_gate.reporting.run_reporter import RunResult
from model_gate.reporting.run_table import run_table
from model_gate.reporting.run_wording import error_of_run, finding_of, verdict_of_run, worst_first

# The runner shows ten annotations of each level.
_MAX_ANNOTATIONS = 8
_MAX_LINES = 500


class WorkflowRunReporter:
    """Presents progress and the result in the outputs, log, annotations and summary of a workflow step.

    Args:
        files: The files through which the step speaks with the runner.
        fails_on_difference: Whether a difference fails the step.
        is_shard: Whether the run is one of several parts. The merge of the parts presents the gates on the page of the
            workflow, so this step presents only an error of its own there.
    """

    def __init__(self, files: StepFiles, *, fails_on_difference: bool, is_shard: bool = False) -> None:
        self._files = files
        self._fails_on_difference = fails_on_difference
        self._is_shard = is_shard

    def progress(self) -> AbstractContextManager[RunProgress]:
        """Return a log with a line for each finished gate."""
        return RunLog()

    def mask_secrets(self, secrets: Iterable[str]) -> None:
        """Make the runner mask the secrets in the logs of this step and of all later steps."""
        self._files.mask_secrets(secrets)

    def show_run(self, result: RunResult) -> None:
        """Write the summary's file, outputs, log, annotations and summary.

        Raises:
            StorageError: The outputs or the summary cannot be written.
        """
        totals, redactor = result.totals, result.redactor
        report_file = "" if result.report_file is None else str(result.report_file)
        text = self._summary(result, report_file, MAX_FILE_BYTES)
        summary_file, problem = self._files.write_summary_file(result.report_file, text)
        self._files.write_outputs(run_outputs_of(result.rows, totals, WrittenFiles(report_file, summary_file)))
        table = run_table(result.rows(), totals, result.report_file, max_lines=_MAX_LINES)
        print_line(redactor.text(with_input_names(table)))
        if result.is_verbose and totals.error is not None:
            log_details(totals.error, redactor)
        annotations = [*self._annotations(result.rows, totals)]
        if not self._is_shard:
            if totals.nothing_compared and totals.passed:
                message = f"{capitalized(verdict_of_run(totals))}."
                annotations.append(Annotation(AnnotationLevel.WARNING, message))
            annotations += notices_of(result.notices)
        if problem is not None:
            annotations.append(Annotation(AnnotationLevel.WARNING, f"{problem.message} {problem.remedy}"))
        for annotation in annotations:
            print_command(annotation.command(redactor))
        if not self._is_shard:
            self._files.write_summary(self._summary(result, report_file, MAX_BYTES))

    def _summary(self, result: RunResult, report_file: str, max_bytes: int) -> str:
        fails = self._fails_on_difference
        return run_summary(
            result.rows, result.totals, report_file, result.redactor, max_bytes, fails_on_difference=fails
        )

    def _annotations(self, rows: Callable[[], Iterator[GateRow]], totals: RunTotals) -> Iterator[Annotation]:
        """Yield the verdict of a run that failed, and an annotation at the entry of each of the first failed gates."""
        if totals.passed or (self._is_shard and totals.error is None):
            return
        is_error = totals.status is Status.ERROR or self._fails_on_difference
        level = AnnotationLevel.ERROR if is_error else AnnotationLevel.WARNING
        error = error_of_run(totals)
        message = f"{capitalized(verdict_of_run(totals))}." + (f" {error}" if error else "")
        yield Annotation(level, with_input_names(message))
        if self._is_shard:
            return
        for row in worst_first((row for row in rows() if not row.passed), _MAX_ANNOTATIONS):
            text = f"{row.name}: {finding_of(row).removesuffix('.')}. {row.remedy}".rstrip()
            yield Annotation(level, with_input_names(text), row.file, row.line)


def notices_of(notices: Iterable[str]) -> Iterator[Annotation]:
    """Yield an annotation for each of the first notices."""
    for notice in islice(notices, _MAX_ANNOTATIONS):
        yield Annotation(AnnotationLevel.NOTICE, with_input_names(notice))


def log_details(error: ModelGateError, redactor: Redactor) -> None:
    """Write the details of an error to a group of the log, which a person opens."""
    if error.detail:
        print_command("::group::Error details")
        print_line(redactor.text(error.detail))
        print_command("::endgroup::")

"""The reporter of a workflow step that plans the shards of a run: writes its outputs, log and annotations."""

from __future__ import annotations

from collections.abc import Iterable

from model_gate.access.redaction import Redactor
from model_gate.action.annotations import Annotation, AnnotationLevel
from model_gate.action.inputs import with_input_names
from model_gate.action.outputs import OUTPUTS, harmless
from model_gate.action.run_reporter import log_details, notices_of
from model_gate.action.step_files import StepFiles
from model_gate.errors import ModelGateError
from model_gate.reporting.output import print_command, print_line
from model_gate.reporting.plan_reporter import PlanResult


class WorkflowPlanReporter:
    """Presents the plan in the outputs, log and annotations of a workflow step.

    Args:
        files: The files through which the step speaks with the runner.
        is_verbose: Whether to show the details of an error.
    """

    def __init__(self, files: StepFiles, *, is_verbose: bool) -> None:
        self._files = files
        self._is_verbose = is_verbose

    def mask_secrets(self, secrets: Iterable[str]) -> None:
        """Make the runner mask the secrets in the logs of this step and of all later steps."""
        self._files.mask_secrets(secrets)

    def show_plan(self, result: PlanResult, redactor: Redactor) -> None:
        """Write the outputs, the notices and the matrix.

        Raises:
            StorageError: The outputs cannot be written.
        """
        plan_file = "" if result.plan_file is None else harmless(str(result.plan_file))
        named = {"matrix": result.matrix_text, "plan-file": plan_file, "passed": "true"}
        self._files.write_outputs(dict.fromkeys(OUTPUTS, "") | named)
        for annotation in notices_of(result.notices):
            print_command(annotation.command(redactor))
        print_line(result.matrix_text)

    def show_error(self, error: ModelGateError, redactor: Redactor) -> None:
        """Write the error and its remedy as an annotation. The outputs are those of a failed step already."""
        message = with_input_names(f"{error.message} {error.remedy}")
        print_command(Annotation(AnnotationLevel.ERROR, message).command(redactor))
        if self._is_verbose:
            log_details(error, redactor)

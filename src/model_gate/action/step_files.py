"""The files and commands through which a workflow step speaks with the runner, whatever it presents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from model_gate.action.escape import command_data
from model_gate.action.outputs import write_outputs
from model_gate.action.summary_file import write_summary_file
from model_gate.errors import StorageError, storage_error
from model_gate.regular_files import open_for_output
from model_gate.reporting.output import print_command


class StepFiles:
    """Writes the outputs and the summary of a step, and masks secrets in its log.

    Args:
        environment: The environment of the step, with the paths of the runner's files.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._output_file = environment.get("GITHUB_OUTPUT", "")
        self._summary_file = environment.get("GITHUB_STEP_SUMMARY", "")
        self._masked: set[str] = set()

    def mask_secrets(self, secrets: Iterable[str]) -> None:
        """Make the runner mask the secrets in the logs of this step and of all later steps."""
        for secret in secrets:
            # The runner masks a multi-line secret as a whole and line by line.
            if secret.strip() and secret not in self._masked:
                self._masked.add(secret)
                print_command(f"::add-mask::{command_data(secret)}")

    def write_outputs(self, outputs: Mapping[str, str]) -> None:
        """Write outputs, which replace earlier ones of the same names.

        Raises:
            StorageError: The outputs cannot be written.
        """
        if self._output_file:
            write_outputs(outputs, Path(self._output_file))

    def write_summary_file(self, report_file: Path | None, text: str) -> tuple[str, StorageError | None]:
        """Write a summary beside the report. Return its path and None, or "" and why there is no such file.

        A missing file is no error: the verdict and its evidence do not depend on it.
        """
        if report_file is None:
            return "", None
        try:
            return str(write_summary_file(report_file, text)), None
        except StorageError as error:
            return "", error

    def write_summary(self, text: str) -> None:
        """Add a text to the summary of the step.

        Raises:
            StorageError: The summary cannot be written.
        """
        if not self._summary_file:
            return
        try:
            with open(
                self._summary_file, "a", encoding="utf-8", errors="backslashreplace", opener=open_for_output
            ) as stream:
                stream.write(text)
        except OSError as error:
            raise storage_error(error, f"write the step's summary to {self._summary_file}") from error

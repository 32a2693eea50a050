"""The workflow's way of telling an outcome: outputs first, since others decide by them; then annotations, summary."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from model_gate.action.annotations import annotations_for
from model_gate.action.escape import command_data, cut, log_text
from model_gate.action.inputs import Inputs, in_words_of_inputs
from model_gate.action.outputs import UNDECIDED, outputs_of, write_outputs
from model_gate.action.summary import summary
from model_gate.comparison.progress import Progress
from model_gate.domain.difference import Difference
from model_gate.domain.result import Outcome
from model_gate.domain.wording import printable
from model_gate.errors import storage_error
from model_gate.reporting.output import print_line
from model_gate.reporting.phrases import describe
from model_gate.reporting.progress import ProgressCounts, progress_text
from model_gate.reporting.reporter import CommandResult
from model_gate.reporting.terminal import error_text, verdict_text

_BEAT_SECONDS = 15.0
_MAX_LOGGED = 500


class WorkflowReporter:
    """Tells a workflow. Everything that is not a workflow command of ours goes through `log_text`."""

    def __init__(self, inputs: Inputs, environment: Mapping[str, str]) -> None:
        self._inputs = inputs
        self._output_file = environment.get("GITHUB_OUTPUT", "")
        self._summary_file = environment.get("GITHUB_STEP_SUMMARY", "")
        self._masked: set[str] = set()

    def begin(self) -> None:
        """Say that nothing is decided yet, for the case that the step does not come to its end.

        Raises:
            StorageError: The outputs cannot be written.
        """
        self._write_outputs(UNDECIDED)

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """A line now and then, so that a long transfer does not look like a hang."""
        yield LogProgress()

    def mask_secrets(self, secrets: Iterable[str]) -> None:
        """Have the runner mask them in every later step too."""
        for secret in secrets:
            # A secret of several lines is masked as a whole and line by line.
            if secret.strip() and secret not in self._masked:
                self._masked.add(secret)
                print_line(f"::add-mask::{command_data(secret)}")

    def show_result(self, ending: CommandResult) -> None:
        """Outputs, log, annotations, summary.

        Raises:
            StorageError: The outputs or the summary cannot be written.
        """
        outcome, redactor = ending.outcome, ending.redactor
        report_file = "" if ending.report_file is None else str(ending.report_file)
        self._write_outputs(outputs_of(outcome, report_file))
        self._log(ending)
        for each in annotations_for(
            outcome,
            config_file=self._inputs["config-file"],
            fails_on_difference=self._inputs.fails_on_difference,
        ):
            print_line(each.command(redactor))
        self._write_summary(summary(outcome, report_file, redactor))

    def _log(self, ending: CommandResult) -> None:
        outcome, redactor = ending.outcome, ending.redactor
        if outcome.error is None:
            text = verdict_text(outcome, ending.report_file)
            print_line(log_text(redactor.text(in_words_of_inputs(text))))
            self._group("All differences", redactor.text("\n".join(_listed(outcome))))
            return
        print_line(log_text(redactor.text(in_words_of_inputs(error_text(outcome.error)))))
        if ending.is_verbose:
            self._group("What lies behind the error", redactor.text(outcome.error.detail))

    def _group(self, title: str, text: str) -> None:
        if text:
            print_line(f"::group::{title}\n{log_text(text)}\n::endgroup::")

    def _write_outputs(self, outputs: Mapping[str, str]) -> None:
        if self._output_file:
            write_outputs(outputs, Path(self._output_file))

    def _write_summary(self, text: str) -> None:
        if not self._summary_file:
            return
        try:
            with open(self._summary_file, "a", encoding="utf-8", errors="backslashreplace") as stream:
                stream.write(text)
        except OSError as error:
            raise storage_error(error, f"write the step's summary to {self._summary_file}") from error


def _listed(outcome: Outcome) -> Iterator[str]:
    distinct = {id(each): each for each in outcome.comparisons.values()}
    differences = [difference for each in distinct.values() for difference in each.differences]
    yield from (_line(each) for each in differences[:_MAX_LOGGED])
    if len(differences) > _MAX_LOGGED:
        yield f"… and {len(differences) - _MAX_LOGGED:,} more, in the report"


def _line(difference: Difference) -> str:
    identity = f"  [{difference.rewrite_reason}]" if difference.rewrite_reason else ""
    return f"{cut(printable(difference.path), 500)}: {describe(difference)}{identity}"


class LogProgress:
    """A line when the work is known, and one every quarter of a minute while it lasts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tallies = ProgressCounts()
        self._begun = self._told = 0.0

    def listing(self, name: str, files: int) -> None:
        """Nothing: listings are quick."""

    def begin(self, files: int, sizes: Mapping[str, int]) -> None:
        """Say how much there is to do."""
        self._tallies = ProgressCounts(files, sizes)
        self._begun = self._told = time.monotonic()
        print_line(f"Comparing {files:,} pairs of files; {sum(sizes.values()):,} bytes to fetch.")

    def received(self, name: str, size: int) -> None:
        """Say how far it is, now and then."""
        self._tallies.add_received(name, size)
        self._tell_now_and_then()

    def advance(self, files: int) -> None:
        """Say how far it is, now and then."""
        self._tallies.add_compared(files)
        self._tell_now_and_then()

    def _tell_now_and_then(self) -> None:
        now = time.monotonic()
        with self._lock:
            if now - self._told < _BEAT_SECONDS:
                return
            self._told = now
        print_line(log_text(progress_text(self._tallies, now - self._begun)) + ".")

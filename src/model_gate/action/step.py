"""One step of a workflow, from its inputs to its exit code."""

from __future__ import annotations

import os

from model_gate.action.annotations import Annotation, Level
from model_gate.action.inputs import Inputs
from model_gate.action.profiles import VARIABLE, PrivateFile, require_profiles, secrets_in
from model_gate.action.telling import WorkflowTelling
from model_gate.command import Command, execute
from model_gate.errors import ModelGateError
from model_gate.redaction import Redactor
from model_gate.request import Request
from model_gate.side_process import SideProcess
from model_gate.telling import say
from model_gate.verdict import EXIT_DIFFERENT, EXIT_ERROR, EXIT_PASSED


def run_step(process: SideProcess | None = None) -> int:
    """Do what the step's inputs ask, and tell the workflow; returns the exit code. `process` was started ahead."""
    inputs = Inputs(os.environ)
    telling = WorkflowTelling(inputs, os.environ)
    # Nothing that is started from here needs them, and one of them is a secret.
    for name in [name for name in os.environ if name.startswith("INPUT_")]:
        del os.environ[name]
    try:
        with PrivateFile() as profiles:
            telling.begin()
            code = execute(_command(inputs, profiles), telling, process)
    except ModelGateError as error:
        # What the next steps rely on could not be written: that must not look like a verdict.
        say(Annotation(Level.ERROR, f"{error.message} {error.remedy}").command(Redactor(secrets_in(_profiles(inputs)))))
        return EXIT_ERROR
    return EXIT_PASSED if code == EXIT_DIFFERENT and not inputs.fails_on_difference else code


def _command(inputs: Inputs, profiles: PrivateFile) -> Command:
    config_file = inputs.config_file

    def request() -> Request:
        if _profiles(inputs):
            require_profiles(_profiles(inputs))
            profiles.write(_profiles(inputs))
            os.environ[VARIABLE] = str(profiles.path)
        return inputs.request()

    return Command(
        # What cannot be understood is reported as what it is nearest to.
        "compare" if inputs.command == "compare" else "check",
        inputs.options(),
        request,
        inputs.report_file,
        inputs=() if config_file is None else (config_file,),
        is_verbose=inputs.is_verbose,
        secrets=secrets_in(_profiles(inputs)),
    )


def _profiles(inputs: Inputs) -> str:
    return inputs["databricks-profiles"]

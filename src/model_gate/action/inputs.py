"""The step's inputs: their names, their validation and their conversion to a request."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from model_gate.access.declared import Declarations
from model_gate.domain.host import RegistryKind
from model_gate.domain.location import is_local_uri, other_machine
from model_gate.domain.request import Request
from model_gate.domain.roles import DEFAULT_JOBS, DEFAULT_REPORT, DEFAULT_SEAL, MAX_JOBS, CommandName, RunCommandName
from model_gate.domain.verdict import Require
from model_gate.domain.wording import capitalized
from model_gate.errors import InputError, ModelGateError
from model_gate.inputs.compare_file import parse_config, read_config
from model_gate.inputs.options import (
    CommonOptions,
    CompareOptions,
    SealOptions,
    SignatureOptions,
    VersionOptions,
    check_request,
    compare_config_request,
    seal_request,
    valid_timeout,
    verify_request,
)
from model_gate.runs.shards import MAX_SHARDS
from model_gate.sources.directory import local_path

_PREFIX = "INPUT_"
# These two inputs are for the runner itself, but it passes them to the container too.
_RUNNER_INPUTS = frozenset({"entrypoint", "args"})
# Blanks at the start or end of these inputs are not removed, because they are part of a name.
_EXACT_INPUTS = frozenset({"model", "native-model", "seal-model"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
# The files that a command reads, besides the compare file.
_READ_FILES = ("seal", "bundle", "public-key", "trust-config")
_PATHS = (
    *("report-file", "statement-file", "download-dir", "output", "plan-file", "junit-file", "page-file", "badge-file"),
    *_READ_FILES,
)
_BOOLEANS = (
    "verbose",
    "fail-on-difference",
    "fail-fast",
    "fail-on-same-location",
    "allow-local-artifacts",
)
# Whole numbers with the largest valid one.
_NUMBERS = {"jobs": MAX_JOBS, "shards": MAX_SHARDS}
# The value of the input `changed-since` with which all gates run in a pull request too.
ALL = "none"


@dataclass(frozen=True)
class Input:
    """An input of the action.

    Attributes:
        name: Name of the input in action.yml.
        commands: The commands that have this input, () if all have it.
        option_name: Name of the option of the command line, "" if it is the name of the input.
        default: Value that action.yml sets if the workflow does not, "" if it sets none.
    """

    name: str
    commands: tuple[str, ...] = ()
    option_name: str = ""
    default: str = ""

    @property
    def option(self) -> str:
        """Name of the option of the command line."""
        return self.option_name or self.name

    def is_for(self, command: str) -> bool:
        """Return whether a command has this input."""
        return not self.commands or command in self.commands


_ONE_MODEL = (CommandName.CHECK, CommandName.SEAL, CommandName.VERIFY)
_COMPARE = (CommandName.COMPARE,)
_VERIFY = (CommandName.VERIFY,)
_GATES = (CommandName.CHECK, CommandName.COMPARE, CommandName.VERIFY)
_RUN = (RunCommandName.RUN,)
_LISTED = (RunCommandName.RUN, RunCommandName.PLAN)
_MANY = tuple(RunCommandName)
_RESULTS = (RunCommandName.RUN, RunCommandName.MERGE)
_COMMANDS = (CommandName.CHECK, CommandName.COMPARE, CommandName.SEAL, CommandName.VERIFY, *_MANY)


INPUTS = (
    Input("command"),
    Input("model", _ONE_MODEL),
    Input("version-or-stage", _ONE_MODEL),
    Input("host", _ONE_MODEL),
    Input("registry", _ONE_MODEL),
    Input("native-model", (CommandName.CHECK, CommandName.VERIFY)),
    Input("uri", (CommandName.SEAL, CommandName.VERIFY)),
    Input("seal", (CommandName.CHECK, CommandName.VERIFY)),
    Input("seal-model", (CommandName.CHECK, CommandName.VERIFY)),
    Input("bundle", _VERIFY),
    Input("identity", _VERIFY),
    Input("issuer", _VERIFY),
    Input("public-key", _VERIFY),
    Input("trust-config", _VERIFY),
    Input("output", (CommandName.SEAL,)),
    Input("config-file", (*_COMPARE, *_LISTED)),
    Input("config", (*_COMPARE, *_LISTED)),
    Input("compare-run-models", _COMPARE),
    Input("compare-reg-models", _COMPARE),
    Input("require", (CommandName.CHECK, CommandName.COMPARE, *_RUN)),
    Input("fail-on-difference", (*_GATES, *_RESULTS), default="true"),
    Input("fail-fast", (*_GATES, *_RUN), default="false"),
    Input("fail-on-same-location", (CommandName.CHECK, CommandName.COMPARE, *_RUN), default="false"),
    Input("allow-local-artifacts"),
    Input("allow-hosts", (*_COMPARE, *_LISTED)),
    Input("timeout"),
    Input("credentials"),
    Input("databricks-profiles"),
    Input("download-dir", _GATES),
    Input("report-file"),
    Input("statement-file", _GATES, "statement"),
    Input("only", _LISTED),
    Input("changed-since", _LISTED),
    Input("jobs", _LISTED),
    Input("shards", (RunCommandName.PLAN,)),
    Input("shard", _RUN),
    Input("plan-file", _LISTED),
    Input("rows", (RunCommandName.MERGE,)),
    Input("junit-file", _RESULTS),
    Input("page-file", _RESULTS),
    Input("badge-file", _RESULTS),
    Input("verbose"),
)
# Inputs that the report does not list as options, such as secrets and the text of the compare file.
_NOT_REPORTED = frozenset({"command", "config", "credentials", "databricks-profiles", "fail-on-difference", "verbose"})
_NOT_FOR_COMPARE = "In a compare, set this for each tracking server in the compare file."
_Choice = TypeVar("_Choice", bound=StrEnum)


class Inputs:
    """The inputs of a step. White space around a value is removed, except around names. A blank input counts as unset.

    >>> Inputs({"INPUT_COMMAND": " check ", "INPUT_MODEL": "Wine "})["command"]
    'check'
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        # The runner converts names to upper case and keeps hyphens.
        values = {
            name.removeprefix(_PREFIX).lower(): value
            for name, value in environment.items()
            if name.startswith(_PREFIX) and value.strip()
        }
        self._environment = environment
        self._values = {name: value if name in _EXACT_INPUTS else value.strip() for name, value in values.items()}
        self._workspace = Path(environment.get("GITHUB_WORKSPACE") or os.getcwd())
        self._temporary = environment.get("RUNNER_TEMP", "")

    def __getitem__(self, name: str) -> str:
        return self._values.get(name, "")

    @property
    def command(self) -> str:
        """The input `command`. If it is unset: `compare` if a compare file is given, otherwise `check`."""
        if self["command"]:
            return self["command"]
        return "compare" if self["config"] or self["config-file"] else "check"

    @property
    def is_verbose(self) -> bool:
        """Whether to log the details of an error. An invalid value is treated as true."""
        return self["verbose"] not in {"", *_FALSE}

    @property
    def fails_on_difference(self) -> bool:
        """Whether a difference fails the step. An invalid value is treated as true."""
        return self["fail-on-difference"] not in _FALSE

    @property
    def timeout(self) -> float | None:
        """The time limit of the step in seconds: None if the input is unset or not valid."""
        with suppress(InputError):
            return self._seconds("timeout")
        return None

    @property
    def jobs(self) -> int:
        """The number of gates at the same time: the default if the input is unset or not valid."""
        with suppress(InputError):
            return self._number("jobs") or DEFAULT_JOBS
        return DEFAULT_JOBS

    @property
    def shards(self) -> int:
        """The most shards of a plan: 1 if the input is unset or not valid."""
        with suppress(InputError):
            return self._number("shards") or 1
        return 1

    @property
    def allows_local_artifacts(self) -> bool:
        """Whether to read models at local paths that an HTTP server names. An invalid value is treated as false."""
        return self["allow-local-artifacts"] in _TRUE

    @property
    def report_file(self) -> Path:
        """The path of the report: the default path if the input is unset or outside the workspace."""
        return self.path_or_none("report-file") or DEFAULT_REPORT

    @property
    def statement_file(self) -> Path | None:
        """The path of the promotion statement: None if the input is unset or outside the workspace."""
        return self.path_or_none("statement-file")

    @property
    def config_file(self) -> Path | None:
        """The path of the compare file, None if the input is unset."""
        return Path(self["config-file"]) if self["config-file"] else None

    @property
    def read_files(self) -> tuple[Path, ...]:
        """The paths of the files that the command reads. A path outside the workspace is left out.

        Of a run, they include the plan of its shards; a merge reads the results of shards besides.
        """
        is_run = self.command == RunCommandName.RUN
        paths = [self.path_or_none(name) for name in (*_READ_FILES, *(("plan-file",) if is_run else ()))]
        return tuple(path for path in (*self._config_files, *paths) if path is not None)

    @property
    def _config_files(self) -> Sequence[Path | None]:
        if self.command in set(RunCommandName):
            return self.paths_or_none("config-file")
        return (self.config_file,)

    def path_or_none(self, name: str) -> Path | None:
        """Return the path in an input: None if the input is unset or outside the workspace.

        Use it for what is needed before the inputs are validated.
        """
        try:
            return self._workspace_path(name)
        except InputError:
            return None

    def paths_or_none(self, name: str) -> list[Path]:
        """Return the paths in an input, one a line, without those outside the workspace. See `path_or_none`."""
        found = []
        for line in self.lines(name):
            with suppress(InputError):
                found.append(self._in_workspace(name, Path(line)))
        return found

    def options(self) -> dict[str, object]:
        """Return the options for the report: each value by the name of its command-line option, None if unset."""
        items = (item for item in INPUTS if item.is_for(self.command) and item.name not in _NOT_REPORTED)
        return {item.option.replace("-", "_"): self[item.name] or None for item in items}

    def request(self) -> Request:
        """Return the request that the inputs describe.

        Raises:
            InputError: An input is unknown, missing, malformed or contradicts another.
            ConfigError: The compare file is missing or invalid.
        """
        self.require_valid()
        with named_as_inputs():
            return self._command_request()

    def require_valid(self) -> None:
        """Verify that all inputs are known, belong to the command and have a valid form.

        Raises:
            InputError: An input does not.
        """
        self._reject_unknown()
        self._reject_contradictory()
        for name in _BOOLEANS:
            self._boolean(name)
        for name in _NUMBERS:
            self._number(name)
        self._seconds("timeout")
        for name in _PATHS:
            self._workspace_path(name)
        self._require_uri_in_workspace()

    def lines(self, name: str) -> list[str]:
        """Return the lines of an input, without blank ones."""
        return [line.strip() for line in self[name].splitlines() if line.strip()]

    def paths(self, name: str) -> list[Path]:
        """Return the paths in an input, one a line.

        Raises:
            InputError: A path is neither in the workspace nor in `RUNNER_TEMP`.
        """
        return [self._in_workspace(name, Path(line)) for line in self.lines(name)]

    def path(self, name: str) -> Path | None:
        """Return the path in an input, None if it is unset.

        Raises:
            InputError: The path is neither in the workspace nor in `RUNNER_TEMP`.
        """
        return self._workspace_path(name)

    def _command_request(self) -> Request:
        command = self.command
        if command == CommandName.COMPARE:
            return self._compare()
        uri = self["uri"]
        version = self._version(is_required=not uri)
        if command == CommandName.SEAL:
            output = self._workspace_path("output") or DEFAULT_SEAL
            return seal_request(version, uri, output, self.common(), self._environment)
        signature = SignatureOptions(
            self._workspace_path("bundle"),
            self._workspace_path("public-key"),
            self["identity"],
            self["issuer"],
            self._workspace_path("trust-config"),
        )
        sealed = SealOptions(self._workspace_path("seal"), self["seal-model"], signature)
        if command == CommandName.CHECK:
            return check_request(version, self.common(), self._environment, sealed)
        if not self["bundle"]:
            self._require("seal", "Name the file that command: seal wrote, as in seal: seals/wine.json.")
        return verify_request(version, uri, sealed, self.common(), self._environment)

    def _reject_unknown(self) -> None:
        names = [item.name for item in INPUTS]
        for name in self._values:
            if name not in names and name not in _RUNNER_INPUTS:
                similar = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
                remedy = f"Did you mean {similar[0]!r}?" if similar else f"The inputs are: {', '.join(names)}."
                raise InputError(f"Unknown input {name!r}.", remedy)

    def _reject_contradictory(self) -> None:
        command = self.command
        if command not in _COMMANDS:
            near = difflib.get_close_matches(command.lower(), list(map(str, _COMMANDS)), n=1, cutoff=0.6)
            remedy = f"Set it to {', '.join(_COMMANDS)}, or leave it out."
            raise InputError(f"The input 'command' is {command!r}.", f"Did you mean {near[0]!r}?" if near else remedy)
        for item in INPUTS:
            if not item.is_for(command) and self[item.name] not in {"", item.default}:
                remedy = _not_for(command, item)
                raise InputError(f"The input {item.name!r} is not for {command}.", remedy)
        if self["config"] and self["config-file"]:
            raise InputError("The inputs 'config' and 'config-file' are both set.", "Leave one of them out.")

    def _version(self, *, is_required: bool) -> VersionOptions:
        """Return the inputs that name one version.

        Raises:
            InputError: One of them is missing although it is required, or cannot be used.
        """
        if is_required:
            self._require_version()
        return VersionOptions(
            self["model"],
            self["version-or-stage"],
            self["host"],
            self._choice("registry", RegistryKind),
            self["native-model"],
        )

    def _require_version(self) -> None:
        has_uri = self.command in {CommandName.SEAL, CommandName.VERIFY}
        alternative = " Or name a directory or an artifact URI, as in uri: ./model." if has_uri else ""
        self._require("model", f"Name the registered model, as in model: Sklearn_Wine.{alternative}")
        self._require("version-or-stage", "Name the version: a number, a stage, an alias such as @champion, or latest.")
        if self["host"]:
            Declarations(self._environment).option(self["host"], "The input 'host'")
        elif not self._environment.get("MLFLOW_TRACKING_URI", "").strip():
            raise InputError(
                "The input 'host' is not set, and neither is MLFLOW_TRACKING_URI.",
                "Name the tracking server, as in host: https://mlflow.example.com.",
            )

    def _compare(self) -> Request:
        config_file = self._workspace_path("config-file")
        if self["config"]:
            config = parse_config(self["config"], "The input 'config'", self._environment, is_declaration=True)
        elif config_file is not None:
            config = read_config(config_file, self._environment)
        else:
            raise InputError(
                "Neither 'config-file' nor 'config' is set.",
                "Name a YAML file of the repository in config-file, or write the same YAML into config.",
            )
        models = CompareOptions(self._boolean("compare-run-models"), self._boolean("compare-reg-models"))
        return compare_config_request(config, models, self.common())

    def common(self) -> CommonOptions:
        """Return the options that all commands have.

        Raises:
            InputError: An input is malformed.
        """
        return CommonOptions(
            self._choice("require", Require),
            self._workspace_path("download-dir"),
            self._boolean("fail-fast") or False,
            self._boolean("fail-on-same-location") or False,
            self._boolean("allow-local-artifacts") or False,
            declared_hosts_only=True,
            allow_hosts=self["allow-hosts"],
            timeout=self._seconds("timeout"),
            writes_statement=bool(self["statement-file"]),
        )

    def _require(self, name: str, remedy: str) -> None:
        if not self[name]:
            raise InputError(f"The input {name!r} is not set.", remedy)

    def _choice(self, name: str, choices: type[_Choice]) -> _Choice | None:
        if not self[name]:
            return None
        try:
            return choices(self[name])
        except ValueError as error:
            raise InputError(f"The input {name!r} is {self[name]!r}.", f"Set it to {' or '.join(choices)}.") from error

    def _boolean(self, name: str) -> bool | None:
        """Return the value of a boolean input, None if it is unset.

        The valid spellings are those of the Actions toolkit, which follows YAML 1.2: `yes` and `1` are errors.
        """
        value = self[name]
        if value and value not in _TRUE | _FALSE:
            raise InputError(f"The input {name!r} is {value!r}, which is not a boolean.", "Set it to true or false.")
        return value in _TRUE if value else None

    def _number(self, name: str) -> int | None:
        """Return the whole number in an input, None if it is unset.

        Raises:
            InputError: The input is no whole number in its range.
        """
        text, most = self[name], _NUMBERS[name]
        if not text:
            return None
        if text.isascii() and text.isdigit() and len(text) <= len(str(most)) and 1 <= int(text) <= most:
            return int(text)
        raise InputError(
            f"The input {name!r} is {text!r}, which is not a whole number from 1 to {most}.", "Set it to one, as in 4."
        )

    def _seconds(self, name: str) -> float | None:
        """Return the number of seconds in an input, None if it is unset."""
        if not self[name]:
            return None
        with suppress(ValueError):
            if seconds := valid_timeout(float(self[name])):
                return seconds
        raise InputError(
            f"The input {name!r} is {self[name]!r}, but must be a number of seconds, 1 or more.",
            "Set it as in 600. Without it, there is no limit.",
        )

    def _require_uri_in_workspace(self) -> None:
        """Verify that the directory in the input `uri` is in the workspace.

        Raises:
            InputError: The directory is neither in the workspace nor in `RUNNER_TEMP`.
        """
        uri = self["uri"]
        if uri and is_local_uri(uri) and not other_machine(uri):
            self._in_workspace("uri", local_path(uri) if uri.startswith("file:") else Path(uri))

    def _workspace_path(self, name: str) -> Path | None:
        """Return the path in an input, None if it is unset.

        Raises:
            InputError: The path is neither in the workspace nor in `RUNNER_TEMP`, so other steps could not reach it.
        """
        return self._in_workspace(name, Path(self[name])) if self[name] else None

    def _in_workspace(self, name: str, path: Path) -> Path:
        """Return the path in an input.

        Raises:
            InputError: The path is neither in the workspace nor in `RUNNER_TEMP`, so other steps could not reach it.
        """
        named = Path(os.path.normpath(self._workspace / path))
        real = Path(os.path.realpath(named))
        if real.is_relative_to(os.path.realpath(self._workspace)):
            # The path may still have symbolic links. `model_gate.symbolic_links` does not follow them.
            return path
        # A link in the checkout that leads to the directory of the runner is not the path of the workflow's author.
        is_temporary = self._temporary and named.is_relative_to(os.path.normpath(self._temporary))
        if is_temporary and real.is_relative_to(os.path.realpath(self._temporary)):
            return real
        raise InputError(
            f"The input {name!r} names {self[name]}, which is outside the workspace.",
            "Name a path in the workspace, as in reports/model-gate.json.",
        )


@contextmanager
def named_as_inputs() -> Iterator[None]:
    """Replace the names of options in the errors of the block by the names of inputs."""
    try:
        yield
    except ModelGateError as error:
        message, remedy = with_input_names(error.message), with_input_names(error.remedy)
        raise type(error)(message, remedy, detail=error.detail) from error


def _not_for(command: str, item: Input) -> str:
    """Return what to do about an input that a command does not have."""
    if command == CommandName.COMPARE and CommandName.CHECK in item.commands:
        return _NOT_FOR_COMPARE
    return f"Leave it out, or set command: {' or '.join(item.commands)}."


_NAMES = {item.option: item.name for item in INPUTS}
# To leave the input out is no remedy, since the event of a pull request has a base of its own.
_CHANGED_SINCE = "leave out --changed-since", f"set changed-since: {ALL} to run all gates"
_OPTION = re.compile(rf"(?<!\S)--(?:no-)?({'|'.join(_NAMES)})\b( (?:identical|equivalent)\b)?")


def with_input_names(text: str) -> str:
    """Return a message in which the names of command-line options are replaced by the names of inputs.

    >>> with_input_names("See --require equivalent.")
    'See require: equivalent.'
    """
    for option, value in (_CHANGED_SINCE, tuple(map(capitalized, _CHANGED_SINCE))):
        text = text.replace(option, value)
    return _OPTION.sub(lambda match: f"{_NAMES[match[1]]}:{match[2]}" if match[2] else _NAMES[match[1]], text)

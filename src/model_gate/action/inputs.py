"""A step's inputs: the one place that knows their names, and how they become a command."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from model_gate.access.hosts import find_host
from model_gate.domain.host import RegistryKind
from model_gate.domain.request import Request
from model_gate.domain.verdict import Require
from model_gate.errors import InputError, ModelGateError
from model_gate.inputs.compare_file import parse_config, read_config
from model_gate.inputs.options import (
    CommonOptions,
    CompareOptions,
    VersionOptions,
    check_request,
    compare_config_request,
)

DEFAULT_REPORT = "model-gate-report.json"

_PREFIX = "INPUT_"
# `with: entrypoint` and `with: args` are the runner's own, and leak in like any other.
_RUNNERS_OWN = frozenset({"entrypoint", "args"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})


@dataclass(frozen=True)
class Input:
    """One input of the action.

    Attributes:
        name: As in action.yml.
        command: The only command that it makes sense for, "" for both.
    """

    name: str
    command: str = ""


INPUTS = (
    Input("command"),
    Input("model", "check"),
    Input("version-or-stage", "check"),
    Input("host", "check"),
    Input("registry", "check"),
    Input("native-model", "check"),
    Input("config-file", "compare"),
    Input("config", "compare"),
    Input("compare-run-models", "compare"),
    Input("compare-reg-models", "compare"),
    Input("require"),
    Input("fail-on-difference"),
    Input("fail-fast"),
    Input("databricks-profiles"),
    Input("download-dir"),
    Input("report-file"),
    Input("verbose"),
)
# What the report does not repeat: a secret, and what the two sides of the report say better.
_NOT_TOLD = frozenset({"command", "config", "databricks-profiles", "fail-on-difference", "verbose"})
_ELSEWHERE = "In a comparison, the config says this for each tracking server."
_Choice = TypeVar("_Choice", bound=StrEnum)
_NOT_FOR_CHECK = "Leave it out, or set command: compare."


class Inputs:
    """The inputs of a step, trimmed; unset and empty are the same."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._values = {
            # The runner writes the name in capitals and keeps its hyphens.
            name.removeprefix(_PREFIX).lower(): value.strip()
            for name, value in environment.items()
            if name.startswith(_PREFIX) and value.strip()
        }
        self._environment = environment
        self._workspace = Path(environment.get("GITHUB_WORKSPACE") or os.getcwd())
        self._temporary = environment.get("RUNNER_TEMP", "")

    def __getitem__(self, name: str) -> str:
        return self._values.get(name, "")

    @property
    def command(self) -> str:
        """What is to be done; without an input of that name, what the other inputs are for."""
        if self["command"]:
            return self["command"]
        return "compare" if self["config"] or self["config-file"] else "check"

    @property
    def is_verbose(self) -> bool:
        """Whether to show what lies behind an error; yes if that is not said clearly."""
        return self["verbose"] not in {"", *_FALSE}

    @property
    def fails_on_difference(self) -> bool:
        """Whether a difference fails the step; yes if that is not said clearly."""
        return self["fail-on-difference"] not in _FALSE

    @property
    def report_file(self) -> Path:
        """Where the report goes; if the input names a place where it must not, this is not that place."""
        try:
            return self._inside("report-file") or Path(DEFAULT_REPORT)
        except InputError:
            return Path(DEFAULT_REPORT)

    @property
    def config_file(self) -> Path | None:
        """The compare file, if one is named."""
        return Path(self["config-file"]) if self["config-file"] else None

    def options(self) -> dict[str, object]:
        """What the report tells of them, under the names of the command line."""
        told = (each for each in INPUTS if each.command in {"", self.command} and each.name not in _NOT_TOLD)
        return {each.name.replace("-", "_"): self[each.name] or None for each in told}

    def request(self) -> Request:
        """What is asked.

        Raises:
            InputError: An input is unknown, missing, malformed or contradicts another.
            ConfigError: The compare file cannot be used.
        """
        self._require_known()
        self._require_fitting()
        for name in ("verbose", "fail-on-difference"):
            self._switch(name)
        fail_fast = self._switch("fail-fast") or False
        for name in ("report-file", "download-dir"):
            self._inside(name)
        try:
            return self._check(fail_fast) if self.command == "check" else self._compare(fail_fast)
        except ModelGateError as error:
            message, remedy = in_words_of_inputs(error.message), in_words_of_inputs(error.remedy)
            raise type(error)(message, remedy, detail=error.detail) from error

    def _require_known(self) -> None:
        names = [each.name for each in INPUTS]
        for name in self._values:
            if name not in names and name not in _RUNNERS_OWN:
                near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
                remedy = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(names)}."
                raise InputError(f"There is no input {name!r}.", remedy)

    def _require_fitting(self) -> None:
        command = self.command
        if command not in {"check", "compare"}:
            raise InputError(f"The input 'command' is {command!r}.", "Set it to check or compare, or leave it out.")
        for each in INPUTS:
            if each.command not in {"", command} and self[each.name]:
                remedy = _ELSEWHERE if command == "compare" else _NOT_FOR_CHECK
                raise InputError(f"The input {each.name!r} is not for {command}.", remedy)
        if self["config"] and self["config-file"]:
            raise InputError("The inputs 'config' and 'config-file' are both set.", "Leave one of them out.")

    def _check(self, fail_fast: bool) -> Request:
        self._require("model", "Name the registered model, as in model: Sklearn_Wine.")
        self._require("version-or-stage", "Name the version: a number, a stage, an alias such as @champion, or latest.")
        if self["host"]:
            find_host(self["host"], self._environment, "The input 'host'")
        elif not self._environment.get("MLFLOW_TRACKING_URI", "").strip():
            raise InputError(
                "The input 'host' is not set, and neither is MLFLOW_TRACKING_URI.",
                "Name the tracking server, as in host: https://mlflow.example.com.",
            )
        asked = VersionOptions(
            self["model"],
            self["version-or-stage"],
            self["host"],
            self._choice("registry", RegistryKind),
            self["native-model"],
        )
        return check_request(asked, self._common(fail_fast), self._environment)

    def _compare(self, fail_fast: bool) -> Request:
        config_file = self._inside("config-file")
        if self["config"]:
            config = parse_config(self["config"], "The input 'config'", self._environment)
        elif config_file is not None:
            config = read_config(config_file, self._environment)
        else:
            raise InputError(
                "Neither 'config-file' nor 'config' is set.",
                "Name a YAML file of the repository in config-file, or write the same YAML into config.",
            )
        models = CompareOptions(self._switch("compare-run-models"), self._switch("compare-reg-models"))
        return compare_config_request(config, models, self._common(fail_fast))

    def _common(self, fail_fast: bool) -> CommonOptions:
        return CommonOptions(self._choice("require", Require), self._inside("download-dir"), fail_fast)

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

    def _switch(self, name: str) -> bool | None:
        """A boolean as the Actions toolkit reads it: YAML 1.2, so `yes` and `1` are none."""
        value = self[name]
        if value and value not in _TRUE | _FALSE:
            raise InputError(f"The input {name!r} is {value!r}, which is no boolean.", "Set it to true or false.")
        return value in _TRUE if value else None

    def _inside(self, name: str) -> Path | None:
        """A path that the job can reach: what is elsewhere in the container is nobody's, or the container's own."""
        if not self[name]:
            return None
        path = Path(self[name])
        real = Path(os.path.realpath(self._workspace / path))
        roots = [self._workspace, *([Path(self._temporary)] if self._temporary else [])]
        if not any(real.is_relative_to(os.path.realpath(root)) for root in roots):
            raise InputError(
                f"The input {name!r} names {self[name]}, which is outside the workspace.",
                "Name a path in the workspace, as in reports/model-gate.json.",
            )
        return path


_OPTION = re.compile(rf"(?<!\S)--(?:no-)?({'|'.join(each.name for each in INPUTS)})\b( (?:identical|equivalent)\b)?")


def in_words_of_inputs(text: str) -> str:
    """A message of the command line, with its options called as the inputs are."""
    return _OPTION.sub(lambda match: f"{match[1]}:{match[2]}" if match[2] else match[1], text)

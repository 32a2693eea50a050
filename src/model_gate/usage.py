"""The style of all commands: help with groups of options, and usage errors in the form of other errors."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from model_gate.domain.roles import DEFAULT_REPORT, CommandName, RunCommandName

# Width of the column of option names. A longer name has a line of its own.
_NAME_WIDTH = 26
# Options that are suggested at most, because each has the unknown option as one of its words.
_MAX_SUGGESTIONS = 3
_MISSING_VALUE = re.compile(r"requires (?:an argument|\d+ arguments)")
_SUPERFLUOUS_VALUE = "does not take a value"
# An empty value of these options comes from a variable that is not set. It must not count as an option that is left
# out, because then nothing, or less, would be verified.
_NEVER_EMPTY = frozenset(
    {"--seal", "--seal-model", "--bundle", "--public-key", "--identity", "--issuer", "--trust-config", "--output"}
)
_EXTRA_ARGUMENTS = re.compile(r"unexpected extra arguments?(?:\(s\))? \((.*)\)$", re.DOTALL)
# Typer shows a default that is a text in parentheses.
_DEFAULT = re.compile(r"\[default: \((.*?)\)")


class StyledCommand(TyperCommand):
    """A command whose help has groups of options, and whose usage errors look like the errors of a gate."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ARG002  # the signature of a command
        """Return the words of the usage line: the options, then the arguments, of which some can be left out."""
        arguments = [parameter for parameter in self.params if parameter.param_type_name == "argument"]
        names = [_argument(parameter) if parameter.required else f"[{_argument(parameter)}]" for parameter in arguments]
        return [self.options_metavar or "", *names]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and options in one section for each `rich_help_panel`, in order of appearance."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            title = getattr(parameter, "rich_help_panel", None) or "Other"
            if parameter.param_type_name == "argument":
                sections.setdefault(title, []).append((_argument(parameter), getattr(parameter, "help", "") or ""))
            elif record := parameter.get_help_record(ctx):
                sections.setdefault(title, []).append((record[0], _DEFAULT.sub(r"[default: \1", record[1])))
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records, col_max=_NAME_WIDTH)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002  # the signature of a command
        """Write the text after the options as it is, without wrapping its lines."""
        _write_epilog(self, formatter)

    def make_context(self, info_name: str | None, args: list[str], *more: Any, **settings: Any) -> Any:
        """Parse the arguments of the command."""
        arguments = list(args)
        # The name of the function is the name of the command, also for a program with an earlier name.
        name = self.callback.__name__ if self.callback else ""
        if empty := _empty_option(arguments):
            remedy = f"Name its value, or leave out {empty}. If the value is a variable, check that it is set."
            raise typer.Exit(_report_usage_error(name, f"{empty} is empty.", remedy, arguments))
        try:
            return super().make_context(info_name, args, *more, **settings)
        except Exception as error:
            if not _message_of(error):
                raise
            parent = settings.get("parent")
            siblings = {} if parent is None else parent.command.commands
            line = _CommandLine(self, f"{parent.command_path} {info_name}" if parent else str(info_name), arguments)
            raise typer.Exit(_report_usage_error(name, *line.explain(error, siblings), arguments)) from error


class StyledGroup(TyperGroup):
    """The group of all commands. Its usage errors look like the errors of a gate."""

    def get_help_option(self, ctx: Any) -> Any:
        """Return the option --help."""
        option = super().get_help_option(ctx)
        if option is not None:
            # Without a default, Typer imports pydantic to convert the value, which takes longer than the help text.
            option.default = False
        return option

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002  # the signature of a command
        """Write the text after the commands as it is, without wrapping its lines."""
        _write_epilog(self, formatter)

    def make_context(self, info_name: str | None, args: list[str], *more: Any, **settings: Any) -> Any:
        """Parse the arguments before the command."""
        arguments = list(args)
        try:
            return super().make_context(info_name, args, *more, **settings)
        except Exception as error:
            # Without any argument, the message is the help text.
            if not arguments or not _message_of(error):
                raise
            line = _CommandLine(self, str(info_name), arguments)
            raise typer.Exit(_report_usage_error("", *line.explain(error, {}), arguments)) from error

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the first argument names, its name and the other arguments."""
        arguments = list(args)
        try:
            return super().resolve_command(ctx, args)
        except Exception as error:
            if not _message_of(error):
                raise
            near = difflib.get_close_matches(arguments[0].lower(), self.commands, n=1, cutoff=0.5)
            remedy = f"Did you mean {near[0]}?" if near else f"The commands are: {', '.join(self.commands)}."
            message = f"There is no command {arguments[0]!r}."
            code = _report_usage_error(
                near[0] if near else "", message, f"{remedy} See {ctx.command_path} --help.", arguments
            )
            raise typer.Exit(code) from error


def _write_epilog(command: Any, formatter: Any) -> None:
    if command.epilog:
        formatter.write_paragraph()
        formatter.write(command.epilog)


def _argument(parameter: Any) -> str:
    """Return the name of an argument in a help text, such as FILE."""
    return str(parameter.metavar or parameter.name.upper())


def _report_usage_error(command: str, message: str, remedy: str, arguments: Sequence[str]) -> int:
    """Show a usage error, write the report of a gate, and return the exit code."""
    from model_gate.runner import remove_old_report, run_invalid_command

    name = CommandName(command) if command in set(CommandName) else None
    report, statement = (_value_of(option, arguments) for option in ("--report-file", "--statement"))
    if command in {RunCommandName.RUN, RunCommandName.MERGE}:
        remove_old_report(Path(report) if report else DEFAULT_REPORT)
    return run_invalid_command(
        name,
        message,
        remedy,
        arguments,
        Path(report) if report else DEFAULT_REPORT,
        Path(statement) if statement else None,
    )


def _message_of(error: Exception) -> str:
    """Return the message of a usage error, "" for another exception."""
    # Typer's usage errors have no public type: depending on its version, they are Click's or its own.
    format_message = getattr(error, "format_message", None)
    return str(format_message()) if format_message is not None else ""


def _value_of(option: str, arguments: Sequence[str]) -> str | None:
    """Return the value of an option in arguments that may be invalid; None if it has none."""
    for number, argument in enumerate(arguments):
        name, separator, value = argument.partition("=")
        if name == option and (separator or number + 1 < len(arguments)):
            return value if separator else arguments[number + 1]
    return None


def _empty_option(arguments: Sequence[str]) -> str:
    """Return the first option that is given with an empty value although it must have one, "" if there is none."""
    for argument, following in zip_longest(arguments, arguments[1:]):
        name, separator, value = argument.partition("=")
        if not separator and following is None:
            # The parser reports that the value is missing.
            continue
        if name in _NEVER_EMPTY and not (value if separator else following or "").strip():
            return name
    return ""


@dataclass(frozen=True)
class _CommandLine:
    """A command line that cannot be parsed.

    Attributes:
        command: The command.
        path: How the command was called, such as `model-gate check`.
        arguments: The arguments of the command.
    """

    command: Any
    path: str
    arguments: Sequence[str]

    @property
    def see_help(self) -> str:
        return f"See {self.path} --help."

    @property
    def usage(self) -> str:
        return " ".join([self.path, *self.command.collect_usage_pieces(None)])

    def explain(self, error: Exception, siblings: Mapping[str, Any]) -> tuple[str, str]:
        """Return a message and a remedy for a usage error. `siblings` are the other commands by name."""
        message = _message_of(error)
        option = str(getattr(error, "option_name", ""))
        parameter = getattr(error, "param", None)
        if hasattr(error, "possibilities"):
            return self._unknown_option(option, siblings)
        if _MISSING_VALUE.search(message):
            return f"The option {option} has no value.", f"Write {self._example(option)}. {self.see_help}"
        if _SUPERFLUOUS_VALUE in message:
            return f"The option {option} takes no value.", f"Write {option} alone. {self.see_help}"
        if extra := _EXTRA_ARGUMENTS.search(message):
            return self._extra_argument(extra[1])
        if parameter is None:
            return message, self.see_help
        if parameter.param_type_name == "argument":
            return f"The argument {_argument(parameter)} is missing.", f"Usage: {self.usage}. {self.see_help}"
        option = parameter.opts[-1]
        valid = _valid_numbers(parameter)
        return (
            f"The value {_value_of(option, self.arguments)!r} of {option} is not valid.",
            f"Write {valid or self._example(option)}. {self.see_help}",
        )

    def _example(self, option: str) -> str:
        """Return an option with a word that stands for its value, or with its values."""
        metavars = {name: parameter.metavar for parameter in self.command.params for name in parameter.opts}
        # A shell would take the bar between two values for a pipe.
        return f"{option} {' or '.join((metavars.get(option) or 'VALUE').split('|'))}"

    def _extra_argument(self, extra: str) -> tuple[str, str]:
        names = [_argument(parameter) for parameter in self.command.params if parameter.param_type_name == "argument"]
        if not names:
            remedy = f"Quote a value that has spaces. Usage: {self.usage}."
            return f"Unexpected argument {extra!r}: {self.path} takes options only.", remedy
        message = f"Unexpected argument {extra!r}: {self.path} takes {' and '.join(f'one {name}' for name in names)}."
        if names != ["FILE"]:
            return message, f"Usage: {self.usage}. {self.see_help}"
        return message, (
            "Run the command once for each file: the shell replaces a pattern such as *.yaml by all the files that"
            f" match. Usage: {self.usage}."
        )

    def _word_of(self, option: str) -> str:
        """Return the word of an option with one hyphen. Of `-model`, the parser quotes only `-m`."""
        names = (argument.partition("=")[0] for argument in self.arguments)
        return next((name for name in names if name.startswith(option)), option)

    def _unknown_option(self, option: str, siblings: Mapping[str, Any]) -> tuple[str, str]:
        """Return the message and the remedy for an option that the command does not have."""
        known = _options_of(self.command)
        given = option if option.startswith("--") else self._word_of(option)
        message = f"{self.path} has no option {given}."
        if f"-{given}" in known:
            return message, f"Options begin with two hyphens: -{given}. {self.see_help}"
        below = _owners(given, getattr(self.command, "commands", {}))
        if below:
            return message, f"Write it after the command, as in {self.path} {below[0]} {given}. {self.see_help}"
        if sides := sorted({f"--left-{given[2:]}", f"--right-{given[2:]}"}.intersection(known)):
            return message, f"Write {' or '.join(sides)}. {self.see_help}"
        if owners := _owners(given, siblings):
            program = self.path.rpartition(" ")[0]
            return message, f"It is an option of {_listed(owners)}. See {program} {owners[0]} --help."
        longer = [name for name in known if given[2:].lower() in name[2:].split("-")]
        if 0 < len(longer) <= _MAX_SUGGESTIONS:
            return message, f"Did you mean {' or '.join(longer)}? {self.see_help}"
        near = difflib.get_close_matches(given.lower(), known, n=1, cutoff=0.6)
        return message, f"Did you mean {near[0]}? {self.see_help}" if near else self.see_help


def _valid_numbers(parameter: Any) -> str:
    """Return the numbers that an option takes, such as `a whole number from 1 to 64, as in --jobs 4`; "" if unknown."""
    option = parameter.opts[-1]
    if parameter.metavar == "SECONDS":
        return f"a number of seconds, 1 or more, as in {option} 600"
    # Depending on its version, Typer has the limits in the parameter or in its type.
    limits = parameter if hasattr(parameter, "min") else getattr(parameter, "type", None)
    least, most = getattr(limits, "min", None), getattr(limits, "max", None)
    return f"a whole number from {least} to {most}, as in {option} 4" if least is not None and most is not None else ""


def _listed(names: Sequence[str]) -> str:
    """Return names as a list in a sentence.

    >>> _listed(["check"]), _listed(["check", "diff"]), _listed(["check", "compare", "diff"])
    ('check', 'check and diff', 'check, compare and diff')
    """
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _owners(option: str, commands: Mapping[str, Any]) -> list[str]:
    """Return the names of the commands that have an option."""
    return [name for name, command in commands.items() if option in _options_of(command)]


def _options_of(command: Any) -> list[str]:
    names = (name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts))
    return [name for name in names if name.startswith("-")]

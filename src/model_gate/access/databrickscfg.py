r"""Reads `.databrickscfg` files, in the dialect of the Databricks SDK: `configparser`, with [DEFAULT] as a profile.

>>> parse_profiles("[prod]\nhost = https://dbc.example.com", "profiles")["prod"].fields
{'host': 'https://dbc.example.com'}
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from model_gate.errors import InputError
from model_gate.regular_files import open_regular

# This section is not a profile: it has settings of the Databricks command line.
_SETTINGS = "__settings__"


@dataclass(frozen=True)
class Login:
    """A login from a profile or from environment variables before it is validated, with names for error messages.

    Attributes:
        name: Name of the login, as in "The profile 'x' in ~/.databrickscfg".
        fields: Value of each field, by the name that the Databricks SDK uses.
        lines: Line number of each field by its name, and of the profile by ""; empty for environment variables.
        spelling: Name of a field in this source by its SDK name, for fields whose two names differ.
    """

    name: str
    fields: Mapping[str, str] = field(repr=False)
    lines: Mapping[str, int]
    spelling: Mapping[str, str] = field(default_factory=dict)

    def at(self, name: str = "") -> str:
        """Return the name of the login and the line of a field, as the subject of an error message.

        Without a field, or if the field has no line, the line is that of the profile.
        """
        line = self.lines.get(name, self.lines.get("", 0))
        return f"{self.name}, line {line}," if line else self.name


def config_file(environment: Mapping[str, str]) -> Path:
    """Return the path of the `.databrickscfg` file that the environment variables select."""
    named = environment.get("DATABRICKS_CONFIG_FILE", "").strip()
    home = environment.get("HOME", "").rstrip("/") or os.path.expanduser("~")
    if not named:
        return Path(home) / ".databrickscfg"
    return Path(home + named[1:] if named.startswith("~/") else named)


def read_profiles(path: Path) -> dict[str, Login]:
    """Return the profiles of a config file by name; an empty dict if the file does not exist.

    Raises:
        InputError: The file cannot be read or parsed.
    """
    try:
        with open(path, encoding="utf-8-sig", opener=open_regular) as file:
            text = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8.", "Save it as UTF-8.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.", "Check the path and its permissions.") from error
    return parse_profiles(text, str(path))


def parse_profiles(text: str, path: str) -> dict[str, Login]:
    """Return the profiles in the text of a `.databrickscfg` by name. `path` is the text's name in error messages.

    An indented line continues the value above it, so a value can have several lines.

    Raises:
        InputError: A line is not a section, a field or a comment, or a section or field occurs twice. The message
            contains no value of a field.
    """
    # Late imports: only a command that uses a profile needs them.
    import configparser

    from model_gate.access.ini_lines import LineRecordingParser

    parser = LineRecordingParser()
    try:
        parser.read_text(text)
    # `from None` drops configparser's errors, because their messages quote lines of the text.
    except configparser.DuplicateSectionError as error:
        first = parser.lines()[error.section][""]
        raise _bad_line(
            path, error.lineno, f"the profile {error.section!r} begins again, first on line {first}"
        ) from None
    except configparser.DuplicateOptionError as error:
        first = parser.lines()[error.section][error.option]
        raise _bad_line(path, error.lineno, f"{error.option!r} is given twice, first on line {first}") from None
    except configparser.MissingSectionHeaderError as error:
        raise _unknown_line(path, error.lineno) from None
    except configparser.ParsingError as error:
        raise _unknown_line(path, error.errors[0][0]) from None
    lines = parser.lines()
    return {
        name: Login(f"The profile {name!r} in {path}", dict(parser.items(name)), lines[name])
        for name in parser.sections()
        if name != _SETTINGS
    }


def _unknown_line(path: str, number: int) -> InputError:
    return _bad_line(path, number, "this is neither a [profile] nor a field = value of one")


def _bad_line(path: str, number: int | None, problem: str) -> InputError:
    return InputError(f"{path}, line {number}: {problem}.", "Write [profile], then host = …, token = … and so on.")

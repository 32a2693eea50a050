r"""Reads `.databrickscfg` files like the Databricks SDK: with `configparser`, and with [DEFAULT] as a normal profile.

>>> parse_profiles("[prod]\nhost = https://dbc.example.com", "profiles")["prod"].fields
{'host': 'https://dbc.example.com'}
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from model_gate.errors import InputError
from model_gate.regular_files import open_regular

# The fields of a login, each with the environment variable that holds its value if no profile is used.
LOGIN_FIELDS = {
    "host": "DATABRICKS_HOST",
    "token": "DATABRICKS_TOKEN",
    "client_id": "DATABRICKS_CLIENT_ID",
    "client_secret": "DATABRICKS_CLIENT_SECRET",
    "auth_type": "DATABRICKS_AUTH_TYPE",
    "account_id": "DATABRICKS_ACCOUNT_ID",
    "workspace_id": "DATABRICKS_WORKSPACE_ID",
    "token_audience": "DATABRICKS_TOKEN_AUDIENCE",
    "oidc_token_env": "DATABRICKS_OIDC_TOKEN_ENV",
    "azure_client_id": "ARM_CLIENT_ID",
    "azure_client_secret": "ARM_CLIENT_SECRET",
    "azure_tenant_id": "ARM_TENANT_ID",
    "azure_environment": "ARM_ENVIRONMENT",
    "azure_workspace_resource_id": "DATABRICKS_AZURE_RESOURCE_ID",
}
# Characters that some programs treat as the end of a line. A secret after one would be part of another value.
_LINE_SEPARATORS = re.compile("[\v\f\x1c-\x1e\x85\u2028\u2029]")
# This section is not a profile: it has settings of the Databricks command line.
_SETTINGS = "__settings__"


@dataclass(frozen=True)
class Login:
    """A login that is not validated yet, from a profile or from environment variables, with names for error messages.

    Attributes:
        name: Name of the login, as in "The profile 'x' in ~/.databrickscfg".
        fields: Value of each field, by the name that the Databricks SDK uses.
        lines: Line number of each field by its name. The key "" has the line of the profile's header. Empty for
            environment variables.
        spelling: Name of each field as the user writes it, such as DATABRICKS_TOKEN, by its name in the SDK. Has only
            fields for which these names differ.
    """

    name: str
    fields: Mapping[str, str] = field(repr=False)
    lines: Mapping[str, int]
    spelling: Mapping[str, str] = field(default_factory=dict)

    def at(self, name: str = "") -> str:
        """Return the name of the login and the line of a field, as the subject of an error message.

        If no field is given or the field has no line, the text has the line of the profile.
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

    if match := _LINE_SEPARATORS.search(text):
        number = text.count("\n", 0, match.start()) + 1
        raise _bad_line(path, number, "a control character separates parts of the line")
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
        # Any other name may be a secret that stands on a line of its own.
        name = repr(error.option) if error.option in LOGIN_FIELDS else "a field"
        raise _bad_line(path, error.lineno, f"{name} is given twice, first on line {first}") from None
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
    return InputError(
        f"{path}, line {number}: {problem}.",
        "Write a line [name] for each profile, then one line for each field: host = …, token = … and so on.",
    )

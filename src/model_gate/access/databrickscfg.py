"""Reads `.databrickscfg` files."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from model_gate.errors import InputError


@dataclass(frozen=True)
class Login:
    """A login as it was found, and how errors speak of it.

    Attributes:
        name: "The profile 'x' in ~/.databrickscfg".
        fields: As found.
        lines: The line of each field, where there are lines; of the profile itself at "".
        spelling: What a field is called there.
    """

    name: str
    fields: Mapping[str, str]
    lines: Mapping[str, int]
    spelling: Mapping[str, str] = field(default_factory=dict)

    def at(self, name: str = "") -> str:
        """The login and the line of a field, for an error message."""
        line = self.lines.get(name, self.lines.get("", 0))
        return f"{self.name}, line {line}," if line else self.name


def config_file(environment: Mapping[str, str]) -> Path:
    """The path of the `.databrickscfg` file that applies in an environment."""
    named = environment.get("DATABRICKS_CONFIG_FILE", "").strip()
    home = environment.get("HOME", "").rstrip("/") or os.path.expanduser("~")
    if not named:
        return Path(home) / ".databrickscfg"
    return Path(home + named[1:] if named.startswith("~/") else named)


def read_profiles(path: Path) -> dict[str, Login]:
    """The profiles of a config file; one that does not exist has none."""
    try:
        text = path.read_text("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8.", "Save it as UTF-8.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.", "Check the path and its permissions.") from error
    return parse_profiles(text, str(path))


def parse_profiles(text: str, path: str) -> dict[str, Login]:
    """The profiles in the text of a `.databrickscfg`; `path` is what errors call it.

    Raises:
        InputError: A line is none of a section, a field and a comment, or says something again. It is not repeated.
    """
    fields: dict[str, dict[str, str]] = {}
    lines: dict[str, dict[str, int]] = {}
    current = ""
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if line.startswith("[") and line.endswith("]"):
            current = line[1:-1].strip()
            if current in fields:
                raise _bad_line(
                    path, number, f"the profile {current!r} begins again, first on line {lines[current]['']}"
                )
            fields[current], lines[current] = {}, {"": number}
            continue
        name, separator, value = re.match(r"([^=:]*)([=:]?)(.*)", line).groups()  # type: ignore[union-attr]
        name = name.strip().lower()
        if not separator or not current:
            raise _bad_line(path, number, "this is neither a [profile] nor a field = value of one")
        if name in fields[current]:
            raise _bad_line(path, number, f"{name!r} is given twice, first on line {lines[current][name]}")
        fields[current][name], lines[current][name] = value.strip(), number
    return {
        name: Login(f"The profile {name!r} in {path}", fields[name], lines[name])
        for name in fields
        if name != "__settings__"
    }


def _bad_line(path: str, number: int, what: str) -> InputError:
    return InputError(f"{path}, line {number}: {what}.", "Write it as [profile], then host = …, token = … and so on.")

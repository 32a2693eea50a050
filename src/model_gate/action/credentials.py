r"""Parses the input `credentials`, lines NAME=VALUE that are added to the step's environment, and finds its secrets.

>>> parse_credentials("# staging\nSTAGING_MLFLOW_TRACKING_TOKEN=a=b")
{'STAGING_MLFLOW_TRACKING_TOKEN': 'a=b'}
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from model_gate.access.hosts import secrets_in as secrets_in_host
from model_gate.domain.credentials import secret_parts
from model_gate.domain.variables import is_public
from model_gate.errors import InputError

_INPUT = "The input 'credentials'"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# These variables would change how Model Gate itself runs.
_FORBIDDEN = re.compile(r"(?:PYTHON|LD_|DYLD_|INPUT_|GITHUB_|ACTIONS_|RUNNER_)|(?:PATH|HOME|TMPDIR)$")
_REMEDY = "Write lines such as PROD_MLFLOW_TRACKING_URI=https://mlflow.example.com."


def parse_credentials(text: str) -> dict[str, str]:
    """Return the variables in the text of the input.

    Raises:
        InputError: A line is not NAME=VALUE, its variable cannot be set here, or two lines set the same variable. The
            message contains no value.
    """
    lines: dict[str, int] = {}
    variables: dict[str, str] = {}
    for number, line in _lines(text):
        name, separator, value = line.partition("=")
        name = name.strip()
        if not separator or not _NAME.fullmatch(name):
            raise InputError(f"{_INPUT}, line {number}: this is not NAME=VALUE.", _REMEDY)
        if _FORBIDDEN.match(name):
            raise InputError(f"{_INPUT}, line {number}: the variable {name} cannot be set here.", _REMEDY)
        if name in variables:
            raise InputError(
                f"{_INPUT}, line {number}: {name} is given twice, first on line {lines[name]}.", "Remove one of them."
            )
        lines[name], variables[name] = number, value.strip()
    return variables


def secrets_in(text: str) -> tuple[str, ...]:
    """Return the values in the text of the input that may be secret, even if the text cannot be parsed."""
    found: list[str] = []
    for _, line in _lines(text):
        name, separator, value = line.partition("=")
        if not separator or not _NAME.fullmatch(name.strip()):
            found.append(line)
        elif is_public(name.strip()):
            # An address can have user-info.
            found += secrets_in_host(value)
        else:
            found += secret_parts(value.strip())
    return tuple(dict.fromkeys(filter(None, found)))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of each line that is neither blank nor a comment."""
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        if line.strip() and not line.strip().startswith("#"):
            yield number, line.strip()

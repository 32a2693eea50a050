"""A `configparser` parser that records line numbers.

The module is separate, so that commands without a profile do not import `configparser`.
"""

from __future__ import annotations

import configparser
import io
from collections.abc import Iterator


class LineRecordingParser(configparser.ConfigParser):
    """A parser in the dialect of the Databricks SDK that records the lines of sections and fields.

    `configparser` names lines only in its errors. It calls `dict_type` once for each section and `optionxform` once for
    each field, in the order of the text. At each call, the last line that was read is the line of the section or field.
    """

    def __init__(self) -> None:
        self._line = 0
        self._starts: list[int] = []
        # No section can have an empty name, so [DEFAULT] is a profile like any other, as in the SDK.
        super().__init__(interpolation=None, default_section="", dict_type=self._new_section)  # type: ignore[call-overload]

    def read_text(self, text: str) -> None:
        """Parse a text. Call this method only once.

        Raises:
            configparser.Error: The text is not in the format. The error's message quotes lines of the text.
        """
        self.read_file(self._lines(text))

    def lines(self) -> dict[str, dict[str, int]]:
        """Return the line numbers of the fields by section and field name. The section's own line has the name ""."""
        starts = iter(self._starts)
        return {
            section: {"": next(starts)} | {name: next(starts) for name in self.options(section)}
            for section in self.sections()
        }

    def optionxform(self, optionstr: str) -> str:
        """Return a field's name in lower case, and record its line."""
        self._starts.append(self._line)
        return super().optionxform(optionstr)

    def _lines(self, text: str) -> Iterator[str]:
        for self._line, line in enumerate(io.StringIO(text, newline=None), start=1):
            yield line

    def _new_section(self) -> dict[str, object]:
        if self._line:
            self._starts.append(self._line)
        return {}

"""Writes the summary as a Markdown file beside the report, for a later job that comments on a pull request."""

from __future__ import annotations

import os
from pathlib import Path

from model_gate.errors import StorageError, storage_error
from model_gate.symbolic_links import PathBeneath

# The first line of the file. A later run replaces only a file that starts with it, and a job that comments on a pull
# request finds its earlier comment by it.
MARKER = "<!-- model-gate summary -->"
# GitHub takes comments of at most 65,536 characters.
MAX_FILE_BYTES = 60_000
# The file begins with the marker and a line break.
MAX_BYTES = MAX_FILE_BYTES - len(MARKER) - 1


def write_summary_file(report_file: Path, text: str) -> Path:
    """Write the summary to the path of the report with the suffix `.md`, and return that path.

    Raises:
        StorageError: The file cannot be written, or another file is in its place.
    """
    path = report_file.with_suffix(".md")
    target = PathBeneath.of_output(path)
    try:
        if target.status() is not None and not _is_summary(target):
            raise StorageError(
                f"The summary was not written to {path}, because there is another file.", "Name another --report-file."
            )
        target.replace(f"{MARKER}\n{text}")
    except OSError as error:
        raise storage_error(error, f"write the summary {path}") from error
    return path


def _is_summary(target: PathBeneath) -> bool:
    descriptor = target.open_regular()
    try:
        return os.read(descriptor, len(MARKER)) == MARKER.encode()
    finally:
        os.close(descriptor)

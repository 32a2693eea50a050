"""Explanations of two files, results of commands, and builders for zip and safetensors files."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from model_gate.comparison.model_pair import SelectedModel, SelectedPair
from model_gate.comparison.models import compare_models
from model_gate.comparison.progress import NoProgress
from model_gate.domain.difference import Explanation, FieldChange
from model_gate.domain.ignore import Ignore
from model_gate.domain.location import Location
from model_gate.domain.result import Comparison
from model_gate.explanation import Explainer
from model_gate.sources.model_source import DirectorySource
from model_gate.sources.storage import Storage
from tests.support import commandline
from tests.support.paths import SCHEMAS

_SCHEMA = SCHEMAS / "report.schema.json"


def explain(directory: Path, name: str, left: bytes, right: bytes) -> Explanation:
    """Return the explanation of the difference between two contents of a file with this name."""
    for half, content in (("left", left), ("right", right)):
        (directory / half).write_bytes(content)
    return Explainer().explain(name, str(directory / "left"), str(directory / "right"))


def field_of(explanation: Explanation, name: str) -> FieldChange:
    """Return the change of a field, which must be in the explanation."""
    fields = {change.field: change for change in explanation.fields}
    assert name in fields, explanation
    return fields[name]


@dataclass(frozen=True)
class CommandResult:
    """The result of a command.

    Attributes:
        exit_code: Exit code.
        report: Content of the report file.
        text: Standard output.
    """

    exit_code: int
    report: dict[str, Any]
    text: str

    @property
    def comparison(self) -> dict[str, Any]:
        """The comparison in the report of a `diff`."""
        comparison: dict[str, Any] = self.report["comparison"]
        return comparison

    def difference(self, path: str) -> dict[str, Any]:
        """Return the difference at a path, which must be in the report."""
        differences: dict[str, dict[str, Any]] = {entry["path"]: entry for entry in self.comparison["differences"]}
        assert path in differences, differences
        return differences[path]

    @property
    def verdict(self) -> str:
        """The verdict: `equal`, `equivalent`, `different` or `error`."""
        return "equivalent" if self.report["equivalent"] and not self.report["equals"] else self.report["status"]


def run_command(directory: Path, *arguments: str | Path) -> CommandResult:
    """Run a command that writes its report into `directory`, and validate the report against its schema."""
    file = directory / "report.json"
    process = commandline.run(*arguments, "--report-file", file)
    report = json.loads(file.read_text("utf-8"))
    Draft202012Validator(json.loads(_SCHEMA.read_text("utf-8"))).validate(report)
    assert "Traceback" not in process.stderr, process.stderr
    return CommandResult(process.returncode, report, process.stdout)


def diff(directory: Path, left: Path, right: Path, *options: str) -> CommandResult:
    """Run `model-gate diff` on two directories."""
    return run_command(directory, "diff", left, right, *options)


def compare_directories(left: Path, right: Path, ignore: Sequence[str] = ()) -> Comparison:
    """Return the comparison of two directories, made in this process."""
    with Storage(None) as storage:
        models = [
            SelectedModel(DirectorySource(root, Location(str(root), local_path=root), str(root), storage))
            for root in (left, right)
        ]
        return compare_models([SelectedPair(*models)], NoProgress(), Ignore(tuple(ignore)))[0]


def verdict_of(comparison: Comparison) -> str:
    """Return the verdict: `equal`, `equivalent` or `different`."""
    return "equal" if comparison.equals else "equivalent" if comparison.equivalent else "different"


def zipped(
    members: Mapping[str, bytes], year: int = 2025, method: int = zipfile.ZIP_STORED, comment: bytes = b""
) -> bytes:
    """Return a zip archive of these members, in this order."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, (year, 1, 1, 0, 0, 0))
            info.compress_type = method
            archive.writestr(info, content)
        archive.comment = comment
    return target.getvalue()


def safetensors(
    tensors: Mapping[str, tuple[str, list[int], bytes]], metadata: Mapping[str, str] | None = None
) -> bytes:
    """Return the content of a safetensors file. Each tensor is given as its type, its shape and its bytes."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    data = b""
    for name, (kind, shape, content) in tensors.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data

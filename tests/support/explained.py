"""What Model Gate says of two files, or of two models."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from model_gate.domain.difference import Explanation, FieldChange
from model_gate.explanation import Explainer
from tests.support import commandline
from tests.support.paths import SCHEMAS

_SCHEMA = SCHEMAS / "report.schema.json"


def explain(directory: Path, name: str, left: bytes, right: bytes) -> Explanation:
    """The explanation of two contents of a file of that name."""
    for side, content in (("left", left), ("right", right)):
        (directory / side).write_bytes(content)
    return Explainer().explain(name, str(directory / "left"), str(directory / "right"))


def field_of(explanation: Explanation, name: str) -> FieldChange:
    """The field of that name."""
    found = {each.field: each for each in explanation.fields}
    assert name in found, explanation
    return found[name]


@dataclass(frozen=True)
class Told:
    """What a command told: its exit code, its report and what is on the terminal."""

    exit_code: int
    report: dict[str, Any]
    text: str

    @property
    def comparison(self) -> dict[str, Any]:
        """The comparison of a diff."""
        comparison: dict[str, Any] = self.report["comparison"]
        return comparison

    def difference(self, path: str) -> dict[str, Any]:
        """The difference at that path."""
        found: dict[str, dict[str, Any]] = {each["path"]: each for each in self.comparison["differences"]}
        assert path in found, found
        return found[path]

    @property
    def verdict(self) -> str:
        """As people call it: equal, equivalent or different."""
        return "equivalent" if self.report["equivalent"] and not self.report["equals"] else self.report["status"]


def tell(directory: Path, *arguments: str | Path) -> Told:
    """Run a command; the report must fit its schema."""
    file = directory / "report.json"
    ended = commandline.run(*arguments, "--report-file", file)
    report = json.loads(file.read_text("utf-8"))
    Draft202012Validator(json.loads(_SCHEMA.read_text("utf-8"))).validate(report)
    assert "Traceback" not in ended.stderr, ended.stderr
    return Told(ended.returncode, report, ended.stdout)


def diff(directory: Path, left: Path, right: Path, *options: str) -> Told:
    """Diff two directories."""
    return tell(directory, "diff", left, right, *options)


def zipped(
    members: Mapping[str, bytes], year: int = 2025, method: int = zipfile.ZIP_STORED, comment: bytes = b""
) -> bytes:
    """An archive of these members, in this order."""
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
    """A file of these tensors: type, shape and bytes by name."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    data = b""
    for name, (kind, shape, content) in tensors.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data

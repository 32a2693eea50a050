"""The four things that the demo shows, and whether each came out as it must: plain data and pure decisions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_gate.demo.layout import ALIAS, LOGGED_AGAIN, MODEL, PROMOTED, TAMPERED, Layout
from model_gate.domain.roles import ComparisonName, VersionRole


@dataclass(frozen=True)
class Expected:
    """What a gate must find.

    Attributes:
        exit_code: Of the command.
        status: Of the report.
        equivalent: Of the report.
        differences: The paths that differ, in each comparison.
        same_location: Whether both models are one and the same, in each comparison.
    """

    exit_code: int
    status: str
    equivalent: bool
    differences: tuple[str, ...] = ()
    same_location: bool = False

    def fault(self, exit_code: int, report: Mapping[str, Any]) -> str:
        """In what an outcome is another, "" if it is this one."""
        comparisons = [report[name] for name in ComparisonName if name in report]
        differences = {tuple(each["path"] for each in comparison["differences"]) for comparison in comparisons}
        found = {
            "the exit code": (exit_code, self.exit_code),
            "status": (report.get("status"), self.status),
            "equivalent": (report.get("equivalent"), self.equivalent),
            "passed": (report.get("passed"), self.exit_code == 0),
            "differences": (sorted(differences), [self.differences]),
            "same_location": (
                sorted({comparison["same_location"] for comparison in comparisons}),
                [self.same_location],
            ),
        }
        return "; ".join(f"{name} is {was}, not {must}" for name, (was, must) in found.items() if was != must)


@dataclass(frozen=True)
class Step:
    """One of the four.

    Attributes:
        title: What is shown.
        story: What happened to the models, a sentence each.
        arguments: What follows `model-gate`.
        report: Where the command leaves its report.
        expected: What it must find.
    """

    title: str
    story: tuple[str, ...]
    arguments: tuple[str, ...]
    report: Path
    expected: Expected


def steps_at(place: Layout, tampered: Path) -> tuple[Step, ...]:
    """The four steps on the registries at `place`; `tampered` is the file of which a byte was changed."""
    return (
        Step(
            "A check: is the registry's own copy what the run logged?",
            (
                f"A wine model was trained in staging and registered as {MODEL}; its alias is @{ALIAS}.",
                "On open-source MLflow a registry model is its run model, one location: equal by definition.",
            ),
            (
                *("check", "--host", place.staging.host, "--model", MODEL, "--version-or-stage", f"@{ALIAS}"),
                *("--report-file", str(place.report("check"))),
            ),
            place.report("check"),
            Expected(0, "equal", equivalent=True, same_location=True),
        ),
        _compare(
            place,
            "promoted",
            "A compare: did the model arrive in production unchanged?",
            (f"It was downloaded from staging, logged to a run in production and registered as version {PROMOTED}.",),
            Expected(0, "equal", equivalent=True),
        ),
        _compare(
            place,
            "tampered",
            "A compare after one byte of model.pkl was changed in production",
            (f"Version {TAMPERED} was promoted likewise. Then one byte was changed in", f"{tampered}."),
            Expected(1, "different", equivalent=False, differences=("model.pkl",)),
        ),
        _compare(
            place,
            "logged-again",
            "A compare after an honest re-registration",
            (
                f"Version {LOGGED_AGAIN} is the same estimator, logged and registered in production again.",
                "MLflow gave it other ids and another time. --require equivalent lets that pass.",
            ),
            Expected(0, "different", equivalent=True, differences=("MLmodel",)),
            "--require",
            "equivalent",
        ),
    )


def _compare(place: Layout, name: str, title: str, story: tuple[str, ...], expected: Expected, *options: str) -> Step:
    report = place.report(name)
    config_file = str(place.compare_file(name))
    arguments = ("compare", "--config-file", config_file, *options, "--report-file", str(report))
    return Step(title, story, arguments, report, expected)


def compare_files_at(place: Layout) -> dict[Path, str]:
    """The compare files of the steps, by path."""
    versions = {"promoted": PROMOTED, "tampered": TAMPERED, "logged-again": LOGGED_AGAIN}
    return {place.compare_file(name): _compare_file(place, version) for name, version in versions.items()}


def _compare_file(place: Layout, version: str) -> str:
    servers = {
        VersionRole.TRACKING_SERVER_1: (place.staging.host, json.dumps(f"@{ALIAS}")),
        VersionRole.TRACKING_SERVER_2: (place.production.host, version),
    }
    return "".join(
        f"{key}:\n  host: {json.dumps(host, ensure_ascii=False)}\n  model: {MODEL}\n  version_or_stage: {wanted}\n"
        for key, (host, wanted) in servers.items()
    )

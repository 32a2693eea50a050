"""The four steps of the demo and their expected verdicts."""

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
    """The expected verdict of a gate.

    Attributes:
        exit_code: Expected exit code of the command.
        status: Expected value of the report's field `status`.
        equivalent: Expected value of the report's field `equivalent`.
        differences: Paths expected to differ, the same paths in each comparison.
        same_location: Expected value of the field `same_location` of each comparison.
    """

    exit_code: int
    status: str
    equivalent: bool
    differences: tuple[str, ...] = ()
    same_location: bool = False

    def mismatch(self, exit_code: int, report: Mapping[str, Any]) -> str:
        """Return how the exit code and the report differ from the expected verdict, "" if they do not differ."""
        comparisons = [report[name] for name in ComparisonName if name in report]
        differences = {tuple(entry["path"] for entry in comparison["differences"]) for comparison in comparisons}
        values = {
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
        return "; ".join(
            f"{name} is {actual}, not {expected}" for name, (actual, expected) in values.items() if actual != expected
        )


@dataclass(frozen=True)
class Step:
    """A step of the demo: one gate.

    Attributes:
        title: The question that the gate answers.
        description: Lines of text that describe how the compared models were made.
        arguments: The arguments of `model-gate`.
        report: Path of the report.
        expected: The expected verdict.
    """

    title: str
    description: tuple[str, ...]
    arguments: tuple[str, ...]
    report: Path
    expected: Expected


def steps_at(layout: Layout, tampered: Path) -> tuple[Step, ...]:
    """Return the four steps. `tampered` is the path of the model file in which one byte was changed."""
    return (
        Step(
            "A check: is the registry's own copy what the run logged?",
            (
                f"A wine model was trained in staging and registered as {MODEL}; its alias is @{ALIAS}.",
                "On open-source MLflow a registry model is its run model, one location: equal by definition.",
            ),
            (
                *("check", "--host", layout.staging.host, "--model", MODEL, "--version-or-stage", f"@{ALIAS}"),
                *("--report-file", str(layout.report("check"))),
            ),
            layout.report("check"),
            Expected(0, "equal", equivalent=True, same_location=True),
        ),
        _compare(
            layout,
            "promoted",
            "A compare: did the model arrive in production unchanged?",
            (f"It was downloaded from staging, logged to a run in production and registered as version {PROMOTED}.",),
            Expected(0, "equal", equivalent=True),
        ),
        _compare(
            layout,
            "tampered",
            "A compare after one byte of model.pkl was changed in production",
            (f"Version {TAMPERED} was promoted likewise. Then one byte was changed in", f"{tampered}."),
            Expected(1, "different", equivalent=False, differences=("model.pkl",)),
        ),
        _compare(
            layout,
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


def _compare(
    layout: Layout, name: str, title: str, description: tuple[str, ...], expected: Expected, *options: str
) -> Step:
    report = layout.report(name)
    config_file = str(layout.compare_file(name))
    arguments = ("compare", "--config-file", config_file, *options, "--report-file", str(report))
    return Step(title, description, arguments, report, expected)


def compare_files_at(layout: Layout) -> dict[Path, str]:
    """Return the text of each compare file of the demo, by the path of the file."""
    versions = {"promoted": PROMOTED, "tampered": TAMPERED, "logged-again": LOGGED_AGAIN}
    return {layout.compare_file(name): _compare_file(layout, number) for name, number in versions.items()}


def _compare_file(layout: Layout, number: str) -> str:
    servers = {
        VersionRole.TRACKING_SERVER_1: (layout.staging.host, json.dumps(f"@{ALIAS}")),
        VersionRole.TRACKING_SERVER_2: (layout.production.host, number),
    }
    return "".join(
        f"{key}:\n  host: {json.dumps(host, ensure_ascii=False)}\n  model: {MODEL}\n  version_or_stage: {version}\n"
        for key, (host, version) in servers.items()
    )

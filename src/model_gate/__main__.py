"""Entry points: `model-gate`, and the two commands under their historical names."""

from __future__ import annotations

from model_gate import cli


def main() -> None:
    """Run `model-gate`."""
    cli.app(prog_name="model-gate")


def check_model_version() -> None:
    """Run `check-model-version`."""
    cli.check_model_version(prog_name="check-model-version")


def compare_model_versions() -> None:
    """Run `compare-model-versions`."""
    cli.compare_model_versions(prog_name="compare-model-versions")


if __name__ == "__main__":
    main()

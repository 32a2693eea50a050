"""Command lines that cannot be parsed are errors like all others, and a help text fits a terminal of 80 columns."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commandline import clean_environment, run
from tests.support.reports import read_report

REPORT = "model-gate-report.json"


@pytest.mark.parametrize(
    "arguments, message, remedy",
    [
        (["check", "--modle", "Wine"], "has no option --modle.", "Did you mean --model?"),
        (["check", "--stage", "Production"], "has no option --stage.", "Did you mean --version-or-stage?"),
        (["check", "--fail"], "has no option --fail.", "Did you mean --fail-fast or --fail-on-same-location?"),
        (["check", "-model", "Wine"], "has no option -model.", "Options begin with two hyphens: --model."),
        (
            ["check", "--config-file", "x"],
            "has no option --config-file.",
            "It is an option of compare, run and plan. See model-gate compare --help.",
        ),
        (["diff", "a", "b", "--host", "x"], "has no option --host.", "Write --left-host or --right-host."),
        (["check", "--host"], "The option --host has no value.", "Write --host URI."),
        (["verify", "m", "--seal", ""], "--seal is empty.", "Name its value"),
        (["verify", "m", "--seal", "s.json", "--seal="], "--seal is empty.", "Name its value"),
        (["check", "--seal", " "], "--seal is empty.", "Name its value"),
        (
            ["check", "--seal", "s.json", "--seal-model", ""],
            "--seal-model is empty.",
            "Name its value, or leave out --seal-model.",
        ),
        (["verify", "m", "--bundle", ""], "--bundle is empty.", "Name its value"),
        (["verify", "m", "--bundle", "b", "--public-key="], "--public-key is empty.", "Name its value"),
        (["verify", "m", "--bundle", "b", "--identity", ""], "--identity is empty.", "Name its value"),
        (["seal", "m", "--output", ""], "--output is empty.", "Name its value"),
        (["check", "--verbose=1"], "The option --verbose takes no value.", "Write --verbose alone."),
        (
            ["check", "--timeout", "10m"],
            "The value '10m' of --timeout is not valid.",
            "Write a number of seconds, 1 or more, as in --timeout 600.",
        ),
        (
            ["check", "Wine"],
            "Unexpected argument 'Wine': model-gate check takes options only.",
            "Quote a value that has spaces.",
        ),
        (["diff", "left"], "The argument RIGHT is missing.", "Usage: model-gate diff [OPTIONS] LEFT RIGHT"),
        (
            ["compare", "a.yaml", "b.yaml"],
            "Unexpected argument 'b.yaml': model-gate compare takes one FILE.",
            "Run the command once",
        ),
        (["chek"], "There is no command 'chek'.", "Did you mean check?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_usage_error_has_a_remedy_and_a_report(arguments: list[str], message: str, remedy: str, tmp_path: Path) -> None:
    completed = run(*arguments, cwd=tmp_path)
    first, second = completed.stderr.splitlines()
    assert (completed.returncode, completed.stdout) == (2, "")
    assert first.startswith("error: ")
    assert first.endswith(message)
    assert second.strip().startswith(remedy)
    error = read_report(tmp_path / REPORT, 2)["error"]
    assert error["message"].endswith(message)
    assert error["remedy"].startswith(remedy)


@pytest.mark.parametrize(
    "valid, mistyped, named, meant",
    [
        (["--report-file", "a.json"], ["--report=b"], "--report", "--report-file"),
        (["--download-dir", "files"], ["--download"], "--download", "--download-dir"),
        (["--report-file=a.json"], ["--report-fil", "b.json"], "--report-fil", "--report-file"),
    ],
)
def test_mistyped_option_is_named_although_a_valid_option_begins_with_it(
    valid: list[str], mistyped: list[str], named: str, meant: str, tmp_path: Path
) -> None:
    completed = run("diff", "left", "right", *valid, *mistyped, cwd=tmp_path)
    assert completed.returncode == 2
    assert f"model-gate diff has no option {named}.\n" in completed.stderr
    assert f"Did you mean {meant}? See model-gate diff --help." in completed.stderr


def test_report_of_a_usage_error_is_at_the_named_path(tmp_path: Path) -> None:
    run("compare", "--unknown", "--report-file", "named.json", cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["named.json"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--model", "Wine"], "Write it after the command, as in model-gate check --model."),
        (["something"], "The commands are: check, compare, diff"),
        (["demo", "somewhere"], "model-gate demo takes options only"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_usage_error_without_a_gate_has_a_remedy_and_no_report(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    completed = run(*arguments, cwd=tmp_path)
    assert completed.returncode == 2
    assert completed.stderr.startswith("error: ")
    assert message in completed.stderr
    assert list(tmp_path.iterdir()) == []


def test_compare_file_can_be_named_without_its_option(tmp_path: Path) -> None:
    (tmp_path / "promotion.yaml").write_text("{}")
    completed = run("compare", "promotion.yaml", cwd=tmp_path)
    assert "promotion.yaml: the key 'tracking_server_1' is missing" in completed.stderr
    assert read_report(tmp_path / REPORT, 2)["options"]["config_file"] == "promotion.yaml"


@pytest.mark.parametrize("command", ["check", "compare", "diff"])
def test_help_at_80_columns_has_whole_option_names_in_groups(command: str, tmp_path: Path) -> None:
    completed = run(command, "--help", cwd=tmp_path, environment={"COLUMNS": "80"})
    lines = completed.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    names = {line.split()[0] for line in lines if line.startswith("  --")}
    assert {"--fail-on-same-location", "--allow-local-artifacts", "--report-file", "--require"} <= names
    titles = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert titles[:4] == ["What to compare:", "Servers and credentials:", "Verdict:", "Output:"]
    assert lines[lines.index("Example:") + 1].startswith(f"  model-gate {command} ")


@pytest.mark.parametrize("command", ["", "check", "compare"])
def test_help_imports_no_package_that_takes_long(command: str) -> None:
    program = "import sys\nfrom model_gate import cli\ntry:\n    cli.app(sys.argv[1:], prog_name='model-gate')\n"
    program += "finally:\n    print(*{name.partition('.')[0] for name in sys.modules})"
    completed = subprocess.run(
        [sys.executable, "-c", program, *filter(None, [command]), "--help"],
        env=clean_environment(),
        check=True,
        capture_output=True,
        text=True,
    )
    imported = set(completed.stdout.splitlines()[-1].split())
    assert "typer" in imported
    assert imported.isdisjoint({"rich", "pydantic", "yaml", "jsonschema", "requests"})


@pytest.mark.parametrize("command", ["run", "merge"])
def test_usage_error_of_a_run_leaves_no_report_of_an_earlier_run(tmp_path: Path, command: str) -> None:
    report = tmp_path / "model-gate-report.json"
    report.write_text('{\n  "schema_version": "1.0",\n  "passed": true\n}\n')
    result = run(command, "--no-such-option", cwd=tmp_path)
    assert result.returncode == 2, result
    assert not report.exists()


def test_number_outside_the_range_of_an_option_is_an_error_that_names_the_range(tmp_path: Path) -> None:
    for value in ("100", "many"):
        completed = run("run", "gates.yaml", "--jobs", value, cwd=tmp_path)
        assert completed.returncode == 2
        assert "Write a whole number from 1 to 64, as in --jobs 4. See model-gate run --help." in completed.stderr

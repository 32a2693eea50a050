"""A command never replaces a file that it reads, or may have read, with its report."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from model_gate.formats.document_kinds import PROMOTION_TYPE
from tests.support import commandline
from tests.support.databases import make_database
from tests.support.faulty_server import MODEL, FaultyServer
from tests.support.gates import version
from tests.support.seals import write_seal
from tests.support.zoo.tree import Tree, make_tree

FOREIGN = b"SQLite format 3\0 data of another program"


def contents(directory: Path) -> dict[str, bytes]:
    """Return the content of each file below a directory."""
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def require_refused(
    directory: Path, *arguments: str | Path, message: str, environment: dict[str, str] | None = None
) -> None:
    """Run a command in a directory, and assert that it is an error with this message and changes no file."""
    before = contents(directory)
    completed = commandline.run(*arguments, cwd=directory, environment=environment)
    assert (completed.returncode, completed.stdout) == (2, ""), completed
    assert "error: " in completed.stderr
    assert message in completed.stderr
    assert "Traceback" not in completed.stderr
    assert contents(directory) == before


@pytest.mark.parametrize("report", ["mlflow.db", "../{}/mlflow.db", "hard-link", "mlflow.db-wal"])
def test_report_never_replaces_the_database_that_is_the_registry(report: str, tmp_path: Path) -> None:
    database = make_database(tmp_path / "mlflow.db")
    os.link(database, tmp_path / "hard-link")
    (tmp_path / "mlflow.db-wal").write_bytes(b"")
    require_refused(
        tmp_path,
        *("check", "--host", f"sqlite:///{database}", "--model", "Wine", "--version-or-stage", "1"),
        *("--report-file", report.format(tmp_path.name)),
        message="would change an input",
    )


@pytest.mark.parametrize("report", ["compare.yaml", "./sub/../compare.yaml"])
def test_report_never_replaces_the_compare_file(report: str, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    entry = version("http://127.0.0.1:1", "Wine")
    (tmp_path / "compare.yaml").write_text(json.dumps({"tracking_server_1": entry, "tracking_server_2": entry}))
    require_refused(
        tmp_path, "compare", "--config-file", "compare.yaml", "--report-file", report, message="would change an input"
    )


@pytest.mark.parametrize("report", ["model/MLmodel", "model/data/new.json"])
def test_report_is_not_written_to_a_model_that_a_registry_names(report: str, tmp_path: Path) -> None:
    tree: Tree = dict(MODEL.items())
    make_tree(tmp_path / "model", tree)
    with FaultyServer() as server:
        server.sources["Wine", "1"] = str(tmp_path / "model")
        require_refused(
            tmp_path,
            *("check", "--model", "Wine", "--version-or-stage", "1", "--allow-local-artifacts"),
            *("--report-file", report),
            message="would change an input",
            environment={"MLFLOW_TRACKING_URI": server.url},
        )


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify", "model", "--modle", "Wine"),
        ("verify", "model", "--timeout", "abc"),
        ("check", "--no-such-option"),
        ("compare", "missing.yaml"),
    ],
    ids=" ".join,
)
def test_usage_error_removes_the_statement_of_an_earlier_gate_but_no_other_file(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    statement = tmp_path / "statement.json"
    for option in (("--statement", "statement.json"), ("--statement=statement.json",)):
        statement.write_text(f'{{\n  "predicateType": "{PROMOTION_TYPE}"\n}}\n')
        assert commandline.run(*arguments, *option, cwd=tmp_path).returncode == 2
        assert not statement.exists()
    for other in (write_seal(statement).read_bytes(), FOREIGN):
        statement.write_bytes(other)
        assert commandline.run(*arguments, "--statement", statement, cwd=tmp_path).returncode == 2
        assert statement.read_bytes() == other


@pytest.mark.parametrize(
    "arguments",
    [("check", "--no-such-option"), ("compare", "--timeout", "soon"), ("diff", "only-left")],
    ids=["check", "compare", "diff"],
)
def test_report_of_a_usage_error_never_replaces_a_file_that_is_no_report(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "mlflow.db").write_bytes(FOREIGN)
    require_refused(tmp_path, *arguments, "--report-file", "mlflow.db", message="See model-gate")


def test_report_that_is_named_as_the_seal_is_an_error_about_the_seal(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    report = tmp_path / "model-gate-report.json"
    assert commandline.run("diff", "model", "missing", cwd=tmp_path).returncode == 2
    before = report.read_bytes()
    completed = commandline.run("verify", "model", "--seal", report.name, cwd=tmp_path)
    assert completed.returncode == 2
    assert f"{report.name} is a report of Model Gate, not a seal." in completed.stderr
    assert "Name the file that model-gate seal wrote to --output." in completed.stderr
    assert report.read_bytes() == before

"""Audits on a local Spark with two real tracking servers. `make test-spark` runs them."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import psutil
import pytest
import yaml

from model_gate.errors import ConfigError, InputError
from model_gate.spark import audit, audit_to_table, missing_rows, plan_audit, run_plan
from tests.support import commandline
from tests.support.listener import Listener
from tests.support.paths import ROOT
from tests.support.seals import write_seal
from tests.support.servers import Servers

pytestmark = [
    pytest.mark.spark,
    # Spark warns of the pandas of the tests. Executors of these tests have no pandas.
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]

_STAGING = "server: staging, model: Wine"
_GATES = f"""\
gates:
  same:
    tracking_server_1: {{{_STAGING}, version_or_stage: 2}}
    tracking_server_2: {{server: production, model: Wine Imported, version_or_stage: 1}}
    compare_run_models: false
  changed:
    tracking_server_1: {{{_STAGING}, version_or_stage: 2}}
    tracking_server_2: {{server: production, model: Wine Imported, version_or_stage: 2}}
    compare_run_models: false
  accepted:
    tracking_server_1: {{{_STAGING}, version_or_stage: 1}}
    tracking_server_2: {{server: production, model: Wine Imported, version_or_stage: 3}}
    compare_run_models: false
    require: equivalent
  moving: {{check: {{{_STAGING}, version_or_stage: "@audited"}}}}
  sealed: {{check: {{server: staging, model: Sealed, version_or_stage: 1}}, seal: seals/sealed.json}}
  other-seal: {{check: {{{_STAGING}, version_or_stage: 4}}, seal: seals/sealed.json, seal_model: Sealed}}
  no-seal: {{check: {{{_STAGING}, version_or_stage: 1}}, seal: seals/none.json}}
  no-model: {{check: {{server: production, model: Nothing, version_or_stage: 1}}}}
  selected:
    select: {{server: staging, models: "Wine*", version_or_stage: latest}}
    against: run_model
"""
_EQUAL_COLUMNS = ("status", "passed", "equivalent", "heading", "reason", "remedy", "file", "line", "digest")


class Cluster:
    """A local Spark, whose processes have the variables of two servers."""

    def __init__(self, directory: Path, servers: Servers, spark: Any) -> None:
        self.directory = directory
        self.servers = servers
        self.spark = spark
        self.events = directory / "events"

    def rows(self, table: str) -> list[Any]:
        return list(self.spark.table(table).orderBy("checked_at", "name").collect())

    def set_alias(self, version: str) -> None:
        server = self.servers.staging
        login = base64.b64encode(f"{server.username}:{server.password}".encode()).decode()
        request = urllib.request.Request(  # noqa: S310  # a server of the tests
            f"{server.url}/api/2.0/mlflow/registered-models/alias",
            json.dumps({"name": "Wine", "alias": "audited", "version": version}).encode(),
            {"Authorization": f"Basic {login}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request):  # noqa: S310
            return


def write_seal_of(directory: Path, path: Path) -> None:
    """Write the seal of the registered model `Sealed`, which has the files of a directory."""
    files = {
        file.relative_to(directory).as_posix(): file.read_bytes() for file in directory.rglob("*") if file.is_file()
    }
    write_seal(path, "Sealed", files)


@pytest.fixture(scope="module")
def cluster(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    directory = tmp_path_factory.mktemp("spark")
    blocked = directory / "blocked"
    (blocked / "pandas").mkdir(parents=True)
    (blocked / "pandas/__init__.py").write_text("raise ImportError('executors have no pandas')\n")
    (directory / "events").mkdir()
    (directory / "gates.yaml").write_text(_GATES)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        for name in ("MLFLOW_TRACKING_URI", "SPARK_REMOTE", "SPARK_HOME"):
            patch.delenv(name, raising=False)
        for prefix, server in (("STAGING", servers.staging), ("PRODUCTION", servers.production)):
            patch.setenv(f"{prefix}_MLFLOW_TRACKING_URI", server.url)
            patch.setenv(f"{prefix}_MLFLOW_TRACKING_USERNAME", server.username)
            patch.setenv(f"{prefix}_MLFLOW_TRACKING_PASSWORD", server.password)
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("PYTHONPATH", str(blocked))
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        spark = _start(directory)
        made = Cluster(directory, servers, spark)
        made.set_alias("1")
        write_seal_of(Path(servers.seeds["wine"]), directory / "seals/sealed.json")
        yield made
        spark.stop()


def _start(directory: Path) -> Any:
    from pyspark.sql import SparkSession

    settings = {
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.warehouse.dir": str(directory / "warehouse"),
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": str(directory / "events"),
        "spark.eventLog.compress": "false",
        "spark.sql.session.timeZone": "America/New_York",
    }
    # Like a cluster, it runs a task at most four times.
    builder = SparkSession.builder.master("local[2, 4]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


@pytest.fixture(scope="module")
def audited(cluster: Cluster) -> Mapping[str, Any]:
    """The rows of the first audit, which makes the table `audits`."""
    rows = audit_to_table(cluster.spark, "gates.yaml", "audits", partitions=2).collect()
    return {row["name"]: row for row in rows}


def run_rows(cluster: Cluster, jobs: int) -> dict[str, Any]:
    report = f"reports/{jobs}.json"
    command = ("run", "gates.yaml", "--jobs", str(jobs), "--report-file", report)
    completed = commandline.run(*command, cwd=cluster.directory)
    assert completed.returncode == 2, completed.stderr
    lines = (cluster.directory / "reports" / f"{jobs}.rows.jsonl").read_text().splitlines()
    return {row["name"]: row for row in map(json.loads, lines) if "name" in row}


@pytest.mark.parametrize("jobs", [1, 4])
def test_rows_are_those_of_the_command_run(jobs: int, cluster: Cluster, audited: Mapping[str, Any]) -> None:
    expected = run_rows(cluster, jobs)
    assert audited.keys() == expected.keys()
    found = {name: {column: row[column] for column in _EQUAL_COLUMNS} for name, row in audited.items()}
    assert found == {name: {column: row[column] for column in _EQUAL_COLUMNS} for name, row in expected.items()}
    statuses = {name: row["status"] for name, row in audited.items()}
    assert statuses["same"] == "equal"
    assert statuses["changed"] == "different"
    assert statuses["sealed"] == "equal"
    assert statuses["other-seal"] == "different"
    assert {statuses["no-seal"], statuses["no-model"]} == {"error"}
    assert sum(name.startswith("selected/") for name in statuses) >= 3


def test_report_of_a_row_is_that_of_its_gate(audited: Mapping[str, Any]) -> None:
    for row in audited.values():
        report = json.loads(row["report"])
        assert (report["status"], report["passed"]) == (row["status"], row["passed"])
        assert abs(time.time() - row["checked_at"].timestamp()) < 1_000


def test_only_gates_without_a_recent_row_are_run_again(cluster: Cluster, audited: Mapping[str, Any]) -> None:
    before = len(cluster.rows("audits"))
    found = {row["name"]: row for row in audit_to_table(cluster.spark, "gates.yaml", "audits").collect()}
    again = {row["name"] for row in cluster.rows("audits")[before:]}
    assert again == {name for name, row in audited.items() if row["status"] == "error"}
    assert found.keys() == audited.keys()
    assert {name: row for name, row in found.items() if name not in again} == {
        name: row for name, row in audited.items() if name not in again
    }


def test_gate_is_run_again_if_its_alias_or_its_options_change(cluster: Cluster, audited: Mapping[str, Any]) -> None:
    cluster.set_alias("2")
    moved = audit(cluster.spark, "gates.yaml", done=cluster.spark.table("audits"), only=["moving", "same"])
    assert [row["name"] for row in moved.collect()] == ["moving"]
    cluster.set_alias("1")
    options: Any = {"done": cluster.spark.table("audits"), "only": ["moving", "same"]}
    kept = plan_audit(cluster.spark, "gates.yaml", **options)
    changed = plan_audit(cluster.spark, "gates.yaml", require="equivalent", **options)
    assert (kept.count(), changed.count()) == (0, 2)


def test_old_row_is_not_kept(cluster: Cluster, audited: Mapping[str, Any]) -> None:
    def planned(hours: int) -> int:
        rows = cluster.spark.table("audits").where("name = 'same'")
        done = rows.selectExpr("name", "digest", f"checked_at - interval {hours} hours as checked_at")
        return int(plan_audit(cluster.spark, "gates.yaml", only=["same"], done=done).count())

    assert (planned(23), planned(25)) == (0, 1)


def test_newest_row_decides(cluster: Cluster, audited: Mapping[str, Any]) -> None:
    rows = cluster.spark.table("audits").where("name = 'same'")
    failed = rows.selectExpr("name", "'' as digest", "checked_at + interval 1 second as checked_at")
    done = rows.select("name", "digest", "checked_at").unionByName(failed)
    assert plan_audit(cluster.spark, "gates.yaml", only=["same"], done=done).count() == 1


def secret_texts(servers: Servers) -> list[str]:
    passwords = [servers.staging.password, servers.production.password]
    return [form for password in passwords for form in (password, quote(password, safe=""), json.dumps(password)[1:-1])]


def test_no_credential_leaves_the_driver(
    cluster: Cluster, audited: Mapping[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    plan = plan_audit(cluster.spark, "gates.yaml")
    rows = run_plan(plan)
    rows.explain(extended=True)
    texts = {
        "plan": str(plan.collect()),
        "explain": capsys.readouterr().out,
        "logical plan": str(rows._jdf.queryExecution().logical()),
        "events": "".join(path.read_text() for path in cluster.events.rglob("*") if path.is_file()),
        "table": str(cluster.rows("audits")),
    }
    assert cluster.servers.staging.url in texts["plan"]
    assert "MapInArrow" in texts["explain"]
    assert "SparkListenerTaskEnd" in texts["events"]
    secrets = secret_texts(cluster.servers)
    assert [(name, secret) for name, text in texts.items() for secret in secrets if secret in text] == []
    command = rows._jdf.queryExecution().logical().functionExpr().func().command()
    pickled = bytes(int(number) % 256 for number in command.mkString(",").split(","))
    assert b"run_batches" in pickled
    assert [secret for secret in secrets if secret.encode() in pickled] == []


def test_credentials_come_from_the_executor(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGING_MLFLOW_TRACKING_PASSWORD", "wrong-on-the-driver")
    monkeypatch.setenv("PRODUCTION_MLFLOW_TRACKING_PASSWORD", "wrong-on-the-driver")
    [row] = audit(cluster.spark, "gates.yaml", only=["same"]).collect()
    assert row["status"] == "equal"


def test_variables_of_the_driver_alone_are_an_error(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATE_MLFLOW_TRACKING_URI", cluster.servers.staging.url)
    monkeypatch.setenv("STAGING_MLFLOW_TRACKING_URI", cluster.servers.old.url)
    check = {"model": "Wine", "version_or_stage": 1}
    entries = [{"name": name, "check": {"server": name, **check}} for name in ("late", "staging")]
    rows = {row["name"]: row for row in audit(cluster.spark, entries).collect()}
    assert "There is no server 'late'" in rows["late"]["reason"]
    assert f"is {cluster.servers.staging.url} on the executor" in rows["staging"]["reason"]
    assert {row["status"] for row in rows.values()} == {"error"}


def test_gate_without_a_row_is_an_error(cluster: Cluster, audited: Mapping[str, Any]) -> None:
    plan = plan_audit(cluster.spark, "gates.yaml")
    result = cluster.spark.table("audits").where("name not in ('same', 'sealed')")
    rows = missing_rows(plan, result)
    assert rows.columns == cluster.spark.table("audits").columns
    found = {row["name"]: row for row in rows.collect()}
    assert found.keys() == {"same", "sealed"}
    for row in found.values():
        assert (row["status"], row["passed"], row["equivalent"], row["digest"]) == ("error", False, None, "")
        assert "was lost" in row["reason"]
        assert json.loads(row["report"])["error"]["type"] == "StoppedError"


def test_lost_executor_leaves_an_error_for_each_of_its_gates(cluster: Cluster) -> None:
    has_ended = threading.Event()
    with Listener() as listener:
        killer = threading.Thread(target=_kill_executors, args=(cluster.spark, listener, has_ended))
        killer.start()
        address = f"http://127.0.0.1:{listener.port}"
        entries = [
            {"name": "good", "check": {"server": "staging", "model": "Sealed", "version_or_stage": 1}},
            {"name": "silent", "check": {"host": address, "model": "Wine", "version_or_stage": 1}},
            {"name": "last", "check": {"server": "staging", "model": "Wine", "version_or_stage": 1}},
        ]
        try:
            rows = audit_to_table(cluster.spark, entries, "lost", batch=2, partitions=1, jobs=1).collect()
        finally:
            has_ended.set()
            killer.join()
    found = {row["name"]: row for row in rows}
    assert len(rows) == len(found) == 3
    assert {name: row["status"] for name, row in found.items()} == {"good": "error", "silent": "error", "last": "equal"}
    assert "The Spark job of this gate failed" in found["silent"]["reason"]


def _kill_executors(spark: Any, listener: Listener, has_ended: threading.Event) -> None:
    """Kill the Python of the executors whenever a gate has a new connection to the listener."""
    connections = 0
    while not has_ended.wait(0.05):
        if listener.connections == connections:
            continue
        connections = listener.connections
        for process in psutil.Process(spark.sparkContext._gateway.proc.pid).children(recursive=True):
            # A process can have ended meanwhile.
            with contextlib.suppress(psutil.Error):
                if "pyspark.daemon" in process.cmdline():
                    process.kill()


def test_audit_by_spark_connect_is_the_same(cluster: Cluster, audited: Mapping[str, Any], tmp_path: Path) -> None:
    (tmp_path / "gates.yaml").write_text(_GATES)
    completed = subprocess.run(
        [sys.executable, "-m", "tests.spark.connect_audit", str(tmp_path)],
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
        timeout=250,
    )
    first, second = json.loads(completed.stdout.splitlines()[-1])
    for row in first:
        assert {name: row[name] for name in row if name != "audit"} == {
            name: audited[row["name"]][name] for name in row if name != "audit"
        }
    ids = {row["name"]: row["audit"] for row in first}
    assert ids.keys() == {"same", "no-model"}
    assert {row["name"] for row in second if row["audit"] == ids[row["name"]]} == {"same"}
    assert len(second) == 2


class NotebookExitError(Exception):
    """Raised by `dbutils.notebook.exit`."""


@pytest.mark.parametrize("name, error", [("same", NotebookExitError), ("changed", RuntimeError)])
def test_notebook_fails_if_a_gate_does(name: str, error: type[Exception], cluster: Cluster) -> None:
    gates = cluster.directory / f"{name}.yaml"
    entries = yaml.safe_load(_GATES)["gates"]
    gates.write_text(json.dumps({"gates": {name: entries[name]}}))
    values = {"1 gates": str(gates), "2 table": f"notebook_{name}", "3 require": "identical", "4 jobs": "1"}
    shown: list[Any] = []

    def exit_notebook(value: str) -> None:
        raise NotebookExitError(value)

    def define(*_: object) -> None:
        """Define a widget, whose value is known."""

    widgets = SimpleNamespace(text=define, dropdown=define, get=values.__getitem__)
    dbutils = SimpleNamespace(widgets=widgets, notebook=SimpleNamespace(exit=exit_notebook))
    source = (ROOT / "notebooks/audit.py").read_text()
    with pytest.raises(error, match="passed" if name == "same" else "1 of 1 gates did not pass"):
        exec(  # noqa: S102  # the notebook of this repository
            compile(source, "audit.py", "exec"),
            {"dbutils": dbutils, "spark": cluster.spark, "display": lambda frame: shown.extend(frame.collect())},
        )
    assert [row["name"] for row in shown] == [name]
    assert [row["name"] for row in cluster.rows(f"notebook_{name}")] == [name]


def test_table_with_other_columns_is_an_error(cluster: Cluster) -> None:
    cluster.spark.createDataFrame([(1,)], "name int").write.saveAsTable("others")
    with pytest.raises(InputError, match="has no column 'status'"):
        audit_to_table(cluster.spark, "gates.yaml", "others", only=["same"])


@pytest.mark.parametrize(
    "gates, options, error",
    [
        ("missing.yaml", {}, ConfigError),
        ([{"check": {}}], {}, InputError),
        (["gates.yaml", {"name": "wine"}], {}, InputError),
        ("gates.yaml", {"only": ["nothing"]}, InputError),
        ("gates.yaml", {"require": "same"}, InputError),
        ("gates.yaml", {"jobs": 0}, InputError),
        ("gates.yaml", {"partitions": 0, "only": ["same"]}, InputError),
        ("gates.yaml", {"requires": "identical"}, TypeError),
    ],
)
def test_invalid_argument_is_an_error(
    gates: Any, options: dict[str, Any], error: type[Exception], cluster: Cluster
) -> None:
    with pytest.raises(error):
        audit(cluster.spark, gates, **options)

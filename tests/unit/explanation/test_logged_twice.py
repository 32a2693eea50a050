"""Verdicts on models that MLflow logged, copied or trained again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.models import Model

from tests.support.explained import diff, run_command
from tests.support.logged_models import LoggedModels

pytestmark = pytest.mark.xdist_group("logged_models")


def test_skops_model_logged_again_is_equivalent_to_the_first_model(logged: LoggedModels, tmp_path: Path) -> None:
    result = diff(tmp_path, logged.first["default"], logged.second["default"], "--require", "equivalent")
    assert (result.exit_code, result.verdict) == (0, "equivalent"), result.text
    difference = result.difference("model.skops")
    assert "same members, different archive metadata" in difference["identity"]
    assert "schema.json" in difference["identity"]
    assert {entry["path"] for entry in result.comparison["differences"]} == {"MLmodel", "model.skops"}


def test_cloudpickle_model_logged_again_is_equivalent_to_the_first_model(logged: LoggedModels, tmp_path: Path) -> None:
    result = diff(tmp_path, logged.first["cloudpickle"], logged.second["cloudpickle"])
    assert (result.exit_code, result.verdict) == (1, "equivalent"), result.text
    fields = {field["field"]: field["identity"] for field in result.difference("MLmodel")["explanation"]["fields"]}
    assert set(fields) == {"run_id", "model_id", "model_uuid", "artifact_path", "utc_time_created"}
    assert all(fields.values())


def test_mlflow_2_model_logged_again_is_equivalent_to_the_first_model(logged: LoggedModels, tmp_path: Path) -> None:
    result = diff(tmp_path, logged.mlflow_2["cloudpickle"], logged.mlflow_2_again["cloudpickle"])
    assert result.verdict == "equivalent", result.text
    assert result.difference("MLmodel")["identity"] == "only model_uuid, run_id, utc_time_created differ"


def test_copy_of_a_model_on_a_second_server_is_equal_to_the_original(logged: LoggedModels, tmp_path: Path) -> None:
    model = logged.first["default"]
    other_server = MlflowClient(logged.second.host)
    experiment = other_server.create_experiment("copies", artifact_location=str(tmp_path / "copies"))
    run = other_server.create_run(experiment)
    other_server.log_artifacts(run.info.run_id, str(model), "model")
    other_server.create_registered_model("wine")
    other_server.create_model_version("wine", f"{run.info.artifact_uri}/model", run.info.run_id)
    config = tmp_path / "compare.yaml"
    config.write_text(
        json.dumps(
            {
                "tracking_server_1": {"host": logged.first.host, "model": "default", "version_or_stage": 1},
                "tracking_server_2": {"host": logged.second.host, "model": "wine", "version_or_stage": 1},
            }
        )
    )
    result = run_command(tmp_path, "compare", "--config-file", config)
    assert (result.exit_code, result.report["status"]) == (0, "equal"), result.text


def test_imported_model_with_new_ids_is_equivalent_to_the_exported_model(logged: LoggedModels, tmp_path: Path) -> None:
    # An import gives the model another run and another id, and writes them into MLmodel.
    imported = tmp_path / "imported"
    shutil.copytree(logged.first["default"], imported)
    model = Model.load(str(imported))
    model.run_id, model.model_id, model.model_uuid = "0" * 32, f"m-{'0' * 32}", f"m-{'0' * 32}"
    model.artifact_path = "mlflow-artifacts:/7/models/m-0/artifacts"
    model.save(str(imported / "MLmodel"))
    result = diff(tmp_path, logged.first["default"], imported)
    assert result.verdict == "equivalent", result.text
    fields = {field["field"] for field in result.difference("MLmodel")["explanation"]["fields"]}
    assert fields == {"run_id", "model_id", "model_uuid", "artifact_path"}


def test_retrained_skops_model_is_different_and_the_explanation_names_its_changes(
    logged: LoggedModels, tmp_path: Path
) -> None:
    result = diff(tmp_path, logged.first["default"], logged.first["retrained"], "--require", "equivalent")
    assert (result.exit_code, result.verdict) == (1, "different"), result.text
    changed = {field["field"]: field["meaning"] for field in result.difference("model.skops")["explanation"]["fields"]}
    assert "39 of 39 elements changed" in changed["steps[1][1].coef_"]
    assert "random_state 1 → 2" in changed["schema.json"]
    # Training does not change the classes.
    assert "steps[1][1].classes_" not in changed
    assert "model.skops: schema.json: steps[1][1].random_state 1 → 2" in result.text


def test_retrained_cloudpickle_model_is_different_and_the_explanation_names_the_differing_opcode(
    logged: LoggedModels, tmp_path: Path
) -> None:
    result = diff(tmp_path, logged.first["cloudpickle"], logged.first["retrained_cloudpickle"])
    assert result.verdict == "different", result.text
    explanation = result.difference("model.pkl")["explanation"]
    assert explanation["kind"] == "pickle"
    assert " bytes differ" in explanation["summary"]
    opcode = {field["field"]: field for field in explanation["fields"]}["first differing opcode"]
    assert opcode["left"] == opcode["right"]
    assert opcode["meaning"].startswith("in the value of SHORT_BINBYTES (")
    assert not [field for field in explanation["fields"] if field["field"] == "global"], "both use the same classes"


def test_explanation_names_changed_versions_of_mlflow_and_scikit_learn(logged: LoggedModels, tmp_path: Path) -> None:
    result = diff(tmp_path, logged.mlflow_2["cloudpickle"], logged.first["cloudpickle"])
    assert result.verdict == "different", result.text
    summary = result.difference("requirements.txt")["explanation"]["summary"]
    assert summary.startswith(f"mlflow 2.22.5 → {mlflow.__version__}, scikit-learn 1.8."), summary
    fields = {field["field"]: field for field in result.difference("MLmodel")["explanation"]["fields"]}
    assert fields["mlflow_version"]["meaning"] == "logged by another version of MLflow"
    assert fields["flavors.sklearn.sklearn_version"]["meaning"] == "logged with another version of the library"
    assert fields["flavors.sklearn.sklearn_version"]["left"].startswith("1.8.")
    # What decides about predictions comes first.
    assert result.text.index("model.pkl: ") < result.text.index("requirements.txt: ")


def test_explanation_shows_changed_code_of_a_pyfunc_model(logged: LoggedModels, tmp_path: Path) -> None:
    result = diff(tmp_path, logged.first["rule"], logged.first["changed_rule"])
    assert result.verdict == "different", result.text
    explanation = result.difference("code/rule.py")["explanation"]
    assert explanation["lines"] == ["@@ -1 +1 @@", "-LIMIT = 3", "+LIMIT = 4"]
    assert "code/rule.py: 1 line added, 1 line removed" in result.text
    assert {entry["path"] for entry in result.comparison["differences"]} == {"code/rule.py", "MLmodel"}


def test_pyfunc_models_logged_from_different_directories_are_equivalent(logged: LoggedModels, tmp_path: Path) -> None:
    result = diff(tmp_path, logged.first["rule"], logged.second["rule"])
    assert result.verdict == "equivalent", result.text
    (difference,) = result.comparison["differences"]
    fields = {field["field"]: field for field in difference["explanation"]["fields"]}
    code_path = fields["flavors.python_function.model_code_path"]
    assert code_path["left"] != code_path["right"]
    assert code_path["left"].endswith("/program.py")

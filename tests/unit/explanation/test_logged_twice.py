"""The same model, logged twice in one way or another: the verdict, and the reason for it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.models import Model

from tests.support.explained import diff, tell
from tests.support.logged_models import LoggedModels

pytestmark = pytest.mark.xdist_group("logged_models")


def test_skops_logged_again_is_equivalent_although_every_member_has_another_name(
    logged: LoggedModels, tmp_path: Path
) -> None:
    told = diff(tmp_path, logged.first["default"], logged.second["default"], "--require", "equivalent")
    assert (told.exit_code, told.verdict) == (0, "equivalent"), told.text
    difference = told.difference("model.skops")
    assert "same members, different archive metadata" in difference["identity"]
    assert "schema.json" in difference["identity"]
    assert {each["path"] for each in told.comparison["differences"]} == {"MLmodel", "model.skops"}


def test_cloudpickle_logged_again_is_equivalent(logged: LoggedModels, tmp_path: Path) -> None:
    told = diff(tmp_path, logged.first["cloudpickle"], logged.second["cloudpickle"])
    assert (told.exit_code, told.verdict) == (1, "equivalent"), told.text
    fields = {each["field"]: each["identity"] for each in told.difference("MLmodel")["explanation"]["fields"]}
    assert set(fields) == {"run_id", "model_id", "model_uuid", "artifact_path", "utc_time_created"}
    assert all(fields.values())


def test_mlflow_2_logged_again_is_equivalent(logged: LoggedModels, tmp_path: Path) -> None:
    told = diff(tmp_path, logged.mlflow_2["cloudpickle"], logged.mlflow_2_again["cloudpickle"])
    assert told.verdict == "equivalent", told.text
    assert told.difference("MLmodel")["identity"] == "only model_uuid, run_id, utc_time_created differ"


def test_registered_elsewhere_as_it_was_is_equal(logged: LoggedModels, tmp_path: Path) -> None:
    model = logged.first["default"]
    elsewhere = MlflowClient(logged.second.host)
    experiment = elsewhere.create_experiment("copies", artifact_location=str(tmp_path / "copies"))
    run = elsewhere.create_run(experiment)
    elsewhere.log_artifacts(run.info.run_id, str(model), "model")
    elsewhere.create_registered_model("wine")
    elsewhere.create_model_version("wine", f"{run.info.artifact_uri}/model", run.info.run_id)
    config = tmp_path / "compare.yaml"
    config.write_text(
        json.dumps(
            {
                "tracking_server_1": {"host": logged.first.host, "model": "default", "version_or_stage": 1},
                "tracking_server_2": {"host": logged.second.host, "model": "wine", "version_or_stage": 1},
            }
        )
    )
    told = tell(tmp_path, "compare", "--config-file", config)
    assert (told.exit_code, told.report["status"]) == (0, "equal"), told.text


def test_imported_as_another_logged_model_is_equivalent(logged: LoggedModels, tmp_path: Path) -> None:
    # What an import writes into MLmodel, since the model has another run and another id there.
    imported = tmp_path / "imported"
    shutil.copytree(logged.first["default"], imported)
    model = Model.load(str(imported))
    model.run_id, model.model_id, model.model_uuid = "0" * 32, f"m-{'0' * 32}", f"m-{'0' * 32}"
    model.artifact_path = "mlflow-artifacts:/7/models/m-0/artifacts"
    model.save(str(imported / "MLmodel"))
    told = diff(tmp_path, logged.first["default"], imported)
    assert told.verdict == "equivalent", told.text
    fields = {each["field"] for each in told.difference("MLmodel")["explanation"]["fields"]}
    assert fields == {"run_id", "model_id", "model_uuid", "artifact_path"}


def test_skops_retrained_is_different_and_names_what_changed(logged: LoggedModels, tmp_path: Path) -> None:
    told = diff(tmp_path, logged.first["default"], logged.first["retrained"], "--require", "equivalent")
    assert (told.exit_code, told.verdict) == (1, "different"), told.text
    changed = {each["field"]: each["meaning"] for each in told.difference("model.skops")["explanation"]["fields"]}
    assert "39 of 39 elements changed" in changed["steps[1][1].coef_"]
    assert "random_state 1 → 2" in changed["schema.json"]
    # What training does not change is not among it.
    assert "steps[1][1].classes_" not in changed
    assert "model.skops: schema.json: steps[1][1].random_state 1 → 2" in told.text


def test_cloudpickle_retrained_is_different_from_a_byte_and_an_opcode_on(logged: LoggedModels, tmp_path: Path) -> None:
    told = diff(tmp_path, logged.first["cloudpickle"], logged.first["retrained_cloudpickle"])
    assert told.verdict == "different", told.text
    explanation = told.difference("model.pkl")["explanation"]
    assert explanation["kind"] == "pickle"
    assert " bytes differ" in explanation["summary"]
    opcode = {each["field"]: each for each in explanation["fields"]}["first differing opcode"]
    assert opcode["left"] == opcode["right"]
    assert opcode["meaning"].startswith("in the value of SHORT_BINBYTES (")
    assert not [each for each in explanation["fields"] if each["field"] == "global"], "the same classes are used"


def test_another_mlflow_and_scikit_learn_are_named(logged: LoggedModels, tmp_path: Path) -> None:
    told = diff(tmp_path, logged.mlflow_2["cloudpickle"], logged.first["cloudpickle"])
    assert told.verdict == "different", told.text
    summary = told.difference("requirements.txt")["explanation"]["summary"]
    assert summary.startswith(f"mlflow 2.22.5 → {mlflow.__version__}, scikit-learn 1.8."), summary
    fields = {each["field"]: each for each in told.difference("MLmodel")["explanation"]["fields"]}
    assert fields["mlflow_version"]["meaning"] == "logged by another version of MLflow"
    assert fields["flavors.sklearn.sklearn_version"]["meaning"] == "logged with another version of the library"
    assert fields["flavors.sklearn.sklearn_version"]["left"].startswith("1.8.")
    # The packages are what an engineer looks at first.
    assert told.text.index("requirements.txt: ") < told.text.index("model.pkl: ")


def test_changed_code_of_a_pyfunc_is_shown(logged: LoggedModels, tmp_path: Path) -> None:
    told = diff(tmp_path, logged.first["rule"], logged.first["changed_rule"])
    assert told.verdict == "different", told.text
    explanation = told.difference("code/rule.py")["explanation"]
    assert explanation["lines"] == ["@@ -1 +1 @@", "-LIMIT = 3", "+LIMIT = 4"]
    assert "code/rule.py: 1 line added, 1 line removed" in told.text
    assert {each["path"] for each in told.comparison["differences"]} == {"code/rule.py", "MLmodel"}


def test_a_pyfunc_from_code_that_lay_elsewhere_is_equivalent(logged: LoggedModels, tmp_path: Path) -> None:
    told = diff(tmp_path, logged.first["rule"], logged.second["rule"])
    assert told.verdict == "equivalent", told.text
    (difference,) = told.comparison["differences"]
    fields = {each["field"]: each for each in difference["explanation"]["fields"]}
    place = fields["flavors.python_function.model_code_path"]
    assert place["left"] != place["right"]
    assert place["left"].endswith("/program.py")

"""Logs models with the MLflow of the interpreter that runs it, and prints where they are, as JSON.

`log_models.py DIRECTORY NAME…`: the tracking server is a database in DIRECTORY, a name stands for one model, below.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore")

import mlflow  # noqa: E402  # after the warnings were silenced
import mlflow.pyfunc  # noqa: E402
import mlflow.sklearn  # noqa: E402
import sklearn  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from sklearn.datasets import load_wine  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

RULE = "LIMIT = 3\n\n\ndef decide(value):\n    return value > LIMIT\n"
PROGRAM = """
import mlflow
from mlflow.pyfunc import PythonModel

class Rule(PythonModel):
    def predict(self, context, model_input, params=None):
        import rule
        return [rule.decide(value) for value in model_input]

mlflow.models.set_model(Rule())
"""


def estimator(seed: int) -> Any:
    """The same estimator for the same seed: it is trained on another part of the data for each."""
    features, classes = load_wine(return_X_y=True, as_frame=True)
    part = features.sample(frac=0.8, random_state=seed)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=20, random_state=seed))
    return model.fit(part, classes[part.index])


def sklearn_model(place: dict[str, str], seed: int, **options: Any) -> Any:
    """Log the estimator of that seed. MLflow is told which package it needs: to find out it would load the model."""
    packages = [f"scikit-learn=={sklearn.__version__}"]
    return mlflow.sklearn.log_model(estimator(seed), **place, pip_requirements=packages, **options)


def rule_model(place: dict[str, str], limit: int) -> Any:
    """Log a pyfunc model with code beside it."""
    Path("rule.py").write_text(RULE.replace("3", str(limit)))
    Path("program.py").write_text(PROGRAM)
    return mlflow.pyfunc.log_model(
        **place, python_model="program.py", code_paths=["rule.py"], pip_requirements=["scikit-learn"]
    )


MODELS = {
    "default": lambda place: sklearn_model(place, 1),
    "cloudpickle": lambda place: sklearn_model(place, 1, serialization_format="cloudpickle"),
    "retrained": lambda place: sklearn_model(place, 2),
    "retrained_cloudpickle": lambda place: sklearn_model(place, 2, serialization_format="cloudpickle"),
    "rule": lambda place: rule_model(place, 3),
    "changed_rule": lambda place: rule_model(place, 4),
}


def main() -> None:
    """Log what is asked for."""
    logging.disable()
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True)
    os.chdir(directory)
    sys.path.insert(0, str(directory))
    uri = f"sqlite:///{directory / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(
        experiment_id=MlflowClient(uri).create_experiment("wine", artifact_location=str(directory / "artifacts"))
    )
    place = {"artifact_path": "model"} if mlflow.__version__.startswith("2.") else {"name": "model"}
    made = {}
    for name in sys.argv[2:]:
        with mlflow.start_run():
            info = MODELS[name](place)
        version = mlflow.register_model(info.model_uri, name)
        location = MlflowClient(uri).get_model_version_download_uri(name, version.version)
        made[name] = location.removeprefix("file://")
    sys.stdout.write("\n" + json.dumps({"host": uri, "models": made}) + "\n")
    sys.stdout.flush()
    # MLflow's threads are of no use any more.
    os._exit(0)


if __name__ == "__main__":
    main()

"""Logs models with the MLflow of the running interpreter, and prints their directories as JSON.

Usage: `log_models.py DIRECTORY NAME…`. The tracking server is a database in DIRECTORY. A name is a key of MODELS.
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

import mlflow  # noqa: E402  # imports of MLflow emit the warnings filtered above
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
    """Return a trained estimator. The seed selects a sample of the data, so equal seeds give equal estimators."""
    features, classes = load_wine(return_X_y=True, as_frame=True)
    part = features.sample(frac=0.8, random_state=seed)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=20, random_state=seed))
    return model.fit(part, classes[part.index])


def sklearn_model(destination: dict[str, str], seed: int, **options: Any) -> Any:
    """Log the estimator that `estimator` returns for a seed."""
    # Without requirements, MLflow would load the model to infer them, which takes long.
    packages = [f"scikit-learn=={sklearn.__version__}"]
    return mlflow.sklearn.log_model(estimator(seed), **destination, pip_requirements=packages, **options)


def rule_model(destination: dict[str, str], limit: int) -> Any:
    """Log a pyfunc model from code that imports another module."""
    Path("rule.py").write_text(RULE.replace("3", str(limit)))
    Path("program.py").write_text(PROGRAM)
    return mlflow.pyfunc.log_model(
        **destination, python_model="program.py", code_paths=["rule.py"], pip_requirements=["scikit-learn"]
    )


MODELS = {
    "default": lambda destination: sklearn_model(destination, 1),
    "cloudpickle": lambda destination: sklearn_model(destination, 1, serialization_format="cloudpickle"),
    "retrained": lambda destination: sklearn_model(destination, 2),
    "retrained_cloudpickle": lambda destination: sklearn_model(destination, 2, serialization_format="cloudpickle"),
    "rule": lambda destination: rule_model(destination, 3),
    "changed_rule": lambda destination: rule_model(destination, 4),
}


def main() -> None:
    """Log and register the models named on the command line."""
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
    destination = {"artifact_path": "model"} if mlflow.__version__.startswith("2.") else {"name": "model"}
    directories = {}
    for name in sys.argv[2:]:
        with mlflow.start_run():
            info = MODELS[name](destination)
        version = mlflow.register_model(info.model_uri, name)
        location = MlflowClient(uri).get_model_version_download_uri(name, version.version)
        directories[name] = location.removeprefix("file://")
    sys.stdout.write("\n" + json.dumps({"host": uri, "models": directories}) + "\n")
    sys.stdout.flush()
    # A normal exit would wait for MLflow's background threads.
    os._exit(0)


if __name__ == "__main__":
    main()

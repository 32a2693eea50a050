"""Spark ML."""

from pathlib import Path
from typing import Any

import mlflow.spark
import saving
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import SparkSession
from sklearn.datasets import load_wine

FEATURES, CLASSES = load_wine(return_X_y=True, as_frame=True)
NAMES = ["alcohol", "hue"]
SESSION = (
    SparkSession.builder.master("local[1]")
    .config("spark.ui.enabled", "false")
    .config("spark.sql.shuffle.partitions", "1")
    .config("spark.driver.memory", "1g")
    .config("spark.driver.host", "127.0.0.1")
    .config("spark.driver.bindAddress", "127.0.0.1")
    .getOrCreate()
)


def train(is_changed: bool) -> Any:
    table = SESSION.createDataFrame(FEATURES[NAMES].assign(label=CLASSES))
    stages = [
        VectorAssembler(inputCols=NAMES, outputCol="features"),
        LogisticRegression(regParam=0.5 if is_changed else 0.1, maxIter=5),
    ]
    return Pipeline(stages=stages).fit(table)


def log(model: Any, name: str, **destination: Any) -> None:
    example = FEATURES[NAMES][::20]
    mlflow.spark.log_model(
        model, artifact_path=name, **destination, input_example=example, dfs_tmpdir=str(Path("spark").absolute())
    )


def keep(model: Any, path: Path) -> None:
    model.write().overwrite().save(path.as_uri())


def restore(path: Path) -> Any:
    return PipelineModel.load(path.as_uri())


saving.main(train, log, mlflow.spark.load_model, keep, restore)

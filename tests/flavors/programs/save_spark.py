"""Spark ML: a pipeline of two stages, in a Spark of its own for each saving."""

from pathlib import Path
from typing import Any

import mlflow.spark
import saving
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import SparkSession
from sklearn.datasets import load_wine

WINE = load_wine(as_frame=True).frame
FEATURES = list(WINE.columns[:-1])

spark = SparkSession.builder.master("local[1]").getOrCreate()


def train(is_changed: bool) -> Any:
    rows = spark.createDataFrame(WINE.rename(columns={"target": "label"}))
    assembler = VectorAssembler(inputCols=FEATURES, outputCol="features")
    regression = LogisticRegression(regParam=0.2 if is_changed else 0.1, maxIter=5)
    return Pipeline(stages=[assembler, regression]).fit(rows.coalesce(1))


def log(model: Any, name: str, pip_requirements: list[str]) -> None:
    mlflow.spark.log_model(
        model,
        artifact_path=name,
        pip_requirements=pip_requirements,
        input_example=WINE[FEATURES][::20],
        dfs_tmpdir=str(saving.current.directory / f"dfs-{saving.current.name}"),
    )


def keep(model: Any, path: Path) -> None:
    model.write().overwrite().save(str(path))


def restore(path: Path) -> Any:
    return PipelineModel.load(str(path))


try:
    saving.main(train, log, mlflow.spark.load_model, keep, restore)
finally:
    spark.stop()

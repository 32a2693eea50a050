"""The flavors and the situations of docs/flavors.md."""

from __future__ import annotations

from dataclasses import dataclass

SAME, AGAIN, LOADED, CHANGED = "same object", "trained again", "loaded", "changed"
# The two savings of each situation; `programs/saving.py` explains them.
SITUATIONS = {
    SAME: ("object-1", "object-2"),
    AGAIN: ("trained-1", "trained-2"),
    LOADED: ("trained-1", "loaded"),
    CHANGED: ("trained-1", "changed"),
}


@dataclass(frozen=True)
class Flavor:
    """A row of the page.

    Attributes:
        title: What a user calls it.
        program: The program that saves it, in `programs/`.
        variant: Argument of the program.
        imports: Modules to import once for all processes.
    """

    title: str
    program: str
    variant: str = ""
    imports: tuple[str, ...] = ()


FLAVORS = (
    Flavor("scikit-learn, skops", "save_sklearn", "skops"),
    Flavor("scikit-learn, cloudpickle", "save_sklearn", "cloudpickle"),
    Flavor("scikit-learn, pickle", "save_sklearn", "pickle"),
    Flavor("pyfunc, class of the program", "save_pyfunc_class"),
    Flavor("pyfunc, class of a module", "save_pyfunc_module"),
    Flavor("pyfunc, model from code", "save_pyfunc_code"),
    Flavor("pyfunc, with artifacts", "save_pyfunc_artifacts"),
    Flavor("XGBoost, UBJSON", "save_xgboost", "ubj", ("mlflow.xgboost", "xgboost")),
    Flavor("XGBoost, JSON", "save_xgboost", "json", ("mlflow.xgboost", "xgboost")),
    Flavor("LightGBM, booster", "save_lightgbm", "booster", ("mlflow.lightgbm", "lightgbm")),
    Flavor("LightGBM, skops", "save_lightgbm", "skops", ("mlflow.lightgbm", "lightgbm")),
    Flavor("LightGBM, cloudpickle", "save_lightgbm", "cloudpickle", ("mlflow.lightgbm", "lightgbm")),
    Flavor("CatBoost", "save_catboost", imports=("mlflow.catboost", "catboost")),
    Flavor("ONNX", "save_onnx", imports=("mlflow.onnx", "onnxruntime", "skl2onnx")),
    Flavor("statsmodels", "save_statsmodels", imports=("mlflow.statsmodels", "statsmodels.api")),
    Flavor("Prophet", "save_prophet", imports=("mlflow.prophet", "prophet")),
    Flavor("spaCy", "save_spacy", imports=("mlflow.spacy", "spacy")),
    Flavor("PyTorch, pickle", "save_pytorch", "pickle", ("mlflow.pytorch", "networks")),
    Flavor("PyTorch, pt2", "save_pytorch", "pt2", ("mlflow.pytorch", "networks")),
    Flavor("Keras", "save_keras", imports=("mlflow.keras", "keras")),
    Flavor("TensorFlow", "save_tensorflow", imports=("mlflow.tensorflow", "tensorflow")),
    Flavor("Transformers", "save_transformers", imports=("mlflow.transformers", "language")),
    Flavor(
        "Sentence Transformers",
        "save_sentence_transformers",
        imports=("mlflow.sentence_transformers", "sentence_transformers", "language"),
    ),
    Flavor("LangChain", "save_langchain", imports=("mlflow.langchain", "langchain_core.prompts")),
    Flavor("Spark ML", "save_spark", imports=("mlflow.spark", "pyspark.ml")),
)

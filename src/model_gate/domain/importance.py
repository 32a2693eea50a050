"""Ranks the files of a model by what they decide about its predictions. Only the path of a file is used.

>>> importance_of("model.pkl") < importance_of("requirements.txt") < importance_of("LICENSE")
True
"""

from __future__ import annotations

from enum import IntEnum
from pathlib import PurePosixPath

from model_gate.domain.model import MLMODEL
from model_gate.domain.rewrites import REWRITTEN_FILES

_PACKAGE_FILES = frozenset({"requirements.txt", "constraints.txt", "conda.yaml", "python_env.yaml"})
_EXAMPLES = frozenset({"input_example.json", "serving_input_example.json", "serving_input_payload.json"})
# The tokens themselves are in tokenizer.json, vocab.txt or merges.txt, which are settings.
_TOKENIZER_DETAILS = frozenset({"special_tokens_map.json", "added_tokens.json", "tokenizer_config.json"})
_DOCUMENTS = frozenset({"license", "licence", "notice", "readme", "copying", "changelog", "model_card"})
_DOCUMENT_SUFFIXES = frozenset({".md", ".rst"})
# Files that a store or a format adds, such as Spark's marks of success and TensorFlow's fingerprint.
_BY_PRODUCTS = frozenset({"_success", "fingerprint.pb", ".gitattributes", ".gitignore", ".ds_store"})
_CODE_SUFFIXES = frozenset({".py", ".ipynb", ".r", ".jar", ".sql", ".sh", ".so", ".whl"})
# XGBoost and LightGBM can write a whole model as text: model.json, model.txt. spaCy's models have no suffix.
_WEIGHTS = frozenset({"model", "weights", "vectors"})
_WEIGHTS_SUFFIXES = (
    # Pickles and arrays.
    frozenset({".pkl", ".pickle", ".cloudpickle", ".joblib", ".dill", ".skops", ".statsmodels", ".npy", ".npz", ".bin"})
    # Tensors.
    | frozenset({".safetensors", ".gguf", ".pt", ".pt2", ".pth", ".ckpt", ".pdparams", ".pdmodel", ".h5", ".hdf5"})
    | frozenset({".keras", ".tflite", ".pb", ".index", ".onnx", ".data"})
    # Boosted trees, and Prophet's model.
    | frozenset({".xgb", ".ubj", ".bst", ".lgb", ".cb", ".cbm", ".pr"})
)
_TENSORFLOW_DATA = ".data-"
_SPARK_PART = "part-"
_SETTINGS_SUFFIXES = frozenset({".json", ".yaml", ".yml", ".toml", ".cfg", ".ini", ".txt", ".xml", ".jinja"})


class Importance(IntEnum):
    """What a file of a model is, sorted by how much it decides about predictions."""

    WEIGHTS = 0
    UNKNOWN = 1
    ARTIFACT = 2
    SETTINGS = 3
    CODE = 4
    BYTECODE = 5
    PACKAGES = 6
    MLMODEL = 7
    TOKENIZER_DETAILS = 8
    EXAMPLE = 9
    DOCUMENT = 10
    BY_PRODUCT = 11

    @property
    def is_compared_first(self) -> bool:
        """Whether the file is compared before files that decide less about predictions."""
        return self <= Importance.MLMODEL


def importance_of(path: str) -> Importance:
    """Return what a file is. A file that no rule names comes right after the weights, so that none is underrated."""
    file = PurePosixPath(path)
    name, stem, suffix = file.name.lower(), file.stem.lower(), file.suffix.lower()
    if path == MLMODEL or path in REWRITTEN_FILES:
        return Importance.MLMODEL
    if suffix == ".pyc":
        return Importance.BYTECODE
    if suffix in _CODE_SUFFIXES or path.startswith("code/"):
        return Importance.CODE
    if name in _BY_PRODUCTS or suffix == ".crc":
        return Importance.BY_PRODUCT
    if stem in _WEIGHTS or suffix in _WEIGHTS_SUFFIXES or suffix.startswith(_TENSORFLOW_DATA):
        return Importance.WEIGHTS
    # The files of a user, whose names have no meaning for MLflow.
    if path.startswith("artifacts/"):
        return Importance.ARTIFACT
    if name.startswith(_SPARK_PART):
        return Importance.SETTINGS if file.parent.name == "metadata" else Importance.WEIGHTS
    return _importance_of_name(path, name, stem, suffix)


def _importance_of_name(path: str, name: str, stem: str, suffix: str) -> Importance:
    if name in _PACKAGE_FILES:
        return Importance.PACKAGES
    if name in _EXAMPLES or path.startswith("input_example/"):
        return Importance.EXAMPLE
    if name in _TOKENIZER_DETAILS:
        return Importance.TOKENIZER_DETAILS
    if stem in _DOCUMENTS or suffix in _DOCUMENT_SUFFIXES:
        return Importance.DOCUMENT
    return Importance.SETTINGS if suffix in _SETTINGS_SUFFIXES else Importance.UNKNOWN

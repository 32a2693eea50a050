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
# Files that a store or a writer adds, such as Spark's checksums and marks of success.
_BY_PRODUCTS = frozenset({"_success", ".gitattributes", ".gitignore", ".ds_store"})
_CODE_SUFFIXES = frozenset({".py", ".pyc", ".ipynb", ".r", ".jar", ".sql", ".sh", ".so", ".whl"})
_SETTINGS_SUFFIXES = frozenset({".json", ".yaml", ".yml", ".toml", ".cfg", ".ini", ".txt", ".xml", ".jinja"})


class Importance(IntEnum):
    """What a file of a model is, sorted by how much it decides about predictions."""

    WEIGHTS = 0
    SETTINGS = 1
    CODE = 2
    PACKAGES = 3
    MLMODEL = 4
    TOKENIZER_DETAILS = 5
    EXAMPLE = 6
    DOCUMENT = 7

    @property
    def affects_predictions(self) -> bool:
        """Whether another content can change what the model predicts, or how it is loaded."""
        return self <= Importance.MLMODEL


def importance_of(path: str) -> Importance:
    """Return what a file is. A file that no rule names counts as weights, so that none is underrated."""
    file = PurePosixPath(path)
    name, stem, suffix = file.name.lower(), file.stem.lower(), file.suffix.lower()
    if path == MLMODEL or path in REWRITTEN_FILES:
        return Importance.MLMODEL
    if name in _PACKAGE_FILES:
        return Importance.PACKAGES
    if name in _EXAMPLES or path.startswith("input_example/"):
        return Importance.EXAMPLE
    if name in _TOKENIZER_DETAILS:
        return Importance.TOKENIZER_DETAILS
    if suffix in _CODE_SUFFIXES or path.startswith("code/"):
        return Importance.CODE
    if stem in _DOCUMENTS or suffix in _DOCUMENT_SUFFIXES or suffix == ".crc" or name in _BY_PRODUCTS:
        return Importance.DOCUMENT
    # XGBoost and LightGBM can write a whole model as text: model.json, model.txt.
    if suffix in _SETTINGS_SUFFIXES and stem != "model":
        return Importance.SETTINGS
    return Importance.WEIGHTS

"""Files of a model are ranked by what they decide about predictions."""

from __future__ import annotations

import pytest

from model_gate.domain.importance import Importance, importance_of


@pytest.mark.parametrize(
    "path, importance",
    [
        ("model.pkl", Importance.WEIGHTS),
        ("data/model.pth", Importance.WEIGHTS),
        ("model.txt", Importance.WEIGHTS),
        ("sparkml/stages/0_lr/data/part-00000", Importance.WEIGHTS),
        ("sparkml/stages/0_lr/metadata/part-00000", Importance.SETTINGS),
        ("variables/variables.data-00000-of-00001", Importance.WEIGHTS),
        ("model.pr", Importance.WEIGHTS),
        ("model", Importance.WEIGHTS),
        ("a file that no rule names", Importance.UNKNOWN),
        ("table.csv", Importance.UNKNOWN),
        ("artifacts/table.csv", Importance.ARTIFACT),
        ("artifacts/requirements.txt", Importance.ARTIFACT),
        ("artifacts/README.md", Importance.ARTIFACT),
        ("artifacts/rule.py", Importance.CODE),
        ("artifacts/weights.safetensors", Importance.WEIGHTS),
        ("LICENSE/weights", Importance.WEIGHTS),
        ("model/config.json", Importance.SETTINGS),
        ("components/tokenizer/tokenizer.json", Importance.SETTINGS),
        ("code/rule.py", Importance.CODE),
        ("code/README.md", Importance.CODE),
        ("code/__pycache__/rule.cpython-311.pyc", Importance.BYTECODE),
        ("requirements.txt", Importance.PACKAGES),
        ("conda.yaml", Importance.PACKAGES),
        ("MLmodel", Importance.MLMODEL),
        ("registered_model_meta", Importance.MLMODEL),
        ("data/MLmodel", Importance.UNKNOWN),
        ("components/tokenizer/special_tokens_map.json", Importance.TOKENIZER_DETAILS),
        ("serving_input_example.json", Importance.EXAMPLE),
        ("LICENSE.txt", Importance.DOCUMENT),
        ("README.md", Importance.DOCUMENT),
        ("sparkml/metadata/_SUCCESS", Importance.BY_PRODUCT),
        ("sparkml/metadata/.part-00000.crc", Importance.BY_PRODUCT),
        ("tfmodel/fingerprint.pb", Importance.BY_PRODUCT),
    ],
)
def test_importance_of_a_file_follows_from_its_path(path: str, importance: Importance) -> None:
    assert importance_of(path) is importance

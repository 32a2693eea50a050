"""A difference that is more than a rewrite says which models lack the file that it depends on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.explained import compare_directories

MLMODEL = """flavors:
  python_function:
    loader_module: mlflow.pyfunc.model
    artifacts: {{words: {{path: artifacts/words.txt, uri: /data/{}/words.txt}}}}
"""


def model(directory: Path, *, has_artifact: bool) -> Path:
    directory.mkdir()
    (directory / "MLmodel").write_text(MLMODEL.format(directory.name), "utf-8")
    if has_artifact:
        (directory / "artifacts").mkdir()
        (directory / "artifacts" / "words.txt").write_text("a\n", "utf-8")
    return directory


@pytest.mark.parametrize(
    "left, right, unmet, advice",
    [
        (True, True, "", ""),
        (
            True,
            False,
            "artifacts/words.txt is in only one model",
            "Log the model again with artifacts/words.txt in it.",
        ),
        (
            False,
            False,
            "artifacts/words.txt is in neither model",
            "Log the model again with artifacts/words.txt in it.",
        ),
    ],
)
def test_unmet_condition_says_how_many_models_lack_the_file(
    left: bool, right: bool, unmet: str, advice: str, tmp_path: Path
) -> None:
    comparison = compare_directories(
        model(tmp_path / "a", has_artifact=left), model(tmp_path / "b", has_artifact=right)
    )
    (difference,) = [difference for difference in comparison.differences if difference.path == "MLmodel"]
    assert difference.explanation is not None
    assert (difference.explanation.unmet_condition, difference.explanation.advice) == (unmet, advice)
    assert bool(difference.rewrite_reason) == (not unmet)
    if unmet:
        assert difference.explanation.summary.startswith("flavors.python_function.artifacts.words.uri ")
        assert " → " in difference.explanation.summary

"""The page docs/flavors.md."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from importlib.metadata import version

from tests.flavors.flavors import CHANGED, SITUATIONS
from tests.flavors.verdicts import Verdict
from tests.support.paths import ROOT

PAGE = ROOT / "docs/flavors.md"
_LOCK = ROOT / "requirements/flavors.lock"
# Parts of a sentence that are different in each run.
_RANDOM = (
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "…"),
    (r"(?<![0-9a-f.])[0-9a-f]{12,}", "…"),
    (r"(?<=\w_)[0-9a-f]{12}", "…"),
    (r"program-[\w-]+|tmp\w+", "…"),
    (r"\b[\d,]+ of [\d,]+ bytes differ( \(\d+ %\))?", "some bytes differ"),
    (r"\d{4}-\d\d-\d\d[T ]?[\d:.]*Z?", "…"),
)
# What the page itself says about a difference for which Model Gate has no advice: a model that was loaded.
_OWN_ADVICE = (
    "Model Gate gives no advice here. To avoid the difference, copy the files of the logged model instead of loading"
    " the model and logging it again."
)
_SENTENCES = 4  # files of a situation that the page names
_INTRODUCTION = """# Flavors

Is a model equal to itself if MLflow logs it again? That depends on the flavor. `make flavors` logs one model of each
flavor with MLflow {mlflow}, in a process for each saving. This page has the results. The situations are:

- **Same object**: one trained model, logged in two processes.
- **Trained again**: the same program with the same data and the same seed, run twice.
- **Loaded**: a logged model that MLflow loaded and logged again.
- **Changed**: trained with another parameter, or with other data. Such a model must be different.

The other flavors of MLflow were not measured. Keras is measured with PyTorch as its backend. The models of Transformers
and Sentence Transformers are tiny, with random weights of a fixed seed.

As in a user's processes, Python writes bytecode (`__pycache__`), and the order of sets differs between processes.

## Verdicts

A gate passes with `equal`. With `require: equivalent` it passes with `equivalent` too. Two models that are `equal` or
`equivalent` on this page predict the same for their input example. A star marks models that are different but predict
the same for it: do not conclude from one example that they are the same model.

To move a model between servers, copy its files: with `copy_model_version`, or by a download and `log_artifacts`. Then
it stays `equal` whatever its flavor.
"""
_REPEAT = """
## How to repeat this

`make flavors` installs {packages} packages into `.venv-flavors` ({size} of disk).
On two processors under load it takes {duration}.
CI does not run it, because it is too heavy.

It fails if a verdict differs from this page. `make flavors PYTEST_ARGS=--write-page` writes the page anew, and
`make flavors PYTEST_ARGS='-k CatBoost'` runs one flavor. Numbers in the sentences can change with each run. On Linux
x86-64, PyTorch needs Python 3.11: `requirements/flavors-torch.txt` has its CPU build for that version. If
`PIP_FIND_LINKS` names a directory, the build is taken from there. Spark ML needs Java 17 or newer.

One process imports the libraries and forks a process for each saving. Two such processes with different
`PYTHONHASHSEED` make the two models of a pair. The requirements of the models are given, because MLflow takes long to
infer them. No model is downloaded: the programs in `tests/flavors/programs` make them.
"""


def render(verdicts: Sequence[Verdict]) -> str:
    """Return the page for the verdicts of all flavors."""
    packages = len(re.findall(r"^[a-z0-9]\S*==", _LOCK.read_text("utf-8"), re.MULTILINE)) + 1
    parts = [
        _INTRODUCTION.format(mlflow=version("mlflow")),
        _matrix(verdicts),
        "\n## Different although nothing was changed\n\nWhat Model Gate says, and what to do.\n",
        *(_section(verdict) for verdict in verdicts if verdict.needs_advice),
        "\n## What Model Gate says about a changed model\n\n",
        *(_item(verdict) for verdict in verdicts if verdict.situation == CHANGED),
        _REPEAT.format(packages=packages, size="at most 5 GB", duration="one to two minutes for each flavor"),
    ]
    return "".join(parts)


def verdicts_of(page: str) -> dict[tuple[str, str], str]:
    """Return the verdicts in the matrix of a page, by the title of the flavor and the situation."""
    rows = (re.split(r" *\| *", line.strip("| ")) for line in page.splitlines() if line.startswith("| "))
    return {
        (title, situation): cell
        for title, *cells in rows
        if len(cells) == len(SITUATIONS) and title not in {"model", "---"}
        for situation, cell in zip(SITUATIONS, cells, strict=True)
    }


def cell(verdict: Verdict) -> str:
    """Return the cell of the matrix for a verdict."""
    is_only_bytes = verdict.verdict == "different" and verdict.is_same_prediction
    return f"{verdict.verdict} \\*" if is_only_bytes else verdict.verdict


def _matrix(verdicts: Sequence[Verdict]) -> str:
    titles = dict.fromkeys(verdict.flavor.title for verdict in verdicts)
    cells = {(verdict.flavor.title, verdict.situation): cell(verdict) for verdict in verdicts}
    rows = [["model", *SITUATIONS], ["---"] * (len(SITUATIONS) + 1)]
    rows += [[title, *(cells[title, situation] for situation in SITUATIONS)] for title in titles]
    return "\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _section(verdict: Verdict) -> str:
    title = f"{verdict.flavor.title}: {verdict.situation}"
    return f"\n### {title}\n\n{_wrapped(_said(verdict))}\n\n{_wrapped(verdict.advice or _OWN_ADVICE)}\n"


def _item(verdict: Verdict) -> str:
    return _wrapped(f"- **{verdict.flavor.title}**: {_said(verdict)}", indent="  ") + "\n"


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(text, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _said(verdict: Verdict) -> str:
    named = [f"`{_stable(path)}`: {_stable(summary)}" for path, summary in _summaries(verdict)]
    more = len(named) - _SENTENCES
    return "; ".join(named[:_SENTENCES]) + (f"; and {more} more paths" if more > 0 else "") + "."


def _summaries(verdict: Verdict) -> Iterator[tuple[str, str]]:
    for difference in verdict.differences:
        yield difference.path, difference.summary


def _stable(text: str) -> str:
    for pattern, replacement in _RANDOM:
        text = re.sub(pattern, replacement, text)
    return text.replace("|", "\\|")

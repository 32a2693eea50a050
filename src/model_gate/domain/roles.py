"""Names of the commands and of the parts of a gate, as the report and the outputs spell them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

# Path of the report if none is named.
DEFAULT_REPORT = Path("model-gate-report.json")
DEFAULT_SEAL = Path("model-gate-seal.json")
# Number of gates of a run at the same time.
DEFAULT_JOBS = 4
MAX_JOBS = 64


class CommandName(StrEnum):
    """The commands that write a report."""

    CHECK = "check"
    COMPARE = "compare"
    DIFF = "diff"
    SEAL = "seal"
    VERIFY = "verify"


class RunCommandName(StrEnum):
    """The commands about many gates."""

    RUN = "run"
    PLAN = "plan"
    MERGE = "merge"


class VersionRole(StrEnum):
    """The model versions of a gate: a check has one, a compare has two, a diff has none."""

    MODEL_VERSION = "model_version"
    TRACKING_SERVER_1 = "tracking_server_1"
    TRACKING_SERVER_2 = "tracking_server_2"


class ModelRole(StrEnum):
    """The two models of a model version: the run's own model, and the registry's copy of it."""

    RUN_MODEL = "run_model"
    REG_MODEL = "reg_model"

    @property
    def noun(self) -> str:
        """The role's name in messages: `run model` or `registry model`."""
        return "run model" if self is ModelRole.RUN_MODEL else "registry model"


class ComparisonName(StrEnum):
    """The comparisons of a gate: a check or a diff has one, a compare has one for each model role.

    A verification has one with its seal, and so has a check with a seal.
    """

    COMPARISON = "comparison"
    RUN_MODELS = "run_model_comparison"
    REG_MODELS = "reg_model_comparison"
    SEAL = "seal_comparison"


@dataclass(frozen=True)
class ModelNames:
    """Names of the two models of a comparison, for messages and summaries.

    Attributes:
        left: Name of the left model, such as `run model`.
        right: Name of the right model.
        is_left_seal: Whether a seal stands for the left model.
        is_right_seal: Whether a seal stands for the right model.
    """

    left: str = "model"
    right: str = "model"
    is_left_seal: bool = False
    is_right_seal: bool = False

    @property
    def title(self) -> str:
        """Both models in one phrase, as in `run models` or `run model and registry model`."""
        return f"{self.left}s" if self.left == self.right else f"{self.left} and {self.right}"

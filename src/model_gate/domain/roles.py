"""Names of the parts of a gate, as the report and the outputs spell them."""

from __future__ import annotations

from enum import StrEnum


class VersionRole(StrEnum):
    """The model versions of a gate: a check has one, a compare has two, a diff has none."""

    MODEL_VERSION = "model_version"
    TRACKING_SERVER_1 = "tracking_server_1"
    TRACKING_SERVER_2 = "tracking_server_2"


class ModelRole(StrEnum):
    """The two models of a model version."""

    RUN_MODEL = "run_model"
    REG_MODEL = "reg_model"


class ComparisonName(StrEnum):
    """The comparisons of a gate: a check or a diff has one, a compare has one for each model role."""

    COMPARISON = "comparison"
    RUN_MODELS = "run_model_comparison"
    REG_MODELS = "reg_model_comparison"

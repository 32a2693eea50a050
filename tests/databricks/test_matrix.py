"""Every place where Databricks keeps a model, in every variant, while the environment points elsewhere."""

from __future__ import annotations

import pytest
from workspaces import DIFFERING, EXPECTED, VARIANTS, Bench, paths_of

pytestmark = pytest.mark.xdist_group("databricks")


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("origin", ["run", "logged"])
@pytest.mark.parametrize(
    "prefix, host",
    [("wine", "databricks://test_env"), ("ml.prod.wine", "databricks-uc://test_env")],
    ids=["workspace", "catalog"],
)
def test_check_sees_what_differs_between_run_model_and_registry_model(
    bench: Bench, prefix: str, host: str, origin: str, variant: str
) -> None:
    result = bench.check(host, f"{prefix}_{origin}_{variant}", "7")
    status, code = EXPECTED[variant]
    assert (result.report["status"], result.code) == (status, code), result.output
    assert paths_of(result.report["comparison"]["differences"]) == DIFFERING[variant]
    assert not result.asked["trap"]
    assert not result.asked["prod_env"]
    assert not result.paths("test_env", "/dbfs")

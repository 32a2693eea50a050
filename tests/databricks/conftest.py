"""Two workspaces, `test_env` and `prod_env`, that hold the same model in every place and in every variant."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from workspaces import VARIANTS, WINE, Bench, Blueprint, Emulated


def fill(blueprint: Blueprint, files: dict[str, dict[str, bytes]]) -> Blueprint:
    """Versions whose run model is the original, and whose registry model is the variant."""
    run, logged = blueprint.run("0a" * 16, WINE), blueprint.logged_model("m-" + "1b" * 16, WINE, "0a" * 16)
    for variant, content in files.items():
        for origin, source in (("run", run), ("logged", logged)):
            blueprint.version("registry", f"wine_{origin}_{variant}", "7", content, source=source, run_id="0a" * 16)
            name = f"ml.prod.wine_{origin}_{variant}"
            blueprint.version("catalog", name, "7", content, source=source, run_id="0a" * 16)
    return blueprint


@pytest.fixture(scope="package")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    directory = tmp_path_factory.mktemp("databricks")
    test = fill(Blueprint(directory / "test", "dapi-test-0123456789"), VARIANTS)
    prod = fill(Blueprint(directory / "prod", "dapi-prod-0123456789"), VARIANTS)
    # The trap's models differ in every way: whoever reads there gets another verdict.
    trap = fill(Blueprint(directory / "trap", "dapi-trap-0123456789"), {key: {"MLmodel": b"trap"} for key in VARIANTS})
    with Emulated(test) as one, Emulated(prod) as other, Emulated(trap) as wrong:
        yield Bench(directory, {"test_env": one, "prod_env": other}, wrong)

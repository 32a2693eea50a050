"""The page on Databricks is true: its profiles and compare files can be used, and its emulator answers as it says."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from model_gate.access.databrickscfg import parse_profiles
from model_gate.inputs.compare_file import parse_config
from tests.databricks.workspaces import MODEL_GATE, Blueprint, Emulated
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "databricks.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for found, text in BLOCKS if found == language]


@pytest.fixture
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's profiles, and those that its other examples name."""
    (text,) = blocks("ini")
    path = tmp_path / "profiles"
    path.write_text(text + "\n[new_env]\nhost = https://new.cloud.databricks.com\ntoken = x\n", "utf-8")
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(path))
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", "https://github.example.com")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "x")


def test_every_profile_can_be_read() -> None:
    (text,) = blocks("ini")
    assert list(parse_profiles(text, "page")) == ["test_env", "prod_env", "old_env", "azure_env"]


@pytest.mark.parametrize("text", blocks("yaml"))
def test_every_compare_file_can_be_used(text: str, profiles: None) -> None:
    config = parse_config(text, "page", os.environ)
    first, second = config.tracking_server_1.host.workspace, config.tracking_server_2.host.workspace
    assert (first and first.registry, second and second.registry) == ("workspace", "unity-catalog")


def test_the_emulator_shows_what_the_page_says(tmp_path: Path) -> None:
    making, asking = [text for text in blocks("sh") if "dapi-try" in text]
    content, emulate = making.rsplit("\n.venv/", 1)
    assert emulate.startswith("bin/python -m tests.databricks.emulator /tmp/ws ")
    here = tmp_path / "ws"
    subprocess.run(["sh", "-ec", content.replace("/tmp/ws", str(here))], check=True)  # noqa: S108  # the page's
    data = json.loads((here / "workspace.json").read_text("utf-8"))
    blueprint = Blueprint(tmp_path / "other", "dapi-try")
    blueprint.directory, blueprint.data = here, data
    with Emulated(blueprint) as workspace:
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        command = asking.replace("http://127.0.0.1:8765", workspace.url).replace(
            ".venv/bin/model-gate", str(MODEL_GATE)
        )
        done = subprocess.run(
            ["sh", "-c", command], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert workspace.requests
    assert done.returncode == 1, done.stderr
    assert "DIFFERENT" in done.stdout
    assert "model.pkl" in done.stdout

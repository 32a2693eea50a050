"""The page on Databricks is correct: its profiles and compare files are valid, and its emulator example works."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from model_gate.access.databrickscfg import parse_profiles
from model_gate.inputs.compare_file import parse_config
from tests.databricks.workspaces import Blueprint, EmulatedWorkspace
from tests.support.commandline import BIN
from tests.support.destinations import Destinations, verified
from tests.support.paths import ROOT
from tests.support.recording_proxy import VIA, shared_proxy

PAGE = (ROOT / "docs" / "databricks.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for block_language, text in BLOCKS if block_language == language]


@pytest.fixture
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a config file with the profiles on the page, and with one that only other examples of the page use."""
    (text,) = blocks("ini")
    path = tmp_path / "profiles"
    path.write_text(text + "\n[new_env]\nhost = https://new.cloud.databricks.com\ntoken = x\n", "utf-8")
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(path))
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", "https://github.example.com")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "x")


def test_example_profiles_in_the_databricks_page_are_valid() -> None:
    (text,) = blocks("ini")
    assert list(parse_profiles(text, "page")) == ["test_env", "prod_env", "old_env", "azure_env"]


@pytest.mark.parametrize("text", blocks("yaml"))
def test_compare_file_example_in_the_databricks_page_is_valid(text: str, profiles: None) -> None:
    config = parse_config(text, "page", os.environ)
    first, second = (version.host.workspace for version in config.versions)
    assert (first and first.registry, second and second.registry) == ("workspace", "unity-catalog")


def test_emulator_example_in_the_databricks_page_reports_different_models(tmp_path: Path) -> None:
    setup, check = [text for text in blocks("sh") if "dapi-try" in text]
    content, emulate = setup.rsplit("\n.venv/", 1)
    assert emulate.startswith("bin/python -m tests.databricks.emulator /tmp/ws ")
    directory = tmp_path / "ws"
    subprocess.run(["sh", "-ec", content.replace("/tmp/ws", str(directory))], check=True)  # noqa: S108  # the page's
    data = json.loads((directory / "workspace.json").read_text("utf-8"))
    blueprint = Blueprint(tmp_path / "other", "dapi-try")
    blueprint.directory, blueprint.data = directory, data
    with EmulatedWorkspace(blueprint) as workspace:
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **shared_proxy().environment}
        command = check.replace("http://127.0.0.1:8765", workspace.url).replace(
            ".venv/bin/model-gate", str(BIN / "model-gate")
        )
        with verified(Destinations.to(workspace.url, "dapi-try")):
            result = subprocess.run(
                ["sh", "-c", command], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
            )
        assert {each["via"] for each in workspace.requests} == {VIA}
    assert result.returncode == 1, result.stderr
    assert "DIFFERENT" in result.stdout
    assert "model.pkl" in result.stdout

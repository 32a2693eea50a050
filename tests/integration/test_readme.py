"""The README and the pages in docs are correct: commands run, names exist, links have a target."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
import yaml

from model_gate import cli, errors
from model_gate.domain.rewrites import (
    PATH_FIELDS,
    REWRITTEN_FIELDS,
    REWRITTEN_FILES,
    UNORDERED_FIELDS,
    UNREAD_FIELDS,
)
from model_gate.inputs.compare_file import parse_config
from tests.support.commandline import BIN, clean_environment, jq_directory
from tests.support.demo import Demo, demo_in
from tests.support.markdown import Block, Command, Page, commands, matched
from tests.support.paths import ROOT

pytestmark = [pytest.mark.xdist_group("demo"), pytest.mark.timeout(600)]  # the demo is slow on a busy machine

README = Page(ROOT / "README.md")
PAGES = [Page(path) for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])]
# The working directory in the README's examples.
_SHOWN_CWD = "/home/you/model-gate"
_RUN, _SHOWN = ("bash", "console"), ("mermaid", "yaml")

BLOCKS = [pytest.param(block, id=f"line {block.line}") for block in README.blocks if block.language in _RUN]
YAML = [block for block in README.blocks if block.language == "yaml"]
STEPS = [pytest.param(block, id=f"line {block.line}") for block in YAML if block.text.startswith("- uses: ")]
COMPARE_FILES = [pytest.param(block, id=f"line {block.line}") for block in YAML if "tracking_server_1" in block.text]
# The variables of a step that declares two servers.
[DECLARATIONS] = [yaml.safe_load(block.text)["env"] for block in YAML if block.text.strip().startswith("env:")]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return demo_in(tmp_path_factory.getbasetemp())


@pytest.mark.parametrize("block", BLOCKS)
def test_readme_commands_print_the_shown_output(block: Block, demo: Demo, tmp_path: Path) -> None:
    for name in re.findall(r"--download-dir (\w+)", block.text):
        shutil.rmtree(demo.cwd / name, ignore_errors=True)
    ids: dict[str, str] = {}
    for command in commands(block):
        actual = _run_and_match(command, demo, tmp_path)
        # An id that the page shows twice must also be one id in the real outputs.
        assert actual == {**actual, **{shown: real for shown, real in ids.items() if shown in actual}}, command.text
        ids |= actual


def _run_and_match(command: Command, demo: Demo, tmp_path: Path) -> dict[str, str]:
    """Run a command of the page. Return its ids and hashes, each by the id or hash that the page shows."""
    result = _run(command.text, demo, tmp_path)
    assert result.returncode == command.exit_code, (command.text, result.stdout)
    if command.output is None:
        return {}
    shown = command.output.replace(_SHOWN_CWD, str(demo.cwd))
    actual = matched(shown, result.stdout)
    assert actual is not None, f"{command.text}\n--- shown\n{shown}\n--- printed\n{result.stdout}"
    return actual


def _run(command: str, demo: Demo, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    words = shlex.split(command, comments=True)
    cwd, argv = demo.cwd, ["bash", "-c", command]
    if words[0] == "make":
        # The targets of make are not run, because they would run these tests again.
        cwd, argv = ROOT, ["make", "--dry-run", *words[1:]]
    elif words[:2] == ["pip", "install"]:
        # With these options, pip downloads nothing and does not change this environment.
        offline = ["--no-index", "--no-deps", "--no-build-isolation", "--target", str(tmp_path / "installed")]
        cwd, argv = ROOT, [sys.executable, "-m", "pip", *words[1:2], *offline, *words[2:]]
    result = subprocess.run(
        argv,
        cwd=cwd,
        env=clean_environment()
        | {"PATH": os.pathsep.join((str(BIN), str(jq_directory(tmp_path)), os.environ["PATH"]))},
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=240,
    )
    if words[:2] == ["pip", "install"]:
        assert "does not provide the extra" not in result.stdout, result.stdout
        assert (tmp_path / "installed" / "model_gate" / "schemas" / "report.schema.json").is_file(), result.stdout
    return result


@pytest.mark.parametrize(
    "printed",
    ["EQUAL\n", "models: equal\nDIFFERENT\n", "models: equal\nEQUAL\nReport: a\n", "models: equal \nEQUAL\n", ""],
)
def test_readme_excerpt_does_not_match_the_output_of_a_different_command(printed: str) -> None:
    shown = "models: equal\nEQUAL\n"
    assert matched(shown, shown) == {}
    assert matched(shown, printed) is None


def test_readme_excerpt_matches_output_that_differs_only_in_ids_and_sizes() -> None:
    shown = "run 0ef27019, commit 170fb6fa: 3,001 bytes in version 1, sha256 27cd70be…\n…\nEQUAL\n"
    assert matched(shown, "run aaaaaaaa: 12 bytes in version 1, sha256 bbbbbbbb0123…\na\nb\nEQUAL\n") == {
        "0ef27019": "aaaaaaaa",
        "27cd70be": "bbbbbbbb",
    }
    assert matched(shown, "run aaaaaaaa: 12 bytes in version 2, sha256 bbbbbbbb…\nEQUAL\n") is None


def test_every_command_block_in_the_documentation_is_run_by_a_test() -> None:
    assert {block.language for block in README.blocks} == {*_RUN, *_SHOWN}
    assert README.text.count("```") == 2 * len(README.blocks)
    assert all(commands(block) for block in README.blocks if block.language in _RUN)
    # Blocks on other pages are not run, so they have other languages.
    for page in PAGES:
        for block in page.blocks if page.path != README.path else ():
            assert block.language not in _RUN, (page.path, block.line)


def test_inline_command_in_the_readme_is_also_in_a_tested_command_block() -> None:
    run = {
        re.sub(r"\s+#.*", "", command.text)
        for block in README.blocks
        if block.language in _RUN
        for command in commands(block)
    }
    run |= {f"model-gate {name}" for name in ("demo",)}  # the fixture `demo` runs it
    for text in README.inline:
        if text.startswith(("model-gate ", "make ", "pip ")):
            assert any(command.startswith(text) for command in run), text


@pytest.mark.parametrize("block", COMPARE_FILES)
def test_compare_file_example_in_the_readme_is_valid(block: Block) -> None:
    config = parse_config(block.text, "README.md", os.environ | DECLARATIONS)
    assert len({version.host for version in config.versions}) == len(config.versions)


@pytest.mark.parametrize("block", STEPS)
def test_workflow_step_in_the_readme_sets_only_existing_inputs(block: Block) -> None:
    [step] = yaml.safe_load(block.text)
    inputs = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))["inputs"]
    assert step["with"].keys() <= inputs.keys()


def test_editor_comment_in_the_readme_refers_to_the_compare_file_schema() -> None:
    [schema] = re.findall(r"^# yaml-language-server: \$schema=(\S+)$", README.text, re.MULTILINE)
    assert json.loads((ROOT / schema).read_bytes())["title"] == "Model Gate compare file"


def _options(*names: str) -> set[str]:
    group = typer.main.get_command(cli.app)
    selected = [group.commands[name] for name in names or group.commands]  # type: ignore[attr-defined]  # of a Group
    return {
        option
        for command in selected
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
        if option.startswith("--")
    }


def test_readme_options_match_the_commands() -> None:
    mentioned = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README.text))
    assert mentioned <= _options(), mentioned - _options()
    assert _options("check", "compare", "diff") <= mentioned, _options("check", "compare", "diff") - mentioned


def test_package_extras_in_the_readme_match_the_pyproject_file() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    listed = re.findall(r"^\| `(\w+)` \|", README.section("Install"), re.MULTILINE)
    assert listed == [extra for extra in project["optional-dependencies"] if extra != "dev"]


def test_readme_lists_every_field_and_file_that_mlflow_rewrites() -> None:
    listed = set(re.findall(r"`(\w+)`", README.section("Equivalent").partition("Two models")[0]))
    in_flavors = {field for _, field in (*UNREAD_FIELDS, *UNORDERED_FIELDS)}
    assert listed - {"MLmodel", "uri"} == {*REWRITTEN_FIELDS, *PATH_FIELDS, *REWRITTEN_FILES, *in_flavors}


def _names_in_table(page: Page, section: str) -> list[str]:
    return re.findall(r"^\| `(\w+)` \|", page.section(section), re.MULTILINE)


def test_documentation_of_the_report_lists_all_fields_and_error_types() -> None:
    page = Page(ROOT / "docs" / "report.md")
    schema = json.loads((ROOT / "schemas" / "report.schema.json").read_bytes())
    definitions = schema["$defs"]
    assert _names_in_table(page, "Fields") == list(schema["properties"])
    version = definitions["resolved_version"]["properties"]
    run = version["run"]["properties"]
    hop = definitions["hop"]["properties"]
    assert _names_in_table(page, "A resolved version") == [*version, *run, *hop]
    assert _names_in_table(page, "The run") == list(run)
    assert _names_in_table(page, "Hops") == list(hop)
    compared, difference = (definitions[name]["properties"] for name in ("server_model", "difference"))
    comparison = definitions["versions_comparison"]["properties"]
    explanation = definitions["explanation"]["properties"]
    assert _names_in_table(page, "A comparison") == [*comparison, *compared, *difference, *explanation]
    assert _names_in_table(page, "A compared model") == list(compared)
    assert _names_in_table(page, "A difference") == list(difference)
    assert _names_in_table(page, "An explanation") == list(explanation)
    kinds = {error.__name__ for error in errors.ModelGateError.__subclasses__()}
    assert set(_names_in_table(page, "Errors")) == kinds


def test_modules_that_the_documentation_mentions_exist() -> None:
    design = Page(ROOT / "docs" / "design.md")
    cells = re.findall(r"^\|([^|]+)\|", design.section("The pipeline"), re.MULTILINE)
    modules = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    dotted = re.compile(rf"(?:model_gate\.)?((?:{'|'.join(modules)})(?:\.[a-z_]+)*)")
    texts = [text for page in PAGES for text in page.inline if not text.endswith(".yml")]
    matches = map(dotted.fullmatch, texts)
    named = modules | {match[1] for match in matches if match}
    assert len(named) > 20
    for name in named:
        path = ROOT / "src" / "model_gate" / name.replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").is_file(), name


def test_design_page_lists_every_folder_and_module_of_the_package() -> None:
    cells = re.findall(r"^\|([^|]+)\|", Page(ROOT / "docs" / "design.md").section("The pipeline"), re.MULTILINE)
    package = ROOT / "src" / "model_gate"
    present = {init.parent.name for init in package.glob("*/__init__.py")}
    present |= {module.stem for module in package.glob("*.py") if not module.stem.startswith("_")}
    assert {name for cell in cells for name in re.findall(r"`(\w+)`", cell)} == present


LINKS = [
    pytest.param(page, link, id=f"{page.path.name}: {link}")
    for page in PAGES
    for link in dict.fromkeys(page.links)
    if not link.startswith("https://")  # no test connects to another machine
]


@pytest.mark.parametrize("page, link", LINKS)
def test_target_of_each_link_in_the_documentation_exists(page: Page, link: str) -> None:
    target, _, anchor = link.partition("#")
    path = (page.path.parent / target).resolve() if target else page.path
    assert path.exists(), link
    assert path.is_relative_to(ROOT), link
    if anchor:
        assert anchor in Page(path).anchors, link


def test_readme_links_to_every_documentation_page() -> None:
    linked = {(README.path.parent / link).resolve() for link in README.links if not link.startswith("https://")}
    assert {page.path for page in PAGES} - {README.path} <= linked

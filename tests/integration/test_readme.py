"""The README and the pages in docs are true: every command runs, every name exists, every link leads somewhere."""

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
from model_gate.domain.rewrites import PATH_FIELDS, REWRITTEN_FIELDS, REWRITTEN_FILES
from model_gate.inputs.compare_file import parse_config
from tests.support.commandline import BIN, clean_environment
from tests.support.demo import Demo, demo_in
from tests.support.markdown import Block, Command, Page, commands, matched
from tests.support.paths import ROOT, SUPPORT

pytestmark = [pytest.mark.xdist_group("demo"), pytest.mark.timeout(600)]  # the demo takes its time on a busy machine

README = Page(ROOT / "README.md")
PAGES = [Page(path) for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])]
# Where the README's examples are, as it shows them.
_SHOWN_CWD = "/home/you/model-gate"
_RUN, _SHOWN = ("bash", "console"), ("mermaid", "yaml")

BLOCKS = [pytest.param(block, id=f"line {block.line}") for block in README.blocks if block.language in _RUN]
YAML = [block for block in README.blocks if block.language == "yaml"]
STEPS = [pytest.param(block, id=f"line {block.line}") for block in YAML if block.text.startswith("- uses: ")]
COMPARE_FILES = [pytest.param(block, id=f"line {block.line}") for block in YAML if "- uses: " not in block.text]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return demo_in(tmp_path_factory.getbasetemp())


@pytest.mark.parametrize("block", BLOCKS)
def test_every_command_does_what_is_shown(block: Block, demo: Demo, tmp_path: Path) -> None:
    for name in re.findall(r"--download-dir (\w+)", block.text):
        shutil.rmtree(demo.cwd / name, ignore_errors=True)
    ids: dict[str, str] = {}
    for command in commands(block):
        found = _require_true(command, demo, tmp_path)
        # What is shown as the same is the same.
        assert found == {**found, **{shown: real for shown, real in ids.items() if shown in found}}, command.text
        ids |= found


def _require_true(command: Command, demo: Demo, tmp_path: Path) -> dict[str, str]:
    """The ids and hashes that are shown, and what they really are."""
    done = _run(command.text, demo, tmp_path)
    assert done.returncode == command.exit_code, (command.text, done.stdout)
    if command.output is None:
        return {}
    shown = command.output.replace(_SHOWN_CWD, str(demo.cwd))
    found = matched(shown, done.stdout)
    assert found is not None, f"{command.text}\n--- shown\n{shown}\n--- printed\n{done.stdout}"
    return found


def _run(command: str, demo: Demo, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    words = shlex.split(command, comments=True)
    cwd, argv = demo.cwd, ["bash", "-c", command]
    if words[0] == "make":
        # Making them would run these very tests.
        cwd, argv = ROOT, ["make", "--dry-run", *words[1:]]
    elif words[:2] == ["pip", "install"]:
        # Nothing is downloaded, and this environment stays as it is.
        offline = ["--no-index", "--no-deps", "--no-build-isolation", "--target", str(tmp_path / "installed")]
        cwd, argv = ROOT, [sys.executable, "-m", "pip", *words[1:2], *offline, *words[2:]]
    done = subprocess.run(
        argv,
        cwd=cwd,
        env=clean_environment() | {"PATH": os.pathsep.join((str(BIN), str(_with_jq(tmp_path)), os.environ["PATH"]))},
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=240,
    )
    if words[:2] == ["pip", "install"]:
        assert "does not provide the extra" not in done.stdout, done.stdout
        assert (tmp_path / "installed" / "model_gate" / "schemas" / "report.schema.json").is_file(), done.stdout
    return done


def _with_jq(directory: Path) -> Path:
    """A directory with `jq`, which not every machine has."""
    program = directory / "bin" / "jq"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{SUPPORT}/jq_program.py" "$@"\n')
    program.chmod(0o755)
    return program.parent


@pytest.mark.parametrize(
    "printed",
    ["EQUAL\n", "models: equal\nDIFFERENT\n", "models: equal\nEQUAL\nReport: a\n", "models: equal \nEQUAL\n", ""],
)
def test_an_excerpt_that_is_not_what_was_printed_is_noticed(printed: str) -> None:
    shown = "models: equal\nEQUAL\n"
    assert matched(shown, shown) == {}
    assert matched(shown, printed) is None


def test_an_excerpt_may_differ_in_ids_sizes_and_what_it_leaves_out() -> None:
    shown = "run 0ef27019, commit 170fb6fa: 3,001 bytes in version 1, sha256 27cd70be…\n…\nEQUAL\n"
    assert matched(shown, "run aaaaaaaa: 12 bytes in version 1, sha256 bbbbbbbb0123…\na\nb\nEQUAL\n") == {
        "0ef27019": "aaaaaaaa",
        "27cd70be": "bbbbbbbb",
    }
    assert matched(shown, "run aaaaaaaa: 12 bytes in version 2, sha256 bbbbbbbb…\nEQUAL\n") is None


def test_no_block_escapes_its_test() -> None:
    assert {block.language for block in README.blocks} == {*_RUN, *_SHOWN}
    assert README.text.count("```") == 2 * len(README.blocks)
    assert all(commands(block) for block in README.blocks if block.language in _RUN)
    # What is not run must not look as if it were.
    for page in PAGES:
        for block in page.blocks if page.path != README.path else ():
            assert block.language not in _RUN, (page.path, block.line)


def test_commands_in_its_sentences_are_among_those_that_are_run() -> None:
    run = {
        re.sub(r"\s+#.*", "", each.text)
        for block in README.blocks
        if block.language in _RUN
        for each in commands(block)
    }
    run |= {f"model-gate {name}" for name in ("demo",)}  # which `demo` runs for all of them
    for text in README.inline:
        if text.startswith(("model-gate ", "make ", "pip ")):
            assert any(each.startswith(text) for each in run), text


@pytest.mark.parametrize("block", COMPARE_FILES)
def test_every_compare_file_can_be_used(block: Block) -> None:
    config = parse_config(block.text, "README.md", os.environ)
    assert config.tracking_server_1.host != config.tracking_server_2.host


@pytest.mark.parametrize("block", STEPS)
def test_every_step_sets_inputs_that_there_are(block: Block) -> None:
    [step] = yaml.safe_load(block.text)
    inputs = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))["inputs"]
    assert step["with"].keys() <= inputs.keys()


def test_the_modeline_names_the_schema_that_is_there() -> None:
    [schema] = re.findall(r"^# yaml-language-server: \$schema=(\S+)$", README.text, re.MULTILINE)
    assert json.loads((ROOT / schema).read_bytes())["title"] == "Model Gate compare file"


def _options(*names: str) -> set[str]:
    group = typer.main.get_command(cli.app)
    found = [group.commands[name] for name in names or group.commands]  # type: ignore[attr-defined]  # of a Group
    return {
        option
        for command in found
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
        if option.startswith("--")
    }


def test_its_options_are_those_of_the_commands() -> None:
    mentioned = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README.text))
    assert mentioned <= _options(), mentioned - _options()
    assert _options("check", "compare", "diff") <= mentioned, _options("check", "compare", "diff") - mentioned


def test_its_extras_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    listed = re.findall(r"^\| `(\w+)` \|", README.section("Install"), re.MULTILINE)
    assert listed == [extra for extra in project["optional-dependencies"] if extra != "dev"]


def test_it_lists_all_that_equivalent_allows() -> None:
    listed = set(re.findall(r"`(\w+)`", README.section("Equivalent").partition("Two models")[0]))
    assert listed - {"MLmodel"} == {*REWRITTEN_FIELDS, *PATH_FIELDS, *REWRITTEN_FILES}


def _names_in_table(page: Page, section: str) -> list[str]:
    return re.findall(r"^\| `(\w+)` \|", page.section(section), re.MULTILINE)


def test_the_report_page_explains_all_fields_and_errors() -> None:
    page = Page(ROOT / "docs" / "report.md")
    schema = json.loads((ROOT / "schemas" / "report.schema.json").read_bytes())
    definitions = schema["$defs"]
    assert _names_in_table(page, "Fields") == list(schema["properties"])
    version = definitions["resolved_version"]["properties"]
    run = version["run"]["properties"]
    assert _names_in_table(page, "A resolved version") == [*version, *run]
    assert _names_in_table(page, "The run") == list(run)
    compared, difference = (definitions[name]["properties"] for name in ("server_model", "difference"))
    comparison = definitions["versions_comparison"]["properties"]
    explanation = definitions["explanation"]["properties"]
    assert _names_in_table(page, "A comparison") == [*comparison, *compared, *difference, *explanation]
    assert _names_in_table(page, "A compared model") == list(compared)
    assert _names_in_table(page, "A difference") == list(difference)
    assert _names_in_table(page, "An explanation") == list(explanation)
    kinds = {each.__name__ for each in errors.ModelGateError.__subclasses__()}
    assert set(_names_in_table(page, "Errors")) == kinds


def test_the_modules_that_the_pages_name_are_there() -> None:
    design = Page(ROOT / "docs" / "design.md")
    table = re.findall(r"^\|[^|]+\|(.*)\|$", design.section("How data flows"), re.MULTILINE)
    named = {name for row in table for name in re.findall(r"`([\w.]+)`", row)} - {"model_gate"}
    named |= {text for page in PAGES for text in page.inline if re.fullmatch(r"side\.\w+", text)}
    assert len(named) > 20
    for name in named:
        path = ROOT / "src" / "model_gate" / name.replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").is_file(), name


LINKS = [
    pytest.param(page, link, id=f"{page.path.name}: {link}")
    for page in PAGES
    for link in dict.fromkeys(page.links)
    if not link.startswith("https://")  # nothing leaves the machine
]


@pytest.mark.parametrize("page, link", LINKS)
def test_no_link_is_dead(page: Page, link: str) -> None:
    target, _, anchor = link.partition("#")
    path = (page.path.parent / target).resolve() if target else page.path
    assert path.exists(), link
    assert path.is_relative_to(ROOT), link
    if anchor:
        assert anchor in Page(path).anchors, link


def test_all_pages_can_be_found_from_the_readme() -> None:
    linked = {(README.path.parent / link).resolve() for link in README.links if not link.startswith("https://")}
    assert {page.path for page in PAGES} - {README.path} <= linked

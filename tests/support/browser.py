"""Starts the headless browser that `make setup` installs."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.support.paths import ROOT

PACKAGES = ROOT / ".browser" / "node_modules"
_CHROMIUM = ROOT / ".browser" / "chromium"
_VARIABLE = "MODEL_GATE_BROWSER"
_ARGUMENTS = (
    # The browser shows only pages of the tests, and containers and root allow it no sandbox.
    "--no-sandbox",
    "--disable-gpu",
    # A page in a file may load fonts from other files.
    "--allow-file-access-from-files",
    # No page reaches a network.
    "--host-resolver-rules=MAP * ~NOTFOUND",
    # Texts have the same width on every machine.
    "--font-render-hinting=none",
    "--disable-lcd-text",
)


@contextmanager
def started_browser() -> Iterator[Browser]:
    """Start the browser, and end it with the context.

    Raises:
        AssertionError: There is no browser. The message says how to install one.
    """
    executable = find_browser(os.environ.get(_VARIABLE, ""), f"{platform.system()} {platform.machine()}")
    libraries = {"LD_LIBRARY_PATH": str(_CHROMIUM / "lib")} if executable.parent == _CHROMIUM else {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=_ARGUMENTS, env={**os.environ, **libraries}
        )
        try:
            yield browser
        finally:
            browser.close()


def find_browser(named: str, machine: str, installed: Path = _CHROMIUM / "chromium") -> Path:
    """Return the path of the browser's program.

    Args:
        named: The path of a browser that the user names, "" if the user names none.
        machine: The operating system and the processor, such as `Linux x86_64`.
        installed: The path of the browser that `make setup` installs.

    Raises:
        AssertionError: There is no browser.
    """
    if named:
        assert Path(named).is_file(), f"There is no browser at {named}: correct {_VARIABLE}, or leave it out."
        return Path(named)
    assert machine == "Linux x86_64", (
        f"The browser of `make setup` does not run on {machine}: set {_VARIABLE} to the path of an installed Chromium"
        " or Chrome."
    )
    assert installed.is_file(), (
        f"There is no browser at {installed}: install it with `make setup`, or set {_VARIABLE} to the path of an"
        " installed Chromium or Chrome."
    )
    return installed

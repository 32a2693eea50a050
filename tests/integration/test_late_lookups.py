"""An error of one lookup of a version does not wait for the other lookups."""

from __future__ import annotations

import time
from pathlib import Path

from tests.support.faulty_server import MODEL, FaultyServer
from tests.support.gates import check


def test_missing_version_does_not_wait_for_its_download_uri(tmp_path: Path) -> None:
    with FaultyServer() as server:
        server.add("Wine", MODEL)
        server.faults["get-download-uri"] = lambda _: time.sleep(15)
        start = time.monotonic()
        ran = check(tmp_path, server.url, "Wine", "99")
        seconds = time.monotonic() - start
    assert ran.status == "error", ran
    assert seconds < 8, ran.stderr

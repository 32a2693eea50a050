"""Serve one workspace until the process is ended."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.databricks.emulator.content import Content
from tests.databricks.emulator.server import serve


def main() -> None:
    """Read the content, say where it is served, serve it."""
    parser = argparse.ArgumentParser(prog="python -m emulator", description=__doc__)
    parser.add_argument("content", type=Path, help="a directory with a workspace.json")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--requests", type=Path, help="where each request is written down, one JSON object a line")
    arguments = parser.parse_args()
    server = serve(Content.read(arguments.content), arguments.port, arguments.requests)
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()

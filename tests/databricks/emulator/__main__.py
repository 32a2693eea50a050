"""Serve one workspace until the process is stopped."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.databricks.emulator.content import Content
from tests.databricks.emulator.server import serve


def main() -> None:
    """Read the content of the workspace, print its URL and serve it."""
    parser = argparse.ArgumentParser(prog="python -m tests.databricks.emulator", description=__doc__)
    parser.add_argument("content", type=Path, help="directory with a workspace.json")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 selects a free one")
    parser.add_argument("--requests", type=Path, help="file to log requests to, one JSON object per line")
    arguments = parser.parse_args()
    server = serve(Content.read(arguments.content), arguments.port, arguments.requests)
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()

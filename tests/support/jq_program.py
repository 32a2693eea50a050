"""A `jq` program for machines without jq. It uses the jq library and has the options that the tests need."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import jq


def main() -> None:
    parser = argparse.ArgumentParser(prog="jq")
    parser.add_argument("-r", dest="raw", action="store_true")
    parser.add_argument("--arg", dest="arguments", nargs=2, action="append", default=[])
    parser.add_argument("program")
    parser.add_argument("file", type=Path, nargs="?", default=Path("/dev/stdin"))
    options = parser.parse_args()
    program = jq.compile(options.program, args=dict(options.arguments))
    for value in program.input_text(options.file.read_text("utf-8")):
        is_raw = options.raw and isinstance(value, str)
        print(value if is_raw else json.dumps(value, indent=2, ensure_ascii=False))  # noqa: T201  # command-line output


if __name__ == "__main__":
    main()

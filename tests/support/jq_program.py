"""A `jq` program for machines without jq. It uses the jq library and has the options that the README uses."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import jq


def main() -> None:
    parser = argparse.ArgumentParser(prog="jq")
    parser.add_argument("-r", dest="raw", action="store_true")
    parser.add_argument("program")
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    for value in jq.compile(options.program).input_text(options.file.read_text("utf-8")):
        is_raw = options.raw and isinstance(value, str)
        print(value if is_raw else json.dumps(value, indent=2, ensure_ascii=False))  # noqa: T201  # command-line output


if __name__ == "__main__":
    main()

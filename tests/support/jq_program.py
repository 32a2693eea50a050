"""A `jq` program for machines without jq. It uses the jq library and has the options that the documentation uses."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import jq


def main() -> None:
    parser = argparse.ArgumentParser(prog="jq")
    parser.add_argument("-r", dest="is_raw", action="store_true")
    parser.add_argument("-c", dest="is_compact", action="store_true")
    parser.add_argument("-n", dest="has_no_input", action="store_true")
    parser.add_argument("-s", dest="is_one_list", action="store_true")
    for name in ("--arg", "--argjson", "--rawfile"):
        parser.add_argument(name, nargs=2, action="append", default=[])
    parser.add_argument("program")
    parser.add_argument("file", type=Path, nargs="?")
    options = parser.parse_args()
    variables: dict[str, object] = dict(options.arg)
    variables |= {name: json.loads(text) for name, text in options.argjson}
    variables |= {name: Path(file).read_text("utf-8") for name, file in options.rawfile}
    program = jq.compile(options.program, args=variables)
    if options.has_no_input:
        values = program.input_value(None)
    else:
        text = sys.stdin.read() if options.file is None else options.file.read_text("utf-8")
        values = program.input_text(text, slurp=options.is_one_list)
    for value in values:
        is_raw = options.is_raw and isinstance(value, str)
        layout = {"separators": (",", ":")} if options.is_compact else {"indent": 2}
        print(value if is_raw else json.dumps(value, ensure_ascii=False, **layout))  # noqa: T201  # command-line output


if __name__ == "__main__":
    main()

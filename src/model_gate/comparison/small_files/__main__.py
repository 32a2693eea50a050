"""A process beside the gate's own: told pairs of files on its standard input, it says which of them are equal.

A line of JSON is `[number, [[left path, right path, size] or null, …]]`. The answer is `[number, [digest or null, …]]`:
null for what needs a closer look, which is not taken here. It ends when its input does, be it in the middle of a line.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from queue import SimpleQueue

from model_gate.comparison.small_files.equality import digests_if_equal


def main() -> None:
    """Answer until there is nobody to ask."""
    asked: SimpleQueue[bytes] = SimpleQueue()
    # Always ready to be told more, so that no pipe is ever full in both directions.
    threading.Thread(target=_listen, args=(asked,), daemon=True).start()
    while True:
        number, pairs = json.loads(asked.get())
        answer = json.dumps([number, digests_if_equal(pairs)])
        sys.stdout.buffer.write(answer.encode() + b"\n")
        sys.stdout.buffer.flush()


def _listen(asked: SimpleQueue[bytes]) -> None:
    for line in sys.stdin.buffer:
        asked.put(line)
    # Whoever asked is gone: what is still to be compared is of no use.
    os._exit(0)


if __name__ == "__main__":
    main()

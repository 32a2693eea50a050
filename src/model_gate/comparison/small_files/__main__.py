"""A comparison process: reads pairs of files from standard input and writes the digests of equal pairs.

A request is one line of JSON, `[number, [[left path, right path, size] or null, …]]`. Its response is one line,
`[number, [digest or null, …]]`, with null for each pair that the parent must compare itself. The process ends when its
standard input ends, even in the middle of a line.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from queue import SimpleQueue

from model_gate.comparison.small_files.equality import digests_if_equal


def main() -> None:
    """Respond to requests until standard input ends."""
    requests: SimpleQueue[bytes] = SimpleQueue()
    # A thread reads all the time, so that both pipes are never full at once.
    threading.Thread(target=_read_requests, args=(requests,), daemon=True).start()
    while True:
        number, pairs = json.loads(requests.get())
        response = json.dumps([number, digests_if_equal(pairs)])
        sys.stdout.buffer.write(response.encode() + b"\n")
        sys.stdout.buffer.flush()


def _read_requests(requests: SimpleQueue[bytes]) -> None:
    for line in sys.stdin.buffer:
        requests.put(line)
    # The parent has ended, so nothing reads further responses.
    os._exit(0)


if __name__ == "__main__":
    main()

"""A comparison process: reads pairs of files from standard input, and writes the digests of equal pairs to its output.

A request is one line of JSON, `[number, [[left path, right path, size], …]]`. The number identifies the request. The
response is one line, `[number, [digest or null, …]]`, with null for each pair that the parent must compare itself. The
process ends when its standard input ends, even if it has not responded to every request.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from queue import SimpleQueue

from model_gate.comparison.small_files.equality import SmallPair, digests_if_equal

# The import of `collections.abc` is needed only for types, and would delay the start of a process.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def main(digests_of: Callable[[Sequence[SmallPair]], list[str | None]] = digests_if_equal) -> None:
    """Respond to requests until standard input ends. `digests_of` returns the response for the pairs of a request."""
    requests: SimpleQueue[bytes] = SimpleQueue()
    responses: SimpleQueue[bytes] = SimpleQueue()
    # One thread reads the requests, and one thread writes the responses. So this process and its parent never wait for
    # each other with full pipes, and the parent can send many requests before it reads a response.
    threading.Thread(target=_read_requests, args=(requests,), daemon=True).start()
    threading.Thread(target=_write_responses, args=(responses,), daemon=True).start()
    while True:
        number, pairs = json.loads(requests.get())
        responses.put(json.dumps([number, digests_of(pairs)]).encode() + b"\n")


def _read_requests(requests: SimpleQueue[bytes]) -> None:
    for line in sys.stdin.buffer:
        requests.put(line)
    # The parent has closed the pipe or has ended, so it reads no further response.
    os._exit(0)


def _write_responses(responses: SimpleQueue[bytes]) -> None:
    try:
        while True:
            sys.stdout.buffer.write(responses.get())
            sys.stdout.buffer.flush()
    except OSError:
        # The parent has ended.
        os._exit(0)


if __name__ == "__main__":
    main()

"""The callback for the progress of a listing or a fetch, in a worker and in the parent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# Called with `{"files": N}`, where N is the total so far, or with `{"bytes": N}`, where N counts from the last message.
ProgressCallback = Callable[[dict[str, Any]], None]

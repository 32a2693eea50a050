"""Run a command that respects file permissions even if the user is root: `unprivileged.py COMMAND…`."""

from __future__ import annotations

import ctypes
import os
import sys

# From linux/prctl.h and linux/capability.h.
_PR_CAPBSET_DROP = 24
_CAP_DAC_OVERRIDE = 1
_CAP_DAC_READ_SEARCH = 2


def main() -> None:
    """Drop the capabilities that bypass permission bits, then replace this process with the command."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
            # execve grants root only the capabilities in the bounding set.
            if libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
                raise OSError(ctypes.get_errno(), "prctl(PR_CAPBSET_DROP)")
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606  # no shell is needed


if __name__ == "__main__":
    main()

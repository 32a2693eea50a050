"""Opens files without waiting: a FIFO or a device in the place of a file is an error at once.

>>> import os
>>> open_regular("/dev/null")
Traceback (most recent call last):
OSError: [Errno 22] Not a regular file: '/dev/null'
"""

from __future__ import annotations

import errno
import os
import stat

# Opening a FIFO waits for its other end, unless the open is non-blocking. The flag does not affect regular files.
READ_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


def open_regular(path: str | os.PathLike[str], _: int = 0, *, dir_fd: int | None = None) -> int:
    """Open a regular file for reading, and return its descriptor.

    The function can be the `opener` of `open`, which passes flags that are not needed. With `dir_fd`, the descriptor of
    a directory, the path is relative to that directory, and its last part must not be a symbolic link.

    Raises:
        OSError: The file cannot be opened, or is not a regular file.
    """
    flags = READ_FLAGS if dir_fd is None else READ_FLAGS | os.O_NOFOLLOW
    descriptor = os.open(path, flags, dir_fd=dir_fd)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    raise OSError(errno.EINVAL, "Not a regular file", os.fspath(path))


def open_for_output(path: str | os.PathLike[str], flags: int) -> int:
    """Open a file of any kind for writing, and return its descriptor. This function is an `opener` of `open`.

    Raises:
        OSError: The file cannot be opened, or is a FIFO that nothing reads.
    """
    descriptor = os.open(path, flags | os.O_NONBLOCK, 0o666)
    os.set_blocking(descriptor, True)
    return descriptor

"""Upper bounds on everything that a tracking server or a store sends: bytes, entries, characters and seconds.

No server can make a gate take more memory, disk space or time than these bounds allow.
"""

from __future__ import annotations

from dataclasses import dataclass

_MIB = 1024**2


@dataclass(frozen=True)
class Limits:
    """The upper bounds of a gate.

    Attributes:
        response_bytes: Bytes of a response after decompression, unless the response is a file with a listed size. The
            libraries of the object stores request files in parts of at most 32 MiB.
        response_values: JSON values in a response. A parsed value can take 100 times the memory of its text.
        file_slack: Bytes that a response may have beyond the listed size of its file.
        message_bytes: Bytes of a message from a worker to the parent process.
        text_characters: Characters of a text in a model version, such as its source.
        version_items: Aliases of a model version; also the names that must be resolved from its source to its files.
        directory_files: Files of a model on this machine.
        listing_files: Files of a model on a tracking server, plus its directories that are not listed yet.
        listing_characters: Characters of all paths of a listing. A character that is not ASCII counts six times,
            because it takes up to six bytes in a message.
        listing_values: JSON values in all responses of a listing. An MLflow server sends four for each file.
        listing_pages: Pages of the listing of one directory.
        listing_depth: Levels of directories in a model.
        path_characters: Characters of a path.
        search_page: Registered models or versions on a page of a search, as the worker requests it. A server may send
            smaller pages.
        search_pages: Pages of a listing of registered models or versions.
        search_models: Registered models in a listing of a registry.
        search_versions: Versions that a search selects; also the versions in a listing of a registry.
        search_seconds: Seconds of a search.
        listing_seconds: Seconds of a listing.
        listing_seconds_per_file: Seconds by which each listed file extends `listing_seconds`.
        silence_seconds: Seconds without any message from a worker, after which its server counts as unreachable.
        first_byte_seconds: Seconds until the first byte of a file, not counting the time in which the server reads the
            file from its store.
        first_byte_max_seconds: Largest number of seconds until the first byte of a file, whatever its size.
        store_bytes_per_second: Bytes per second that a server must read from its store. The time to read the largest
            file at this rate is added to `first_byte_seconds`.
        slow_seconds: Seconds over which the rate of a transfer is measured.
        slow_bytes_per_second: Smallest average rate of all responses of a worker together during `slow_seconds`. A
            slower response is an error.
        transfer_bytes_per_second: Smallest average rate of all pending downloads of a worker together. If they are
            slower, the gate ends in an error.
        worker_memory: Bytes of memory that a worker may allocate in addition to what it has after its start.
        worker_file_bytes: Bytes of a file that a worker may write, in addition to the listed size of its largest file.
        thread_stack: Bytes of the stack of a worker's thread.
    """

    response_bytes: int = 32 * _MIB
    response_values: int = 1_500_000
    file_slack: int = 1 * _MIB
    message_bytes: int = 64 * _MIB
    text_characters: int = 65_536
    version_items: int = 10_000
    directory_files: int = 2_000_000
    listing_files: int = 500_000
    listing_characters: int = 48 * _MIB
    listing_values: int = 4_000_000
    listing_pages: int = 10_000
    listing_depth: int = 250
    path_characters: int = 16_384
    search_page: int = 500
    search_pages: int = 10_000
    search_models: int = 100_000
    search_versions: int = 100_000
    search_seconds: float = 600.0
    listing_seconds: float = 90.0
    listing_seconds_per_file: float = 0.01
    silence_seconds: float = 45.0
    first_byte_seconds: int = 18
    first_byte_max_seconds: int = 900
    store_bytes_per_second: int = 20_000_000
    slow_seconds: float = 60.0
    slow_bytes_per_second: int = 10_000
    transfer_bytes_per_second: int = 100_000
    worker_memory: int = 1024 * _MIB
    worker_file_bytes: int = 16 * _MIB
    thread_stack: int = 1 * _MIB


LIMITS = Limits()

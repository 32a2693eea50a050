"""The operating system bounds the memory of a worker and the size of the files that it writes."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no limit of this kind")


def _run(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


def test_allocating_memory_beyond_the_limit_is_an_error_and_not_a_crash() -> None:
    program = """
from dataclasses import replace
from model_gate.domain.limits import Limits
from model_gate.worker.resource_limits import limit_memory
limit_memory(replace(Limits(), worker_memory=100 * 1024**2))
small = bytearray(50 * 1024**2)
try:
    large = bytearray(200 * 1024**2)
except MemoryError:
    print("MemoryError")
"""
    assert _run(program) == "MemoryError"


def test_memory_limit_is_enough_for_400_threads() -> None:
    program = """
import threading
from model_gate.worker.resource_limits import limit_memory
limit_memory()
stopped = threading.Event()
threads = [threading.Thread(target=lambda: (bytearray(1024**2), stopped.wait())) for _ in range(400)]
for thread in threads:
    thread.start()
stopped.set()
for thread in threads:
    thread.join()
print("all")
"""
    assert _run(program) == "all"


def test_deeply_nested_json_in_a_thread_is_an_error_and_not_a_crash() -> None:
    program = """
import json, threading
from model_gate.worker.resource_limits import limit_memory
limit_memory()
def parse():
    for text in ("[" * 100_000, '{"a":' * 100_000):
        try:
            json.loads(text)
        except RecursionError:
            print("RecursionError")
thread = threading.Thread(target=parse)
thread.start()
thread.join()
"""
    assert _run(program) == "RecursionError\nRecursionError"


def test_writing_a_file_beyond_the_size_limit_is_an_error_and_not_a_signal(tmp_path: object) -> None:
    program = f"""
import errno
from dataclasses import replace
from model_gate.domain.limits import Limits
from model_gate.worker.resource_limits import FileSizeLimit
limit = FileSizeLimit(replace(Limits(), worker_file_bytes=1_000))
def write(count):
    try:
        with open({str(tmp_path)!r} + "/file", "wb", buffering=0) as file:
            while count:
                count -= file.write(b"x" * count)
    except OSError as error:
        return limit.is_cause_of(error) and errno.errorcode[error.errno]
    return "written"
print(write(1_000), write(1_001))
limit.allow(5_000)
limit.allow(10)
print(write(6_000), write(6_001))
"""
    assert _run(program) == "written EFBIG\nwritten EFBIG"


def test_lower_file_size_limit_of_the_user_is_not_raised(tmp_path: object) -> None:
    program = """
import resource
from model_gate.worker.resource_limits import FileSizeLimit
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, resource.RLIM_INFINITY))
FileSizeLimit().allow(1_000_000)
print(resource.getrlimit(resource.RLIMIT_FSIZE)[0])
"""
    assert _run(program) == "5000"

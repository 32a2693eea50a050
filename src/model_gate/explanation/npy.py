"""NumPy `.npy` files: type, shape and number of changed elements. Nothing is unpickled."""

from __future__ import annotations

import ast
import re
from pathlib import PurePosixPath

from model_gate.domain.difference import Explanation
from model_gate.explanation.content import Content, ContentPair, UnexplainedError
from model_gate.explanation.tensors import MAX_DIMENSIONS, ElementBudget, ElementType, Tensor, compare_tensors

KIND = "npy"
_MAGIC = b"\x93NUMPY"
# NumPy itself refuses longer headers.
_MAX_HEADER_BYTES = 10_000
_DESCRIPTION = re.compile(r"([<>|=])([biufcSUVmMO])(\d{0,9})(\[.*\])?")
# Name in the report and format character for `struct`, by NumPy's letter and the bytes of an element.
_CODES = {
    ("f", 2): ("float16", "e"),
    ("f", 4): ("float32", "f"),
    ("f", 8): ("float64", "d"),
    ("i", 1): ("int8", "b"),
    ("i", 2): ("int16", "h"),
    ("i", 4): ("int32", "i"),
    ("i", 8): ("int64", "q"),
    ("u", 1): ("uint8", "B"),
    ("u", 2): ("uint16", "H"),
    ("u", 4): ("uint32", "I"),
    ("u", 8): ("uint64", "Q"),
    ("b", 1): ("bool", ""),
    ("c", 8): ("complex64", ""),
    ("c", 16): ("complex128", ""),
}


def matches(pair: ContentPair) -> bool:
    """Return whether the path has the suffix `.npy`."""
    return PurePosixPath(pair.path).suffix.lower() == ".npy"


def explain(pair: ContentPair) -> Explanation:
    """Return an explanation with the changed type, shape or elements of the array."""
    left, right = _read_array(pair.left), _read_array(pair.right)
    result = compare_tensors("array", (pair.left, left), (pair.right, right), ElementBudget(), pair.known)
    if result is None:
        return Explanation(KIND, "the same array, only the header is written differently", has_same_values=True)
    change, is_cut = result
    is_same_type = change.left == change.right
    summary = change.meaning if is_same_type else f"{change.left} → {change.right}"
    return Explanation(KIND, summary, (change,), is_cut=is_cut)


def describe(content: Content) -> str:
    """Return the type and the shape of the array in a phrase."""
    return f"an npy array of {_read_array(content)}"


def _read_array(content: Content) -> Tensor:
    with content.open() as stream:
        start = stream.read(8)
        if not start.startswith(_MAGIC) or len(start) < 8:
            raise UnexplainedError("it is not an npy file")
        width = 2 if start[6] == 1 else 4
        length = int.from_bytes(stream.read(width), "little")
        if length > _MAX_HEADER_BYTES:
            raise UnexplainedError(f"its header is said to have {length:,} bytes")
        header = stream.read(length)
    tensor = _parse_header(header, 8 + width + length)
    if tensor.offset + tensor.size > content.size:
        raise UnexplainedError("it ends before its array does")
    return tensor


def _parse_header(header: bytes, offset: int) -> Tensor:
    try:
        # A literal is parsed; no expression in the header is evaluated.
        fields = ast.literal_eval(header.decode("utf-8").strip())
        description, shape, is_fortran = fields["descr"], fields["shape"], fields["fortran_order"]
    except (ValueError, SyntaxError, TypeError, KeyError, MemoryError, RecursionError) as error:
        raise UnexplainedError("its header cannot be read") from error
    is_shape = isinstance(shape, tuple) and all(type(size) is int and 0 <= size < 10**18 for size in shape)
    if not is_shape or len(shape) > MAX_DIMENSIONS:
        raise UnexplainedError("its header gives no shape")
    layout = "column by column" if is_fortran and len(shape) > 1 else ""
    return Tensor(_parse_type(description), shape, offset, layout)


def _parse_type(description: object) -> ElementType:
    match = _DESCRIPTION.fullmatch(description) if isinstance(description, str) else None
    if match is None or match[2] == "O":
        raise UnexplainedError("its elements are objects or records")
    order, letter, digits = match[1], match[2], match[3]
    size = int(digits or 0) * (4 if letter == "U" else 1)
    if size == 0:
        raise UnexplainedError("its elements have no size")
    name, code = _CODES.get((letter, size), (f"{letter}{digits}", ""))
    if order == ">" and size > 1:
        return ElementType(f"{name}, big-endian", size, code, order=">")
    return ElementType(name, size, code)

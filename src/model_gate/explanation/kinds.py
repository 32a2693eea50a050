"""The registered kinds of files, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from model_gate.domain.difference import Explanation
from model_gate.domain.model import MLMODEL
from model_gate.explanation import (
    archive,
    bytecode,
    catboost,
    lightgbm,
    mlmodel,
    msgpack,
    npy,
    onnx,
    packages,
    parquet,
    pickles,
    raw_bytes,
    safetensors,
    structured,
    tensorflow,
    text,
    ubjson,
)
from model_gate.explanation.content import Content, ContentPair, UnexplainedError


@dataclass(frozen=True)
class FileKind:
    """A kind of file, with the functions that recognize it and explain its differences.

    Attributes:
        kind: Name of the kind in notes and in `docs/explanations.md`.
        matches: Returns whether a pair may be of this kind. Reads no more than the first bytes.
        explain: Returns the explanation, or None if the pair turns out to be of another kind. Raises UnexplainedError
            if the pair is of this kind but too large, damaged or hostile.
        describe: Returns what one file is, in a phrase such as `a pickle of protocol 4`, or "" if it turns out to be of
            another kind. Reads little. Raises UnexplainedError as `explain` does. None if there is no such phrase.
    """

    kind: str
    matches: Callable[[ContentPair], bool]
    explain: Callable[[ContentPair], Explanation | None]
    describe: Callable[[Content], str] | None = None


def _explain_archive(pair: ContentPair) -> Explanation | None:
    return archive.explain(pair, explain_pair)


# The last kind explains any pair.
FILE_KINDS = (
    FileKind(MLMODEL, mlmodel.matches, mlmodel.explain, mlmodel.describe),
    FileKind(bytecode.KIND, bytecode.matches, bytecode.explain),
    FileKind(packages.KIND, packages.matches, packages.explain),
    FileKind(archive.KIND, archive.matches, _explain_archive, archive.describe),
    FileKind(safetensors.KIND, safetensors.matches, safetensors.explain, safetensors.describe),
    FileKind(npy.KIND, npy.matches, npy.explain, npy.describe),
    FileKind(ubjson.KIND, ubjson.matches, ubjson.explain),
    FileKind(onnx.KIND, onnx.matches, onnx.explain),
    FileKind(catboost.KIND, catboost.matches, catboost.explain),
    FileKind(parquet.KIND, parquet.matches, parquet.explain),
    FileKind(tensorflow.KIND, tensorflow.matches, tensorflow.explain),
    FileKind(lightgbm.KIND, lightgbm.matches, lightgbm.explain),
    FileKind(msgpack.KIND, msgpack.matches, msgpack.explain),
    FileKind(pickles.KIND, pickles.matches, pickles.explain, pickles.describe),
    FileKind("JSON or YAML", structured.matches, structured.explain),
    FileKind(text.KIND, text.matches, text.explain, text.describe),
    FileKind(raw_bytes.KIND, raw_bytes.matches, raw_bytes.explain),
)


def explain_pair(pair: ContentPair, kinds: Sequence[FileKind] = FILE_KINDS) -> Explanation:
    """Return the explanation of the first kind that matches a pair and can explain it.

    A kind that fails is skipped. The first failure becomes the note of the explanation.

    Args:
        pair: The pair to explain.
        kinds: Kinds in the order in which they are tried. The last one must explain any pair.
    """
    note = ""
    for kind in kinds:
        try:
            explanation = kind.explain(pair) if kind.matches(pair) else None
        except UnexplainedError as error:
            note = note or f"could not be explained as {kind.kind}: {error}"
        except Exception as error:  # noqa: BLE001  # a defect of one kind must not prevent the next one
            note = note or f"could not be explained as {kind.kind}: {type(error).__name__}"
        else:
            if explanation is not None:
                return replace(explanation, note=note) if note else explanation
    raise AssertionError("The last kind must explain any pair.")


def describe_file(path: str, content: Content) -> str:
    """Return what one file is, in a phrase such as `a pickle of protocol 4`; "" if it is of no such kind.

    Args:
        path: Path in the model.
        content: The content of the file.

    Raises:
        OSError: The file cannot be read.
    """
    pair = ContentPair(path, content, content)
    for kind in FILE_KINDS:
        if kind.describe is None or not kind.matches(pair):
            continue
        try:
            if phrase := kind.describe(content):
                return phrase
        except UnexplainedError:
            # The file has the suffix of the kind, and is of another kind or damaged.
            continue
    return ""

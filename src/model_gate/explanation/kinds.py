"""All explainers, in one place, in the order in which they are asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from model_gate.domain.difference import Explanation
from model_gate.explanation import archive, mlmodel, npy, packages, pickles, raw_bytes, safetensors, structured, text
from model_gate.explanation.content import ContentPair, UnexplainedError


@dataclass(frozen=True)
class FileKind:
    """One kind of file.

    Attributes:
        kind: What the report calls it.
        matches: Whether a pair may be of this kind; reads no more than the first bytes.
        explain: What differs; None if the pair turns out to be of another kind. Raises UnexplainedError where it is of
            this kind, but too large, damaged or hostile.
    """

    kind: str
    matches: Callable[[ContentPair], bool]
    explain: Callable[[ContentPair], Explanation | None]


def _explain_member(pair: ContentPair) -> Explanation:
    return explain_pair(pair)


# The first that matches and does not say None explains a pair. The last one takes everything.
FILE_KINDS = (
    FileKind("MLmodel", mlmodel.matches, mlmodel.explain),
    FileKind("packages", packages.matches, packages.explain),
    FileKind("archive", archive.matches, lambda pair: archive.explain(pair, _explain_member)),
    FileKind("safetensors", safetensors.matches, safetensors.explain),
    FileKind("npy", npy.matches, npy.explain),
    FileKind("pickle", pickles.matches, pickles.explain),
    FileKind("JSON or YAML", structured.matches, structured.explain),
    FileKind("text", text.matches, text.explain),
    FileKind("bytes", raw_bytes.matches, raw_bytes.explain),
)


def explain_pair(pair: ContentPair) -> Explanation:
    """What the first explainer says that can; whatever one cannot survive is told as a note."""
    note = ""
    for explainer in FILE_KINDS:
        try:
            found = explainer.explain(pair) if explainer.matches(pair) else None
        except UnexplainedError as error:
            note = note or f"could not be explained as {explainer.kind}: {error}"
        except Exception as error:  # noqa: BLE001  # a file that an explainer does not survive is the next one's
            note = note or f"could not be explained as {explainer.kind}: {type(error).__name__}"
        else:
            if found is not None:
                return replace(found, note=note) if note else found
    raise AssertionError("the last explainer takes everything")

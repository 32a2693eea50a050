"""Words for each kind of file whose content an explanation knows, for the terminal and the summary."""

from __future__ import annotations

from dataclasses import dataclass

from model_gate.domain.difference import DIGEST, Explanation
from model_gate.domain.model import MLMODEL

_OTHER_CONTENT = "other content: trained, saved or edited anew"
_OTHER_WEIGHTS = "other weights: trained or edited anew"
_OTHER_PARAMETERS = "other parameters or weights"
_OTHER_SETTINGS = "other settings or data"
_OTHER_CODE = "code compiled from another source, or by another Python"
_SAVED_OTHERWISE = "the same values, saved in another way"
_WRITTEN_OTHERWISE = "the same values, written in another way"


@dataclass(frozen=True)
class KindWords:
    """Words for the explanations of one kind.

    Attributes:
        part: What a part of such a file is, as the title of a column.
        changed: What a difference means if parts of the file differ.
        same_values: What a difference means if both files have the same values.
        needs_first_byte: Whether the explanation does not say where the files differ.
    """

    part: str = "Path"
    changed: str = _OTHER_CONTENT
    same_values: str = _SAVED_OTHERWISE
    needs_first_byte: bool = False


_WORDS = {
    MLMODEL: KindWords("Field"),
    "packages": KindWords("Package", "it is run with other packages", "the same packages in another notation"),
    "archive": KindWords("Member"),
    "safetensors": KindWords("Tensor", _OTHER_WEIGHTS),
    "npy": KindWords("Array", _OTHER_WEIGHTS),
    "pickle": KindWords("Part", needs_first_byte=True),
    "UBJSON": KindWords(changed=_OTHER_PARAMETERS),
    "ONNX": KindWords(changed=_OTHER_PARAMETERS),
    "LightGBM": KindWords(changed=_OTHER_PARAMETERS),
    "MessagePack": KindWords(changed=_OTHER_PARAMETERS),
    "bytecode": KindWords(changed=_OTHER_CODE),
    "JSON": KindWords("Path", _OTHER_SETTINGS, _WRITTEN_OTHERWISE),
    "YAML": KindWords("Path", _OTHER_SETTINGS, _WRITTEN_OTHERWISE),
    "text": KindWords(changed="other text or code"),
    "bytes": KindWords(needs_first_byte=True),
    DIGEST: KindWords("Hash"),
}
_OTHER = KindWords()


def words_for(explanation: Explanation) -> KindWords:
    """Return the words for the kind of an explanation."""
    return _WORDS.get(explanation.kind, _OTHER)

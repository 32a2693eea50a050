"""The models of a comparison in three stages: selected, listed, and paired file by file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from model_gate.domain.location import LocationKey
from model_gate.domain.model import Listing
from model_gate.domain.pairing import Pairing
from model_gate.sources.model_source import ModelSource


class ModelKey(NamedTuple):
    """Key of a model. Two keys are equal exactly if their models are the same files of the same location.

    Attributes:
        location: The key of the model's location.
        native_model: The native model's path, "" for the whole model.
    """

    location: LocationKey
    native_model: str


@dataclass(frozen=True)
class SelectedModel:
    """One model of a comparison, before its files are listed.

    Attributes:
        source: Where its files come from.
        native_model: The native model's path, "" for the whole model.
        is_mlflow_model: Whether the model must have an MLmodel file.
        is_named: Whether the user named the location of the model. If not, a version or a run names it.
    """

    source: ModelSource
    native_model: str = ""
    is_mlflow_model: bool = True
    is_named: bool = False

    @property
    def key(self) -> ModelKey:
        """Key that is equal for two models exactly if they are the same files of one location."""
        return ModelKey(self.source.location.key, self.native_model)


@dataclass(frozen=True)
class SelectedPair:
    """Two models to compare, before their files are listed."""

    left: SelectedModel
    right: SelectedModel

    @property
    def is_same_location(self) -> bool:
        """Whether both models are the same files of the same location."""
        return self.left.key == self.right.key


@dataclass(frozen=True, eq=False)
class ListedModel:
    """One model of a comparison, with the files of its location.

    Attributes:
        source: Where its files come from. Listed models of one location share one source.
        listing: All files of the location.
        native_model: The native model's path, "" for the whole model.
    """

    source: ModelSource
    listing: Listing
    native_model: str = ""

    @property
    def key(self) -> ModelKey:
        """Key that is equal for two models exactly if they are the same files of one location."""
        return ModelKey(self.source.location.key, self.native_model)

    @cached_property
    def paths(self) -> list[str]:
        """Paths of the files that affect the verdict: those of the native model, or all for a whole model."""
        return list(self.listing.native_files(self.native_model) if self.native_model else self.listing.files)

    @property
    def size(self) -> int:
        """Total size in bytes of the files that affect the verdict."""
        return sum(self.listing.files[path] for path in self.paths)


@dataclass(frozen=True, eq=False)
class ModelPair:
    """Two listed models and the pairing of their files.

    Two instances are equal only if they are the same object, so that a pair is a cheap dictionary key.
    """

    left: ListedModel
    right: ListedModel
    pairing: Pairing

    @cached_property
    def is_local(self) -> bool:
        """Whether the files of both models can be read without a transfer."""
        return self.left.source.is_local and self.right.source.is_local

    @property
    def is_same_location(self) -> bool:
        """Whether both models are the same files of the same location, and so equal to each other."""
        return self.left.key == self.right.key

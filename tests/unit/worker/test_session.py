"""The results of a worker have no secrets in texts that quote errors."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from model_gate.domain.progress import ProgressCallback
from model_gate.domain.roles import ModelRole
from model_gate.domain.version import ModelVersion, ResolvedUri, SelectedVersion
from model_gate.worker.session import Session
from tests.support.outcomes import model_version

TOKEN = "s3cret-token-of-a-store"


class Registry:
    """A registry that quotes the token in its reasons, and has a version whose name is the token."""

    def resolve(self, model: str, version_or_stage: str, models: Collection[ModelRole] = ()) -> ModelVersion:
        reason = f"The store rejects {TOKEN}."
        return replace(model_version(), name=TOKEN, run_model_reason=reason, reg_model_remedy=reason)

    def search(
        self,
        models: str,
        version_or_stage: str,
        tags: Mapping[str, str],
        on_progress: ProgressCallback,
    ) -> list[SelectedVersion]:
        return [SelectedVersion(TOKEN, "", problem=f"The store rejects {TOKEN}.")]

    def locate(self, uri: str) -> ResolvedUri:
        return ResolvedUri(uri)


class Artifacts:
    """The artifacts of a store with a login."""

    def secrets(self) -> tuple[str, ...]:
        return (TOKEN,)


def session() -> Session:
    return Session(Registry(), Artifacts())  # type: ignore[arg-type]


def test_reasons_of_a_version_have_no_secrets_and_its_names_do_not_change() -> None:
    data = session().perform("resolve", {"model": "m", "version_or_stage": "1", "models": []}, lambda _: None)
    assert data["run_model_reason"] == data["reg_model_remedy"] == "The store rejects ***."
    assert data["name"] == TOKEN


def test_problems_of_a_search_have_no_secrets() -> None:
    (found,) = session().perform("search", {"models": "*", "version_or_stage": "", "tags": {}}, lambda _: None)
    assert (found["model"], found["problem"]) == (TOKEN, "The store rejects ***.")

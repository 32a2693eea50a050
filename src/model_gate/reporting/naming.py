"""Names of the compared models, versions and servers as people know them: `Wine: staging v12 ≠ production v7`.

The names are not escaped. Only long names are redacted, before they are shortened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from model_gate.access.redaction import Redactor
from model_gate.domain.host import Host, HostKind
from model_gate.domain.request import (
    SEAL_NOUN,
    CheckRequest,
    CompareRequest,
    DiffRequest,
    VerifyRequest,
    VersionRequest,
)
from model_gate.domain.result import Comparison, Outcome
from model_gate.domain.wording import truncate_middle, truncate_path
from model_gate.reporting.scope import limits_of_all, limits_of_equality

_MAX_NAME = 60
_REDACTOR = Redactor()
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class SideNames:
    """Short names of the two models of a comparison, for columns and phrases.

    Attributes:
        left: Name of the left model, such as `staging v12` or `run model`.
        right: Name of the right model. It may equal the left name if both are the same version of one server.
        article: Word before a name in a sentence, with a blank after it; "" for proper names.
    """

    left: str = "left model"
    right: str = "right model"
    article: str = "the "

    @property
    def phrases(self) -> tuple[str, str]:
        """The two names for the middle of a sentence, such as `the run model`."""
        return f"{self.article}{self.left}", f"{self.article}{self.right}"


def heading(outcome: Outcome) -> str:
    """Return what a gate compared and whether it is the same, or only what it compared if there is no verdict.

    A part that does not affect the verdict is named, as in `= …, except 3 ignored files (2 of them differ)`. The result
    is "" if the inputs are not valid, so that nothing is known.
    """
    return "; ".join(filter(None, heading_parts(outcome)))


def heading_parts(outcome: Outcome) -> tuple[str, str]:
    """Return the heading in two parts: the only comparison that differs, and the others of the same version.

    The second part is "" for a gate with one comparison or about two versions, and if not exactly one of several
    comparisons differs.
    """
    requests = list(outcome.requested_versions.values())
    if len(requests) == 1:
        subject = f"{_short(requests[0].model)}: {server_and_version(outcome)}"
        return _with_results(subject, outcome)
    return _heading_of_two(outcome), ""


def _heading_of_two(outcome: Outcome) -> str:
    sides = _sides_in_heading(outcome)
    if sides is None:
        return ""
    prefix, left, right = sides
    if outcome.is_nothing_compared:
        if prefix and len(set(server_names(outcome))) == 1:
            right = version_name(list(outcome.requested_versions.values())[1], outcome)
        return f"{prefix}{left} and {right} are the same files"
    if not outcome.comparisons:
        return f"{prefix}{left} and {right}"
    if not outcome.equivalent:
        return f"{prefix}{left} ≠ {right}"
    limits = limits_of_all(comparison for _, comparison in outcome.distinct_comparisons)
    return f"{prefix}{left} {'=' if outcome.equals else '≈'} {right}{limits}"


def open_question(outcome: Outcome) -> str:
    """Return what a gate without a verdict could not decide, as in `whether staging Wine v1 equals prod Wine v3`.

    The result is "" if the inputs are not valid, so that nothing is known, and for a command that gives no verdict.
    """
    request, requests = outcome.request, list(outcome.requested_versions.values())
    if len(requests) == 1 and request is not None:
        (version,) = requests
        model = _short(version.model)
        subject = f"{model} {version_name(version, outcome)}"
        if outcome.error is None or version.host.address not in outcome.error.message:
            subject = f"{subject} on {server_names(outcome)[0]}"
        if isinstance(request, CheckRequest):
            sealed = "" if request.seal is None else f" and the seal {_short(request.seal.file)}"
            return f"whether {subject} equals the model that its run logged{sealed}"
        seal = request.seal if isinstance(request, CompareRequest | VerifyRequest) else None
        return f"whether {subject} equals the seal {_short(seal.file)}" if seal else ""
    sides = _sides_in_heading(outcome)
    if sides is None:
        return ""
    prefix, left, right = sides
    return f"{prefix}whether {left} equals {right}"


def side_names(outcome: Outcome, comparison: str) -> SideNames:
    """Return the names of the two models of a comparison. `comparison` is a `ComparisonName`."""
    names = outcome.model_names(comparison)
    if names.left != names.right:
        return SideNames(names.left, names.right)
    versions = _version_names(outcome)
    if len(versions) > 1:
        return SideNames(versions[0], versions[1], "")
    if isinstance(outcome.request, DiffRequest):
        left, right = map(_last_part, (outcome.request.left, outcome.request.right))
        return SideNames(left, right, "") if left != right else SideNames()
    return SideNames()


def version_name(request: VersionRequest, outcome: Outcome) -> str:
    """Return the name of a requested version without its model and server: `v12`, or as requested if unresolved."""
    for role, requested in outcome.requested_versions.items():
        if requested is request and role in outcome.versions:
            return f"v{outcome.versions[role].version}"
    named = request.version_or_stage
    return f"v{named}" if named.isdigit() else named


def server_names(outcome: Outcome) -> list[str]:
    """Return the name of the server of each requested version: its declared name, or a part of its address."""
    hosts = [request.host for request in outcome.requested_versions.values()]
    names = [_server_name(host) for host in hosts]
    if len(set(names)) == 1 and len({host.reader for host in hosts}) > 1:
        names = [_short(host.address) for host in hosts]
    if len(set(names)) == 1 and len({host.reader for host in hosts}) > 1:
        # Two logins of one address.
        names = [f"server {number}" for number in range(1, len(hosts) + 1)]
    return names


def server_and_version(outcome: Outcome) -> str:
    """Return the name of the only requested version and its server, as in `staging v12`, otherwise ""."""
    requests = list(outcome.requested_versions.values())
    return f"{server_names(outcome)[0]} {version_name(requests[0], outcome)}" if len(requests) == 1 else ""


def seal_name(outcome: Outcome) -> str:
    """Return the seal with its file, as in `seal seals/wine.json`."""
    request = outcome.request
    seal = request.seal if isinstance(request, CheckRequest | CompareRequest | VerifyRequest) else None
    return SEAL_NOUN if seal is None else f"{SEAL_NOUN} {truncate_path(seal.file, _MAX_NAME)}"


def sealed_version(outcome: Outcome) -> str:
    """Return the number of the version that was sealed, as in `v12`; "" if the seal does not say it."""
    facts = None if outcome.seal is None else outcome.seal.facts
    return f"v{facts.model_version}" if facts is not None and facts.model_version.isdecimal() else ""


def is_of_another_version(outcome: Outcome) -> bool:
    """Return whether the version in the facts of the seal differs from the compared version."""
    sealed, numbers = sealed_version(outcome), {f"v{resolved.version}" for resolved in outcome.versions.values()}
    return bool(sealed and numbers) and sealed not in numbers


def _seal_in_heading(outcome: Outcome) -> str:
    version = sealed_version(outcome)
    return f"{SEAL_NOUN} of {version}" if version else SEAL_NOUN


def _with_results(subject: str, outcome: Outcome) -> tuple[str, str]:
    """Return the subject with the results of its comparisons, in two parts. What fails comes first."""
    ordered = sorted(outcome.distinct_comparisons, key=lambda named: named.comparison.equivalent)
    with_seal = [named for named in ordered if outcome.model_names(named.names[0]).is_left_seal]
    if ordered and with_seal == ordered[:1]:
        # The version itself stands for its model that was compared with the seal.
        first = with_seal[0].comparison
        limits = limits_of_equality(first) if first.equivalent else ""
        subject = f"{subject} {_sign(first)} {_seal_in_heading(outcome)}{limits}"
    elif ordered:
        subject = f"{subject}, {_result_in_heading(outcome, *ordered[0])}"
    others = "; ".join(_result_in_heading(outcome, names, comparison) for names, comparison in ordered[1:])
    is_one_of_several = [comparison.equals for _, comparison in ordered].count(False) == 1 and not ordered[0][1].equals
    return (subject, others) if is_one_of_several else ("; ".join(filter(None, (subject, others))), "")


def _sign(comparison: Comparison) -> str:
    return "≠" if not comparison.equivalent else "=" if comparison.equals else "≈"


def _result_in_heading(outcome: Outcome, names: Sequence[str], comparison: Comparison) -> str:
    """Return the result of a comparison of models of one version, as in `run model = registry model`."""
    pairs = [outcome.model_names(name) for name in names]
    left = " and ".join(dict.fromkeys(pair.left for pair in pairs))
    right = " and ".join(dict.fromkeys(pair.right for pair in pairs))
    if comparison.same_location:
        return f"{left} and {right} are the same files"
    if all(pair.is_left_seal for pair in pairs):
        left, right = right, _seal_in_heading(outcome)
    limits = limits_of_equality(comparison) if comparison.equivalent else ""
    return f"{left} {_sign(comparison)} {right}{limits}"


def _sides_in_heading(outcome: Outcome) -> tuple[str, str, str] | None:
    """Return what both sides share, and the names of both sides; None if the inputs are not valid."""
    requests = list(outcome.requested_versions.values())
    if isinstance(outcome.request, DiffRequest):
        return "", _short(outcome.request.left), _short(outcome.request.right)
    if not requests and isinstance(outcome.request, VerifyRequest):
        request = outcome.request
        return "", _short(request.seal.file), _short(request.model.uri)
    if not requests:
        return None
    left, right = _version_names(outcome)
    models = {request.model for request in requests}
    return f"{_short(models.pop())}: " if len(models) == 1 else "", left, right


def _version_names(outcome: Outcome) -> list[str]:
    """Return the name of each requested version with its server, and with its model if the models' names differ."""
    requests = list(outcome.requested_versions.values())
    has_two_names = len({request.model for request in requests}) > 1
    return [
        " ".join(
            filter(
                None,
                (
                    server,
                    _short(request.model) if has_two_names else "",
                    version_name(request, outcome),
                ),
            )
        )
        for server, request in zip(server_names(outcome), requests, strict=True)
    ]


def _server_name(host: Host) -> str:
    if host.server:
        return host.server
    if host.kind is HostKind.DATABRICKS:
        return host.address.partition("://")[2] or host.address
    if host.local_path is not None:
        return _short(host.local_path.stem or host.address)
    parts = urlsplit(host.address)
    if host.kind is HostKind.DATABASE:
        return _short(f"{parts.hostname or ''}{parts.path}")
    port = "" if parts.port in {None, _DEFAULT_PORTS.get(parts.scheme)} else f":{parts.port}"
    return _short(f"{parts.hostname or host.address}{port}")


def _last_part(uri: str) -> str:
    without_secrets = _REDACTOR.text(uri)
    return _short(PurePosixPath(without_secrets).name or without_secrets)


def _short(text: str) -> str:
    """Return a text with at most 60 characters.

    A signature that is cut could not be recognized and redacted later. A shorter text is redacted later as a whole,
    with the secrets that are known.
    """
    return text if len(text) <= _MAX_NAME else truncate_middle(_REDACTOR.text(text), _MAX_NAME)

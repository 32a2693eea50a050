"""Converts options to requests, and rejects options that are missing, malformed or contradictory."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from model_gate.access.allowed import AllowedHosts
from model_gate.access.declared import Declarations
from model_gate.domain.host import Host, HostKind, RegistryKind
from model_gate.domain.ignore import NOTHING, Ignore
from model_gate.domain.location import (
    STORE_FORMS,
    has_control_character,
    is_arn,
    is_local_uri,
    other_machine,
    registered_model_in,
    split_profile,
    store_of_uri,
    store_problem,
    suggested_store_location,
)
from model_gate.domain.request import (
    CheckRequest,
    CompareRequest,
    DiffRequest,
    GateOptions,
    ModelRequest,
    SealRequest,
    VerifyRequest,
    VersionRequest,
)
from model_gate.domain.seal import Seal
from model_gate.domain.variables import TRACKING_URI
from model_gate.domain.verdict import Require
from model_gate.domain.wording import printable
from model_gate.errors import InputError
from model_gate.inputs.seal_file import read_bundled_seal, read_seal, read_signed_seal
from model_gate.inputs.version_name import checked_version_name
from model_gate.signatures.signers import IdentitySigner, KeySigner, Signer

if TYPE_CHECKING:
    from model_gate.inputs.compare_file import CompareConfig


@dataclass(frozen=True)
class VersionOptions:
    """The options that name one version. An option that is not given is "" or None."""

    model: str
    version_or_stage: str
    host: str = ""
    registry: RegistryKind | None = None
    native_model: str = ""


@dataclass(frozen=True)
class CompareOptions:
    """The options that only `compare` has. An option that is not given is None."""

    compare_run_models: bool | None = None
    compare_reg_models: bool | None = None


@dataclass(frozen=True)
class DiffOptions:
    """The arguments and options that only `diff` has. An option that is not given is ""."""

    left: str
    right: str
    left_host: str = ""
    right_host: str = ""


@dataclass(frozen=True)
class SignatureOptions:
    """The options about the signature of a seal. An option that is not given is None or "".

    Attributes:
        bundle: Path of the Sigstore bundle or DSSE envelope.
        public_key: Path of the signer's public key.
        identity: The signer's identity.
        issuer: The OpenID Connect issuer that vouches for the identity.
        trust_config: Path of the trust configuration of a Sigstore instance.
    """

    bundle: Path | None = None
    public_key: Path | None = None
    identity: str = ""
    issuer: str = ""
    trust_config: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that are read."""
        return tuple(path for path in (self.bundle, self.public_key, self.trust_config) if path is not None)

    @property
    def reported(self) -> dict[str, object]:
        """The options as the report lists them."""
        return {
            "bundle": self.bundle,
            "public_key": self.public_key,
            "identity": self.identity or None,
            "issuer": self.issuer or None,
            "trust_config": self.trust_config,
        }


@dataclass(frozen=True)
class SealOptions:
    """The options about a seal that `check` and `verify` have.

    Attributes:
        seal: Path of the seal, None if not given.
        model: Name of the model that the seal must be of, "" for the name of the registered model that is compared.
        signature: The options about its signature. `check` has none.
    """

    seal: Path | None = None
    model: str = ""
    signature: SignatureOptions = SignatureOptions()


@dataclass(frozen=True)
class CommonOptions:
    """The options that all commands share.

    Attributes:
        require: The requirement, None if not given.
        download_dir: The directory for downloads, None if not given.
        fail_fast: See `GateOptions`.
        fail_on_same_location: See `GateOptions`.
        allow_local_artifacts: See `GateOptions`.
        declared_hosts_only: Whether a server in a compare file is an error if it is neither declared nor allowed.
        allow_hosts: Servers that a compare file may name besides the declared ones, separated by commas, blanks or
            lines.
        timeout: Seconds after which the whole command is an error, None for no limit.
        writes_statement: See `GateOptions`.
    """

    require: Require | None = None
    download_dir: Path | None = None
    fail_fast: bool = False
    fail_on_same_location: bool = False
    allow_local_artifacts: bool = False
    declared_hosts_only: bool = False
    allow_hosts: str = ""
    timeout: float | None = None
    writes_statement: bool = False


def check_request(
    version: VersionOptions,
    common: CommonOptions,
    environment: Mapping[str, str],
    seal_options: SealOptions = SealOptions(),  # a shared default is safe, because it is frozen
) -> CheckRequest:
    """Return the request of a `check`.

    Raises:
        InputError: An option is missing or cannot be used.
        SealError: The seal cannot be read, was edited, or is of another registered model.
    """
    options, request = gate_options(common), _version_request(version, environment)
    if seal_options.seal is None and seal_options.model:
        raise InputError(
            "--seal-model is given without --seal.",
            "Name the seal too: --seal seals/wine.json. Or leave out --seal-model.",
        )
    seal = None if seal_options.seal is None else _seal_of(seal_options, request.model)
    return CheckRequest(request, seal, options=options)


def seal_request(
    version: VersionOptions, uri: str, output: Path, common: CommonOptions, environment: Mapping[str, str]
) -> SealRequest:
    """Return the request of a `seal`. Either a version or a URI must be given.

    Raises:
        InputError: An option is missing or cannot be used.
    """
    return SealRequest(_model_request(version, uri, environment), output, options=gate_options(common))


def verify_request(
    version: VersionOptions, uri: str, seal_options: SealOptions, common: CommonOptions, environment: Mapping[str, str]
) -> VerifyRequest:
    """Return the request of a `verify`. Either a version or a URI must be given.

    Raises:
        InputError: An option is missing or cannot be used.
        SealError: The seal cannot be read, was edited, or is of another registered model.
    """
    options, model = gate_options(common), _model_request(version, uri, environment)
    return VerifyRequest(model, _seal_of(seal_options, model.registered_model), options=options)


def _seal_of(seal_options: SealOptions, model: str) -> Seal:
    """Return the seal in a file.

    Args:
        seal_options: The options about the seal.
        model: Name of the registered model that is compared with the seal, "" for a model that has none.

    Raises:
        SealError: The seal cannot be read, was edited, or is of another registered model.
    """
    seal = _read_seal(seal_options)
    if seal_options.model:
        seal.require_model_name(seal_options.model, "Name the seal of this model: --seal. Or correct --seal-model.")
    elif model:
        seal.require_registered_model(
            model,
            "Name the seal of this model: --seal. If the version is a copy of the sealed model, name the sealed model:"
            f" --seal-model {shlex.quote(printable(seal.model_name))}.",
        )
    return seal


def _read_seal(seal_options: SealOptions) -> Seal:
    """Return a seal after its signature is checked, if a bundle is given.

    Raises:
        ModelGateError: The seal cannot be read or was edited, or its signature is not valid.
    """
    signature = seal_options.signature
    if signature.bundle is None:
        if name := next((name for name, value in signature.reported.items() if value is not None), ""):
            option = f"--{name.replace('_', '-')}"
            raise InputError(
                f"{option} is given without --bundle, so no signature is checked.",
                f"Name the bundle with the signature of the seal: --bundle. Or leave out {option}.",
            )
        if seal_options.seal is None:
            raise InputError("--seal is missing.", "Name the file that model-gate seal wrote: --seal seals/wine.json.")
        return read_seal(seal_options.seal)
    signer = _signer(signature)
    if seal_options.seal is None:
        return read_bundled_seal(signature.bundle, signer)
    return read_signed_seal(seal_options.seal, signature.bundle, signer)


def _signer(signature: SignatureOptions) -> Signer:
    """Return the signer that the options name.

    Raises:
        InputError: The options name no signer or two, or an identity without its issuer.
    """
    identity, issuer = signature.identity.strip(), signature.issuer.strip()
    if signature.public_key is not None:
        if identity or issuer or signature.trust_config is not None:
            raise InputError(
                "--public-key cannot be combined with --identity, --issuer and --trust-config.",
                "Leave out --public-key, or the other options.",
            )
        return KeySigner(signature.public_key)
    if not identity or not issuer:
        raise InputError(
            f"The bundle's signer is not named: {'--issuer' if identity else '--identity'} is missing.",
            "A signature proves nothing without the name of its signer: --identity with --issuer, or --public-key.",
        )
    return IdentitySigner(identity, issuer, signature.trust_config)


def _model_request(version: VersionOptions, uri: str, environment: Mapping[str, str]) -> ModelRequest:
    """Return the one model that is named by a version or by a URI.

    Raises:
        InputError: Both or neither are given, or an option cannot be used for a URI.
    """
    if not uri.strip():
        if not version.model.strip() and not version.version_or_stage.strip():
            raise InputError(
                "No model is named.",
                "Name a directory or an artifact URI, as in ./model or models:/Sklearn_Wine/12, or a version: --model"
                " Sklearn_Wine --version-or-stage 12.",
            )
        return ModelRequest(_version_request(version, environment))
    if version.model or version.version_or_stage:
        raise InputError(
            f"The model is named twice, by the URI {printable(uri)!r} and by --model and --version-or-stage.",
            "Leave out the URI, or --model and --version-or-stage.",
        )
    for option, value in (("--native-model", version.native_model), ("--registry", version.registry)):
        if value:
            raise InputError(
                f"{option} is only for a version of a registered model, but the model is named by the URI"
                f" {printable(uri)!r}.",
                f"Leave out {option}, or name the version by --model and --version-or-stage instead of the URI.",
            )
    declarations = Declarations({} if is_local_uri(uri) else environment)
    host = _host_of("uri", uri, version.host, declarations, option="--host")
    return ModelRequest(None, uri, None if host is None else declarations.with_unprefixed(host))


def _version_request(version: VersionOptions, environment: Mapping[str, str]) -> VersionRequest:
    """Return the version that options name.

    Raises:
        InputError: An option is missing or cannot be used.
    """
    # A command on a directory does not need this module, whose import is slow.
    from model_gate.inputs.version_entry import checked_native_model

    # Blanks at the start or end are not removed, because they are part of the model's name.
    model = _required(version.model, "--model", "Name the registered model: --model Sklearn_Wine.")
    version_or_stage = _required(
        version.version_or_stage, "--version-or-stage", "Name the version: a number, a stage, an alias or latest."
    )
    declarations = Declarations(environment)
    host = declarations.with_unprefixed(_host(version.host, "--host", declarations))
    return VersionRequest(
        host=host.for_model(model, version.registry),
        model=model,
        version_or_stage=checked_version_name(version_or_stage, model, "--version-or-stage"),
        native_model=checked_native_model(version.native_model),
    )


def compare_request(
    files: tuple[Path, ...], models: CompareOptions, common: CommonOptions, environment: Mapping[str, str]
) -> CompareRequest:
    """Return the request of a `compare`. Options override the compare file.

    Args:
        files: The compare file, as the argument, the option or both name it.
        models: The options that only `compare` has.
        common: The options that all commands have.
        environment: The environment variables.

    Raises:
        InputError: No compare file is named, two are, or both comparisons are switched off.
        ConfigError: The compare file cannot be read, or breaks its schema.
    """
    if not files:
        raise InputError(
            "No compare file is named.",
            "Name the YAML file with the two versions: model-gate compare promotion.yaml. model-gate compare --help"
            " shows such a file.",
        )
    if len(files) > 1:
        raise InputError(
            f"Two compare files are named: {files[0]} and {files[1]}.", "Run model-gate compare once for each file."
        )
    from model_gate.inputs.compare_file import read_config

    return compare_config_request(read_config(files[0], environment), models, common)


def compare_config_request(
    config: CompareConfig, models: CompareOptions, common: CommonOptions, noun: str = "compare file"
) -> CompareRequest:
    """Return the request of a `compare` whose compare file is already read. Options override the compare file.

    Args:
        config: The content of the compare file.
        models: The options that only `compare` has.
        common: The options that all commands have.
        noun: What messages call the file.

    Raises:
        InputError: Both comparisons are switched off, or a server is neither declared nor allowed.
    """
    own = CompareOptions(config.compare_run_models, config.compare_reg_models)
    run_models, reg_models = compared_models(models, own, has_seal=config.has_seal)
    request = CompareRequest(
        config.tracking_server_1,
        config.tracking_server_2,
        run_models,
        reg_models,
        options=gate_options(common, config.require, config.ignore),
        config=config.file,
    )
    return replace(request, notices=host_notices(request.hosts, common, noun))


def compared_models(options: CompareOptions, own: CompareOptions, *, has_seal: bool = False) -> tuple[bool, bool]:
    """Return whether the run models and whether the registry models are compared.

    Args:
        options: The options of the command line, which win.
        own: The keys of the file.
        has_seal: Whether a seal stands for one of the versions. A seal is of the registry model.

    Raises:
        InputError: Both comparisons are switched off.
    """
    run_models = _first(options.compare_run_models, own.compare_run_models, default=not has_seal)
    reg_models = _first(options.compare_reg_models, own.compare_reg_models, default=True)
    if run_models or reg_models:
        return run_models, reg_models
    if has_seal and options.compare_run_models is None and own.compare_run_models is None:
        raise InputError(
            "There is nothing to compare: registry models are switched off, and with a seal, run models are off by"
            " default.",
            "Compare the run model with the seal: --compare-run-models. Or leave out --no-compare-reg-models.",
        )
    raise InputError(
        "There is nothing to compare: run models and registry models are both switched off.",
        "Switch one of them on: --compare-run-models or --compare-reg-models.",
    )


def host_notices(hosts: Iterable[Host], common: CommonOptions, noun: str) -> tuple[str, ...]:
    """Return a notice for each remote server in a file that is neither declared nor allowed.

    Args:
        hosts: The servers that the file names.
        common: The options that all commands have.
        noun: What messages call the file, such as `compare file`.

    Raises:
        InputError: A server is neither declared nor allowed, and `declared_hosts_only` is set.
    """
    allowed = AllowedHosts(common.allow_hosts)
    hosts = [host for host in hosts if not host.is_declared and not allowed.allows(host)]
    if hosts and common.declared_hosts_only:
        address = printable(hosts[0].address)
        raise InputError(
            f"The {noun} names the tracking server {address}, which is not declared.",
            f"Declare it with its credentials, as in PROD_{TRACKING_URI}, or allow it without credentials:"
            f" --allow-hosts {address}",
        )
    # A database or a directory on this machine gets no credentials anyway.
    remote = dict.fromkeys(host.address for host in hosts if host.local_path is None)
    return tuple(
        f"The {noun} names {printable(address)}, which is not declared: it gets no credentials but those in its"
        f" address. Declare it (NAME_{TRACKING_URI}, such as PROD_{TRACKING_URI}) or allow it (--allow-hosts)."
        for address in remote
    )


def diff_request(models: DiffOptions, common: CommonOptions, environment: Mapping[str, str]) -> DiffRequest:
    """Return the request of a `diff`.

    Raises:
        InputError: An argument is empty, or a URI has no tracking server.
    """
    # Two local directories need no server, so an invalid declaration is no error.
    is_local = is_local_uri(models.left) and is_local_uri(models.right)
    declarations = Declarations({} if is_local else environment)
    left_host, right_host = declarations.with_unprefixed_if_single(
        (
            _host_of("left", models.left, models.left_host, declarations),
            _host_of("right", models.right, models.right_host, declarations),
        )
    )
    return DiffRequest(models.left, models.right, left_host, right_host, options=gate_options(common))


def valid_timeout(seconds: float | None) -> float | None:
    """Return a time limit; None for no limit, or for a number that a request rejects."""
    # The command line accepts "nan" and "inf" as numbers.
    return seconds if seconds is not None and seconds >= 1 and math.isfinite(seconds) else None


def gate_options(options: CommonOptions, require: Require | None = None, ignore: Ignore = NOTHING) -> GateOptions:
    """Return the options of a gate. The command line's requirement wins over that of a file.

    Raises:
        InputError: An option cannot be used.
    """
    AllowedHosts(options.allow_hosts)  # a malformed list is an error even where it has no effect
    if options.timeout is not None and valid_timeout(options.timeout) is None:
        raise InputError(
            f"--timeout is {options.timeout:g}, but must be a number of seconds, 1 or more.",
            "Set it as in 600. Without it, there is no limit.",
        )
    return GateOptions(
        options.require or require or Require.IDENTICAL,
        options.download_dir,
        ignore=ignore,
        fail_fast=options.fail_fast,
        fail_on_same_location=options.fail_on_same_location,
        allow_local_artifacts=options.allow_local_artifacts,
        writes_statement=options.writes_statement,
    )


def _host_of(half: str, uri: str, host: str, declarations: Declarations, option: str = "") -> Host | None:
    """Return the tracking server of an artifact URI; None for a local directory.

    Raises:
        InputError: The URI is empty, on another machine, names no store that can be read, or has no tracking server.
            Or the profile in a URI such as `models://PROFILE@databricks/…` is not the tracking server `host`.
    """
    if not uri.strip():
        raise InputError(f"The argument {half.upper()} is empty.", "Name a local directory or an artifact URI.")
    if machine := other_machine(uri):
        raise InputError(
            f"The argument {half.upper()} names a directory on the machine {machine}, which cannot be read here.",
            "Name a directory on this machine, such as file:///srv/model.",
        )
    _require_form(half.upper(), uri)
    if is_local_uri(uri):
        return None
    option = option or f"--{half}-host"
    if not host.strip() and not declarations.has_default:
        if store := store_of_uri(uri):
            return Host(HostKind.STORE, store, "", is_declared=True)
        if problem := store_problem(uri):
            raise InputError(f"The argument {half.upper()} {printable(problem)}.", _form_remedy(uri, option))
    _, profile, _ = split_profile(uri)
    profile_host = f"databricks://{profile}" if profile else ""
    server = _host(host.strip() or profile_host, option, declarations)
    if profile and server.reader != _host(profile_host, half.upper(), declarations).reader:
        raise InputError(
            f"The argument {half.upper()} names the server {profile_host}, but {option} names {server.address}.",
            f"Leave out {option}, or name the same server twice.",
        )
    return server.for_model(registered_model_in(uri))


def _require_form(argument: str, uri: str) -> None:
    """Require that a URI has no form of another program that could be taken for a path or a location.

    Raises:
        InputError: The URI is an ARN, has a control character, or lacks the slashes of a location in a store.
    """
    suggestion = printable(suggested_store_location(uri))
    if is_arn(uri):
        raise InputError(
            f"The argument {argument} is an ARN, not a URI.",
            f"Did you mean {suggestion}?" if suggestion else f"Name the location: {STORE_FORMS['s3']}/PATH.",
        )
    if is_local_uri(uri) and suggestion:
        raise InputError(
            f"The argument {argument} lacks the two slashes after the scheme of a location.",
            f"Did you mean {suggestion}? For a directory of that name, write ./{printable(uri)}.",
        )
    if store_of_uri(uri) and has_control_character(uri):
        raise InputError(
            f"The argument {argument} has a line break, or another control character.",
            f"Did you mean {suggestion}?" if suggestion else "Remove the character.",
        )


def _form_remedy(uri: str, option: str) -> str:
    """Return the remedy for a URI that names no object store. `option` names the tracking server of the URI."""
    if suggestion := suggested_store_location(uri):
        return f"Did you mean {printable(suggestion)}?"
    *forms, last_form = (f"{STORE_FORMS[scheme]}/PATH" for scheme in ("s3", "gs", "wasbs", "abfss"))
    remedy = f"Name a local directory, a location such as {', '.join(forms)} or {last_form}, or a tracking server:"
    remedy = f"{remedy} {option}."
    if uri.lower().startswith(("http://", "https://")):
        remedy += " The address of an S3 store of your own belongs in MLFLOW_S3_ENDPOINT_URL."
    return remedy


def _required(text: str, option: str, remedy: str) -> str:
    if not text.strip():
        raise InputError(f"{option} is missing.", remedy)
    return text


def _host(text: str, option: str, declarations: Declarations) -> Host:
    if text.strip():
        return declarations.option(text, option)
    if declarations.has_default:
        return declarations.default()
    named = f" or {option} server:{declarations.names[0]}" if declarations.names else ""
    raise InputError(
        f"No tracking server is named: {option} is missing, and MLFLOW_TRACKING_URI is not set.",
        f"Name it: {option} https://mlflow.example.com{named}.",
    )


def _first(*choices: bool | None, default: bool) -> bool:
    return next((choice for choice in choices if choice is not None), default)

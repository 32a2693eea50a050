"""The options of the command line: their types, names and help texts. Each is written once, for all its commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from model_gate.domain.host import RegistryKind
from model_gate.domain.verdict import Require

_TRACKING_URI = "MLFLOW_TRACKING_URI"
# Titles of the groups of options in a help text. Their order is the order of the options in the commands.
SUBJECT = "What to compare"
VERDICT = "Verdict"
SERVERS = "Servers and credentials"
OUTPUT = "Output"

ModelOption = Annotated[
    str,
    typer.Option(
        metavar="NAME", help="The registered model's name (required).", show_default=False, rich_help_panel=SUBJECT
    ),
]
VersionOption = Annotated[
    str,
    typer.Option(
        metavar="VERSION",
        help="A number, a stage (Staging, Production, Archived), an alias (@champion) or latest (required).",
        show_default=False,
        rich_help_panel=SUBJECT,
    ),
]
_HOST_HELP = "address such as https://mlflow.example.com, databricks://PROFILE or sqlite:///mlflow.db, or server:NAME."
HostOption = Annotated[
    str,
    typer.Option(
        metavar="URI",
        help=f"The tracking server: an {_HOST_HELP}",
        show_default=_TRACKING_URI,
        rich_help_panel=SERVERS,
    ),
]
LeftHostOption = Annotated[
    str,
    typer.Option(
        metavar="URI",
        help=f"The tracking server of the left URI: an {_HOST_HELP}",
        show_default=_TRACKING_URI,
        rich_help_panel=SERVERS,
    ),
]
RightHostOption = Annotated[
    str,
    typer.Option(
        metavar="URI",
        help="The tracking server of the right URI.",
        show_default=_TRACKING_URI,
        rich_help_panel=SERVERS,
    ),
]
RegistryOption = Annotated[
    RegistryKind | None,
    typer.Option(
        metavar="workspace|unity-catalog",
        help="The model registry of a Databricks workspace that holds the model.",
        show_default="unity-catalog for a name of three levels, else workspace",
        rich_help_panel=SUBJECT,
    ),
]
NativeModelOption = Annotated[
    str,
    typer.Option(
        metavar="PATH",
        help="Let only this file or directory of the MLflow model decide, such as model.pkl or sparkml.",
        show_default=False,
        rich_help_panel=SUBJECT,
    ),
]
ConfigFileArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="FILE",
        help="The compare file: YAML that names the two versions. Write it here, or as --config-file.",
        show_default=False,
        rich_help_panel=SUBJECT,
    ),
]
ConfigFileOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The compare file.", show_default=False, rich_help_panel=SUBJECT),
]
CompareRunModelsOption = Annotated[
    bool | None,
    typer.Option(
        help="Compare the models of the two runs.", show_default="yes, no with a seal", rich_help_panel=SUBJECT
    ),
]
CompareRegModelsOption = Annotated[
    bool | None,
    typer.Option(help="Compare the registries' own copies.", show_default="yes", rich_help_panel=SUBJECT),
]
LeftArgument = Annotated[
    str,
    typer.Argument(
        metavar="LEFT",
        help="A local directory or an artifact URI: runs:/…, models:/…, s3://…, gs://…, wasbs://…, abfss://…. Model"
        " Gate reads a store with the login in the variables of its cloud, such as AWS_ACCESS_KEY_ID.",
        rich_help_panel=SUBJECT,
    ),
]
RightArgument = Annotated[
    str,
    typer.Argument(metavar="RIGHT", help="The directory or URI to compare it with.", rich_help_panel=SUBJECT),
]
SealOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Compare the registry model with this seal too.",
        show_default=False,
        rich_help_panel=SUBJECT,
    ),
]
VerifySealOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The seal, which model-gate seal wrote (required, unless a bundle has the seal).",
        show_default=False,
        rich_help_panel=SUBJECT,
    ),
]
BundleOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The Sigstore bundle or DSSE envelope with the seal's signature. Without --seal, it has the seal itself.",
        show_default=False,
        rich_help_panel=SUBJECT,
    ),
]
IdentityOption = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="The bundle's signer: an e-mail address, or the URI of a workflow at a ref. Needs --issuer.",
        show_default=False,
        rich_help_panel=VERDICT,
    ),
]
IssuerOption = Annotated[
    str,
    typer.Option(
        metavar="URL",
        help="The signer's OpenID Connect issuer, such as https://token.actions.githubusercontent.com.",
        show_default=False,
        rich_help_panel=VERDICT,
    ),
]
PublicKeyOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The bundle's signer: the PEM of an elliptic curve key or an Ed25519 key, instead of an identity.",
        show_default=False,
        rich_help_panel=VERDICT,
    ),
]
TrustConfigOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The trusted root or trust configuration of a Sigstore instance.",
        show_default="the public instance's, from the network",
        rich_help_panel=VERDICT,
    ),
]
SealModelOption = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="The model that the seal must be of, such as the original of a copy.",
        show_default="the name of the registered model",
        rich_help_panel=VERDICT,
    ),
]
UriArgument = Annotated[
    str,
    typer.Argument(
        metavar="URI",
        help="A local directory or an artifact URI, instead of --model and --version-or-stage.",
        show_default=False,
        rich_help_panel=SUBJECT,
    ),
]
SealOutputOption = Annotated[
    Path,
    typer.Option(metavar="FILE", help="The path of the seal. An older seal there is replaced.", rich_help_panel=OUTPUT),
]
OneModelOption = Annotated[
    str,
    typer.Option(metavar="NAME", help="The registered model's name.", show_default=False, rich_help_panel=SUBJECT),
]
OneVersionOption = Annotated[
    str,
    typer.Option(
        metavar="VERSION",
        help="A number, a stage (Staging, Production, Archived), an alias (@champion) or latest.",
        show_default=False,
        rich_help_panel=SUBJECT,
    ),
]
_DOWNLOADS = "The directory must be empty or not exist. Otherwise, a scratch directory is used and removed."
DownloadDirOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help=f"Keep the downloaded files here, in run_model/… and reg_model/…. {_DOWNLOADS}",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]
VerifyDownloadDirOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help=f"Keep the downloaded files here: in reg_model/… of a version, in model/… of a URI. {_DOWNLOADS}",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]
DiffDownloadDirOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help=f"Keep the downloaded files here, in left/… and right/…. {_DOWNLOADS}",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]
ReportFileOption = Annotated[
    Path,
    typer.Option(
        metavar="FILE",
        help="The path of the JSON report, which is written for every verdict, errors included.",
        rich_help_panel=OUTPUT,
    ),
]
StatementOption = Annotated[
    Path | None,
    typer.Option(
        "--statement",
        metavar="FILE",
        help="If the gate passes, write a promotion statement here: an in-toto statement about the second model.",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]
RequireOption = Annotated[
    Require | None,
    typer.Option(
        metavar="identical|equivalent",
        help="What must hold to pass. Equivalent models differ only in what MLflow or the file format rewrites when "
        "the same model is saved again.",
        show_default="identical",
        rich_help_panel=VERDICT,
    ),
]
FailFastOption = Annotated[
    bool,
    typer.Option(
        "--fail-fast",
        help="Stop at the first file that fails the requirement. The others are not compared.",
        rich_help_panel=VERDICT,
    ),
]
FailOnSameLocationOption = Annotated[
    bool,
    typer.Option(
        "--fail-on-same-location",
        help="End with an error if both models are one location, so nothing is compared.",
        rich_help_panel=VERDICT,
    ),
]
AllowLocalArtifactsOption = Annotated[
    bool,
    typer.Option(
        "--allow-local-artifacts",
        help="Read models at local paths that an HTTP tracking server names.",
        rich_help_panel=SERVERS,
    ),
]
DeclaredHostsOnlyOption = Annotated[
    bool,
    typer.Option(
        "--declared-hosts-only",
        help="End with an error if a file names a server that neither an option nor the environment declares.",
        rich_help_panel=SERVERS,
    ),
]
AllowHostsOption = Annotated[
    str,
    typer.Option(
        metavar="HOSTS",
        help="Servers that a file may name besides the declared ones, separated by commas; * stands for one label.",
        show_default=False,
        rich_help_panel=SERVERS,
    ),
]
TimeoutOption = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        help="End with an error after this many seconds: 1 or more, such as 600.",
        show_default="no limit",
        rich_help_panel=VERDICT,
    ),
]
VerboseOption = Annotated[bool, typer.Option("--verbose", help="Show the details of an error.", rich_help_panel=OUTPUT)]

"""botocore finds the user's AWS logins in the environment and the home directory of a declared server's worker."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from model_gate.access.declared import Declarations
from model_gate.access.environments import environment_for, make_home
from model_gate.access.hosts import parse_host
from tests.support.destinations import Destinations, verified
from tests.support.faulty_store import FaultyStore
from tests.support.gates import run
from tests.support.recording_proxy import shared_proxy

PROGRAM = "import boto3; c = boto3.Session().get_credentials(); print(c and c.get_frozen_credentials().access_key)"
START_URL = "https://login.example.com/start"


def access_key(tmp_path: Path, variables: dict[str, str], server: str = "prod") -> str:
    """Return the access key that boto3 finds in the environment of a server's worker."""
    proxies = shared_proxy().environment
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path / "user"), **proxies, **variables}
    host = Declarations(environment).named(server) if server else parse_host("https://other.example.com")
    home = make_home(tmp_path / "homes", host, environment)
    completed = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment_for(host, environment, home),
        capture_output=True,
        text=True,
        check=True,
    )
    return completed.stdout.strip()


@pytest.fixture
def portal() -> Iterator[str]:
    """The URL of a stand-in for the service that returns credentials for a login by single sign-on."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_known = self.headers.get("x-amz-sso_bearer_token") == "cached-token"
            expiration = int((datetime.now(UTC) + timedelta(hours=1)).timestamp() * 1000)
            credentials = {
                "accessKeyId": "by-sso",
                "secretAccessKey": "s",
                "sessionToken": "t",
                "expiration": expiration,
            }
            body = json.dumps({"roleCredentials": credentials}).encode()
            self.send_response(200 if is_known else 401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Do not log."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def write_config(tmp_path: Path, *lines: str) -> None:
    aws = tmp_path / "user" / ".aws"
    aws.mkdir(parents=True, exist_ok=True)
    (aws / "config").write_text("\n".join(lines) + "\n")


def test_aws_credential_process_runs_only_for_a_declared_server(tmp_path: Path) -> None:
    program = tmp_path / "credentials.sh"
    program.write_text('#!/bin/sh\necho \'{"Version": 1, "AccessKeyId": "by-process", "SecretAccessKey": "s"}\'\n')
    program.chmod(0o755)
    write_config(tmp_path, "[default]", "region = eu-central-1", "[profile prod]", f"credential_process = {program}")
    variables = {"PROD_MLFLOW_TRACKING_URI": "https://prod.example.com", "PROD_AWS_PROFILE": "prod"}
    assert access_key(tmp_path, variables) == "by-process"
    write_config(tmp_path, "[default]", f"credential_process = {program}")
    assert access_key(tmp_path, variables, server="") == "None"


def write_single_sign_on(tmp_path: Path) -> None:
    """Write the profile `prod`, whose login is by single sign-on, and its cached token."""
    write_config(
        tmp_path,
        "[profile prod]",
        f"sso_start_url = {START_URL}",
        "sso_region = eu-central-1",
        "sso_account_id = 123456789012",
        "sso_role_name = reader",
        "region = eu-central-1",
    )
    cache = tmp_path / "user/.aws/sso/cache"
    cache.mkdir(parents=True)
    expires = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    token = {"startUrl": START_URL, "region": "eu-central-1", "accessToken": "cached-token", "expiresAt": expires}
    name = hashlib.sha1(START_URL.encode(), usedforsecurity=False).hexdigest()
    (cache / f"{name}.json").write_text(json.dumps(token))


def test_aws_single_sign_on_profile_gives_credentials_to_a_declared_server(tmp_path: Path, portal: str) -> None:
    write_single_sign_on(tmp_path)
    variables = {
        "PROD_MLFLOW_TRACKING_URI": "https://prod.example.com",
        "PROD_AWS_PROFILE": "prod",
        "PROD_AWS_ENDPOINT_URL_SSO": portal,
    }
    with verified(Destinations.to(portal, "cached-token")):
        assert access_key(tmp_path, variables) == "by-sso"
    assert shared_proxy().requests[-1].credentials == (("x-amz-sso_bearer_token", "cached-token"),)


@pytest.mark.parametrize("command", ["diff", "seal"])
@pytest.mark.parametrize("server", ["", "http://127.0.0.1:9"])
def test_aws_single_sign_on_profile_reads_a_store_without_mlflow(
    tmp_path: Path, portal: str, command: str, server: str
) -> None:
    write_single_sign_on(tmp_path)
    with FaultyStore(cloud="s3") as store:
        for root in "ab":
            store.files[f"{root}/MLmodel"] = b"flavors: {}\n"
        variables = {
            "HOME": str(tmp_path / "user"),
            "AWS_PROFILE": "prod",
            "AWS_ENDPOINT_URL_SSO": portal,
            "MLFLOW_S3_ENDPOINT_URL": store.url,
            "MLFLOW_TRACKING_URI": server,
        }
        models = [store.location("a"), store.location("b")] if command == "diff" else [store.location("a")]
        options = [] if command == "diff" else ["--output", "model.seal.json"]
        result = run(tmp_path, command, *models, *options, environment=variables)
    assert result.exit_code == 0, result.stderr

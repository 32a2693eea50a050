"""Models in stores are compared without a tracking server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.faulty_store import KEY, SECRET, FaultyStore
from tests.support.gates import run
from tests.support.opened_stores import FILES


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The URL of an S3 server with the bucket `models`."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def variables(s3: str) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": "AKIATEST",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def put(url: str, bucket: str, root: str, files: dict[str, bytes]) -> None:
    import boto3

    with ExitStack() as stack:
        client = boto3.client(
            "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
        )
        stack.callback(client.close)
        client.create_bucket(Bucket=bucket)
        for path, content in files.items():
            client.put_object(Bucket=bucket, Key=f"{root}/{path}", Body=content)


@pytest.mark.parametrize("endpoint", ["MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_models_in_a_store_are_compared_without_a_tracking_server(
    s3: str, variables: dict[str, str], endpoint: str, tmp_path: Path
) -> None:
    put(s3, "models", "m", FILES)
    put(s3, "others", "m", {**FILES, "aA": b"!"})
    model = tmp_path / "model"
    for path, content in FILES.items():
        file = model / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    environment = {**variables, endpoint: s3}
    equal = run(tmp_path, "diff", "s3://models/m", model, environment=environment)
    assert (equal.exit_code, equal.status) == (0, "equal"), equal
    assert equal.report["comparison"]["left"]["uri"] == "s3://models/m"
    different = run(tmp_path, "diff", "s3://models/m", "s3://others/m", environment=environment)
    assert (different.exit_code, different.status) == (1, "different"), different
    assert [difference["path"] for difference in different.report["comparison"]["differences"]] == ["aA"]
    for location in ("s3://models/m", "s3://models/m/", "S3://models/m"):
        same = run(tmp_path, "diff", "s3://models/m", location, environment=environment)
        assert same.report["comparison"]["same_location"] is True, location


def test_missing_model_in_a_store_without_a_tracking_server_is_an_error(
    s3: str, variables: dict[str, str], tmp_path: Path
) -> None:
    put(s3, "models", "m", FILES)
    environment = {**variables, "MLFLOW_S3_ENDPOINT_URL": s3}
    missing = run(tmp_path, "diff", "s3://models/none", "s3://models/m", environment=environment)
    assert (missing.exit_code, missing.status) == (2, "error"), missing
    refused = run(tmp_path, "diff", "s3://nothing/m", "s3://models/m", environment=environment)
    refused.require_error("NotFoundError", "bucket nothing")
    server = run(tmp_path, "diff", "models:/Wine/1", "s3://models/m", environment=environment)
    server.require_error("InputError", "No tracking server is named")


@pytest.mark.parametrize("command", ["diff", "seal", "verify"])
@pytest.mark.parametrize(
    "location, message, remedy",
    [
        ("s3://models/m/MLmodel", "s3://models/m/MLmodel is one file, not a directory.", "directory of the model: s3:"),
        ("s3://models/none", "There are no files at s3://models/none: the model is empty", "Check the location, also"),
        (
            "s3://models/m ",
            "There are no files at s3://models/m : the model",
            "ends with white space. Did you mean s3://",
        ),
        ("s3://models//m", "whose path has an empty segment", "Check the location of the model."),
        ("s3://models/m?part=3", "which has a question mark or a number sign", "Check the location of the model."),
    ],
    ids=["file", "nothing", "blank", "empty segment", "query"],
)
def test_error_for_a_named_location_without_a_model_mentions_no_version(
    s3: str, variables: dict[str, str], command: str, location: str, message: str, remedy: str, tmp_path: Path
) -> None:
    put(s3, "models", "m", FILES)
    environment = {**variables, "MLFLOW_S3_ENDPOINT_URL": s3}
    more: tuple[str | Path, ...] = ()
    if command == "diff":
        more = ("s3://models/m",)
    elif command == "verify":
        more = ("--seal", tmp_path / "seal.json")
        run(tmp_path, "seal", "s3://models/m", "--output", tmp_path / "seal.json", environment=environment)
    result = run(tmp_path, command, location, *more, environment=environment)
    result.require_error("ModelError", message, remedy)
    assert "version" not in result.stderr


@pytest.mark.parametrize(
    "uri, texts",
    [
        ("s4://models/m", ["scheme 's4'"]),
        ("gcs://models/m", ["scheme 'gcs'", "Did you mean gs://models/m?"]),
        ("s3a://models/m", ["scheme 's3a'", "Did you mean s3://models/m?"]),
        ("https://models.s3.eu-west-1.amazonaws.com/m?sig=secret", ["scheme 'https'", "Did you mean s3://models/m?"]),
        ("https://s3.amazonaws.com/models/m", ["Did you mean s3://models/m?"]),
        ("https://my.s3.models.s3.amazonaws.com/a%20b", ["Did you mean s3://my.s3.models/a b?"]),
        ("https://models.storage.googleapis.com/m", ["Did you mean gs://models/m?"]),
        ("https://acct.dfs.core.windows.net/models/m", ["mean abfss://models@acct.dfs.core.windows.net/m?"]),
        ("s3:/models/m", ["names no bucket", "Did you mean s3://models/m?"]),
        ("s3:models/m", ["lacks the two slashes", "Did you mean s3://models/m? For a directory", "./s3:models/m"]),
        ("gs:models/m", ["lacks the two slashes", "Did you mean gs://models/m?"]),
        (" s3://models/m", ["scheme ' s3'", "Did you mean s3://models/m?"]),
        ("s3://models/m\n", ["a line break", "Did you mean s3://models/m?"]),
        ("az://models/m", ["scheme 'az'", "Did you mean wasbs://models@ACCOUNT.blob.core.windows.net/m?"]),
        ("gs:/models/m", ["names no bucket", "Did you mean gs://models/m?"]),
        ("arn:aws:s3:::models/m", ["is an ARN", "Did you mean s3://models/m?"]),
        ("arn:aws-cn:s3:::models/m", ["is an ARN", "Did you mean s3://models/m?"]),
        ("arn:aws:s3:us-west-2:123456789012:accesspoint/point", ["is an ARN"]),
        ("http://minio:9000/models/m", ["scheme 'http'", "MLFLOW_S3_ENDPOINT_URL"]),
        ("s3://", ["names no bucket"]),
        ("gs:///m", ["names no bucket"]),
    ],
)
def test_uri_that_names_no_store_is_an_error_that_shows_the_right_form(
    uri: str, texts: list[str], tmp_path: Path
) -> None:
    result = run(tmp_path, "diff", uri, "model")
    result.require_error("InputError", *texts)
    # All forms are in the way of the right one.
    assert ("s3://BUCKET/PATH" in result.stderr) == ("Did you mean" not in result.stderr)
    assert "secret" not in result.stderr


@pytest.mark.parametrize(
    "uri",
    [
        "https://point.s3-accesspoint.us-west-2.amazonaws.com/m",
        "https://storage.googleapis.com/storage/v1/b/models/o/m",
        "gcs:///m",
        "gcs://models/m%3Fsig=secret",
        "https://acct.blob.core.windows.net/models/m%3Fsig=secret",
        "https://s3.amazonaws.com/models/m%253FX-Amz-Signature=secret",
        "s3a://key:secret@models/m",
        "https://example.com/models/m",
    ],
)
def test_uri_of_unknown_form_gets_no_suggestion(uri: str, tmp_path: Path) -> None:
    result = run(tmp_path, "diff", uri, "model")
    result.require_error("InputError", "which is not the scheme of an object store")
    assert "Did you mean" not in result.stderr
    assert "secret" not in result.stderr


@pytest.mark.parametrize(
    "login, names",
    [
        ({}, ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "MLFLOW_S3_ENDPOINT_URL"]),
        ({"AWS_PROFILE": "missing"}, ["AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"]),
        ({"AWS_ENDPOINT_URL": "rubbish"}, ["AWS_ENDPOINT_URL"]),
    ],
    ids=["no variable", "missing profile", "malformed address"],
)
@pytest.mark.parametrize("prefix", ["RIGHT_", ""])
def test_remedy_for_the_settings_of_a_store_names_the_variables_of_the_named_server(
    s3: str, prefix: str, login: dict[str, str], names: list[str], tmp_path: Path
) -> None:
    put(s3, "models", "m", FILES)
    address = {} if "AWS_ENDPOINT_URL" in login else {"MLFLOW_S3_ENDPOINT_URL": s3}
    variables = {"AWS_EC2_METADATA_DISABLED": "true", **address, **login}
    environment = {f"{prefix}{name}": value for name, value in variables.items()}
    environment |= {"RIGHT_MLFLOW_TRACKING_URI": "http://localhost"} if prefix else {}
    option = ("--right-host", "server:right") if prefix else ()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "MLmodel").touch()
    result = run(tmp_path, "diff", "model", "s3://models/m", *option, environment=environment)
    kind = "InputError" if "AWS_ENDPOINT_URL" in login else "AccessError"
    result.require_error(kind, *(f" {prefix}{name}" for name in names))


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
@pytest.mark.parametrize("prefix", ["RIGHT_", ""])
def test_half_of_a_key_pair_is_an_error_with_a_remedy(s3: str, prefix: str, name: str, tmp_path: Path) -> None:
    variables = {"MLFLOW_S3_ENDPOINT_URL": s3, "AWS_EC2_METADATA_DISABLED": "true", name: "x"}
    environment = {f"{prefix}{variable}": value for variable, value in variables.items()}
    environment |= {"RIGHT_MLFLOW_TRACKING_URI": "http://localhost"} if prefix else {}
    option = ("--right-host", "server:right", "--left-host", "server:right") if prefix else ()
    result = run(tmp_path, "diff", "s3://models/a", "s3://models/b", *option, environment=environment)
    result.require_error(
        "AccessError",
        "half of the key pair is missing",
        f"Set both {prefix}AWS_ACCESS_KEY_ID and {prefix}AWS_SECRET_ACCESS_KEY.",
    )


@pytest.mark.parametrize(
    "profile, problem",
    [
        ("role_arn = arn:aws:iam::123456789012:role/gate", "the profile lacks source_profile or credential_source"),
        ("aws_access_key_id = AKIATEST", "the profile lacks aws_secret_access_key"),
    ],
)
def test_profile_that_lacks_a_setting_is_an_error_with_a_remedy(
    s3: str, profile: str, problem: str, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text(f"[profile gate]\n{profile}\n")
    variables = {"MLFLOW_S3_ENDPOINT_URL": s3, "AWS_CONFIG_FILE": str(config), "AWS_PROFILE": "gate"}
    result = run(tmp_path, "diff", "s3://models/a", "s3://models/b", environment=variables)
    result.require_error("AccessError", problem, "AWS_CONFIG_FILE", "AWS_PROFILE")
    assert "AWS_ACCESS_KEY_ID" not in result.stderr


@pytest.mark.parametrize(
    "settings, names",
    [
        ({"MLFLOW_S3_ENDPOINT_URL": "rubbish"}, ["of MLFLOW_S3_ENDPOINT_URL"]),
        ({"MLFLOW_S3_ENDPOINT_URL": "http://127.0.0.1:1/?sig=x"}, ["of MLFLOW_S3_ENDPOINT_URL is not"]),
        ({"AWS_DEFAULT_REGION": "a b"}, ["Correct AWS_DEFAULT_REGION"]),
        ({"MLFLOW_S3_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_PROFILE": "none"}, ["in AWS_DEFAULT_PROFILE or AWS_"]),
        ({"GOOGLE_APPLICATION_CREDENTIALS": "/none/GOOGLE_KEY.json"}, ["in GOOGLE_APP", "/none/GOOGLE_KEY.json"]),
        ({"RIGHT_GOOGLE_APPLICATION_CREDENTIALS": "/none/GOOGLE_KEY"}, ["in RIGHT_GOOGLE_APP", "/none/GOOGLE_KEY,"]),
    ],
)
def test_error_about_a_shared_setting_names_the_variable_that_the_user_has_set(
    settings: dict[str, str], names: list[str], tmp_path: Path
) -> None:
    environment = {"RIGHT_MLFLOW_TRACKING_URI": "http://localhost", "AWS_EC2_METADATA_DISABLED": "true", **settings}
    scheme = "gs" if "GOOGLE" in str(settings) else "s3"
    hosts = ("--left-host", "server:right", "--right-host", "server:right")
    locations = (f"{scheme}://models/a", f"{scheme}://models/b")
    result = run(tmp_path, "diff", *locations, *hosts, environment=environment)
    assert (result.exit_code, result.status) == (2, "error")
    assert all(name in result.stderr for name in names), result.stderr


@pytest.mark.parametrize(
    "settings, text",
    [
        (
            {"AWS_SECRET_ACCESS_KEY": f"{SECRET} "},
            "The value of AWS_SECRET_ACCESS_KEY begins or ends with white space.",
        ),
        ({"AWS_ACCESS_KEY_ID": "'AKIATEST'"}, "The value of AWS_ACCESS_KEY_ID is in quotation marks."),
        ({"AWS_SECRET_KEY": SECRET}, "AWS_SECRET_KEY is not read: the name is AWS_SECRET_ACCESS_KEY."),
    ],
)
def test_rejected_login_with_a_typing_mistake_is_an_error_that_names_it(
    settings: dict[str, str], text: str, tmp_path: Path
) -> None:
    with FaultyStore(cloud="s3") as store:
        store.faults["/"] = lambda call: call.send(b"<Error><Code>SignatureDoesNotMatch</Code></Error>", 403)
        environment = {**store.variables, **settings}
        result = run(tmp_path, "diff", "s3://bucket/a", "s3://bucket/b", environment=environment)
    result.require_error("AccessError", text)


@pytest.mark.parametrize("value", [" http://127.0.0.1:1", "http://127.0.0.1:1\n"])
def test_address_with_white_space_is_an_error_that_says_so(value: str, tmp_path: Path) -> None:
    environment = {"MLFLOW_S3_ENDPOINT_URL": value}
    result = run(tmp_path, "diff", "s3://bucket/a", "s3://bucket/b", environment=environment)
    result.require_error("InputError", "The value of MLFLOW_S3_ENDPOINT_URL begins or ends with white space.")


@pytest.mark.parametrize("name", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_missing_file_of_a_certificate_authority_is_an_error_that_names_the_variable(name: str, tmp_path: Path) -> None:
    environment = {"MLFLOW_S3_ENDPOINT_URL": "https://127.0.0.1:1", name: "/none/authority.pem"}
    result = run(tmp_path, "diff", "s3://bucket/a", "s3://bucket/b", environment=environment)
    result.require_error("InputError", f"The file in {name}, /none/authority.pem, does not exist.")


def test_azure_store_of_a_connection_string_is_named_by_its_address(tmp_path: Path) -> None:
    login = f"AccountName=acct;AccountKey={KEY};BlobEndpoint=http://127.0.0.1:1/acct"
    locations = [f"wasbs://models@acct.blob.core.windows.net/{name}" for name in "ab"]
    result = run(tmp_path, "diff", *locations, environment={"AZURE_STORAGE_CONNECTION_STRING": login})
    result.require_error("UnreachableError", "The store 127.0.0.1:1 ", "in AZURE_STORAGE_CONNECTION_STRING")


@pytest.mark.parametrize("status", [301, 302, 307])
def test_store_that_redirects_each_request_is_an_error_that_says_so(status: int, tmp_path: Path) -> None:
    with FaultyStore(cloud="s3") as store:
        store.faults["/"] = lambda call: call.send(b"", status, location="https://127.0.0.1:1/")
        result = run(tmp_path, "diff", "s3://bucket/a", "s3://bucket/b", environment=store.variables)
    result.require_error("UnreachableError", "redirects the request")


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN"])
def test_login_with_a_line_break_is_an_error_of_access(name: str, tmp_path: Path) -> None:
    with FaultyStore(cloud="s3") as store:
        environment = {**store.variables, name: f"{SECRET}\nx"}
        result = run(tmp_path, "diff", "s3://bucket/a", "s3://bucket/b", environment=environment)
    result.require_error("AccessError", "has a line break", "AWS_ACCESS_KEY_ID")


def test_arn_is_an_error_also_with_a_tracking_server(tmp_path: Path) -> None:
    environment = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:1"}
    result = run(tmp_path, "diff", "arn:aws:s3:::models/m", "model", environment=environment)
    result.require_error("InputError", "is an ARN", "Did you mean s3://models/m?")
    result = run(tmp_path, "diff", "arn:aws:s3:::models", "model", environment=environment)
    result.require_error("InputError", "is an ARN", "s3://BUCKET/PATH")
    assert "tracking server" not in result.stderr


def test_address_with_the_name_of_the_bucket_is_an_error_that_suggests_to_remove_it(
    s3: str, variables: dict[str, str], tmp_path: Path
) -> None:
    put(s3, "models", "m", FILES)
    for path, bucket, is_suggested in (
        ("/models", "models", True),
        ("/models", "nothing", True),
        ("/nothing", "models", True),
        ("/", "nothing", False),
    ):
        environment = {**variables, "MLFLOW_S3_ENDPOINT_URL": s3 + path}
        result = run(tmp_path, "diff", f"s3://{bucket}/m", f"s3://{bucket}/m2", environment=environment)
        result.require_error("NotFoundError")
        assert ("If the path is the name of the bucket, remove it." in result.stderr) == is_suggested


@pytest.mark.parametrize("name", ["MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"])
@pytest.mark.parametrize("kind", ["NotFoundError", "UnreachableError"])
def test_error_says_that_a_named_server_does_not_get_the_unprefixed_address_of_a_store(
    s3: str, variables: dict[str, str], name: str, kind: str, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text(f"[default]\nendpoint_url = {s3 if kind == 'NotFoundError' else 'http://127.0.0.1:1'}\n")
    own = {**variables, "AWS_CONFIG_FILE": str(config), "MLFLOW_TRACKING_URI": "http://localhost"}
    environment = {f"RIGHT_{variable}": value for variable, value in own.items()} | {name: s3}
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "MLmodel").touch()
    result = run(tmp_path, "diff", "model", "s3://absent/m", "--right-host", "server:right", environment=environment)
    reason = "this server has AWS variables of its own, such as RIGHT_AWS_ACCESS_KEY_ID."
    result.require_error(kind, f"{name} is set here, but was not handed over: {reason}")


@pytest.mark.parametrize("command", ["diff", "seal"])
def test_remedy_for_a_store_says_how_to_use_the_login_of_a_named_server(
    s3: str, variables: dict[str, str], command: str, tmp_path: Path
) -> None:
    put(s3, "models", "m", FILES)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "MLmodel").write_bytes(FILES["MLmodel"])
    own = {**variables, "MLFLOW_TRACKING_URI": "http://localhost"}
    environment = {f"{name}_{variable}": value for name in ("LEFT", "TEST") for variable, value in own.items()}
    # With the address of the store, only the login is missing.
    config = tmp_path / "config"
    config.write_text(f"[default]\nendpoint_url = {s3}\n")
    environment |= {"AWS_CONFIG_FILE": str(config), "AWS_EC2_METADATA_DISABLED": "true"}
    models = ("model", "s3://models/m") if command == "diff" else ("s3://models/m",)
    result = run(tmp_path, command, *models, environment=environment)
    message, remedy = result.report["error"]["message"], result.report["error"]["remedy"]
    result.require_error("AccessError", "but were not handed over: they belong to the server left.")
    assert message.endswith("they belong to the server test.")
    assert remedy.startswith("To use these variables, name their server, server:left or server:test: with --left-host")

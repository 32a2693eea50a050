"""Secrets are masked in every encoding, and fixed values of the report are not changed."""

from __future__ import annotations

import ast
import base64
import html
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from model_gate.access.decoding import decodings
from model_gate.access.environments import secrets_of
from model_gate.access.hosts import parse_host, secrets_in
from model_gate.access.redaction import MASK, Redactor
from model_gate.domain.credentials import basic_auth_secrets
from model_gate.errors import InputError
from tests.support import commandline
from tests.support.paths import ROOT

SECRETS = ["s3cret-w0rd", "p/w:1@x y", "qu'ote\"d\\", "ünïcödé", "a+b=c&d", "%41%42", "\udcff\udcfe bytes"]


def forms(secret: str) -> list[str]:
    raw = secret.encode("utf-8", "surrogateescape")
    return [
        secret,
        quote(raw),
        quote(raw, safe=""),
        quote_plus(raw),
        repr(secret)[1:-1],
        json.dumps(secret)[1:-1],
        base64.b64encode(raw).decode(),
    ]


@pytest.mark.parametrize("secret", SECRETS)
def test_secret_is_masked_in_each_of_its_encodings(secret: str) -> None:
    redactor = Redactor([secret])
    for form in forms(secret):
        assert redactor.text(f"before{form}after") == f"before{MASK}after"


def test_redactor_can_include_secrets_that_are_found_later() -> None:
    redactor = Redactor(["first-secret"])
    both = redactor.including(["second-secret"])
    assert both.text("first-secret second-secret") == f"{MASK} {MASK}"
    assert redactor.text("first-secret second-secret") == f"{MASK} second-secret"
    # A redactor is made once for all gates with the same logins.
    assert redactor.including(["second-secret"]) is both
    assert redactor.including(["first-secret"]) is redactor


def test_longer_of_two_overlapping_secrets_is_masked_whole() -> None:
    assert Redactor(["keyword", "keywordier"]).text("keywordier keyword") == f"{MASK} {MASK}"


@pytest.mark.parametrize(
    "text, masked",
    [
        ("https://ann:pw@example.com/x", "https://***@example.com/x"),
        ("at http://t0ken@example.com:5000.", "at http://***@example.com:5000."),
        ("postgresql+psycopg2://a:b@db/x", "postgresql+psycopg2://***@db/x"),
        ("https://a:p@w@example.com", "https://***@example.com"),
        ("two http://a:b@x and http://c:d@y", "two http://***@x and http://***@y"),
        ("HTTPConnectionPool(host='x'): 'http://a:b@x/'", "HTTPConnectionPool(host='x'): 'http://***@x/'"),
    ],
)
def test_user_info_of_any_uri_is_masked(text: str, masked: str) -> None:
    assert Redactor().text(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "https://example.com/a@b",
        "models:/Wine@champion",
        "models://profile@databricks/Wine/1",
        "ann@example.com",
        "s3://bucket/key",
        "",
    ],
)
def test_text_without_secrets_is_unchanged(text: str) -> None:
    assert Redactor().text(text) == text


def test_masking_of_report_data_changes_strings_but_not_keys_or_numbers() -> None:
    data = {"passphrase": ["passphrase", {"x": "a passphrase"}, 1, None, True], "y": ("passphrase",)}
    masked = {"passphrase": [MASK, {"x": f"a {MASK}"}, 1, None, True], "y": [MASK]}
    assert Redactor(["passphrase"]).data(data) == masked


@pytest.mark.parametrize("secret", ["test", "s", "pw", "la", "1"])
@pytest.mark.parametrize(
    "text", ["latest-large.txt", "tests/la/x1.py", "a.test.b", "/srv/test/1/s", "pws", "sha256-1-la-s", "test/la"]
)
def test_short_secret_inside_a_word_or_path_is_not_masked(secret: str, text: str) -> None:
    assert Redactor([secret]).text(text) == text


@pytest.mark.parametrize("text", ["password {}", "'{}'", "({})", "{}.", "user:{},", "{}", 'a="{}"'])
def test_short_secret_that_is_a_whole_word_is_masked(text: str) -> None:
    assert Redactor(["pw"]).text(text.format("pw")) == text.format(MASK)


def test_short_secret_does_not_change_paths_and_verdicts_of_a_report() -> None:
    data = {"path": "test", "uri": "test", "status": "error", "error": {"message": "test equal"}, "field": "test"}
    redacted = {**data, "error": {"message": f"{MASK} equal"}}
    assert Redactor(["test", "equal"]).data(data) == redacted


@pytest.mark.parametrize(
    "text, masked",
    [
        ("postgresql://h/db?user=u&password=pw&x=1", "postgresql://h/db?user=u&password=***&x=1"),
        ("https://b/x?X-Amz-Signature=ab12&X-Amz-Date=1", "https://b/x?X-Amz-Signature=***&X-Amz-Date=1"),
        ("https://b/x?sv=1&sig=a%2Fb", "https://b/x?sv=1&sig=***"),
        ("https://b/x?design=1&tokens=2", "https://b/x?design=1&tokens=***"),
    ],
)
def test_credential_in_a_url_query_is_masked(text: str, masked: str) -> None:
    assert Redactor().text(text) == masked


@pytest.mark.parametrize("word", ["equal", "error", "content", "file", "directory", "identical", "check", "diff", "a1"])
def test_password_that_equals_a_fixed_report_value_does_not_change_the_report(word: str) -> None:
    data = {"status": "equal", "kind": "content", "left_type": "file", "right_type": "directory", "hash": "a1" * 32}
    data |= {"command": "check", "require": "identical", "type": "error"}
    assert Redactor([word]).data(data) == data


def test_empty_secret_does_not_change_the_text() -> None:
    assert Redactor(["", ""]).text("text") == "text"


def _mixed_case(text: str) -> str:
    """Return the text with its percent escapes alternately in upper and in lower case."""
    parts = text.split("%")
    escapes = [
        part[:2].upper() + part[2:] if place % 2 else part[:2].lower() + part[2:] for place, part in enumerate(parts)
    ]
    return "%".join([parts[0], *escapes[1:]])


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "write",
    [
        lambda text: "".join(f"%{byte:02x}" for byte in text.encode("utf-8", "surrogateescape")),
        lambda text: _mixed_case("".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogateescape"))),
        lambda text: quote(quote(text.encode("utf-8", "surrogateescape"), safe=""), safe=""),
        lambda text: json.dumps(json.dumps(text)[1:-1])[1:-1],
        lambda text: json.dumps(quote(text.encode("utf-8", "surrogateescape")))[1:-1],
        lambda text: "".join(f"\\u{ord(char):04x}" for char in text),
        lambda text: base64.urlsafe_b64encode(text.encode("utf-8", "surrogateescape")).decode().rstrip("="),
    ],
    ids=["percent", "mixed percent", "percent twice", "JSON twice", "percent in JSON", "code points", "base64url"],
)
def test_secret_in_an_unusual_encoding_is_masked(secret: str, write: Callable[[str], str]) -> None:
    assert Redactor([secret]).text(f"before {write(secret)} after") == f"before {MASK} after"


TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl"


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\n    ", "\\n", "%0A", "\\r\\n "])
def test_token_that_is_split_over_lines_is_masked(line_break: str) -> None:
    text = f"Bearer {TOKEN[:20]}{line_break}{TOKEN[20:40]}{line_break}{TOKEN[40:]}{line_break}end"
    masked = Redactor([TOKEN]).text(text)
    assert masked == f"Bearer {MASK}{line_break}end"


@pytest.mark.parametrize(
    "text, masked",
    [
        ("password: a-long-sec…", "password: ***…"),
        ("…secret-1 and more", "…*** and more"),
        ("a…b a-long-s…ecret-1", "a…b ***…***"),
        ("a-lon…", "a-lon…"),
    ],
)
def test_part_of_a_secret_beside_a_cut_is_masked(text: str, masked: str) -> None:
    assert Redactor(["a-long-secret-1"]).text(text) == masked


KEY = "tok_Zr/9+Ab3dEf6hIj8kLmNoPqRsTuVwXyZ&0123456=="
ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "percent": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "percent in lower case": lambda text: text.replace("/", "%2f").replace("+", "%2b").replace("=", "%3d"),
    "percent twice": lambda text: quote(quote(text, safe=""), safe=""),
    "slash of JSON": lambda text: text.replace("/", "\\/"),
    "slash of JSON twice": lambda text: text.replace("/", "\\\\/"),
    "code points": lambda text: "".join(f"\\u{ord(char):04x}" for char in text),
    "numbers of HTML": lambda text: "".join(f"&#{ord(char)};" for char in text),
    "hexadecimal numbers of HTML": lambda text: "".join(f"&#x{ord(char):X};" for char in text),
    "names of HTML": lambda text: text.replace("&", "&amp;").replace("/", "&sol;").replace("+", "&plus;"),
    "lines": lambda text: f"{text[:11]}\n    {text[11:25]}\r\n{text[25:]}",
    "characters that nobody sees": lambda text: f"{text[:11]}\u200b{text[11:25]}\x08{text[25:]}",
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "hexadecimal": lambda text: text.encode().hex(),
}


def _parts(text: str, length: int = 7) -> set[str]:
    return {text[start : start + length] for start in range(len(text) - length + 1)}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_part_of_an_escaped_secret_beside_a_cut_is_masked(encoding: str) -> None:
    redactor = Redactor([KEY])
    encoded = ENCODINGS[encoding](KEY)
    secret_parts = _parts(encoded if encoding in {"base64", "hexadecimal"} else KEY)
    for cut in range(len(encoded) + 1):
        for text in (
            f"at {encoded[:cut]}…",
            f"…{encoded[cut:]} end",
            f"at {encoded[:cut]}…{encoded[cut + 5 :]} end",
            f"at …{encoded[cut : cut + 40]}… end",
        ):
            masked = redactor.text(text)
            assert [decoded.text for decoded in decodings(masked) if secret_parts & _parts(decoded.text)] == [], text


def test_part_of_a_secret_of_several_lines_is_masked_beside_a_cut() -> None:
    redactor = Redactor(["-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END KEY-----\n"])
    assert redactor.text("at -----BEGIN KEY-----\r\n  MIIEvQIBADANBgkq\r\n  hkiG9w…") == f"at {MASK}…"
    assert redactor.text("…ADANBgkq  \n  hkiG9w0BAQEFAASC\n  -----END KEY-----\n") == f"…{MASK}\n"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_whole_secret_is_masked_without_the_text_around_it(encoding: str) -> None:
    text = f"a {ENCODINGS[encoding](KEY)} b &amp; c &unknown; d…"
    assert Redactor([KEY]).text(text) == f"a {MASK} b &amp; c &unknown; d…"


@pytest.mark.parametrize(
    "text", ["a-text… that", "…2 files", "tokens/…/part…ble.parquet", "a…b…c", "tok_…", "…56==", "…"]
)
def test_text_beside_a_cut_that_is_no_part_of_a_secret_is_unchanged(text: str) -> None:
    assert Redactor([KEY]).text(text) == text


@pytest.mark.parametrize("entity", ["&#x110000;", "&#9999999;", "&#0;", "&;", "&#;", "&#x;", "&fjlig;"])
def test_entity_that_stands_for_no_character_is_unchanged(entity: str) -> None:
    assert Redactor([KEY]).text(f"{entity} {KEY} {entity}") == f"{entity} {MASK} {entity}"


@pytest.mark.parametrize(
    "text, masked",
    [
        ("--extra-index-url https://builder:abcdef…", "--extra-index-url https://***…"),
        ("https://ann:pass…word@example.com/x", "https://***@example.com/x"),
        ("git+https://ghp_0123456789abcdefghij…", "git+https://***…"),
        ("https://a…word@example.com/x", "https://***@example.com/x"),
        ("…word@example.com/x", "…***@example.com/x"),
        ("https://mlflow.staging.example.com…", "https://mlflow.staging.example.com…"),
        ("s3://models/wine…pkl", "s3://models/wine…pkl"),
    ],
)
def test_user_info_beside_a_cut_is_masked(text: str, masked: str) -> None:
    assert Redactor().text(text) == masked


def test_text_between_secrets_is_unchanged() -> None:
    secret = "p%ss/word"
    text = f"a %25 \\n b\n{secret} c%2fd {quote(secret, safe='')}\n\\u0041"
    assert Redactor([secret]).text(text) == f"a %25 \\n b\n{MASK} c%2fd {MASK}\n\\u0041"


@pytest.mark.parametrize("username, password", [("ada", "s3cret-w0rd"), ("ünï@x", "p:w d/é"), ("", "s3cret-w0rd")])
def test_header_of_basic_authentication_is_masked(username: str, password: str) -> None:
    redactor = Redactor(basic_auth_secrets(username, password))
    for encoding in ("utf-8", "latin-1"):
        header = base64.b64encode(f"{username}:{password}".encode(encoding)).decode()
        assert redactor.text(f"Authorization: Basic {header}") == f"Authorization: Basic {MASK}"
    assert redactor.text(f"{username}:{password}") == MASK


def test_login_without_password_has_no_secrets() -> None:
    assert basic_auth_secrets("ada", "") == ()


def test_basic_authentication_header_for_a_login_in_the_environment_is_masked() -> None:
    environment = {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": "s3cret-w0rd"}
    header = base64.b64encode(b"ada:s3cret-w0rd").decode()
    assert Redactor(secrets_of(environment)).text(header) == MASK
    assert header in secrets_of(environment)


def _texts_of(file: Path) -> Iterator[str]:
    """Yield the string literals of a Python file, without its docstrings."""
    tree = ast.parse(file.read_text("utf-8"))
    statements = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in statements:
            yield node.value


@pytest.mark.parametrize(
    "password",
    ["left@middle/right", "left/middle@right", "left?mid@dle", "left#mid@dle", "zk@vv:jj/qq", "zk vv@jj qq"],
)
def test_long_password_with_uri_separators_is_masked_whole(password: str) -> None:
    redactor = Redactor([password])
    for uri in (f"https://ann:{password}@example.com/x", f"postgresql://ann:{password}@db/x?password={password}"):
        for masked in (redactor.text(uri), str(redactor.data({"uri": uri}))):
            assert not any(part in masked for part in re.split("[@/?#: ]", password))
            assert "example.com/x" in masked or "@db/x" in masked


@pytest.mark.parametrize("password", ["a@b/c", "a/b@c", "a@b c"])
def test_short_password_with_uri_separators_is_masked_whole(password: str) -> None:
    assert Redactor([password]).text(f"https://ann:{password}@example.com") == f"https://{MASK}@example.com"


SEPARATORS = ["@", "/", "?", "#", ":", " "]


@pytest.mark.parametrize("scheme", ["http", "postgresql", "mysql+pymysql", "ftp"])
@pytest.mark.parametrize("separator", SEPARATORS)
def test_error_and_address_of_a_host_never_show_an_unencoded_password(scheme: str, separator: str) -> None:
    for parts in (
        ("zebra", "quokka"),
        ("51234", "quokka@koala/heron"),
        ("zebra@51234", "quokka"),
        ("zebra/q", "koala"),
    ):
        password = separator.join(parts)
        host = f"{scheme}://ann:{password}@127.0.0.1:1/db"
        try:
            text = parse_host(host).address
        except InputError as error:
            text = f"{error.message} {error.remedy}"
        text += Redactor(secrets_in(host)).text(f"cannot use {host} or '{host}'")
        assert [part for part in re.split("[@/?#: ]", password) if len(part) > 3 and part in text] == []


@pytest.mark.parametrize("password", ["ze@bra", "zebra@quokka/koala", "51234?zebra@quokka", "zebra@51234#quokka"])
@pytest.mark.parametrize("scheme", ["postgresql", "mysql+pymysql", "mssql"])
def test_database_whose_login_has_an_unencoded_at_sign_is_an_error(scheme: str, password: str) -> None:
    # SQLAlchemy would take a part of the password for the server, and show it.
    with pytest.raises(InputError, match=r"has an '@' that does not end a login|is not a valid URI"):
        parse_host(f"{scheme}://ann:{password}@127.0.0.1:1/db")
    assert parse_host(f"{scheme}://ann:{quote(password, safe='')}@127.0.0.1:1/db").password == password


@pytest.mark.parametrize("scheme", ["http", "postgresql"])
@pytest.mark.parametrize("separator", SEPARATORS)
def test_output_and_report_never_show_an_unencoded_password(scheme: str, separator: str, tmp_path: Path) -> None:
    password = f"zebra@51234{separator}quokka"
    report = tmp_path / "report.json"
    completed = commandline.run(
        *("check", "--host", f"{scheme}://ann:{password}@127.0.0.1:1/db", "--model", "Wine"),
        *("--version-or-stage", "1", "--verbose", "--report-file", report),
    )
    assert completed.returncode == 2
    text = completed.stdout + completed.stderr + report.read_text()
    assert [part for part in ("zebra", "51234", "quokka") if part in text] == []


@pytest.mark.parametrize(
    "host",
    [
        "ann:pw@127.0.0.1:1",
        "http:/ann:pw@127.0.0.1",
        "http:ann:pw@127.0.0.1",
        "https//ann:pw@127.0.0.1",
        "postgresql://127.0.0.1:1/db?user=ann&password=pw",
    ],
)
def test_output_and_report_never_show_the_short_password_of_a_malformed_host(host: str, tmp_path: Path) -> None:
    completed = commandline.run(
        *("check", "--host", host, "--model", "Wine", "--version-or-stage", "1", "--verbose"),
        *("--report-file", "report.json"),
        cwd=tmp_path,
    )
    assert completed.returncode == 2
    text = completed.stdout + completed.stderr + (tmp_path / "report.json").read_text()
    assert "127.0.0.1" in text
    assert re.findall(r".{0,9}\bpw\b.{0,9}", text) == []


def test_masking_without_secrets_changes_no_message_in_the_source_code() -> None:
    files = sorted((ROOT / "src/model_gate").rglob("*.py"))
    sentences = [text for file in files for text in _texts_of(file) if " " in text and "(?" not in text]
    assert len(sentences) > 500
    assert [text for text in sentences if Redactor().text(text) != text] == []


@pytest.mark.parametrize(
    "unit",
    [
        *("pwd", "passwd", "token", "://a", "a@", "?a=", "%25", "&", "&amp;", "&#43;", "\\", "\u200b"),
        *(
            "...",
            "[...]",
            " (truncated)",
            "[.....",
            "a-long-s...",
            "...ong-secr...",
            "...ong-secret-1",
            "a-long-s… ... ",
        ),
        *(
            "*",
            "***",
            "•",
            "x",
            "xxxx",
            "-",
            "--",
            "a--",
            "a..",
            "a-long-s***",
            "***ong-secret-1",
            "(1 more",
            "<snip> ",
        ),
        *("=", "=53", "=5", "=53…", "\\u{", "\\u{53}", "53:", "0x53, "),
        *("a-long-sa-long-secret-1", "a-long-secret-1ong-secret-1"),
        *("…", "%25…", "&hellip;", "… ", "a-long-s…", "…secret-1", "a-long-s…secret-1", "…\na-long…"),
    ],
)
def test_time_to_redact_a_hostile_text_grows_linearly(unit: str) -> None:
    redactor = Redactor(["a-long-secret-1", "pwdpwdpwdpwd"])
    start = time.process_time()
    redactor.text("?" + unit * (200_000 // len(unit)))
    assert time.process_time() - start < 5


@pytest.mark.parametrize("text", ["a&amp;b&lt;secret&gt;1", "pÃ¤ss-wÃ¶rd", r"p\xc3\xa4ss-w\xc3\xb6rd"])
def test_secret_in_an_error_page_is_masked(text: str) -> None:
    assert Redactor(["a&b<secret>1", "päss-wörd"]).text(f"x {text} y") == "x *** y"


@pytest.mark.parametrize("form", ["wasb://CONTAINER@ACCOUNT.blob.core.windows.net", "r2://BUCKET@ACCOUNT.example.com"])
def test_form_of_a_store_uri_in_an_error_is_not_masked(form: str) -> None:
    assert Redactor().text(f"neither {form} nor a declared store") == f"neither {form} nor a declared store"
    assert "pass" not in Redactor().text(f"{form}:pass@host")
    assert "pass" not in Redactor().text(f"{form}@pass@host")


@pytest.mark.parametrize(
    "uri",
    [
        "wasbs://models@acct.blob.core.windows.net/m",
        "wasb://models@acct.blob.core.windows.net/m",
        "abfss://m-1@acct.dfs.core.windows.net/m",
        "abfs://m-1@acct.dfs.core.windows.net/m",
        "r2://models@acct.r2.cloudflarestorage.com/m",
    ],
)
def test_container_in_a_location_is_shown(uri: str) -> None:
    assert Redactor().text(uri) == uri


@pytest.mark.parametrize(
    "uri",
    [
        "wasbs://ann:s3cret@acct.blob.core.windows.net/m",
        "r2://ann:s3cret@acct.r2.cloudflarestorage.com/m",
        "r2://ann@bob:s3cret@acct.example.com/m",
        "wasbs://ann@acct.example.com:s3cret@host/m",
        "abfss://s3cret@ann@host",
        "our2://s3cret@host/m",
        "postgresql+r2://s3cret@host/m",
        "_r2://s3cret@host/m",
        "r2://s3cret@ann%40host/m",
        "ér2://s3cret@host/m",
        "https://ann:s3cret@databricks.example.com/m",
        "models://ann:s3cret@databricks/m/1",
        "models://s3cret@databricks.example.com/m/1",
        "dbfs://ann:s3cret@databricks/m",
        "s3://ann:s3cret@databricks-models/m",
        "https://s3cret@databricks/m",
        r"https:\/\/ann:s3cret@host\/m",
        "s3://ann:s3cret%40host/m",
        "https%3A%2F%2Fann%3As3cret%40host%2Fm",
        "https%3a%2f%2fann%3as3cret@host",
    ],
)
def test_login_in_a_location_of_a_store_is_masked(uri: str) -> None:
    for text in (uri, f"'{uri}'", f"{uri} and r2://models@acct.example.com/m"):
        assert "s3cret" not in Redactor().text(text)


@pytest.mark.parametrize(
    "uri", ["models://team-a@databricks/Wine/1", "dbfs://team@databricks/m", "runs://team@databricks-uc/1/m"]
)
def test_profile_in_a_location_of_databricks_is_shown(uri: str) -> None:
    assert Redactor(["topsecret12345"]).text(f"at '{uri}'") == f"at '{uri}'"


@pytest.mark.parametrize(
    "part", [" ", "\t ", " \n", "://", "%3A%2F%2F", ":\\/\\/", "a@", "%40", "r2://a@", "models://a"]
)
def test_long_text_is_redacted_in_a_second(part: str) -> None:
    redactor = Redactor(["topsecret12345", "a secret of a second server"])
    text = part * (200_000 // len(part))
    start = time.process_time()
    redactor.text(text)
    assert time.process_time() - start < 2.5


@pytest.mark.parametrize("name", ["Signature", "X-Amz-Signature", "sig"])
def test_signature_outside_of_a_url_is_masked(name: str) -> None:
    signature = "0123456789abcdef" * 4
    assert Redactor().text(f"SignedHeaders=host, {name}={signature}") == f"SignedHeaders=host, {name}=***"


def test_user_name_beside_a_cut_is_not_masked() -> None:
    redactor = Redactor(["mlflow:a-long-password", "a-long-password"])
    assert redactor.text("artifacts/mlflow…/model.pkl") == "artifacts/mlflow…/model.pkl"
    assert redactor.text("mlflow:a-long-pass…") == f"mlflow:{MASK}…"


@pytest.mark.parametrize("change", [str.upper, str.lower, str.swapcase, str.title])
@pytest.mark.parametrize("secret", [TOKEN, "tk-9fq7zlm2xwr4vb8n", "Pässwörd-ÑÉ", "8-Chars!"])
def test_secret_in_another_case_is_masked(secret: str, change: Callable[[str], str]) -> None:
    assert Redactor([secret]).text(f"http://{change(secret)}.example.com") == f"http://{MASK}.example.com"


@pytest.mark.parametrize("encode", [quote, lambda text: base64.b64encode(text.encode()).decode(), json.dumps])
def test_encoded_secret_in_another_case_is_masked(encode: Callable[[str], str]) -> None:
    secret = "Tk/9fq7 Zlm2xwr4vb8n"
    assert "zlm2" not in Redactor([secret]).text(encode(secret).lower()).lower()
    assert MASK in Redactor([secret]).text(encode(secret).upper())


@pytest.mark.parametrize("text", ["at TK-9FQ7ZLM…", "…2XWR4VB8N end", "…9FQ7ZLM2XW… end"])
def test_part_of_a_secret_in_another_case_is_masked(text: str) -> None:
    assert re.search("[a-z0-9]*[0-9]", Redactor(["tk-9fq7zlm2xwr4vb8n"]).text(text), re.IGNORECASE) is None


@pytest.mark.parametrize("before", ["İ", "İİİ ẞ ŉ ǰ ΐ ", "ΑΣ Σ "])
def test_characters_whose_lower_case_is_longer_do_not_move_the_mask(before: str) -> None:
    text = f"{before}TK-9FQ7ZLM2XWR4VB8N{before}"
    assert Redactor(["tk-9fq7zlm2xwr4vb8n"]).text(text) == f"{before}{MASK}{before}"


def test_sigma_at_the_end_of_a_secret_is_found_in_any_case() -> None:
    assert Redactor(["κωδικόςσ"]).text("x ΚΩΔΙΚΌΣΣ y ΚΩΔΙΚΌΣΣα") == f"x {MASK} y {MASK}α"


@pytest.mark.parametrize("secret, text", [("Wine-7", "wine-7"), ("secret7", "SECRET7"), ("pw", "PW")])
def test_short_secret_in_another_case_is_not_masked(secret: str, text: str) -> None:
    assert Redactor([secret]).text(f"at {text} {secret}") == f"at {text} {MASK}"


def test_fixed_values_of_the_report_in_another_case_are_not_masked() -> None:
    data = {"status": "different", "sha256": "ab12cd34" * 8, "hash": "ab12cd34" * 8}
    assert Redactor(["DIFFERENT", "AB12CD34"]).data(data) == data


def test_secret_of_line_breaks_does_not_change_the_text() -> None:
    assert Redactor(["\n" * 20]).text("a\nb") == "a\nb"


OTHER_CUTS = [
    "...",
    "....",
    "[...]",
    "(...)",
    "[…]",
    "(truncated)",
    "[truncated]",
    "<truncated>",
    " ...",
    " (Truncated) ",
    "<snip>",
    " [snipped]",
    "⋯",
    "[⋯]",
    " (12 more)",
    " (12 more characters)",
    "[3 more]",
    "***",
    "******",
    "•••••",
    "xxxx",
    "XXXXXXXX",
]


@pytest.mark.parametrize("cut", OTHER_CUTS)
@pytest.mark.parametrize(
    "text, masked",
    [
        ("token eyJhbGciOi{}", "token ***{}"),
        ("{}c2lnbmF0dXJl and more", "{}*** and more"),
        ("a{}yJzdWIiOi{} b", "a{}***{} b"),
        ("eyJhbGciOiJS{}mF0dXJl and bmF0dXJl", "***{}mF0dXJl and bmF0dXJl"),
    ],
)
def test_part_of_a_secret_beside_another_mark_of_a_cut_is_masked(text: str, masked: str, cut: str) -> None:
    assert Redactor([TOKEN]).text(text.replace("{}", cut)) == masked.replace("{}", cut)


@pytest.mark.parametrize("mark", ["--", "---", ".."])
@pytest.mark.parametrize("after", ["", " ", " and more", '"', ")"])
def test_start_of_a_secret_before_hyphens_or_two_dots_is_masked(mark: str, after: str) -> None:
    assert Redactor([TOKEN]).text(f"token {TOKEN[:12]}{mark}{after}") == f"token {MASK}{mark}{after}"


@pytest.mark.parametrize(
    "text",
    [
        "https://***@example.com/wine",
        "https://***",
        "AccountKey=***;EndpointSuffix=core",
        "AccountName=***",
        "--with-sas",
    ],
)
def test_mask_in_place_of_a_login_is_no_cut(text: str) -> None:
    secret = "https://ann:topsecret@example.com/wine;AccountName=a;AccountKey=b;EndpointSuffix=core.windows.net"
    assert Redactor([secret, "topsecret"]).text(text) == text


def test_text_that_is_redacted_twice_stays_the_same() -> None:
    redactor = Redactor([TOKEN, "pass/word-of-ann", "a-long-secret-1"])
    for text in (
        f"{TOKEN[:12]}a-long-secret-1",
        f"a-long-secret-1{TOKEN[-12:]} and a-long-sec{TOKEN[:12]}pass/word-of-ann",
        f"https://ann:{TOKEN}@example.com/?token={TOKEN[:12]}***",
        f"{TOKEN[:12]}******{TOKEN[-8:]}",
    ):
        once = redactor.text(text)
        assert redactor.text(once) == once
        assert TOKEN[:12] not in once


def test_lines_around_a_key_are_not_masked_beside_a_part_of_it() -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\n-----END PRIVATE KEY-----\n"
    text = "no -----BEGIN PRIVATE KEY----- was found, and no -----END PRIVATE KEY-----."
    assert Redactor([key]).text(text) == text


@pytest.mark.parametrize("write", [quote, lambda text: quote(text, safe=""), json.dumps, html.escape])
@pytest.mark.parametrize("cut", ["...", "[...]", "<truncated>"])
def test_part_of_a_secret_beside_an_escaped_mark_of_a_cut_is_masked(cut: str, write: Callable[[str], str]) -> None:
    text = f"{TOKEN[:9]}{cut}, {cut}{TOKEN[-9:]} x {cut}{TOKEN[9:30]}{cut}"
    masked = Redactor([TOKEN]).text(write(text))
    assert masked == write(f"{MASK}{cut}, {cut}{MASK} x {cut}{MASK}{cut}").replace("%2A", "*")


@pytest.mark.parametrize(
    "escaped", ["%70%61%73%73%2f%77%6f%72%64%2", r"\u0070ass\u002fword\u00", "p&#97;ss&#x2f;word&#"]
)
def test_part_of_an_escaped_secret_beside_three_dots_is_masked(escaped: str) -> None:
    assert Redactor(["pass/word-of-ann"]).text(f"at {escaped}...") == f"at {MASK}..."


@pytest.mark.parametrize("text", ["passwor... {}", "wait... passphrase", "../...-of-ann", "passwor.. {}", "truncated"])
def test_short_part_of_a_secret_beside_three_dots_is_not_masked(text: str) -> None:
    assert Redactor(["password-of-ann"]).text(text) == text


def _base64(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "surrogateescape")).decode()


def _urlsafe_base64(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode("utf-8", "surrogateescape")).decode().rstrip("=")


@pytest.mark.parametrize("secret", [TOKEN, "8-chars!", "p/w:1@x y", "ünïcödé", "\udcff\udcfe bytes", "~~~???>>>~~~"])
@pytest.mark.parametrize("encode", [_base64, _urlsafe_base64])
@pytest.mark.parametrize("before", ["", "B", "Bearer ", "Authorization: Bearer ", '{"token": "', "é"])
@pytest.mark.parametrize("after", ["", "x", '"}', "\n--"])
def test_secret_inside_a_longer_base64_text_is_masked(
    secret: str, encode: Callable[[str], str], before: str, after: str
) -> None:
    masked = Redactor([secret]).text(f"at {encode(before + secret + after)} end")
    start, mask, end = masked.partition(MASK)
    assert mask
    # What is left encodes the text around the secret, and at most five bits of the secret at each end.
    assert len(start) - len("at ") <= len(_base64(before).rstrip("="))
    assert len(end.rstrip("= end")) <= len(_base64(after)) + 1


@pytest.mark.parametrize("cut", [12, 13, 14])
def test_part_of_a_secret_inside_a_longer_base64_text_is_masked_beside_a_cut(cut: int) -> None:
    encoded = _base64(f"Authorization: Bearer {TOKEN}")
    start = len(_base64("Authorization: Bearer ").rstrip("="))
    assert Redactor([TOKEN]).text(f"{encoded[: start + cut]}…") == f"{encoded[:start]}{MASK}…"
    # The last character also depends on the text after the secret.
    assert Redactor([TOKEN]).text(f"…{encoded[-cut:]}") == f"…{MASK}w="


@pytest.mark.parametrize("line_break", ["\n", "\\n", "%0A"])
def test_secret_inside_a_base64_text_of_several_lines_is_masked(line_break: str) -> None:
    encoded = _base64(f"Bearer {TOKEN}")
    assert Redactor([TOKEN]).text(f"{encoded[:30]}{line_break}{encoded[30:]}").startswith(f"{encoded[:10]}{MASK}")


@pytest.mark.parametrize("text", [_base64("a text without it"), _base64("a secre7 and more"), "c2VjcmU"])
def test_base64_without_a_long_secret_is_not_masked(text: str) -> None:
    assert Redactor([TOKEN, "secre7"]).text(text) == text


def test_user_name_inside_a_base64_text_is_not_masked_beside_a_cut() -> None:
    redactor = Redactor(["mlflow-admin:a-long-password", "a-long-password"])
    for before in ("", "x", "xx"):
        text = _base64(f"{before}mlflow-admin")[:14]
        assert redactor.text(f"{text}…") == f"{text}…"


RARE_ESCAPES: dict[str, Callable[[str], str]] = {
    "octal": lambda text: "".join(f"\\{byte:03o}" for byte in text.encode()),
    "octal twice": lambda text: "".join(f"\\\\{byte:03o}" for byte in text.encode()),
    "number of HTML without semicolon": lambda text: "".join(f"&#{ord(char)}" for char in text),
    "hexadecimal number of HTML without semicolon": lambda text: "".join(f"&#x{ord(char):x}" for char in text),
    "number of HTML with zeros": lambda text: "".join(f"&#{ord(char):07};" for char in text),
    "hexadecimal number of HTML with zeros": lambda text: "".join(f"&#X{ord(char):06x};" for char in text),
    "number in braces": lambda text: "".join(f"\\u{{{ord(char):x}}}" for char in text),
    "number in braces with zeros": lambda text: "".join(f"\\u{{{ord(char):06X}}}" for char in text),
    "quoted-printable": lambda text: "".join(f"={byte:02X}" for byte in text.encode()),
    "quoted-printable in lower case": lambda text: "".join(f"={byte:02x}" for byte in text.encode()),
    "percent and u": lambda text: re.sub("(....)", r"%u\1", text.encode("utf-16-be").hex()),
}


@pytest.mark.parametrize("encoding", RARE_ESCAPES)
@pytest.mark.parametrize("secret", [KEY, "ünïcödé-Ω-😀", "t0kens"])
def test_secret_in_a_rare_escape_is_masked(secret: str, encoding: str) -> None:
    assert Redactor([secret]).text(f"at {RARE_ESCAPES[encoding](secret)} end") == f"at {MASK} end"


@pytest.mark.parametrize(
    "write",
    [
        *(lambda raw, by=by: raw.hex(by) for by in ":- "),
        *(lambda raw, by=by: raw.hex(by).upper() for by in ":- "),
        *(lambda raw, by=by: by.join(f"0x{byte:02x}" for byte in raw) for by in (", ", ",", " ")),
        lambda raw: " ".join(f"0x{byte:02X}" for byte in raw),
    ],
    ids=[
        *("colon", "hyphen", "blank", "colon in upper case", "hyphen in upper case", "blank in upper case"),
        *("0x comma and blank", "0x comma", "0x blank", "0x in upper case"),
    ],
)
def test_secret_in_separated_hexadecimal_digits_is_masked(write: Callable[[bytes], str]) -> None:
    for secret in (KEY, "8-chars!", "ünïcödé"):
        assert Redactor([secret]).text(f"at {write(secret.encode())} end") == f"at {MASK} end"
        assert Redactor([secret]).text(f"at {write(secret.encode())[:-4]}…").rstrip(" …") == f"at {MASK}"


@pytest.mark.parametrize("text", ["00:1b:44:11:3a:b7", "70-77-64", "70 77 64", "0x70, 0x77, 0x64", "=70=77 x"])
def test_separated_digits_that_are_no_long_secret_are_not_masked(text: str) -> None:
    assert Redactor(["pwd", "pwdpwdp", TOKEN]).text(text) == text


@pytest.mark.parametrize("line_break", ["=\n", "=\r\n"])
def test_token_that_line_breaks_of_quoted_printable_split_is_masked(line_break: str) -> None:
    text = f"Bearer {TOKEN[:20]}{line_break}{TOKEN[20:40]}{line_break}{TOKEN[40:]} end"
    assert Redactor([TOKEN]).text(text) == f"Bearer {MASK} end"


def test_secret_after_an_equals_sign_is_masked_though_it_looks_like_quoted_printable() -> None:
    for text in ("?pin=ab%63dEF-12345", "?pin=ab%2563dEF-12345", "?pin=%61bcdEF-12345"):
        assert Redactor(["abcdEF-12345"]).text(text) == f"?pin={MASK}"


@pytest.mark.parametrize("encoding", RARE_ESCAPES)
@pytest.mark.parametrize("mark", ["…", "...", "[truncated]"])
def test_part_of_a_secret_in_a_rare_escape_is_masked_beside_a_cut(encoding: str, mark: str) -> None:
    redactor = Redactor([KEY])
    encoded = RARE_ESCAPES[encoding](KEY)
    secret_parts = _parts(KEY, 9)
    for cut in range(len(encoded) + 1):
        for text in (f"at {encoded[:cut]}{mark}", f"{mark}{encoded[cut:]} end"):
            masked = redactor.text(text)
            assert [decoded.text for decoded in decodings(masked) if secret_parts & _parts(decoded.text, 9)] == [], text


@pytest.mark.parametrize(
    "line_break", ["<br>", "<br/>", "<BR />", " <br>\n  ", "&lt;br&gt;", "\\u003cbr/\\u003e", "<wbr>"]
)
def test_token_that_line_breaks_of_html_split_is_masked(line_break: str) -> None:
    text = f"Bearer {TOKEN[:20]}{line_break}{TOKEN[20:40]}{line_break}{TOKEN[40:]}{line_break}end"
    assert Redactor([TOKEN]).text(text) == f"Bearer {MASK}{line_break}end"


@pytest.mark.parametrize("text", ["&#" + "0" * 9000 + "116;", "&#" + "9" * 9000, "&#x" + "f" * 9000 + ";", "&#", "&#x"])
def test_number_of_html_with_any_count_of_digits_is_read(text: str) -> None:
    assert Redactor([KEY]).text(f"{text} {KEY}") == f"{text} {MASK}"
    assert Redactor(["topsecret"]).text("&#" + "0" * 9000 + "116;opsecret") == MASK

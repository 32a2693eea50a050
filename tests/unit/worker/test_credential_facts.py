"""Errors say which credentials a worker has and which it does not have, by the names of variables."""

from __future__ import annotations

import json

import pytest

from model_gate.worker.credential_facts import CredentialFacts, StoreFamily

SENT = ("PROD_MLFLOW_TRACKING_USERNAME", "PROD_MLFLOW_TRACKING_PASSWORD", "PROD_AWS_PROFILE", "X_AUTH")
NOT_SENT = (
    ("MLFLOW_TRACKING_TOKEN", "it is for http://a"),
    ("AZURE_CLIENT_SECRET", "the server has none of its own"),
    ("AWS_MLFLOW_TRACKING_TOKEN", "it belongs to the server aws"),
    ("MLFLOW_TRACKING_INSECURE_TLS", "it is for http://a"),
)
FACTS = CredentialFacts("prod", SENT, NOT_SENT)


def test_credential_facts_are_read_from_the_environment_of_the_worker() -> None:
    environment = {
        "MODEL_GATE_SERVER_NAME": "prod",
        "MODEL_GATE_SENT": json.dumps(SENT),
        "MODEL_GATE_NOT_SENT": json.dumps(NOT_SENT),
    }
    assert CredentialFacts.from_environment(environment) == FACTS


@pytest.mark.parametrize("text", ["", "x", "{}", "1", "null"])
def test_missing_or_malformed_credential_facts_add_nothing_to_an_error(text: str) -> None:
    facts = CredentialFacts.from_environment({"MODEL_GATE_SENT": text, "MODEL_GATE_NOT_SENT": text})
    assert facts == CredentialFacts()
    assert facts.sent_to_server() == facts.used_for_store() == facts.not_handed_over() == ""


def test_error_names_the_variables_of_sent_and_withheld_credentials() -> None:
    text = FACTS.of_server().sent_to_server()
    assert text.startswith(
        "It was sent the login in PROD_MLFLOW_TRACKING_USERNAME, PROD_MLFLOW_TRACKING_PASSWORD and X_AUTH."
    )
    assert "MLFLOW_TRACKING_TOKEN is set here, but was not handed over: it is for http://a." in text
    # The variables of another server have nothing to do with a login that was sent and rejected.
    assert "AWS_MLFLOW_TRACKING_TOKEN" not in text
    assert "AZURE" not in text
    assert "INSECURE_TLS" not in text


def test_variable_of_a_server_for_another_purpose_is_no_part_of_its_login() -> None:
    sent = ("PROD_MLFLOW_TRACKING_TOKEN", "PROD_API_KEY", "PROD_DB_PASSWORD", "PROD_SLACK_TOKEN")
    facts = CredentialFacts("prod", sent, prefix="PROD_").of_server()
    assert facts.sent_to_server() == "It was sent the login in PROD_MLFLOW_TRACKING_TOKEN."
    assert CredentialFacts("prod", sent[1:], prefix="PROD_").of_server().meant() == ""


def test_each_variable_is_part_of_the_login_if_a_plugin_sends_it() -> None:
    facts = CredentialFacts("prod", ("PROD_MLFLOW_TRACKING_AUTH", "X_AUTH")).of_server()
    assert facts.sent_to_server() == "It was sent the login in PROD_MLFLOW_TRACKING_AUTH and X_AUTH."


def test_error_says_that_the_user_info_of_the_host_was_sent() -> None:
    # The parent sets the variable for the user-info too, but names only variables of the user.
    facts = CredentialFacts.from_environment({"MODEL_GATE_SENT": "[]", "MLFLOW_TRACKING_USERNAME": "ada"})
    assert facts.of_server().sent_to_server() == "It was sent the login in the user-info of the host."


def test_error_says_why_no_credential_was_sent() -> None:
    assert CredentialFacts(sent=()).sent_to_server() == "No credential was sent, because none is set for it here."
    not_sent = (("A_TOKEN", "it is for http://a."), ("B_TOKEN", "it is for http://a"))
    assert CredentialFacts(sent=(), not_sent=not_sent).sent_to_server() == (
        "No credential was sent, because none is declared for it."
        " A_TOKEN and B_TOKEN are set here, but were not handed over: they are for http://a."
    )


@pytest.mark.parametrize(
    "family, text",
    [
        (StoreFamily.S3, "PROD_AWS_PROFILE is set for this store."),
        (
            StoreFamily.AZURE,
            (
                "No variable with credentials for it was handed over. AZURE_CLIENT_SECRET is set here, but was not"
                " handed over: the server has none of its own."
            ),
        ),
        (StoreFamily.GCS, "No variable with credentials for it is set here."),
    ],
)
def test_store_errors_name_only_variables_of_the_same_kind_of_store(family: StoreFamily, text: str) -> None:
    assert FACTS.of_store(family).used_for_store() == text


def test_remedy_names_the_variables_of_a_store_with_the_prefix_of_the_server() -> None:
    remedy = "Set AWS_PROFILE, MLFLOW_S3_ENDPOINT_URL, GOOGLE_CLOUD_QUOTA_PROJECT or REQUESTS_CA_BUNDLE."
    prefixed = "Set X_AWS_PROFILE, X_MLFLOW_S3_ENDPOINT_URL, X_GOOGLE_CLOUD_QUOTA_PROJECT or REQUESTS_CA_BUNDLE."
    assert CredentialFacts("x", ("X_AWS_ACCESS_KEY_ID",), prefix="X_").named(remedy) == prefixed
    assert CredentialFacts("x", (), prefix="X_").named(remedy) == prefixed


def test_remedy_names_the_variables_of_a_store_without_a_prefix_if_the_server_has_unprefixed_ones() -> None:
    remedy = "Set AWS_PROFILE."
    for facts in (
        CredentialFacts("x", prefix="X_", given_names={"AWS_REGION": "AWS_REGION"}),
        CredentialFacts(sent=(), prefix=""),
    ):
        assert facts.named(remedy) == remedy
    assert CredentialFacts(sent=()).named(remedy) == remedy


def test_error_names_the_address_of_a_store_that_the_server_needs_and_does_not_have() -> None:
    own, other = "this server has AWS variables of its own", "it belongs to the server dev"
    addresses = (("AWS_ENDPOINT_URL", own), ("DEV_MLFLOW_S3_ENDPOINT_URL", other), ("AWS_PROFILE", own))
    facts = CredentialFacts("prod", (), addresses)
    named = facts.of_store(StoreFamily.S3).endpoint_not_handed_over()
    assert named == f"AWS_ENDPOINT_URL is set here, but was not handed over: {own}."
    assert facts.of_store(StoreFamily.S3, has_endpoint=True).endpoint_not_handed_over() == ""
    unnamed = CredentialFacts("", (), addresses).of_store(StoreFamily.S3).endpoint_not_handed_over()
    assert unnamed == f"{named} DEV_MLFLOW_S3_ENDPOINT_URL is set here, but was not handed over: {other}."


def test_remedy_names_a_server_only_if_the_message_names_a_variable_of_it() -> None:
    reason = "it belongs to the server "
    facts = CredentialFacts("", (), (("DEV_AWS_PROFILE", f"{reason}dev"), ("PROD_AWS_PROFILE", f"{reason}prod")))
    assert "name their server, server:dev:" in facts.use_of_other_server("DEV_AWS_PROFILE is set here.")
    assert facts.use_of_other_server("The store answers with an error.") == ""


@pytest.mark.parametrize("name", ["CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", "AWS_CA_BUNDLE", "PROD_AWS_CA_BUNDLE"])
def test_certificate_is_no_login_to_a_store(name: str) -> None:
    facts = CredentialFacts(sent=(name,))
    assert (facts.of_certificates().sent, [facts.of_store(family).sent for family in StoreFamily]) == (
        (name,),
        [()] * 3,
    )


def test_certificate_errors_name_only_variables_of_certificates() -> None:
    text = FACTS.of_certificates().not_handed_over()
    assert text == "MLFLOW_TRACKING_INSECURE_TLS is set here, but was not handed over: it is for http://a."


def test_error_names_a_server_by_its_declared_name_and_address() -> None:
    assert FACTS.describe_server("https://p") == "prod (https://p)"
    assert CredentialFacts().describe_server("https://p") == "https://p"


@pytest.mark.parametrize(
    "name, family",
    [
        ("IDENTITY_HEADER", StoreFamily.AZURE),
        ("PROD_MSI_SECRET", StoreFamily.AZURE),
        ("BOTO_CONFIG", StoreFamily.S3),
        ("PROD_CLOUDSDK_CONFIG", StoreFamily.GCS),
    ],
)
def test_login_of_a_store_is_no_login_of_the_tracking_server(name: str, family: StoreFamily) -> None:
    facts = CredentialFacts(sent=(name,))
    assert (facts.of_server().sent, facts.of_store(family).sent) == ((), (name,))


def test_remedy_for_a_rejected_login_names_its_variables() -> None:
    assert FACTS.of_server().correction() == (
        "Correct PROD_MLFLOW_TRACKING_USERNAME, PROD_MLFLOW_TRACKING_PASSWORD and X_AUTH."
    )
    facts = CredentialFacts.from_environment({"MODEL_GATE_SENT": "[]", "MLFLOW_TRACKING_USERNAME": "ada"})
    assert facts.correction() == "Correct the user-info of the host."
    assert CredentialFacts().correction() == ""

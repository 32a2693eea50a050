"""A response that rejects a request becomes an error that says what to do."""

from __future__ import annotations

import pytest

from model_gate.errors import AccessError, ModelError, ModelGateError, UnreachableError
from model_gate.worker.credential_facts import UNKNOWN, StoreFamily
from model_gate.worker.object_store import Store
from model_gate.worker.store_responses import response_error

S3 = Store(StoreFamily.S3, "s3.amazonaws.com", "models")
AZURE = Store(StoreFamily.AZURE, "acct.blob.core.windows.net", "models")


@pytest.mark.parametrize(
    "store, status, code, kind, remedy",
    [
        (S3, 403, "InvalidObjectState", ModelError, "restore-object"),
        (AZURE, 409, "BlobArchived", ModelError, "access tier"),
        (AZURE, 403, "KeyBasedAuthenticationNotPermitted", AccessError, "AZURE_CLIENT_ID"),
        (AZURE, 403, "AuthorizationFailure", AccessError, "network rules"),
        (S3, 400, "KMS.DisabledException", AccessError, "key of AWS KMS"),
        (S3, 403, "AccessDenied", AccessError, "kms:Decrypt"),
        (S3, 403, "AccessDenied", AccessError, "s3:authType"),
        (S3, 400, "AuthorizationHeaderMalformed", UnreachableError, "AWS_DEFAULT_REGION"),
        (S3, 400, "InvalidRequest", UnreachableError, "documentation of the store"),
        (AZURE, 409, "InvalidOperation", UnreachableError, "documentation of the store"),
        (S3, 403, "RequestTimeTooSkewed", AccessError, "Correct the clock."),
        (S3, 400, "ExpiredToken", AccessError, "AWS_SESSION_TOKEN"),
    ],
)
def test_remedy_for_a_response_fits_its_code(
    store: Store, status: int, code: str, kind: type[ModelGateError], remedy: str
) -> None:
    error = response_error(store, status, code, UNKNOWN)
    assert type(error) is kind
    assert f"{store} " in error.message
    assert f"({code}, {status})" in error.message
    assert remedy in error.remedy


@pytest.mark.parametrize("code", ["AKIA1234", "a.b", "KMS.", "KMS.a.b", "x" * 65, "two words"])
def test_text_that_is_no_code_is_not_shown(code: str) -> None:
    error = response_error(S3, 403, code, UNKNOWN)
    assert "(403)" in error.message
    assert code not in error.message


@pytest.mark.parametrize("status, code", [(301, "PermanentRedirect"), (400, "AuthorizationHeaderMalformed")])
def test_region_in_a_response_is_named(status: int, code: str) -> None:
    error = response_error(S3, status, code, UNKNOWN, "eu-west-1")
    assert "because the bucket is in the region eu-west-1." in error.message
    assert error.remedy.startswith("Set AWS_DEFAULT_REGION=eu-west-1, or the region of the profile.")


def test_region_of_another_redirect_is_not_named() -> None:
    assert "is in the region" not in response_error(S3, 307, "TemporaryRedirect", UNKNOWN, "eu-west-1").message


@pytest.mark.parametrize("region", ["", "eu west 1", "https://x", "x" * 33])
def test_text_that_is_no_region_is_not_shown(region: str) -> None:
    error = response_error(S3, 400, "AuthorizationHeaderMalformed", UNKNOWN, region)
    assert "is in the region" not in error.message

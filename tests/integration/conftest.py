"""Send the requests of a test through the recording proxy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.recording_proxy import shared_proxy


@pytest.fixture
def proxied(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[bool]:
    """Whether all gates and workers of the test use the recording proxy; the parameter False switches it off.

    `commandline.run` and `destinations.verified` then verify where the requests went. A worker that uses a proxy has no
    fast client (`worker.transfer.http_client`), so tests about that client also run without the proxy.
    """
    is_proxied = bool(getattr(request, "param", True))
    for name, value in shared_proxy().environment.items() if is_proxied else ():
        monkeypatch.setenv(name, value)
    yield is_proxied
    # Requests that this test has not verified must not be verified by another module's tests.
    if is_proxied:
        shared_proxy().take()

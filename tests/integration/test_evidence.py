"""A signed seal and a promotion statement of model versions on tracking servers are about the same root."""

from __future__ import annotations

import hashlib
import json
import socket
import time
from pathlib import Path

from tests.support.faulty_server import MODEL, FaultyServer
from tests.support.gates import compare, run, version
from tests.support.seals import FILES, write_seal
from tests.support.signed_models import KeyFiles
from tests.support.sigstore_instance import Identity, SigstoreInstance


def test_signed_seal_and_promotion_statement_of_a_version_have_one_root(tmp_path: Path) -> None:
    digests = [hashlib.sha256(MODEL[name]).digest() for name in sorted(MODEL)]
    root = hashlib.sha256(b"".join(digests)).hexdigest()
    with FaultyServer() as staging, FaultyServer() as production:
        staging.add("Wine", MODEL)
        production.add("Wine", MODEL)
        named = ("--host", staging.url, "--model", "Wine", "--version-or-stage", "1")
        assert run(tmp_path, "seal", *named, "--output", "wine.json").status == "sealed"
        key = KeyFiles.make(tmp_path)
        bundle = key.sign_file(tmp_path / "wine.json")
        signed = ("--seal", "wine.json", "--bundle", bundle, "--public-key", key.public)
        verified = run(tmp_path, "verify", *named, *signed, "--statement", "verified.json")
        promoted = compare(
            tmp_path, version(staging.url, "Wine"), version(production.url, "Wine"), "--statement", "promoted.json"
        )
    assert (verified.exit_code, promoted.exit_code) == (0, 0), (verified, promoted)
    statement = json.loads((tmp_path / "verified.json").read_bytes())
    sealed = statement["predicate"]["comparisons"]["seal_comparison"]["left"]["seal"]
    assert sealed.pop("sealed_at") in (tmp_path / "wine.json").read_text()
    assert sealed == {
        "file": "wine.json",
        "root": {"sha256": root},
        "model": "Wine",
        "version": "1",
        "signer": f"the key {key.public}",
    }
    assert f", signer the key {key.public}, of " in verified.stdout
    for name, decided_by in (("verified", "sha256"), ("promoted", "filecmp")):
        statement = json.loads((tmp_path / f"{name}.json").read_bytes())
        assert statement["subject"] == [{"name": "models:/Wine/1", "digest": {"sha256": root}}]
        comparisons = statement["predicate"]["comparisons"].values()
        assert {comparison["decided_by"] for comparison in comparisons} == {decided_by}
        assert {comparison[side]["root"]["sha256"] for comparison in comparisons for side in ("left", "right")} == {
            root
        }


def test_time_limit_holds_for_the_check_of_a_signature(tmp_path: Path) -> None:
    for name, content in FILES.items():
        (tmp_path / "model").mkdir(exist_ok=True)
        (tmp_path / "model" / name).write_bytes(content)
    seal = write_seal(tmp_path / "wine.json")
    identity = Identity("https://example.com/approve.yml@refs/heads/main", "https://issuer.example.com")
    (tmp_path / "bundle.json").write_text(json.dumps(SigstoreInstance().bundle(seal.read_bytes(), identity)))
    signer = ("--bundle", "bundle.json", "--identity", identity.uri, "--issuer", identity.issuer)
    # The proxy accepts connections and never answers, so the trusted root of the public instance never arrives.
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        variables = {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.getsockname()[1]}", "HOME": str(tmp_path)}
        began = time.monotonic()
        options = ("--seal", "wine.json", *signer, "--timeout", "8")
        result = run(tmp_path, "verify", "model", *options, environment=variables)
    result.require_error("StoppedError", "within 8 s. It was waiting for the trusted root from https://tuf-repo-cdn")
    assert time.monotonic() - began < 25

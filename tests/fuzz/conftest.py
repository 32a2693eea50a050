"""Budget of the fuzz tests: `MODEL_GATE_FUZZ_EXAMPLES` pairs for each test."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

settings.register_profile(
    "fuzz",
    max_examples=int(os.environ.get("MODEL_GATE_FUZZ_EXAMPLES", "2000")),
    deadline=None,
    # The seed alone decides which pairs are tried.
    database=None,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)

"""Makes the files beside it, with the real libraries: PyTorch is too large to be installed for tests alone.

    python make.py DIRECTORY

They were made with torch 2.13.0 and safetensors 0.8.0: a small network's weights, the same with one weight changed,
and as PyTorch saves them when it is asked not to compute checksums. In each directory the file has the same name, as
PyTorch names the members of an archive after it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file


def network() -> Any:
    """The same weights each time."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))


def main() -> None:
    """Write them."""
    place = Path(sys.argv[1])
    changed = network()
    with torch.no_grad():
        changed[2].weight[1, 2] += 0.5
    for name, model in (("first", network()), ("changed", changed)):
        (place / name).mkdir(parents=True)
        torch.save(model.state_dict(), place / name / "model.pth")
        save_file(model.state_dict(), str(place / name / "model.safetensors"), metadata={"format": "pt"})
    torch.serialization.set_crc32_options(False)
    (place / "without_checksums").mkdir()
    torch.save(network().state_dict(), place / "without_checksums" / "model.pth")


if __name__ == "__main__":
    main()

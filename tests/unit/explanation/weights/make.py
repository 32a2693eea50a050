"""Creates the weights for `test_weights.py`. The tests do not run it, since PyTorch is too large to install for them.

    python make.py DIRECTORY

The files were created with torch 2.13.0 and safetensors 0.8.0. The variants are the weights of a small network
(`first`), the same with one changed weight (`changed`), and the same saved with PyTorch's checksums turned off
(`without_checksums`). The files of all variants have the same name, since PyTorch names members after the file.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file


def network() -> Any:
    """Return a small network. Every call returns the same weights."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))


def main() -> None:
    """Write all variants."""
    directory = Path(sys.argv[1])
    changed = network()
    with torch.no_grad():
        changed[2].weight[1, 2] += 0.5
    for name, model in (("first", network()), ("changed", changed)):
        (directory / name).mkdir(parents=True)
        torch.save(model.state_dict(), directory / name / "model.pth")
        save_file(model.state_dict(), str(directory / name / "model.safetensors"), metadata={"format": "pt"})
    torch.serialization.set_crc32_options(False)
    (directory / "without_checksums").mkdir()
    torch.save(network().state_dict(), directory / "without_checksums" / "model.pth")


if __name__ == "__main__":
    main()

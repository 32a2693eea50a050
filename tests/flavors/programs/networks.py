"""A network of PyTorch in a module that the programs import."""

import torch
from sklearn.datasets import load_wine
from torch import nn

FEATURES, CLASSES = load_wine(return_X_y=True)
EXAMPLE = FEATURES[::20].astype("float32")


class Network(nn.Module):
    """Two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(13, 4)
        self.output = nn.Linear(4, 3)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.output(torch.relu(self.hidden(features)))


def train(is_changed: bool) -> Network:
    """Train a network for a few steps."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    network = Network()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1 if is_changed else 0.01)
    features = torch.tensor(FEATURES / FEATURES.max(axis=0), dtype=torch.float32)
    for _ in range(5):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(features), torch.tensor(CLASSES)).backward()
        optimizer.step()
    return network.eval()

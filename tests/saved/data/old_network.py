"""The network whose conversion version 0.1 wrote into ``old.safetensors``."""

import torch
from torch import nn


def build() -> nn.Module:
    """Return a network with weights of its own."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 2, 2, stride=2)
        )

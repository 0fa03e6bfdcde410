"""A network with an input for it, and what should become of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Architecture:
    """A network, an input for it, and the convolutions that have to stay."""

    build: Callable[[], nn.Module]
    size: tuple[int, ...]
    kept: Mapping[str, str] = field(default_factory=dict)  # name: part of the reason

    def network(self, dtype: torch.dtype = torch.float64) -> nn.Module:
        """Return the network in evaluation mode, with statistics as if trained."""
        network = self.build().to(dtype).eval()
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                randomise_statistics(module)
        return network

    def input(self, batch: int = 2, dtype: torch.dtype = torch.float64) -> Tensor:
        """Return a normal input."""
        return torch.randn(batch, *self.size, dtype=torch.float64).to(dtype)


def randomise_statistics(norm: nn.Module) -> None:
    """Give a batch normalisation statistics and a scale near those at the start."""
    with torch.no_grad():
        norm.running_mean.normal_(0, 0.1)
        norm.running_var.uniform_(0.5, 1.5)
        norm.weight.uniform_(0.5, 1.5)
        norm.bias.normal_(0, 0.1)

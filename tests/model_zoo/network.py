"""A network of a library with random weights, and inputs for it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

Sizes = Mapping[str, tuple[int, ...]]
_INVISIBLE = 1e-6


@dataclass(frozen=True)
class Network:
    """One network of a library.

    Attributes:
        name: Library and name.
        build: Makes the network.
        sizes: The size of each input, by its name; integers where the name ends in
            ``ids`` or ``_id``, truth values where it ends in ``mask``.
        options: Further arguments of the call.
    """

    name: str
    build: Callable[[], nn.Module]
    sizes: Sizes
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name

    def network(self) -> nn.Module:
        """Return the network in evaluation mode, with weights as if trained."""
        torch.manual_seed(0)
        network = self.build().float().eval()
        randomise(network)
        return network

    def inputs(self) -> dict[str, Any]:
        """Return inputs by name."""
        generator = torch.Generator().manual_seed(0)
        drawn: dict[str, Any] = {}
        for name, size in self.sizes.items():
            if name.endswith(("ids", "_id")):
                drawn[name] = torch.randint(1, 20, size, generator=generator)
            elif name.endswith("mask"):
                drawn[name] = torch.ones(size, dtype=torch.bool)
            else:
                drawn[name] = torch.randn(size, generator=generator)
        return drawn | dict(self.options)


def randomise(network: nn.Module) -> None:
    """Draw what libraries start near zero or one: scales, heads, statistics, codebooks.

    With the scale of a branch at 1e-6, or weights at 1e-10, no error would be visible.
    """
    generator = torch.Generator().manual_seed(1)

    def normal(like: Tensor) -> Tensor:
        return 0.1 * torch.randn(like.shape, generator=generator)

    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() <= 1 or parameter.numel() == max(parameter.shape):
                parameter.add_(normal(parameter))
            elif parameter.numel() and parameter.abs().max() < _INVISIBLE:
                parameter.copy_(normal(parameter))
        for name, buffer in network.named_buffers():
            if name.endswith("embed") and not buffer.any():  # of a quantiser
                buffer.copy_(normal(buffer))
            if name.endswith("running_mean"):
                buffer.add_(normal(buffer))
            elif name.endswith("running_var"):
                buffer.mul_(normal(buffer).exp())


def tensors(output: Any) -> Iterator[Tensor]:
    """Yield every tensor of an output, whatever holds it."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, Mapping):
        for value in output.values():
            yield from tensors(value)
    elif isinstance(output, (list, tuple)):
        for value in output:
            yield from tensors(value)

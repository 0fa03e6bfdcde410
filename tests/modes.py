"""The ways in which torch can run a layer: what is recorded, and by which transform.

The code of a strategy may look at what autograd records, at the batch and at the values
of parameters. A law that holds in one mode says nothing of the others, so that every
law of equality runs in all of them.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp, vjp, vmap

POSITIONS = ("alpha", "centers", "table", "gate")


@dataclass(frozen=True)
class Mode:
    """One way to run a layer.

    Attributes:
        name: Its name.
        positions: Whether α, Δ, tables and gates require gradients.
        projections: Whether all other parameters do.
        x: Whether the input does.
        call: How the layer is called.
    """

    name: str
    positions: bool = False
    projections: bool = False
    x: bool = False
    call: Callable[[nn.Module, Tensor], Tensor] = field(
        default=lambda layer, x: layer(x), repr=False
    )

    def __str__(self) -> str:
        return self.name

    @property
    def has_a_graph(self) -> bool:
        """Whether gradients can be asked of the output."""
        without = self.call in (_without_gradients, _in_inference_mode)
        return (self.positions or self.projections or self.x) and not without

    def prepared(self, layer: nn.Module, x: Tensor) -> tuple[nn.Module, Tensor]:
        """Return copies that require gradients where this mode says so."""
        layer, x = deepcopy(layer), x.detach().clone().requires_grad_(self.x)
        for name, parameter in layer.named_parameters():
            recorded = self.positions if name in POSITIONS else self.projections
            parameter.requires_grad_(recorded)
        return layer, x

    def output(self, layer: nn.Module, x: Tensor) -> Tensor:
        """Return the output of a layer, run in this mode, without a graph."""
        return self.call(*self.prepared(layer, x)).detach()

    def gradients(self, layer: nn.Module, x: Tensor) -> dict[str, Tensor]:
        """Return the gradients, of a fixed random functional, of all that is recorded.

        The keys are the names of parameters, and "x".
        """
        layer, x = self.prepared(layer, x)
        output = self.call(layer, x)
        generator = torch.Generator().manual_seed(0)
        probe = torch.randn(output.shape, generator=generator, dtype=torch.float64)
        sources = {
            name: tensor
            for name, tensor in (*layer.named_parameters(), ("x", x))
            if tensor.requires_grad
        }
        loss = (probe.to(output.dtype) * output).sum()
        found = torch.autograd.grad(loss, list(sources.values()))
        return dict(zip(sources, found, strict=True))


def _without_gradients(layer: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return layer(x)


def _in_inference_mode(layer: nn.Module, x: Tensor) -> Tensor:
    with torch.inference_mode():
        output = layer(x.clone())
    return output.clone()


def _image_by_image(layer: nn.Module, x: Tensor) -> Tensor:
    return vmap(layer)(x) if len(x) else layer(x)


def _with_a_tangent(layer: nn.Module, x: Tensor) -> Tensor:
    output, _ = jvp(layer, (x,), (torch.ones_like(x),))
    return output


def _with_a_pullback(layer: nn.Module, x: Tensor) -> Tensor:
    output, _ = vjp(layer, x)
    return output


def _with_parameters_passed_in(layer: nn.Module, x: Tensor) -> Tensor:
    parameters = {name: p.clone() for name, p in layer.named_parameters()}
    return functional_call(layer, parameters, (x,))


def _with_parameters_differentiated(layer: nn.Module, x: Tensor) -> Tensor:
    def run(parameters: dict[str, Tensor]) -> Tensor:
        return functional_call(layer, parameters, (x,))

    output, _ = vjp(run, dict(layer.named_parameters()))
    return output


def _with_stacked_parameters(layer: nn.Module, x: Tensor) -> Tensor:
    def run(parameters: dict[str, Tensor]) -> Tensor:
        return functional_call(layer, parameters, (x,))

    stacked = {name: torch.stack([p, p]) for name, p in layer.named_parameters()}
    return vmap(run)(stacked)[1]


MODES = (
    Mode("recorded", positions=True, projections=True, x=True),
    Mode("positions_recorded", positions=True),
    Mode("projections_recorded", projections=True),
    Mode("positions_frozen", projections=True, x=True),
    Mode("frozen"),
    Mode("frozen_below_a_recorded_input", x=True),
    Mode("no_grad", True, True, True, _without_gradients),
    Mode("inference_mode", True, True, True, _in_inference_mode),
    Mode("vmap", call=_image_by_image),
    Mode("vmap_recorded", True, True, True, call=_image_by_image),
    Mode("jvp", call=_with_a_tangent),
    Mode("vjp", call=_with_a_pullback),
    Mode("functional_call", call=_with_parameters_passed_in),
    Mode("vjp_of_parameters", call=_with_parameters_differentiated),
    Mode("vmap_of_parameters", call=_with_stacked_parameters),
)
BY_NAME = {mode.name: mode for mode in MODES}

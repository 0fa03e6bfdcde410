"""Give every layer of a network an α of its own, by what it does to the outputs.

The error of a layer falls like e^−α. One run with a single soft layer says how much it
matters; equal shares of a tolerance then say how sharp each has to be, up to a number
that all have in common, which bisection finds by running the network.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import nn

from expressivity.attention import RelativeSelfAttention
from expressivity.attention.saturation import SOFT, saturated_heads
from expressivity.comparison import difference
from expressivity.conversion.network.plan import largest_error
from expressivity.conversion.network.records import Conversion, EndToEnd, LayerRecord
from expressivity.conversion.network.rehearsal import Inputs
from expressivity.convolutions import Kernel
from expressivity.errors import ArgumentError
from expressivity.heads.leak import SMALLEST_ALPHA, saturation_alpha
from expressivity.saved.program import Example, in_evaluation, run

_STEPS = 14  # of the bisection: the common number is found to a thousandth


class _Trial:
    """A converted network in evaluation mode whose strengths can be set."""

    def __init__(
        self, model: nn.Module, conversion: Conversion, inputs: Inputs
    ) -> None:
        """Run the original once.

        Args:
            model: The original.
            conversion: The conversion; copies of both run.
            inputs: Arguments of the network.
        """
        self.example = Example(inputs)
        self.reference = run(in_evaluation(model), self.example)
        self.network = in_evaluation(conversion.model)
        self.layers = _layers(self.network)
        self.sharpest = {
            name: saturation_alpha(layer.dtype, layer.geometry.axes)
            for name, layer in self.layers.items()
        }

    def measured(self, alphas: Mapping[str, float]) -> float:
        """Return the largest difference of any output with these strengths."""
        _set(self.layers, alphas)
        return difference(self.reference, run(self.network, self.example)).largest

    def within(self, alphas: Mapping[str, float]) -> dict[str, float]:
        """Return strengths that are neither softer than any head nor too sharp."""
        return {
            name: min(max(alpha, SMALLEST_ALPHA), self.sharpest[name])
            for name, alpha in alphas.items()
        }


def within_tolerance(
    model: nn.Module, conversion: Conversion, tolerance: float, inputs: Inputs
) -> Conversion:
    """Soften a conversion as far as the outputs of the network allow.

    Args:
        model: The original.
        conversion: Its conversion at saturating strengths, which is changed.
        tolerance: The largest difference of any output, absolute.
        inputs: Arguments of the network.

    Returns:
        The conversion with softer layers, their records, and what was measured.

    Raises:
        ArgumentError: If saturated layers differ by more than the tolerance.
        InputError: If the model cannot run on the inputs.
    """
    trial = _Trial(model, conversion, inputs)
    sharpest = trial.sharpest
    least = trial.measured(sharpest)
    if not least <= tolerance:
        raise ArgumentError(
            f"tolerance needs to be at least {least:.3g}, by which outputs differ at "
            f"the sharpest alpha, got {tolerance}: raise it, or cast the model to a "
            "wider dtype"
        )
    needed = {}
    for name in sharpest:
        alone = trial.measured({**sharpest, name: SOFT})
        share = max(alone - least, 0.0) * len(sharpest) / tolerance
        needed[name] = SOFT + (math.log(share) if share else -math.inf)
    # With the first number all are as sharp as can be, with the second as soft.
    high = max((sharpest[n] - max(a, -1e3) for n, a in needed.items()), default=0.0)
    low = min((SMALLEST_ALPHA - max(a, -1e3) for a in needed.values()), default=0.0)
    best, measured = sharpest, least
    for _ in range(_STEPS):
        middle = (low + high) / 2
        alphas = trial.within({n: a + middle for n, a in needed.items()})
        found = trial.measured(alphas)
        if found <= tolerance:
            high, best, measured = middle, alphas, found
        else:
            low = middle
    layers = _layers(conversion.model)
    _set(layers, best)
    for layer in layers.values():
        trainable = layer.heads().projections[0].requires_grad
        soft = not bool(saturated_heads(layer).all())
        for parameter in (layer.alpha, layer.centers):
            parameter.requires_grad_(trainable and soft)
    records = tuple(_again(record, model, layers) for record in conversion.layers)
    return replace(conversion, layers=records, end_to_end=EndToEnd(tolerance, measured))


def _layers(network: nn.Module) -> dict[str, RelativeSelfAttention]:
    """Return the layers whose heads have a strength, by their first names."""
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, RelativeSelfAttention) and module.table is None
    }


@torch.no_grad()
def _set(
    layers: Mapping[str, RelativeSelfAttention], alphas: Mapping[str, float]
) -> None:
    for name, alpha in alphas.items():
        layers[name].alpha.fill_(alpha)


def _again(
    record: LayerRecord,
    model: nn.Module,
    layers: Mapping[str, RelativeSelfAttention],
) -> LayerRecord:
    """Return the record of a layer whose strength has changed."""
    if record.status == "kept" or record.name not in layers:
        return record
    layer = layers[record.name]
    error = largest_error(layer, Kernel.of(model.get_submodule(record.name)))
    alpha = float(layer.alpha.detach().max())
    return replace(record, alpha=alpha, worst_case_error=error)

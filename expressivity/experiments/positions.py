"""What an optimizer is given: positions apart from everything else."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from expressivity.atlas.layers.gaussian import GaussianScores
from expressivity.attention import RelativeSelfAttention


def positions_apart(
    model: nn.Module, rate: float, decay: float, *, factor: float
) -> list[dict[str, Any]]:
    """Return parameter groups in which positions have a learning rate of their own.

    Centers, α and covariances are measured in pixels: a step that suits a weight hardly
    moves them, and decay would draw heads together and soften them.

    Args:
        model: The network.
        rate: Learning rate of weights.
        decay: Weight decay of weights; positions have none.
        factor: Learning rate of positions over that of weights.

    Returns:
        One group, or two, of the parameters that require gradients.
    """
    positions = list(_positions(model))
    known = {id(parameter) for parameter in positions}
    weights = [p for p in model.parameters() if p.requires_grad and id(p) not in known]
    groups: list[dict[str, Any]] = [
        {"params": weights, "lr": rate, "weight_decay": decay}
    ]
    if positions:
        groups.append({"params": positions, "lr": factor * rate, "weight_decay": 0.0})
    return groups


def clamp_alpha(model: nn.Module) -> None:
    """Set every α below 0 to 0, after a step of the optimizer."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, RelativeSelfAttention):
                module.alpha.clamp_(min=0)


def _positions(model: nn.Module) -> Iterator[nn.Parameter]:
    for module in model.modules():
        if isinstance(module, RelativeSelfAttention):
            gates = [] if module.gate is None else [module.gate]
            found = [module.alpha, module.centers, *gates]
        elif isinstance(module, GaussianScores):
            found = [module.centers, module.spans]
        else:
            continue
        yield from (parameter for parameter in found if parameter.requires_grad)

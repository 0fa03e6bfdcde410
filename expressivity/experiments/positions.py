"""What an optimizer is given: positions apart from everything else."""

from typing import Any

from torch import nn

from expressivity.atlas.layers.gaussian import GaussianScores
from expressivity.attention import RelativeSelfAttention
from expressivity.training import clamp_alpha, parameter_groups

Groups = list[dict[str, Any]]


def positions_apart(
    model: nn.Module, rate: float, decay: float, *, factor: float
) -> Groups:
    """Return parameter groups in which positions have a learning rate of their own.

    Centers, α and covariances are measured in pixels: a step that suits a weight hardly
    moves them, and decay would draw heads together and soften them.

    Args:
        model: The network.
        rate: Learning rate of weights.
        decay: Weight decay of weights; positions have none.
        factor: Learning rate of positions over that of weights.

    Returns:
        Groups of the parameters that require gradients.
    """
    if has_alpha(model):
        return parameter_groups(
            model, lr=rate, positions_lr=factor * rate, weight_decay=decay
        )
    positions = [
        parameter
        for module in model.modules()
        if isinstance(module, GaussianScores)
        for parameter in (module.centers, module.spans)
    ]
    known = {id(parameter) for parameter in positions}
    weights = [p for p in model.parameters() if p.requires_grad and id(p) not in known]
    return [
        {"params": weights, "lr": rate, "weight_decay": decay},
        {"params": positions, "lr": factor * rate, "weight_decay": 0.0},
    ]


def kept_in_range(model: nn.Module) -> None:
    """Set every α that a step has made negative to 0; refuse NaN."""
    if has_alpha(model):
        clamp_alpha(model)


def has_alpha(model: nn.Module) -> bool:
    """Whether a network holds layers with quadratic heads."""
    return any(isinstance(m, RelativeSelfAttention) for m in model.modules())

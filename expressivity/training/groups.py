"""What an optimiser is told: rates and decay for each kind of parameter."""

import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from expressivity.attention import RelativeSelfAttention
from expressivity.attention.saturation import saturated_heads, what_vanishes
from expressivity.checks import check_finite, check_numbers, check_positive
from expressivity.errors import ArgumentError
from expressivity.training.layers import attention_layers

_KINDS = {
    "projections": ("value_weight", "output_weight", "bias"),
    "positions": ("alpha", "centers", "table", "gate"),
    "content": ("query_weight", "key_weight", "position_weight", "content_bias"),
}
_OTHERS = "others"


def parameter_groups(
    model: nn.Module,
    *,
    lr: float,
    positions_lr: float | None = None,
    weight_decay: float = 0.0,
) -> list[dict[str, Any]]:
    """Return the groups of parameters that an optimiser of torch takes.

    Positions and gates do not decay: decay would soften saturated heads, draw centers
    to the query and gates to one half, and none of that is a prior that anybody means.
    Everything else decays as usual.

    Args:
        model: A network with attention layers, or a layer.
        lr: Learning rate.
        positions_lr: Learning rate of ``alpha`` (1/pixel²), ``centers`` (pixels),
            tables and gates; by default ``lr``.
        weight_decay: Decay of all others.

    Returns:
        Groups ``"projections"``, ``"positions"``, ``"content"`` and ``"others"``, as
        far as they have parameters that require gradients; each of them once. Freeze
        and thaw before the call.

    Raises:
        ArgumentError: If a rate is not positive and finite, or the decay is negative.
        UnsupportedModuleError: If the model holds no attention layer.

    Example:
        >>> from expressivity import attention_from_conv
        >>> layer = attention_from_conv(nn.Conv2d(1, 1, 3), alpha=4.0)
        >>> groups = parameter_groups(layer, lr=1e-3, weight_decay=0.1)
        >>> [(each["name"], each["lr"], each["weight_decay"]) for each in groups]
        [('projections', 0.001, 0.1), ('positions', 0.001, 0.0)]
        >>> optimizer = torch.optim.AdamW(groups)
    """
    layers = attention_layers(model)
    lr = check_positive("lr", lr)
    asked_for_positions = positions_lr is not None
    if positions_lr is None:
        positions_lr = lr
    positions_lr = check_positive("positions_lr", positions_lr)
    weight_decay = _not_negative("weight_decay", weight_decay)
    _warn_of_saturation(layers, asked_for_positions)
    kinds = {
        id(parameter): kind
        for layer in layers.values()
        for name, parameter in layer.named_parameters()
        for kind, names in _KINDS.items()
        if name in names
    }
    parameters: dict[str, list[nn.Parameter]] = {k: [] for k in (*_KINDS, _OTHERS)}
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameters[kinds.get(id(parameter), _OTHERS)].append(parameter)
    return [
        {
            "name": kind,
            "params": own,
            "lr": positions_lr if kind == "positions" else lr,
            "weight_decay": 0.0 if kind == "positions" else weight_decay,
        }
        for kind, own in parameters.items()
        if own
    ]


def clamp_alpha(model: nn.Module, *, least: float = 0.0) -> int:
    """Move strengths that a step has made negative back into range.

    Call it after each step of an optimiser, compiled or not:
    ``optimizer.register_step_post_hook(lambda *_: clamp_alpha(model))``. A layer whose
    α is negative or no number refuses to run (compiled, its outputs are NaN), so that a
    step that went too far is never silent. α itself is the parameter: checkpoints hold
    1/pixel², and nothing is reparametrised.

    Args:
        model: A network with attention layers, or a layer.
        least: The smallest α, 1/pixel². At 0 a head takes the mean of the canvas.

    Returns:
        How many heads were moved.

    Raises:
        ArgumentError: If some α is not a number: no clamp brings that back. If
            ``least`` is negative or not finite.
        InputError: If a layer is on the meta device.
        UnsupportedModuleError: If the model holds no attention layer.

    Example:
        >>> from expressivity import attention_from_conv
        >>> layer = attention_from_conv(nn.Conv2d(1, 1, 3), alpha=4.0)
        >>> _ = nn.init.constant_(layer.alpha, -0.1)
        >>> clamp_alpha(layer), clamp_alpha(layer)
        (9, 0)
    """
    layers, moved = attention_layers(model), 0
    least = _not_negative("least", least)
    with torch.no_grad():
        for name, layer in layers.items():
            alpha = check_numbers(f"alpha of {name or 'the layer'}", layer.alpha)
            if bool(alpha.isnan().any()):
                raise ArgumentError(
                    f"alpha needs numbers, got NaN in {name or 'the layer'}: load an "
                    "earlier checkpoint and lower the learning rate"
                )
            low = alpha < least
            moved += int(low.sum())
            alpha.clamp_(min=least)
    return moved


def _not_negative(name: str, value: object) -> float:
    number = check_finite(name, value)
    if number < 0:
        raise ArgumentError(f"{name} needs to be at least 0, got {number}")
    return number


def _warn_of_saturation(
    layers: dict[str, RelativeSelfAttention], asked_for_positions: bool
) -> None:
    """Warn of parameters that are to be trained and receive no gradient."""
    stuck = [
        (name, layer)
        for name, layer in layers.items()
        if asked_for_positions or any(p.requires_grad for p in _inside(layer))
        if bool(saturated_heads(layer).all())
    ]
    if not stuck:
        return
    text = what_vanishes(
        terms=any(layer.heads().content is not None for _, layer in stuck),
        gate=any(layer.gate is not None for _, layer in stuck),
    )
    warnings.warn(
        f"{len(stuck)} of {len(layers)} attention layers are saturated, the first is "
        f"{stuck[0][0] or 'the layer itself'}: {text}",
        UserWarning,
        stacklevel=3,
    )


def _inside(layer: RelativeSelfAttention) -> Iterator[nn.Parameter]:
    """Yield what acts through the softmax of the positions."""
    yield from (layer.alpha, layer.centers)
    if layer.query_weight is not None and layer.gate is None:
        yield layer.query_weight

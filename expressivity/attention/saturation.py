"""Layers so sharp that rounding hides what is off their pixels."""

import torch
from jaxtyping import Bool
from torch import Tensor

from expressivity.attention.layer import RelativeSelfAttention
from expressivity.heads.leak import head_leaks
from expressivity.numbers.precision import rounding_level

SOFT = 4.0
"""A locality strength, 1/pixel², that positions train at: neighbours have 2 % each."""


def saturated_heads(attention: RelativeSelfAttention) -> Bool[Tensor, " heads"]:
    """Return which heads give less than half an ulp of their attention to neighbours.

    Their derivatives with respect to α, Δ and terms inside the softmax are zeros. Heads
    with tables, and on the meta device, are not.
    """
    if attention.table is not None or attention.alpha.is_meta:
        return torch.zeros(len(attention.alpha), dtype=torch.bool, device="cpu")
    leaks = head_leaks(attention.alpha.detach(), attention.centers.detach()).cpu()
    return leaks <= rounding_level(attention.dtype)


def what_vanishes(*, terms: bool, gate: bool) -> str:
    """Say which gradients vanish at a strength that saturates, and what to do.

    Args:
        terms: Whether content terms are inside the softmax.
        gate: Whether content is mixed in by a gate.

    Returns:
        Two sentences, without the period of the last.
    """
    inside = " and of content terms inside the softmax" if terms else ""
    text = f"gradients with respect to alpha, centers{inside} vanish there"
    if gate:
        text += "; content learns through its gate all the same"
    advice = f"convert with a lower alpha, such as alpha={SOFT}"
    if terms:
        advice += ", or mix content in by a gate: add_content(key_dim)"
    return f"{text}. To train them, {advice}"

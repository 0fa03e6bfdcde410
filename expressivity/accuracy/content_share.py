"""What gated content may add to an output, whatever it attends to."""

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.heads.parameters import Heads


@torch.no_grad()
def content_bound(heads: Heads) -> Float[Tensor, " out_channels"]:
    """Return the largest that content adds to an output for inputs within ±1.

    A head averages tokens, so that it reads something within ±1 whatever it attends to:
    Σ_h (1 − σ(λ_h)) Σ|W_h| bounds what it adds. Zeros without gated content.

    Args:
        heads: The heads of a layer.

    Returns:
        One number an output channel, absolute, in float64 on the CPU.
    """
    sizes = heads.matrices().double().abs().sum(-1).flatten(1).cpu()
    if heads.gated is None:
        return torch.zeros_like(sizes[0])
    return heads.gated.share_of_content().double().cpu() @ sizes

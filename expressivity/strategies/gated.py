"""Content beside the positions: one attention of all heads by their tokens.

The positional part of gated heads stays with the strategy that suits it. This part is
one call of torch's scaled dot-product attention for all heads, whose cost grows with
the square of the tokens, as that of any attention does.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import forward_ad

from expressivity.geometry.grid import Grid, tokens_at
from expressivity.heads.parameters import GatedContent, Heads
from expressivity.numbers.precision import without_autocast
from expressivity.strategies.kernel import (
    attention_dtype,
    queries_at_once,
    softmax_attention,
)


def attend_by_content(
    heads: Heads,
    gated: GatedContent,
    grid: Grid,
    x: Float[Tensor, "batch channels ..."],
) -> Float[Tensor, "batch out_channels ..."]:
    """Return Σ_h (1 − σ(λ_h)) W_outᵀ W_valᵀ X softmax(content scores_h)ᵀ.

    Args:
        heads: Parameters of the heads.
        gated: Their content.
        grid: Canvas and queries.
        x: Input, (batch, channels, *size).

    Returns:
        What content adds to the output, without the bias.
    """
    dtype = attention_dtype(x)
    with without_autocast(x.device):
        canvas = grid.canvas(x).to(dtype)
        asking = tokens_at(grid.queries, canvas).flatten(2)
        tokens = canvas.flatten(2)
        query = torch.einsum("hdc,bcq->bhqd", gated.query_weight.to(dtype), asking)
        key = torch.einsum("hdc,bck->bhkd", gated.key_weight.to(dtype), tokens)
        values = _values(heads, tokens)
        rows = queries_at_once(grid, canvas)
        attended = _attended(query, key, values, rows, gated.scale)
        share = gated.share_of_content().to(dtype)
        size = [len(query) for query in grid.queries]
        output: Tensor = _mixed(heads, attended, share).unflatten(2, size)
        return output


def describe(gated: GatedContent) -> str:
    """Say in a line how content is attended to and what share it has."""
    text = "content: one attention of all heads by their tokens"
    if gated.gate.is_meta:
        return text
    share = gated.share_of_content().detach()
    low, high = float(share.min()), float(share.max())
    shares = f"{low:.2g}" if low == high else f"{low:.2g} to {high:.2g}"
    return f"{text}, whose share is {shares}"


def _values(
    heads: Heads, tokens: Float[Tensor, "batch channels keys"]
) -> Float[Tensor, "batch heads keys width"]:
    """Return what each head averages; all heads share the tokens themselves."""
    weight = heads.value_weight
    if weight is None:
        count = heads.alpha.shape[0]
        return tokens.mT[:, None].expand(-1, count, -1, -1)
    blocks = tokens.unflatten(1, (heads.groups, -1))
    values = torch.einsum("gdch,bgck->bhkgd", weight.to(tokens.dtype), blocks)
    return values.flatten(3)


def _attended(
    query: Tensor, key: Tensor, values: Tensor, rows: int | None, scale: float
) -> Float[Tensor, "batch heads queries width"]:
    if any(forward_ad.unpack_dual(t).tangent is not None for t in (query, key, values)):
        # Kernels have no forward-mode derivatives.
        return (scale * query @ key.mT).softmax(-1) @ values
    return softmax_attention(query, key, values, rows, scale=scale)


def _mixed(
    heads: Heads,
    attended: Float[Tensor, "batch heads queries width"],
    share: Float[Tensor, " heads"],
) -> Float[Tensor, "batch out_channels queries"]:
    """Return the sum over the heads, each in its share, through the output weight."""
    weight = heads.output_weight
    if weight is None:
        return torch.einsum("h,bhqc->bcq", share, attended)
    blocks = attended.unflatten(3, (heads.groups, -1))
    weight = weight.to(attended.dtype) * share
    return torch.einsum("godh,bhqgd->bgoq", weight, blocks).flatten(1, 2)

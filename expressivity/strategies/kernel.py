"""Torch's scaled dot-product attention, with no more scores than memory allows."""

from math import prod

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention
from torch.utils.checkpoint import checkpoint

from expressivity.geometry.grid import Grid
from expressivity.numbers.precision import autocast_is_on

# Kernels store no scores if queries, keys and values have the same width, a multiple of
# the first number, and on a GPU at most the second.
_ALIGNED = 8
_WIDEST = 128
# Where there is no such kernel: scores at a time, per number of input and output.
_SCORES = 8


def attention_dtype(x: Tensor) -> torch.dtype:
    """Return the dtype in which kernels attend: that of autocast where it is on."""
    if autocast_is_on(x.device):
        return torch.get_autocast_dtype(x.device.type)
    return x.dtype


def softmax_attention(
    query: Float[Tensor, "batch *heads queries factors"],
    key: Float[Tensor, "batch *heads keys factors"],
    values: Float[Tensor, "batch *heads keys width"],
    rows: int | None,
    *,
    scale: float = 1.0,
) -> Float[Tensor, "batch *heads queries width"]:
    """Return softmax(scale · query · key) values, never with all scores at once.

    Args:
        query: Vectors of the queries, of all heads or of one.
        key: Vectors of the keys.
        values: What is averaged.
        rows: How many queries attend at a time; ``None`` for all of them.
        scale: What scores are multiplied by.
    """
    width = values.shape[-1]
    parts = []
    for part in values.split(_WIDEST if values.is_cuda else width, dim=-1):
        widest = max(query.shape[-1], part.shape[-1])
        aligned = -(-widest // _ALIGNED) * _ALIGNED
        same_width = [
            pad(tensor, (0, aligned - tensor.shape[-1]))
            for tensor in (query, key, part)
        ]
        attended = _in_chunks(*same_width, rows=rows, scale=scale)
        parts.append(attended[..., : part.shape[-1]])
    return torch.cat(parts, dim=-1)


def queries_at_once(grid: Grid, x: Tensor) -> int | None:
    """Return how many queries attend at a time; ``None`` for all of them."""
    if _has_fused_kernel(x):
        return None
    keys, queries = prod(grid.canvas_size), prod([len(q) for q in grid.queries])
    allowed = _SCORES * x.shape[1] * (keys + queries) // keys
    return max(1, allowed)


def _in_chunks(
    query: Tensor, key: Tensor, values: Tensor, *, rows: int | None, scale: float
) -> Tensor:
    """Call the kernel, on some queries at a time where it would store all scores."""
    one_head = query.dim() == 3
    if one_head:
        query, key, values = query[:, None], key[:, None], values[:, None]

    def attend(some: Tensor) -> Tensor:
        return scaled_dot_product_attention(some, key, values, scale=scale)

    if rows is None:
        attended = attend(query)
    else:
        parts = [
            checkpoint(attend, some, use_reentrant=False)  # computes scores again
            for some in query.split(rows, dim=-2)
        ]
        attended = torch.cat(parts, dim=-2)
    return attended.squeeze(1) if one_head else attended


def _has_fused_kernel(x: Tensor) -> bool:
    """Whether scaled dot-product attention stores no scores on this device."""
    return x.is_cpu or (x.is_cuda and attention_dtype(x) != torch.float64)

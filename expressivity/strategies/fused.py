"""Any stock attention kernel, on the absolute factorisation of the scores.

A quadratic score is an inner product of a vector of the query and one of the key
(statement ``absolute_factorisation`` in ``proofs/``), and so is a content score. A
kernel for softmax attention takes both vectors, one behind the other. It keeps no score
for longer than it needs, so that memory is linear in the number of tokens; time is not.
Kernels have first derivatives only: for second ones, set a layer to ``"dense"``.
"""

from dataclasses import dataclass
from functools import reduce

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import forward_ad

from expressivity.geometry.grid import Grid, tokens_at
from expressivity.geometry.positions import grid_positions
from expressivity.heads.factors import (
    absolute_factors,
    digits,
    factor_pairs,
    factor_scale,
    left_out,
)
from expressivity.heads.parameters import Heads
from expressivity.machine.recording import is_traced
from expressivity.numbers.precision import compute_dtype, without_autocast
from expressivity.strategies.base import add_bias
from expressivity.strategies.kernel import (
    attention_dtype,
    queries_at_once,
    softmax_attention,
)

# Significant bits of a factor, and the factors of a number. A GPU may round float32 to
# the 11 bits of TF32 on the way, so that no factor has more.
_BITS = {torch.bfloat16: 8, torch.float16: 11, torch.float32: 11, torch.float64: 53}
_LEVELS = {torch.bfloat16: 3, torch.float16: 3, torch.float32: 3, torch.float64: 1}


def factors_of(grid: Grid, dtype: torch.dtype) -> int:
    """Return how many products of digits add up to a positional score."""
    pairs = factor_pairs(_keys(grid), bits=_BITS[dtype], levels=_LEVELS[dtype])
    return len(pairs)


def left_out_of_scores(dtype: torch.dtype) -> float:
    """Return what a positional score lacks for want of more digits, rounding aside.

    The number is relative to the size of the products that add up to the score.
    """
    return left_out(bits=_BITS[dtype], levels=_LEVELS[dtype])


@dataclass(frozen=True)
class Fused:
    """Scaled dot-product attention with a few positional channels, in digits."""

    name: str = "fused"
    summary: str = "a fused attention kernel per head, on absolute positions"

    def why_not(self, heads: Heads, grid: Grid, x: Tensor) -> str | None:
        """Refuse tables, forward-mode derivatives and factors beyond float16."""
        if heads.table is not None:
            return "a table is no inner product of a query's and a key's position"
        inputs = [x, heads.alpha, heads.centers, *heads.projections]
        if heads.content is not None:
            inputs += vars(heads.content).values()
        if any(forward_ad.unpack_dual(t).tangent is not None for t in inputs):
            return "fused attention kernels have no forward-mode derivatives"
        dtype = attention_dtype(x)
        if dtype == torch.float16 and not is_traced():
            largest, limit = _largest_factor(heads, grid), torch.finfo(dtype).max
            if not largest <= limit:
                return (
                    f"positions on this canvas have factors up to {largest:.3g} with "
                    f"these alpha and centers, and {dtype} ends at {limit:.6g}"
                )
        return None

    def details(self, heads: Heads, grid: Grid, x: Tensor) -> list[str]:
        """Say how many factors a score has, and how many scores exist at a time."""
        dtype = attention_dtype(x)
        rows = queries_at_once(grid, x)
        memory = "no score is held" if rows is None else f"{rows} queries at a time"
        count = factors_of(grid, dtype)
        return [f"positions in {count} factors of {_BITS[dtype]} bits, {memory}"]

    def attend(
        self, heads: Heads, grid: Grid, x: Float[Tensor, "batch channels ..."]
    ) -> Float[Tensor, "batch out_channels ..."]:
        """Return Σ_h W_outᵀ softmax(query_h · key_h) values_h, at every query."""
        dtype = attention_dtype(x)
        with without_autocast(x.device):
            canvas = grid.canvas(x).to(dtype)
            # A sum in half precision would lose digits with every head.
            parts = (
                _attend(heads, head, grid, canvas).to(compute_dtype(dtype))
                for head in range(heads.alpha.shape[0])
            )
            output = reduce(torch.add, parts).to(dtype)
            size = [len(query) for query in grid.queries]
            return add_bias(output.unflatten(2, size), heads.bias)


def _attend(
    heads: Heads, head: int, grid: Grid, canvas: Tensor
) -> Float[Tensor, "batch out_channels queries"]:
    """Return what one head adds to the output."""
    query, key = _query_and_key(heads, head, grid, canvas)
    values = canvas.flatten(2).unflatten(1, (heads.groups, -1))
    if heads.value_weight is not None:
        weight = heads.value_weight[..., head].to(canvas.dtype)
        values = torch.einsum("gdc,bgck->bgdk", weight, values)
    flat = values.flatten(1, 2).mT.contiguous()
    rows = queries_at_once(grid, canvas)
    attended = softmax_attention(query, key, flat, rows).mT
    if heads.output_weight is None:
        return attended
    weight = heads.output_weight[..., head].to(canvas.dtype)
    blocks = attended.unflatten(1, (heads.groups, -1))
    return torch.einsum("god,bgdq->bgoq", weight, blocks).flatten(1, 2)


def _query_and_key(
    heads: Heads, head: int, grid: Grid, canvas: Tensor
) -> tuple[Float[Tensor, "batch queries factors"], Float[Tensor, "batch keys factors"]]:
    """Return vectors whose inner products are the scores, up to rounding."""
    dtype, batch = canvas.dtype, canvas.shape[0]
    if heads.content is None:
        factors = _positional_factors(heads, grid, head, None, dtype)
        query, key = (f.expand(batch, *f.shape) for f in factors)
        return query, key
    terms, wide = heads.content, compute_dtype(dtype)
    tokens = tokens_at(grid.queries, canvas).flatten(2).mT.to(wide)
    projected = tokens @ terms.query_weight[head].to(wide).mT
    relative = projected @ terms.position_weight[head].to(wide)
    query, key = _positional_factors(heads, grid, head, relative, dtype)
    content_key = canvas.flatten(2).mT.to(wide) @ terms.key_weight[head].to(wide).mT
    content_query = projected + terms.content_bias[head].to(wide)
    return (
        torch.cat([query, content_query.to(dtype)], -1),
        torch.cat([key.expand(batch, *key.shape), content_key.to(dtype)], -1),
    )


def _positional_factors(
    heads: Heads,
    grid: Grid,
    head: int,
    relative: Float[Tensor, "batch queries axes_plus_1"] | None,
    dtype: torch.dtype,
) -> tuple[Float[Tensor, "*batch queries factors"], Float[Tensor, "keys factors"]]:
    """Return factors of −α ‖δ − Δ‖² + relative · r_δ, r_δ = (‖δ‖², δ).

    Positions count from the middle of the canvas, where they are smallest. In half
    precision α is rounded to it. Scores change in proportion to themselves: not at all
    at the target, and by less than the dtype can show elsewhere.
    """
    device = heads.alpha.device
    wide = torch.float32 if device.type == "mps" else torch.float64
    keys = _keys(grid)
    middle = [-points[0] for points in keys]
    centered = [
        range(q.start - m, q.stop - m, q.step)
        for q, m in zip(grid.queries, middle, strict=True)
    ]
    queries = grid_positions(centered, device, wide)
    alpha, targets = heads.alpha[head].to(wide), queries + heads.centers[head].to(wide)
    if dtype != compute_dtype(dtype):  # products with positions then have few digits
        (alpha,) = digits(alpha, bits=_BITS[dtype], count=1)
    quadratic = -alpha.expand(targets.shape[0])
    linear = 2 * alpha * targets
    constant = -alpha * targets.square().sum(-1)
    if relative is not None:
        # p‖k − q‖² + s · (k − q), multiplied out.
        square, slope = relative[..., 0].to(wide), relative[..., 1:].to(wide)
        quadratic = quadratic + square
        linear = linear + slope - 2 * square[..., None] * queries
        constant = constant + square * queries.square().sum(-1)
        constant = constant - (slope * queries).sum(-1)
    query, key = absolute_factors(
        quadratic, linear, constant, keys, bits=_BITS[dtype], levels=_LEVELS[dtype]
    )
    return query.to(dtype), key.to(dtype)


def _keys(grid: Grid) -> list[range]:
    """Return the positions of the keys along each axis, from the middle."""
    return [range(-(n // 2), n - n // 2) for n in grid.canvas_size]


def _largest_factor(heads: Heads, grid: Grid) -> float:
    """Return a bound of the factors of queries in :func:`absolute_factors`.

    It leaves content aside, and is zero where tensors hold no numbers (meta, vmap).
    """

    def compute() -> float:
        alpha, centers = (
            p.detach().double().cpu() for p in (heads.alpha, heads.centers)
        )
        reach = [(tokens + 1) // 2 for tokens in grid.canvas_size]
        beyond = [
            max(-query[0], query[-1] - tokens, 0)
            for query, tokens in zip(grid.queries, grid.canvas_size, strict=True)
        ]
        scales = [factor_scale(extent) for extent in reach]
        farthest, scale = (
            torch.tensor(numbers, dtype=torch.float64, device="cpu")
            for numbers in (list(map(sum, zip(reach, beyond, strict=True))), scales)
        )
        targets = centers.abs() + farthest
        linear = 2 * targets / scale
        square = sum(extent * extent for extent in reach)
        constant = targets.square().sum(1) / factor_scale(1)
        each = [*linear.unbind(1), constant, 1 / factor_scale(square) + 0 * constant]
        return float((alpha.abs() * torch.stack(each)).max())

    try:
        return heads.memo.get(
            "factor", (heads.alpha, heads.centers), compute, context=grid
        )
    except RuntimeError:
        return 0.0

"""Every query against every key, materialised: the definition of the layer.

The other strategies are tested against this one. It takes memory for heads · queries ·
keys numbers, and refuses what would not fit.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.geometry.grid import Grid, tokens_at
from expressivity.geometry.positions import displacements
from expressivity.heads.encoding import positional_scores, relative_encoding
from expressivity.heads.parameters import Heads
from expressivity.machine.memory import free_bytes
from expressivity.machine.recording import are_recorded
from expressivity.numbers.precision import compute_dtype, without_autocast
from expressivity.numbers.softmax import masked
from expressivity.strategies.base import add_bias

GIB = 2**30


@dataclass(frozen=True)
class Dense:
    """Materialise scores, softmax and weighted sums (equation 8, literally)."""

    name: str = "dense"
    summary: str = "every query against every key, materialised: the definition"

    def why_not(self, heads: Heads, grid: Grid, x: Tensor) -> str | None:
        """Refuse what would not fit in the memory that is free now."""
        if torch.compiler.is_compiling():  # free memory is no property of a graph
            return None
        needed = bytes_needed(heads, grid, x)
        free = free_bytes(x.device)
        if needed <= free:
            return None
        return (
            f"its probabilities and outputs need {needed / GIB:.3g} GiB at once and "
            f"{free / GIB:.3g} GiB are free: shrink the input or use another strategy"
        )

    def details(self, heads: Heads, grid: Grid, x: Tensor) -> list[str]:
        """Say how much memory it takes."""
        needed = bytes_needed(heads, grid, x) / GIB
        return [f"its probabilities and outputs take {needed:.3g} GiB at once"]

    def attend(
        self, heads: Heads, grid: Grid, x: Float[Tensor, "batch channels ..."]
    ) -> Float[Tensor, "batch out_channels ..."]:
        """Return Σ_h W_outᵀ W_valᵀ X softmax(scores_h)ᵀ at every query."""
        canvas = grid.canvas(x)
        probabilities = attention_probabilities(heads, grid.queries, canvas)
        tokens = canvas.flatten(2).to(probabilities.dtype)
        value, output = (
            weight if weight is None else weight.to(tokens.dtype)
            for weight in (heads.value_weight, heads.output_weight)
        )
        values, each = tokens.unflatten(1, (heads.groups, -1)), "bgdk"
        if value is not None:
            values, each = torch.einsum("gdch,bgck->bhgdk", value, values), "bhgdk"
        # Without content all images share their probabilities: no copies.
        pairs = "bhqk" if heads.sees_tokens else "hqk"
        rows = probabilities if heads.sees_tokens else probabilities.squeeze(0)
        attended = torch.einsum(f"{pairs},{each}->bhgdq", rows, values)
        if output is None:
            mixed = attended.sum(1)
        else:
            mixed = torch.einsum("godh,bhgdq->bgoq", output, attended)
        size = (heads.out_channels, *map(len, grid.queries))
        return add_bias(mixed.reshape(canvas.shape[0], *size), heads.bias)


def attention_probabilities(
    heads: Heads, queries: Sequence[range], canvas: Float[Tensor, "batch channels ..."]
) -> Float[Tensor, "batch_or_1 heads queries keys"]:
    """Return what every head attends to, gated content included.

    Args:
        heads: Parameters of the heads.
        queries: Query positions along each axis.
        canvas: The tokens; only their shape matters without content.
    """
    scores = attention_scores(heads, queries, canvas)
    scores = masked(scores)  # two arrays of this size at a time, not three
    probabilities = scores.softmax(-1)
    del scores
    if heads.gated is None:
        return probabilities
    gated, dtype = heads.gated, probabilities.dtype
    with without_autocast(canvas.device):
        query, key = _queries_and_keys(
            gated.query_weight, gated.key_weight, queries, canvas.to(dtype)
        )
        content = (gated.scale * query @ key.mT).softmax(-1)
        share, rest = (
            each.to(dtype)[:, None, None]
            for each in (gated.share_of_positions(), gated.share_of_content())
        )
        return share * probabilities + rest * content


def attention_scores(
    heads: Heads, queries: Sequence[range], canvas: Float[Tensor, "batch channels ..."]
) -> Float[Tensor, "batch_or_1 heads queries keys"]:
    """Return the scores of equation 8, before the softmax.

    The positional score is −α_h ‖δ − Δ_h‖²: v_h · r_δ up to a constant of the head. A
    table adds its entry, −∞ outside of its window. All of it is computed in at least
    float32, outside autocast. Without content terms the first dimension is 1.

    Args:
        heads: Parameters of the heads.
        queries: Query positions along each axis.
        canvas: The tokens; only their shape matters without content terms.
    """
    dtype = compute_dtype(heads.dtype)
    size = canvas.shape[2:]
    with without_autocast(canvas.device):
        scores = positional_scores(
            heads.alpha.to(dtype), heads.centers.to(dtype), queries, size
        )[None]
        if heads.table is not None:
            scores = scores + heads.table.between(queries, size).to(dtype)
        if heads.content is None:
            return scores
        terms = heads.content
        query, key = _queries_and_keys(
            terms.query_weight, terms.key_weight, queries, canvas.to(dtype)
        )
        bias = terms.content_bias.to(dtype)[:, None, :]
        scores = scores + (query + bias) @ key.mT
        keys = list(map(range, size))
        gaps = displacements(queries, keys, canvas.device, dtype)
        encoding = relative_encoding(gaps)
        slope = torch.einsum("bhqd,hdp->bhqp", query, terms.position_weight.to(dtype))
        return scores + torch.einsum("bhqp,qkp->bhqk", slope, encoding)


def _queries_and_keys(
    query_weight: Tensor, key_weight: Tensor, queries: Sequence[range], canvas: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the queries and keys of all heads, (batch, heads, tokens, key_dim)."""
    origins, tokens = tokens_at(queries, canvas).flatten(2), canvas.flatten(2)
    query = torch.einsum("hdc,bcq->bhqd", query_weight.to(canvas.dtype), origins)
    key = torch.einsum("hdc,bck->bhkd", key_weight.to(canvas.dtype), tokens)
    return query, key


def bytes_needed(heads: Heads, grid: Grid, x: Tensor) -> int:
    """Return the bytes that :class:`Dense` holds at its peak.

    Those are scores and probabilities (with content terms: one more copy, per image,
    and the encodings; with gated content those of every image beside), values and
    outputs of every head. The backward pass doubles what gradients go through.
    """
    dtype, axes, batch = compute_dtype(x.dtype), len(grid.size), len(x)
    queries, keys = math.prod(map(len, grid.queries)), math.prod(grid.canvas_size)
    pairs = len(heads.alpha) * queries * keys
    if heads.content is not None:
        scores = 3 * pairs * batch + 2 * queries * keys * (axes + 1)
    elif heads.gated is not None:
        scores = (3 * batch + 2) * pairs
    else:
        # Along one axis the gaps, their squares and the scores are all this large.
        scores = (3 if axes == 1 else 2) * pairs
    if heads.table is not None:  # entries and their indices
        scores += pairs + 2 * queries * keys
    per_head = heads.value_width * (queries + keys) * len(heads.alpha)
    outputs = (per_head + heads.out_channels * queries) * batch
    positions, others = [heads.alpha, heads.centers], [x, *heads.projections]
    if heads.table is not None:
        positions.append(heads.table.scores)
    for content in (heads.content, heads.gated):
        if content is not None:  # scores depend on the tokens, too
            positions += [x, *vars(content).values()]
    if are_recorded(positions):
        scores *= 2
    if are_recorded([*positions, *others]):
        outputs *= 2
    mask = pairs * (1 if heads.content is None else batch)  # a byte each
    return (scores + outputs) * dtype.itemsize + mask

"""Products of the matrices of all heads and their tokens, along one axis.

Tokens are (heads, axis, *others, width). A product takes the axis from the front and
puts its own rows behind the others, (heads, *others, rows, width): after as many
products as there are axes they are in their order again, and none was copied to bring
an axis to where products of matrices need it. What all heads share comes once, (1, …).
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

Matrices = Float[Tensor, "heads rows columns"]
Tokens = Float[Tensor, "_ columns *others width"]


def contract(
    matrices: Matrices, tokens: Tokens, out: Float[Tensor, "heads *others rows width"]
) -> None:
    """Write the products of the matrix of each head and its tokens.

    It is one product for all heads if they share tokens, and ``out`` lies in memory as
    (*others, heads, rows, width).
    """
    heads, rows, columns = matrices.shape
    stacked = out.movedim(0, -3)
    if len(tokens) == 1 and stacked.is_contiguous():
        one = matrices.reshape(1, heads * rows, columns)
        matrices, out = one, stacked.flatten(-3, -2)[None]
    targets = out.view(len(out), -1, *out.shape[-2:])
    for product, target in zip(products(matrices, tokens), targets, strict=True):
        torch.bmm(*product, out=target)


def contract_all(
    matrices: Matrices, tokens: Tokens, out: Float[Tensor, "*others rows width"]
) -> None:
    """Write the sum, over all heads, of the products of their matrices and tokens."""
    heads, rows, columns = matrices.shape
    stacked = matrices.transpose(0, 1).reshape(1, rows, heads * columns)
    flat = tokens.expand(heads, *tokens.shape[1:]).flatten(0, 1)
    contract(stacked, flat[None], out[None])


def products(matrices: Matrices, tokens: Tokens) -> Iterator[tuple[Tensor, Tensor]]:
    """Return the factors of the product of each head, for ``torch.bmm``.

    Returns:
        For each head (others, rows, columns), a matrix that repeats without a copy, and
        (others, columns, width).
    """
    given, columns, *_, width = tokens.shape
    own = tokens.reshape(given, columns, -1, width).transpose(1, 2)
    heads, others = len(matrices), own.shape[1]
    every = matrices[:, None].expand(-1, others, -1, -1)
    return zip(every.unbind(), own.expand(heads, -1, -1, -1).unbind(), strict=True)


def outer(
    rows: Float[Tensor, "_ rows other width"],
    columns: Float[Tensor, "_ columns other width"],
) -> Float[Tensor, "_ rows columns"]:
    """Return Σ rows columnsᵀ over everything but their axis, for each head."""
    if len(columns) == 1:
        pairs = rows.flatten(2).flatten(0, 1) @ columns[0].flatten(1).mT
        return pairs.view(*rows.shape[:2], -1)
    if rows.stride(2) == rows.shape[3]:  # each row lies in one piece
        return torch.bmm(rows.flatten(2), columns.flatten(2).mT)
    left, right = rows.transpose(1, 2), columns.transpose(1, 2)
    return (left @ right.mT).sum(1)


def as_matrices(
    tokens: Float[Tensor, "axis *others width"],
) -> Float[Tensor, "axis _"] | Float[Tensor, "_ axis _"]:
    """Return tokens of a head as :func:`add_outer` takes them.

    One other axis goes with the width. More of them come first: to bring them together
    would copy.
    """
    if tokens.dim() == 3:
        return tokens.flatten(1)
    return tokens.movedim(0, -2).flatten(0, -3)


def add_outer(
    total: Float[Tensor, "rows columns"],
    rows: Float[Tensor, "*_ rows width"],
    columns: Float[Tensor, "*_ columns width"],
) -> None:
    """Add Σ rows columnsᵀ, for one head."""
    if rows.dim() == 2:
        total.addmm_(rows, columns.mT)
    else:
        total.add_(torch.bmm(rows, columns.mT).sum(0))

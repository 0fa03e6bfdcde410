"""Products of the matrices of all heads and their tokens, along one axis.

Tokens are (heads, lead, axis, trail), with the axes before it in the lead, and those
behind it in the trail. What all heads share comes once, (1, …). Tokens are *stacked* if
they lie in memory with the heads behind the lead: one product a place of the lead then
does for all heads.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.heads.buffers import Buffers

# Of fewer columns than this, products are slow.
_NARROW = 32

Matrices = Float[Tensor, "heads rows columns"]
Tokens = Float[Tensor, "_ lead _ trail"]


def stacked(buffers: Buffers, name: str, *shape: int) -> Tokens:
    """Return memory for tokens (heads, lead, axis, trail) that are stacked."""
    heads, lead, axis, trail = shape
    return buffers(name, lead, heads, axis, trail).transpose(0, 1)


def contract(matrices: Matrices, tokens: Tokens, out: Tokens, buffers: Buffers) -> None:
    """Write the products of the matrix of each head and its tokens.

    Args:
        matrices: One a head.
        tokens: With the columns of the matrices as their axis.
        out: With the rows of the matrices as their axis.
        buffers: Memory for copies of narrow tokens.
    """
    heads, rows, columns = matrices.shape
    given, lead, _, trail = tokens.shape
    if _is_narrow(tokens):
        wide = buffers("wide product", heads, 1, rows, lead * trail)
        contract(matrices, _widened(tokens, "wide tokens", buffers), wide, buffers)
        out.copy_(wide.view(heads, rows, lead, trail).transpose(1, 2))
    elif given == 1 and _is_stacked(out):
        one = matrices.reshape(1, heads * rows, columns).expand(lead, -1, -1)
        torch.bmm(one, tokens[0], out=_joined(out))
    elif lead == 1:
        torch.bmm(matrices, _for_each(heads, tokens)[:, 0], out=out[:, 0])
    else:
        every = (matrices, _for_each(heads, tokens), out)
        for matrix, own, target in zip(*every, strict=True):
            torch.bmm(matrix.expand(lead, -1, -1), own, out=target)


def contract_all(
    matrices: Matrices,
    tokens: Tokens,
    out: Float[Tensor, "lead rows trail"],
    buffers: Buffers,
) -> None:
    """Write the sum, over all heads, of what :func:`contract` writes."""
    heads, rows, columns = matrices.shape
    own = _for_each(heads, tokens)
    joint = matrices.transpose(0, 1).reshape(1, rows, heads * columns)
    flat = own.transpose(0, 1).reshape(1, len(out), heads * columns, out.shape[-1])
    contract(joint, flat, out[None], buffers)


def add_outer(total: Matrices, rows: Tokens, columns: Tokens, buffers: Buffers) -> None:
    """Add Σ rows columnsᵀ over lead and trail, for each head.

    Args:
        total: Where it is added.
        rows: Tokens with the rows of the matrices as their axis.
        columns: Tokens with their columns as their axis.
        buffers: Memory for copies of narrow tokens.
    """
    heads, lead = len(total), rows.shape[1]
    if _is_narrow(rows):
        left = _widened(rows, "wide product", buffers)
        right = _widened(columns, "wide tokens", buffers)
        add_outer(total, left, right, buffers)
    elif len(columns) == 1 and len(rows) == heads and _is_stacked(rows):
        own = _joined(rows)
        pairs = buffers("pairs", *own.shape[:2], columns.shape[2])
        torch.bmm(own, columns[0].mT, out=pairs)
        total.add_(pairs.sum(0).view(total.shape))
    elif lead == 1:
        left, right = (_for_each(heads, tokens)[:, 0] for tokens in (rows, columns))
        total.baddbmm_(left, right.mT)
    else:
        total.add_((rows @ columns.mT).sum(1))


def _is_narrow(tokens: Tokens) -> bool:
    return tokens.shape[1] > 1 and tokens.shape[3] < _NARROW


def _widened(
    tokens: Tokens, name: str, buffers: Buffers
) -> Float[Tensor, "_ 1 _ wide"]:
    """Return a copy of tokens with their lead in the trail."""
    given, lead, axis, trail = tokens.shape
    wide = buffers(name, given, axis, lead, trail).copy_(tokens.transpose(1, 2))
    return wide.view(given, 1, axis, lead * trail)


def _is_stacked(tokens: Tokens) -> bool:
    return tokens.transpose(0, 1).is_contiguous()


def _joined(tokens: Tokens) -> Float[Tensor, "lead _ trail"]:
    """Return stacked tokens with the axes of all heads in one."""
    return tokens.transpose(0, 1).flatten(1, 2)


def _for_each(heads: int, tokens: Tokens) -> Tokens:
    return tokens.expand(heads, *tokens.shape[1:])

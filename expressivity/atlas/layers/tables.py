"""Learned tables of scores, one an axis, that add up; no content.

Cordonnier, Loukas, Jaggi (2020), in their experiments: an encoding of D_p / d numbers
is learned for every shift along each of the d axes, and r_δ is their concatenation. The
score of a head is v_h · r_δ, a table of rows plus a table of columns,

    score_h(δ) = row_h[δ₁] + col_h[δ₂],    row_h[δ₁] = v_h[: D_p / 2] · r_δ₁.

======  =======================  ===================================================
r_δ     ``encodings``            one (2 tokens − 1, D_p / d) table an axis
v_h     ``head_vectors``         (heads, D_p)
======  =======================  ===================================================
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.atlas.canvas import displacements


class AxisTables(nn.Module):
    """Σ_axes v_h · r_δ for all heads and pairs of tokens.

    Attributes:
        encodings: r_δ of every shift along an axis, (2 tokens − 1, D_p / d) each.
        head_vectors: v, (heads, D_p).
    """

    displacement: Tensor

    def __init__(
        self, canvas_size: tuple[int, ...], *, heads: int, encoding_dim: int
    ) -> None:
        """Create random tables for a canvas.

        Args:
            canvas_size: Tokens per axis.
            heads: Number of heads.
            encoding_dim: Dimension of the encoding of one axis, D_p / d.
        """
        super().__init__()
        self.encodings = nn.ParameterList(
            torch.randn(2 * tokens - 1, encoding_dim) for tokens in canvas_size
        )
        width = encoding_dim * len(canvas_size)
        self.head_vectors = nn.Parameter(torch.randn(heads, width))
        shifts = displacements(canvas_size).long()
        self.register_buffer("displacement", shifts, persistent=False)

    def forward(self) -> Float[Tensor, "heads tokens tokens"]:
        """Return the scores, one row a query."""
        vectors = self.head_vectors.chunk(len(self.encodings), 1)
        shares = [
            (vector @ encoding.mT)[:, shift + len(encoding) // 2]
            for vector, encoding, shift in zip(
                vectors, self.encodings, self.displacement.unbind(-1), strict=True
            )
        ]
        return torch.stack(shares).sum(0)

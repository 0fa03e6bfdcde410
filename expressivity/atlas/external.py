"""External attention: two small memories in place of keys and values.

Every pixel is compared with the units of a memory M_k, not with other pixels. Pixels
meet in one place only, the softmax over all of them for each unit, and that is a sum:
it does not know where a pixel is.

Symbols of Guo et al. (2021) and their names; a pixel is a row:

=========================  ==============================================
F                          ``query(tokens)``
M_k, M_v                   ``memory_key``, ``memory_value``, (units, head_dim)
A = Norm(F M_kᵀ)           softmax over pixels, then each row divided by its sum
F_out = A M_v              one a head; the memories are shared by heads
=========================  ==============================================
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.atlas.family import Claim, Family
from expressivity.atlas.pairs import exchanged
from expressivity.atlas.tokens import OnTokens, padded_grid
from expressivity.atlas.witness import Witness, randomised
from expressivity.geometry.convolution import Convolution
from expressivity.geometry.grid import Grid


class ExternalAttention(nn.Module):
    """Multi-head external attention on tokens.

    Attributes:
        query: Makes F, with a bias.
        memory_key: M_k.
        memory_value: M_v.
        output: W_O and a bias.
        residual: Whether the input is added to the output: it is where channels
            allow.
        positions: Added to the tokens, (tokens, channels), or ``None``: with it the
            layer does know where a token is.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        *,
        heads: int,
        head_dim: int,
        units: int = 8,
        tokens: int | None = None,
    ) -> None:
        """Create a layer with torch's random weights and normal random memories.

        Args:
            channels: Channels of the tokens.
            out_channels: Channels of the output.
            heads: Number of heads.
            head_dim: Dimension of a head.
            units: Units S of the memories.
            tokens: Number of tokens, for an absolute encoding of each.
        """
        super().__init__()
        self.heads, self.residual = heads, channels == out_channels
        self.query = nn.Linear(channels, heads * head_dim)
        self.memory_key, self.memory_value = (
            nn.Parameter(torch.randn(units, head_dim)) for _ in "kv"
        )
        self.output = nn.Linear(heads * head_dim, out_channels)
        places = None if tokens is None else torch.zeros(tokens, channels)
        self.positions = None if places is None else nn.Parameter(places)

    def forward(
        self, tokens: Float[Tensor, "batch tokens channels"]
    ) -> Float[Tensor, "batch tokens out_channels"]:
        """Attend from every token to the memory units.

        Args:
            tokens: The input.

        Returns:
            The output.
        """
        placed = tokens if self.positions is None else tokens + self.positions
        asked = self.query(placed).unflatten(2, (self.heads, -1)).movedim(2, 1)
        over_pixels = (asked @ self.memory_key.mT).log_softmax(-2)
        # Dividing e^a by its sum over units is a softmax, and cannot be 0 / 0.
        seen = over_pixels.softmax(-1) @ self.memory_value
        attended: Tensor = self.output(seen.movedim(1, 2).flatten(2))
        return tokens + attended if self.residual else attended


def refute(conv: Convolution, size: tuple[int, ...]) -> Witness:
    """Exchange two pixels that a convolution weighs differently.

    Args:
        conv: Any convolution with zero padding; the layer has its padding tokens.
        size: Pixels per axis of the input.

    Returns:
        The witness.

    Raises:
        ArgumentError: If the convolution weighs all other pixels alike.
    """
    grid = padded_grid(conv, size)
    return exchanged(
        conv,
        size,
        kind="swap",
        symmetry="Exchanging two tokens that are not the query leaves every sum over "
        "pixels, and the query meets the others in those sums only.",
        layer=lambda seed: _random(conv, grid, seed, knows_positions=False),
        control=lambda seed: _random(conv, grid, seed, knows_positions=True),
    )


def _random(
    conv: Convolution, grid: Grid, seed: int, *, knows_positions: bool
) -> nn.Module:
    """Return a random layer on the padded canvas of a convolution."""
    tokens = math.prod(grid.canvas_size)
    layer = ExternalAttention(
        conv.in_channels,
        conv.out_channels,
        heads=math.prod(conv.kernel_size),
        head_dim=max(conv.in_channels, 4),
        tokens=tokens if knows_positions else None,
    )
    return OnTokens(randomised(layer, seed), grid)


FAMILIES = (
    Family(
        name="external",
        title="external attention",
        verdict="no",
        claim=Claim(
            "External attention computes no convolution that weighs two pixels beside "
            "the query differently: pixels meet only in sums over all of them.",
            ("no encoding of positions",),
            "Guo, Liu, Mu, Hu (2021)",
        ),
        refuter=refute,
    ),
)

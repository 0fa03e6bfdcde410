"""What every strategy must offer."""

from typing import Protocol

from jaxtyping import Float
from torch import Tensor

from expressivity.geometry.grid import Grid
from expressivity.heads.parameters import Heads


class Strategy(Protocol):
    """One way to evaluate the attention layer.

    All of them take the same arguments: the heads, the grid, and the input (batch,
    channels, *size).
    """

    @property
    def name(self) -> str:
        """The word that selects this strategy."""

    @property
    def summary(self) -> str:
        """One line: how it computes, at what cost."""

    def why_not(self, heads: Heads, grid: Grid, x: Tensor) -> str | None:
        """Return the reason why this strategy cannot run here, or ``None``."""

    def details(self, heads: Heads, grid: Grid, x: Tensor) -> list[str]:
        """Return what it does on this input, a line each, if it can run."""

    def attend(
        self, heads: Heads, grid: Grid, x: Float[Tensor, "batch channels ..."]
    ) -> Float[Tensor, "batch out_channels ..."]:
        """Return the attention output at every query, bias included."""


def add_bias(
    output: Float[Tensor, "batch out_channels ..."],
    bias: Float[Tensor, " out_channels"] | None,
) -> Float[Tensor, "batch out_channels ..."]:
    """Add a bias to every output.

    Args:
        output: The output without it.
        bias: One number a channel, or ``None``.

    Returns:
        The output with it, in the dtype it had.
    """
    if bias is None:
        return output
    ones = (1,) * (output.dim() - 2)
    return output + bias.to(output.dtype).reshape(-1, *ones)

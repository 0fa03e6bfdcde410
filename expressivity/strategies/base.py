"""What every strategy must offer."""

from collections.abc import Callable
from typing import Protocol

from jaxtyping import Float
from torch import Tensor

from expressivity.geometry.grid import Grid
from expressivity.heads.parameters import Heads

Attend = Callable[[Tensor], Tensor]


class Strategy(Protocol):
    """One way to evaluate the attention layer.

    Its methods take the parameters of all heads, the canvas and the queries, and the
    input, (batch, channels, *size).
    """

    @property
    def name(self) -> str:
        """The word that selects this strategy."""

    @property
    def summary(self) -> str:
        """One line: how it computes, at what cost."""

    def why_not(self, heads: Heads, grid: Grid, x: Tensor) -> str | None:
        """Return why this strategy cannot run here, or ``None`` if it can."""

    def details(self, heads: Heads, grid: Grid, x: Tensor) -> list[str]:
        """Return what this strategy does on an input that it can run on, in lines."""

    def attend(
        self, heads: Heads, grid: Grid, x: Float[Tensor, "batch channels ..."]
    ) -> Float[Tensor, "batch out_channels ..."]:
        """Return the attention output at every query, bias included."""

    def prepared(self, heads: Heads, grid: Grid) -> Attend | None:
        """Return :meth:`attend` as a function of the input alone.

        It holds for inputs of one shape, strides and dtype, as long as α and Δ hold the
        same numbers, every projection is the same memory, and neither the recording of
        derivatives nor oneDNN is switched on or off. It is not for autocast, compilers
        or transforms of functions. ``None`` if there is no such function.
        """


def add_bias(
    output: Float[Tensor, "batch out_channels ..."],
    bias: Float[Tensor, " out_channels"] | None,
) -> Float[Tensor, "batch out_channels ..."]:
    """Return outputs with a bias added, if there is one, in the dtype they had."""
    if bias is None:
        return output
    ones = (1,) * (output.dim() - 2)
    return output + bias.to(output.dtype).reshape(-1, *ones)

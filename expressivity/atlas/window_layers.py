"""What window attention is made of: a bias for every displacement, and windows."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.atlas.tokens import displacements


class WindowBias(nn.Module):
    """B of all heads and pairs of tokens of a window.

    Attributes:
        table: One number a displacement, (heads, 2M₁ − 1, 2M₂ − 1, …).
    """

    displacement: Tensor

    def __init__(self, window: tuple[int, ...], heads: int) -> None:
        """Create a table of zeros.

        Args:
            window: Tokens per axis, M.
            heads: Number of heads.
        """
        super().__init__()
        self.table = nn.Parameter(torch.zeros(heads, *(2 * m - 1 for m in window)))
        from_first = displacements(window).long() + torch.tensor(window) - 1
        self.register_buffer("displacement", from_first, persistent=False)

    def forward(self) -> Float[Tensor, "heads tokens tokens"]:
        """Return the bias.

        Returns:
            One row a query.
        """
        index: tuple[slice | Tensor, ...] = (
            slice(None),
            *self.displacement.unbind(-1),
        )
        return self.table[index]


class Windows(nn.Module):
    """A layer on windows as a layer on the images they are cut from.

    Attributes:
        layer: Maps (batch, channels, *window) to (batch, out_channels, *outputs).
        window: Pixels per axis of a window.
    """

    def __init__(self, layer: nn.Module, window: tuple[int, ...]) -> None:
        """Wrap a layer.

        Args:
            layer: The layer on windows, the same for all.
            window: Pixels per axis of a window.
        """
        super().__init__()
        self.layer, self.window = layer, window

    def forward(self, x: Float[Tensor, "batch channels ..."]) -> Tensor:
        """Evaluate the layer on every window.

        Args:
            x: Images whose sizes are multiples of the window.

        Returns:
            The outputs of the windows, side by side as the windows are.
        """
        axes = len(self.window)
        counts = [n // m for n, m in zip(x.shape[2:], self.window, strict=True)]
        for axis, pixels in enumerate(self.window):
            x = x.unflatten(2 + 2 * axis, (-1, pixels))
        apart, first = [2 + 2 * a for a in range(axes)], [1 + a for a in range(axes)]
        outputs = self.layer(x.movedim(apart, first).flatten(0, axes))
        y: Tensor = outputs.unflatten(0, (len(x), *counts)).movedim(first, apart)
        for axis in range(axes):
            y = y.flatten(2 + axis, 3 + axis)
        return y

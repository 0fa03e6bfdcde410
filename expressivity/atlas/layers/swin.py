"""Swin: attention within windows, with a free bias for every displacement.

Liu et al. (2021): the image is cut into windows of M × M tokens and each attends to
itself, softmax(QKᵀ/√d + B) V. B comes from a table of (2M − 1) × (2M − 1) numbers a
head that all windows share. The paper counts query minus key; here δ is key minus
query, as everywhere.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.atlas.canvas import displacements


class WindowBias(nn.Module):
    """B of all heads and pairs of tokens of a window.

    Attributes:
        table: One number a displacement, (heads, 2M₁ − 1, 2M₂ − 1, …).
    """

    entries: Tensor

    def __init__(self, window: tuple[int, ...], heads: int) -> None:
        """Create a table of zeros for a window of M tokens an axis."""
        super().__init__()
        self.table = nn.Parameter(torch.zeros(heads, *(2 * m - 1 for m in window)))
        entries = displacements(window).long() + torch.tensor(window) - 1
        self.register_buffer("entries", entries, persistent=False)

    def forward(self) -> Float[Tensor, "heads tokens tokens"]:
        """Return the bias, one row a query."""
        index: tuple[slice | Tensor, ...] = (slice(None), *self.entries.unbind(-1))
        return self.table[index]


class Windows(nn.Module):
    """A layer on windows as a layer on the images they are cut from.

    Attributes:
        layer: Maps (batch, channels, *window) to (batch, out_channels, *outputs).
        window: Pixels per axis of a window.
    """

    def __init__(self, layer: nn.Module, window: tuple[int, ...]) -> None:
        """Wrap the layer that all windows share."""
        super().__init__()
        self.layer, self.window = layer, window

    def forward(
        self, x: Float[Tensor, "batch channels ..."]
    ) -> Float[Tensor, "batch out_channels ..."]:
        """Evaluate the layer on every window, and put the outputs side by side."""
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

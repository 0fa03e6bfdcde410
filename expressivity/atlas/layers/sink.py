"""A sink token: a key of value zero for heads whose target is off the image.

Xiao et al. (2024). The sink has a constant score in every head; with relative scores of
zero it is ``nn.MultiheadAttention(add_zero_attn=True)``.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from expressivity.geometry.grid import Grid
from expressivity.heads.encoding import positional_scores


class SinkAttention(nn.Module):
    """Quadratic relative attention with a sink, on the pixels of an image alone.

    Attributes:
        grid: Pixels and queries.
        alpha: Locality strength of every head, 1/pixel².
        centers: Attention center of every head, in pixels.
        sink: Score of the sink for every head; −inf for no sink.
        value: W_val of every head.
        output: W_out of every head.
        bias: Added to the output.
    """

    centers: Tensor

    def __init__(
        self,
        grid: Grid,
        value: Float[Tensor, "heads rank in_channels"],
        output: Float[Tensor, "heads out_channels rank"],
    ) -> None:
        """Create a layer without locality; scores of the sink and bias are zeros.

        Args:
            grid: Pixels and queries.
            value: W_val of every head.
            output: W_out of every head.
        """
        super().__init__()
        heads = len(value)
        self.grid = grid
        self.value, self.output = nn.Parameter(value), nn.Parameter(output)
        self.alpha = nn.Parameter(value.new_zeros(heads))
        self.sink = nn.Parameter(value.new_zeros(heads))
        self.bias = nn.Parameter(value.new_zeros(output.shape[1]))
        centers = grid.geometry.centers(device=value.device)
        self.register_buffer("centers", centers.to(value.dtype))

    def probabilities(self) -> Float[Tensor, "heads queries keys_and_sink"]:
        """Return the probabilities of every query; the last key is the sink."""
        grid = self.grid
        scores = positional_scores(
            self.alpha, self.centers, grid.queries, grid.canvas_size
        )
        sink = self.sink[:, None, None].expand(-1, scores.shape[1], 1)
        return torch.cat([scores, sink], 2).softmax(2)

    def forward(
        self, x: Float[Tensor, "batch in_channels ..."]
    ) -> Float[Tensor, "batch out_channels ..."]:
        """Attend from every query to all pixels and the sink."""
        pixels = self.grid.canvas(x).flatten(2)
        values = torch.einsum("hrc, bck -> bhrk", self.value, pixels)
        values = functional.pad(values, (0, 1))  # the sink's
        attended = torch.einsum("hqk, bhrk -> bhrq", self.probabilities(), values)
        summed = torch.einsum("hor, bhrq -> boq", self.output, attended)
        queries = [len(query) for query in self.grid.queries]
        outputs: Tensor = (summed + self.bias[:, None]).unflatten(2, queries)
        return outputs

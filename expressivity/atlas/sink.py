"""A sink token: one key of value zero, for heads that should see nothing.

Relative attention on an image without padding tokens repeats border pixels: its rows
sum to one. With a sink, of a constant score per head, zero padding needs no tokens:

- a score of −α/2, halfway between the target's 0 and the next best −α: the sink takes
  a share of e^(−α/2) where there is a target, and leaves as much where there is none.
- a score of 0 and twice the values: it takes as much as the target, and where there is
  none leaves 2e^−α.

The second is ``nn.MultiheadAttention(add_zero_attn=True)`` but for the relative scores.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.atlas.family import Claim, Family
from expressivity.atlas.strength import locality
from expressivity.atlas.tokens import bare_grid, require, tap_factors
from expressivity.geometry.convolution import Convolution
from expressivity.geometry.grid import Grid
from expressivity.heads.encoding import positional_scores


class SinkAttention(nn.Module):
    """Quadratic relative attention with a sink, on the pixels of an image alone.

    Attributes:
        grid: Pixels and queries.
        alpha: Locality strength of every head, 1/pixel².
        centers: Attention center of every head, in pixels.
        sink: Score of the sink for every head; −inf does without.
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
        """Return what every query attends to; the last key is the sink.

        Returns:
            Probabilities.
        """
        grid = self.grid
        scores = positional_scores(
            self.alpha, self.centers, grid.queries, grid.canvas_size
        )
        sink = self.sink[:, None, None].expand(-1, scores.shape[1], 1)
        return torch.cat([scores, sink], 2).softmax(2)

    def forward(self, x: Float[Tensor, "batch in_channels ..."]) -> Tensor:
        """Evaluate the layer on an image.

        Args:
            x: The input, of the size of the grid.

        Returns:
            (batch, out_channels, *queries).
        """
        pixels = self.grid.canvas(x).flatten(2)
        values = torch.cat(
            [
                torch.einsum("hrc, bck -> bhrk", self.value, pixels),
                pixels.new_zeros(len(x), *self.value.shape[:2], 1),
            ],
            -1,
        )
        seen = torch.einsum("hqk, bhrk -> bhrq", self.probabilities(), values)
        summed = torch.einsum("hor, bhrq -> boq", self.output, seen)
        queries = [len(query) for query in self.grid.queries]
        outputs: Tensor = (summed + self.bias[:, None]).unflatten(2, queries)
        return outputs


def construct(conv: Convolution, size: tuple[int, ...], alpha: float) -> nn.Module:
    """Return a layer whose sinks score halfway between targets and their neighbours.

    Args:
        conv: Any convolution with zero padding whose outputs lie on pixels.
        size: Pixels per axis of the input.
        alpha: Locality strength, 1/pixel².

    Returns:
        The layer.

    Raises:
        ArgumentError: If the padding is no zeros, or some output lies on no pixel.
    """
    return _filled(conv, size, alpha, score=-alpha / 2, gain=1.0)


def construct_doubled(
    conv: Convolution, size: tuple[int, ...], alpha: float
) -> nn.Module:
    """Return a layer whose sinks score as targets do; values are doubled.

    Args:
        conv: Any convolution with zero padding whose outputs lie on pixels.
        size: Pixels per axis of the input.
        alpha: Locality strength, 1/pixel².

    Returns:
        The layer.

    Raises:
        ArgumentError: If the padding is no zeros, or some output lies on no pixel.
    """
    return _filled(conv, size, alpha, score=0.0, gain=2.0)


def _filled(
    conv: Convolution, size: tuple[int, ...], alpha: float, *, score: float, gain: float
) -> nn.Module:
    """Return a layer with one strength and one score of the sink for all heads."""
    require(conv.padding_mode == "zeros", conv, "zero padding")
    value, output = tap_factors(conv)
    layer = SinkAttention(bare_grid(conv, size), gain * value, output)
    with torch.no_grad():
        layer.alpha.fill_(alpha)
        layer.sink.fill_(score)
        if conv.bias is not None:
            layer.bias.copy_(conv.bias)
    return layer.to(conv.weight)


_CONDITIONS = (
    "outputs on pixels",
    "head dimension no less than the rank of a tap",
)
_SOURCE = "Xiao et al. (2024); Cordonnier, Loukas, Jaggi (2020)"
FAMILIES = (
    Family(
        name="sink",
        title="sink token",
        verdict="yes",
        claim=Claim(
            "Computes every zero-padded convolution without padding tokens, with an "
            "error of order e^(−α/2).",
            ("a score of the sink that is learned", *_CONDITIONS),
            _SOURCE,
        ),
        strength=locality(56.0),
        heads="K²",
        constructor=construct,
    ),
    Family(
        name="sink-zero",
        title="sink token of score zero",
        verdict="yes",
        claim=Claim(
            "The same where the sink's score is fixed at zero, with values twice as "
            "large and an error of order e^−α.",
            _CONDITIONS,
            _SOURCE,
        ),
        strength=locality(32.0),
        heads="K²",
        constructor=construct_doubled,
    ),
)

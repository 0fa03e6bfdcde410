"""Training steps of heads with α and Δ of their own, beside that of the convolution.

Multiplications set a limit. A head smooths along two axes of s tokens and multiplies
C channels by a matrix of C columns: 2s + C multiplications for each number, where the
convolution's tap takes C. The backward pass smooths again, and takes derivatives with
respect to the input, the matrices of both axes and the weights: 8s + 3C against 3C. On
a long axis s is not the number of tokens but of those in a window.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from expressivity.attention import RelativeSelfAttention
from expressivity.bench.document import BASELINE
from expressivity.conversion import attention_from_conv
from expressivity.geometry.grid import Grid
from expressivity.strategies.separable import plans

OWN, FROZEN, TIED = "α and Δ trained", "α and Δ fixed, all different", "one α trained"


@dataclass(frozen=True)
class TrainedShape:
    """A 3×3 layer with as many outputs as channels, and the goal for it.

    Attributes:
        channels: Channels C.
        size: Pixels a side, s.
        batch: Images.
        goal: The largest ratio to the convolution that meets the target.
        goal_bytes: The largest memory of a step, in bytes; ``None`` for no goal.
    """

    channels: int
    size: int
    batch: int
    goal: float
    goal_bytes: int | None = None

    def __str__(self) -> str:
        images = f", {self.batch} images" if self.batch > 1 else ""
        return f"3×3, {self.channels} channels at {self.size}²{images}"

    @property
    def limit(self) -> float:
        """The ratio that the number of multiplications sets."""
        layer = attention_from_conv(nn.Conv2d(1, 1, 3, padding=1, device="cpu"))
        set_apart(layer)
        grid = Grid.of(layer.geometry, (self.size, self.size))
        ((own,),) = plans(layer.heads(), grid)[1:]
        return 1 + 4 * own.cost / self.size**2 / (3 * self.channels)


MIB = 2**20
SHAPES = (
    TrainedShape(64, 56, 1, 4.5),
    TrainedShape(128, 28, 1, 2.5),
    TrainedShape(256, 14, 1, 1.9),
    TrainedShape(512, 7, 8, 1.4),
    TrainedShape(64, 112, 1, 5.0),
    TrainedShape(400, 16, 100, 1.8, 250 * MIB),  # the paper's layer
)
# Goals for the other two ways to train.
TIED_GOAL, FROZEN_GOAL = 1.6, 2.7


def set_apart(attention: RelativeSelfAttention) -> None:
    """Give every head a soft α and a center of its own, as after training.

    Args:
        attention: The layer; it is changed, in the same way every time.
    """
    generator = torch.Generator("cpu").manual_seed(0)
    heads, axes = attention.centers.shape
    strengths = 0.5 + 3.5 * torch.rand(heads, generator=generator, device="cpu")
    shifts = torch.rand(heads, axes, generator=generator, device="cpu") - 0.5
    with torch.no_grad():
        attention.alpha.copy_(strengths)
        attention.centers.add_(shifts.to(attention.centers))


class _OneAlpha(nn.Module):
    """One locality strength for all heads."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self._heads = heads

    def forward(self, alpha: Tensor) -> Tensor:
        return alpha.expand(self._heads)

    def right_inverse(self, alpha: Tensor) -> Tensor:
        return alpha[:1].clone()


def tie_alpha(attention: RelativeSelfAttention) -> None:
    """Give all heads one trainable α; their centers stay where they are.

    Args:
        attention: A layer whose heads share α; it is changed.

    Example:
        >>> conv = nn.Conv2d(2, 2, 3)
        >>> attention = attention_from_conv(conv, alpha=1.0)
        >>> tie_alpha(attention)
        >>> [p.shape for p in attention.parametrizations.parameters()]
        [torch.Size([1])]
    """
    one = _OneAlpha(attention.num_heads)
    parametrize.register_parametrization(attention, "alpha", one, unsafe=True)
    attention.centers.requires_grad_(False)


def steps(
    shape: TrainedShape, device: torch.device, dtype: torch.dtype
) -> dict[str, Callable[[], object]]:
    """Return a training step of the convolution and of three kinds of heads.

    Args:
        shape: The layer and its input.
        device: Where to run.
        dtype: Dtype of weights and inputs.
    """
    channels, size = shape.channels, shape.size
    conv = nn.Conv2d(channels, channels, 3, padding=1, device="cpu").to(device, dtype)
    x = torch.randn(shape.batch, channels, size, size, device="cpu").to(device, dtype)
    x.requires_grad_()
    own, frozen, tied = (attention_from_conv(conv, alpha=1.0) for _ in range(3))
    for attention in (own, frozen):
        set_apart(attention)
        attention.requires_grad_()
    for position in (frozen.alpha, frozen.centers):
        position.requires_grad_(False)
    tie_alpha(tied.requires_grad_())
    layers = {BASELINE: conv, OWN: own, FROZEN: frozen, TIED: tied}
    return {name: step_of(layer, x) for name, layer in layers.items()}


def step_of(layer: nn.Module, x: Tensor) -> Callable[[], object]:
    """Return the forward and the backward pass of a layer, x included."""

    def step() -> None:
        layer.zero_grad(set_to_none=True)
        x.grad = None
        layer(x).square().sum().backward()

    return step

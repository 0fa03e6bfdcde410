"""Time a training step of the paper's network, and its layer beside the published one.

    python -m benchmarks.paper_step --batch 10

The published algorithm forms the probabilities of every head, mixes all tokens with
them, and maps what the heads bring. On a CPU times are of the processor, summed over
its cores, so that other programs hardly matter; on a GPU they are those of a clock.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor, nn

from expressivity.attention import RelativeSelfAttention
from expressivity.experiments.data import Dataset, Images
from expressivity.experiments.networks import Architecture, ScoredAttention, network
from expressivity.geometry import ConvGeometry

IMAGES, EPOCHS, SIDE, PATCH = 50_000, 300, 32, 2
_HOUR = 3600


class QuadraticScores(nn.Module):
    """−α ‖δ − Δ‖² of all heads for all pairs of tokens, from the parameters of a layer.

    Attributes:
        alpha: Of each head.
        centers: Of each head.
    """

    displacement: Tensor

    def __init__(self, layer: RelativeSelfAttention, canvas: int) -> None:
        """Copy the positions of a layer."""
        super().__init__()
        self.alpha = nn.Parameter(layer.alpha.detach().clone())
        self.centers = nn.Parameter(layer.centers.detach().clone())
        axis = torch.arange(canvas, dtype=torch.float32)
        tokens = torch.cartesian_prod(axis, axis)
        self.register_buffer("displacement", tokens - tokens[:, None])

    def forward(self) -> Tensor:
        """Return (heads, tokens, tokens)."""
        gaps = self.displacement - self.centers[:, None, None]
        return -self.alpha[:, None, None] * gaps.square().sum(-1)


def published(layer: RelativeSelfAttention, canvas: int) -> ScoredAttention:
    """Return the same layer, evaluated as the paper's authors do."""
    width = layer.in_channels
    twin = ScoredAttention(QuadraticScores(layer, canvas), width, layer.num_heads)
    if layer.output_weight is None:
        raise RuntimeError("a head of the paper's layer needs values of the full width")
    with torch.no_grad():
        # (groups, outputs, width, heads) to (outputs, heads · width)
        weights = layer.output_weight[0].movedim(-1, 1).flatten(1)
        twin.output.weight.copy_(weights)
        if layer.bias is not None:
            twin.output.bias.copy_(layer.bias)
    return twin


def seconds(step: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Return the median time of a step, after one that does not count."""
    cuda = device.type == "cuda"
    clock = time.perf_counter if cuda else time.process_time
    times = []
    for _ in range(1 + repeats):
        start = clock()
        step()
        if cuda:
            torch.cuda.synchronize()
        times.append(clock() - start)
    return median(times[1:])


def step_of(model: nn.Module, x: Tensor) -> Callable[[], None]:
    """Return a forward and a backward pass."""

    def step() -> None:
        model.zero_grad(set_to_none=True)
        model(x).square().mean().backward()

    return step


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    options = parser.parse_args()
    device, batch, repeats = (
        torch.device(options.device),
        options.batch,
        options.repeats,
    )
    torch.manual_seed(0)
    sizes, canvas = Architecture(), SIDE // PATCH
    layer = RelativeSelfAttention(
        sizes.width,
        sizes.width,
        ConvGeometry.create((1, 1)),
        num_heads=sizes.heads,
        head_dim=sizes.width,
    ).to(device)
    theirs = published(layer, canvas).to(device)
    x = torch.randn(batch, sizes.width, canvas, canvas).to(device).requires_grad_()
    difference = float((layer(x) - theirs(x)).detach().abs().max())
    ours_time, theirs_time = (
        seconds(step_of(model, x), device, repeats) for model in (layer, theirs)
    )
    pixels = torch.randint(0, 256, (batch, 3, SIDE, SIDE), dtype=torch.uint8)
    part = Images(pixels, torch.zeros(batch, dtype=torch.long))
    data = Dataset("drawn", part, part, tuple("0123456789"))
    whole = network("isotropic", sizes, data).to(device)
    inputs = data.inputs(pixels).to(device)
    step = seconds(step_of(whole, inputs), device, repeats)
    hours = step * IMAGES / batch * EPOCHS / _HOUR
    unit = "GPU hours" if device.type == "cuda" else "core hours"
    print(f"batch {batch}, {device}, torch {torch.__version__}")
    print(f"largest difference of the two layers: {difference:.1e}")
    print(f"step of the layer:               {ours_time:.3f} s")
    print(f"step of the published algorithm: {theirs_time:.3f} s")
    print(f"published / this package:        {theirs_time / ours_time:.2f}")
    print(f"step of the network:             {step:.3f} s")
    print(f"{EPOCHS} epochs of {IMAGES} images: {hours:.0f} {unit}, without evaluation")


if __name__ == "__main__":
    main()

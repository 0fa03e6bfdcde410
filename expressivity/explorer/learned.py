"""What training finds: heads that learn to compute a convolution from its outputs."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.conversion.options import Options
from expressivity.conversion.to_attention import build_attention
from expressivity.explorer.arrays import encoded
from expressivity.explorer.subject import Subject
from expressivity.machine.threads import one_thread

_STEPS, _KEPT = 900, 60
_IMAGES, _PIXELS = 4, 5
_RATE, _SOFT, _SPREAD, _SOFTEST = 0.05, 0.6, 1.0, 0.05


@dataclass(frozen=True)
class Learned:
    """Heads during training.

    Attributes:
        steps: Steps at which they were written down.
        losses: Mean squared error of the outputs there, over their variance.
        alpha: Locality strength of each head, (steps, heads), 1/pixel².
        centers: Attention centers, (steps, heads, axes), in pixels.
    """

    steps: tuple[int, ...]
    losses: tuple[float, ...]
    alpha: Float[Tensor, "steps heads"]
    centers: Float[Tensor, "steps heads axes"]

    def to_dict(self) -> dict[str, Any]:
        """Return the heads as JSON has them, with two axes always."""
        lone = self.alpha.new_zeros(*self.alpha.shape, 2 - self.centers.shape[-1])
        return {
            "steps": list(self.steps),
            "losses": [float(f"{loss:.6g}") for loss in self.losses],
            "alpha": encoded(self.alpha),
            "centers": encoded(torch.cat([lone, self.centers], -1)),
        }


@one_thread()
def learned(subject: Subject, *, seed: int = 0) -> Learned:
    """Train heads from random centers to compute a convolution.

    Every head starts wide (α = 0.6) around a random center, with random weights. They
    see random images and the outputs of the convolution, nothing of its kernel.

    Args:
        subject: The layer.
        seed: Decides the start and the images; the global random state is left alone.

    Returns:
        The heads during training.
    """
    kernel = subject.kernel.in_float64()
    generator = torch.Generator("cpu").manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(
            shape, generator=generator, dtype=torch.float64, device="cpu"
        )

    layer = build_attention(kernel, Options(alpha=_SOFT)).requires_grad_()
    with torch.no_grad():
        layer.centers.copy_(_SPREAD * normal(*layer.centers.shape))
        for name, parameter in layer.named_parameters():
            if name.endswith("weight"):
                parameter.copy_(normal(*parameter.shape) * parameter.std())
    layer.strategy = "dense"  # the fastest on a canvas so small
    optimizer = torch.optim.Adam(layer.parameters(), lr=_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
    extent = kernel.geometry.extent
    shape = [_IMAGES, kernel.conv.in_channels, *(_PIXELS + reach for reach in extent)]
    steps, losses, alphas, centers = [], [], [], []
    for step in range(_STEPS + 1):
        x = normal(*shape)
        wanted = kernel.conv(x)
        loss = (layer(x) - wanted).square().mean()
        if step % (_STEPS // _KEPT) == 0:
            steps.append(step)
            losses.append(float(loss.detach()) / float(wanted.var()))
            alphas.append(layer.alpha.detach().clone())
            centers.append(layer.centers.detach().clone())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        with torch.no_grad():  # a negative strength attends to the border
            layer.alpha.clamp_(min=_SOFTEST)
    return Learned(
        tuple(steps), tuple(losses), torch.stack(alphas), torch.stack(centers)
    )

"""What the heads of a network do: where they look, how sharply, at content or not."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Group
from torch import nn

from expressivity.accuracy.content_share import content_bound
from expressivity.attention import RelativeSelfAttention
from expressivity.conversion import conv_from_attention
from expressivity.errors import ArgumentError, NotOneHotError
from expressivity.heads.leak import head_leaks
from expressivity.listing import Listing
from expressivity.results import Result, as_text, plotted
from expressivity.training.layers import attention_layers
from expressivity.training.pixels import attended, tap_distances

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Whatever the nearest convolution is, it is taken.
_ANY_ERROR = 1e300
_WIDTH = 100
# Pixels; a center so near to one takes at most a sixth more attention to one neighbour
# than to the other, at α = 4.
NEAR = 0.1


@dataclass(frozen=True)
class HeadRecord:
    """What one head attends to, far from borders.

    Attributes:
        alpha: Locality strength, 1/pixel².
        center: Attention center Δ, pixels from the query, per axis; for a head with a
            table the displacement that it attends to most.
        mass_off_pixel: Attention off the pixel nearest to the center, as a probability,
            positions alone.
        pixel_distance: From the center to the nearest pixel, in pixels.
        tap_distance: From the center to the nearest tap of the kernel, in pixels.
        content_share: Share 1 − σ(λ) of gated content; ``None`` without a gate. The
            share of terms inside the softmax depends on the input.
    """

    alpha: float
    center: tuple[float, ...]
    mass_off_pixel: float
    pixel_distance: float
    tap_distance: float
    content_share: float | None

    @property
    def whole_pixel(self) -> bool:
        """Whether the center is within a tenth of a pixel of a whole one."""
        return self.pixel_distance <= NEAR


@dataclass(frozen=True)
class LayerHeads:
    """The heads of one layer, and how near the layer is to a convolution.

    Attributes:
        name: Name of the layer; empty for a layer by itself.
        heads: One record a head.
        nearest_error: Largest absolute difference from the nearest convolution, for
            inputs within ±1, in exact arithmetic: with gated content an upper bound,
            which takes content for as far off as its share allows. ``None`` if there is
            no such convolution.
        scale: Largest output of the layer for such inputs, Σ|W| of its heads.
        taps: The taps of the kernel that the layer stands for, in pixels.
        reason: Why there is no convolution.
    """

    name: str
    heads: tuple[HeadRecord, ...]
    nearest_error: float | None
    scale: float
    taps: tuple[tuple[int, ...], ...]
    reason: str = ""

    @property
    def relative_error(self) -> float | None:
        """The error beside the scale: 0 for a convolution, around 1 for anything else.

        ``None`` where there is no convolution, or all weights are zeros.
        """
        if self.nearest_error is None or not self.scale:
            return None
        return self.nearest_error / self.scale

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON takes it."""
        heads = [
            asdict(head) | {"whole_pixel": head.whole_pixel} for head in self.heads
        ]
        own = {"name": self.name, "nearest_error": self.nearest_error}
        more = {"scale": self.scale, "relative_error": self.relative_error}
        taps = [list(tap) for tap in self.taps]
        return {**own, **more, "reason": self.reason, "taps": taps, "heads": heads}


@dataclass(frozen=True, repr=False)
class HeadReport(Result):
    """What all heads of a model do.

    Attributes:
        layers: One record a layer, in the order of the model.
    """

    layers: tuple[LayerHeads, ...]

    def __repr__(self) -> str:
        heads = sum(len(layer.heads) for layer in self.layers)
        return f"HeadReport({heads} heads in {len(self.layers)} layers)"

    def __str__(self) -> str:
        return as_text(self.renderable(), _WIDTH).rstrip()

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON takes it."""
        return {"layers": [layer.to_dict() for layer in self.layers]}

    def renderable(self) -> Group:
        """Return a table with one line a layer, for a rich console."""
        rows = [_row(layer) for layer in self.layers]
        notes = [
            f"{l.name or 'the layer'}: {l.reason}" for l in self.layers if l.reason
        ]
        columns = [
            "heads",
            "α [1/px²]",
            "off its pixel",
            "off its tap [px]",
            "whole pixels",
            "content",
            "from a conv",
        ]
        return Group(Listing.of(["layer"], columns, rows), *notes)

    def plot(self) -> "Figure":
        """Draw the centers of all heads: :func:`expressivity.plots.plot_heads`."""
        return plotted("plot_heads", self)


def head_report(model: nn.Module) -> HeadReport:
    """Say what every head attends to, and how convolutional each layer is.

    Args:
        model: A network with attention layers, or a layer.

    Returns:
        The report: print it, or see ``layers``. In the printed table a column gives the
        range over the heads, or the largest; errors are beside the largest output.

    Raises:
        ArgumentError: If some parameter is not finite.
        UnsupportedModuleError: If the model holds no attention layer, or one that does
            not compute what its parameters say.

    Example:
        >>> from expressivity import attention_from_conv
        >>> layer = attention_from_conv(nn.Conv2d(1, 4, 3), alpha=4.0).add_content(8)
        >>> (record,) = head_report(layer).layers
        >>> head = record.heads[0]
        >>> head.center, head.whole_pixel, head.tap_distance
        ((-1.0, -1.0), True, 0.0)
        >>> round(head.mass_off_pixel, 4), round(head.content_share, 3)
        (0.0694, 0.018)
        >>> 0.018 < record.relative_error < 0.2
        True
    """
    layers = attention_layers(model)
    return HeadReport(tuple(_layer(name, layer) for name, layer in layers.items()))


@torch.no_grad()
def _layer(name: str, layer: RelativeSelfAttention) -> LayerHeads:
    _require_numbers(name, layer)
    places, off_pixel = (each.double().cpu() for each in attended(layer))
    centers = layer.centers.detach().double().cpu()
    if layer.table is None:
        off_pixel = head_leaks(layer.alpha, centers).cpu()
    else:
        centers = places
    taps = tap_distances(layer, centers.to(layer.centers.device)).sqrt().tolist()
    pixels = (centers - centers.round()).square().sum(-1).sqrt().tolist()
    gated = layer.heads().gated
    shares: Sequence[float | None] = [None] * layer.num_heads
    if gated is not None:
        shares = gated.share_of_content().tolist()
    heads = tuple(
        HeadRecord(alpha, tuple(center), off, pixel, tap, share)
        for alpha, center, off, pixel, tap, share in zip(
            layer.alpha.tolist(),
            centers.tolist(),
            off_pixel.tolist(),
            pixels,
            taps,
            shares,
            strict=True,
        )
    )
    error, scale, reason = _from_convolution(layer)
    own_taps = tuple(tuple(tap) for tap in layer.geometry.centers().tolist())
    return LayerHeads(name, heads, error, scale, own_taps, reason)


def _from_convolution(
    layer: RelativeSelfAttention,
) -> tuple[float | None, float, str]:
    """Return the distance to the nearest convolution, the scale, and a reason."""
    sizes = layer.heads().matrices().abs().double().sum(-1).flatten(1)
    scale = float(sizes.sum(0).max())
    gated = layer.heads().gated
    try:
        positional = layer if gated is None else layer.without_content()
        nearest = conv_from_attention(positional, tolerance=_ANY_ERROR)
    except (ArgumentError, NotOneHotError) as error:
        return None, scale, str(error)
    if gated is None:
        return nearest.error, scale, ""
    return nearest.error + float(content_bound(layer.heads()).max()), scale, ""


def _require_numbers(name: str, layer: RelativeSelfAttention) -> None:
    for role, parameter in layer.named_parameters():
        allowed = parameter.isfinite() | (parameter.isneginf() & (role == "table"))
        if parameter.is_meta or not bool(allowed.all()):
            raise ArgumentError(
                f"a report needs finite numbers, got others in {role} of "
                f"{name or 'the layer'}: load an earlier checkpoint"
            )


def _row(layer: LayerHeads) -> list[str]:
    heads = layer.heads
    shares = [h.content_share for h in heads if h.content_share is not None]
    error = layer.relative_error
    return [
        layer.name or "(the layer)",
        str(len(heads)),
        _range([head.alpha for head in heads]),
        _range([head.mass_off_pixel for head in heads]),
        f"{max(head.tap_distance for head in heads):.2g}",
        str(sum(head.whole_pixel for head in heads)),
        _range(shares) if shares else "–",
        "–" if error is None else f"{error:.2g}",
    ]


def _range(numbers: Sequence[float]) -> str:
    low, high = (f"{number:.2g}" for number in (min(numbers), max(numbers)))
    return low if low == high else f"{low} to {high}"

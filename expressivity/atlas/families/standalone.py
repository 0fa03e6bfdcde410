"""Stand-alone self-attention: a softmax over a small window in place of a kernel.

Constant queries give a head one and the same distribution P_h over the window at every
pixel, as the window never loses a pixel at a border. The layer then *is* a zero-padded
convolution, with the kernel Σ_h P_h(δ) M_h. With one head for every offset, P is the
Kronecker product of two nonsingular matrices, R(Δ, δ) = softmax_δ(−α(δ − Δ)²), and
M = P^−T W gives every kernel W exactly, at every α. Statements
``nonsingular_smoothing`` and ``silent_query`` in ``proofs/``.

The same window without an output projection has one softmax for an output: its output
is a weighted mean of what it makes of single pixels, so it lies between what it makes
of constant images. That is out of reach for kernels with taps of both signs.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from expressivity.atlas.canvas import OnCanvas, padded_grid, require_plane
from expressivity.atlas.family import Claim, Family, Size
from expressivity.atlas.inputs import (
    Place,
    exchanged,
    middle,
    output_weights,
    pixel_of,
    places,
)
from expressivity.atlas.layers.standalone import StandAloneAttention
from expressivity.atlas.strength import locality, third_of_digits
from expressivity.atlas.taps import carry, factored, full_taps, zeroed
from expressivity.atlas.witness import Witness
from expressivity.errors import ArgumentError
from expressivity.geometry import ConvGeometry
from expressivity.geometry.convolution import Convolution

_SOURCE = "Ramachandran et al. (2019)"
_ENCODED = 2  # numbers that encode an offset along one axis


def construct(conv: Convolution, size: Size, alpha: float) -> nn.Module:
    """Return the layer with one head for every offset; exact, but for soft heads.

    Args:
        conv: A convolution over two axes with zero padding.
        size: Pixels per axis of the input.
        alpha: Locality strength, 1/pixel². Heads cancel where it is far below one.

    Returns:
        The layer, with a query bias and an output projection.

    Raises:
        ArgumentError: If the convolution is not over two axes or pads otherwise; if
            heads are so soft that they cancel more than a third of the digits.
    """
    require_plane(conv)
    window = _window(conv)
    offsets = [
        torch.arange(w, dtype=torch.float64, device="cpu") - w // 2 for w in window
    ]
    factors = factored(_carried(conv, offsets, alpha))
    layer = zeroed(_layer(conv, value_dim=factors[0].shape[1], query_bias=True))
    carry(conv, layer.value, layer.output, factors)
    toward = [torch.stack([2 * o, -torch.ones_like(o)], 1) for o in offsets]
    bias = [toward[0].repeat_interleave(window[1], 0), toward[1].repeat(window[0], 1)]
    with torch.no_grad():
        for table, offset in zip((layer.row, layer.column), offsets, strict=True):
            table.copy_(torch.stack([offset, offset.square()], 1))
        layer.get_parameter("query.bias").copy_(alpha * torch.cat(bias, 1).flatten())
    return OnCanvas(layer, padded_grid(conv, size)).to(conv.weight)


def refute(conv: Convolution, size: Size) -> Witness:
    """Silence the query and exchange two pixels of its window.

    An output projection and biases of keys and values do not help, nor does a larger
    window. Uniform attention computes kernels that weigh all other pixels alike.

    Args:
        conv: A convolution over two axes with zero padding.
        size: Pixels per axis of the input.

    Returns:
        The witness; its control has a bias of the queries.
    """
    require_plane(conv)
    grid, window = padded_grid(conv, size), _window(conv)

    def in_window(query: Place, place: Place) -> bool:
        reach = zip(place, query, window, strict=True)
        return all(abs(p - q) <= width // 2 for p, q, width in reach)

    def make(restored: bool) -> nn.Module:
        value_dim = min(conv.in_channels, conv.out_channels)
        return OnCanvas(_layer(conv, value_dim, query_bias=restored), grid)

    return exchanged(
        conv,
        size,
        kind="silent query",
        symmetry="The pixel of the query holds zeros, so a query without a bias "
        "vanishes, all scores are zero and the output is that of the window's mean.",
        make=make,
        alike=lambda query, first, second: (
            in_window(query, first) and in_window(query, second)
        ),
    )


def refute_literal(conv: Convolution, size: Size) -> Witness:
    """Show constant images and one whose pixels have the signs of the taps.

    For an output with taps W_k take pixels ±v and u_k = W_k·v. The layer's output for
    any image of them lies between those for the two constant images. A convolution
    gives ±Σu_k for those and Σ|u_k| for the image with the signs of u: outputs within
    e of it have Σ|u_k| − e ≤ |Σu_k| + e, so e is at least Σ u⁺ or Σ u⁻, the smaller.
    Biases do not help, nor does a head for each output.

    Args:
        conv: A convolution over two axes with zero padding.
        size: Pixels per axis of the input, enough for a whole window.

    Returns:
        The witness, in [−1, 1].
    """
    require_plane(conv)
    grid = padded_grid(conv, size)
    query = _inside(conv, size)
    channel, pixel = _told_by_signs(full_taps(conv).cpu())
    weights = output_weights(conv, size, query).cpu()
    signs = torch.einsum("c...,c->...", weights[channel], pixel).sign()
    pixels = pixel.reshape(-1, 1, 1)
    inputs = torch.stack([pixels * s for s in (signs**0, -(signs**0), signs)])
    inputs = torch.where(inputs == 0, pixels, inputs)  # what no tap reads

    def make(restored: bool) -> nn.Module:
        value_dim = min(conv.in_channels, conv.out_channels) if restored else None
        return OnCanvas(_layer(conv, value_dim, query_bias=True), grid)

    return Witness.of(
        conv,
        inputs,
        (query,) * 3,
        kind="mean",
        symmetry="Each output is a weighted mean of what one projection makes of "
        "single pixels: it lies between those of the two constant images.",
        make=make,
        relation=_outside,
        needs="an output whose taps are no nonnegative multiples of one vector",
    )


def _outside(outputs: Float[Tensor, "inputs out_channels"]) -> Tensor:
    """Return how far the last outputs lie from between the others."""
    least, most = outputs[:-1].amin(0), outputs[:-1].amax(0)
    return (outputs[-1] - most).relu() + (least - outputs[-1]).relu()


def _told_by_signs(
    taps: Float[Tensor, "taps out_channels in_channels"],
) -> tuple[int, Tensor]:
    """Return the output channel and the pixel with the largest bound."""
    # If two taps are no nonnegative multiples of one vector, the difference of their
    # directions has a positive product with one and a negative one with the other.
    best, chosen = 0.0, (0, taps.new_zeros(taps.shape[2]))
    for channel, rows in enumerate(taps.unbind(1)):
        directions = functional.normalize(rows, dim=1)
        gaps = (directions[:, None] - directions).flatten(0, 1)
        pixels = torch.cat([torch.eye(rows.shape[1], device="cpu").to(rows), gaps])
        pixels = functional.normalize(pixels, p=math.inf, dim=1)
        weights = pixels @ rows.mT
        bounds = torch.minimum(weights.relu().sum(1), (-weights).relu().sum(1))
        first = int(bounds.argmax())
        if float(bounds[first]) > best:
            best, chosen = float(bounds[first]), (channel, pixels[first])
    return chosen


def _carried(
    conv: Convolution, offsets: list[Tensor], alpha: float
) -> Float[Tensor, "heads out_channels in_channels"]:
    """Return M, what the head of each offset carries: Σ_h P_h(δ) M_h = W_δ."""
    gaps = [offset - offset[:, None] for offset in offsets]
    attended = torch.kron(*((-alpha * gap.square()).softmax(1) for gap in gaps))
    taps = full_taps(conv).cpu()
    inverse = torch.linalg.inv_ex(attended.mT).inverse
    magnified = float((attended.mT @ inverse.abs()).sum(1).max())
    if not magnified <= third_of_digits(conv.weight.dtype):
        raise ArgumentError(
            f"{alpha=} makes heads so soft that they cancel to a part in "
            f"{magnified:.3g}, more than {conv.weight.dtype} has digits for: raise it"
        )
    height, width = map(len, offsets)
    rows, columns = ConvGeometry.from_conv(conv).centers().unbind(-1)
    kernel = taps.new_zeros(height, width, *taps.shape[1:])
    kernel[rows + height // 2, columns + width // 2] = taps
    kernel = kernel.flatten(0, 1)
    carried: Tensor = torch.linalg.solve(attended.mT, kernel.flatten(1))
    return carried.reshape(kernel.shape)


def _window(conv: Convolution) -> tuple[int, ...]:
    """Return the smallest odd window around the query that holds the kernel."""
    geometry = ConvGeometry.from_conv(conv)
    return tuple(2 * max(pair) + 1 for pair in geometry.same_padding)


def _inside(conv: Convolution, size: Size) -> Place:
    """Return an output whose window lies on the image."""
    outputs = ConvGeometry.from_conv(conv).output_size(size)
    for query in (middle(conv, size), *places(outputs)):
        reach = zip(pixel_of(conv, query), _window(conv), size, strict=True)
        if all(w // 2 <= p < pixels - w // 2 for p, w, pixels in reach):
            return query
    raise ArgumentError(
        f"the witness needs an output whose window of {_window(conv)} pixels lies on "
        f"the image, got {size}: enlarge it"
    )


def _layer(
    conv: Convolution, value_dim: int | None, *, query_bias: bool
) -> StandAloneAttention:
    """Return a layer with a head for every offset, or one for every output."""
    window = _window(conv)
    return StandAloneAttention(
        conv.in_channels,
        conv.out_channels,
        window=window,
        heads=conv.out_channels if value_dim is None else math.prod(window),
        key_dim=2 * _ENCODED,
        value_dim=value_dim,
        query_bias=query_bias,
    )


FAMILIES = (
    Family(
        name="standalone",
        title="stand-alone self-attention",
        claim=Claim(
            "With a bias of the queries and an output projection the layer computes "
            "every zero-padded convolution, exactly, borders included, at every "
            "locality strength. Without that bias it computes none that weighs two "
            "pixels of the window beside the query differently.",
            (
                "bias of the queries",
                "output projection",
                "a window no smaller than the kernel, zeros beyond the border",
                "one head for every offset of the window",
                "no fewer dimensions of a value than channels on one side",
            ),
            _SOURCE,
        ),
        strength=locality(4.0),
        heads="K²",
        constructor=construct,
        refuter=refute,
    ),
    Family(
        name="standalone-literal",
        title="stand-alone self-attention, no output projection",
        claim=Claim(
            "One softmax for an output, as in the paper, computes only kernels whose "
            "taps are nonnegative multiples of one vector; the kernel (+1, −1) it "
            "misses by 1 on inputs in [−1, 1], with or without a bias of the queries.",
            ("no output projection",),
            _SOURCE,
        ),
        refuter=refute_literal,
    ),
)

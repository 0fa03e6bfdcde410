"""Swin: what a free bias for every displacement does within windows.

The table can make up for the border of a window. Where the target q + Δ lies beyond it,
no key has the displacement Δ, and the head attends to the next best one: the nearest,
with scores of −α (δ − Δ)², which clamps; δ ≡ Δ modulo M, which wraps; or −Δ, which
reflects while the reach is one. So one window computes convolutions that pad by
replication or circularly, and of several windows each its own. Out of reach are

- zero padding: on a constant image all tokens are alike and rows sum to one
  (:func:`refute_border`, statement ``zero_padding`` in ``proofs/``);
- an image of several windows: what lies beyond a window has no part in its outputs
  (:func:`refute_receptive_field`, statement ``receptive_field``), in shifted windows
  neither.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from expressivity.atlas.canvas import (
    OnCanvas,
    OnTokens,
    bare_grid,
    padded_grid,
    require,
)
from expressivity.atlas.family import Claim, Family, Size, sample
from expressivity.atlas.inputs import Place, changed, constant, middle, pixel_of, places
from expressivity.atlas.layers.swin import WindowBias, Windows
from expressivity.atlas.taps import content_layer, one_head_a_tap
from expressivity.atlas.witness import Witness
from expressivity.errors import ArgumentError
from expressivity.geometry import ConvGeometry
from expressivity.geometry.convolution import Convolution
from expressivity.geometry.grid import Grid


def construct(
    conv: Convolution,
    size: Size,
    alpha: float,
    window: Size | None = None,
) -> nn.Module:
    """Return window attention that computes a convolution on each window.

    Args:
        conv: A convolution that pads by replication or circularly, by reflection of
            one pixel, or not at all.
        size: Pixels per axis of the input.
        alpha: Bias of the target above all others.
        window: Pixels per axis of a window, by default the whole image; otherwise the
            layer computes the convolution of every window on its own.

    Returns:
        The layer.

    Raises:
        ArgumentError: If the convolution pads otherwise or wider than half its
            kernel, or windows do not fill the image.
    """
    window = size if window is None else window
    _check_windows(conv, size, window)
    require(not _pads_zeros(conv), conv, "padding that is not zeros")
    geometry = ConvGeometry.from_conv(conv)
    geometry.check_input(window)
    centers = geometry.centers()
    if conv.padding_mode == "reflect":
        require(bool(centers.abs().max() <= 1), conv, "a reach of one to reflect")
    bias = WindowBias(window, len(centers)).double()
    with torch.no_grad():
        for axis, pixels in enumerate(window):
            values = alpha * _preferences(conv, pixels, centers[:, axis])
            shape = [1 + (a == axis) * (2 * m - 2) for a, m in enumerate(window)]
            bias.table.add_(values.reshape(-1, *shape))
    layer = OnTokens(one_head_a_tap(conv, bias), bare_grid(conv, window))
    return Windows(layer, window)


def refute(conv: Convolution, size: Size) -> Witness:
    """Return a border witness against zero padding, otherwise one across windows."""
    if _pads_zeros(conv):
        return refute_border(conv, size)
    return refute_receptive_field(conv, size)


def refute_border(conv: Convolution, size: Size, window: Size | None = None) -> Witness:
    """Compare two outputs on one constant image.

    Values depend on the token alone: with absolute positions added to the tokens, a
    constant image would be none.

    Args:
        conv: A convolution that pads with zeros.
        size: Pixels per axis of the input.
        window: Pixels per axis of a window, by default the whole image.

    Returns:
        The witness; its control has padding tokens in the window.
    """
    window = size if window is None else window
    _check_windows(conv, size, window)
    require(_pads_zeros(conv), conv, "zero padding for a border witness")
    inputs, queries = constant(conv, size)

    def make(restored: bool) -> nn.Module:
        if restored:
            return _attention(conv, padded_grid(conv, size))
        return _windows(conv, size, window)

    return Witness.of(
        conv,
        inputs,
        queries,
        kind="border",
        symmetry="On a constant image all tokens have the same value, and rows of "
        "attention sum to one, whatever the scores are.",
        make=make,
        needs="a convolution that maps a constant image to different outputs",
    )


def refute_receptive_field(
    conv: Convolution, size: Size, window: Size | None = None
) -> Witness:
    """Change a pixel in another window.

    Args:
        conv: The convolution.
        size: Pixels per axis of the input.
        window: Pixels per axis of a window, smaller than the image. By default the
            longest axis is cut in as few windows as divide it.

    Returns:
        The witness; its control has one window.

    Raises:
        ArgumentError: If one window is the image, or the convolution does not reach
            from one window to another.
    """
    window = _cut(size) if window is None else window
    _check_windows(conv, size, window)
    if window == size:
        raise ArgumentError(
            f"a window of the whole image, {window}, sees all of it: ask for the layer "
            "with construct(), or give a smaller window"
        )
    inputs, query = changed(conv, size, _unseen(conv, size, window))
    return Witness.of(
        conv,
        inputs,
        (query, query),
        kind="receptive field",
        symmetry="The pixel that differs lies in another window, none of whose tokens "
        "the output attends to.",
        make=lambda restored: _windows(conv, size, size if restored else window),
        needs="an output that sees a pixel which the family does not see",
    )


def _pads_zeros(conv: Convolution) -> bool:
    padding = ConvGeometry.from_conv(conv).padding
    return conv.padding_mode == "zeros" and any(map(any, padding))


def _check_windows(conv: Convolution, size: Size, window: Size) -> None:
    bare_grid(conv, size)
    fits = len(size) == len(window) and all(
        m > 0 and n % m == 0 for n, m in zip(size, window, strict=True)
    )
    if not fits:
        raise ArgumentError(
            f"window needs to divide the image on every axis, got {window=} on {size}"
        )


def _preferences(
    conv: Convolution, pixels: int, centers: Int[Tensor, " heads"]
) -> Float[Tensor, "heads shifts"]:
    """Return numbers that prefer, by one at least, the key that a tap should copy."""
    shifts, centers = torch.arange(1 - pixels, pixels, device="cpu"), centers[:, None]
    if conv.padding_mode == "circular":
        return ((shifts - centers) % pixels == 0).double()
    if conv.padding_mode == "reflect":
        return 2 * (shifts == centers).double() + (shifts == -centers).double()
    return -(shifts - centers).square().double()


def _cut(size: Size) -> Size:
    """Return windows that cut the longest axis in as few parts as divide it."""
    longest = size.index(max(size))
    pixels = size[longest]
    parts = next((n for n in range(2, pixels + 1) if pixels % n == 0), 1)
    return tuple(n // parts if a == longest else n for a, n in enumerate(size))


def _unseen(
    conv: Convolution, size: Size, window: Size
) -> Iterator[tuple[Place, list[tuple[Place]]]]:
    """Yield outputs on lines through the middle, and pixels of other windows."""

    def window_of(pixel: Place) -> Place:
        return tuple(p // m for p, m in zip(pixel, window, strict=True))

    center = middle(conv, size)
    for axis, outputs in enumerate(ConvGeometry.from_conv(conv).output_size(size)):
        for place in range(outputs if window[axis] < size[axis] else 0):
            query = (*center[:axis], place, *center[axis + 1 :])
            own = window_of(pixel_of(conv, query))
            yield query, [(p,) for p in places(size) if window_of(p) != own]


def _windows(conv: Convolution, size: Size, window: Size) -> nn.Module:
    """Return window attention, read off at the outputs of a convolution."""
    whole = Grid.of(ConvGeometry.create([1] * len(window)), window)
    layer = Windows(_attention(conv, whole), window)
    return OnCanvas(layer, bare_grid(conv, size))


def _attention(conv: Convolution, grid: Grid) -> nn.Module:
    """Return attention in one window, which is the canvas of a grid."""
    heads = len(ConvGeometry.from_conv(conv).centers())
    return content_layer(conv, grid, WindowBias(grid.canvas_size, heads))


FAMILIES = (
    Family(
        name="swin",
        title="Swin window attention",
        claim=Claim(
            "Within one window, computes every convolution that pads by replication "
            "or circularly; with zero padding none whose border shows on a constant "
            "image, across windows none that reaches from one to another.",
            (
                "one window, or each window on its own",
                "replicate or circular padding, reflection of one pixel, or none",
                "one head a tap",
                "head dimension no less than the rank of a tap",
            ),
            "Liu et al. (2021)",
        ),
        heads="K²",
        constructor=construct,
        refuter=refute,
        takes=lambda: sample(
            nn.Conv2d,
            3,
            4,
            3,
            padding=1,
            padding_mode="replicate",
            dtype=torch.float32,
            size=(6, 8),
        ),
    ),
)

"""Window attention: a free bias for every displacement, within windows.

Liu et al. (2021), Swin: the image is cut in windows of M × M tokens and each attends
to itself, softmax(QKᵀ/√d + B) V. B comes from a table of (2M − 1) × (2M − 1) numbers a
head, shared by all windows: one for every displacement (the paper counts query minus
key; here δ is key minus query, as everywhere).

What the table can make up for is the border of the window. With a target q + Δ beyond
it, the key is found by displacements that are left over: the nearest, −α (δ − Δ)²,
which clamps; δ ≡ Δ modulo M, which wraps; or −Δ, the second best, which reflects while
the reach is one. So one window computes convolutions that pad by replication or
circularly, several windows each window's own. Not so

- zero padding: on a constant image all tokens are alike and rows sum to one
  (:func:`refute_border`);
- an image of several windows: what lies beyond a window has no part in its outputs
  (:func:`refute_receptive_field`), in shifted windows neither.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from expressivity.atlas.biased import BiasedAttention, one_head_a_tap
from expressivity.atlas.family import Claim, Family, Sample
from expressivity.atlas.pairs import Place, changed, constant, middle, pixel_of, places
from expressivity.atlas.tokens import (
    OnCanvas,
    OnTokens,
    bare_grid,
    padded_grid,
    require,
)
from expressivity.atlas.window_layers import WindowBias, Windows
from expressivity.atlas.witness import Witness, randomised
from expressivity.errors import ArgumentError
from expressivity.geometry import ConvGeometry
from expressivity.geometry.convolution import Convolution
from expressivity.geometry.grid import Grid


def construct(
    conv: Convolution,
    size: tuple[int, ...],
    alpha: float,
    window: tuple[int, ...] | None = None,
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


def refute(
    conv: Convolution, size: tuple[int, ...], window: tuple[int, ...] | None = None
) -> Witness:
    """Return a border witness against zero padding, otherwise one across windows.

    Args:
        conv: The convolution.
        size: Pixels per axis of the input.
        window: Pixels per axis of a window. By default, against zero padding one
            window is the image, and otherwise its longest axis is cut.

    Returns:
        The witness.

    Raises:
        ArgumentError: If neither applies: one window without zero padding.
    """
    if _pads_zeros(conv):
        return refute_border(conv, size, window)
    return refute_receptive_field(conv, size, window)


def refute_border(
    conv: Convolution, size: tuple[int, ...], window: tuple[int, ...] | None = None
) -> Witness:
    """Compare two outputs on one constant image.

    Values depend on the token alone: with absolute positions added to the tokens, a
    constant image would be none.

    Args:
        conv: A convolution that pads with zeros.
        size: Pixels per axis of the input.
        window: Pixels per axis of a window, by default the whole image.

    Returns:
        The witness; its control has padding tokens in the window.

    Raises:
        ArgumentError: If the convolution maps constant images to constants.
    """
    window = size if window is None else window
    _check_windows(conv, size, window)
    require(_pads_zeros(conv), conv, "zero padding for a border witness")
    inputs, queries = constant(conv, size)
    return Witness.of(
        conv,
        inputs,
        queries,
        kind="border",
        symmetry="On a constant image all tokens have the same value, and rows of "
        "attention sum to one, whatever the scores are.",
        layer=lambda seed: _random(conv, size, window, seed),
        control=lambda seed: _random_on(conv, padded_grid(conv, size), seed),
        needs="a convolution that maps a constant image to different outputs",
    )


def refute_receptive_field(
    conv: Convolution, size: tuple[int, ...], window: tuple[int, ...] | None = None
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
        layer=lambda seed: _random(conv, size, window, seed),
        control=lambda seed: _random(conv, size, size, seed),
        needs="an output that sees a pixel which the family does not see",
    )


def _pads_zeros(conv: Convolution) -> bool:
    padding = ConvGeometry.from_conv(conv).padding
    return conv.padding_mode == "zeros" and any(map(any, padding))


def _check_windows(
    conv: Convolution, size: tuple[int, ...], window: tuple[int, ...]
) -> None:
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


def _cut(size: tuple[int, ...]) -> tuple[int, ...]:
    """Return windows that cut the longest axis in as few parts as divide it."""
    longest = size.index(max(size))
    pixels = size[longest]
    parts = next((n for n in range(2, pixels + 1) if pixels % n == 0), 1)
    return tuple(n // parts if a == longest else n for a, n in enumerate(size))


def _unseen(
    conv: Convolution, size: tuple[int, ...], window: tuple[int, ...]
) -> Iterator[tuple[Place, list[Place]]]:
    """Yield outputs on lines through the middle, and pixels of other windows."""

    def window_of(pixel: Place) -> Place:
        return tuple(p // m for p, m in zip(pixel, window, strict=True))

    center = middle(conv, size)
    for axis, outputs in enumerate(ConvGeometry.from_conv(conv).output_size(size)):
        for place in range(outputs if window[axis] < size[axis] else 0):
            query = (*center[:axis], place, *center[axis + 1 :])
            own = window_of(pixel_of(conv, query))
            yield query, [p for p in places(size) if window_of(p) != own]


def _random(
    conv: Convolution, size: tuple[int, ...], window: tuple[int, ...], seed: int
) -> nn.Module:
    """Return random window attention, read off at the outputs of a convolution."""
    whole = Grid.of(ConvGeometry.create([1] * len(window)), window)
    layer = Windows(_random_on(conv, whole, seed), window)
    return OnCanvas(layer, bare_grid(conv, size))


def _random_on(conv: Convolution, grid: Grid, seed: int) -> nn.Module:
    """Return random attention in one window, which is the canvas of a grid."""
    heads = len(ConvGeometry.from_conv(conv).centers())
    layer = BiasedAttention(
        conv.in_channels,
        conv.out_channels,
        position_bias=WindowBias(grid.canvas_size, heads),
        heads=heads,
        head_dim=max(conv.in_channels, 4),
    )
    return OnTokens(randomised(layer, seed), grid)


def _takes() -> Sample:
    """Return a convolution that pads by replication."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        conv = nn.Conv2d(3, 4, 3, padding=1, padding_mode="replicate", device="cpu")
        return Sample(conv.double(), (6, 8))


FAMILIES = (
    Family(
        name="windows",
        title="Swin window attention",
        verdict="conditional",
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
        takes=_takes,
    ),
)

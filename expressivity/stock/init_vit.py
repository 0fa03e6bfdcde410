"""Initialise a stock vision transformer so that its heads attend to shifts.

The construction is that of the family ``vit`` of the atlas: quadratic scores of
positions that have channels of their own, −α‖k − t‖² = (2αt, −α) · (k, ‖k‖²) up to a
term of the query. LayerNorm sees a stream that is nearly constant in size, because two
channels hold ±B; every code has a twin of the other sign, so that no mean is left.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.checks import (
    check_instance,
    check_integer,
    check_positive,
    check_size,
    integers,
    shown,
)
from expressivity.errors import ArgumentError, UnsupportedModuleError
from expressivity.geometry.positions import grid_positions
from expressivity.heads.leak import leak
from expressivity.results import Result
from expressivity.stock.encoder import EncoderBlock, encoder_blocks, is_post_norm
from expressivity.stock.vit_stream import (
    codes_of,
    shifted_maps,
    write_block,
    write_stream,
)

Shift = tuple[int, ...]
_WIDE = (torch.float32, torch.float64)
_FACTOR = 2.0  # what LayerNorm may multiply the stated bound by, at the default anchor


@dataclass(frozen=True, repr=False)
class VitInitialisation(Result):
    """What :func:`init_vit` wrote into a model, and how exact it is.

    Attributes:
        shifts: The shift (rows, columns) of every head, in patches, per block.
        alpha: Locality strength, 1/patch².
        size: Patches per axis.
        class_token: Whether a class token comes first, which attends to all tokens with
            nearly one weight.
        anchor: B, what two channels of every token hold, with both signs.
        content_bound: Largest ‖x‖₂ of the content of a token for which ``bound`` holds.
        bound: Largest attention, as a probability, that a patch gives to others than
            the one at its shift, or than the nearest one where the shift leads out of
            the image; in exact arithmetic.
        channels: Channels at the end of the width that positions take.
    """

    shifts: tuple[tuple[Shift, ...], ...]
    alpha: float
    size: tuple[int, ...]
    class_token: bool
    anchor: float
    content_bound: float
    bound: float
    channels: int

    def __repr__(self) -> str:
        return (
            f"VitInitialisation({len(self.shifts)} blocks, alpha={self.alpha:.4g}, "
            f"bound={self.bound:.2g})"
        )

    def __str__(self) -> str:
        heads = sum(map(len, self.shifts))
        return (
            f"{heads} heads in {len(self.shifts)} blocks attend to shifts on "
            f"{'×'.join(map(str, self.size))} patches at alpha={self.alpha:.4g}; at "
            f"most {self.bound:.2g} of their attention is elsewhere while the content "
            f"of a token is at most {self.content_bound:.3g} long"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON takes it."""
        return {**vars(self), "shifts": [list(map(list, b)) for b in self.shifts]}

    def maps(self, block: int) -> Float[Tensor, "heads tokens tokens"]:
        """Return the attention that a block was aimed at: one patch a row.

        A class token attends to all tokens alike, up to what LayerNorm does.

        Args:
            block: Index of the block.
        """
        aimed = shifted_maps(self.size, self.shifts[block])
        if not self.class_token:
            return aimed
        padded = torch.nn.functional.pad(aimed, (1, 0, 1, 0))
        padded[:, 0] = 1 / padded.shape[1]
        return padded


@torch.no_grad()
def init_vit(
    model: nn.Module,
    *,
    kernels: int | Sequence[Sequence[Sequence[int]]] = 3,
    alpha: float = 4.0,
    size: Sequence[int] | None = None,
    content_bound: float | None = None,
    anchor: float | None = None,
    generator: torch.Generator | None = None,
) -> VitInitialisation:
    """Set queries and keys of every block so that heads attend to shifts of a kernel.

    The model is changed in place and stays what it was: no module is added. The last
    channels of its width hold positions and two constants; nothing writes into them at
    first, and they are trained like all others. Values, outputs and MLPs keep the
    weights that they have, but for these channels. Content reaches queries as soon as
    training moves them: further dimensions of queries start at zero, those of keys at
    what they were.

    Args:
        model: A vision transformer with one encoding of positions that is learned and
            added to the tokens: of torch's ``TransformerEncoderLayer``, timm's
            ``VisionTransformer``, or transformers' ``ViTModel`` and what holds one.
        kernels: Taps per axis of a kernel whose shifts the heads of every block draw
            at random, each tap once before one comes twice; or the shifts
            themselves, one (rows, columns) in patches a head, for every block.
        alpha: Locality strength, 1/patch². The default is soft enough to be trained.
        size: Patches per axis, (rows, columns); by default the model's, or a square.
        content_bound: Largest ‖x‖₂ of a token's content that the bound is to hold for;
            by default √width, one a channel.
        anchor: B, the size of the two constants. By default just so large that
            LayerNorm at most doubles the bound. A smaller one leaves LayerNorm more to
            normalise, a larger one makes heads more exact.
        generator: What random shifts are drawn from; by default torch's own.

    Returns:
        The shifts and the bound.

    Raises:
        ArgumentError: If a number is out of range, shifts do not fit the blocks, the
            model is of half precision, too narrow, has no bias of queries, or no
            encoding of positions that fits.
        UnsupportedModuleError: If the model holds no such block.

    Reference:
        Statements ``absolute_factorisation``, ``leak`` and ``replicate_border``;
        Cordonnier et al. (2020), Theorem 1.

    Example:
        >>> class Vit(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.patches = nn.Conv2d(1, 32, 2, 2)
        ...         self.position = nn.Parameter(torch.zeros(1, 16, 32))
        ...         layer = nn.TransformerEncoderLayer(
        ...             32, 4, 64, batch_first=True, norm_first=True)
        ...         self.blocks = nn.TransformerEncoder(
        ...             layer, 2, enable_nested_tensor=False)
        ...     def forward(self, x):
        ...         return self.blocks(self.patches(x).flatten(2).mT + self.position)
        >>> model = Vit().eval()
        >>> result = init_vit(model, alpha=8.0)
        >>> from expressivity.stock import attention_maps
        >>> first, _ = attention_maps(model, torch.rand(1, 1, 8, 8))
        >>> gap = (first[0] - result.maps(0)).abs().max().item()
        >>> gap <= result.bound < 0.01
        True
    """
    blocks = encoder_blocks(model)
    alpha = check_positive("alpha", alpha)
    if generator is not None:
        check_instance("generator", generator, torch.Generator, "Pass a Generator")
    position = vit_positions(model)
    size, prefix = size_of_vit(model, position, size)
    width = blocks[0].query.shape[2]
    _require_fit(blocks, position, axes=len(size))
    shifts = _shifts(blocks, kernels, axes=len(size), generator=generator)
    code, units = codes_of(size, prefix)
    if content_bound is None:
        content_bound = math.sqrt(width)
    content_bound = check_positive("content_bound", content_bound)
    farthest = max(math.hypot(*shift) for block in shifts for shift in block)
    radius = math.sqrt(units[len(size)])
    sensitivity = alpha * radius * (10 * radius + 4 * farthest)
    if anchor is None:
        anchor = _anchor_for(math.log(_FACTOR) / sensitivity, content_bound)
    anchor = check_positive("anchor", anchor)
    channels = 2 * code.shape[1] + 2
    if width <= channels:
        raise ArgumentError(
            f"positions take {channels} channels, got a model of width {width}: it "
            "needs to be wider"
        )
    share = anchor / (2 * math.sqrt(code.shape[1]))  # of a code in the stream
    write_stream(model, blocks, position, code * share, anchor, channels)
    for block, own in zip(blocks, shifts, strict=True):
        parent = model.get_submodule(block.name.rpartition(".")[0])
        unit = share if is_post_norm(parent) else 1.0
        write_block(block, own, units, alpha, channels, unit, class_token=prefix)
    loss = 1 - 1 / math.sqrt(1 + content_bound**2 / (2 * anchor**2))
    small = leak(alpha, len(size))
    off = small / (1 - small) + (math.exp(-alpha * radius**2) if prefix else 0.0)
    bound = min(1.0, math.exp(min(loss * sensitivity, 700.0)) * off)
    return VitInitialisation(
        shifts, alpha, size, prefix, anchor, content_bound, bound, channels
    )


def _anchor_for(loss: float, content_bound: float) -> float:
    """Return B for which LayerNorm scales by at least 1 − loss."""
    if loss >= 1:
        return content_bound
    return content_bound / math.sqrt(2 * (1 / (1 - loss) ** 2 - 1))


def vit_positions(model: nn.Module) -> Tensor:
    """Return the encoding of positions, (tokens, width)."""
    width = encoder_blocks(model)[0].query.shape[2]
    found = {
        name: parameter
        for name, parameter in model.named_parameters()
        if "pos" in name.rpartition(".")[2]
        and parameter.dim() >= 2
        and parameter.shape[-1] == width
        and parameter.numel() == parameter.shape[-2] * width
    }
    if len(found) != 1:
        raise UnsupportedModuleError(
            "model needs one parameter whose name says that it holds positions, "
            f"(tokens, {width}), got {sorted(found) or 'none'}"
        )
    (parameter,) = found.values()
    return parameter.detach().view(-1, width)


def size_of_vit(
    model: nn.Module, position: Tensor, size: Sequence[int] | None
) -> tuple[tuple[int, ...], bool]:
    """Return the patches per axis, and whether a class token comes first."""
    tokens = len(position)
    if size is None:
        patches = getattr(model, "patch_embed", None)
        size = getattr(patches, "grid_size", None)
        size = size if size is None else tuple(size)
    if size is None:
        side = math.isqrt(tokens)
        size = (side, side) if side * side in (tokens, tokens - 1) else (tokens,)
    size = check_size("size", size, 2)
    prefix = tokens - math.prod(size)
    own = getattr(model, "num_prefix_tokens", prefix)
    if prefix not in (0, 1) or own != prefix:
        raise ArgumentError(
            "positions need one entry a patch, and one more for a class token, got "
            f"{tokens} for {size} patches and {own} other tokens: pass size=, and "
            "build the model without register tokens and with positions for the class "
            "token"
        )
    return size, bool(prefix)


def _require_fit(
    blocks: Sequence[EncoderBlock], position: Tensor, *, axes: int
) -> None:
    if position.dtype not in _WIDE:
        raise ArgumentError(
            f"positions need float32 or float64, got {position.dtype}: initialise "
            "first and cast afterwards"
        )
    for block in blocks:
        if block.query_bias is None:
            raise ArgumentError(
                f"{block.name} needs a bias of queries, which holds the shifts: build "
                "the model with qkv_bias=True"
            )
        if block.query.shape[1] < axes + 1:
            raise ArgumentError(
                f"heads need a width of at least {axes + 1}, got "
                f"{block.query.shape[1]} in {block.name}"
            )


def _shifts(
    blocks: Sequence[EncoderBlock],
    kernels: int | Sequence[Sequence[Sequence[int]]],
    *,
    axes: int,
    generator: torch.Generator | None,
) -> tuple[tuple[Shift, ...], ...]:
    """Return the shift of every head of every block."""
    if isinstance(kernels, Sequence) and not isinstance(kernels, (str, bytes)):
        return _given_shifts(blocks, kernels, axes=axes)
    taps = check_integer("kernels", kernels, most=2**10)
    return random_shifts(blocks, taps, axes=axes, generator=generator)


def random_shifts(
    blocks: Sequence[EncoderBlock],
    taps: int,
    *,
    axes: int,
    generator: torch.Generator | None,
) -> tuple[tuple[Shift, ...], ...]:
    """Draw a shift for every head of every block from the taps of a kernel."""
    around = range(-((taps - 1) // 2), taps // 2 + 1)
    places = grid_positions([around] * axes, torch.device("cpu")).tolist()
    drawn = []
    for block in blocks:
        rounds = -(-block.heads // len(places))
        order = torch.cat([
            torch.randperm(len(places), generator=generator, device="cpu")
            for _ in range(rounds)
        ])
        own = [tuple(map(int, places[i])) for i in order[: block.heads].tolist()]
        drawn.append(tuple(own))
    return tuple(drawn)


def _given_shifts(
    blocks: Sequence[EncoderBlock],
    kernels: Sequence[Sequence[Sequence[int]]],
    *,
    axes: int,
) -> tuple[tuple[Shift, ...], ...]:
    wanted = [block.heads for block in blocks]
    shifts = tuple(
        tuple(integers(shift) or () for shift in block)
        if isinstance(block, Sequence)
        else ()
        for block in kernels
    )
    counts = [len(block) for block in shifts]
    if counts != wanted or any(len(s) != axes for block in shifts for s in block):
        raise ArgumentError(
            "kernels needs the taps per axis of a kernel, or a shift of "
            f"{axes} integers for each of {wanted} heads, block by block, got "
            f"{shown(kernels)}"
        )
    return shifts

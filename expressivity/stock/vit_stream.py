"""Write positions into the stream of a vision transformer, and read them in its heads.

A token holds, behind its content: codes within ±1 in some unit, their twins of the
other sign, and two constants. All of it together has the size √2 B in every token, and
the sum zero, so that LayerNorm divides by B √(2 / width), but for the content.
"""

import math
from collections.abc import Sequence
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.errors import ArgumentError
from expressivity.geometry.positions import grid_positions
from expressivity.stock.encoder import EncoderBlock, feeding_norms, is_post_norm


def places_of(size: Sequence[int]) -> Float[Tensor, "patches axes"]:
    """Return where patches are, counted from the middle of the image."""
    positions = grid_positions(
        [range(n) for n in size], torch.device("cpu"), torch.float64
    )
    middle = [(n - 1) / 2 for n in size]
    return positions - positions.new_tensor(middle)


def shifted_maps(
    size: Sequence[int], shifts: Sequence[tuple[int, ...]]
) -> Float[Tensor, "heads patches patches"]:
    """Return one-hot rows at the shift of every patch, or the patch nearest to it."""
    places = places_of(size)
    low, high, count = places.amin(0), places.amax(0), len(places)
    aimed = places.new_zeros(len(shifts), count, count)
    for head, shift in enumerate(shifts):
        targets = (places + places.new_tensor(shift)).clamp(low, high)
        nearest = (targets[:, None] - places).square().sum(-1).argmin(1)
        aimed[head].scatter_(1, nearest[:, None], 1.0)
    return aimed


def codes_of(
    size: Sequence[int], class_token: bool
) -> tuple[Float[Tensor, "tokens codes"], list[float]]:
    """Return the codes (k, ‖k‖²) of all tokens within ±1, and their units.

    A class token has the largest ‖k‖² and a code of its own, which is 1.
    """
    places = places_of(size)
    square = places.square().sum(1, keepdim=True)
    code = torch.cat([places, square], 1)
    units = code.abs().amax(0).clamp(min=1.0)
    code = code / units
    if class_token:
        code = torch.nn.functional.pad(code, (0, 1, 1, 0))
        code[0, -2:] = 1.0
    return code, units.tolist()


def write_stream(
    model: nn.Module,
    blocks: Sequence[EncoderBlock],
    position: Tensor,
    code: Tensor,
    anchor: float,
    channels: int,
) -> None:
    """Reserve channels: positions are added to them and nothing else writes there."""
    width, count = position.shape[1], code.shape[1]
    own = slice(width - channels, width)
    rest = (anchor**2 - code.square().sum(1, keepdim=True)).sqrt()
    position[:, own] = torch.cat([code, -code, rest, -rest], 1).to(position)
    for name, parameter in model.named_parameters():
        if "cls" in name or "class_token" in name:
            parameter.detach()[..., own] = 0
    parents = [block.name.rpartition(".")[0] for block in blocks]
    attentions = {id(part) for block in blocks for part in block.inner}
    feeding, before = feeding_norms(model, blocks), True
    post = any(is_post_norm(model.get_submodule(parent)) for parent in parents)
    share = anchor / (2 * math.sqrt(count))
    for name, module in model.named_modules():
        before = before and name != parents[0]
        if isinstance(module, nn.LayerNorm) and module.normalized_shape == (width,):
            _write_norm(module, anchor, own, post=post)
            if id(module) in feeding:
                codes = slice(own.start, own.start + 2 * count)
                module.weight[codes] = _gain(module, anchor) / share
        elif id(module) not in attentions:
            within = any(name.startswith(f"{parent}.") for parent in parents)
            _clear(module, own, width, reads=not before, writes=before or within)
    for block in blocks:
        block.value[..., own] = 0
        block.output[own] = 0
        if block.output_bias is not None:
            block.output_bias[own] = 0


def _write_norm(norm: nn.LayerNorm, anchor: float, own: slice, *, post: bool) -> None:
    """Let a LayerNorm pass content as it is, and the stream of a post-norm block."""
    if norm.weight is None:
        raise ArgumentError(
            "LayerNorm needs weights, which undo its division: build the model with "
            "elementwise_affine=True"
        )
    norm.weight.fill_(_gain(norm, anchor))
    if not post:
        norm.weight[own] = 0
    if norm.bias is not None:
        norm.bias.zero_()


def _gain(norm: nn.LayerNorm, anchor: float) -> float:
    """Return the deviation of a token whose content is zero."""
    return math.sqrt(2 * anchor**2 / norm.normalized_shape[0] + norm.eps)


def _clear(
    module: nn.Module, own: slice, width: int, *, reads: bool, writes: bool
) -> None:
    """Let a linear map not read the channels of positions, or not write into them."""
    if isinstance(module, nn.Linear):
        writes = writes and module.out_features == width
        if reads and module.in_features == width:
            module.weight[:, own] = 0
    elif isinstance(module, nn.Conv2d):
        writes = module.out_channels == width
    else:
        return
    if writes:
        module.weight[own] = 0
        if module.bias is not None:
            module.bias[own] = 0


def write_block(
    block: EncoderBlock,
    shifts: Sequence[tuple[int, ...]],
    units: Sequence[float],
    alpha: float,
    channels: int,
    unit: float,
    *,
    class_token: bool,
) -> None:
    """Write (2αt, −α) into the queries of a block and (k, ‖k‖²) into its keys."""
    axes = len(units) - 1
    codes = channels // 2 - 1
    first = block.query.shape[2] - channels
    query, key, bias = block.query, block.key, cast("Tensor", block.query_bias)
    query.zero_()
    bias.zero_()
    key[:, : axes + 1] = 0
    key[..., first:] = 0
    if block.key_bias is not None:
        block.key_bias[:, : axes + 1] = 0

    def read(weight: Tensor, dimension: int, code: int, factor: Tensor | float) -> None:
        """Read a code: half the difference of a channel and its twin."""
        weight[:, dimension, first + code] = factor / (2 * unit)
        weight[:, dimension, first + codes + code] = -factor / (2 * unit)

    strength = alpha / block.scale
    steps = query.new_tensor(shifts)
    for axis in range(axes):
        gain = math.sqrt(2 * strength) * units[axis]
        read(key, axis, axis, gain)
        read(query, axis, axis, gain)
        aim = math.sqrt(2 * strength) * steps[:, axis]
        bias[:, axis] = aim
        if class_token:
            read(query, axis, codes - 1, -aim)
    gain = math.sqrt(strength * units[axes])
    read(key, axes, axes, gain)
    bias[:, axes] = -gain
    if class_token:
        read(query, axes, codes - 1, gain)

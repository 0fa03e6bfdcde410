"""Attention of vision libraries: timm's ``GPSA``, Swin's windows, ``ViTAttention``.

No library is imported: a module is known by the names of its parameters.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from expressivity.attention import RelativeSelfAttention
from expressivity.checks import check_instance
from expressivity.errors import ArgumentError, UnsupportedModuleError
from expressivity.geometry.grid import Grid
from expressivity.geometry.positions import displacements
from expressivity.heads.parameters import Heads
from expressivity.stock.encoder import VIT_MAPS
from expressivity.stock.factors import Slots, least_width, write, write_values
from expressivity.stock.image_tokens import ImageTokens, checked, places

_GPSA = ("qk", "v", "proj", "pos_proj")
# Values and outputs of Swin: timm keeps the former with queries and keys in one map.
_SWIN = (("qkv", "proj"), ("self.value", "output.dense"), ("v_proj", "o_proj"))
_TABLE, _INDEX = "relative_position_bias_table", "relative_position_index"


@torch.no_grad()
def fill_gpsa(
    module: nn.Module, attention: RelativeSelfAttention, *, size: Sequence[int]
) -> ImageTokens:
    """Fill timm's ``GPSA``, gated positional self-attention, with a layer's weights.

    The gates close to content: σ(λ) is one up to rounding.

    Args:
        module: A ``GPSA`` with as many heads as the layer, changed in place.
        attention: A layer over two axes that attends by quadratic positions.
        size: Pixels per axis of the input; the canvas has to be a square.

    Returns:
        The module, image in and image out.

    Raises:
        ArgumentError: If the layer is no such one, the canvas is no square, or the
            module has other heads or is too narrow.
        InputError: If the size does not suit the layer.
        UnsupportedModuleError: If the module is no ``GPSA``.
    """
    maps = _maps(module, _GPSA)
    gate = getattr(module, "gating_param", None)
    if maps is None or not isinstance(gate, Tensor):
        raise UnsupportedModuleError(
            f"module needs to be timm's GPSA, got {_kind(module)}"
        )
    heads, grid = checked(attention, size)
    if len(set(grid.canvas_size)) != 1 or len(grid.canvas_size) != 2:
        raise ArgumentError(
            f"GPSA needs a square canvas, got {grid.canvas_size} tokens: pad the input "
            "to a square"
        )
    _, value, output, place = maps
    channels, width = attention.in_channels, value.in_features
    _require_room(module, heads, channels, width, code=0)
    _zero(module)
    count = len(heads.alpha)
    slots = Slots(
        query=value.weight[:0],
        query_bias=value.weight[:0],
        key=value.weight[:0],
        value=value.weight.unflatten(0, (count, -1)),
        output=output.weight.unflatten(1, (count, -1)),
        output_bias=output.bias,
    )
    write_values(slots, heads, in_channels=channels)
    alpha, centers = heads.alpha.double(), heads.centers.double()
    # Displacements in its order: columns, rows, the squared distance.
    place.weight[:, :2] = 2 * alpha[:, None] * centers.flip(-1)
    place.weight[:, 2] = -alpha
    gate.fill_(_closed(value.weight.dtype))
    nothing = value.weight.new_zeros(math.prod(grid.canvas_size), 0)
    return ImageTokens(
        module,
        grid,
        in_channels=channels,
        out_channels=attention.out_channels,
        width=width,
        position=nothing,
    ).train(attention.training)


@torch.no_grad()
def fill_swin(
    module: nn.Module, attention: RelativeSelfAttention, *, size: Sequence[int]
) -> ImageTokens:
    """Fill Swin's window attention, of timm or of transformers, with a layer's weights.

    The window has to be the whole canvas: Swin's windows do not overlap, so that none
    of several holds a convolution whose taps cross their border. Queries and keys are
    zero; the bias of relative positions holds all scores.

    Args:
        module: A ``WindowAttention`` of timm or a ``SwinAttention`` of transformers
            with as many heads as the layer and a window of the canvas, changed in
            place.
        attention: A layer over two axes that attends by quadratic positions.
        size: Pixels per axis of the input, fixed.

    Returns:
        The module, image in and image out.

    Raises:
        ArgumentError: If the layer is no such one, or the module has another window,
            other heads, or is too narrow.
        InputError: If the size does not suit the layer.
        UnsupportedModuleError: If the module is no such attention.
    """
    maps = next(filter(None, (_maps(module, names) for names in _SWIN)), None)
    tensors = {
        name.rpartition(".")[2]: tensor
        for name, tensor in (*module.named_parameters(), *module.named_buffers())
    }
    table, index = tensors.get(_TABLE), tensors.get(_INDEX)
    if maps is None or table is None or index is None:
        raise UnsupportedModuleError(
            "module needs to be WindowAttention of timm or SwinAttention of "
            f"transformers, version 1 of Swin, got {_kind(module)}"
        )
    heads, grid = checked(attention, size)
    gaps = _displacements(table, index, grid)
    value, output = maps
    channels, width, inner = (
        attention.in_channels,
        value.in_features,
        output.in_features,
    )
    _require_room(module, heads, channels, min(width, inner), code=0)
    _zero(module)
    count = len(heads.alpha)
    slots = Slots(
        query=value.weight[:0],
        query_bias=value.weight[:0],
        key=value.weight[:0],
        value=value.weight[-inner:].unflatten(0, (count, -1)),
        output=output.weight.unflatten(1, (count, -1)),
        output_bias=output.bias,
    )
    write_values(slots, heads, in_channels=channels)
    alpha, centers = heads.alpha.double(), heads.centers.double()
    table.copy_(-alpha * (gaps[:, None] - centers).square().sum(-1))
    return ImageTokens(
        module,
        grid,
        in_channels=channels,
        out_channels=attention.out_channels,
        width=width,
        position=value.weight.new_zeros(math.prod(grid.canvas_size), 0),
    ).train(attention.training)


@torch.no_grad()
def fill_vit(
    module: nn.Module, attention: RelativeSelfAttention, *, size: Sequence[int]
) -> ImageTokens:
    """Fill ``ViTAttention`` of transformers with a layer's weights.

    Args:
        module: A ``ViTAttention`` with as many heads as the layer and with biases of
            queries (``qkv_bias=True``), changed in place.
        attention: A layer that attends by quadratic positions.
        size: Pixels per axis of the input, fixed.

    Returns:
        The module, image in and image out; its tokens say where they are, as position
        embeddings do.

    Raises:
        ArgumentError: If the layer is no such one, or the module has other heads, is
            too narrow or has no bias.
        InputError: If the size does not suit the layer.
        UnsupportedModuleError: If the module is no ``ViTAttention``.
    """
    maps = next(filter(None, (_maps(module, names) for names in VIT_MAPS)), None)
    if maps is None:
        raise UnsupportedModuleError(
            f"module needs to be ViTAttention of transformers, got {_kind(module)}"
        )
    heads, grid = checked(attention, size)
    query, key, value, output = maps
    position = places(grid, value.weight)
    channels, width = attention.in_channels, value.in_features
    _require_room(module, heads, channels, width, code=position.shape[1])
    if query.bias is None:
        raise ArgumentError("ViTAttention needs biases of queries: qkv_bias=True")
    _zero(module)
    count = len(heads.alpha)
    slots = Slots(
        query=query.weight.unflatten(0, (count, -1)),
        query_bias=query.bias.unflatten(0, (count, -1)),
        key=key.weight.unflatten(0, (count, -1)),
        value=value.weight.unflatten(0, (count, -1)),
        output=output.weight.unflatten(1, (count, -1)),
        output_bias=output.bias,
    )
    write(slots, heads, in_channels=channels, scale=slots.query.shape[1] ** -0.5)
    return ImageTokens(
        module,
        grid,
        in_channels=channels,
        out_channels=attention.out_channels,
        width=width,
        position=position,
    ).train(attention.training)


def _maps(module: nn.Module, names: Sequence[str]) -> tuple[nn.Linear, ...] | None:
    """Return the linear maps of some names, if a module has all of them."""
    check_instance("module", module, nn.Module, "Pass an instance of the library's")
    found = dict(module.named_modules())
    maps = tuple(m for n in names if isinstance(m := found.get(n), nn.Linear))
    return maps if len(maps) == len(names) else None


def _displacements(table: Tensor, index: Tensor, grid: Grid) -> Tensor:
    """Return δ = k − q of every entry of a table of biases, (entries, axes).

    Raises:
        ArgumentError: If its window is not the whole canvas.
    """
    canvas = grid.canvas_size
    axes = [range(tokens) for tokens in canvas]
    every = displacements(axes, axes, index.device)
    if len(canvas) == 2 and index.numel() == every[..., 0].numel():
        index = index.reshape(every.shape[:2])  # some keep it flat
        # Any pair of tokens will do for an entry, if all of its pairs are alike.
        pairs = torch.zeros(len(table), dtype=torch.long, device=index.device)
        pairs[index.flatten()] = torch.arange(index.numel(), device=index.device)
        found = every.flatten(0, 1)[pairs]
        if torch.equal(found[index], every):
            return found
    raise ArgumentError(
        f"Swin's attention needs the canvas as its window, {canvas} tokens over two "
        f"axes, got another one, of {math.isqrt(index.numel())} tokens: make the "
        f"module with window_size={canvas}"
    )


def _require_room(
    module: nn.Module, heads: Heads, channels: int, width: int, *, code: int
) -> None:
    """Refuse a module with other heads than the layer, or too narrow for it."""
    count = len(heads.alpha)
    least = count * least_width(heads, channels, code=code)
    own = next(
        (
            int(number)
            for name in ("num_heads", "num_attention_heads")
            for part in module.modules()
            if isinstance(number := getattr(part, name, None), int)
        ),
        None,
    )
    if own != count or width < least:
        raise ArgumentError(
            f"{_kind(module)} needs {count} heads and a width of at least {least}, a "
            f"multiple of the heads, got {own} heads and a width of {width}"
        )


def _zero(module: nn.Module) -> None:
    for parameter in module.parameters():
        parameter.zero_()


def _closed(dtype: torch.dtype) -> float:
    """Return a gate λ so large that 1 − σ(λ) is below rounding."""
    return -2 * math.log(torch.finfo(dtype).eps)


def _kind(module: nn.Module) -> str:
    return type(module).__name__

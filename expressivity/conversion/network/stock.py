"""A converted network in ``torch.nn.MultiheadAttention``, for inputs of one size."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from expressivity.attention import RelativeSelfAttention
from expressivity.checks import check_size
from expressivity.conversion.network.records import Conversion
from expressivity.conversion.network.rehearsal import Inputs
from expressivity.conversion.network.selection import convolution_like
from expressivity.convolutions import CONVOLUTIONS
from expressivity.errors import ArgumentError, UnsupportedModuleError
from expressivity.saved.program import Example, input_sizes
from expressivity.stock import ImageMultihead, to_multihead

Into = Literal["relative", "multihead"]


def images(model: nn.Module, size: Sequence[int] | None) -> Tensor:
    """Return a batch of images for the first convolution of a network.

    Args:
        model: The network.
        size: Pixels per axis.

    Returns:
        Zeros, (2, channels, *size).

    Raises:
        ArgumentError: If there is no size.
        UnsupportedModuleError: If the network has no convolution.
    """
    if size is None:
        raise ArgumentError(
            "into='multihead' is for inputs of one size: pass size=, the pixels of the "
            "network's input, or inputs="
        )
    size = check_size("size", size)
    if not isinstance(model, nn.Module):
        raise UnsupportedModuleError(
            f"convert needs an nn.Module, got {type(model).__name__}"
        )
    for _, module in convolution_like(model):
        if isinstance(module, CONVOLUTIONS):
            return module.weight.new_zeros(2, module.in_channels, *size).detach()
    raise UnsupportedModuleError(
        f"size= needs a convolution that takes it, got {type(model).__name__} without "
        "any: pass inputs="
    )


def stock_layers(
    model: nn.Module, inputs: Inputs
) -> tuple[dict[str, ImageMultihead], dict[str, str]]:
    """Return what stands for each attention layer, and why some cannot be replaced.

    Layers that share their weights go on sharing them.

    Args:
        model: The converted network.
        inputs: Its arguments.

    Returns:
        The stock layers by name, and reasons by name.
    """
    sizes = input_sizes(model, Example(inputs))
    stock: dict[str, ImageMultihead] = {}
    unsuited: dict[str, str] = {}
    owners: dict[tuple[int, ...], str] = {}
    for name, module in model.named_modules():
        if not isinstance(module, RelativeSelfAttention):
            continue
        if name not in sizes:
            unsuited[name] = "its inputs have several sizes, or it is not called"
            continue
        try:
            stock[name] = to_multihead(module, size=sizes[name])
            _tie(name, module, stock, owners)
        except ArgumentError as error:
            unsuited[name] = str(error)
    return stock, unsuited


def _tie(
    name: str,
    layer: RelativeSelfAttention,
    stock: Mapping[str, ImageMultihead],
    owners: dict[tuple[int, ...], str],
) -> None:
    """Share the parameters that a layer shares with an earlier one.

    Raises:
        ArgumentError: If its place in a stock module has other numbers, so that a copy
            would be trained apart from it.
    """
    roles = {
        ("in_proj_weight", "in_proj_bias", "out_proj.weight"): (
            layer.value_weight,
            layer.output_weight,
        ),
        ("out_proj.bias",): (layer.bias,),
    }
    for places, parameters in roles.items():
        present = tuple(id(each) for each in parameters if each is not None)
        owner = owners.setdefault(present, name) if present else name
        for place in places if owner != name else ():
            own, other = (
                stock[n].attention.get_parameter(place) for n in (name, owner)
            )
            if not torch.equal(own, other):
                raise ArgumentError(
                    f"it shares its weights with {owner}, and {place} of "
                    "torch.nn.MultiheadAttention holds them together with positions "
                    "and a width that differ"
                )
            parent, _, role = place.rpartition(".")
            setattr(stock[name].attention.get_submodule(parent), role, other)


def in_stock(conversion: Conversion, stock: Mapping[str, ImageMultihead]) -> Conversion:
    """Put stock layers in the place of the attention layers of a conversion."""
    model = conversion.model
    places: dict[int, nn.Module] = {
        id(model.get_submodule(name)): layer for name, layer in stock.items()
    }
    layers = (
        layer.with_reason(_remark(stock[layer.name])) if layer.name in stock else layer
        for layer in conversion.layers
    )
    return replace(conversion, model=put(model, places), layers=tuple(layers))


def put(model: nn.Module, replacements: Mapping[int, nn.Module]) -> nn.Module:
    """Put every replacement in all places where its module is registered."""
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if id(child) in replacements:
                parent._modules[name] = replacements[id(child)]
    return replacements.get(id(model), model)


def _remark(layer: ImageMultihead) -> str:
    size = "×".join(map(str, layer.size))
    return f"in torch.nn.MultiheadAttention, for inputs of {size} pixels"

"""The gate through which every attention layer passes before it is judged.

Statements about a layer follow from its parameters. They hold of what its ``forward``
computes only if nobody has changed what that does, just as for a convolution.
"""

from functools import cache

import torch
from torch import nn
from torch.nn.utils import parametrize

from expressivity.attention import RelativeSelfAttention
from expressivity.attention.content import ContentParameters
from expressivity.attention.parameters import AttentionParameters
from expressivity.convolutions import changed_names, require_no_additions
from expressivity.errors import UnsupportedModuleError
from expressivity.geometry import ConvGeometry

_NAME = RelativeSelfAttention.__name__


def plain_attention(module: nn.Module) -> RelativeSelfAttention:
    """Return a layer whose parameters say all about what it computes.

    What the layer has computed from its parameters before is forgotten, so that it
    computes with those that are judged.

    Args:
        module: Any module.

    Returns:
        The module itself.

    Raises:
        UnsupportedModuleError: If it is no attention layer, has hooks or state of its
            own, is parametrised, keeps its parameters in a subclass of tensors, or it
            or its class changes what a call computes.

    Example:
        >>> layer = RelativeSelfAttention(1, 1, ConvGeometry.create((3,)))
        >>> plain_attention(layer) is layer
        True
    """
    if not isinstance(module, RelativeSelfAttention):
        kind = f"{type(module).__module__}.{type(module).__qualname__}"
        raise UnsupportedModuleError(f"{_NAME} is required, got {kind}")
    if parametrize.is_parametrized(module):
        raise UnsupportedModuleError(
            "its parameters are computed by parametrisations: call "
            "torch.nn.utils.parametrize.remove_parametrizations first"
        )
    understood = AttentionParameters.__annotations__ | ContentParameters.__annotations__
    require_no_additions(module, understood, plain=f"a plain {_NAME}")
    changed = changed_names(module, _newly_made())
    if changed:
        raise UnsupportedModuleError(
            f"it changes what a call of {_NAME} computes, by names of its own or of "
            f"its class {type(module).__name__}: {', '.join(changed)}"
        )
    require_plain_tensors(module)
    module.heads().memo.clear()
    return module


def require_plain_tensors(module: nn.Module) -> None:
    """Refuse parameters whose operations are somebody else's code.

    Args:
        module: Any module.

    Raises:
        UnsupportedModuleError: If a parameter is neither a tensor of torch's own class
            nor an ``nn.Parameter``.
    """
    for name, parameter in module.named_parameters():
        if type(parameter) not in (torch.Tensor, nn.Parameter):
            raise UnsupportedModuleError(
                f"its {name} is a {type(parameter).__name__}, whose operations may "
                "compute something else: replace it by an nn.Parameter"
            )


@cache
def _newly_made() -> RelativeSelfAttention:
    """Return a small layer, without drawing from anybody's random numbers."""
    with torch.random.fork_rng(devices=[]):
        return RelativeSelfAttention(1, 1, ConvGeometry.create((1,)), device="cpu")

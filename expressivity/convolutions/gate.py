"""The single gate through which every module passes before its weight is used.

Subclasses and parametrised weights are common. A subclass that inherits torch's forward
pass unchanged computes what torch computes. All others are compared with a plain
convolution on probe inputs.
"""

import copy
import inspect
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.utils import parametrize

from expressivity.convolutions.inheritance import inherits_forward, require_no_additions
from expressivity.convolutions.plain import CONVOLUTIONS, TRANSPOSED, build_convolution
from expressivity.convolutions.probing import require_plain
from expressivity.errors import ArgumentError, UnsupportedModuleError
from expressivity.geometry import ConvGeometry
from expressivity.geometry.convolution import Convolution

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def plain_convolution(module: nn.Module) -> Convolution:
    """Return the plain torch convolution that a module computes.

    Args:
        module: Any module.

    Returns:
        The module itself if it is exactly an ``nn.Conv1d``, ``nn.Conv2d`` or
        ``nn.Conv3d``. For a subclass that inherits their forward pass unchanged: a
        new plain convolution. For any other, and for a parametrised weight: one that
        gave the same outputs on random probes: up to 40 pixels beyond the smallest
        input along each axis (along all of them at once if that takes no more than
        2^29 products), magnitudes from 1e−3 to 1e6, infinity and NaN, alone and in a
        batch, in both training modes.

    Raises:
        UnsupportedModuleError: If the module is no convolution, is lazy, transposed
            or quantised, carries hooks or state that a plain convolution would
            drop, computes something else, was changed into what its options do not
            say, or has weights that are not finite floating-point numbers.

    Example:
        >>> class Renamed(nn.Conv2d):
        ...     pass
        >>> plain_convolution(Renamed(1, 2, kernel_size=3))
        Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1))
    """
    if not isinstance(module, CONVOLUTIONS) or isinstance(module, LazyModuleMixin):
        raise UnsupportedModuleError(_why_no_convolution(module))
    _check_options(module)
    _check_weight(module)
    known = ("weight", "bias", "parametrizations")
    require_no_additions(module, known, plain="a plain convolution")
    if not inherits_forward(module):
        return _reproduced(module)
    return module if type(module) in CONVOLUTIONS else _twin(module)


def _why_no_convolution(module: nn.Module) -> str:
    kind = f"{type(module).__module__}.{type(module).__qualname__}"
    if isinstance(module, torch.jit.ScriptModule):
        return "it is a TorchScript module: convert the original instead"
    if isinstance(module, LazyModuleMixin):
        return f"it is lazy ({kind}): run the model once to initialise it"
    if isinstance(module, TRANSPOSED):
        return f"it is a transposed convolution ({kind}): not covered"
    return f"nn.Conv1d, nn.Conv2d or nn.Conv3d is required, got {kind}"


def _check_options(conv: Convolution) -> None:
    """Refuse options that were changed to what torch does not do, or we cannot."""
    try:
        geometry = ConvGeometry.from_conv(conv)
    except ArgumentError as error:
        raise UnsupportedModuleError(f"its options do not suit: {error}") from error
    # What torch pads by was computed once, before anybody changed the options.
    stated = [width for pair in reversed(geometry.padding) for width in pair]
    actual = list(conv._reversed_padding_repeated_twice)
    if conv.padding_mode != "zeros" and stated != actual:
        raise UnsupportedModuleError(
            f"its padding={conv.padding} says {stated} from the last axis to the "
            f"first, but torch pads by {actual}: set the padding when it is created"
        )


def _check_weight(conv: Convolution) -> None:
    values = _at_rest(conv)
    channels = conv.in_channels // conv.groups
    shape = (conv.out_channels, channels, *conv.kernel_size)
    if values.weight.shape != shape or not values.weight.numel():
        raise UnsupportedModuleError(
            f"its weight needs the shape {shape} that its options say, none of them "
            f"zero, got {tuple(values.weight.shape)}"
        )
    for name in ("weight", "bias"):
        value = getattr(values, name)
        if value is None:
            continue
        if value.dtype not in DTYPES:
            raise UnsupportedModuleError(
                f"its {name} needs one of the floating dtypes "
                f"{', '.join(map(str, DTYPES))}, got {value.dtype}: cast the module"
            )
        if value.is_meta:
            raise UnsupportedModuleError(
                f"its {name} is on the meta device: load real weights first"
            )
        if not bool(value.isfinite().all()):
            raise UnsupportedModuleError(
                f"its {name} holds {int((~value.isfinite()).sum())} numbers that are "
                "NaN or infinite: attention would spread them to every output"
            )


def _reproduced(module: Convolution) -> Convolution:
    """Return a plain twin of a convolution, if the twin computes the same."""
    kind = type(module).__name__
    _, *others = inspect.signature(module.forward).parameters.values()
    if named := [
        p.name for p in others if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    ]:
        raise UnsupportedModuleError(
            f"the forward of {kind} takes more than an input: {', '.join(named)}"
        )
    # A subclass may behave otherwise in training; a parametrisation is evaluated
    # once, in the mode the module is in.
    parametrised = parametrize.is_parametrized(module)
    try:
        require_plain(
            module, _twin, [module.training] if parametrised else [False, True]
        )
        return _twin(module)
    except UnsupportedModuleError:
        raise
    except Exception as error:  # whatever somebody else's forward raises
        raise UnsupportedModuleError(
            f"{kind} could not be compared with a plain convolution: {error}"
        ) from error


def _twin(module: Convolution) -> Convolution:
    """Return a plain convolution with the options and weight of a subclass."""
    values = _at_rest(module)
    weight, bias = (
        _own_or_evaluated(module, values, name) for name in ("weight", "bias")
    )
    return build_convolution(
        cast("nn.Parameter", weight),
        bias,
        stride=module.stride,
        padding=module.padding,
        dilation=module.dilation,
        groups=module.groups,
        padding_mode=module.padding_mode,
    ).train(module.training)


def _at_rest(module: Convolution) -> Convolution:
    """Return the module, or a copy where reading a weight would update its state."""
    if not parametrize.is_parametrized(module):
        return module
    return copy.deepcopy(module).eval()


def _own_or_evaluated(
    module: nn.Module, values: nn.Module, name: str
) -> nn.Parameter | None:
    """Return a parameter, or what stands in its place evaluates to."""
    if parametrize.is_parametrized(module, name):
        behind = module.get_submodule(f"parametrizations.{name}").parameters()
        trainable = any(parameter.requires_grad for parameter in behind)
        return nn.Parameter(getattr(values, name).detach(), trainable)
    value: Tensor | None = getattr(module, name)
    if value is None or isinstance(value, nn.Parameter):
        return value
    return nn.Parameter(value.detach(), value.requires_grad)

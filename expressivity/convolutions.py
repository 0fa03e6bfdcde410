"""What counts as a convolution here, and what its weight says.

:func:`plain_convolution` is the single gate through which every module passes
before anything is built from its weight. Subclasses with a ``forward`` of their own
and parametrised weights are common; they pass only when a plain torch convolution
is seen to compute the same outputs.
"""

import copy
import inspect
import math
from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.utils import parametrize

from expressivity.comparison import measure_difference
from expressivity.errors import ArgumentError, InputError, UnsupportedModuleError
from expressivity.geometry import ConvGeometry, Convolution

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

# Probes run in float64; two orders of summation differ by far less than this.
PROBE_TOLERANCE = 1e-10
PROBE_SCALES = (1.0, 1e-3, 1e3, 1e6)
PROBE_PIXELS = 40


def plain_convolution(module: nn.Module) -> Convolution:
    """Return the plain torch convolution that a module computes.

    Args:
        module: Any module.

    Returns:
        The module itself if it is exactly an ``nn.Conv1d``, ``nn.Conv2d`` or
        ``nn.Conv3d``. For a subclass or a parametrised weight: a new plain
        convolution that gave the same outputs on random probes: up to 40 pixels
        beyond the kernel, magnitudes from 1e−3 to 1e6, a NaN, in both training modes.

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
    if hooks := _hooks(module):
        raise UnsupportedModuleError(
            f"it has hooks of its own ({', '.join(hooks)}), which may change its "
            "weight or output: remove them first"
        )
    if extra := _extra_state(module):
        raise UnsupportedModuleError(
            f"it has state that a plain convolution would drop: {', '.join(extra)}"
        )
    own_forward = {"forward", "_conv_forward"} & vars(module).keys()
    if type(module) in CONVOLUTIONS and not own_forward:
        return module
    return _reproduced(module)


def build_convolution(
    weight: nn.Parameter,
    bias: nn.Parameter | None,
    *,
    stride: Sequence[int],
    padding: Sequence[int] | str,
    dilation: Sequence[int],
    groups: int,
    padding_mode: str,
) -> Convolution:
    """Return a plain torch convolution with the given parameters.

    Args:
        weight: (out_channels, in_channels / groups, *taps); used as it is.
        bias: (out_channels,) or ``None``; used as it is.
        stride: As in ``torch.nn.Conv2d``, one number per axis.
        padding: As in ``torch.nn.Conv2d``, one number per axis or a word.
        dilation: As in ``torch.nn.Conv2d``, one number per axis.
        groups: Number of channel groups.
        padding_mode: As in ``torch.nn.Conv2d``.

    Returns:
        An ``nn.Conv1d``, ``nn.Conv2d`` or ``nn.Conv3d``.
    """
    options: dict[str, Any] = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "padding_mode": padding_mode,
    }
    conv = CONVOLUTIONS[weight.dim() - 3](
        weight.shape[1] * groups,
        weight.shape[0],
        cast("Any", tuple(weight.shape[2:])),
        bias=bias is not None,
        device="meta",
        **options,
    )
    conv.weight, conv.bias = weight, bias
    return conv


def convolve(
    x: Float[Tensor, "batch channels *size"],
    kernel: Float[Tensor, "out_channels channels_of_group *taps"],
    bias: Float[Tensor, " out_channels"] | None = None,
    *,
    stride: Sequence[int],
    padding: Sequence[int] | int = 0,
    dilation: Sequence[int],
    groups: int,
) -> Float[Tensor, "batch out_channels *out_size"]:
    """Convolve over 1, 2 or 3 axes.

    Args:
        x: Input.
        kernel: Weight as torch stores it.
        bias: Added to every output.
        stride: Pixels between outputs, per axis.
        padding: Zeros on both sides, one number or one per axis.
        dilation: Pixels between taps, per axis.
        groups: Number of channel groups.

    Returns:
        The convolution (torch's cross-correlation).
    """
    function = (functional.conv1d, functional.conv2d, functional.conv3d)[x.dim() - 3]
    result: Tensor = function(x, kernel, bias, stride, padding, dilation, groups)
    return result


def batched_input(conv: Convolution, x: Tensor) -> Tensor:
    """Return the input of a convolution with a batch axis.

    Args:
        conv: The convolution.
        x: (batch, in_channels, *size), or without the batch axis.

    Returns:
        (batch, in_channels, *size).

    Raises:
        InputError: If axes, channels or size do not suit the convolution.
    """
    axes = len(conv.kernel_size)
    batch = x.unsqueeze(0) if x.dim() == axes + 1 else x
    if batch.dim() != axes + 2 or batch.shape[1] != conv.in_channels:
        raise InputError(
            f"x needs (batch, {conv.in_channels} channels, {axes} axes) or the same "
            f"without batch, got {tuple(x.shape)}"
        )
    ConvGeometry.from_conv(conv).check_input(batch.shape[2:])
    return batch


def tap_matrices(
    weight: Float[Tensor, "out_channels channels_of_group *taps"],
) -> Float[Tensor, "taps out_channels channels_of_group"]:
    """Return the matrices W_Δ, one a tap, in the order of the centers.

    Args:
        weight: A convolution's weight.

    Returns:
        A view of the weight.
    """
    return weight.flatten(2).movedim(-1, 0)


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
    said = [width for pair in reversed(geometry.padding) for width in pair]
    done = list(conv._reversed_padding_repeated_twice)
    if conv.padding_mode != "zeros" and said != done:
        raise UnsupportedModuleError(
            f"its padding={conv.padding} says {said} from the last axis to the first, "
            f"but torch pads by {done}: set the padding when it is created"
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


def _hooks(module: nn.Module) -> list[str]:
    """Names of the hook registries, those around the forward pass, in use."""
    return [
        name.strip("_")
        for name, registry in vars(module).items()
        if name.endswith("_hooks") and "state_dict" not in name and registry
    ]


def _extra_state(module: nn.Module) -> list[str]:
    known = {"weight", "bias", "parametrizations"}
    names = [*module._parameters, *module._buffers, *module._modules]
    return [name for name in names if name not in known]


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
        for training in [module.training] if parametrised else [False, True]:
            _compare_with_twin(module, training=training)
        return _twin(module)
    except UnsupportedModuleError:
        raise
    except Exception as error:  # whatever somebody else's forward raises
        raise UnsupportedModuleError(
            f"{kind} could not be compared with a plain convolution: {error}"
        ) from error


def _compare_with_twin(module: Convolution, *, training: bool) -> None:
    kind = type(module).__name__
    probed = copy.deepcopy(module).to("cpu", torch.float64).train(training)
    # Its own twin: a parametrisation rounds otherwise in float64.
    twin = _twin(probed)
    with torch.random.fork_rng(devices=[]):
        before = torch.get_rng_state()
        for probe in _probes(twin):
            difference = measure_difference(twin, probed, [probe])
            if not difference.relative <= PROBE_TOLERANCE:
                raise UnsupportedModuleError(
                    f"{kind} does not compute what a plain convolution with its "
                    f"weight does: they differ by {difference.relative:.2g} of the "
                    f"output's scale on an input of {tuple(probe.shape)} with "
                    f"{training=}"
                )
        if not torch.equal(before, torch.get_rng_state()):
            raise UnsupportedModuleError(
                f"{kind} draws random numbers with {training=}: no convolution does"
            )


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
    """Return a parameter, or what its parametrisation evaluates to."""
    if not parametrize.is_parametrized(module, name):
        return module._parameters[name]
    behind = module.get_submodule(f"parametrizations.{name}").parameters()
    trainable = any(parameter.requires_grad for parameter in behind)
    return nn.Parameter(getattr(values, name).detach(), trainable)


def _probes(conv: Convolution) -> Iterator[Tensor]:
    """Yield inputs that a layer with a will of its own is likely to give away by.

    Sizes that meet every remainder of the stride and a large one, magnitudes from
    the smallest to the largest of real activations and beyond, and a NaN.
    """
    geometry = ConvGeometry.from_conv(conv)
    generator = torch.Generator().manual_seed(0)
    smallest = [
        extent + max(pair)
        for extent, pair in zip(geometry.extent, geometry.padding, strict=True)
    ]
    steps = [*range(max(len(PROBE_SCALES), *geometry.stride)), PROBE_PIXELS]
    for index, extra in enumerate(steps):
        size = [pixels + extra + axis for axis, pixels in enumerate(smallest)]
        shape = (1 if extra == PROBE_PIXELS else 2, conv.in_channels, *size)
        probe = torch.randn(shape, generator=generator, dtype=torch.float64)
        yield PROBE_SCALES[index % len(PROBE_SCALES)] * probe
    probe.view(-1)[0] = math.nan
    yield probe

"""Replace the convolutions of a network, and say what was not replaced and why."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import get_args

from torch import Tensor, nn

from expressivity.attention import RelativeSelfAttention
from expressivity.checks import Progress, check_choice, check_progress
from expressivity.conversion.network.copying import independent_copy
from expressivity.conversion.network.plan import (
    Plan,
    keep_held,
    keep_ties,
    plan_conversion,
)
from expressivity.conversion.network.records import Conversion
from expressivity.conversion.network.rehearsal import Inputs, rehearse
from expressivity.conversion.network.selection import Where
from expressivity.conversion.network.source import Source
from expressivity.conversion.network.stock import (
    Into,
    images,
    in_stock,
    put,
    stock_layers,
)
from expressivity.conversion.options import HeadKind, Options
from expressivity.conversion.to_attention import build_attention
from expressivity.errors import ArgumentError
from expressivity.geometry.convolution import Convolution


def convert(
    model: nn.Module,
    *,
    alpha: float | None = None,
    tolerance: float | None = None,
    head_dim: int | None = None,
    heads: HeadKind = "taps",
    max_heads: int | None = None,
    rings: int = 0,
    where: Where | None = None,
    strategy: str = "auto",
    inputs: Inputs | None = None,
    into: Into = "relative",
    size: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> Conversion:
    """Replace every convolution of a network by self-attention.

    The given model does not change. The converted one keeps dtype, device, training
    mode, ``requires_grad``, hooks on other modules and weight sharing: one convolution
    used twice becomes one attention used twice. Convolutions that attention cannot
    reproduce (transposed, lazy, quantised ones, subclasses that compute something else
    on a probe, …) stay in place, with the reason in their record. Calls of
    ``torch.nn.functional`` stay as they are.

    Args:
        model: Any module; a single convolution too.
        alpha: As for :func:`expressivity.attention_from_conv`, for every layer.
        tolerance: As for :func:`expressivity.attention_from_conv`, for every layer:
            its largest absolute error for inputs of the layer within ±1.
        head_dim: As for :func:`expressivity.attention_from_conv`.
        heads: As for :func:`expressivity.attention_from_conv`. A convolution that
            ``"minimal"`` heads do not suit stays, with the reason.
        max_heads: As for :func:`expressivity.attention_from_conv`.
        rings: As for :func:`expressivity.attention_from_conv`.
        where: Which convolutions to convert: a predicate of name and module, or
            names or shell patterns of names such as ``"layer3.*"``.
        strategy: How the attention is evaluated: ``"auto"`` or a name.
        inputs: Arguments of the model: a tensor, a tuple of positional arguments or a
            mapping of keyword arguments. A copy of the converted model then runs on
            them, without gradients. A convolution stays if the run still uses it, asks
            for its class, or reads an attribute that attention lacks.
        into: ``"relative"`` for :class:`expressivity.RelativeSelfAttention`, or
            ``"multihead"`` for ``torch.nn.MultiheadAttention``, for inputs of one size:
            see :func:`expressivity.to_multihead`. A convolution that sees inputs of
            several sizes, or that it does not suit, stays. Layers that share weights
            share the module's parameters, which hold α and Δ as well.
        size: With ``"multihead"``, instead of ``inputs``: pixels per axis of the
            network's input, where that is one image for its first convolution.
        progress: Wraps the iterable of convolutions, as ``tqdm`` does; by default
            nothing. With ``inputs`` it may start again: once for every run that finds
            a convolution that has to stay.

    Returns:
        The converted model, one record a convolution, and remarks about code that
        attention does not suit.

    Raises:
        ArgumentError: If an option is out of range, a name in ``where`` matches no
            convolution, ``"multihead"`` comes without ``inputs`` and ``size``, or
            ``progress`` cannot be called.
        InputError: If the model cannot run on ``inputs``.
        StrategyError: If there is no such strategy.
        UnsupportedModuleError: If the model cannot be copied or was compiled, or its
            conversion cannot run on ``inputs``.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1))
        >>> conversion = convert(model)
        >>> [(layer.name, layer.num_heads) for layer in conversion.layers]
        [('0', 9), ('2', 1)]
    """
    options = Options(
        alpha, tolerance, None, head_dim, strategy, heads, max_heads, rings
    )
    progress = check_progress(progress)
    _check_inputs(inputs)
    if check_choice("into", into, get_args(Into)) == "multihead":
        inputs = images(model, size) if inputs is None else inputs
    elif size is not None:
        raise ArgumentError(f"size goes with into='multihead', got {size=} alone")
    if inputs is None:
        return _attempt(model, where, {}, options, progress)[0]
    to_keep: dict[str, str] = {}
    while True:
        conversion, replaced = _attempt(
            model, where, to_keep, options, progress, release=False
        )
        used = rehearse(model, conversion.model, replaced, inputs)
        if not used and into == "multihead":
            stock, used = stock_layers(conversion.model, inputs)
            if not used:
                conversion = in_stock(conversion, stock)
        if not used:
            return replace(conversion, ruled_out=tuple(to_keep))
        to_keep |= used


def _attempt(
    model: nn.Module,
    where: Where | None,
    to_keep: Mapping[str, str],
    options: Options,
    progress: Progress,
    *,
    release: bool = True,
) -> tuple[Conversion, dict[str, nn.Module]]:
    """Convert a copy of a model.

    Args:
        model: The model.
        where: Which convolutions to convert.
        to_keep: Why some of them have to stay in any case, by name.
        options: How to convert them.
        progress: Wraps the convolutions.
        release: Whether to free the weights of replaced convolutions.

    Returns:
        The conversion, and the convolutions that were replaced.
    """
    copied = independent_copy(model)
    plans = plan_conversion(copied, where, to_keep)
    remarks = keep_held(model, copied, plans)
    _keep_unsuited(plans, options)
    # Rings depend on the dilation: only layers of one geometry share their weights.
    keep_ties(copied, plans, same_geometry=options.rings > 0)
    attention: dict[str, RelativeSelfAttention] = {}
    shared: dict[int, RelativeSelfAttention] = {}
    records = {}
    for plan in progress(plans):
        if plan.kernel is None or plan.conv is None:
            records[plan.name] = plan.kept()
            continue
        layer = attention[plan.name] = build_attention(plan.kernel, options)
        records[plan.name] = plan.converted(layer)
        _tie(layer, plan.conv, shared)
        if release:
            plan.release()
    replaced = {plan.name: plan.module for plan in plans if plan.name in attention}
    source = Source(copied)
    for name, sentences in source.uses(replaced, attention).items():
        records[name] = records[name].with_reason(*sentences)
    remarks += source.class_checks(replaced.values())
    places = {id(module): attention[name] for name, module in replaced.items()}
    converted = put(copied, places)
    return Conversion(converted, tuple(records.values()), tuple(remarks)), replaced


def _keep_unsuited(plans: Sequence[Plan], options: Options) -> None:
    """Keep what tables do not suit, before ties are looked at: it breaks them."""
    if options.heads != "minimal":
        return
    for plan in plans:
        if plan.kernel is not None:
            try:
                build_attention(plan.kernel, options)
            except ArgumentError as error:
                plan.keep(str(error))


def _check_inputs(inputs: Inputs | None) -> None:
    if not (inputs is None or isinstance(inputs, (Tensor, tuple, Mapping))):
        raise ArgumentError(
            "inputs needs a tensor, a tuple of positional arguments or a mapping of "
            f"keyword arguments, got {type(inputs).__name__}"
        )


def _tie(
    attention: RelativeSelfAttention,
    conv: Convolution,
    shared: dict[int, RelativeSelfAttention],
) -> None:
    """Share the parameters that the convolution of a layer shares with earlier ones."""
    twin = shared.setdefault(id(conv.weight), attention)
    attention.value_weight = twin.value_weight
    attention.output_weight = twin.output_weight
    if conv.bias is not None:
        attention.bias = shared.setdefault(id(conv.bias), attention).bias

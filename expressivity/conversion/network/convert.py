"""Replace the convolutions of a network, and say what was not replaced and why."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import get_args

from torch import Tensor, nn

from expressivity.attention import RelativeSelfAttention
from expressivity.attention.content import DEFAULT_GATE
from expressivity.checks import Progress, check_choice, check_progress
from expressivity.conversion.network.allotment import within_tolerance
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
from expressivity.conversion.to_attention import build_attention, warn_of_saturation
from expressivity.errors import ArgumentError
from expressivity.geometry.convolution import Convolution

_LOG = logging.getLogger(__name__)


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
    content: int | None = None,
    gate: float | None = DEFAULT_GATE,
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
            its largest absolute error for inputs of the layer within ±1. With
            ``inputs`` instead the largest difference of any output of the network on
            them: every layer gets an α of its own, as small as that allows, soft enough
            to be trained. What was measured is in ``end_to_end`` of the result; what is
            certified is each layer alone.
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
            see :func:`expressivity.stock.to_multihead`. A convolution that sees inputs
            of several sizes, or that it does not suit, stays. Layers that share weights
            share the module's parameters, which hold α and Δ as well.
        size: With ``"multihead"``, instead of ``inputs``: pixels per axis of the
            network's input, where that is one image for its first convolution.
        content: As for :func:`expressivity.attention_from_conv`, for every layer:
            attention to what tokens hold, for training.
        gate: As for :func:`expressivity.attention_from_conv`.
        progress: Wraps the iterable of convolutions, as ``tqdm`` does; by default
            nothing. With ``inputs`` it may start again: once for every run that finds
            a convolution that has to stay.

    Returns:
        The converted model, one record a convolution, and remarks about code that
        attention does not suit.

    Raises:
        ArgumentError: If an option is out of range, a name in ``where`` matches no
            convolution, ``"multihead"`` comes without ``inputs`` and ``size``, no α
            keeps the tolerance on ``inputs``, or ``progress`` cannot be called.
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
        alpha,
        tolerance,
        None,
        head_dim,
        strategy,
        heads,
        max_heads,
        rings,
        content,
        gate,
    )
    _check_inputs(inputs)
    multihead = check_choice("into", into, get_args(Into)) == "multihead"
    if multihead and content is not None:
        raise ArgumentError(
            "into='multihead' holds positions alone, got "
            f"{content=}: leave one of the two out"
        )
    if tolerance is None or inputs is None or multihead:
        conversion = convert_each(
            model, where, options, inputs, size, into=into, progress=progress
        )
    else:
        how = replace(options, tolerance=None)
        sharp = convert_each(model, where, how, inputs, progress=progress)
        conversion = within_tolerance(model, sharp, tolerance, inputs)
    if content is not None:
        warn_of_saturation([
            module
            for module in conversion.model.modules()
            if isinstance(module, RelativeSelfAttention)
        ])
    return conversion


def convert_each(
    model: nn.Module,
    where: Where | None,
    options: Options,
    inputs: Inputs | None = None,
    size: Sequence[int] | None = None,
    *,
    into: Into = "relative",
    progress: Progress | None = None,
) -> Conversion:
    """Convert as :func:`convert` does, but for a tolerance, which is every layer's.

    Args:
        model: Any module.
        where: Which convolutions to convert.
        options: How.
        inputs: Arguments of the model, for a run; it is converted again as long as a
            run shows that some convolution has to stay.
        size: As for :func:`convert`.
        into: As for :func:`convert`.
        progress: As for :func:`convert`.

    Returns:
        The conversion.

    Raises:
        ArgumentError: If a size comes alone, or ``progress`` cannot be called.
    """
    progress = check_progress(progress)
    multihead = into == "multihead"
    if multihead:
        inputs = images(model, size) if inputs is None else inputs
    elif size is not None:
        raise ArgumentError(f"size goes with into='multihead', got {size=} alone")
    if inputs is None:
        return _logged(_attempt(model, where, {}, options, progress)[0])
    to_keep: dict[str, str] = {}
    while True:
        conversion, replaced = _attempt(
            model, where, to_keep, options, progress, release=False
        )
        _LOG.info("running the converted model on the inputs")
        used = rehearse(model, conversion.model, replaced, inputs)
        if not used and multihead:
            stock, used = stock_layers(conversion.model, inputs)
            if not used:
                conversion = in_stock(conversion, stock)
        if not used:
            return _logged(replace(conversion, ruled_out=tuple(to_keep)))
        for name, reason in used.items():
            _LOG.info("%s has to stay: %s", name, reason)
        to_keep |= used


def _logged(conversion: Conversion) -> Conversion:
    """Say what became of every convolution."""
    for layer in conversion.layers:
        if layer.status == "kept":
            _LOG.info("%s stays: %s", layer.name, layer.reason)
        else:
            heads = f"{layer.num_heads} head{'' if layer.num_heads == 1 else 's'}"
            _LOG.info("%s: %s, α = %.4g", layer.name, heads, layer.alpha)
    return conversion


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
    _LOG.info("looking at the convolutions")
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
        _LOG.info("converting %s", plan.name or type(plan.module).__name__)
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

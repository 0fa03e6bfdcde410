"""From a convolution to the attention layer that computes it: Theorem 1.

One head per tap, centered on it, whose value and output projections compose to the
tap's matrix W_Δ. On request rings of heads around the taps, which make up for a small
α, or as few heads as tables of probabilities allow.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.accuracy.worst_case import strength_for
from expressivity.attention import RelativeSelfAttention
from expressivity.attention.content import DEFAULT_GATE
from expressivity.attention.saturation import saturated_heads, what_vanishes
from expressivity.conversion.head_count import Spectrum
from expressivity.conversion.options import HeadKind, Options
from expressivity.conversion.rings import ringed_heads
from expressivity.convolutions import Kernel
from expressivity.errors import ArgumentError
from expressivity.geometry.convolution import Convolution
from expressivity.geometry.window import Window
from expressivity.heads.leak import round_up, saturation_alpha
from expressivity.heads.tables import Table
from expressivity.numbers.precision import compute_dtype


def attention_from_conv(
    conv: Convolution,
    *,
    alpha: float | None = None,
    tolerance: float | None = None,
    size: Sequence[int] | None = None,
    head_dim: int | None = None,
    strategy: str = "auto",
    heads: HeadKind = "taps",
    max_heads: int | None = None,
    rings: int = 0,
    content: int | None = None,
    gate: float | None = DEFAULT_GATE,
) -> RelativeSelfAttention:
    """Build the self-attention layer that computes a convolution.

    Args:
        conv: An ``nn.Conv1d``, ``nn.Conv2d`` or ``nn.Conv3d`` with any options, or
            a module that :func:`expressivity.plain_convolution` accepts as one.
        alpha: Locality strength of all heads, 1/pixel². By default the one at which
            the leak falls below half an ulp of the weight's dtype.
        tolerance: Instead of ``alpha``: the largest absolute error allowed for any
            input with ‖x‖_∞ ≤ 1, in exact arithmetic; the smallest α that keeps it
            for every input size is taken.
        size: With ``tolerance``: pixels per axis of the input, for the smaller α that
            suffices there.
        head_dim: Dimension D_h of a head's values, per group. By default
            min(in_channels, out_channels) / groups, which is exact. A larger one is
            padded with zeros; a smaller one keeps the largest singular values of
            each tap, at the price that :func:`truncation_error` states.
        strategy: How the attention is evaluated: ``"auto"`` or a name.
        heads: ``"taps"`` for one head a tap, or ``"minimal"`` for the heads of
            :func:`expressivity.minimal_heads`, at most one more than the taps'
            matrices span dimensions: with α = 0 they attend by tables over the taps,
            (heads, *kernel_size) logarithms of probabilities. That is exact up to
            rounding, relative to the norm of each spatial kernel W[o, c] and not to
            each of its weights: heads that taps share cancel to them.
        max_heads: For ``"minimal"``: no more heads than that, with the error that
            :func:`expressivity.minimal_heads` states.
        rings: m rings of further heads around the taps, (K + 2m)^d of them without
            dilation, whose values undo the smoothing of a given ``alpha``: the error
            is then of order e^−α(m+1), far from borders, and e^−2α near them.
        content: Dimension of queries and keys by which heads attend to what tokens
            hold, too, for training: see
            :meth:`~expressivity.RelativeSelfAttention.add_content`. Without it the
            layer attends by positions alone. At an α that saturates a warning says
            which gradients vanish.
        gate: With ``content``: the initial λ of every head, by default 4, at which
            content has a share of 1.8 %; ``None`` for terms inside the softmax.

    Returns:
        A layer on the device, in the dtype and in the training mode of the convolution.
        Parameters require gradients where the weight does; α and the centers of
        saturated heads, as by default, do not until ``requires_grad_()`` is called on
        them: their gradients are zeros, but weight decay would soften and move the
        heads.

    Raises:
        ArgumentError: If ``alpha`` or ``tolerance`` is not positive and finite or
            both are given, ``head_dim`` is below 1, ``max_heads`` below 2, ``rings``
            below 0, or options are combined that have no meaning together; if
            ``"minimal"`` heads are asked for with replicate padding, which has no
            tokens for tables to attend to, or carry more than the dtype can hold.
        UnsupportedModuleError: If ``conv`` is no convolution with finite
            floating-point weights.
        StrategyError: If there is no such strategy.

    Reference:
        Theorem 1, Lemmas 1 and 2; statements ``smoothing_identity``, ``worst_case``,
        ``head_rank``, ``minimal_heads`` and ``soft_rings`` in ``proofs/``.

    Example:
        >>> conv = torch.nn.Conv2d(3, 8, kernel_size=3, padding=1)
        >>> attention = attention_from_conv(conv)
        >>> x = torch.randn(1, 3, 16, 16)
        >>> bool((attention(x) - conv(x)).abs().max() < 1e-5)
        True

        A kernel of one channel to one has two heads: one for each sign.

        >>> conv = torch.nn.Conv2d(1, 1, kernel_size=3, padding=1)
        >>> attention = attention_from_conv(conv, heads="minimal")
        >>> attention.num_heads, attention.table.shape
        (2, torch.Size([2, 3, 3]))
    """
    options = Options(
        alpha,
        tolerance,
        size,
        head_dim,
        strategy,
        heads,
        max_heads,
        rings,
        content,
        gate,
    )
    attention = build_attention(Kernel.of(conv), options)
    if content is not None:
        warn_of_saturation([attention])
    return attention


def build_attention(kernel: Kernel, options: Options) -> RelativeSelfAttention:
    """Build as :func:`attention_from_conv` does, for a kernel behind the gate."""
    conv, head_dim = kernel.conv, options.head_dim
    if options.heads == "minimal" or options.rings:
        _check_holds_everything(conv, head_dim)
    plan = (
        _minimal(kernel, options.max_heads)
        if options.heads == "minimal"
        else _on_taps(kernel, options)
    )
    attention = RelativeSelfAttention(
        conv.in_channels,
        conv.out_channels,
        kernel.geometry,
        num_heads=len(plan.matrices),
        head_dim=head_dim,
        groups=conv.groups,
        bias=conv.bias is not None,
        strategy=options.strategy,
        device="meta",  # nothing is drawn at random only to be overwritten
        dtype=conv.weight.dtype,
    )
    if plan.table is not None:
        window = plan.table.window
        attention.add_table(window.low, window.size, step=window.step)
    # As to_empty() does, but empty_like() of a meta tensor imports sympy.
    attention = attention._apply(
        lambda p: torch.empty(p.shape, dtype=p.dtype, device=conv.weight.device)
    )
    blocks = plan.matrices.unflatten(1, (conv.groups, -1))
    value, output = _projections(blocks, attention.head_dim)
    with torch.no_grad():
        attention.alpha.fill_(plan.alpha)
        attention.centers.copy_(plan.centers)
        if attention.table is not None and plan.table is not None:
            attention.table.copy_(plan.table.scores)
        for parameter, content in (
            (attention.value_weight, value),
            (attention.output_weight, output),
        ):
            if parameter is not None and content is not None:
                parameter.copy_(content.movedim(0, -1))
        if attention.bias is not None and conv.bias is not None:
            attention.bias.copy_(conv.bias)
    if options.content is not None:
        attention.add_content(options.content, options.gate)
    attention.requires_grad_(conv.weight.requires_grad)
    if attention.bias is not None and conv.bias is not None:
        attention.bias.requires_grad_(conv.bias.requires_grad)
    if bool(saturated_heads(attention).all()):
        # Their derivatives are zeros, and weight decay alone would move them.
        attention.alpha.requires_grad_(False)
        attention.centers.requires_grad_(False)
    return attention.train(conv.training)


def warn_of_saturation(layers: Sequence[RelativeSelfAttention]) -> None:
    """Warn of content at an α that saturates, on behalf of a public function."""
    stuck = [layer for layer in layers if bool(saturated_heads(layer).all())]
    if not stuck:
        return
    strength = max(float(layer.alpha.detach().max()) for layer in stuck)
    text = what_vanishes(
        terms=any(layer.heads().content is not None for layer in stuck),
        gate=any(layer.gate is not None for layer in stuck),
    )
    warnings.warn(
        f"alpha={strength:.4g} saturates {stuck[0].dtype}: {text}",
        UserWarning,
        stacklevel=3,
    )


@dataclass(frozen=True)
class _Plan:
    """Heads to be built: how they attend, and what each carries."""

    alpha: float
    centers: Tensor  # (heads, axes)
    matrices: Tensor  # (heads, out_channels, channels of a group)
    table: Table | None = None


def _on_taps(kernel: Kernel, options: Options) -> _Plan:
    """Return one head a tap, and rings around them."""
    dtype, geometry = kernel.conv.weight.dtype, kernel.geometry
    if options.alpha is not None:
        strength = float(options.alpha)
    elif options.tolerance is not None:
        strength = strength_for(kernel, options.tolerance, options.size)
    else:
        strength = saturation_alpha(dtype, geometry.axes)
    stored = round_up(strength, compute_dtype(dtype))
    if not options.rings:
        return _Plan(stored, geometry.centers(), kernel.taps)
    return _Plan(stored, *ringed_heads(kernel.taps, geometry, stored, options.rings))


def _minimal(kernel: Kernel, max_heads: int | None) -> _Plan:
    """Return the heads of ``minimal_heads``: tables over the taps."""
    conv, geometry = kernel.conv, kernel.geometry
    if geometry.padding_mode == "replicate" and any(map(any, geometry.padding)):
        raise ArgumentError(
            "heads='minimal' needs tokens wherever a tap can be, got "
            f"padding_mode='replicate' with padding={conv.padding}, which puts none on "
            "the canvas: quadratic heads attend to the nearest pixel there, tables to "
            "nothing. Use heads='taps'"
        )
    shared = Spectrum.of(kernel).heads(max_heads)
    largest = float(shared.matrices.abs().max())
    if largest > torch.finfo(conv.weight.dtype).max:
        raise ArgumentError(
            f"heads='minimal' carry sums over the taps, here up to {largest:.3g}, "
            f"which {conv.weight.dtype} cannot hold: cast the convolution to a wider "
            "dtype, or use heads='taps'"
        )
    low = tuple(-anchor for anchor in geometry.anchor)
    window = Window(low, geometry.kernel_size, geometry.dilation)
    scores = shared.tables.log().unflatten(1, geometry.kernel_size)
    centers = torch.zeros(len(scores), geometry.axes, device="cpu")
    return _Plan(0.0, centers, shared.matrices, Table(scores, window))


def _check_holds_everything(conv: Convolution, head_dim: int | None) -> None:
    """Refuse to truncate heads that are no taps: no error is stated for them."""
    least = min(conv.in_channels, conv.out_channels) // conv.groups
    if head_dim is not None and head_dim < least:
        raise ArgumentError(
            f"head_dim below {least} truncates taps: with heads='minimal' or rings "
            f"heads carry mixtures of them, got {head_dim=}. Leave it out"
        )


def _projections(
    blocks: Float[Tensor, "heads groups outputs channels"], head_dim: int
) -> tuple[Tensor | None, Tensor | None]:
    """Split each block into output · value; ``None`` stands for the identity."""
    outputs, channels = blocks.shape[2:]
    if head_dim == channels:
        return None, blocks
    if head_dim == outputs:
        return blocks, None
    if head_dim < min(outputs, channels):
        u, s, vh = torch.linalg.svd(blocks.double(), full_matrices=False)
        root = s[..., :head_dim].sqrt()
        value = root[..., :, None] * vh[..., :head_dim, :]
        return value, u[..., :head_dim] * root[..., None, :]
    inner, padded = min(outputs, channels), blocks.new_zeros
    value = padded(*blocks.shape[:2], head_dim, channels)
    output = padded(*blocks.shape[:2], outputs, head_dim)
    identity = torch.eye(inner, dtype=blocks.dtype, device=blocks.device)
    if channels <= outputs:
        value[..., :inner, :], output[..., :inner] = identity, blocks
    else:
        value[..., :inner, :], output[..., :inner] = blocks, identity
    return value, output

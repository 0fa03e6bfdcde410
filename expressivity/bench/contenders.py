"""The rivals of ``nn.Conv2d``: the same layer, evaluated in several ways."""

import importlib.util
import sys
from collections.abc import Callable
from math import prod
from typing import Any, cast

import torch
from torch import Tensor, nn

from expressivity.attention import RelativeSelfAttention, explain
from expressivity.bench.document import BASELINE
from expressivity.bench.trained import set_apart
from expressivity.conversion import attention_from_conv
from expressivity.geometry import ConvGeometry

Run = Callable[[], object]
Contender = Run | str
"""A function to time, or the reason why there is none."""

SATURATED, HARD, SOFT = "separable, saturated", "separable, α = 4", "separable, α = 1"
UNEQUAL = "separable, unequal α, off-grid"
FUSED, DENSE = "fused", "dense"
FLEX, NATTEN = "FlexAttention", "NATTEN"
SEPARABLE = {SATURATED: None, HARD: 4.0, SOFT: 1.0}

# FlexAttention is given a multiple of this many keys.
_KEYS = 64

# Seconds for one pair of query and key of one head, roughly.
_SECONDS_PER_PAIR = {
    ("cpu", FUSED): 1e-9,
    ("cpu", DENSE): 5e-9,
    ("cpu", FLEX): 5e-9,
    ("cuda", FUSED): 1e-11,
    ("cuda", DENSE): 5e-11,
    ("cuda", FLEX): 1e-11,
}


def convolution_and_separable(conv: nn.Conv2d, x: Tensor) -> dict[str, Contender]:
    """Return the convolution, and its attention at three locality strengths.

    Args:
        conv: The convolution.
        x: The input.

    Returns:
        Functions of nothing.
    """
    contenders: dict[str, Contender] = {BASELINE: lambda: conv(x)}
    for name, alpha in SEPARABLE.items():
        contenders[name] = _call(attention_from_conv(conv, alpha=alpha), x)
    return contenders


def unequal(conv: nn.Conv2d, x: Tensor) -> dict[str, Contender]:
    """Return attention whose heads have α and Δ of their own, as after training.

    Args:
        conv: The convolution to convert.
        x: The input.

    Returns:
        The separable and the dense evaluation of the same layer.
    """
    attention = attention_from_conv(conv, alpha=1.0)
    set_apart(attention)
    return {
        UNEQUAL: _call(attention, x),
        f"{DENSE}, unequal α, off-grid": _call(_evaluated(attention, "dense"), x),
    }


def quadratic(
    conv: nn.Conv2d, x: Tensor, *, content: int | None, limit: float
) -> dict[str, Contender]:
    """Return the evaluations whose time grows with the square of the tokens.

    Args:
        conv: The convolution, at α = 4.
        x: The input.
        content: Dimension of content terms to add, ``None`` for none.
        limit: Longest expected time of a call, in seconds.

    Returns:
        The fused and the dense strategy.
    """
    attention = attention_from_conv(conv, alpha=4.0)
    if content is not None:
        attention.add_content_terms(content)
        nn.init.normal_(cast("Tensor", attention.query_weight), 0.0, 0.1)
    ending = "" if content is None else ", content"
    return {
        name + ending: _too_slow(name, attention, x, limit)
        or _call(_evaluated(attention, name), x)
        for name in (FUSED, DENSE)
    }


def others(conv: nn.Conv2d, x: Tensor, *, limit: float) -> dict[str, Contender]:
    """Return the kernels of other libraries, where they can run.

    Args:
        conv: The convolution, at α = 4.
        x: The input.
        limit: Longest expected time of a call, in seconds.

    Returns:
        FlexAttention and NATTEN, or reasons why not.
    """
    attention = attention_from_conv(conv, alpha=4.0)
    reason = _too_slow(FLEX, attention, x, limit) or _why_no_flex(attention, x)
    installed = importlib.util.find_spec("natten") is not None
    return {
        FLEX: reason or _flex_attention(attention, x),
        NATTEN: (
            "it shifts its windows inward at borders and takes no positional bias: it "
            "cannot express a padded convolution"
            + ("" if installed else " (nor is it installed)")
        ),
    }


def _call(attention: RelativeSelfAttention, x: Tensor) -> Contender:
    """Return the call of a layer, or the reason why its strategy cannot run."""
    explanation = explain(attention, x)
    if explanation.chosen is None:
        return str(explanation.reasons[explanation.requested])
    return lambda: attention(x)


def _evaluated(
    attention: RelativeSelfAttention, strategy: str
) -> RelativeSelfAttention:
    """Return a layer with the same parameters and another strategy."""
    twin = RelativeSelfAttention(
        attention.in_channels,
        attention.out_channels,
        attention.geometry,
        groups=attention.groups,
        head_dim=attention.head_dim,
        bias=attention.bias is not None,
        strategy=strategy,
        device="meta",
    )
    twin._parameters.update(attention._parameters)
    return twin


def _too_slow(
    name: str, attention: RelativeSelfAttention, x: Tensor, limit: float
) -> str | None:
    canvas = prod(attention.geometry.canvas_size(x.shape[2:]))
    queries = prod(attention.geometry.output_size(x.shape[2:]))
    pairs = len(x) * attention.num_heads * canvas * queries
    seconds = pairs * _SECONDS_PER_PAIR[x.device.type, name]
    if seconds <= limit:
        return None
    return f"about {seconds:.0f} s a call, more than the {limit:g} s for it"


def _why_no_flex(attention: RelativeSelfAttention, x: Tensor) -> str | None:
    if sys.platform == "win32":
        return "it is compiled, which needs a compiler"
    if x.dtype == torch.float64:
        return "compiled, it takes no float64"
    if x.device.type == "cuda" and x.shape[1] < 16:
        return f"on CUDA it needs at least 16 channels, got {x.shape[1]}"
    return None


def _flex_attention(attention: RelativeSelfAttention, x: Tensor) -> Contender:
    """Return FlexAttention with the positional score as its modification.

    It computes the mean of the values of each head. It leaves out the output
    projection, which is the same for every strategy. The keys are padded to a whole
    number of vectors, with a score of -∞: compiled for AVX2, torch 2.13 reads on past
    the last of any other number of keys, and NaN in that memory becomes NaN in the
    result.
    """
    geometry: ConvGeometry = attention.geometry
    (rows, columns), (_, width) = (
        geometry.queries(x.shape[2:]),
        geometry.canvas_size(x.shape[2:]),
    )
    centers, alpha = attention.centers.detach(), attention.alpha.detach()
    count = len(columns)

    def score(value: Tensor, _: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        down = k // width - (rows.start + rows.step * (q // count)) - centers[h, 0]
        along = k % width - (columns.start + columns.step * (q % count)) - centers[h, 1]
        near = value - alpha[h] * (down * down + along * along)
        return torch.where(k < pixels, near, -torch.inf)

    tokens = geometry.canvas(x).flatten(2).mT
    pixels, heads = tokens.shape[1], attention.num_heads
    tokens = nn.functional.pad(tokens, (0, 0, 0, -pixels % _KEYS)).contiguous()[:, None]
    values = tokens.expand(-1, heads, -1, -1)
    query = values.new_zeros(len(x), heads, len(rows) * count, tokens.shape[3])
    key = torch.zeros_like(tokens).expand_as(values)
    try:
        from torch.nn.attention.flex_attention import flex_attention

        compiled: Any = torch.compile(flex_attention, dynamic=False)
        with torch.no_grad():
            compiled(query, key, values, score_mod=score)
    except Exception as error:  # a compiler may raise anything
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
    return lambda: compiled(query, key, values, score_mod=score)

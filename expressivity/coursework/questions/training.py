"""What does training find?"""

import torch
from flint import arb

from expressivity.attention import RelativeSelfAttention
from expressivity.conversion.to_attention import attention_from_conv
from expressivity.coursework.attack import Break
from expressivity.coursework.construct import Recover
from expressivity.coursework.draw import Draw, conv_of
from expressivity.coursework.exercise import Exercise
from expressivity.coursework.prediction import Predict
from expressivity.coursework.questions.head import one_dark_pixel
from expressivity.geometry.convolution import Convolution

_TERMS = 12  # of the theta function; the next is below e^−1000 for α ≥ 7


def exercises(draw: Draw) -> list[Exercise]:
    """Return the exercises of notebook 7."""
    strength = float(draw.integer("7.1", 7, 12))
    learned = conv_of(draw.weights("7.2", (2, 2, 3, 3)), padding=1)
    target = conv_of(draw.weights("7.3", (1, 1, 3, 3)), padding=1)
    return [
        Predict(
            number="7.1",
            title="How steep is saturation?",
            minutes=10,
            points=3,
            misconception="A gradient that vanishes says that the optimum is near.",
            statement="leak",
            quantity=f"the size of the slope of the leak at α = {strength:g}, two axes",
            widest=1.25,
            given={"alpha": strength},
            _truth=lambda: _slope(strength),
            _input=one_dark_pixel,
        ),
        Recover(
            number="7.2",
            title="Read the kernel off the heads",
            minutes=20,
            points=5,
            misconception="Heads stay in the order of the taps.",
            statement="softmax_limit",
            layer=_shuffled(learned, draw),
            size=(6, 6),
            tolerance=1e-3,
        ),
        Break(
            number="7.3",
            title="Centers that are nearly right",
            minutes=15,
            points=4,
            misconception="A small loss on smooth images is a small error.",
            statement="worst_case",
            layer=_nearly(target, draw),
            conv=target,
            size=(7, 7),
        ),
    ]


def _slope(strength: float) -> arb:
    """Return |λ'(α)| over two axes: 2 θ^−3 |θ'| with θ = 1 + 2 Σ e^−αn²."""
    alpha = arb(strength)
    weights = [(-alpha * n * n).exp() for n in range(1, _TERMS)]
    theta = 1 + 2 * sum(weights, arb(0))
    slope = 2 * sum((n * n * w for n, w in enumerate(weights, 1)), arb(0))
    rest = arb(0, (-alpha * _TERMS**2).exp().upper() * 4 * _TERMS**2)
    return 2 * (slope + rest) / (theta + rest) ** 3


def _shuffled(conv: Convolution, draw: Draw) -> RelativeSelfAttention:
    """Return the layer of a convolution with its heads in another order."""
    layer = attention_from_conv(conv, alpha=20.0)
    order = draw.weights("7.2 order", (layer.num_heads, 3)).sum(1).argsort()
    with torch.no_grad():
        layer.centers.copy_(layer.centers[order])
        if layer.output_weight is not None:
            layer.output_weight.copy_(layer.output_weight[..., order])
    return layer.requires_grad_(False)


def _nearly(conv: Convolution, draw: Draw) -> RelativeSelfAttention:
    """Return the layer of a convolution with centers that are off by a tenth."""
    layer = attention_from_conv(conv, alpha=9.0)
    off = draw.weights("7.3 centers", tuple(layer.centers.shape), unit=1 / 80)
    with torch.no_grad():
        layer.centers.add_(off)
    return layer.requires_grad_(False)

"""Why is that a convolution?"""

from types import ModuleType
from typing import Any

from flint import arb

from expressivity.accuracy.worst_case import converted
from expressivity.conversion.to_attention import attention_from_conv
from expressivity.convolutions import Kernel
from expressivity.coursework.attack import Break
from expressivity.coursework.construct import Construct
from expressivity.coursework.derivation import Derive
from expressivity.coursework.draw import Draw, conv_of
from expressivity.coursework.exercise import Exercise
from expressivity.coursework.judgement import exact_conv, exact_layer, judged
from expressivity.coursework.prediction import Predict, between
from expressivity.geometry.convolution import Convolution

_SIZE = (8, 8)
_SOFTER, _SHARPER = 8.0, 10.0


def exercises(draw: Draw) -> list[Exercise]:
    """Return the exercises of notebook 2."""
    conv = conv_of(draw.weights("2.2", (1, 1, 3, 3), unit=1 / 32), padding=1)
    soft = attention_from_conv(conv, alpha=_SOFTER)
    return [
        Predict(
            number="2.1",
            title="From α = 8 to α = 10",
            minutes=5,
            points=2,
            misconception="The error is proportional to 1/α.",
            statement="first_order",
            quantity="the worst-case error at α = 8 over that at α = 10",
            widest=1.25,
            given={"conv": conv, "size": _SIZE},
            _truth=lambda: _worst(conv, _SOFTER) / _worst(conv, _SHARPER),
            _input=lambda: judged(exact_layer(soft), exact_conv(conv), _SIZE).x,
        ),
        Construct(
            number="2.2",
            title="Nine heads, one kernel",
            minutes=20,
            points=5,
            misconception="Conv2d flips its kernel; allclose on images is a proof.",
            statement="worst_case",
            conv=conv,
            size=_SIZE,
            tolerance=1e-3,
        ),
        Break(
            number="2.3",
            title="It passes allclose",
            minutes=15,
            points=4,
            misconception="Photographs and random inputs come close to the worst case.",
            statement="worst_case",
            layer=soft,
            conv=conv,
            size=_SIZE,
        ),
        Derive(
            number="2.4",
            title="A row of three pixels",
            minutes=10,
            points=3,
            misconception="A softmax of scores is a sum of independent terms.",
            statement="leak",
            names="alpha",
            _claim=_off_the_middle,
        ),
    ]


def _worst(conv: Convolution, alpha: float) -> arb:
    """Return the worst-case error of a conversion, enclosed."""
    rows = converted(Kernel.of(conv).in_float64(), alpha).largest(_SIZE)
    return between(float(rows.below.max()), float(rows.above.max()))


def _off_the_middle(engine: ModuleType, answer: Any, symbols: tuple[Any, ...]) -> Any:  # noqa: ANN401
    """Claim that an answer is what the middle of three pixels leaks."""
    from sympy import exp

    (alpha,) = symbols
    return engine.Equal(answer, 1 - 1 / (1 + 2 * exp(-alpha)))

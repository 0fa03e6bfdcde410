"""Does a trained CNN survive?"""

from expressivity.accuracy.worst_case import alpha_for
from expressivity.conversion.to_attention import attention_from_conv
from expressivity.coursework.attack import Break
from expressivity.coursework.construct import Construct
from expressivity.coursework.draw import Draw, conv_of
from expressivity.coursework.exercise import Exercise
from expressivity.coursework.judgement import exact_conv, exact_layer, judged
from expressivity.coursework.prediction import Predict, ball

_SIZE, _TOLERANCE = (6, 6), 1e-4


def exercises(draw: Draw) -> list[Exercise]:
    """Return the exercises of notebook 4."""
    layer = conv_of(draw.weights("4.1", (4, 4, 3, 3), unit=1 / 64), padding=1)
    deeper = conv_of(draw.weights("4.2", (2, 4, 3, 3), unit=1 / 64), padding=1)
    strided = conv_of(draw.weights("4.3", (1, 1, 3, 3)), padding=1, stride=2)
    return [
        Predict(
            number="4.1",
            title="The α of a tolerance",
            minutes=10,
            points=3,
            misconception="A hundred times the accuracy takes a hundred times α.",
            statement="leak",
            quantity="the α that keeps 1e−4 on inputs of every size",
            widest=1.04,
            given={"conv": layer, "tolerance": _TOLERANCE},
            _truth=lambda: ball(alpha_for(layer, tolerance=_TOLERANCE), digits=9),
            _input=lambda: (
                judged(
                    exact_layer(attention_from_conv(layer, tolerance=_TOLERANCE)),
                    exact_conv(layer),
                    _SIZE,
                ).x
            ),
        ),
        Construct(
            number="4.2",
            title="In the middle of a network",
            minutes=15,
            points=4,
            misconception="A certificate for inputs within ±1 covers activations.",
            statement="worst_case",
            conv=deeper,
            size=_SIZE,
            tolerance=1e-3,
            input_bound=float(draw.integer("4.2", 8, 16)),
        ),
        Break(
            number="4.3",
            title="A strided layer",
            minutes=10,
            points=3,
            misconception="A stride skips the pixels on which a layer errs.",
            statement="worst_case",
            layer=attention_from_conv(strided, alpha=5.0),
            conv=strided,
            size=(7, 7),
        ),
    ]

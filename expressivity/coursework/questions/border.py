"""What happens at the border?"""

from expressivity.conversion.to_attention import attention_from_conv
from expressivity.coursework.attack import Break
from expressivity.coursework.construct import Construct
from expressivity.coursework.draw import Draw, conv_of
from expressivity.coursework.exercise import Exercise
from expressivity.coursework.judgement import exact_conv
from expressivity.coursework.operator import Affine, WorstCase, worst_case
from expressivity.coursework.prediction import Predict, between
from expressivity.geometry.convolution import Convolution

_SIZE = (6, 6)


def exercises(draw: Draw) -> list[Exercise]:
    """Return the exercises of notebook 3."""
    weight = draw.weights("3.1", (1, 1, 3, 3))
    zeros = conv_of(weight, padding=1)
    replicate = conv_of(weight, padding=1, padding_mode="replicate")
    gap = _gap(zeros, replicate)
    other = draw.weights("3.2", (1, 1, 3, 3))
    return [
        Predict(
            number="3.1",
            title="What do missing tokens cost?",
            minutes=10,
            points=3,
            misconception="Without padding tokens a head off the canvas reads zero.",
            statement="replicate_border",
            quantity="the largest difference of replicate and zero padding",
            widest=1.05,
            given={"zeros": zeros, "replicate": replicate, "size": _SIZE},
            _truth=lambda: between(gap.attained, gap.bound),
            _input=lambda: gap.x,
        ),
        Construct(
            number="3.2",
            title="Zero padding",
            minutes=15,
            points=4,
            misconception="Padding is a property of the output, not of the tokens.",
            statement="zero_padding",
            conv=conv_of(other, padding=1),
            size=_SIZE,
            tolerance=1e-3,
        ),
        Construct(
            number="3.3",
            title="Replicate padding without a token more",
            minutes=10,
            points=3,
            misconception="Every kind of padding needs padding tokens.",
            statement="replicate_border",
            conv=conv_of(other, padding=1, padding_mode="replicate"),
            size=_SIZE,
            tolerance=1e-3,
        ),
        Break(
            number="3.4",
            title="The image that shows the border",
            minutes=10,
            points=3,
            misconception="Interiors decide about errors, borders are a detail.",
            statement="zero_padding",
            layer=attention_from_conv(replicate, alpha=20.0),
            conv=zeros,
            size=_SIZE,
            share=0.99,
        ),
    ]


def _gap(first: Convolution, second: Convolution) -> WorstCase:
    maps = [Affine.of(exact_conv(each), 1, _SIZE) for each in (first, second)]
    return worst_case(*maps, channels=1, size=_SIZE)

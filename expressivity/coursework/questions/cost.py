"""What does it cost?"""

from flint import arb

from expressivity.conversion.to_attention import attention_from_conv
from expressivity.coursework.attack import Break
from expressivity.coursework.draw import Draw, conv_of
from expressivity.coursework.exercise import Exercise
from expressivity.coursework.prediction import Predict
from expressivity.coursework.smoothing_matrix import BuildSmoothing


def exercises(draw: Draw) -> list[Exercise]:
    """Return the exercises of notebook 5."""
    height, width = draw.integer("5.1 height", 10, 20), draw.integer("5.1", 21, 30)
    scores = 9 * height * width * (height + 2) * (width + 2)
    strength = draw.choice("5.2", (0.5, 0.75, 1.25))
    conv = conv_of(draw.weights("5.3", (1, 1, 3, 3)), padding=1)
    return [
        Predict(
            number="5.1",
            title="How many scores?",
            minutes=5,
            points=2,
            misconception="Keys are the pixels of the image.",
            statement="separability",
            quantity=(
                "the number of scores that dense attention forms for a 3×3 kernel with "
                f"one pixel of zero padding on {height}×{width} pixels"
            ),
            widest=1.0,
            given={"height": height, "width": width},
            _truth=lambda: arb(scores),
        ),
        BuildSmoothing(
            number="5.2",
            title="The smoothing of one axis",
            minutes=15,
            points=4,
            misconception="The kernel of the smoothing is the same at the border.",
            statement="smoothing_identity",
            alpha=strength,
            tokens=7,
            tolerance=1e-6,
        ),
        Break(
            number="5.3",
            title="Where rings do not help",
            minutes=15,
            points=4,
            misconception="An error of higher order is smaller everywhere.",
            statement="soft_rings",
            layer=attention_from_conv(conv, alpha=2.0, rings=2),
            conv=conv,
            size=(9, 9),
        ),
    ]

"""What does one head look at?"""

from types import ModuleType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.conversion.to_attention import attention_from_conv
from expressivity.coursework.attack import Break
from expressivity.coursework.construct import Construct
from expressivity.coursework.derivation import Derive
from expressivity.coursework.draw import Draw, conv_of
from expressivity.coursework.exercise import Exercise
from expressivity.coursework.prediction import Predict, ball
from expressivity.heads.leak import leak

_SHIFTS = ((-1, 0), (1, 0), (0, -1), (0, 1), (-1, 1), (1, -1))
_SIZE = (6, 6)


def exercises(draw: Draw) -> list[Exercise]:
    """Return the exercises of notebook 1."""
    strength = draw.choice("1.1", (2.5, 3.0, 3.5, 4.0))
    down, right = draw.choice("1.2", _SHIFTS)
    kernel = torch.zeros(1, 1, 3, 3, dtype=torch.float64, device="cpu")
    kernel[0, 0, 1 + down, 1 + right] = 1
    shift = conv_of(kernel, padding=1)
    return [
        Predict(
            number="1.1",
            title="How much does a head leak?",
            minutes=5,
            points=2,
            misconception="A head with α > 1 is one-hot.",
            statement="leak",
            quantity=f"the attention off the target, for α = {strength:g} and two axes",
            widest=1.25,
            given={"alpha": strength},
            _truth=lambda: ball(leak(strength, axes=2)),
            _input=one_dark_pixel,
        ),
        Construct(
            number="1.2",
            title="Copy the pixel beside you",
            minutes=15,
            points=4,
            misconception="The displacement is query minus key.",
            statement="softmax_limit",
            conv=shift,
            size=_SIZE,
            tolerance=1e-3,
            most_heads=1,
        ),
        Derive(
            number="1.3",
            title="The vector of a head",
            minutes=15,
            points=3,
            misconception="A center needs an encoding with a bump at that place.",
            statement="quadratic_identity",
            names="alpha Delta1 Delta2",
            others="delta1 delta2",
            entries=3,
            _claim=_scores,
        ),
        Break(
            number="1.4",
            title="What does a soft head get wrong?",
            minutes=10,
            points=3,
            misconception="A bright pixel is the worst input.",
            statement="worst_case",
            layer=attention_from_conv(shift, alpha=2.0),
            conv=shift,
            size=_SIZE,
        ),
    ]


def one_dark_pixel() -> Float[Tensor, "1 1 9 9"]:
    """Return the image on which a head with its target in the middle errs most."""
    x = torch.ones(1, 1, 9, 9, dtype=torch.float64, device="cpu")
    x[0, 0, 4, 4] = -1
    return x


def _scores(engine: ModuleType, vector: Any, symbols: tuple[Any, ...]) -> Any:  # noqa: ANN401
    """Claim that v · (‖δ‖², δ₁, δ₂) = −α ‖δ − Δ‖² + α ‖Δ‖²."""
    alpha, row, column, down, right = symbols
    encoding = (down**2 + right**2, down, right)
    product = sum(entry * part for entry, part in zip(vector, encoding, strict=True))
    distance = (down - row) ** 2 + (right - column) ** 2
    return engine.Equal(product, -alpha * distance + alpha * (row**2 + column**2))

"""Quadratic relative encodings: the layer that all of this began with."""

from torch import nn

from expressivity.atlas.family import Claim, Family, Size
from expressivity.conversion import attention_from_conv
from expressivity.geometry.convolution import Convolution


def construct(conv: Convolution, size: Size, alpha: float) -> nn.Module:
    """Return the layer of Theorem 1, every query against every key, for any size."""
    return attention_from_conv(conv, alpha=alpha, strategy="dense")


FAMILIES = (
    Family(
        name="quadratic",
        title="quadratic relative encoding",
        claim=Claim(
            "Computes every convolution as the locality strength grows, with an error "
            "of order e^−α.",
            (
                "padding tokens, unless it is replicate padding",
                "one head a tap",
                "head dimension no less than the rank of a tap",
            ),
            "Cordonnier, Loukas, Jaggi (2020)",
        ),
        heads="K²",
        constructor=construct,
    ),
)

"""Convolution to attention, attention to convolution, and how far apart they are."""

from expressivity.constructor.build import attention_from_conv, truncation_error
from expressivity.constructor.compare import conversion_error
from expressivity.constructor.heads import (
    HeadCount,
    HeadCurve,
    TableHeads,
    head_count,
    head_curve,
    minimal_heads,
)
from expressivity.constructor.invert import NearestConvolution, conv_from_attention

__all__ = [
    "HeadCount",
    "HeadCurve",
    "NearestConvolution",
    "TableHeads",
    "attention_from_conv",
    "conv_from_attention",
    "conversion_error",
    "head_count",
    "head_curve",
    "minimal_heads",
    "truncation_error",
]
